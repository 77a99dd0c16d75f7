//! Matrix products with a constant: Gemm, MatMul.

use super::{Lowering, Node, OnnxError, Registry, Value};
use crate::graph::AffineBuilder;
use crate::onnx::shape::{broadcast, broadcast_offsets, offsets, strides};
use crate::onnx::tensor::Kind;
use crate::ops::Product as BatchProduct;

/// `alpha * A' B' + beta * C` with optional transpositions of A and B.
fn gemm(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let (a, b, c) = (node.input(0)?, node.input(1)?, node.optional_input(2));
    let (&[a0, a1], &[b0, b1]) = (a.shape(), b.shape()) else {
        return Err(node.mismatch(a.shape(), b.shape(), "both operands must be matrices"));
    };
    let (alpha, beta) = (node.float("alpha")?.unwrap_or(1.0), node.float("beta")?.unwrap_or(1.0));
    let (m, k, a_row, a_col) = if node.flag("transA")? { (a1, a0, 1, a1) } else { (a0, a1, a1, 1) };
    let (inner, n, b_row, b_col) = if node.flag("transB")? { (b1, b0, 1, b1) } else { (b0, b1, b1, 1) };
    if k != inner {
        return Err(node.mismatch(a.shape(), b.shape(), &format!("inner dimensions {k} and {inner} differ")));
    }
    let shape = vec![m, n];
    if let Some(c) = c
        && broadcast(c.shape(), &shape).as_ref() != Some(&shape)
    {
        return Err(node.mismatch(c.shape(), &shape, "the bias does not broadcast to the product"));
    }
    let product = Product {
        left: a,
        right: b,
        shape: shape.clone(),
        rows: m,
        columns: n,
        inner,
        left_offsets: offsets(&shape, &[a_row, 0]),
        right_offsets: offsets(&shape, &[0, b_col]),
        left_step: a_col,
        right_step: b_row,
        alpha,
    };
    product.lower(lowering, node, c.map(|c| (c, beta)))
}

/// NumPy's matmul: vectors are promoted to matrices, leading dimensions broadcast.
fn matmul(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    scaled_matmul(lowering, node, node.input(0)?, node.input(1)?, 1.0)
}

/// `alpha` times NumPy's matmul of `a` and `b`.
pub(super) fn scaled_matmul(
    lowering: &mut Lowering,
    node: &Node,
    a: &Value,
    b: &Value,
    alpha: f64,
) -> Result<Vec<Value>, OnnxError> {
    let mismatch = |reason: &str| node.mismatch(a.shape(), b.shape(), reason);
    if a.shape().is_empty() || b.shape().is_empty() {
        return Err(mismatch("a scalar is not a matrix"));
    }
    let left = if let &[k] = a.shape() { vec![1, k] } else { a.shape().to_vec() };
    let right = if let &[k] = b.shape() { vec![k, 1] } else { b.shape().to_vec() };
    let ((left_batch, left), (right_batch, right)) = (left.split_at(left.len() - 2), right.split_at(right.len() - 2));
    let (m, k, inner, n) = (left[0], left[1], right[0], right[1]);
    if k != inner {
        return Err(mismatch(&format!("inner dimensions {k} and {inner} differ")));
    }
    let batch = broadcast(left_batch, right_batch).ok_or_else(|| mismatch("leading dimensions do not broadcast"))?;
    let full: Vec<usize> = batch.iter().copied().chain([m, n]).collect();
    lowering.charge_shape(node, &full)?;
    // Offsets of the first term of every output element: those of its matrix, plus its row or column.
    let place = |own_batch: &[usize], size: usize, row: usize, col: usize| -> Vec<usize> {
        let matrices = broadcast_offsets(own_batch, &batch);
        let within = offsets(&[m, n], &[row, col]);
        matrices.iter().flat_map(|&matrix| within.iter().map(move |&o| matrix * size + o)).collect()
    };
    let mut shape = batch.clone();
    shape.extend((a.shape().len() > 1).then_some(m));
    shape.extend((b.shape().len() > 1).then_some(n));
    let product = Product {
        left: a,
        right: b,
        shape,
        rows: m,
        columns: n,
        inner,
        left_offsets: place(left_batch, m * k, k, 0),
        right_offsets: place(right_batch, k * n, 0, 1),
        left_step: 1,
        right_step: strides(&[k, n])[0],
        alpha,
    };
    product.lower(lowering, node, None)
}

