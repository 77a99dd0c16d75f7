//! Elementwise arithmetic with broadcasting: Add, Sub, Mul, Div, Mod, Pow, and the variadic Max, Mean, Min, Sum.

use super::common::{broadcast_inputs, broadcast_pair, filled, float, numeric, truncated};
use super::{Lowering, Node, OnnxError, Registry, Value};
use crate::graph::{AffineBuilder, Function, Rounding};
use crate::onnx::shape::{broadcast, broadcast_offsets};
use crate::onnx::tensor::Kind;

/// The greatest exponent of an integer power: above it even 2 leaves the integers that stay exact.
const MAX_INTEGER_EXPONENT: f64 = 64.0;

/// Two operands of one element type and, per element of the output, which of their elements it is made of.
struct Pair<'a> {
    left: &'a Value,
    right: &'a Value,
    shape: Vec<usize>,
    left_offsets: Vec<usize>,
    right_offsets: Vec<usize>,
}

impl<'a> Pair<'a> {
    fn new(lowering: &mut Lowering, node: &'a Node) -> Result<Self, OnnxError> {
        let (left, right) = (node.input(0)?, node.input(1)?);
        let Some(shape) = broadcast(left.shape(), right.shape()) else {
            return Err(node.mismatch(left.shape(), right.shape(), "they do not broadcast to a common shape"));
        };
        numeric(node, &[left, right])?;
        lowering.charge_shape(node, &shape)?;
        let left_offsets = broadcast_offsets(left.shape(), &shape);
        let right_offsets = broadcast_offsets(right.shape(), &shape);
        Ok(Self { left, right, shape, left_offsets, right_offsets })
    }

    /// `left + sign * right`.
    fn sum(self, lowering: &mut Lowering, node: &Node, sign: f64) -> Result<Vec<Value>, OnnxError> {
        let mut rows = AffineBuilder::new(self.left.len() + self.right.len());
        for (&l, &r) in self.left_offsets.iter().zip(&self.right_offsets) {
            rows.push(vec![(l, 1.0), (self.left.len() + r, sign)], 0.0);
        }
        let kind = self.left.kind();
        Ok(vec![lowering.affine(node, &[self.left, self.right], rows.finish(), self.shape, kind)?])
    }
}

fn add(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    Pair::new(lowering, node)?.sum(lowering, node, 1.0)
}

fn sub(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    Pair::new(lowering, node)?.sum(lowering, node, -1.0)
}

fn mul(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    numeric(node, &[node.input(0)?, node.input(1)?])?;
    let (a, b) = broadcast_pair(lowering, node)?;
    Ok(vec![lowering.product(node, &a, &b)?])
}

/// A constant divisor must not hold a zero.
fn refuse_zero(divisor: &Value) -> Result<(), OnnxError> {
    let Some(divisor) = divisor.constant() else { return Ok(()) };
    match divisor.data.iter().position(|&v| v == 0.0) {
        None => Ok(()),
        Some(index) => {
            Err(OnnxError::NonFinite { tensor: format!("1 / {}", divisor.name), index, value: f64::INFINITY })
        }
    }
}

/// Integers are divided toward zero.
fn div(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let kind = numeric(node, &[node.input(0)?, node.input(1)?])?;
    refuse_zero(node.input(1)?)?;
    let (a, b) = broadcast_pair(lowering, node)?;
    Ok(vec![match kind {
        Kind::Float => lowering.quotient(node, &a, &b)?,
        _ => truncated_quotient(lowering, node, &a, &b)?,
    }])
}

/// The signs of a divisor's elements (all positive where it is not constant) and its magnitude.
fn sign_and_magnitude(lowering: &mut Lowering, node: &Node, b: &Value) -> Result<(Vec<f64>, Value), OnnxError> {
    lowering.charge(node.name, [b.len()])?;
    let Some(constant) = b.constant() else { return Ok((vec![1.0; b.len()], b.clone())) };
    let magnitude = constant.data.iter().map(|v| v.abs()).collect();
    let magnitude = lowering.constant(node, constant.shape.clone(), constant.kind, magnitude)?;
    Ok((constant.data.iter().map(|v| v.signum()).collect(), magnitude))
}

