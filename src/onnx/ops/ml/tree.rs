//! Tree ensembles. Every distinct test of a feature is one comparison. The reach of a node, 1 if the input gets there
//! and else 0, follows level by level over all trees: that of a child is `max(reach + condition - 1, 0)`, that of its
//! sibling what is left of the parent's. Scores are sums of the reaches of leaves by their weights.

use super::forest::{Forest, TreeNode};
use super::labels::Classes;
use super::post::{PostTransform, fold_columns};
use super::{Lowering, Node, OnnxError, Registry, Value, check_len, matrix, numbers};
use crate::graph::{AffineBuilder, Comparison};
use crate::onnx::tensor::Kind;

/// Reaches of some nodes, in shape `[batch, nodes]`.
struct Level {
    nodes: Vec<usize>,
    reach: Value,
}

/// Whether each test of the forest holds, in shape `[batch, tests]`.
fn conditions(lowering: &mut Lowering, node: &Node, forest: &Forest) -> Result<Value, OnnxError> {
    let (x, batch, features) = matrix(node)?;
    let mut parts: Vec<(Value, usize)> = vec![];
    for comparison in [Comparison::AtLeast, Comparison::Above, Comparison::Equal] {
        let tests: Vec<_> = forest.tests.iter().filter(|t| t.comparison == comparison).collect();
        if tests.is_empty() {
            continue;
        }
        let shape = vec![batch, tests.len()];
        lowering.charge_shape(node, &shape)?;
        let mut rows = AffineBuilder::new(x.len());
        for r in 0..batch {
            tests.iter().for_each(|t| rows.push(vec![(r * features + t.feature, t.sign)], -t.sign * t.threshold));
        }
        let difference = lowering.affine(node, &[&x], rows.finish(), shape, Kind::Float)?;
        parts.push((lowering.compare(node, comparison, &difference)?, tests.len()));
    }
    if let [(only, _)] = parts.as_slice() {
        return Ok(only.clone());
    }
    // The tests of a forest are ordered by comparison as above.
    let count = forest.tests.len();
    lowering.charge(node.name, [batch, count])?;
    let mut rows = AffineBuilder::new(batch * count);
    for r in 0..batch {
        let mut start = 0;
        for &(_, width) in &parts {
            (0..width).for_each(|t| rows.push(vec![(start + r * width + t, 1.0)], 0.0));
            start += batch * width;
        }
    }
    let operands: Vec<&Value> = parts.iter().map(|(value, _)| value).collect();
    lowering.affine(node, &operands, rows.finish(), vec![batch, count], Kind::Bool)
}

/// The reaches of all leaves, level by level.
fn leaves(lowering: &mut Lowering, node: &Node, forest: &Forest) -> Result<Vec<Level>, OnnxError> {
    let (_, batch, _) = matrix(node)?;
    let tests = forest.tests.len();
    let conditions = match tests {
        0 => None,
        _ => Some(conditions(lowering, node, forest)?),
    };
    lowering.charge(node.name, [batch, forest.roots.len()])?;
    let ones = vec![1.0; batch * forest.roots.len()];
    let reach = lowering.constant(node, vec![batch, forest.roots.len()], Kind::Integer, ones)?;
    let mut level = Level { nodes: forest.roots.clone(), reach };
    let mut found = vec![];
    loop {
        let mut branches = vec![];
        let mut leaves = vec![];
        for (place, &at) in level.nodes.iter().enumerate() {
            match forest.nodes[at] {
                TreeNode::Leaf => leaves.push((place, at)),
                TreeNode::Branch { test, negated, yes, no } => branches.push((place, test, negated, [yes, no])),
            }
        }
        let width = level.nodes.len();
        if !leaves.is_empty() {
            lowering.charge_shape(node, &[batch, leaves.len()])?;
            let columns = (0..batch).flat_map(|r| leaves.iter().map(move |&(place, _)| r * width + place)).collect();
            let reach = lowering.select(node, &level.reach, vec![batch, leaves.len()], columns)?;
            found.push(Level { nodes: leaves.into_iter().map(|(_, at)| at).collect(), reach });
        }
        let Some(conditions) = conditions.as_ref().filter(|_| !branches.is_empty()) else { return Ok(found) };

        let shape = vec![batch, branches.len()];
        lowering.charge(node.name, [batch, width.saturating_add(tests).saturating_add(4 * branches.len())])?;
        let mut rows = AffineBuilder::new(batch * (width + tests));
        for r in 0..batch {
            for &(place, test, negated, _) in &branches {
                let (sign, bias) = if negated { (-1.0, 0.0) } else { (1.0, -1.0) };
                rows.push(vec![(r * width + place, 1.0), (batch * width + r * tests + test, sign)], bias);
            }
        }
        let excess = lowering.affine(node, &[&level.reach, conditions], rows.finish(), shape, Kind::Integer)?;
        // Every root is reached: there the condition is the reach.
        let yes = match &level.reach {
            Value::Constant(_) => excess,
            Value::Activation(_) => lowering.relu(node, &excess)?,
        };
        let shape = vec![batch, 2 * branches.len()];
        lowering.charge_shape(node, &shape)?;
        let mut rows = AffineBuilder::new(batch * (width + branches.len()));
        for r in 0..batch {
            for (i, &(place, ..)) in branches.iter().enumerate() {
                let yes = batch * width + r * branches.len() + i;
                rows.push(vec![(yes, 1.0)], 0.0);
                rows.push(vec![(r * width + place, 1.0), (yes, -1.0)], 0.0);
            }
        }
        let reach = lowering.affine(node, &[&level.reach, &yes], rows.finish(), shape, Kind::Integer)?;
        level = Level { nodes: branches.iter().flat_map(|b| b.3).collect(), reach };
    }
}

