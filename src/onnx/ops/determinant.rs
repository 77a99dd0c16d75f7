//! Det: determinants of small matrices.

use super::common::float;
use super::{Lowering, Node, OnnxError, Registry, Value};
use crate::graph::AffineBuilder;
use crate::ops::Product;

/// The most rows: there are two products for every row and set of columns.
const MAX_ROWS: usize = 6;

/// By expansion along one row after the other: the minor of the first `k` rows and a set of `k` columns is a sum over the
/// columns, with alternating signs, of the element in row `k` times the minor of the others.
fn det(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let x = node.input(0)?;
    float(node, x)?;
    let &[ref outer @ .., rows, columns] = x.shape() else {
        return Err(node.mismatch(x.shape(), &[], "the input must be a matrix or a batch of them"));
    };
    if rows != columns || !(1..=MAX_ROWS).contains(&rows) || x.len() == 0 {
        return Err(node.mismatch(
            x.shape(),
            &[MAX_ROWS],
            &format!("matrices must be square, of 1 to {MAX_ROWS} rows"),
        ));
    }
    let batch = outer.iter().product();
    let sets = |size: usize| (0..1usize << rows).filter(|set| set.count_ones() as usize == size).collect::<Vec<_>>();
    let members = |set: usize| (0..rows).filter(move |c| set >> c & 1 == 1);
    let mut smaller = sets(0);
    let mut minors = lowering.constant(node, vec![batch, 1], x.kind(), vec![1.0; batch])?;
    for k in 1..=rows {
        let larger = sets(k);
        lowering.charge(node.name, [batch, larger.len(), 2 * k])?;
        let (mut elements, mut others) = (AffineBuilder::new(x.len()), vec![]);
        for (b, &set) in (0..batch).flat_map(|b| larger.iter().map(move |set| (b, set))) {
            for (place, column) in members(set).enumerate() {
                let sign = if (k - 1 + place).is_multiple_of(2) { 1.0 } else { -1.0 };
                elements.push(vec![((b * rows + k - 1) * rows + column, sign)], 0.0);
                let rest = set & !(1 << column);
                others.extend(smaller.iter().position(|&s| s == rest).map(|at| b * smaller.len() + at));
            }
        }
        let shape = vec![batch * larger.len(), k];
        let elements = lowering.affine(node, &[x], elements.finish(), shape.clone(), x.kind())?;
        let others = lowering.select(node, &minors, shape, others)?;
        let product = Product { batch: batch * larger.len(), rows: 1, inner: k, columns: 1 };
        minors = lowering.matrix_product(node, &elements, &others, product, vec![batch, larger.len()])?;
        smaller = larger;
    }
    Ok(vec![lowering.reshape(node, &minors, outer.to_vec())?])
}

pub(super) fn register(registry: &mut Registry) {
    registry.add("Det", det);
}

#[cfg(test)]
mod tests {
    use crate::onnx::import_model;
    use crate::onnx::testing::{model, node, random};

    /// By elimination.
    fn expected(mut a: Vec<Vec<f64>>) -> f64 {
        let mut result = 1.0;
        for k in 0..a.len() {
            let pivot = (k..a.len()).max_by(|&i, &j| a[i][k].abs().total_cmp(&a[j][k].abs())).unwrap();
            if pivot != k {
                a.swap(k, pivot);
                result = -result;
            }
            result *= a[k][k];
            for i in k + 1..a.len() {
                let factor = a[i][k] / a[k][k];
                let row = a[k].clone();
                a[i].iter_mut().zip(row).for_each(|(v, w)| *v -= factor * w);
            }
        }
        result
    }

    #[test]
    fn small_matrices() {
        for n in 1..=6usize {
            let graph = import_model(&model(
                &[("x", &[2, n as i64, n as i64])],
                "y",
                vec![],
                vec![node("Det", &["x"], "y", vec![])],
            ));
            let x: Vec<f64> = random(2 * n * n, n as u64).into_iter().map(f64::from).collect();
            let expected: Vec<f64> =
                x.chunks(n * n).map(|m| expected(m.chunks(n).map(<[f64]>::to_vec).collect())).collect();
            let found = graph.unwrap().eval(&x);
            assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-9), "{n} {found:?} {expected:?}");
        }
        for shape in [&[7i64, 7][..], &[2, 3], &[3]] {
            assert!(
                import_model(&model(&[("x", shape)], "y", vec![], vec![node("Det", &["x"], "y", vec![])])).is_err()
            );
        }
    }
}