/// Integers `a / b` toward zero: `sign(b) (floor(max(a, 0) / |b|) - floor(max(-a, 0) / |b|))`.
pub(super) fn truncated_quotient(
    lowering: &mut Lowering,
    node: &Node,
    a: &Value,
    b: &Value,
) -> Result<Value, OnnxError> {
    let (signs, b) = sign_and_magnitude(lowering, node, b)?;
    let above = lowering.relu(node, a)?;
    let negative = lowering.scaled(node, a, |_| -1.0, |_| 0.0)?;
    let below = lowering.relu(node, &negative)?;
    let above = lowering.floor_quotient(node, &above, &b)?;
    let below = lowering.floor_quotient(node, &below, &b)?;
    let quotient = lowering.combination(node, &[(&above, 1.0), (&below, -1.0)], 0.0)?;
    lowering.scaled(node, &quotient, |i| signs[i], |_| 0.0)
}

/// `a - b floor(a / b)`; with the attribute `fmod`, `a - b trunc(a / b)`.
fn modulo(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let kind = numeric(node, &[node.input(0)?, node.input(1)?])?;
    refuse_zero(node.input(1)?)?;
    let (a, b) = broadcast_pair(lowering, node)?;
    let quotient = match (kind, node.flag("fmod")?) {
        (Kind::Float, truncates) => {
            let quotient = lowering.quotient(node, &a, &b)?;
            match truncates {
                true => truncated(lowering, node, &quotient, Kind::Float)?,
                false => lowering.round(node, Rounding::Floor, &quotient, Kind::Float)?,
            }
        }
        (_, true) => truncated_quotient(lowering, node, &a, &b)?,
        // the divisor's sign goes to the dividend
        (_, false) => {
            let (signs, magnitude) = sign_and_magnitude(lowering, node, &b)?;
            let dividend = lowering.scaled(node, &a, |i| signs[i], |_| 0.0)?;
            lowering.floor_quotient(node, &dividend, &magnitude)?
        }
    };
    let whole = lowering.product(node, &quotient, &b)?;
    Ok(vec![lowering.combination(node, &[(&a, 1.0), (&whole, -1.0)], 0.0)?])
}

/// The result has the base's element type.
fn pow(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    if [node.input(0)?, node.input(1)?].iter().any(|v| v.kind() == Kind::Bool) {
        return Err(node.unsupported("its element type", "a boolean has no powers"));
    }
    let (base, exponent) = broadcast_pair(lowering, node)?;
    if let Some(constant) = exponent.constant() {
        let exponents = constant.data.clone();
        return Ok(vec![powers(lowering, node, &base, &exponents)?]);
    }
    float(node, &base)?;
    let exponent = exponent.with_kind(Kind::Float);
    if let Some(constant) = base.constant()
        && let Some(&first) = constant.data.first()
        && first > 0.0
        && constant.data.iter().all(|&v| v == first)
    {
        return Ok(vec![lowering.function(node, Function::Exponential { base: first }, &exponent)?]);
    }
    // exp(exponent ln(base)), for positive bases: the logarithm is refused where the base may be zero or less
    let logarithm = lowering.function(node, Function::Ln, &base)?;
    let logarithm = lowering.product(node, &exponent, &logarithm)?;
    Ok(vec![lowering.function(node, Function::Exp, &logarithm)?])
}

/// `x[i]^exponents[i]`: the elements are dealt with by exponent.
fn powers(lowering: &mut Lowering, node: &Node, x: &Value, exponents: &[f64]) -> Result<Value, OnnxError> {
    let mut distinct = exponents.to_vec();
    distinct.sort_by(f64::total_cmp);
    distinct.dedup();
    if let [exponent] = distinct[..] {
        return power(lowering, node, x, exponent);
    }
    lowering.charge(node.name, [x.len(), distinct.len()])?;
    let (mut places, mut parts, mut next) = (vec![0; x.len()], vec![], 0);
    for exponent in distinct {
        let own: Vec<usize> = (0..x.len()).filter(|&i| exponents[i] == exponent).collect();
        for &i in &own {
            places[i] = next;
            next += 1;
        }
        let part = lowering.select(node, x, vec![own.len()], own)?;
        parts.push(power(lowering, node, &part, exponent)?);
    }
    let mut rows = AffineBuilder::new(x.len());
    places.into_iter().for_each(|place| rows.push(vec![(place, 1.0)], 0.0));
    let parts: Vec<&Value> = parts.iter().collect();
    lowering.affine(node, &parts, rows.finish(), x.shape().to_vec(), x.kind())
}

