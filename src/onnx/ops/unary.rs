//! Functions of one number: smooth ones, roots, reciprocals, signs, rounding.

use super::common::{filled, float, text};
use super::{Lowering, Node, OnnxError, Registry, Value};
use crate::graph::{Comparison, Function, Rounding};
use crate::onnx::tensor::Kind;

fn smooth(lowering: &mut Lowering, node: &Node, function: Function) -> Result<Vec<Value>, OnnxError> {
    let x = node.input(0)?;
    float(node, x)?;
    Ok(vec![lowering.function(node, function, x)?])
}

macro_rules! smooth {
    ($($name:ident $function:ident)*) => {
        $(fn $name(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
            smooth(lowering, node, Function::$function)
        })*
    };
}

smooth! {
    acos Acos
    acosh Acosh
    asin Asin
    asinh Asinh
    atan Atan
    atanh Atanh
    cos Cos
    cosh Cosh
    erf Erf
    exp Exp
    hard_swish HardSwish
    log Ln
    mish Mish
    sigmoid Sigmoid
    sin Sin
    sinh Sinh
    softplus Softplus
    softsign Softsign
    tan Tan
    tanh Tanh
}

fn gelu(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    match text(node, "approximate", "none")?.as_str() {
        "none" => smooth(lowering, node, Function::Gelu),
        "tanh" => smooth(lowering, node, Function::GeluTanh),
        other => Err(node.unsupported(&format!("approximate \"{other}\""), "it must be \"none\" or \"tanh\"")),
    }
}

fn swish(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let alpha = node.float("alpha")?.unwrap_or(1.0);
    smooth(lowering, node, Function::Swish { alpha })
}

/// `x` above zero, `alpha (exp(x) - 1)` below.
fn elu(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let alpha = node.float("alpha")?.unwrap_or(1.0);
    smooth(lowering, node, Function::Elu { gamma: 1.0, alpha, beta: 1.0 })
}

/// `gamma x` above zero, `gamma alpha (exp(x) - 1)` below.
fn selu(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let alpha = node.float("alpha")?.unwrap_or(1.673_263_192_176_818_8);
    let gamma = node.float("gamma")?.unwrap_or(1.050_701_022_148_132_3);
    smooth(lowering, node, Function::Elu { gamma, alpha, beta: 1.0 })
}

/// `x` above zero, `alpha (exp(x / alpha) - 1)` below.
fn celu(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let alpha = node.float("alpha")?.unwrap_or(1.0);
    if alpha == 0.0 {
        return Err(node.unsupported("alpha 0", "it divides the input"));
    }
    smooth(lowering, node, Function::Elu { gamma: 1.0, alpha, beta: alpha })
}

fn sqrt(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let x = node.input(0)?;
    float(node, x)?;
    Ok(vec![lowering.sqrt(node, x)?])
}

fn reciprocal(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let x = node.input(0)?;
    float(node, x)?;
    let one = filled(lowering, node, x.shape(), Kind::Float, 1.0)?;
    Ok(vec![lowering.quotient(node, &one, x)?])
}

fn neg(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let x = node.input(0)?;
    if x.kind() == Kind::Bool {
        return Err(node.unsupported("its element type", "a boolean has no negative"));
    }
    Ok(vec![lowering.scaled(node, x, |_| -1.0, |_| 0.0)?])
}

/// `[x > 0] - [-x > 0]`
fn sign(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let x = node.input(0)?;
    if x.kind() == Kind::Bool {
        return Err(node.unsupported("its element type", "a boolean has no sign"));
    }
    let negative = lowering.scaled(node, x, |_| -1.0, |_| 0.0)?;
    let above = lowering.compare(node, Comparison::Above, x)?.with_kind(x.kind());
    let below = lowering.compare(node, Comparison::Above, &negative)?;
    Ok(vec![lowering.combination(node, &[(&above, 1.0), (&below, -1.0)], 0.0)?])
}

/// Integers are left as they are.
fn rounded(lowering: &mut Lowering, node: &Node, rounding: Rounding) -> Result<Vec<Value>, OnnxError> {
    let x = node.input(0)?;
    Ok(vec![match x.kind() {
        Kind::Float => lowering.round(node, rounding, x, Kind::Float)?,
        Kind::Integer | Kind::Bool => x.clone(),
    }])
}

fn floor(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    rounded(lowering, node, Rounding::Floor)
}

fn ceil(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    rounded(lowering, node, Rounding::Ceil)
}

fn round(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    rounded(lowering, node, Rounding::HalfEven)
}

pub(super) fn register(registry: &mut Registry) {
    registry.add("Acos", acos);
    registry.add("Acosh", acosh);
    registry.add("Asin", asin);
    registry.add("Asinh", asinh);
    registry.add("Atan", atan);
    registry.add("Atanh", atanh);
    registry.add("Ceil", ceil);
    registry.add("Celu", celu);
    registry.add("Cos", cos);
    registry.add("Cosh", cosh);
    registry.add("Elu", elu);
    registry.add("Erf", erf);
    registry.add("Exp", exp);
    registry.add("Floor", floor);
    registry.add("Gelu", gelu);
    registry.add("HardSwish", hard_swish);
    registry.add("Log", log);
    registry.add("Mish", mish);
    registry.add("Neg", neg);
    registry.add("Reciprocal", reciprocal);
    registry.add("Round", round);
    registry.add("Selu", selu);
    registry.add("Sigmoid", sigmoid);
    registry.add("Sign", sign);
    registry.add("Sin", sin);
    registry.add("Sinh", sinh);
    registry.add("Softplus", softplus);
    registry.add("Softsign", softsign);
    registry.add("Sqrt", sqrt);
    registry.add("Swish", swish);
    registry.add("Tan", tan);
    registry.add("Tanh", tanh);
}

