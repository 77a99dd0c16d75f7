//! Repetitions: elements that are the same whatever the input are computed once. Batches of copies of one input and numbers that
//! are spread over an axis before something is done to them are such.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash};

use super::float::{FloatNode, FloatOp, Graph, GraphInput};
use super::{Affine, AffineBuilder};
use crate::ops::Product;

/// A value is replaced by its distinct elements if these are fewer by at least this part of all, constants aside: one in so many.
const WORTHWHILE: usize = 4;

/// Where a value of the graph as it was is found in the new one.
struct Place {
    id: usize,
    /// Per element its place in the new value, if that has fewer.
    places: Option<Vec<usize>>,
    /// The value with all elements, where it has been asked for.
    whole: Option<usize>,
}

/// The graph that is made, and where the values of the old one are in it.
struct Sharing {
    graph: Graph,
    values: Vec<Place>,
}

impl Graph {
    /// Computes elements of a value that are the same whatever the input only once, where that saves a quarter of them: rows of
    /// an affine map that are equal, and all that is made of them element by element. What reads such a value otherwise, and an
    /// output, reads a selection that repeats them. The function computed is the same, up to rounding in `f64`.
    pub fn share_repeated(&mut self) {
        let mut sharing = Sharing::new(std::mem::take(&mut self.inputs));
        std::mem::take(&mut self.nodes).into_iter().for_each(|node| sharing.push(node));
        let outputs = std::mem::take(&mut self.outputs);
        let outputs = outputs.into_iter().map(|(name, id, shape)| (name, sharing.whole(id), shape)).collect();
        *self = Graph { outputs, ..sharing.graph };
    }
}

impl Sharing {
    fn new(inputs: Vec<GraphInput>) -> Self {
        let values = (0..inputs.len()).map(|id| Place { id, places: None, whole: None }).collect();
        Self { graph: Graph { inputs, nodes: vec![], outputs: vec![] }, values }
    }

    /// Appends what computes the value of the next node of the old graph.
    fn push(&mut self, mut node: FloatNode) {
        let inputs = std::mem::take(&mut node.inputs);
        let ((op, inputs), places) = match (node.op, inputs.as_slice()) {
            (FloatOp::Affine(map), _) => self.affine(map, &inputs),
            (op @ (FloatOp::Quotient | FloatOp::FloorQuotient), &[left, right]) => {
                self.paired(op, left, right).unwrap_or_else(|op| self.unshared(op, &inputs))
            }
            (op @ FloatOp::Product(product), &[left, right]) if product == Product::elementwise(product.batch) => {
                self.paired(op, left, right).unwrap_or_else(|op| self.unshared(op, &inputs))
            }
            (op @ FloatOp::Product(_), _) => self.unshared(op, &inputs),
            (op, &[input]) => {
                let Place { id, places, .. } = &self.values[input];
                let each = if let FloatOp::OneHot { depth } = op { depth } else { 1 };
                let spread = |places: &Vec<usize>| places.iter().flat_map(|p| each * p..each * (p + 1)).collect();
                ((op, vec![*id]), places.as_ref().map(spread))
            }
            (op, _) => self.unshared(op, &inputs),
        };
        let id = self.append(FloatNode { op, inputs, ..node });
        self.values.push(Place { id, places, whole: None });
    }

    fn append(&mut self, node: FloatNode) -> usize {
        self.graph.nodes.push(node);
        self.graph.inputs.len() + self.graph.nodes.len() - 1
    }

    /// The new value with all elements of an old one, in their order.
    fn whole(&mut self, id: usize) -> usize {
        let Place { id: new, places, whole } = &self.values[id];
        let (new, Some(columns)) = (*new, places) else { return *new };
        let columns = columns.clone();
        let whole = whole.unwrap_or_else(|| self.select(new, columns));
        self.values[id].whole = Some(whole);
        whole
    }

