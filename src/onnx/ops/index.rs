//! Operators that copy elements to other places: Transpose, Expand, Tile, Concat.

use super::{Lowering, Node, OnnxError, Registry, Value};
use crate::graph::AffineBuilder;
use crate::onnx::shape::{MAX_RANK, axis, broadcast, broadcast_offsets, offsets, strides};

fn transpose(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let value = node.input(0)?;
    let rank = value.shape().len();
    let permutation: Vec<usize> = match node.ints("perm")? {
        None => (0..rank).rev().collect(),
        Some(given) => {
            let axes: Option<Vec<usize>> = given.iter().map(|&a| axis(a, rank).filter(|_| a >= 0)).collect();
            let permutation = axes.filter(|axes| axes.len() == rank && (0..rank).all(|a| axes.contains(&a)));
            permutation
                .ok_or_else(|| node.unsupported(&format!("perm {given:?}"), &format!("there are {rank} axes")))?
        }
    };
    let own = strides(value.shape());
    let shape: Vec<usize> = permutation.iter().map(|&a| value.shape()[a]).collect();
    let strides: Vec<usize> = permutation.iter().map(|&a| own[a]).collect();
    lowering.charge_shape(node, &shape)?;
    let columns = offsets(&shape, &strides);
    Ok(vec![lowering.select(node, value, shape, columns)?])
}

fn expand(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let (value, target) = (node.input(0)?, node.integers(1, "the target shape")?);
    let refuse = || node.unsupported(&format!("target shape {target:?}"), "it must be positive");
    let target: Option<Vec<usize>> = target.iter().map(|&d| usize::try_from(d).ok().filter(|&d| d > 0)).collect();
    let target = target.ok_or_else(refuse)?;
    let shape = broadcast(value.shape(), &target)
        .ok_or_else(|| node.mismatch(value.shape(), &target, "they do not broadcast to a common shape"))?;
    lowering.charge_shape(node, &shape)?;
    let columns = broadcast_offsets(value.shape(), &shape);
    Ok(vec![lowering.select(node, value, shape, columns)?])
}

fn tile(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let (value, repeats) = (node.input(0)?, node.integers(1, "the repeats")?);
    let refuse = |reason: &str| node.unsupported(&format!("repeats {repeats:?}"), reason);
    let counts: Option<Vec<usize>> = repeats.iter().map(|&r| usize::try_from(r).ok().filter(|&r| r > 0)).collect();
    let counts = counts.ok_or_else(|| refuse("they must be positive"))?;
    if counts.len() != value.shape().len() || 2 * counts.len() > MAX_RANK {
        return Err(refuse("there must be one per axis, for at most 8 axes"));
    }
    let shape: Option<Vec<usize>> = counts.iter().zip(value.shape()).map(|(&r, &d)| r.checked_mul(d)).collect();
    let shape = shape.ok_or_else(|| refuse("the result is too large"))?;
    lowering.charge_shape(node, &shape)?;
    // Every axis is split in two: which repetition (stride 0), and where in it.
    let own = strides(value.shape());
    let split: Vec<usize> = counts.iter().zip(value.shape()).flat_map(|(&r, &d)| [r, d]).collect();
    let columns = offsets(&split, &own.iter().flat_map(|&s| [0, s]).collect::<Vec<_>>());
    Ok(vec![lowering.select(node, value, shape, columns)?])
}

fn concat(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let first = node.input(0)?;
    let rank = first.shape().len();
    let at = node.int("axis")?.and_then(|a| axis(a, rank));
    let at = at.ok_or_else(|| node.unsupported("attribute axis", &format!("there are {rank} axes")))?;
    let mut shape = first.shape().to_vec();
    let mut operands = vec![first];
    for position in 1..node.inputs.len() {
        let operand = node.input(position)?;
        let fits = operand.shape().len() == rank
            && (0..rank).all(|a| a == at || operand.shape()[a] == first.shape()[a])
            && operand.kind() == first.kind();
        if !fits {
            return Err(node.mismatch(first.shape(), operand.shape(), "all but the concatenated axis must be alike"));
        }
        shape[at] = shape[at].saturating_add(operand.shape()[at]);
        operands.push(operand);
    }
    let count = lowering.charge_shape(node, &shape)?;
    // A block per index of the leading axes: that of the first operand, of the second, ...
    let block = |v: &Value| v.shape()[at..].iter().product::<usize>();
    let outer: usize = shape[..at].iter().product();
    let mut rows = AffineBuilder::new(count);
    for i in 0..outer {
        let mut start = 0;
        for operand in &operands {
            let size = block(operand);
            (0..size).for_each(|j| rows.push(vec![(start + i * size + j, 1.0)], 0.0));
            start += operand.len();
        }
    }
    Ok(vec![lowering.affine(node, &operands, rows.finish(), shape, first.kind())?])
}

