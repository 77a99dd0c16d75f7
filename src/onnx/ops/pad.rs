//! Pad, Trilu.

use super::grid::distinct_axes;
use super::{Lowering, Node, OnnxError, Registry, Value};
use crate::graph::AffineBuilder;
use crate::onnx::shape::{MAX_ELEMENTS, strides};

/// For every index along a padded axis, the index of the input that it copies; `None` for the constant.
///
/// An axis of `size` elements is cut where `begin` or `end` is negative, then padded by the rest.
fn sources(node: &Node, mode: &str, size: usize, begin: i64, end: i64) -> Result<Vec<Option<usize>>, OnnxError> {
    let refuse = |reason: &str| node.unsupported(&format!("pads {begin} and {end}"), reason);
    if [begin, end].iter().any(|p| p.unsigned_abs() > MAX_ELEMENTS) {
        return Err(refuse("they are too large"));
    }
    let (size, begin, end) = (size as i64, begin, end);
    let (first, past) = ((-begin).max(0), size - (-end).max(0));
    let count = past - first;
    let total = size + begin + end;
    if count < 0 || total < 0 {
        return Err(refuse(&format!("the axis has {size} elements")));
    }
    let limit = if mode == "reflect" { count - 1 } else { i64::MAX };
    if (mode != "constant" && count == 0 && total > 0) || begin > limit.max(0) || end > limit.max(0) {
        return Err(refuse(&format!("{count} elements are not enough for mode {mode}")));
    }
    let source = |i: i64| -> Option<usize> {
        let at = i - begin.max(0);
        let at = match mode {
            _ if (0..count).contains(&at) => at,
            "edge" => at.clamp(0, count - 1),
            "wrap" => at.rem_euclid(count),
            "reflect" if at < 0 => -at,
            "reflect" => 2 * (count - 1) - at,
            _ => return None,
        };
        usize::try_from(first + at).ok()
    };
    Ok((0..total).map(source).collect())
}

/// Pads are `[begin of every axis, end of every axis]`: an attribute up to operator set 10, an input from 11 on.
fn pad(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let x = node.input(0)?;
    let rank = x.shape().len();
    let mode = node.string("mode")?.unwrap_or_else(|| "constant".into());
    if !["constant", "reflect", "edge", "wrap"].contains(&mode.as_str()) {
        return Err(node.unsupported("attribute mode", &format!("\"{mode}\" is not known")));
    }
    let (pads, fill) = if node.opset < 11 {
        let pads = node.ints("pads")?.ok_or_else(|| node.unsupported("attribute pads", "it is missing"))?;
        (pads.to_vec(), node.float("value")?.unwrap_or(0.0))
    } else {
        let fill = match node.optional_input(2).map(|v| (v.constant().map(|c| c.data.as_slice()), v.kind())) {
            None => 0.0,
            Some((Some(&[fill]), kind)) if kind == x.kind() => fill,
            Some(_) => {
                return Err(node.unsupported("the padding value", "it must be one constant of the input's type"));
            }
        };
        (node.integers(1, "the pads")?, fill)
    };
    let axes = match node.optional_input(3) {
        Some(_) => distinct_axes(node, &node.integers(3, "the axes")?, rank)?,
        None => (0..rank).collect(),
    };
    if pads.len() != 2 * axes.len() {
        return Err(node.unsupported(&format!("pads {pads:?}"), &format!("there must be two for {} axes", axes.len())));
    }
    let mut around = vec![(0, 0); rank];
    axes.iter().enumerate().for_each(|(i, &a)| around[a] = (pads[i], pads[axes.len() + i]));
    let mut total = vec![];
    for (&size, &(begin, end)) in x.shape().iter().zip(&around) {
        let padded = i64::try_from(size).ok().and_then(|s| s.checked_add(begin)?.checked_add(end));
        total.push(padded.and_then(|n| usize::try_from(n).ok()).ok_or_else(|| {
            node.unsupported(&format!("pads {begin} and {end}"), &format!("the axis has {size} elements"))
        })?);
    }
    lowering.charge_shape(node, &total)?;
    let axes: Result<Vec<_>, _> =
        x.shape().iter().zip(&around).map(|(&size, &(begin, end))| sources(node, &mode, size, begin, end)).collect();
    // no element of the result survives an empty axis
    let mut columns = vec![Some(0); usize::from(!total.contains(&0))];
    for (sources, stride) in axes?.iter().zip(strides(x.shape())) {
        let next = |c: &Option<usize>| {
            let c = *c;
            sources.iter().map(move |s| Some(c? + (*s)? * stride))
        };
        columns = columns.iter().flat_map(next).collect();
    }
    let mut rows = AffineBuilder::new(x.len());
    for column in columns {
        match column {
            Some(column) => rows.push(vec![(column, 1.0)], 0.0),
            None => rows.push(vec![], fill),
        }
    }
    Ok(vec![lowering.affine(node, &[x], rows.finish(), total, x.kind())?])
}