/// `x^exponent`: integers and small exponents by products.
fn power(lowering: &mut Lowering, node: &Node, x: &Value, exponent: f64) -> Result<Value, OnnxError> {
    let integer = x.kind() == Kind::Integer;
    let whole = exponent.fract() == 0.0 && exponent >= 0.0;
    if whole && exponent <= if integer { MAX_INTEGER_EXPONENT } else { 4.0 } {
        return whole_power(lowering, node, x, exponent as u32);
    }
    if integer {
        let reason = "an integer's exponent must be an integer from 0 to 64";
        return Err(node.unsupported(&format!("exponent {exponent}"), reason));
    }
    if exponent == 0.5 {
        return lowering.sqrt(node, x);
    }
    if exponent == -1.0 {
        let one = filled(lowering, node, x.shape(), Kind::Float, 1.0)?;
        return lowering.quotient(node, &one, x);
    }
    lowering.function(node, Function::Power { exponent }, x)
}

/// `x^n = (x^(n / 2))^2`, times `x` if `n` is odd.
fn whole_power(lowering: &mut Lowering, node: &Node, x: &Value, n: u32) -> Result<Value, OnnxError> {
    match n {
        0 => filled(lowering, node, x.shape(), x.kind(), 1.0),
        1 => Ok(x.clone()),
        _ => {
            let half = whole_power(lowering, node, x, n / 2)?;
            let even = lowering.square(node, &half)?;
            if n % 2 == 0 { Ok(even) } else { lowering.product(node, &even, x) }
        }
    }
}

type Binary = fn(&mut Lowering, &Node, &Value, &Value) -> Result<Value, OnnxError>;

/// `f` over all inputs, as a tree.
fn tree(lowering: &mut Lowering, node: &Node, f: Binary) -> Result<Vec<Value>, OnnxError> {
    let mut values = broadcast_inputs(lowering, node)?;
    numeric(node, &values.iter().collect::<Vec<_>>())?;
    while values.len() > 1 {
        let pairs = values.chunks(2).map(|pair| match pair {
            [a, b] => f(lowering, node, a, b),
            rest => Ok(rest[0].clone()),
        });
        values = pairs.collect::<Result<_, _>>()?;
    }
    Ok(values)
}

fn max(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    tree(lowering, node, Lowering::maximum)
}

fn min(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    tree(lowering, node, Lowering::minimum)
}

/// `factor` times the sum of all inputs.
fn total(lowering: &mut Lowering, node: &Node, factor: f64) -> Result<Vec<Value>, OnnxError> {
    let values = broadcast_inputs(lowering, node)?;
    values.iter().try_for_each(|v| float(node, v))?;
    let parts: Vec<(&Value, f64)> = values.iter().map(|v| (v, factor)).collect();
    Ok(vec![lowering.combination(node, &parts, 0.0)?])
}

fn sum(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    total(lowering, node, 1.0)
}

fn mean(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    total(lowering, node, 1.0 / node.inputs.len() as f64)
}

pub(super) fn register(registry: &mut Registry) {
    registry.add("Add", add);
    registry.add("Div", div);
    registry.add("Max", max);
    registry.add("Mean", mean);
    registry.add("Min", min);
    registry.add("Mod", modulo);
    registry.add("Mul", mul);
    registry.add("Pow", pow);
    registry.add("Sub", sub);
    registry.add("Sum", sum);
}

#[cfg(test)]
mod tests {
    use tract_onnx::pb::{ModelProto, TensorProto, tensor_proto::DataType};

    use crate::onnx::OnnxError;
    use crate::onnx::import_model;
    use crate::onnx::testing::{Attr, agrees, declare, floats, graph_of, ints, model, node, weights};

