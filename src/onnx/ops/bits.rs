//! Bits of integers: BitwiseAnd, BitwiseOr, BitwiseXor, BitwiseNot, BitShift.
//!
//! Negative integers have infinitely many leading ones, as in two's complement: bit `k` of `x` is
//! `floor(x / 2^k) - 2 floor(x / 2^(k + 1))`, whatever the sign and the width.

use super::common::filled;
use super::{Lower, Lowering, Node, OnnxError, Registry, Value};
use crate::onnx::tensor::{Kind, MAX_EXACT, integer_range};

/// Integers below [`MAX_EXACT`] have at most this many bits, besides their sign.
const BITS: u32 = 53;
/// The widest integers that are taken apart bit by bit.
const MAX_WIDTH: u32 = 32;

/// The operands, repeated to their common shape.
fn operands(lowering: &mut Lowering, node: &Node) -> Result<(Value, Value), OnnxError> {
    let (a, b) = (node.input(0)?, node.input(1)?);
    integer(node, a)?;
    integer(node, b)?;
    lowering.broadcast_pair(node, a, b)
}

fn integer(node: &Node, x: &Value) -> Result<(), OnnxError> {
    match x.kind() {
        Kind::Integer => Ok(()),
        _ => Err(node.unsupported("its element type", "it must be an integer")),
    }
}

/// The range of the first input's element type.
fn range(node: &Node) -> Result<(f64, f64), OnnxError> {
    let types = [node.element_type(0), node.element_type(1)];
    types.into_iter().flatten().find_map(integer_range).ok_or_else(|| {
        node.unsupported("its element type", "the model does not declare how wide its integers are: cast them")
    })
}

/// `floor(x / 2^k)`
fn without_low_bits(lowering: &mut Lowering, node: &Node, x: &Value, k: u32) -> Result<Value, OnnxError> {
    if k == 0 {
        return Ok(x.clone());
    }
    let powers = filled(lowering, node, x.shape(), Kind::Integer, 2f64.powi(k as i32))?;
    lowering.floor_quotient(node, x, &powers)
}

/// What `x` and, elementwise, the constants `mask`, which are not negative, have in common: by Abel's summation the sum
/// over `k` of `2^k (mask_k - mask_(k - 1)) floor(x / 2^k)`, where `mask_k` is bit `k`.
fn masked(lowering: &mut Lowering, node: &Node, x: &Value, mask: &[u64]) -> Result<Value, OnnxError> {
    let change = |mask: u64, k: u32| {
        let bit = |k: u32| f64::from(u8::from(mask >> k & 1 == 1));
        2f64.powi(k as i32) * (bit(k) - if k == 0 { 0.0 } else { bit(k - 1) })
    };
    let mut parts = vec![];
    for k in (0..=BITS).filter(|&k| mask.iter().any(|&m| change(m, k) != 0.0)) {
        let quotient = without_low_bits(lowering, node, x, k)?;
        parts.push(lowering.scaled(node, &quotient, |i| change(mask[i], k), |_| 0.0)?);
    }
    match parts.is_empty() {
        true => lowering.scaled(node, x, |_| 0.0, |_| 0.0),
        false => lowering.combination(node, &parts.iter().map(|part| (part, 1.0)).collect::<Vec<_>>(), 0.0),
    }
}

/// What `x` and a constant of any sign have in common: `x and m` is `x - (x and not m)`, and one of `m` and `not m` is
/// not negative.
fn common_with_constant(lowering: &mut Lowering, node: &Node, x: &Value, m: &[f64]) -> Result<Value, OnnxError> {
    if m.iter().any(|v| v.abs() >= MAX_EXACT) {
        return Err(node.unsupported("a constant operand", "it must be less than 2^53"));
    }
    let flips: Vec<f64> = m.iter().map(|&v| f64::from(u8::from(v < 0.0))).collect();
    let mask: Vec<u64> = m.iter().map(|&v| if v < 0.0 { !(v as i64) as u64 } else { v as u64 }).collect();
    let common = masked(lowering, node, x, &mask)?;
    let common = lowering.scaled(node, &common, |i| 1.0 - 2.0 * flips[i], |_| 0.0)?;
    let whole = lowering.scaled(node, x, |i| flips[i], |_| 0.0)?;
    lowering.combination(node, &[(&common, 1.0), (&whole, 1.0)], 0.0)
}

