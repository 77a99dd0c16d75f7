//! Casts between element types.

use std::rc::Rc;

use tract_onnx::pb::tensor_proto::DataType;

use super::common::{filled, truncated};
use super::{Lowering, Node, OnnxError, Registry, Value};
use crate::graph::Comparison;
use crate::onnx::tensor::{Constant, Kind, element_kind, integer_range};

fn cast(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let to = node.int("to")?.and_then(|to| i32::try_from(to).ok());
    let to = to.ok_or_else(|| node.unsupported("attribute to", "it is missing"))?;
    Ok(vec![converted(lowering, node, node.input(0)?, to)?])
}

/// To the element type of the second input.
fn cast_like(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let to = match (node.input(1)?.kind(), node.element_type(1)) {
        (Kind::Float, _) => DataType::Float as i32,
        (Kind::Bool, _) => DataType::Bool as i32,
        (Kind::Integer, Some(to)) if integer_range(to).is_some() => to,
        (Kind::Integer, _) => {
            return Err(node.unsupported("its second input", "the model does not declare which integers it holds"));
        }
    };
    Ok(vec![converted(lowering, node, node.input(0)?, to)?])
}

/// `x` as the ONNX element type `to`: fractions are dropped, whatever is not zero is true, and integers of up to 32 bits
/// that are too wide wrap around as in two's complement.
///
/// Signed integers of 32 and 64 bits are taken for wide enough, as everywhere.
fn converted(lowering: &mut Lowering, node: &Node, x: &Value, to: i32) -> Result<Value, OnnxError> {
    let kind = element_kind(node.name, to)?;
    if let Value::Constant(c) = x {
        lowering.charge_shape(node, &c.shape)?;
        let range = integer_range(to);
        if let Some((lo, hi)) = range
            && c.data.iter().any(|v| !(lo..=hi).contains(&v.trunc()))
        {
            let reason = format!("a constant is not from {lo} to {hi}");
            return Err(node.unsupported("its element type", &reason));
        }
        let convert = |v: f64| match kind {
            Kind::Float => v,
            Kind::Integer => v.trunc(),
            Kind::Bool => f64::from(u8::from(v != 0.0)),
        };
        let data = c.data.iter().map(|&v| convert(v)).collect();
        let converted = Constant::new(&c.name, c.shape.clone(), kind, data)?;
        return Ok(Value::Constant(Rc::new(Constant { stored_as: Some(to), ..converted })));
    }
    match (x.kind(), kind) {
        (from, to) if from == to && to != Kind::Integer => Ok(x.clone()),
        (_, Kind::Float) | (Kind::Bool, Kind::Integer) => Ok(x.with_kind(kind)),
        (_, Kind::Bool) => {
            let zero = lowering.compare(node, Comparison::Equal, x)?;
            lowering.scaled(node, &zero, |_| -1.0, |_| 1.0)
        }
        (Kind::Float, Kind::Integer) => {
            let whole = truncated(lowering, node, x, kind)?;
            wrapped(lowering, node, &whole, to)
        }
        (_, Kind::Integer) => wrapped(lowering, node, x, to),
    }
}

/// The integer of type `to` that is congruent to `x`: `x - 2^n floor((x - lo) / 2^n)`.
fn wrapped(lowering: &mut Lowering, node: &Node, x: &Value, to: i32) -> Result<Value, OnnxError> {
    let (lo, hi) = integer_range(to).unwrap_or((f64::NEG_INFINITY, f64::INFINITY));
    if lo < 0.0 && hi >= f64::from(i32::MAX) {
        return Ok(x.clone());
    }
    if hi > f64::from(u32::MAX) {
        let reason = "negative numbers would wrap around to ones of 64 bits; cast to a signed type";
        return Err(node.unsupported("its element type", reason));
    }
    let moduli = filled(lowering, node, x.shape(), Kind::Integer, hi - lo + 1.0)?;
    let above = lowering.scaled(node, x, |_| 1.0, |_| -lo)?;
    let turns = lowering.floor_quotient(node, &above, &moduli)?;
    lowering.combination(node, &[(x, 1.0), (&turns, lo - hi - 1.0)], 0.0)
}