#[cfg(test)]
mod tests {
    use tract_onnx::pb::{ModelProto, NodeProto};

    use crate::graph::Graph;
    use crate::onnx::OnnxError;
    use crate::onnx::import_model;
    use crate::onnx::ops::common::with_text;
    use crate::onnx::testing::{Attr, agrees, floats, ints, model, node};

    /// `last`, which reads `p`, after `p = scale |x| + offset`.
    fn after(scale: f32, offset: f32, last: NodeProto, opset: i64) -> ModelProto {
        let nodes = vec![
            node("Abs", &["x"], "a", vec![]),
            node("Mul", &["a", "s"], "b", vec![]),
            node("Add", &["b", "o"], "p", vec![]),
            last,
        ];
        let initializers = vec![floats("s", &[], &[scale]), floats("o", &[], &[offset])];
        let mut model = model(&[("x", &[1, 3])], "y", initializers, nodes);
        model.opset_import[0].version = opset;
        model
    }

    fn plain(op: &str, attributes: Vec<(&str, Attr)>) -> Graph {
        let mut model = model(&[("x", &[1, 2, 3])], "y", vec![], vec![node(op, &["x"], "y", attributes)]);
        model.opset_import[0].version = 22;
        agrees(&model)
    }

    #[test]
    fn functions_of_any_number_agree() {
        for op in [
            "Asinh",
            "Atan",
            "Ceil",
            "Celu",
            "Cos",
            "Cosh",
            "Elu",
            "Erf",
            "Exp",
            "Floor",
            "Gelu",
            "HardSwish",
            "Mish",
            "Neg",
            "Round",
            "Selu",
            "Sigmoid",
            "Sign",
            "Sin",
            "Sinh",
            "Softplus",
            "Softsign",
            "Tanh",
        ] {
            plain(op, vec![]);
        }
        plain("Elu", vec![("alpha", Attr::Float(0.6))]);
        plain("Selu", vec![("alpha", Attr::Float(0.6)), ("gamma", Attr::Float(2.0))]);
        assert_eq!(plain("Round", vec![]).eval(&[0.5, 1.5, -0.5, -1.5, 2.4, -2.6]), [0.0, 2.0, 0.0, -2.0, 2.0, -3.0]);
        assert_eq!(plain("Sign", vec![]).eval(&[0.0, 1.5, -0.5, -1.5, 2.4, 0.0]), [0.0, 1.0, -1.0, -1.0, 1.0, 0.0]);
    }

    #[test]
    fn functions_with_a_domain_agree_in_it() {
        for op in ["Log", "Sqrt", "Reciprocal"] {
            agrees(&after(1.0, 0.25, node(op, &["p"], "y", vec![]), 13));
        }
        agrees(&after(1.0, 1.1, node("Acosh", &["p"], "y", vec![]), 13));
        agrees(&after(0.6, -0.6, node("Tan", &["p"], "y", vec![]), 13));
        for op in ["Asin", "Acos", "Atanh"] {
            agrees(&after(0.8, -0.8, node(op, &["p"], "y", vec![]), 13));
        }
    }

    #[test]
    fn gelu_has_two_forms() {
        let gelu = |form| after(1.0, -1.0, with_text(node("Gelu", &["p"], "y", vec![]), "approximate", form), 20);
        agrees(&gelu("none"));
        agrees(&gelu("tanh"));
        let error = import_model(&gelu("fast")).unwrap_err();
        assert!(error.to_string().contains("approximate \"fast\""), "{error}");
    }

    /// The independent implementation leaves out Celu's factor alpha.
    #[test]
    fn celu_is_its_formula() {
        let celu =
            model(&[("x", &[1, 2])], "y", vec![], vec![node("Celu", &["x"], "y", vec![("alpha", Attr::Float(0.5))])]);
        assert_eq!(import_model(&celu).unwrap().eval(&[3.0, -1.0]), [3.0, 0.5 * (-2.0f64).exp_m1()]);
    }

    #[test]
    fn swish_is_its_formula() {
        let swish = after(1.0, -1.0, node("Swish", &["p"], "y", vec![("alpha", Attr::Float(0.5))]), 24);
        let found = import_model(&swish).unwrap().eval(&[3.0, 0.0, 1.0]);
        for (y, x) in found.iter().zip([2.0f64, -1.0, 0.0]) {
            assert!((y - x / (1.0 + (-0.5 * x).exp())).abs() < 1e-12);
        }
    }

    #[test]
    fn smooth_functions_are_of_floats() {
        let nodes = vec![node("Exp", &["k"], "e", vec![]), node("Add", &["x", "e"], "y", vec![])];
        let error = import_model(&model(&[("x", &[1, 2])], "y", vec![ints("k", &[2], &[1, 2])], nodes)).unwrap_err();
        assert!(matches!(&error, OnnxError::UnsupportedAttribute { node, .. } if node == "Exp_e"), "{error}");
    }
}
