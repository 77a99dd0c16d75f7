//! Element by element: activations, smooth functions, arithmetic, comparisons, logic, integers, quantised tensors.

use tract_onnx::pb::tensor_proto::DataType;

use crate::common::onnx::Attr;
use crate::sketch::{Sketch, Value};

/// Piecewise linear functions, whose values do not exceed three times their argument.
pub fn piecewise(s: &mut Sketch) -> Option<Value> {
    let x = s.operand();
    let op = s.any(&[
        "Relu",
        "Relu",
        "Relu",
        "LeakyRelu",
        "PRelu",
        "Clip",
        "Abs",
        "Neg",
        "HardSigmoid",
        "ThresholdedRelu",
        "Shrink",
        "Identity",
        "Sign",
        "Floor",
        "Ceil",
        "Round",
    ]);
    let m = x.reach();
    let (shape, name) = (x.shape.clone(), x.name.as_str());
    Some(match op {
        "LeakyRelu" => {
            let alpha = s.number(0.0, 0.9) as f32;
            s.float(op, &[name], vec![("alpha", Attr::Float(alpha))], shape, (-m, m))
        }
        "PRelu" => {
            let slopes = s.narrower(&shape);
            let slopes = s.weights(&slopes, -0.5, 1.0);
            s.float(op, &[name, &slopes], vec![], shape, (-m, m))
        }
        "Clip" => {
            let (a, b) = (s.number(x.lo, x.hi), s.number(x.lo, x.hi));
            let (low, high) = (s.scalar(a.min(b)), s.scalar(a.max(b)));
            match s.draw.index(3) {
                0 => s.float(op, &[name, "", &high], vec![], shape, (x.lo, a.max(b))),
                1 => s.float(op, &[name, &low], vec![], shape, (a.min(b), x.hi)),
                _ => s.float(op, &[name, &low, &high], vec![], shape, (a.min(b), a.max(b))),
            }
        }
        "HardSigmoid" => s.float(op, &[name], vec![], shape, (0.0, 1.0)),
        "ThresholdedRelu" => s.float(op, &[name], vec![("alpha", Attr::Float(0.7))], shape, (0.0, m)),
        "Shrink" => {
            let attributes = vec![("lambd", Attr::Float(0.4)), ("bias", Attr::Float(0.2))];
            s.float(op, &[name], attributes, shape, (-m, m))
        }
        "Sign" => s.float(op, &[name], vec![], shape, (-1.0, 1.0)),
        "Abs" | "Relu" => s.float(op, &[name], vec![], shape, (0.0, m)),
        "Neg" => s.float(op, &[name], vec![], shape, (-x.hi, -x.lo)),
        "Identity" => s.float(op, &[name], vec![], shape, (x.lo, x.hi)),
        _ => s.float(op, &[name], vec![], shape, (x.lo.floor(), x.hi.ceil())),
    })
}

/// Smooth functions, each with arguments that it is tame on.
pub fn smooth(s: &mut Sketch) -> Option<Value> {
    let x = s.operand();
    let op = s.any(&[
        "Sigmoid",
        "Tanh",
        "Exp",
        "Elu",
        "Selu",
        "Celu",
        "Softplus",
        "Softsign",
        "Mish",
        "HardSwish",
        "Erf",
        "Sin",
        "Cos",
        "Atan",
        "Sinh",
        "Cosh",
        "Asinh",
        "Log",
        "Sqrt",
        "Reciprocal",
        "Asin",
        "Acos",
        "Atanh",
        "Acosh",
        "Tan",
        "Gelu",
    ]);
    if (op == "Mish" || op == "HardSwish") && s.opset < 18 || op == "Gelu" && s.opset < 20 {
        return None;
    }
    if op == "Celu" {
        s.incomparable = Some("its Celu lacks a factor");
    }
    let x = match op {
        "Exp" | "Sinh" | "Cosh" => s.within(&x, 2.0),
        "Asin" | "Acos" | "Atanh" => s.within(&x, 0.8),
        "Tan" => s.within(&x, 1.0),
        "Log" | "Reciprocal" | "Sqrt" => {
            let least = s.any(&[0.25, 0.5, 1.0]);
            s.above(&x, least)
        }
        "Acosh" => s.above(&x, 1.25),
        _ => s.within(&x, 6.0),
    };
    let most = x.reach();
    let range = match op {
        "Sigmoid" => (0.0, 1.0),
        "Tanh" | "Softsign" | "Erf" | "Sin" | "Cos" => (-1.0, 1.0),
        "Exp" => (x.lo.exp(), x.hi.exp()),
        "Sinh" | "Tan" | "Atanh" => (-2.0 * most - most.sinh(), 2.0 * most + most.sinh()),
        "Cosh" => (1.0, most.cosh()),
        "Acos" => (0.0, 3.2),
        "Log" => (x.lo.ln(), x.hi.ln()),
        "Sqrt" => (x.lo.sqrt(), x.hi.sqrt()),
        "Reciprocal" => (1.0 / x.hi, 1.0 / x.lo),
        "Softplus" => (0.0, most + 1.0),
        _ => (-2.0 * most, 2.0 * most),
    };
    let attributes = match op {
        "Elu" | "Celu" => vec![("alpha", Attr::Float(0.75))],
        "Gelu" if s.draw.once_in(2) => vec![("approximate", Attr::Text("tanh"))],
        _ => vec![],
    };
    Some(s.float(op, &[&x.name], attributes, x.shape.clone(), range))
}