/// Output element `j` is `alpha` times the sum over `t < inner` of
/// `left[left_offsets[j] + t * left_step] * right[right_offsets[j] + t * right_step]`.
struct Product<'a> {
    left: &'a Value,
    right: &'a Value,
    shape: Vec<usize>,
    /// Rows and columns of each matrix of the result, whose elements are in order.
    rows: usize,
    columns: usize,
    inner: usize,
    left_offsets: Vec<usize>,
    right_offsets: Vec<usize>,
    left_step: usize,
    right_step: usize,
    alpha: f64,
}

impl Product<'_> {
    /// The same for two operands that depend on the input: a batch of products of matrices.
    fn of_activations(
        self,
        lowering: &mut Lowering,
        node: &Node,
        addend: Option<(&Value, f64)>,
    ) -> Result<Vec<Value>, OnnxError> {
        let Self { inner, rows, columns, .. } = self;
        let matrices: Vec<usize> = (0..self.left_offsets.len()).step_by((rows * columns).max(1)).collect();
        let batch = matrices.len();
        lowering.charge(node.name, [self.left_offsets.len(), inner, 2])?;
        let rows_of = |&first: &usize| (0..rows).map(move |i| first + i * columns);
        let left = matrices.iter().flat_map(rows_of).map(|j| self.left_offsets[j]);
        let left = left.flat_map(|o| (0..inner).map(move |t| o + t * self.left_step)).collect();
        let left = lowering.select(node, self.left, vec![batch * rows, inner], left)?;
        let places = matrices.iter().flat_map(|&first| (0..inner).map(move |t| (first, t)));
        let right = places.flat_map(|(first, t)| {
            let offsets = self.right_offsets[first..first + columns].iter();
            offsets.map(move |&o| o + t * self.right_step)
        });
        let right = right.collect();
        let right = lowering.select(node, self.right, vec![batch * inner, columns], right)?;
        let product = BatchProduct { batch, rows, inner, columns };
        let product = lowering.matrix_product(node, &left, &right, product, self.shape.clone())?;
        Ok(vec![match addend {
            None => lowering.scaled(node, &product, |_| self.alpha, |_| 0.0)?,
            Some((addend, beta)) => {
                let addend = lowering.broadcast_to(node, addend, &self.shape)?;
                lowering.combination(node, &[(&product, self.alpha), (&addend, beta)], 0.0)?
            }
        }])
    }

    /// One affine map over the operand that is not constant, plus `beta` times an addend that broadcasts to the shape.
    fn lower(
        self,
        lowering: &mut Lowering,
        node: &Node,
        addend: Option<(&Value, f64)>,
    ) -> Result<Vec<Value>, OnnxError> {
        if [Some(self.left), Some(self.right), addend.map(|a| a.0)]
            .into_iter()
            .flatten()
            .any(|v| v.kind() != Kind::Float)
        {
            return Err(node.unsupported("its element type", "all operands must be floats"));
        }
        let (value, value_offsets, value_step, constant, constant_offsets, constant_step) =
            match (self.left, self.right) {
                (value, Value::Constant(c)) => {
                    (value, self.left_offsets, self.left_step, c, self.right_offsets, self.right_step)
                }
                (Value::Constant(c), value) => {
                    (value, self.right_offsets, self.right_step, c, self.left_offsets, self.left_step)
                }
                _ => return self.of_activations(lowering, node, addend),
            };
        let what = format!("node \"{}\" ({})", node.name, node.op());
        lowering.charge(&what, self.shape.iter().copied().chain([self.inner]))?;
        let addend_offsets = addend.map(|(c, _)| broadcast_offsets(c.shape(), &self.shape));
        let mut rows = AffineBuilder::new(value.len() + addend.map_or(0, |(c, _)| c.len()));
        for j in 0..value_offsets.len() {
            let term = |t: usize| {
                let weight = self.alpha * constant.data[constant_offsets[j] + t * constant_step];
                (value_offsets[j] + t * value_step, weight)
            };
            let mut terms: Vec<(usize, f64)> = (0..self.inner).map(term).collect();
            if let (Some((_, beta)), Some(offsets)) = (addend, &addend_offsets) {
                terms.push((value.len() + offsets[j], beta));
            }
            rows.push(terms, 0.0);
        }
        let operands: Vec<&Value> = [value].into_iter().chain(addend.map(|a| a.0)).collect();
        Ok(vec![lowering.affine(node, &operands, rows.finish(), self.shape, Kind::Float)?])
    }
}