    #[test]
    fn arithmetic_broadcasts_on_both_sides() {
        let shapes: [(&[i64], &[i64]); 5] =
            [(&[1, 3], &[3]), (&[1, 3], &[]), (&[1, 1, 3], &[2, 1]), (&[1, 2, 3], &[1, 1, 2, 3]), (&[1], &[4, 2])];
        for (x, w) in shapes {
            for op in ["Add", "Sub", "Mul", "Div"] {
                agrees(&model(&[("x", x)], "y", vec![weights("w", w, 3)], vec![node(op, &["x", "w"], "y", vec![])]));
            }
            for op in ["Add", "Sub", "Mul"] {
                agrees(&model(&[("x", x)], "y", vec![weights("w", w, 4)], vec![node(op, &["w", "x"], "y", vec![])]));
            }
        }
    }

    const INPUTS: [(&str, &[i64]); 2] = [("a", &[1, 1, 3]), ("b", &[2, 1])];

    #[test]
    fn two_activations_meet_with_broadcasting() {
        for op in ["Add", "Sub", "Mul", "Max", "Min", "Sum", "Mean"] {
            agrees(&model(&INPUTS, "y", vec![], vec![node(op, &["a", "b"], "y", vec![])]));
        }
        let nodes = vec![
            node("Abs", &["b"], "p", vec![]),
            node("Add", &["p", "one"], "q", vec![]),
            node("Div", &["a", "q"], "y", vec![]),
        ];
        agrees(&model(&INPUTS, "y", vec![floats("one", &[], &[1.0])], nodes));
    }

    #[test]
    fn variadic_operators_take_any_number() {
        for op in ["Max", "Min", "Sum"] {
            for inputs in [&["a"][..], &["a", "w", "b"], &["w", "a", "b", "a", "w"]] {
                let nodes = vec![node(op, inputs, "z", vec![]), node("Add", &["z", "b"], "y", vec![])];
                agrees(&model(&INPUTS, "y", vec![weights("w", &[3], 2)], nodes));
            }
        }
    }

    /// The independent implementation knows means of tensors of one rank only.
    #[test]
    fn a_mean_broadcasts() {
        let mean = model(&INPUTS, "y", vec![weights("w", &[3], 2)], vec![node("Mean", &["a", "b", "a"], "y", vec![])]);
        let graph = import_model(&mean).unwrap();
        assert_eq!(graph.eval(&[3.0, 6.0, 9.0, 0.0, 1.5]), [2.0, 4.0, 6.0, 2.5, 4.5, 6.5]);
    }

    fn of_integers(initializers: Vec<TensorProto>, op: &str, attributes: Vec<(&str, Attr)>) -> ModelProto {
        let mut model = model(&[], "y", initializers, vec![node(op, &["x", "w"], "y", attributes)]);
        graph_of(&mut model).input.push(declare("x", &[1, 4], DataType::Int64));
        model
    }

    #[test]
    fn integers_are_divided_toward_zero() {
        let graph = agrees(&of_integers(vec![ints("w", &[4], &[3, -3, 7, -10])], "Div", vec![]));
        assert_eq!(graph.eval(&[-7.0, -7.0, 20.0, 25.0]), [-2.0, 2.0, 2.0, -2.0]);
    }

    #[test]
    fn remainders_follow_the_divisor_or_the_dividend() {
        let divisors = || vec![ints("w", &[4], &[3, -3, 7, -7])];
        let graph = import_model(&of_integers(divisors(), "Mod", vec![])).unwrap();
        assert_eq!(graph.eval(&[-7.0, -7.0, 20.0, 20.0]), [2.0, -1.0, 6.0, -1.0]);
        let graph = import_model(&of_integers(divisors(), "Mod", vec![("fmod", Attr::Int(1))])).unwrap();
        assert_eq!(graph.eval(&[-7.0, -7.0, 20.0, 20.0]), [-1.0, -1.0, 6.0, 6.0]);
        let nodes = vec![node("Mod", &["x", "w"], "y", vec![("fmod", Attr::Int(1))])];
        let graph = agrees(&model(&[("x", &[1, 2])], "y", vec![floats("w", &[2], &[0.75, -0.5])], nodes));
        assert_eq!(graph.eval(&[-1.0, 1.25]), [-0.25, 0.25]);
    }