/// What two activations have in common, bit by bit: that of two bits is `max(a + b - 1, 0)`.
fn common_bits(lowering: &mut Lowering, node: &Node, a: &Value, b: &Value) -> Result<Value, OnnxError> {
    let (lo, hi) = range(node)?;
    let width = (hi - lo + 1.0).log2() as u32;
    if width > MAX_WIDTH {
        let reason = format!("integers of {width} bits are too wide unless one operand is constant: cast them");
        return Err(node.unsupported("its element type", &reason));
    }
    let mut parts = vec![];
    let (mut high_a, mut high_b) = (a.clone(), b.clone());
    for k in 0..width {
        let weight = 2f64.powi(k as i32);
        let (low_a, low_b) = (high_a, high_b);
        (high_a, high_b) = (without_low_bits(lowering, node, a, k + 1)?, without_low_bits(lowering, node, b, k + 1)?);
        let ones = [(&low_a, 1.0), (&high_a, -2.0), (&low_b, 1.0), (&high_b, -2.0)];
        let excess = lowering.combination(node, &ones, -1.0)?;
        // the highest bit of signed integers counts for -2^k
        let weight = if lo < 0.0 && k + 1 == width { -weight } else { weight };
        parts.push((lowering.relu(node, &excess)?, weight));
    }
    lowering.combination(node, &parts.iter().map(|(part, weight)| (part, *weight)).collect::<Vec<_>>(), 0.0)
}

/// `own * (a + b) + both * (a and b)`
fn bitwise(lowering: &mut Lowering, node: &Node, own: f64, both: f64) -> Result<Vec<Value>, OnnxError> {
    let (a, b) = operands(lowering, node)?;
    let common = match (&a, &b) {
        (x, Value::Constant(m)) | (Value::Constant(m), x) => common_with_constant(lowering, node, x, &m.data)?,
        _ => common_bits(lowering, node, &a, &b)?,
    };
    Ok(vec![lowering.combination(node, &[(&a, own), (&b, own), (&common, both)], 0.0)?])
}

/// `-x - 1`, or for unsigned integers the greatest one less `x`.
fn not(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let x = node.input(0)?;
    integer(node, x)?;
    let greatest = match range(node)? {
        (0.0, hi) if hi > f64::from(u32::MAX) => {
            return Err(node.unsupported("its element type", "integers beyond 2^53 are not exact"));
        }
        (0.0, hi) => hi,
        _ => -1.0,
    };
    Ok(vec![lowering.scaled(node, x, |_| -1.0, |_| greatest)?])
}

/// The number from `-m / 2` to `m / 2 - 1` that differs from `x` by a multiple of `m`, for powers of two `m`, elementwise.
fn low_bits(lowering: &mut Lowering, node: &Node, x: &Value, moduli: &[f64]) -> Result<Value, OnnxError> {
    let above = lowering.scaled(node, x, |_| 1.0, |i| (moduli[i] / 2.0).floor())?;
    let divisors = lowering.constant(node, x.shape().to_vec(), Kind::Integer, moduli.to_vec())?;
    let turns = lowering.floor_quotient(node, &above, &divisors)?;
    let multiples = lowering.scaled(node, &turns, |i| moduli[i], |_| 0.0)?;
    lowering.combination(node, &[(x, 1.0), (&multiples, -1.0)], 0.0)
}

/// By constants: `x 2^n` without the bits that leave the type, or `floor(x / 2^n)`.
fn shift(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let (x, by) = operands(lowering, node)?;
    let Some(by) = by.constant().filter(|c| c.data.iter().all(|v| (0.0..f64::from(BITS)).contains(v))) else {
        return Err(node.unsupported("the shift", &format!("it must be constant, from 0 to {}", BITS - 1)));
    };
    let powers: Vec<f64> = by.data.iter().map(|&n| n.exp2()).collect();
    Ok(vec![match node.string("direction")?.as_deref() {
        Some("LEFT") => {
            let (lo, hi) = range(node)?;
            let kept = match (hi <= f64::from(u32::MAX), lo < 0.0) {
                (true, true) => {
                    let moduli: Vec<f64> = powers.iter().map(|p| ((hi - lo + 1.0) / p).max(1.0)).collect();
                    low_bits(lowering, node, &x, &moduli)?
                }
                (true, false) => {
                    let masks: Vec<f64> = powers.iter().map(|p| (hi / p).floor()).collect();
                    common_with_constant(lowering, node, &x, &masks)?
                }
                (false, _) => x,
            };
            lowering.scaled(node, &kept, |i| powers[i], |_| 0.0)?
        }
        Some("RIGHT") => {
            let powers = lowering.constant(node, x.shape().to_vec(), Kind::Integer, powers)?;
            lowering.floor_quotient(node, &x, &powers)?
        }
        _ => return Err(node.unsupported("attribute direction", "it must be LEFT or RIGHT")),
    }])
}

