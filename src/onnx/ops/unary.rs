//! Smooth functions of one tensor, roots, signs and rounding, elementwise.

use super::{Lower, Lowering, Node, OnnxError, Registry, Value};
use crate::graph::{Comparison, Function, Rounding};
use crate::onnx::tensor::Kind;

/// The lowering of an operator that is one function without attributes.
macro_rules! function {
    ($function:expr) => {
        |lowering: &mut Lowering, node: &Node| of(lowering, node, $function)
    };
}

fn of(lowering: &mut Lowering, node: &Node, function: Function) -> Result<Vec<Value>, OnnxError> {
    Ok(vec![lowering.function(node, function, floats(node)?)?])
}

/// The first input, which must hold floats.
fn floats<'a>(node: &'a Node) -> Result<&'a Value, OnnxError> {
    let x = node.input(0)?;
    if x.kind() != Kind::Float {
        return Err(node.unsupported("its element type", "it must be a float"));
    }
    Ok(x)
}

fn gelu(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    match node.string("approximate")?.as_deref() {
        None | Some("none") => of(lowering, node, Function::Gelu),
        Some("tanh") => of(lowering, node, Function::GeluTanh),
        Some(other) => Err(node.unsupported("attribute approximate", &format!("\"{other}\" is not none or tanh"))),
    }
}

fn swish(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let alpha = node.float("alpha")?.unwrap_or(1.0);
    of(lowering, node, Function::Swish { alpha })
}

fn elu(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let alpha = node.float("alpha")?.unwrap_or(1.0);
    of(lowering, node, Function::Elu { gamma: 1.0, alpha, beta: 1.0 })
}

fn selu(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let alpha = node.float("alpha")?.unwrap_or(1.673_263_192_176_818_8);
    let gamma = node.float("gamma")?.unwrap_or(1.050_701_022_148_132_3);
    of(lowering, node, Function::Elu { gamma, alpha, beta: 1.0 })
}

fn celu(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let alpha = node.float("alpha")?.unwrap_or(1.0);
    if alpha == 0.0 {
        return Err(node.unsupported("attribute alpha", "it must not be zero"));
    }
    of(lowering, node, Function::Elu { gamma: 1.0, alpha, beta: alpha })
}

fn sqrt(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    Ok(vec![lowering.sqrt(node, floats(node)?)?])
}

/// `1 / x`.
fn reciprocal(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let x = floats(node)?;
    lowering.charge_shape(node, x.shape())?;
    let one = lowering.constant(node, x.shape().to_vec(), Kind::Float, vec![1.0; x.len()])?;
    Ok(vec![lowering.quotient(node, &one, x)?])
}

/// `[x > 0] - [-x > 0]`.
fn sign(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let x = node.input(0)?;
    let negative = lowering.scaled(node, x, |_| -1.0, |_| 0.0)?;
    let above = lowering.compare(node, Comparison::Above, x)?;
    let below = lowering.compare(node, Comparison::Above, &negative)?;
    let sign = lowering.combination(node, &[(&above, 1.0), (&below, -1.0)], 0.0)?;
    Ok(vec![sign.with_kind(x.kind())])
}

fn round(lowering: &mut Lowering, node: &Node, rounding: Rounding) -> Result<Vec<Value>, OnnxError> {
    Ok(vec![lowering.round(node, rounding, floats(node)?, Kind::Float)?])
}

pub(super) fn register(registry: &mut Registry) {
    let functions: [(&str, Lower); 19] = [
        ("Exp", function!(Function::Exp)),
        ("Log", function!(Function::Ln)),
        ("Sigmoid", function!(Function::Sigmoid)),
        ("Tanh", function!(Function::Tanh)),
        ("Erf", function!(Function::Erf)),
        ("Sin", function!(Function::Sin)),
        ("Cos", function!(Function::Cos)),
        ("Tan", function!(Function::Tan)),
        ("Asin", function!(Function::Asin)),
        ("Acos", function!(Function::Acos)),
        ("Atan", function!(Function::Atan)),
        ("Sinh", function!(Function::Sinh)),
        ("Cosh", function!(Function::Cosh)),
        ("Asinh", function!(Function::Asinh)),
        ("Acosh", function!(Function::Acosh)),
        ("Atanh", function!(Function::Atanh)),
        ("Softplus", function!(Function::Softplus)),
        ("Softsign", function!(Function::Softsign)),
        ("Mish", function!(Function::Mish)),
    ];
    functions.into_iter().for_each(|(name, lower)| registry.add(name, lower));
    registry.add("HardSwish", function!(Function::HardSwish));
    registry.add("Gelu", gelu);
    registry.add("Swish", swish);
    registry.add("Elu", elu);
    registry.add("Selu", selu);
    registry.add("Celu", celu);
    registry.add("Sqrt", sqrt);
    registry.add("Reciprocal", reciprocal);
    registry.add("Sign", sign);
    registry.add("Floor", |lowering, node| round(lowering, node, Rounding::Floor));
    registry.add("Ceil", |lowering, node| round(lowering, node, Rounding::Ceil));
    registry.add("Round", |lowering, node| round(lowering, node, Rounding::HalfEven));
}

#[cfg(test)]
mod tests {
    use crate::onnx::import_model;
    use crate::onnx::testing::{Attr, agrees, floats, model, node};

    #[test]
    fn functions_of_any_number() {
        let operators = [
            "Exp",
            "Sigmoid",
            "Tanh",
            "Erf",
            "Sin",
            "Cos",
            "Tan",
            "Atan",
            "Sinh",
            "Cosh",
            "Asinh",
            "Softplus",
            "Softsign",
            "Elu",
            "Selu",
            "HardSwish",
            "Sign",
            "Floor",
            "Ceil",
            "Round",
        ];
        for operator in operators {
            agrees(&model(&[("x", &[2, 3])], "y", vec![], vec![node(operator, &["x"], "y", vec![])]));
        }
        let attributes = || vec![("alpha", Attr::Float(0.5))];
        agrees(&model(&[("x", &[2, 3])], "y", vec![], vec![node("Elu", &["x"], "y", attributes())]));
        // alpha (exp(x / alpha) - 1) below zero
        let celu = model(&[("x", &[3])], "y", vec![], vec![node("Celu", &["x"], "y", attributes())]);
        let expected = [0.5 * ((-2f64).exp() - 1.0), 0.0, 3.0];
        assert_eq!(import_model(&celu).unwrap().eval(&[-1.0, 0.0, 3.0]), expected);
    }

    #[test]
    fn functions_of_some_numbers() {
        // |x| / 2 + offset stays in the domain
        for (operator, offset) in [("Log", 0.1), ("Sqrt", 0.0), ("Reciprocal", 0.5), ("Acosh", 1.0)] {
            let nodes = vec![
                node("Abs", &["x"], "a", vec![]),
                node("Mul", &["a", "half"], "b", vec![]),
                node("Add", &["b", "offset"], "c", vec![]),
                node(operator, &["c"], "y", vec![]),
            ];
            let constants = vec![floats("half", &[], &[0.5]), floats("offset", &[], &[offset])];
            agrees(&model(&[("x", &[5])], "y", constants, nodes));
        }
        for operator in ["Asin", "Acos", "Atanh"] {
            let nodes = vec![node("Mul", &["x", "scale"], "a", vec![]), node(operator, &["a"], "y", vec![])];
            agrees(&model(&[("x", &[5])], "y", vec![floats("scale", &[], &[0.45])], nodes));
        }
    }
}
