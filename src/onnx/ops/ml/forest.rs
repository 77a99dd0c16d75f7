//! The structure of tree ensembles, checked: every tree has one root, every other node one parent.

use std::collections::{BTreeMap, BTreeSet};

use super::{Node, OnnxError, check_len, integers_of, numbers, numbers_of};
use crate::graph::Comparison;
use crate::onnx::lower::Lowering;
use crate::onnx::tensor::Constant;

/// A relation of a feature to a threshold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Test {
    pub feature: usize,
    pub threshold: f64,
    /// Of `sign * (feature - threshold)` to zero.
    pub comparison: Comparison,
    pub sign: f64,
}

/// A node of a tree; children are positions in [`Forest::nodes`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum TreeNode {
    Leaf,
    /// The test holds, or does not if `negated`: `yes`, else `no`.
    Branch {
        test: usize,
        negated: bool,
        yes: usize,
        no: usize,
    },
}

/// Trees over the same features.
#[derive(Debug)]
pub(super) struct Forest {
    /// Distinct ones, ordered by comparison.
    pub tests: Vec<Test>,
    pub nodes: Vec<TreeNode>,
    pub roots: Vec<usize>,
    /// The index of a tree by node.
    pub tree_of: Vec<usize>,
    /// Per node the `(output, weight)` pairs of a leaf.
    pub weights: Vec<Vec<(usize, f64)>>,
}

/// A node before its children are known by position.
struct Row {
    mode: Mode,
    feature: i64,
    threshold: f64,
}

type Mode = Option<(Comparison, f64, bool)>;

fn mode(node: &Node, name: &str) -> Result<Mode, OnnxError> {
    Ok(match name {
        "LEAF" => None,
        "BRANCH_LEQ" => Some((Comparison::AtLeast, -1.0, false)),
        "BRANCH_LT" => Some((Comparison::Above, -1.0, false)),
        "BRANCH_GTE" => Some((Comparison::AtLeast, 1.0, false)),
        "BRANCH_GT" => Some((Comparison::Above, 1.0, false)),
        "BRANCH_EQ" => Some((Comparison::Equal, 1.0, false)),
        "BRANCH_NEQ" => Some((Comparison::Equal, 1.0, true)),
        other => return Err(node.unsupported(&format!("mode {other}"), "it is no comparison with a number")),
    })
}

fn malformed(node: &Node, reason: String) -> OnnxError {
    OnnxError::Malformed { what: format!("node \"{}\" ({})", node.name, node.op()), reason }
}

impl Forest {
    /// From the lists that describe a node each, and the lists `{prefix}_ids`, `{prefix}_weights` of the leaves.
    pub fn read(
        lowering: &mut Lowering,
        node: &Node,
        prefix: &str,
        features: usize,
        outputs: usize,
    ) -> Result<Self, OnnxError> {
        let modes = node.strings("nodes_modes")?;
        let count = modes.len();
        lowering.charge(node.name, [count, 8])?;
        let (trees, ids) = (integers_of(node, "nodes_treeids", count)?, integers_of(node, "nodes_nodeids", count)?);
        let feature = integers_of(node, "nodes_featureids", count)?;
        let thresholds = numbers_of(node, "nodes_values", count)?;
        let yes = integers_of(node, "nodes_truenodeids", count)?;
        let no = integers_of(node, "nodes_falsenodeids", count)?;
        let mut places = BTreeMap::new();
        let mut seen = BTreeSet::new();
        let (mut roots, mut rows) = (vec![], vec![]);
        for i in 0..count {
            if places.insert((trees[i], ids[i]), i).is_some() {
                return Err(malformed(node, format!("node {} of tree {} is given twice", ids[i], trees[i])));
            }
            if seen.insert(trees[i]) {
                roots.push(i);
            }
            rows.push(Row { mode: mode(node, &modes[i])?, feature: feature[i], threshold: thresholds[i] });
        }
        let child = |i: usize, id: i64| {
            let missing = || malformed(node, format!("tree {} has no node {id}, a child of node {}", trees[i], ids[i]));
            places.get(&(trees[i], id)).copied().ok_or_else(missing)
        };
        let children = (0..count).map(|i| match rows[i].mode {
            None => Ok((i, i)),
            Some(_) => Ok((child(i, yes[i])?, child(i, no[i])?)),
        });
        let children: Vec<(usize, usize)> = children.collect::<Result<_, OnnxError>>()?;
        let mut forest = Self::build(node, &rows, &children, features, roots)?;

        let given = numbers(node, &format!("{prefix}_weights"))?.unwrap_or_default();
        lowering.charge(node.name, [given.len(), 4])?;
        let list = |name: &str| integers_of(node, &format!("{prefix}_{name}"), given.len());
        let (leaf_trees, leaves, targets) = (list("treeids")?, list("nodeids")?, list("ids")?);
        for (i, &weight) in given.iter().enumerate() {
            let leaf = places.get(&(leaf_trees[i], leaves[i])).copied();
            let leaf = leaf.filter(|&l| forest.nodes[l] == TreeNode::Leaf).ok_or_else(|| {
                malformed(node, format!("node {} of tree {} has a weight and is no leaf", leaves[i], leaf_trees[i]))
            })?;
            forest.add_weight(node, leaf, targets[i], weight, outputs)?;
        }
        forest.check_weights(node)?;
        Ok(forest)
    }