pub(super) fn register(registry: &mut Registry) {
    registry.add("Gemm", gemm);
    registry.add("MatMul", matmul);
}

#[cfg(test)]
mod tests {
    use crate::onnx::OnnxError;
    use crate::onnx::import_model;
    use crate::onnx::testing::{Attr, agrees, model, node, weights};

    #[test]
    fn gemm_with_every_transposition_and_bias() {
        for bits in 0..16 {
            let (trans_a, trans_b, constant_left, bias) = (bits & 1, bits >> 1 & 1, bits & 4 != 0, bits & 8 != 0);
            let a: &[i64] = if trans_a == 1 { &[3, 2] } else { &[2, 3] };
            let b: &[i64] = if trans_b == 1 { &[4, 3] } else { &[3, 4] };
            let (input, constant) = if constant_left { (("b", b), ("a", a)) } else { (("a", a), ("b", b)) };
            let mut initializers = vec![weights(constant.0, constant.1, bits as u64)];
            let mut inputs = vec!["a", "b"];
            if bias {
                initializers.push(weights("c", [&[2i64, 1][..], &[4], &[2, 4], &[]][bits as usize % 4], 9));
                inputs.push("c");
            }
            let attributes = vec![
                ("alpha", Attr::Float(0.5)),
                ("beta", Attr::Float(-2.0)),
                ("transA", Attr::Int(trans_a)),
                ("transB", Attr::Int(trans_b)),
            ];
            agrees(&model(&[input], "y", initializers, vec![node("Gemm", &inputs, "y", attributes)]));
        }
    }

    #[test]
    fn gemm_with_an_activation_as_bias() {
        let nodes = vec![node("Gemm", &["x", "w", "x"], "y", vec![("beta", Attr::Float(3.0))])];
        let graph = agrees(&model(&[("x", &[1, 3])], "y", vec![weights("w", &[3, 3], 5)], nodes));
        assert_eq!(graph.nodes.len(), 1);
    }

    #[test]
    fn matmul_promotes_vectors_and_broadcasts_matrices() {
        let cases: [(&[i64], &[i64]); 7] = [
            (&[1, 3], &[3, 4]),
            (&[2, 3], &[3]),
            (&[3], &[3, 4]),
            (&[1, 2, 3], &[3, 4]),
            (&[2, 1, 2, 3], &[5, 3, 4]),
            (&[5, 2, 3], &[1, 3, 1]),
            (&[4, 3], &[2, 3, 2]),
        ];
        for (a, b) in cases {
            let nodes = vec![node("MatMul", &["a", "b"], "y", vec![])];
            agrees(&model(&[("a", a)], "y", vec![weights("b", b, 1)], nodes.clone()));
            agrees(&model(&[("b", b)], "y", vec![weights("a", a, 2)], nodes));
        }
    }

    #[test]
    fn matrices_that_both_depend_on_the_input() {
        let inputs: [(&str, &[i64]); 2] = [("a", &[2, 2, 3]), ("b", &[3, 2])];
        agrees(&model(&inputs, "y", vec![], vec![node("MatMul", &["a", "b"], "y", vec![])]));
        let attributes = vec![("transA", Attr::Int(1)), ("alpha", Attr::Float(0.5)), ("beta", Attr::Float(2.0))];
        let nodes = vec![node("Gemm", &["a", "b", "c"], "y", attributes)];
        agrees(&model(&[("a", &[3, 2]), ("b", &[3, 4])], "y", vec![weights("c", &[4], 1)], nodes));
    }

    #[test]
    fn errors_name_the_node_and_both_shapes() {
        let product = |op: &str, inputs: &[(&str, &[i64])], weights| {
            import_model(&model(inputs, "y", weights, vec![node(op, &["a", "b"], "y", vec![])])).unwrap_err()
        };
        for op in ["Gemm", "MatMul"] {
            let error = product(op, &[("a", &[1, 3])], vec![weights("b", &[2, 4], 0)]);
            let expected =
                format!("node \"{op}_y\" ({op}): shapes [1, 3] and [2, 4] do not fit: inner dimensions 3 and 2 differ");
            assert_eq!(error.to_string(), expected);
        }
        let nodes = vec![node("Gemm", &["a", "b", "c"], "y", vec![])];
        let bias = model(&[("a", &[1, 3])], "y", vec![weights("b", &[3, 2], 0), weights("c", &[3], 0)], nodes);
        assert!(matches!(import_model(&bias), Err(OnnxError::ShapeMismatch { .. })));
    }
}
