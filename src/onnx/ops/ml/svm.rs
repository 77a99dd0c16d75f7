//! Support vector machines: sums of kernels `K(x, v)` of the input and the support vectors.

use super::labels::Classes;
use super::post::PostTransform;
use super::{Lowering, Node, OnnxError, Registry, Value, integers_of, matrix, numbers, numbers_of};
use crate::graph::{AffineBuilder, Comparison, Function};
use crate::onnx::tensor::Kind;

/// The kernels of every row of the input with every support vector, in shape `[batch, vectors]`. With parameters `g, c,
/// d` they are `x v`, `(g x v + c)^d`, `tanh(g x v + c)`, `exp(-g |x - v|^2)`.
fn kernels(lowering: &mut Lowering, node: &Node, vectors: &[f64]) -> Result<Value, OnnxError> {
    let (x, batch, features) = matrix(node)?;
    let kernel = node.string("kernel_type")?;
    let [gamma, offset, degree] = match kernel.as_deref() {
        None | Some("LINEAR") => {
            node.ignore(&["kernel_params"]);
            [1.0, 0.0, 0.0]
        }
        Some(_) => {
            let given = numbers_of(node, "kernel_params", 3)?;
            [given[0], given[1], given[2]]
        }
    };
    let count = vectors.len() / features;
    let shape = vec![batch, count];
    lowering.charge(node.name, [batch, count, features, 2])?;
    let products = |lowering: &mut Lowering, scale: f64, bias: &dyn Fn(&[f64]) -> f64, squares: bool| {
        let mut rows = AffineBuilder::new(if squares { 2 * x.len() } else { x.len() });
        for r in 0..batch {
            for v in vectors.chunks(features) {
                let product = v.iter().enumerate().map(|(f, w)| (r * features + f, scale * w));
                let square = (0..features).filter(|_| squares).map(|f| (x.len() + r * features + f, 1.0));
                rows.push(product.chain(square).collect(), bias(v));
            }
        }
        match squares {
            false => lowering.affine(node, &[&x], rows.finish(), shape.clone(), Kind::Float),
            true => {
                let squared = lowering.square(node, &x)?;
                lowering.affine(node, &[&x, &squared], rows.finish(), shape.clone(), Kind::Float)
            }
        }
    };
    match kernel.as_deref() {
        None | Some("LINEAR") => products(lowering, 1.0, &|_| 0.0, false),
        Some("POLY") => {
            let base = products(lowering, gamma, &|_| offset, false)?;
            power(lowering, node, base, degree)
        }
        Some("SIGMOID") => {
            let sum = products(lowering, gamma, &|_| offset, false)?;
            lowering.function(node, Function::Tanh, &sum)
        }
        Some("RBF") => {
            // |x|^2 - 2 x v + |v|^2 is not negative, which interval arithmetic cannot see.
            let distance = products(lowering, -2.0, &|v| v.iter().map(|w| w * w).sum(), true)?;
            let distance = lowering.relu(node, &distance)?;
            let exponent = lowering.scaled(node, &distance, |_| -gamma, |_| 0.0)?;
            lowering.function(node, Function::Exp, &exponent)
        }
        Some(other) => Err(node.unsupported(&format!("kernel_type {other}"), "it is unknown")),
    }
}

fn power(lowering: &mut Lowering, node: &Node, base: Value, degree: f64) -> Result<Value, OnnxError> {
    let square = |lowering: &mut Lowering| lowering.square(node, &base);
    match degree {
        1.0 => Ok(base),
        2.0 => square(lowering),
        3.0 => {
            let square = square(lowering)?;
            lowering.product(node, &square, &base)
        }
        4.0 => {
            let square = square(lowering)?;
            lowering.square(node, &square)
        }
        exponent => lowering.function(node, Function::Power { exponent }, &base),
    }
}

/// `sums of coefficient * kernel + bias`, one per entry of `sums`.
fn sums(
    lowering: &mut Lowering,
    node: &Node,
    kernels: &Value,
    vectors: usize,
    sums: &[(Vec<(usize, f64)>, f64)],
) -> Result<Value, OnnxError> {
    let (_, batch, _) = matrix(node)?;
    lowering.charge(node.name, [batch, sums.iter().map(|(terms, _)| terms.len() + 1).sum()])?;
    let mut rows = AffineBuilder::new(kernels.len());
    for r in 0..batch {
        sums.iter().for_each(|(terms, bias)| {
            rows.push(terms.iter().map(|&(v, w)| (r * vectors + v, w)).collect(), *bias);
        });
    }
    lowering.affine(node, &[kernels], rows.finish(), vec![batch, sums.len()], Kind::Float)
}