pub fn arithmetic(s: &mut Sketch) -> Option<Value> {
    let x = s.operand();
    let op = s.any(&["Add", "Sub", "Mul", "Mul", "Div", "Max", "Min", "Mean", "Sum", "Pow", "Mod"]);
    let shape = x.shape.clone();
    match op {
        "Pow" => return power(s, x),
        "Div" => {
            let divisor = s.beside(&shape, 4.0);
            let divisor = s.above(&divisor, 0.5);
            let most = x.reach() / divisor.lo;
            return Some(s.float(op, &[&x.name, &divisor.name], vec![], shape, (-most, most)));
        }
        "Mod" => {
            let modulus = s.scalar(1.5);
            let fmod = vec![("fmod", Attr::Int(1))];
            return Some(s.float(op, &[&x.name, &modulus], fmod, shape, (-1.5, 1.5)));
        }
        _ => {}
    }
    let x = if op == "Mul" { s.within(&x, 4.0) } else { x };
    let y = s.beside(&shape, 4.0);
    let (a, b) = (x.reach(), y.reach());
    let most = if op == "Mul" { a * b } else { a + b };
    if matches!(op, "Max" | "Min" | "Mean" | "Sum") && s.draw.once_in(3) {
        let z = s.beside(&shape, 4.0);
        let most = most + z.reach();
        return Some(s.float(op, &[&x.name, &y.name, &z.name], vec![], shape, (-most, most)));
    }
    let inputs = if s.draw.once_in(2) { [&y.name, &x.name] } else { [&x.name, &y.name] };
    Some(s.float(op, &[inputs[0], inputs[1]], vec![], shape, (-most, most)))
}

fn power(s: &mut Sketch, x: Value) -> Option<Value> {
    let exponent = s.any(&[2.0, 3.0, 0.5, -1.0, 1.5, 4.0]);
    let x = s.within(&x, 2.0);
    let x = if matches!(exponent, 2.0 | 3.0 | 4.0) { x } else { s.above(&x, 0.5) };
    let most = x.reach().powf(exponent).max(x.lo.abs().powf(exponent));
    let by = s.scalar(exponent);
    let lo = if exponent == 3.0 { -most } else { 0.0 };
    Some(s.float("Pow", &[&x.name, &by], vec![], x.shape.clone(), (lo, most)))
}

pub fn comparison(s: &mut Sketch) -> Option<Value> {
    let op = s.any(&["Greater", "Less", "GreaterOrEqual", "LessOrEqual", "Equal"]);
    if op == "Equal" || s.draw.once_in(3) {
        let x = s.integer();
        let y: Vec<i64> = (0..x.len()).map(|_| s.draw.integer(x.lo as i128, x.hi as i128) as i64).collect();
        let y = s.integers(x.kind, &x.shape, &y);
        return Some(s.node(op, &[&x.name, &y], vec![], x.shape, DataType::Bool, (0.0, 1.0)));
    }
    let x = s.operand();
    let y = s.beside(&x.shape.clone(), x.reach().max(0.5));
    Some(s.node(op, &[&x.name, &y.name], vec![], x.shape, DataType::Bool, (0.0, 1.0)))
}

pub fn logic(s: &mut Sketch) -> Option<Value> {
    let a = s.boolean();
    let op = s.any(&["And", "Or", "Xor", "Not"]);
    if op == "Not" {
        return Some(s.node(op, &[&a.name], vec![], a.shape, DataType::Bool, (0.0, 1.0)));
    }
    let other = s.values.iter().filter(|v| v.kind == DataType::Bool && v.shape == a.shape && v.name != a.name);
    let other: Vec<Value> = other.cloned().collect();
    let b = if other.is_empty() || s.draw.once_in(3) {
        let data: Vec<bool> = (0..a.len()).map(|_| s.draw.once_in(2)).collect();
        s.booleans(&a.shape, &data)
    } else {
        s.any(&other).name
    };
    Some(s.node(op, &[&a.name, &b], vec![], a.shape, DataType::Bool, (0.0, 1.0)))
}