pub(super) fn register(registry: &mut Registry) {
    registry.add("Cast", cast);
    registry.add("CastLike", cast_like);
}

#[cfg(test)]
mod tests {
    use tract_onnx::pb::{ModelProto, tensor_proto::DataType};

    use crate::onnx::import_model;
    use crate::onnx::testing::{Attr, agrees, declare, floats, graph_of, ints, model, node};

    /// Six numbers of type `from`, cast.
    fn cast(from: DataType, to: DataType) -> ModelProto {
        let mut model = model(&[], "y", vec![], vec![node("Cast", &["x"], "y", vec![("to", Attr::Int(to as i64))])]);
        graph_of(&mut model).input.push(declare("x", &[6], from));
        model
    }

    #[test]
    fn fractions_are_dropped_and_integers_wrap_around() {
        let x = [0.0, 1.75, -1.75, 200.0, -129.0, 70_000.0];
        let eval = |from, to| {
            import_model(&cast(from, to))
                .unwrap()
                .eval(&x.map(|v: f64| if from == DataType::Float { v } else { v.trunc() }))
        };
        for from in [DataType::Float, DataType::Int64] {
            assert_eq!(eval(from, DataType::Int64), x.map(f64::trunc));
            assert_eq!(eval(from, DataType::Int32), x.map(f64::trunc));
            assert_eq!(eval(from, DataType::Int8), x.map(|v| f64::from(v as i64 as i8)));
            assert_eq!(eval(from, DataType::Uint8), x.map(|v| f64::from(v as i64 as u8)));
            assert_eq!(eval(from, DataType::Int16), x.map(|v| f64::from(v as i64 as i16)));
            assert_eq!(eval(from, DataType::Uint32), x.map(|v| f64::from(v as i64 as u32)));
            assert_eq!(eval(from, DataType::Bool), x.map(|v| f64::from(u8::from(v != 0.0))));
            assert!(import_model(&cast(from, DataType::Uint64)).unwrap_err().to_string().contains("wrap around"));
        }
        agrees(&cast(DataType::Float, DataType::Int64));
        agrees(&cast(DataType::Int64, DataType::Float));
    }

    #[test]
    fn the_type_of_another_tensor() {
        let like = |constant| {
            let nodes = vec![node("CastLike", &["x", "t"], "y", vec![])];
            import_model(&model(&[("x", &[2])], "y", vec![constant], nodes)).unwrap().eval(&[1.5, -1.5])
        };
        assert_eq!(like(floats("t", &[], &[0.0])), [1.5, -1.5]);
        assert_eq!(like(ints("t", &[], &[0])), [1.0, -1.0]);
        let undeclared = vec![node("ArgMax", &["x"], "t", vec![]), node("CastLike", &["x", "t"], "y", vec![])];
        let error = import_model(&model(&[("x", &[2])], "y", vec![], undeclared)).unwrap_err();
        assert!(error.to_string().contains("which integers it holds"), "{error}");
    }

    #[test]
    fn constants_must_fit() {
        let nodes = vec![
            node("Cast", &["w"], "v", vec![("to", Attr::Int(DataType::Uint8 as i64))]),
            node("Cast", &["v"], "u", vec![("to", Attr::Int(DataType::Float as i64))]),
            node("Add", &["x", "u"], "y", vec![]),
        ];
        let with = |w: f32| model(&[("x", &[1])], "y", vec![floats("w", &[], &[w])], nodes.clone());
        assert_eq!(import_model(&with(255.5)).unwrap().eval(&[0.0]), [255.0]);
        assert!(import_model(&with(256.0)).is_err());
    }
}