pub(super) fn register(registry: &mut Registry) {
    registry.add("Transpose", transpose);
    registry.add("Expand", expand);
    registry.add("Tile", tile);
    registry.add("Concat", concat);
}

#[cfg(test)]
mod tests {
    use crate::onnx::testing::{Attr, agrees, ints, model, node, weights};
    use crate::onnx::{OnnxError, import_model};

    #[test]
    fn transpose_permutes() {
        for perm in [&[0i64, 1, 2][..], &[2, 0, 1], &[1, 2, 0], &[2, 1, 0]] {
            let nodes = vec![node("Transpose", &["x"], "y", vec![("perm", Attr::Ints(perm))])];
            agrees(&model(&[("x", &[2, 3, 4])], "y", vec![], nodes));
        }
        let graph = agrees(&model(&[("x", &[2, 3])], "y", vec![], vec![node("Transpose", &["x"], "y", vec![])]));
        assert_eq!(graph.outputs[0].2, [3, 2]);
        for perm in [&[0i64, 0, 1][..], &[0, 1], &[0, 1, 3], &[0, 1, -1]] {
            let nodes = vec![node("Transpose", &["x"], "y", vec![("perm", Attr::Ints(perm))])];
            let error = import_model(&model(&[("x", &[2, 3, 4])], "y", vec![], nodes));
            assert!(matches!(error, Err(OnnxError::UnsupportedAttribute { .. })), "{perm:?}");
        }
    }

    #[test]
    fn expand_and_tile_repeat() {
        let cases: [(&str, &[i64], &[i64]); 4] = [
            ("Expand", &[2, 1], &[3, 1, 4]),
            ("Expand", &[1, 3], &[1]),
            ("Tile", &[2, 3], &[2, 1]),
            ("Tile", &[1, 2], &[1, 3]),
        ];
        for (op, x, target) in cases {
            let target = ints("t", &[target.len() as i64], target);
            agrees(&model(&[("x", x)], "y", vec![target], vec![node(op, &["x", "t"], "y", vec![])]));
        }
        for (op, target) in
            [("Expand", [0, -1]), ("Tile", [0, 1]), ("Tile", [i64::MAX, 4]), ("Tile", [1 << 40, 1 << 20])]
        {
            let target = ints("t", &[2], &target);
            assert!(
                import_model(&model(&[("x", &[2, 2])], "y", vec![target], vec![node(op, &["x", "t"], "y", vec![])]))
                    .is_err()
            );
        }
    }

    #[test]
    fn concat_of_activations_and_constants() {
        for (axis, shapes) in
            [(1, [[2i64, 3], [2, 1], [2, 2]]), (0, [[1, 3], [4, 3], [2, 3]]), (-1, [[2, 3], [2, 1], [2, 2]])]
        {
            let nodes = vec![node("Concat", &["x", "w", "z"], "y", vec![("axis", Attr::Int(axis))])];
            agrees(&model(&[("x", &shapes[0]), ("z", &shapes[2])], "y", vec![weights("w", &shapes[1], 1)], nodes));
        }
        let nodes = vec![node("Concat", &["x", "z"], "y", vec![("axis", Attr::Int(1))])];
        let error = import_model(&model(&[("x", &[1, 3]), ("z", &[2, 3])], "y", vec![], nodes));
        assert!(matches!(error, Err(OnnxError::ShapeMismatch { .. })));
    }
}