pub(super) fn register(registry: &mut Registry) {
    let bitwise: [(&'static str, Lower); 3] = [
        ("BitwiseAnd", |lowering, node| bitwise(lowering, node, 0.0, 1.0)),
        ("BitwiseOr", |lowering, node| bitwise(lowering, node, 1.0, -1.0)),
        ("BitwiseXor", |lowering, node| bitwise(lowering, node, 1.0, -2.0)),
    ];
    bitwise.into_iter().for_each(|(name, lower)| registry.add(name, lower));
    registry.add("BitwiseNot", not);
    registry.add("BitShift", shift);
}

#[cfg(test)]
mod tests {
    use tract_onnx::pb::{ModelProto, NodeProto, TensorProto, tensor_proto::DataType};

    use crate::onnx::import_model;
    use crate::onnx::ops::testing::with_text;
    use crate::onnx::testing::{declare, graph_of, ints, model, node};

    fn of(data_type: DataType, inputs: &[&str], initializers: Vec<TensorProto>, node: NodeProto) -> ModelProto {
        let mut model = model(&[], "y", initializers, vec![node]);
        model.opset_import[0].version = 18;
        graph_of(&mut model).input.extend(inputs.iter().map(|name| declare(name, &[6], data_type)));
        model
    }

    type Operator = (&'static str, fn(i64, i64) -> i64);

    const OPERATORS: [Operator; 3] =
        [("BitwiseAnd", |a, b| a & b), ("BitwiseOr", |a, b| a | b), ("BitwiseXor", |a, b| a ^ b)];

    #[test]
    fn constants_of_any_sign() {
        let x: [i64; 6] = [0, 1, -1, 1234, -1234, 1 << 40];
        for mask in [0i64, 1, 0b1011_0110, -1, -2, -1235, 0xffff, 1 << 40, -1 << 52] {
            for (op, f) in OPERATORS {
                for inputs in [["x", "m"], ["m", "x"]] {
                    let constant = vec![ints("m", &[], &[mask])];
                    let graph = import_model(&of(DataType::Int64, &["x"], constant, node(op, &inputs, "y", vec![])));
                    assert_eq!(graph.unwrap().eval(&x.map(|v| v as f64)), x.map(|v| f(v, mask) as f64), "{op} {mask}");
                }
            }
        }
    }

    #[test]
    fn two_activations() {
        let x: [i64; 12] = [0, 1, -1, 127, -128, 77, 85, -86, -1, 127, 127, -128];
        for (data_type, offset) in [(DataType::Int8, 0), (DataType::Uint8, 128), (DataType::Int32, 0)] {
            for (op, f) in OPERATORS {
                let graph =
                    import_model(&of(data_type, &["a", "b"], vec![], node(op, &["a", "b"], "y", vec![]))).unwrap();
                let expected: Vec<f64> = (0..6).map(|i| f(x[i] + offset, x[i + 6] + offset) as f64).collect();
                assert_eq!(graph.eval(&x.map(|v| (v + offset) as f64)), expected, "{op} {data_type:?}");
            }
        }
        let wide = of(DataType::Int64, &["a", "b"], vec![], node("BitwiseAnd", &["a", "b"], "y", vec![]));
        assert!(import_model(&wide).unwrap_err().to_string().contains("too wide"));
    }

    #[test]
    fn complements_depend_on_the_type() {
        let x = [0.0, 1.0, 2.0, 100.0, 126.0, 127.0];
        let not = |data_type| import_model(&of(data_type, &["x"], vec![], node("BitwiseNot", &["x"], "y", vec![])));
        assert_eq!(not(DataType::Int16).unwrap().eval(&x), x.map(|v| -v - 1.0));
        assert_eq!(not(DataType::Uint8).unwrap().eval(&x), x.map(|v| 255.0 - v));
        assert!(not(DataType::Uint64).is_err());
    }

    #[test]
    fn shifts() {
        let shift = |data_type, direction: &str, by: i64| {
            let node = with_text(node("BitShift", &["x", "n"], "y", vec![]), "direction", direction);
            import_model(&of(data_type, &["x"], vec![ints("n", &[], &[by])], node))
        };
        let x = [0.0, 1.0, 5.0, 33.0, 64.0, 255.0];
        assert_eq!(shift(DataType::Uint8, "RIGHT", 1).unwrap().eval(&x), x.map(|v| (v / 2.0).floor()));
        assert_eq!(shift(DataType::Uint64, "LEFT", 3).unwrap().eval(&x), x.map(|v| v * 8.0));
        assert_eq!(shift(DataType::Uint8, "LEFT", 3).unwrap().eval(&x), x.map(|v| f64::from((v as u8) << 3)));
        let x = [0.0, 1.0, -1.0, 5.0, -128.0, 127.0];
        for n in 0..8 {
            let expected = x.map(|v| f64::from((v as i8) << n));
            assert_eq!(shift(DataType::Int8, "LEFT", n).unwrap().eval(&x), expected, "{n}");
        }
        assert_eq!(shift(DataType::Int8, "LEFT", 9).unwrap().eval(&x), [0.0; 6]);
        assert_eq!(shift(DataType::Int32, "LEFT", 31).unwrap().eval(&x)[1], f64::from(i32::MIN));
        assert!(shift(DataType::Uint64, "RIGHT", 64).is_err() && shift(DataType::Uint8, "RIGHT", -1).is_err());
        assert!(shift(DataType::Uint8, "UP", 1).is_err());
    }
}