    /// The elements of a new value, which a node computes, in these places.
    fn select(&mut self, id: usize, places: Vec<usize>) -> usize {
        let len = self.graph.value_len(id);
        let node = id.checked_sub(self.graph.inputs.len()).map(|node| &self.graph.nodes[node]);
        let Some(FloatNode { name, onnx_op, .. }) = node.filter(|_| !places.iter().copied().eq(0..len)) else {
            return id;
        };
        let (name, onnx_op) = (name.clone(), onnx_op.clone());
        self.append(FloatNode { name, onnx_op, op: FloatOp::Affine(Affine::selection(len, places)), inputs: vec![id] })
    }

    /// An operator over whole values.
    fn unshared(&mut self, op: FloatOp, inputs: &[usize]) -> Computed {
        let inputs = inputs.iter().map(|&id| self.whole(id)).collect();
        ((op, inputs), None)
    }

    /// An affine map over what its operands have become; of equal rows the first is kept.
    fn affine(&self, map: Affine<f64, f64>, inputs: &[usize]) -> Computed {
        let (mut columns, mut len) = (vec![], 0);
        for &input in inputs {
            let Place { id, places, .. } = &self.values[input];
            let own = self.graph.value_len(*id);
            match places {
                Some(places) => columns.extend(places.iter().map(|place| len + place)),
                None => columns.extend(len..len + own),
            }
            len += own;
        }
        let map = if len < map.input_len { map.relocate(len, &columns) } else { map };
        let inputs = inputs.iter().map(|&id| self.values[id].id).collect();
        let Some(Distinct { kept, places }) = distinct_rows(&map) else {
            return ((FloatOp::Affine(map), inputs), None);
        };
        let mut rows = AffineBuilder::new(len);
        kept.into_iter().for_each(|j| rows.push(map.row(j).collect(), map.bias[j]));
        ((FloatOp::Affine(rows.finish()), inputs), Some(places))
    }

    /// An operator that takes two values element by element, over the distinct pairs; the operator itself, if these are too many.
    fn paired(&mut self, op: FloatOp, left: usize, right: usize) -> Result<Computed, FloatOp> {
        let (Some(a), Some(b)) = (&self.values[left].places, &self.values[right].places) else { return Err(op) };
        let pair = |i: usize| (a[i], b[i]);
        let distinct = distinct(a.len(), (0..a.len()).map(pair), |i, j| pair(i) == pair(j), |_| true);
        let Some(Distinct { kept, places }) = distinct else { return Err(op) };
        let selected = [a, b].map(|operand| kept.iter().map(|&i| operand[i]).collect::<Vec<_>>());
        let op = if let FloatOp::Product(_) = op { FloatOp::Product(Product::elementwise(kept.len())) } else { op };
        let ids = [left, right].map(|id| self.values[id].id).into_iter().zip(selected);
        let inputs = ids.map(|(id, places)| self.select(id, places)).collect();
        Ok(((op, inputs), Some(places)))
    }
}

/// An operator with its new operands, and the places of the old value's elements in the new one.
type Computed = ((FloatOp, Vec<usize>), Option<Vec<usize>>);

/// The first of all that are equal, and per element which of these it is equal to.
struct Distinct {
    kept: Vec<usize>,
    places: Vec<usize>,
}

/// The distinct ones of `len` elements, if there are few enough of those that count; equal elements have equal keys.
fn distinct<K: Hash>(
    len: usize,
    keys: impl Iterator<Item = K>,
    equal: impl Fn(usize, usize) -> bool,
    counts: impl Fn(usize) -> bool,
) -> Option<Distinct> {
    let hashes = BuildHasherDefault::<DefaultHasher>::default();
    // by hash, places in `kept`
    let mut known: HashMap<u64, Vec<usize>> = HashMap::new();
    let (mut kept, mut places): (Vec<usize>, Vec<usize>) = (vec![], Vec::with_capacity(len));
    let counted = (0..len).filter(|&element| counts(element)).count();
    let mut left = counted - counted.div_ceil(WORTHWHILE);
    for (element, key) in keys.enumerate() {
        let alike = known.entry(hashes.hash_one(key)).or_default();
        let place = match alike.iter().copied().find(|&place| equal(kept[place], element)) {
            Some(place) => place,
            None => {
                left = left.checked_sub(usize::from(counts(element)))?;
                alike.push(kept.len());
                kept.push(element);
                kept.len() - 1
            }
        };
        places.push(place);
    }
    (counted > 0).then_some(Distinct { kept, places })
}