    /// From the attributes of `TreeEnsemble`, whose leaves are listed apart.
    pub fn read_tensors(
        lowering: &mut Lowering,
        node: &Node,
        features: usize,
        outputs: usize,
    ) -> Result<Self, OnnxError> {
        let tensor = |name: &str| -> Result<Constant, OnnxError> {
            let what = format!("attribute {name} of node {}", node.name);
            let missing = || node.unsupported(&format!("attribute {name}"), "it is missing");
            Constant::decode(&what, node.tensor(name)?.ok_or_else(missing)?)
        };
        if node.tensor("membership_values")?.is_some() {
            return Err(node.unsupported("membership_values", "membership in a set is no comparison with a number"));
        }
        let (splits, modes) = (tensor("nodes_splits")?, tensor("nodes_modes")?);
        let count = splits.data.len();
        check_len(node, "nodes_modes", modes.data.len(), count)?;
        if modes.integers().is_none() {
            return Err(node.unsupported("attribute nodes_modes", "it must hold integers"));
        }
        lowering.charge(node.name, [count, 16])?;
        let feature = integers_of(node, "nodes_featureids", count)?;
        let sides = [("nodes_truenodeids", "nodes_trueleafs"), ("nodes_falsenodeids", "nodes_falseleafs")];
        let [yes, no] = sides.map(|(ids, leaves)| -> Result<_, OnnxError> {
            Ok((integers_of(node, ids, count)?, integers_of(node, leaves, count)?))
        });
        let (yes, no) = (yes?, no?);
        let (targets, weights) = (node.ints("leaf_targetids")?.unwrap_or_default(), tensor("leaf_weights")?);
        check_len(node, "leaf_targetids", targets.len(), weights.data.len())?;

        let names = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"];
        let mut rows = vec![];
        for (i, &feature) in feature.iter().enumerate() {
            let name = names.get(modes.data[i] as usize).filter(|_| modes.data[i] >= 0.0);
            let mode = mode(node, name.copied().unwrap_or("BRANCH_MEMBER"))?;
            rows.push(Row { mode, feature, threshold: splits.data[i] });
        }
        // Every reference to a leaf becomes a node of its own, behind those that branch.
        let mut leaves = vec![];
        let mut children = vec![];
        for i in 0..count {
            let mut child = |(ids, is_leaf): (&[i64], &[i64])| {
                let limit = if is_leaf[i] == 0 { count } else { targets.len() };
                let place = usize::try_from(ids[i]).ok().filter(|&id| id < limit);
                let place = place.ok_or_else(|| malformed(node, format!("node {i} has no child {}", ids[i])))?;
                Ok::<_, OnnxError>(if is_leaf[i] == 0 {
                    place
                } else {
                    leaves.push(place);
                    count + leaves.len() - 1
                })
            };
            children.push((child(yes)?, child(no)?));
        }
        for at in count..count + leaves.len() {
            rows.push(Row { mode: None, feature: 0, threshold: 0.0 });
            children.push((at, at));
        }
        let roots = node.ints("tree_roots")?.unwrap_or_default().iter().map(|&r| {
            let root = usize::try_from(r).ok().filter(|&r| r < count);
            root.ok_or_else(|| malformed(node, format!("there is no node {r}, a root")))
        });
        let roots: Vec<usize> = roots.collect::<Result<_, _>>()?;
        let mut forest = Self::build(node, &rows, &children, features, roots)?;
        for (at, &leaf) in leaves.iter().enumerate() {
            forest.add_weight(node, count + at, targets[leaf], weights.data[leaf], outputs)?;
        }
        Ok(forest)
    }