/// `sum of coefficient * K(x, v) + rho`; without support vectors the coefficients are those of the features.
fn regressor(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let (x, _, features) = matrix(node)?;
    let count = usize::try_from(node.int("n_supports")?.unwrap_or(0)).unwrap_or(0);
    let rho = numbers_of(node, "rho", 1)?[0];
    let linear = count == 0;
    let (over, count) = match linear {
        true if !matches!(node.string("kernel_type")?.as_deref(), None | Some("LINEAR")) => {
            return Err(node.unsupported("kernel_type", "without support vectors it must be LINEAR"));
        }
        true => {
            node.ignore(&["kernel_params"]);
            (x, features)
        }
        false => {
            let Some(len) = count.checked_mul(features) else {
                return Err(node.unsupported("n_supports", "there are too many"));
            };
            let vectors = numbers_of(node, "support_vectors", len)?;
            (kernels(lowering, node, &vectors)?, count)
        }
    };
    let coefficients = numbers_of(node, "coefficients", count)?;
    let terms = coefficients.into_iter().enumerate().collect();
    let mut sum = sums(lowering, node, &over, count, &[(terms, rho)])?;
    if node.flag("one_class")? {
        let above = lowering.compare(node, Comparison::Above, &sum)?.with_kind(Kind::Float);
        sum = lowering.scaled(node, &above, |_| 2.0, |_| -1.0)?;
    }
    Ok(vec![PostTransform::of(node)?.apply_to_targets(lowering, node, sum)?])
}

/// One decision `s_ij` per pair of classes `i < j`: above zero it is a vote for `i`, else for `j`. The label is that of
/// most votes. The scores are the decisions, or `-s, s` if there is one.
fn classifier(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let (_, batch, features) = matrix(node)?;
    let classes = Classes::of(node, "classlabels_ints", "classlabels_strings")?;
    let post = PostTransform::of(node)?;
    let count = classes.len();
    if numbers(node, "prob_a")?.is_some() || numbers(node, "prob_b")?.is_some() {
        return Err(node.unsupported("attribute prob_a", "probabilities by pairwise coupling are not"));
    }
    if count < 2 {
        return Err(node.unsupported("its classes", "there must be two or more"));
    }
    let per_class = integers_of(node, "vectors_per_class", count)?;
    let mut starts = vec![0usize];
    for &n in per_class {
        let next = usize::try_from(n).ok().and_then(|n| starts.last()?.checked_add(n));
        let next = next.filter(|n| n.checked_mul(features).is_some());
        starts
            .push(next.ok_or_else(|| node.unsupported("vectors_per_class", &format!("{n} is no number of vectors")))?);
    }
    let vectors = starts[count];
    lowering.charge(node.name, [count - 1, vectors])?;
    lowering.charge(node.name, [count, count])?;
    let support = numbers_of(node, "support_vectors", vectors * features)?;
    let coefficients = numbers_of(node, "coefficients", (count - 1) * vectors)?;
    let pairs: Vec<(usize, usize)> = (0..count).flat_map(|i| (i + 1..count).map(move |j| (i, j))).collect();
    let rho = numbers_of(node, "rho", pairs.len())?;
    // A support vector has a coefficient per other class.
    let decision = |(&(i, j), &rho): (&(usize, usize), &f64)| {
        let side = |class: usize, row: usize| {
            let coefficients = &coefficients;
            (starts[class]..starts[class + 1]).map(move |v| (v, coefficients[row * vectors + v]))
        };
        (side(i, j - 1).chain(side(j, i)).collect(), rho)
    };
    let decisions: Vec<_> = pairs.iter().zip(&rho).map(decision).collect();
    let kernels = kernels(lowering, node, &support)?;
    let scores = sums(lowering, node, &kernels, vectors, &decisions)?;
    if count == 2 {
        let label = classes.reversed().of_one_column(lowering, node, &scores, 0.0)?;
        return Ok(vec![label, post.of_one_column(lowering, node, &scores, 0.0)?]);
    }
    let wins = lowering.compare(node, Comparison::Above, &scores)?;
    lowering.charge(node.name, [batch, count, count])?;
    let mut rows = AffineBuilder::new(wins.len());
    for r in 0..batch {
        for class in 0..count {
            let votes = pairs.iter().enumerate().filter_map(|(p, &(i, j))| match class {
                _ if class == i => Some((r * pairs.len() + p, 1.0)),
                _ if class == j => Some((r * pairs.len() + p, -1.0)),
                _ => None,
            });
            rows.push(votes.collect(), class as f64);
        }
    }
    let votes = lowering.affine(node, &[&wins], rows.finish(), vec![batch, count], Kind::Integer)?;
    let label = classes.of_greatest(lowering, node, &votes)?;
    Ok(vec![label, post.apply(lowering, node, scores)?])
}

pub(super) fn register(registry: &mut Registry) {
    registry.add("ai.onnx.ml::SVMRegressor", regressor);
    registry.add("ai.onnx.ml::SVMClassifier", classifier);
}