/// `offset + factor * the sum of weight * reach over the leaves` for each column, which `column` names by leaf and output.
fn weighted(
    lowering: &mut Lowering,
    node: &Node,
    forest: &Forest,
    columns: usize,
    column: impl Fn(usize, usize) -> usize,
    factor: f64,
    offset: &[f64],
) -> Result<Value, OnnxError> {
    let (_, batch, _) = matrix(node)?;
    let levels = leaves(lowering, node, forest)?;
    lowering.charge_shape(node, &[batch, columns])?;
    lowering.charge(node.name, [batch, forest.all_weights().count()])?;
    let mut rows = AffineBuilder::new(levels.iter().map(|l| l.reach.len()).sum());
    for r in 0..batch {
        let mut terms = vec![vec![]; columns];
        let mut start = 0;
        for level in &levels {
            for (i, &at) in level.nodes.iter().enumerate() {
                for &(output, weight) in &forest.weights[at] {
                    terms[column(at, output)].push((start + r * level.nodes.len() + i, factor * weight));
                }
            }
            start += level.reach.len();
        }
        terms.into_iter().enumerate().for_each(|(c, terms)| rows.push(terms, offset.get(c).copied().unwrap_or(0.0)));
    }
    let operands: Vec<&Value> = levels.iter().map(|l| &l.reach).collect();
    lowering.affine(node, &operands, rows.finish(), vec![batch, columns], Kind::Float)
}

/// How the trees' scores become one.
#[derive(Clone, Copy, PartialEq)]
enum Aggregate {
    Sum,
    Average,
    Min,
    Max,
}

fn aggregated(
    lowering: &mut Lowering,
    node: &Node,
    forest: &Forest,
    aggregate: Aggregate,
    targets: usize,
    base: &[f64],
) -> Result<Value, OnnxError> {
    let (_, batch, _) = matrix(node)?;
    let trees = forest.roots.len();
    let factor = if aggregate == Aggregate::Average { 1.0 / trees as f64 } else { 1.0 };
    if matches!(aggregate, Aggregate::Sum | Aggregate::Average) {
        return weighted(lowering, node, forest, targets, |_, output| output, factor, base);
    }
    if !forest.is_full(targets) {
        return Err(node.unsupported("MIN or MAX", "every leaf must have a weight for every target"));
    }
    // One row per target, one column per tree.
    let Some(columns) = targets.checked_mul(trees) else {
        return Err(node.unsupported("n_targets", "there are too many"));
    };
    let column = |leaf: usize, output: usize| output * trees + forest.tree_of[leaf];
    lowering.charge_shape(node, &[columns])?;
    let offset: Vec<f64> = (0..columns).map(|c| base.get(c / trees).copied().unwrap_or(0.0)).collect();
    let scores = weighted(lowering, node, forest, columns, column, 1.0, &offset)?;
    let scores = lowering.reshape(node, &scores, vec![batch * targets, trees])?;
    let folded = fold_columns(lowering, node, &scores, |lowering, a, b| match aggregate {
        Aggregate::Min => lowering.minimum(node, a, b),
        _ => lowering.maximum(node, a, b),
    })?;
    lowering.reshape(node, &folded, vec![batch, targets])
}

fn targets(lowering: &mut Lowering, node: &Node) -> Result<usize, OnnxError> {
    let targets = node.int("n_targets")?.and_then(|n| usize::try_from(n).ok()).filter(|&n| n > 0);
    let targets = targets.ok_or_else(|| node.unsupported("n_targets", "it must be positive"))?;
    lowering.charge_shape(node, &[targets])?;
    Ok(targets)
}

fn regressor(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let (_, _, features) = matrix(node)?;
    let targets = targets(lowering, node)?;
    let forest = Forest::read(lowering, node, "target", features, targets)?;
    let aggregate = match node.string("aggregate_function")?.as_deref() {
        None | Some("SUM") => Aggregate::Sum,
        Some("AVERAGE") => Aggregate::Average,
        Some("MIN") => Aggregate::Min,
        Some("MAX") => Aggregate::Max,
        Some(other) => return Err(node.unsupported(&format!("aggregate_function {other}"), "it is unknown")),
    };
    let base = numbers(node, "base_values")?.unwrap_or_default();
    if !base.is_empty() {
        check_len(node, "base_values", base.len(), targets)?;
    }
    let scores = aggregated(lowering, node, &forest, aggregate, targets, &base)?;
    Ok(vec![PostTransform::of(node)?.apply_to_targets(lowering, node, scores)?])
}

