//! Folding: consecutive affine maps become one where that needs no more weights.

use super::Affine;
use super::float::{FloatNode, FloatOp, Graph};

impl Graph {
    /// Composes an affine map into all of its consumers, where these are affine maps and the number of weights does
    /// not grow (a normalisation before a dense layer, a bias after it, any selection), and drops nodes that no output
    /// depends on. The function computed is the same, up to rounding in `f64`.
    pub fn fold(&mut self) {
        let mut consumers = vec![vec![]; self.inputs.len() + self.nodes.len()];
        for (i, node) in self.nodes.iter().enumerate() {
            node.inputs.iter().for_each(|&id| consumers[id].push(i));
        }
        for producer in (0..self.nodes.len()).rev() {
            self.fold_into_consumers(producer, &mut consumers);
        }
        for node in 0..self.nodes.len() {
            self.merge_repeated_inputs(node);
        }
        self.drop_unused();
    }

    fn fold_into_consumers(&mut self, producer: usize, consumers_of: &mut [Vec<usize>]) {
        let id = self.inputs.len() + producer;
        let FloatOp::Affine(inner) = &self.nodes[producer].op else { return };
        let mut consumers = std::mem::take(&mut consumers_of[id]);
        consumers.sort_unstable();
        consumers.dedup();
        if consumers.is_empty() || self.outputs.iter().any(|(_, value, _)| *value == id) {
            return;
        }
        let mut budget = inner.weights.len();
        let mut folded = vec![];
        for &consumer in &consumers {
            let node = &self.nodes[consumer];
            let FloatOp::Affine(outer) = &node.op else { return };
            budget += outer.weights.len();
            let Some((map, inputs)) = substitute(self, node, outer, id, inner, &self.nodes[producer].inputs, budget)
            else {
                return;
            };
            budget -= map.weights.len();
            folded.push((map, inputs));
        }
        for &input in &self.nodes[producer].inputs {
            consumers_of[input].extend_from_slice(&consumers);
        }
        for (consumer, (map, inputs)) in consumers.into_iter().zip(folded) {
            self.nodes[consumer].op = FloatOp::Affine(map);
            self.nodes[consumer].inputs = inputs;
        }
    }

    /// An affine node reads each value once.
    fn merge_repeated_inputs(&mut self, node: usize) {
        let FloatOp::Affine(map) = &self.nodes[node].op else { return };
        let (mut inputs, mut starts, mut columns, mut len) = (vec![], vec![], vec![], 0);
        for &id in &self.nodes[node].inputs {
            let size = self.value_len(id);
            let start = match inputs.iter().position(|&kept| kept == id) {
                Some(kept) => starts[kept],
                None => {
                    inputs.push(id);
                    starts.push(len);
                    len += size;
                    len - size
                }
            };
            columns.extend(start..start + size);
        }
        if inputs.len() < self.nodes[node].inputs.len() {
            let map = map.relocate(len, &columns);
            self.nodes[node].op = FloatOp::Affine(map);
            self.nodes[node].inputs = inputs;
        }
    }

    /// Leaves out the nodes that no output depends on.
    pub(super) fn drop_unused(&mut self) {
        let first = self.inputs.len();
        let mut used = vec![false; first + self.nodes.len()];
        for (_, id, _) in &self.outputs {
            used[*id] = true;
        }
        for (i, node) in self.nodes.iter().enumerate().rev() {
            if used[first + i] {
                node.inputs.iter().for_each(|&id| used[id] = true);
            }
        }
        let mut renumbered: Vec<usize> = (0..first).collect();
        let mut next = first;
        for &used in &used[first..] {
            renumbered.push(next);
            next += usize::from(used);
        }
        let mut keep = used[first..].iter();
        self.nodes.retain(|_| keep.next() == Some(&true));
        for node in &mut self.nodes {
            node.inputs.iter_mut().for_each(|id| *id = renumbered[*id]);
        }
        self.outputs.iter_mut().for_each(|(_, id, _)| *id = renumbered[*id]);
    }
}