    #[test]
    fn powers_with_a_constant_on_either_side() {
        let power = |positive: bool, constant: TensorProto, swap: bool| {
            let mut nodes = vec![node("Identity", &["x"], "p", vec![])];
            if positive {
                nodes = vec![node("Abs", &["x"], "a", vec![]), node("Add", &["a", "half"], "p", vec![])];
            }
            nodes.push(node("Pow", if swap { &["w", "p"] } else { &["p", "w"] }, "y", vec![]));
            agrees(&model(&[("x", &[1, 3])], "y", vec![constant, floats("half", &[], &[0.5])], nodes))
        };
        for exponent in [1.0, 2.0, 3.0, 4.0, 5.0] {
            power(false, floats("w", &[], &[exponent]), false);
        }
        for exponent in [0.5, -1.0, -0.5, 1.7] {
            power(true, floats("w", &[], &[exponent]), false);
        }
        let graph = power(true, floats("w", &[3], &[2.0, -1.0, 2.0]), false);
        assert_eq!(graph.eval(&[1.0, 1.5, -2.0]), [2.25, 0.5, 6.25]);
        power(false, floats("w", &[], &[2.5]), true);
        power(false, floats("w", &[3], &[2.5, 1.0, 0.5]), true);
        let nodes = vec![node("Exp", &["x"], "e", vec![]), node("Pow", &["e", "x"], "y", vec![])];
        agrees(&model(&[("x", &[1, 3])], "y", vec![], nodes));
    }

    #[test]
    fn integer_powers_stay_integers() {
        let graph = import_model(&of_integers(vec![ints("w", &[4], &[0, 1, 5, 3])], "Pow", vec![])).unwrap();
        assert_eq!(graph.eval(&[9.0, -4.0, -3.0, 11.0]), [1.0, -4.0, -243.0, 1331.0]);
        let error = import_model(&of_integers(vec![floats("w", &[], &[0.5])], "Pow", vec![])).unwrap_err();
        assert!(matches!(&error, OnnxError::UnsupportedAttribute { attribute, .. } if attribute == "exponent 0.5"));
    }

    #[test]
    fn the_same_activation_twice_is_one_input() {
        let nodes = vec![node("Neg", &["x"], "n", vec![]), node("Sub", &["x", "n"], "y", vec![])];
        let graph = agrees(&model(&[("x", &[1, 3])], "y", vec![], nodes));
        assert_eq!(graph.nodes.len(), 1);
        assert_eq!(graph.eval(&[1.0, 2.0, 3.0]), [2.0, 4.0, 6.0]);
    }

    #[test]
    fn constants_are_folded_and_integers_truncate() {
        let nodes = vec![
            node("Div", &["six", "minus_four"], "minus_one", vec![]),
            node("Mul", &["minus_one", "minus_one"], "one", vec![]),
            node("Reshape", &["x", "one"], "flat", vec![]),
            node("Div", &["w", "w"], "ones", vec![]),
            node("Mul", &["flat", "ones"], "y", vec![]),
        ];
        let initializers = vec![ints("six", &[1], &[6]), ints("minus_four", &[1], &[-4]), floats("w", &[1], &[0.3])];
        let graph = import_model(&model(&[("x", &[1, 1])], "y", initializers, nodes)).unwrap();
        assert_eq!((graph.outputs[0].2.clone(), graph.eval(&[7.0])), (vec![1], vec![7.0]));
    }

    #[test]
    fn errors_name_the_node() {
        let divide = model(
            &[("x", &[1, 2])],
            "y",
            vec![floats("w", &[2], &[1.0, 0.0])],
            vec![node("Div", &["x", "w"], "y", vec![])],
        );
        assert_eq!(
            import_model(&divide).unwrap_err().to_string(),
            "\"1 / w\" holds inf at index 1; weights must be finite"
        );
        let add =
            model(&[("x", &[1, 2])], "y", vec![weights("w", &[3], 0)], vec![node("Add", &["x", "w"], "y", vec![])]);
        assert_eq!(
            import_model(&add).unwrap_err().to_string(),
            "node \"Add_y\" (Add): shapes [1, 2] and [3] do not fit: they do not broadcast to a common shape"
        );
        let mixed =
            model(&[("x", &[1, 2])], "y", vec![ints("w", &[2], &[1, 2])], vec![node("Add", &["x", "w"], "y", vec![])]);
        assert!(matches!(import_model(&mixed), Err(OnnxError::UnsupportedAttribute { .. })));
    }
}