/// `TreeEnsemble`, which replaces the other two.
fn ensemble(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let (_, _, features) = matrix(node)?;
    let targets = targets(lowering, node)?;
    let forest = Forest::read_tensors(lowering, node, features, targets)?;
    let aggregate = match node.int("aggregate_function")?.unwrap_or(1) {
        0 => Aggregate::Average,
        1 => Aggregate::Sum,
        2 => Aggregate::Min,
        3 => Aggregate::Max,
        other => return Err(node.unsupported(&format!("aggregate_function {other}"), "it is unknown")),
    };
    let post = match node.int("post_transform")?.unwrap_or(0) {
        0 => PostTransform::None,
        1 => PostTransform::Softmax,
        2 => PostTransform::Logistic,
        other => return Err(node.unsupported(&format!("post_transform {other}"), "NONE, SOFTMAX and LOGISTIC are")),
    };
    let scores = aggregated(lowering, node, &forest, aggregate, targets, &[])?;
    Ok(vec![post.apply_to_targets(lowering, node, scores)?])
}

fn classifier(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let (_, _, features) = matrix(node)?;
    let classes = Classes::of(node, "classlabels_int64s", "classlabels_strings")?;
    let count = classes.len();
    let forest = Forest::read(lowering, node, "class", features, count)?;
    let base = numbers(node, "base_values")?.unwrap_or_default();
    let post = PostTransform::of(node)?;
    match count {
        0 | 1 => Err(node.unsupported("its classes", "there must be two or more")),
        2 => two_classes(lowering, node, &classes, &forest, &base, post),
        _ => {
            if !base.is_empty() {
                check_len(node, "base_values", base.len(), count)?;
            }
            check_all_scored(node, &forest, count, !base.is_empty())?;
            let scores = weighted(lowering, node, &forest, count, |_, output| output, 1.0, &base)?;
            let label = classes.of_greatest(lowering, node, &scores)?;
            Ok(vec![label, post.apply(lowering, node, scores)?])
        }
    }
}

/// A class without a score, where no leaf that is reached has a weight for it, is never chosen: refused unless its zero
/// cannot be the greatest score either.
fn check_all_scored(node: &Node, forest: &Forest, classes: usize, base: bool) -> Result<(), OnnxError> {
    let zero_loses = forest.all_weights().all(|(_, w)| w >= 0.0)
        && forest.every_leaf_of_some_tree(|weights| weights.iter().any(|&(_, w)| w > 0.0));
    let all = base || zero_loses || (0..classes).all(|class| forest.always_scores(class));
    match all {
        true => Ok(()),
        false => Err(node.unsupported("its weights", "for some input some class may have no score")),
    }
}

/// Two classes of which the trees score one, as runtimes understand them. The second is chosen where the score is above
/// 1/2 if no weight is negative, above 0 otherwise. A score `p` under the first class's id belongs to the second, and the
/// first has `1 - p` or, with a negative weight, `-p`.
fn two_classes(
    lowering: &mut Lowering,
    node: &Node,
    classes: &Classes,
    forest: &Forest,
    base: &[f64],
    post: PostTransform,
) -> Result<Vec<Value>, OnnxError> {
    let scored = |class: usize| forest.all_weights().any(|(output, _)| output == class);
    let positive = forest.all_weights().all(|(_, w)| w >= 0.0);
    let (threshold, complement) = if positive { (0.5, 1.0) } else { (0.0, 0.0) };
    match (scored(0), scored(1), base.len()) {
        (true, false, 0 | 1) => {
            let p = weighted(lowering, node, forest, 1, |_, _| 0, 1.0, base)?;
            let label = classes.of_one_column(lowering, node, &p, threshold)?;
            Ok(vec![label, post.of_one_column(lowering, node, &p, complement)?])
        }
        (false, true, 0) if forest.always_scores(1) => {
            let scores = weighted(lowering, node, forest, 2, |_, output| output, 1.0, &[])?;
            let rows = scores.shape().first().copied().unwrap_or(1);
            let p = lowering.select(node, &scores, vec![rows, 1], (0..rows).map(|r| 2 * r + 1).collect())?;
            let label = classes.of_one_column(lowering, node, &p, threshold)?;
            Ok(vec![label, post.apply(lowering, node, scores)?])
        }
        _ => Err(node.unsupported(
            "its scores of two classes",
            "the weights must belong to one of them, with at most one base value, and for the second none: \
             implementations differ in the label otherwise",
        )),
    }
}

pub(super) fn register(registry: &mut Registry) {
    registry.add("ai.onnx.ml::TreeEnsembleRegressor", regressor);
    registry.add("ai.onnx.ml::TreeEnsembleClassifier", classifier);
    registry.add("ai.onnx.ml::TreeEnsemble", ensemble);
}