pub fn select(s: &mut Sketch) -> Option<Value> {
    let condition = s.boolean();
    let (a, b) = (s.beside(&condition.shape, 8.0), s.beside(&condition.shape, 8.0));
    let range = (a.lo.min(b.lo), a.hi.max(b.hi));
    Some(s.float("Where", &[&condition.name, &a.name, &b.name], vec![], condition.shape, range))
}

pub fn integers(s: &mut Sketch) -> Option<Value> {
    let x = s.integer();
    let op = s.any(&[
        "Add",
        "Sub",
        "Mul",
        "Div",
        "Div",
        "Mod",
        "Mod",
        "Abs",
        "Neg",
        "Max",
        "Min",
        "BitShift",
        "BitwiseAnd",
        "BitwiseOr",
        "BitwiseXor",
        "Cast",
    ]);
    let kind = x.kind;
    let (shape, most) = (x.shape.clone(), x.reach());
    if most > 1e4 || op.starts_with("Bitwise") && s.opset < 18 {
        return None;
    }
    Some(match op {
        "Abs" | "Neg" => s.node(op, &[&x.name], vec![], shape, kind, (-most, most)),
        "Cast" => {
            let to = s.any(&[DataType::Float, DataType::Bool, DataType::Int64, DataType::Int32]);
            let range = if to == DataType::Bool { (0.0, 1.0) } else { (x.lo, x.hi) };
            s.node(op, &[&x.name], vec![("to", Attr::Int(to as i64))], shape, to, range)
        }
        "BitShift" => {
            let to = vec![("to", Attr::Int(DataType::Uint32 as i64))];
            let magnitude = s.node("Abs", &[&x.name], vec![], shape.clone(), kind, (0.0, most));
            let bits = s.node("Cast", &[&magnitude.name], to, shape.clone(), DataType::Uint32, (0.0, most));
            let by = 1 + s.draw.index(3);
            let by_name = s.unsigned(by as u64);
            let (direction, most) = if s.draw.once_in(2) { ("LEFT", most * 8.0) } else { ("RIGHT", most) };
            let direction = vec![("direction", Attr::Text(direction))];
            let shifted = s.node(op, &[&bits.name, &by_name], direction, shape.clone(), DataType::Uint32, (0.0, most));
            let to = vec![("to", Attr::Int(DataType::Int64 as i64))];
            s.node("Cast", &[&shifted.name], to, shape, DataType::Int64, (0.0, most))
        }
        _ => {
            let divides = matches!(op, "Div" | "Mod");
            let mut number = || match s.draw.integer(-5, 5) as i64 {
                0 if divides => 3,
                n => n,
            };
            let one = number();
            let data: Vec<i64> = (0..x.len()).map(|_| number()).collect();
            if op == "Mod" && (x.lo < 0.0 || one < 0 || data.iter().any(|&v| v < 0)) {
                s.incomparable = Some("its Mod has the sign of the dividend");
            }
            let y = if s.draw.once_in(2) { s.integers(kind, &[], &[one]) } else { s.integers(kind, &shape, &data) };
            let most = match op {
                "Mul" => most * 5.0,
                "BitwiseOr" | "BitwiseXor" => most * 2.0 + 8.0,
                _ => most + 8.0,
            };
            s.node(op, &[&x.name, &y], vec![], shape, kind, (-most, most))
        }
    })
}

pub fn quantised(s: &mut Sketch) -> Option<Value> {
    let x = s.operand();
    let x = s.within(&x, 8.0);
    let scale = s.any(&[0.05, 0.125, 0.3]);
    let scale = s.scalar(scale);
    let (kind, zero) = if s.draw.once_in(2) { (DataType::Int8, -3) } else { (DataType::Uint8, 100) };
    let zero = s.integers(kind, &[], &[zero]);
    let q = s.node("QuantizeLinear", &[&x.name, &scale, &zero], vec![], x.shape.clone(), kind, (-128.0, 255.0));
    let range = (x.lo - 0.5, x.hi + 0.5);
    Some(s.float("DequantizeLinear", &[&q.name, &scale, &zero], vec![], x.shape, range))
}
