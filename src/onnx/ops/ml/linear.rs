//! Linear models: LinearRegressor, LinearClassifier.

use super::labels::Classes;
use super::post::PostTransform;
use super::{Lowering, Node, OnnxError, Registry, Value, matrix, numbers, numbers_of};
use crate::graph::AffineBuilder;
use crate::onnx::tensor::Kind;

/// `x C' + b`: as many columns as the list of coefficients has rows of features.
fn scores(lowering: &mut Lowering, node: &Node, targets: Option<usize>) -> Result<Value, OnnxError> {
    let (x, batch, features) = matrix(node)?;
    let coefficients = numbers(node, "coefficients")?.unwrap_or_default();
    let targets = targets.unwrap_or(coefficients.len() / features);
    if targets == 0 || targets.checked_mul(features) != Some(coefficients.len()) {
        let reason = format!("it has {} elements for {targets} targets of {features} features", coefficients.len());
        return Err(node.unsupported("attribute coefficients", &reason));
    }
    let intercepts = match numbers(node, "intercepts")? {
        None => vec![0.0; targets],
        Some(_) => numbers_of(node, "intercepts", targets)?,
    };
    lowering.charge(node.name, [batch, targets, features])?;
    let mut rows = AffineBuilder::new(x.len());
    for r in 0..batch {
        for (row, &intercept) in coefficients.chunks(features).zip(&intercepts) {
            rows.push(row.iter().enumerate().map(|(f, &w)| (r * features + f, w)).collect(), intercept);
        }
    }
    lowering.affine(node, &[&x], rows.finish(), vec![batch, targets], Kind::Float)
}

fn regressor(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let targets = usize::try_from(node.int("targets")?.unwrap_or(1)).unwrap_or(0);
    let scores = scores(lowering, node, Some(targets))?;
    Ok(vec![PostTransform::of(node)?.apply_to_targets(lowering, node, scores)?])
}

/// Two classes may have one column of scores `p`: the second is chosen where `p > 0`, the first has the score `1 - p`.
fn classifier(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let classes = Classes::of(node, "classlabels_ints", "classlabels_strings")?;
    let post = PostTransform::of(node)?;
    let scores = scores(lowering, node, None)?;
    match (scores.shape().get(1).copied(), classes.len()) {
        (Some(1), 2) => {
            let label = classes.of_one_column(lowering, node, &scores, 0.0)?;
            Ok(vec![label, post.of_one_column(lowering, node, &scores, 1.0)?])
        }
        (Some(columns), count) if columns == count && count > 1 => {
            let label = classes.of_greatest(lowering, node, &scores)?;
            Ok(vec![label, post.apply(lowering, node, scores)?])
        }
        (_, count) => Err(node.unsupported("its classes", &format!("the {count} labels do not fit the coefficients"))),
    }
}

pub(super) fn register(registry: &mut Registry) {
    registry.add("ai.onnx.ml::LinearRegressor", regressor);
    registry.add("ai.onnx.ml::LinearClassifier", classifier);
}