/// The map and inputs of `node` after every occurrence of value `id` is replaced by the affine map that computes it.
fn substitute(
    graph: &Graph,
    node: &FloatNode,
    outer: &Affine<f64, f64>,
    id: usize,
    inner: &Affine<f64, f64>,
    inner_inputs: &[usize],
    max_weights: usize,
) -> Option<(Affine<f64, f64>, Vec<usize>)> {
    let mut map = outer.clone();
    let (mut inputs, mut offset) = (vec![], 0);
    for &input in &node.inputs {
        if input == id {
            map = map.compose(offset, inner, max_weights)?;
            inputs.extend_from_slice(inner_inputs);
            offset += inner.input_len;
        } else {
            inputs.push(input);
            offset += graph.value_len(input);
        }
    }
    Some((map, inputs))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{AffineBuilder, GraphInput};

    fn map(rows: &[&[f64]], bias: f64) -> FloatOp {
        let mut map = AffineBuilder::new(rows[0].len());
        for row in rows {
            map.push(row.iter().copied().enumerate().collect(), bias);
        }
        FloatOp::Affine(map.finish())
    }

    fn graph(nodes: Vec<(FloatOp, Vec<usize>)>, output: usize) -> Graph {
        let node = |(i, (op, inputs))| FloatNode { name: format!("n{i}"), onnx_op: "Gemm".into(), op, inputs };
        Graph {
            inputs: vec![GraphInput { name: "x".into(), shape: vec![1, 2], integer: false, limits: None }],
            nodes: nodes.into_iter().enumerate().map(node).collect(),
            outputs: vec![("y".into(), output, vec![2])],
        }
    }

    #[test]
    fn normalisation_and_bias_fold_into_the_dense_layer() {
        let mut graph = graph(
            vec![
                (map(&[&[0.5, 0.0], &[0.0, 0.25]], 1.0), vec![0]),
                (map(&[&[1.0, 2.0], &[3.0, 4.0]], 0.0), vec![1]),
                (map(&[&[1.0, 0.0], &[0.0, 1.0]], -3.0), vec![2]),
            ],
            3,
        );
        let expected = graph.eval(&[2.0, 8.0]);
        graph.fold();
        assert_eq!(graph.nodes.len(), 1);
        assert_eq!(graph.eval(&[2.0, 8.0]), expected);
    }

    #[test]
    fn a_residual_connection_is_one_map_over_one_input() {
        let mut graph = graph(
            vec![
                (map(&[&[1.0, 2.0], &[3.0, 4.0]], 1.0), vec![0]),
                (map(&[&[1.0, 0.0, 1.0, 0.0], &[0.0, 1.0, 0.0, 1.0]], 0.0), vec![1, 0]),
            ],
            2,
        );
        let expected = graph.eval(&[2.0, 8.0]);
        graph.fold();
        assert_eq!((graph.nodes.len(), graph.nodes[0].inputs.clone()), (1, vec![0]));
        assert_eq!(graph.eval(&[2.0, 8.0]), expected);
    }

    #[test]
    fn low_rank_factors_stay_and_dead_nodes_go() {
        let wide: Vec<&[f64]> = vec![&[1.0, -1.0]; 8];
        let (narrow, one) = ([1.0; 8], [1.0]);
        let mut graph = graph(
            vec![
                (map(&wide, 0.0), vec![0]),
                (FloatOp::Relu, vec![1]),
                (FloatOp::Relu, vec![0]),
                (map(&[&narrow], 0.0), vec![2]),
                (map(&[&one[..]; 9], 0.0), vec![4]),
            ],
            5,
        );
        let expected = graph.eval(&[5.0, 3.0]);
        graph.fold();
        let names: Vec<&str> = graph.nodes.iter().map(|n| n.name.as_str()).collect();
        assert_eq!(names, ["n0", "n1", "n3", "n4"]);
        assert_eq!(graph.eval(&[5.0, 3.0]), expected);
    }

    #[test]
    fn an_output_is_never_folded_away() {
        let mut graph = graph(vec![(map(&[&[2.0, 0.0], &[0.0, 2.0]], 0.0), vec![0])], 1);
        graph.nodes.push(FloatNode {
            name: "n1".into(),
            onnx_op: "Mul".into(),
            op: map(&[&[2.0, 0.0], &[0.0, 2.0]], 0.0),
            inputs: vec![1],
        });
        graph.outputs.push(("z".into(), 2, vec![2]));
        graph.fold();
        assert_eq!(graph.eval(&[1.0, 2.0]), [2.0, 4.0, 4.0, 8.0]);
    }
}