/// Keeps `x[.., i, j]` where `j - i >= k` (upper) or `j - i <= k` (lower); the rest is zero.
fn trilu(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let x = node.input(0)?;
    let &[.., height, width] = x.shape() else {
        return Err(node.mismatch(x.shape(), &[], "the input must be a matrix or a batch of them"));
    };
    let k = match node.optional_input(1) {
        None => 0,
        Some(_) => match node.integers(1, "the diagonal")?.as_slice() {
            &[k] => k,
            _ => return Err(node.unsupported("the diagonal", "it must be one number")),
        },
    };
    let upper = node.int("upper")?.unwrap_or(1) != 0;
    lowering.charge_shape(node, x.shape())?;
    let mut rows = AffineBuilder::new(x.len());
    for at in 0..x.len() {
        let diagonal = (at % width) as i64 - (at / width % height) as i64;
        let kept = if upper { diagonal >= k } else { diagonal <= k };
        rows.push(if kept { vec![(at, 1.0)] } else { vec![] }, 0.0);
    }
    Ok(vec![lowering.affine(node, &[x], rows.finish(), x.shape().to_vec(), x.kind())?])
}

pub(super) fn register(registry: &mut Registry) {
    registry.add("Pad", pad);
    registry.add("Trilu", trilu);
}

#[cfg(test)]
mod tests {
    use super::super::testing::with_text;
    use crate::graph::Graph;
    use crate::onnx::testing::{Attr, agrees, floats, ints, model, node};
    use crate::onnx::{OnnxError, import_model};

    fn padded(x: &[i64], mode: &str, pads: &[i64], axes: Option<&[i64]>) -> Result<Graph, OnnxError> {
        let inputs: &[&str] = if axes.is_some() { &["x", "p", "v", "a"] } else { &["x", "p", "v"] };
        let nodes = vec![with_text(node("Pad", inputs, "y", vec![]), "mode", mode)];
        let mut tensors = vec![ints("p", &[pads.len() as i64], pads), floats("v", &[], &[9.0])];
        tensors.extend(axes.map(|a| ints("a", &[a.len() as i64], a)));
        let mut model = model(&[("x", x)], "y", tensors, nodes);
        model.opset_import[0].version = 19;
        import_model(&model)
    }

    #[test]
    fn every_mode_pads() {
        let x = [1.0, 2.0, 3.0];
        let of = |mode, pads: [i64; 2]| padded(&[3], mode, &pads, None).unwrap().eval(&x);
        assert_eq!(of("constant", [1, 2]), [9.0, 1.0, 2.0, 3.0, 9.0, 9.0]);
        assert_eq!(of("edge", [1, 2]), [1.0, 1.0, 2.0, 3.0, 3.0, 3.0]);
        assert_eq!(of("reflect", [2, 1]), [3.0, 2.0, 1.0, 2.0, 3.0, 2.0]);
        assert_eq!(of("wrap", [1, 4]), [3.0, 1.0, 2.0, 3.0, 1.0, 2.0, 3.0, 1.0]);
        assert_eq!(of("constant", [-1, 1]), [2.0, 3.0, 9.0]);
        assert_eq!(of("constant", [-3, 4]), [9.0; 4]);
        assert_eq!(of("edge", [2, -2]), [1.0, 1.0, 1.0]);
        let graph = padded(&[1, 3], "constant", &[1, 0], Some(&[-1])).unwrap();
        assert_eq!((graph.eval(&x), graph.outputs[0].2.clone()), (vec![9.0, 1.0, 2.0, 3.0], vec![1, 4]));
    }

    #[test]
    fn pads_agree_as_inputs_and_attributes() {
        for mode in ["constant", "edge", "reflect"] {
            let pads = [0, 1, 2, 0, 2, 1];
            let nodes = vec![with_text(node("Pad", &["x", "p"], "y", vec![]), "mode", mode)];
            agrees(&model(&[("x", &[2, 3, 4])], "y", vec![ints("p", &[6], &pads)], nodes));
            let attributes = vec![("pads", Attr::Ints(&pads)), ("value", Attr::Float(0.5))];
            let nodes = vec![with_text(node("Pad", &["x"], "y", attributes), "mode", mode)];
            let mut old = model(&[("x", &[2, 3, 4])], "y", vec![], nodes);
            old.opset_import[0].version = 10;
            agrees(&old);
        }
    }

    #[test]
    fn pads_that_do_not_fit_are_refused() {
        let refused: [(&str, &[i64]); 8] = [
            ("reflect", &[3, 0]),
            ("constant", &[i64::MAX, i64::MAX]),
            ("constant", &[i64::MIN, 0]),
            ("constant", &[-2, -2]),
            ("constant", &[-4, 5]),
            ("edge", &[-3, 1]),
            ("wrap", &[-3, 1]),
            ("constant", &[1]),
        ];
        for (mode, pads) in refused {
            assert!(padded(&[3], mode, pads, None).is_err(), "{mode} {pads:?}");
        }
        assert!(padded(&[3], "mirror", &[0, 0], None).is_err());
        assert!(padded(&[1, 3], "edge", &[0, 0, 0, 0], Some(&[1, -1])).is_err());
    }

    #[test]
    fn triangles_agree() {
        for k in [-2i64, -1, 0, 1, 5, i64::MIN, i64::MAX] {
            for upper in [0, 1] {
                let nodes = vec![node("Trilu", &["x", "k"], "y", vec![("upper", Attr::Int(upper))])];
                let triangle = model(&[("x", &[2, 3, 4])], "y", vec![ints("k", &[], &[k])], nodes);
                if k.unsigned_abs() < 10 {
                    agrees(&triangle);
                }
                assert!(import_model(&triangle).is_ok(), "{k}");
            }
        }
        let nodes = vec![node("Trilu", &["x"], "y", vec![])];
        assert_eq!(agrees(&model(&[("x", &[2, 2])], "y", vec![], nodes)).eval(&[1.0; 4]), [1.0, 1.0, 0.0, 1.0]);
    }
}