fn distinct_rows(map: &Affine<f64, f64>) -> Option<Distinct> {
    let range = |j: usize| map.row_starts[j] as usize..map.row_starts[j + 1] as usize;
    // zeros of both signs are equal
    let bits = |value: f64| (value + 0.0).to_bits();
    let key = |j: usize| {
        let weights: Vec<u64> = map.weights[range(j)].iter().map(|&w| bits(w)).collect();
        (&map.columns[range(j)], weights, bits(map.bias[j]))
    };
    let equal = |i: usize, j: usize| {
        let row = |j: usize| (&map.columns[range(j)], &map.weights[range(j)], map.bias[j]);
        row(i) == row(j)
    };
    // nothing is saved where constants are repeated
    distinct(map.output_len(), (0..map.output_len()).map(key), equal, |j| !range(j).is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Comparison;

    /// A graph over one input of `len` elements, whose last node is the output.
    fn graph(len: usize, nodes: Vec<(FloatOp, Vec<usize>)>) -> Graph {
        let inputs = vec![GraphInput { name: "x".into(), shape: vec![1, len], integer: false, limits: None }];
        let node = |(i, (op, inputs))| FloatNode { name: format!("n{i}"), onnx_op: "Op".into(), op, inputs };
        let nodes: Vec<FloatNode> = nodes.into_iter().enumerate().map(node).collect();
        let mut graph = Graph { inputs, outputs: vec![], nodes };
        let last = graph.nodes.len();
        graph.outputs.push(("y".into(), last, vec![graph.value_len(last)]));
        graph
    }

    /// `copies` times `outputs` sums of `inputs` inputs: those of copy `t` read copy `t` of the inputs, of which there are `read`, or the
    /// one that there is.
    fn dense(copies: usize, read: usize, inputs: usize, outputs: usize) -> FloatOp {
        let mut map = AffineBuilder::new(read * inputs);
        for t in 0..copies {
            for j in 0..outputs {
                let weight = |i: usize| ((7 * i * i + 3 * j + 1) % 11) as f64 - 4.5;
                map.push((0..inputs).map(|i| (t % read * inputs + i, weight(i))).collect(), j as f64);
            }
        }
        FloatOp::Affine(map.finish())
    }

    fn repeat(len: usize, times: usize) -> FloatOp {
        FloatOp::Affine(Affine::selection(len, (0..times).flat_map(|_| 0..len)))
    }

    /// The lengths of all values that nodes compute, of the graph with what is repeated computed once, which is the same function.
    fn shared(mut graph: Graph) -> Vec<usize> {
        let shape = graph.outputs.clone();
        let inputs: Vec<Vec<f64>> =
            (0..5).map(|s| (0..graph.input_len()).map(|i| ((5 * i + 3 * s) % 7) as f64 + 1.0).collect()).collect();
        let expected: Vec<Vec<f64>> = inputs.iter().map(|x| graph.eval(x)).collect();
        graph.share_repeated();
        for (x, expected) in inputs.iter().zip(expected) {
            let outputs = graph.eval(x);
            assert_eq!(outputs.len(), expected.len());
            let same = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-9;
            assert!(outputs.iter().zip(&expected).all(same), "{outputs:?} {expected:?}");
        }
        assert_eq!(graph.outputs[0].2, shape[0].2);
        assert!(graph.nodes.iter().enumerate().all(|(i, node)| node.inputs.iter().all(|&id| id <= i)));
        (1..=graph.nodes.len()).map(|id| graph.value_len(id)).collect()
    }

    #[test]
    fn copies_of_a_batch_are_computed_once() {
        let layers = vec![
            (dense(10, 1, 4, 6), vec![0]),
            (FloatOp::Relu, vec![1]),
            (dense(10, 10, 6, 3), vec![2]),
            (FloatOp::Compare(Comparison::Above), vec![3]),
        ];
        // what an output has of them is a selection
        assert_eq!(shared(graph(4, layers)), [6, 6, 3, 3, 30]);
    }

    #[test]
    fn few_repetitions_are_left_where_they_are() {
        // of a batch, two are of the same numbers
        let batch = |count: usize| {
            let distinct = 4 * (count - 1);
            let select = FloatOp::Affine(Affine::selection(distinct, (0..distinct).chain(0..4)));
            let sums = dense(count, count, 4, 5);
            shared(graph(distinct, vec![(select, vec![0]), (FloatOp::Relu, vec![1]), (sums, vec![2])]))
        };
        assert_eq!(batch(5), [20, 20, 25]);
        assert_eq!(batch(4), [12, 12, 15, 20]);
        // nor do constants count
        let mut rows = AffineBuilder::new(2);
        (0..9).for_each(|i| rows.push((0..2).filter(|j| *j == i).map(|j| (j, 1.0)).collect(), 3.0));
        assert_eq!(shared(graph(2, vec![(FloatOp::Affine(rows.finish()), vec![0])])), [9]);
        // equal weights at other inputs, other weights and other biases are no repetition
        let mut rows = AffineBuilder::new(2);
        for (column, weight, bias) in [(0, 1.0, 0.0), (1, 1.0, 0.0), (0, 2.0, 0.0), (0, 1.0, 1.0)] {
            rows.push(vec![(column, weight)], bias);
        }
        assert_eq!(shared(graph(2, vec![(FloatOp::Affine(rows.finish()), vec![0])])), [4]);
    }

    #[test]
    fn sums_over_repetitions_have_their_weights_added_up() {
        let mut sum = AffineBuilder::new(9);
        sum.push((0..9).map(|i| (i, 1.0)).collect(), 0.0);
        // the second one cancels
        sum.push(vec![(0, 1.0), (3, -1.0)], 2.0);
        sum.push(vec![(1, 2.0)], 0.0);
        let layers =
            vec![(repeat(3, 3), vec![0]), (FloatOp::Square, vec![1]), (FloatOp::Affine(sum.finish()), vec![2])];
        assert_eq!(shared(graph(3, layers)), [3, 3, 3]);
    }

    #[test]
    fn what_pairs_elements_pairs_those_that_are_distinct() {
        let of = |left: FloatOp, right: FloatOp| {
            vec![(left, vec![0]), (right, vec![0]), (FloatOp::Square, vec![2]), (FloatOp::Quotient, vec![1, 3])]
        };
        let quotient = |right: FloatOp| of(repeat(3, 4), right);
        assert_eq!(shared(graph(3, quotient(repeat(3, 4)))), [3, 3, 3, 3, 12]);
        // one number beside each: a selection has those that are paired
        let sum = FloatOp::Affine(Affine::selection(3, vec![2; 12]));
        assert_eq!(shared(graph(3, quotient(sum))), [3, 1, 1, 3, 3, 12]);
        // all pairs are distinct
        let each = FloatOp::Affine(Affine::selection(4, (0..12).map(|i| i / 4)));
        assert_eq!(shared(graph(4, of(repeat(4, 3), each))), [4, 3, 3, 12, 12, 12]);
        let product = |product: Product| vec![(repeat(4, 2), vec![0]), (FloatOp::Product(product), vec![1, 1])];
        assert_eq!(shared(graph(4, product(Product::elementwise(8)))), [4, 4, 8]);
        let matrices = Product { batch: 2, rows: 2, inner: 2, columns: 2 };
        assert_eq!(shared(graph(4, product(matrices))), [4, 8, 8]);
    }

    #[test]
    fn one_hot_encodings_are_repeated_as_a_whole() {
        let sum = dense(1, 1, 12, 2);
        let layers = vec![(repeat(2, 2), vec![0]), (FloatOp::OneHot { depth: 3 }, vec![1]), (sum, vec![2])];
        assert_eq!(shared(graph(2, layers)), [2, 6, 2]);
    }
}