    fn build(
        node: &Node,
        rows: &[Row],
        children: &[(usize, usize)],
        features: usize,
        roots: Vec<usize>,
    ) -> Result<Self, OnnxError> {
        if roots.is_empty() {
            return Err(malformed(node, "it has no trees".into()));
        }
        let order = |c: Comparison| match c {
            Comparison::AtLeast => 0u8,
            Comparison::Above => 1,
            Comparison::Equal => 2,
        };
        let key = |feature: usize, threshold: f64, c: Comparison, sign: f64| {
            // -0 and 0 are one threshold
            (order(c), sign > 0.0, feature, (threshold + 0.0).to_bits())
        };
        let mut found = BTreeMap::new();
        for (i, row) in rows.iter().enumerate() {
            let Some((comparison, sign, _)) = row.mode else { continue };
            let feature = usize::try_from(row.feature).ok().filter(|&f| f < features).ok_or_else(|| {
                malformed(node, format!("its entry {i} tests feature {}, there are {features}", row.feature))
            })?;
            let test = Test { feature, threshold: row.threshold, comparison, sign };
            found.insert(key(feature, row.threshold, comparison, sign), test);
        }
        let place: BTreeMap<_, usize> = found.keys().enumerate().map(|(i, &k)| (k, i)).collect();
        let nodes = rows.iter().zip(children).map(|(row, &(yes, no))| match row.mode {
            None => TreeNode::Leaf,
            Some((comparison, sign, negated)) => {
                let key = key(row.feature as usize, row.threshold, comparison, sign);
                TreeNode::Branch { test: place[&key], negated, yes, no }
            }
        });
        let nodes: Vec<TreeNode> = nodes.collect();
        // From the roots every node is met once, and no other.
        let (mut met, mut tree_of) = (vec![false; nodes.len()], vec![0; nodes.len()]);
        let mut next: Vec<(usize, usize)> = roots.iter().copied().enumerate().collect();
        while let Some((tree, at)) = next.pop() {
            if std::mem::replace(&mut met[at], true) {
                return Err(malformed(node, format!("its entry {at} is a root or a child twice")));
            }
            tree_of[at] = tree;
            if let TreeNode::Branch { yes, no, .. } = nodes[at] {
                next.extend([(tree, yes), (tree, no)]);
            }
        }
        if let Some(at) = met.iter().position(|&m| !m) {
            return Err(malformed(node, format!("its entry {at} cannot be reached from the first node of its tree")));
        }
        let (tests, weights) = (found.into_values().collect(), vec![vec![]; nodes.len()]);
        Ok(Self { tests, nodes, roots, tree_of, weights })
    }

    fn add_weight(
        &mut self,
        node: &Node,
        leaf: usize,
        output: i64,
        weight: f64,
        outputs: usize,
    ) -> Result<(), OnnxError> {
        let output = usize::try_from(output).ok().filter(|&o| o < outputs);
        let output =
            output.ok_or_else(|| malformed(node, format!("a leaf has a weight for none of {outputs} outputs")))?;
        self.weights[leaf].push((output, weight));
        Ok(())
    }

    fn check_weights(&mut self, node: &Node) -> Result<(), OnnxError> {
        for (at, weights) in self.weights.iter_mut().enumerate() {
            weights.sort_by_key(|&(output, _)| output);
            if weights.windows(2).any(|w| w[0].0 == w[1].0) {
                return Err(malformed(node, format!("its entry {at} has two weights for one output")));
            }
        }
        Ok(())
    }

    /// Whether, in some tree, every leaf has a weight for `output`: whatever the input, it has a score.
    pub fn always_scores(&self, output: usize) -> bool {
        self.every_leaf_of_some_tree(|weights| weights.iter().any(|&(o, _)| o == output))
    }

    /// Whether some tree has only leaves with the property.
    pub fn every_leaf_of_some_tree(&self, property: impl Fn(&[(usize, f64)]) -> bool) -> bool {
        let mut holds = vec![true; self.roots.len()];
        for (at, weights) in self.weights.iter().enumerate() {
            holds[self.tree_of[at]] &= self.nodes[at] != TreeNode::Leaf || property(weights);
        }
        holds.contains(&true)
    }

    /// Whether every leaf has a weight for every one of `outputs` outputs.
    pub fn is_full(&self, outputs: usize) -> bool {
        self.nodes.iter().zip(&self.weights).all(|(node, w)| *node != TreeNode::Leaf || w.len() == outputs)
    }

    /// All weights of leaves.
    pub fn all_weights(&self) -> impl Iterator<Item = (usize, f64)> + '_ {
        self.weights.iter().flatten().copied()
    }
}
