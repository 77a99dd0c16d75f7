//! Centred vectors: what is only read less its mean is carried less its mean.
//!
//! A layer normalisation begins with `d = C x`, where `C = I - 1 1' / n` takes the mean of a vector off its elements. `C` is linear, and
//! `C C = C`. A value `x = A u + b` that is only centred is computed as `d = (C A) u + C b`: the mean and the subtraction are gone. So is
//! the stream of a transformer, `y = x + A u + b`, of which every value is only centred or added to: `C y = C x + (C A) u + C b`. That holds
//! for `y = M x + A u + b` too, if `M` takes vectors to vectors, such as the selection of a token or the mean of all: `C M = M C`.
//!
//! An offset that is added after the centring, `C x + s`, is carried as well.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::centring::{Sum, Vectors, Weights, distinct, rounded};
use super::float::{FloatNode, FloatOp, Graph};
use super::{Affine, AffineBuilder};

/// What is known of the values of a graph, by their ids.
struct Streams<'a> {
    graph: &'a Graph,
    /// Values `C A u + b` that are computed from `u` and means of `A u`: the map `A u + b`.
    centred: BTreeMap<usize, Sum>,
    /// Affine maps that are only read as means by what is centred.
    means: BTreeSet<usize>,
    /// Affine maps of which only the centred vectors are needed.
    carried: BTreeSet<usize>,
    /// The vectors that are centred.
    vectors: HashMap<usize, Vectors>,
    /// A value that is centred or carried, and one of its operands, whose vectors it has.
    passed: BTreeSet<(usize, usize)>,
    /// Values that depend on each other have the same number.
    stream: Vec<usize>,
}

/// What is to be computed instead, by the ids of the values.
#[derive(Default)]
struct Plan {
    sums: HashMap<usize, Sum>,
    /// What stays, and has its vectors centred beside it.
    beside: HashMap<usize, [Affine<f64, f64>; 2]>,
    passed: BTreeSet<(usize, usize)>,
}

impl Graph {
    /// Carries values that are only centred, and sums of such values, less the means of their vectors, where that needs fewer weights.
    /// The function computed is the same, up to rounding in `f64`.
    pub fn carry_centred(&mut self) {
        let Plan { mut sums, mut beside, passed } = Streams::of(self).plan();
        if sums.is_empty() {
            return;
        }
        let read: Vec<Vec<usize>> = self.nodes.iter().map(|node| node.inputs.clone()).collect();
        let mut centred: HashMap<usize, usize> = HashMap::new();
        self.rewrite(|graph, i, node| {
            let id = graph.inputs.len() + i;
            let Some(Sum { map, mut inputs }) = sums.remove(&id) else { return graph.append(node) };
            let FloatNode { name, onnx_op, inputs: moved, .. } = node;
            let affine = |map, inputs| {
                let (name, onnx_op) = (name.clone(), onnx_op.clone());
                FloatNode { name, onnx_op, op: FloatOp::Affine(map), inputs }
            };
            for input in &mut inputs {
                let old = *input;
                *input = read[i].iter().zip(&moved).find(|(before, _)| **before == old).map_or(old, |(_, &id)| id);
                if passed.contains(&(id, old)) {
                    if let Some([means, rest]) = beside.remove(&old) {
                        let means = graph.append(affine(means, vec![*input]));
                        centred.insert(old, graph.append(affine(rest, vec![*input, means])));
                    }
                    *input = centred.get(&old).copied().unwrap_or(*input);
                }
            }
            let sum = Sum { map, inputs };
            sum.itself().unwrap_or_else(|| graph.append(affine(sum.map, sum.inputs)))
        });
        self.fold();
    }
}

impl<'a> Streams<'a> {
    fn of(graph: &'a Graph) -> Self {
        let values = graph.inputs.len() + graph.nodes.len();
        let mut streams = Self {
            graph,
            centred: BTreeMap::new(),
            means: BTreeSet::new(),
            carried: BTreeSet::new(),
            vectors: HashMap::new(),
            passed: BTreeSet::new(),
            stream: (0..values).collect(),
        };
        let mut readers = vec![vec![]; values];
        for (i, node) in graph.nodes.iter().enumerate() {
            let id = graph.inputs.len() + i;
            node.inputs.iter().for_each(|&input| readers[input].push(id));
            if let Some((sum, vectors)) = graph.centring(node) {
                streams.centred.insert(id, sum);
                streams.vectors.insert(id, vectors);
            }
        }
        for id in (0..values).rev() {
            streams.classify(id, &readers[id]);
        }
        streams
    }

    /// Finds out what is needed of a value, whose readers are known.
    fn classify(&mut self, id: usize, readers: &[usize]) {
        let affine = matches!(self.graph.op_and_inputs(id), Some((FloatOp::Affine(_), _)));
        let is_output = self.graph.outputs.iter().any(|(_, output, _)| *output == id);
        let inner = affine && !is_output && !readers.is_empty();
        let as_mean = |reader: &usize| self.centred.get(reader).is_some_and(|sum| !sum.inputs.contains(&id));
        if inner && readers.iter().all(as_mean) {
            self.means.insert(id);
            readers.iter().for_each(|&reader| self.link(id, reader));
            return;
        }
        let mut carried = inner && !self.centred.contains_key(&id) && distinct(self.sum(id).map_or(&[], |sum| sum.1));
        for &reader in readers {
            if !self.means.contains(&reader) && self.pass(reader, id).is_none() {
                carried = false;
            }
        }
        if carried && self.vectors.contains_key(&id) {
            self.carried.insert(id);
        }
    }

    fn link(&mut self, a: usize, b: usize) {
        let (from, to) = (self.stream[a], self.stream[b]);
        self.stream.iter_mut().filter(|stream| **stream == from).for_each(|stream| *stream = to);
    }

    /// What is added up to a value.
    fn sum(&self, id: usize) -> Option<(&Affine<f64, f64>, &[usize])> {
        if let Some(sum) = self.centred.get(&id) {
            return Some((&sum.map, &sum.inputs));
        }
        let (FloatOp::Affine(map), inputs) = self.graph.op_and_inputs(id)? else { return None };
        Some((map, inputs))
    }

    /// Gives an operand the vectors that a value that is centred or carried has of it, if that is the same number of vectors, each
    /// times a factor, for each of its own.
    fn pass(&mut self, id: usize, operand: usize) -> Option<()> {
        if !self.centred.contains_key(&id) && !self.carried.contains(&id) {
            return None;
        }
        let (map, inputs) = self.sum(id)?;
        let position = inputs.iter().position(|&input| input == operand)?;
        let start: usize = inputs[..position].iter().map(|&input| self.graph.value_len(input)).sum();
        let len = self.graph.value_len(operand);
        let row = |j: usize| {
            let own = map.row(j).filter(|(column, _)| (start..start + len).contains(column));
            own.map(|(column, weight)| (column - start, weight))
        };
        let mut sets: Vec<Vec<usize>> = vec![];
        for rows in &self.vectors.get(&id)?.elements {
            let first = sets.len();
            sets.extend(row(rows[0]).map(|(element, _)| vec![element]));
            for &j in &rows[1..] {
                let weights = row(rows[0]).map(|(_, weight)| weight);
                row(j).map(|(_, weight)| weight).eq(weights).then_some(())?;
                sets[first..].iter_mut().zip(row(j)).for_each(|(set, (element, _))| set.push(element));
            }
        }
        if sets.is_empty() {
            return None;
        }
        let vectors = self.vectors.entry(operand).or_insert_with(|| Vectors::new(len));
        for set in sets {
            vectors.include(set)?;
        }
        self.passed.insert((id, operand));
        self.link(operand, id);
        Some(())
    }

    /// What to compute instead, of the streams that need fewer weights then.
    fn plan(self) -> Plan {
        let changed: Vec<usize> = self.centred.keys().chain(&self.carried).copied().collect();
        let weights = |id: usize| self.graph.nodes[id - self.graph.inputs.len()].weight_count();
        // weights that may still be spent; less than what there are now
        let mut left: HashMap<usize, Option<usize>> = HashMap::new();
        for &id in changed.iter().chain(&self.means) {
            let budget = left.entry(self.stream[id]).or_insert(Some(0));
            *budget = budget.map(|budget| budget + weights(id));
        }
        let spend = |left: &mut HashMap<usize, Option<usize>>, id: usize, weights: usize| {
            let budget = left.entry(self.stream[id]).or_insert(None);
            *budget = budget.and_then(|budget| budget.checked_sub(weights));
        };
        let offsets = self.offsets();
        let mut plan = Plan::default();
        for &id in &changed {
            let Some(max_weights) = left.get(&self.stream[id]).copied().flatten() else { continue };
            let Some(sum) = self.centre(id, &offsets, max_weights) else {
                left.insert(self.stream[id], None);
                continue;
            };
            spend(&mut left, id, if sum.itself().is_some() { 0 } else { sum.map.weights.len() });
            plan.sums.insert(id, sum);
        }
        for &(_, operand) in &self.passed {
            if let (false, Some(vectors)) = (self.carried.contains(&operand), self.vectors.get(&operand))
                && !plan.beside.contains_key(&operand)
            {
                let maps = vectors.centring(&offset(&offsets, operand, vectors.of.len()));
                spend(&mut left, operand, maps.iter().map(|map| map.weights.len()).sum());
                plan.beside.insert(operand, maps);
            }
        }
        let accepted = |id: &usize| left.get(&self.stream[*id]).is_some_and(|left| left.is_some_and(|left| left > 0));
        plan.sums.retain(|id, _| accepted(id));
        plan.beside.retain(|id, _| accepted(id));
        plan.passed = self.passed.iter().copied().filter(|(id, _)| accepted(id)).collect();
        plan
    }

    /// What is carried less its means is carried plus this: what the first that is centred of it adds.
    fn offsets(&self) -> HashMap<usize, Vec<Option<f64>>> {
        let mut offsets: HashMap<usize, Vec<Option<f64>>> = HashMap::new();
        for (&id, Sum { map, inputs }) in &self.centred {
            for j in 0..map.output_len() {
                let mut row = map.row(j);
                if let (Some((column, 1.0)), None) = (row.next(), row.next())
                    && let Some((operand, element)) = self.graph.place(inputs, column)
                    && self.passed.contains(&(id, operand))
                {
                    let known = offsets.entry(operand).or_insert_with(|| vec![None; self.graph.value_len(operand)]);
                    known[element].get_or_insert(map.bias[j]);
                }
            }
        }
        offsets
    }

    /// The map of a value that is centred or carried, over operands of which those with the same vectors are centred; `None` if it has
    /// more than `max_weights` weights, or some that overflow.
    fn centre(&self, id: usize, offsets: &HashMap<usize, Vec<Option<f64>>>, max_weights: usize) -> Option<Sum> {
        let (map, inputs) = self.sum(id)?;
        let vectors = self.vectors.get(&id)?;
        // what a centred element has been added to; `None` for elements of other values
        let mut added = vec![];
        for &input in inputs {
            let len = self.graph.value_len(input);
            match self.passed.contains(&(id, input)) {
                true => added.extend(offset(offsets, input, len).into_iter().map(Some)),
                false => added.resize(added.len() + len, None),
            }
        }
        // what is centred already has its offset, and no mean
        let is_centred = self.centred.contains_key(&id);
        let own = if is_centred { vec![0.0; map.output_len()] } else { offset(offsets, id, map.output_len()) };
        let (mut rows, mut count) = (vec![(vec![], 0.0); map.output_len()], 0);
        let mut weights = Weights::new(map.input_len);
        for elements in &vectors.elements {
            let size = elements.len() as f64;
            for &j in elements {
                map.row(j)
                    .filter(|term| added[term.0].is_none())
                    .for_each(|(column, weight)| weights.add(column, weight));
            }
            let biases = elements.iter().map(|&j| map.bias[j]);
            let (mean, greatest) =
                biases.fold((0.0, 0.0), |(sum, most): (f64, f64), bias| (sum + bias / size, most.max(bias.abs())));
            for &j in elements {
                let (mut bias, mut greatest) = (own[j] + map.bias[j], greatest.max(own[j].abs()));
                if !is_centred {
                    bias -= mean;
                }
                let (terms, total) = &mut rows[j];
                for (column, weight) in map.row(j) {
                    match added[column] {
                        Some(added) => {
                            bias -= weight * added;
                            greatest = greatest.max((weight * added).abs());
                            terms.push((column, weight));
                        }
                        None => weights.own[column] = weight,
                    }
                }
                for &column in &weights.columns {
                    let weight = std::mem::take(&mut weights.own[column]) - weights.sums[column] / size;
                    let weight = rounded(weight, weights.greatest[column]);
                    terms.extend((weight != 0.0).then_some((column, weight)));
                }
                *total = rounded(bias, greatest);
                count += terms.len();
                let finite = total.is_finite() && terms.iter().all(|(_, weight)| weight.is_finite());
                (finite && count <= max_weights).then_some(())?;
            }
            weights.clear();
        }
        let mut centred = AffineBuilder::new(map.input_len);
        rows.into_iter().for_each(|(terms, bias)| centred.push(terms, bias));
        Some(Sum { map: centred.finish(), inputs: inputs.to_vec() })
    }
}

fn offset(offsets: &HashMap<usize, Vec<Option<f64>>>, id: usize, len: usize) -> Vec<f64> {
    let known = offsets.get(&id);
    (0..len).map(|element| known.and_then(|known| known[element]).unwrap_or(0.0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::GraphInput;

    const TOKENS: usize = 3;

    /// Where elements of a token are: beside each other, or in as many lines as they are.
    #[derive(Clone, Copy)]
    enum Layout {
        Together,
        Apart,
    }

    impl Layout {
        fn at(self, width: usize, token: usize, i: usize) -> usize {
            match self {
                Layout::Together => token * width + i,
                Layout::Apart => i * TOKENS + token,
            }
        }
    }

    /// A graph over one input, of so many elements per token.
    struct Model {
        graph: Graph,
        layout: Layout,
    }

    impl Model {
        fn new(layout: Layout, width: usize) -> Self {
            let shape = vec![1, TOKENS, width];
            let inputs = vec![GraphInput { name: "x".into(), shape, integer: false, limits: None }];
            Self { graph: Graph { inputs, nodes: vec![], outputs: vec![] }, layout }
        }

        fn width(&self, id: usize) -> usize {
            self.graph.value_len(id) / TOKENS
        }

        fn push(&mut self, name: &str, op: FloatOp, inputs: &[usize]) -> usize {
            self.graph.append(FloatNode { name: name.into(), onnx_op: "Op".into(), op, inputs: inputs.to_vec() })
        }

        /// So many elements per token, of those of the same token of some values. `weight` is given the element, the value and its element.
        fn sum(
            &mut self,
            name: &str,
            width: usize,
            inputs: &[usize],
            weight: impl Fn(usize, usize, usize) -> f64,
            bias: impl Fn(usize) -> f64,
        ) -> usize {
            let len = inputs.iter().map(|&id| self.graph.value_len(id)).sum();
            let mut rows = vec![(vec![], 0.0); TOKENS * width];
            for (token, i) in (0..TOKENS).flat_map(|token| (0..width).map(move |i| (token, i))) {
                let (terms, constant) = &mut rows[self.layout.at(width, token, i)];
                let mut start = 0;
                for (value, &id) in inputs.iter().enumerate() {
                    let of = self.width(id);
                    terms.extend((0..of).map(|k| (start + self.layout.at(of, token, k), weight(i, value, k))));
                    start += self.graph.value_len(id);
                }
                *constant = bias(i);
            }
            let mut map = AffineBuilder::new(len);
            rows.into_iter().for_each(|(terms, bias)| map.push(terms, bias));
            self.push(name, FloatOp::Affine(map.finish()), inputs)
        }

        fn linear(&mut self, u: usize, width: usize) -> usize {
            let seed = u as f64;
            let weight = |i: usize, _: usize, k: usize| (1.0 + seed + 1.7 * i as f64 + 2.9 * (i * k + k) as f64).sin();
            self.sum("linear", width, &[u], weight, |i| 0.1 * i as f64)
        }

        fn mean(&mut self, x: usize) -> usize {
            let weight = 1.0 / self.width(x) as f64;
            self.sum("mean", 1, &[x], |_, _, _| weight, |_| 0.0)
        }

        fn less(&mut self, x: usize, mean: usize) -> usize {
            let weight = |i: usize, value: usize, k: usize| [f64::from(i == k), -1.0][value];
            self.sum("less", self.width(x), &[x, mean], weight, |_| 0.0)
        }

        /// `x` less its mean, over the root of the mean of the squares.
        fn normalised(&mut self, x: usize) -> usize {
            let mean = self.mean(x);
            let d = self.less(x, mean);
            self.standardised(d)
        }

        fn standardised(&mut self, d: usize) -> usize {
            let (width, weight) = (self.width(d), 1.0 / self.width(d) as f64);
            let squares = self.push("squares", FloatOp::Square, &[d]);
            let power = self.sum("power", 1, &[squares], |_, _, _| weight, |_| 0.01);
            let root = self.push("root", FloatOp::Sqrt, &[power]);
            let spread = self.sum("spread", width, &[root], |_, _, _| 1.0, |_| 0.0);
            self.push("quotient", FloatOp::Quotient, &[d, spread])
        }

        fn add(&mut self, x: usize, u: usize) -> usize {
            self.sum("add", self.width(x), &[x, u], |i, _, k| f64::from(i == k), |_| 0.0)
        }

        /// `x + A relu(B normalised(x))`
        fn block(&mut self, x: usize) -> usize {
            let normalised = self.normalised(x);
            let hidden = self.linear(normalised, 7);
            let hidden = self.push("relu", FloatOp::Relu, &[hidden]);
            let update = self.linear(hidden, self.width(x));
            self.add(x, update)
        }

        fn output(&mut self, id: usize) {
            self.graph.outputs.push(("y".into(), id, vec![self.graph.value_len(id)]));
        }

        /// The graph folded, and what is carried in it centred; both are the same function.
        fn carried(mut self) -> (Graph, Graph) {
            self.graph.fold();
            let plain = self.graph.clone();
            self.graph.carry_centred();
            for s in 0..5 {
                let x: Vec<f64> =
                    (0..plain.input_len()).map(|i| 3.0 * (i as f64 * 1.3 + f64::from(s) * 0.7).sin()).collect();
                let (expected, found) = (plain.eval(&x), self.graph.eval(&x));
                assert_eq!(expected.len(), found.len());
                let same = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-9;
                assert!(expected.iter().zip(&found).all(same), "{expected:?} {found:?}");
            }
            assert_eq!(normalised(&plain), normalised(&self.graph));
            (plain, self.graph)
        }

        fn assert_left(self) {
            let (plain, graph) = self.carried();
            assert_eq!(plain, graph);
        }
    }

    /// How many quotients are known to be elements of normalised vectors.
    fn normalised(graph: &Graph) -> usize {
        let quotients = graph.nodes.iter().filter(|node| node.op == FloatOp::Quotient);
        let known = |node: &FloatNode| {
            let (a, d) = (node.inputs[0], node.inputs[1]);
            (0..graph.value_len(a)).filter(|&i| graph.normalised(a, d, i).is_some()).count()
        };
        quotients.map(known).sum()
    }

    fn count(graph: &Graph, name: &str) -> usize {
        graph.nodes.iter().filter(|node| node.name == name).count()
    }

    fn weights(graph: &Graph) -> usize {
        graph.nodes.iter().map(FloatNode::weight_count).sum()
    }

    /// Means, subtractions and weights, before and after.
    fn counts((plain, graph): &(Graph, Graph)) -> [(usize, usize, usize); 2] {
        [plain, graph].map(|graph| (count(graph, "mean"), count(graph, "less"), weights(graph)))
    }

    #[test]
    fn a_stream_is_carried_centred() {
        for layout in [Layout::Together, Layout::Apart] {
            let mut model = Model::new(layout, 9);
            let mut x = model.linear(0, 4);
            for _ in 0..2 {
                x = model.block(x);
            }
            let last = model.normalised(x);
            model.output(last);
            let graphs = model.carried();
            assert_eq!(normalised(&graphs.0), 3 * 4 * TOKENS);
            let [before, after] = counts(&graphs);
            assert_eq!((before.0, before.1), (3, 3));
            // per element one weight in a mean and two where it is subtracted; the last sum, two more of each element, is in the
            // mean and in what is left before, and in that alone after
            assert_eq!(after, (0, 1, before.2 - (3 * 3 + 1) * 4 * TOKENS));
        }
    }

    #[test]
    fn a_normalisation_after_a_linear_layer_needs_no_mean() {
        for inputs in [2, 5, 40] {
            let mut model = Model::new(Layout::Together, inputs);
            let x = model.linear(0, 6);
            let y = model.normalised(x);
            model.output(y);
            let graphs = model.carried();
            let [before, after] = counts(&graphs);
            assert_eq!((before.0, after.0), (1, 0));
            assert_eq!(after.2, before.2 - if inputs == 40 { 18 * TOKENS } else { TOKENS * (6 + inputs) });
        }
    }

    #[test]
    fn offsets_are_carried() {
        let mut model = Model::new(Layout::Together, 9);
        let x = model.linear(0, 4);
        // such as of positions
        let x = model.sum("shift", 4, &[x], |i, _, k| f64::from(i == k), |i| 1.0 + i as f64);
        let y = model.block(x);
        let mean = model.mean(y);
        for shift in [0.5, 2.0] {
            let weight = |i: usize, value: usize, k: usize| [f64::from(i == k), -1.0][value];
            let d = model.sum("shifted", 4, &[y, mean], weight, |i| shift * i as f64);
            let out = model.standardised(d);
            model.output(out);
        }
        let graphs = model.carried();
        let [_, after] = counts(&graphs);
        assert_eq!((after.0, after.1), (0, 0));
        // the second is the first, and a constant
        let shifted: Vec<_> = graphs.1.nodes.iter().filter(|node| node.name == "shifted").collect();
        assert_eq!((shifted.len(), shifted[0].weight_count()), (1, 4 * TOKENS));
    }

    /// What is centred is centred again, which does nothing, and has something added to it before, or after.
    #[test]
    fn what_is_centred_may_be_centred_again() {
        for shift in [0.0, 2.0] {
            let mut model = Model::new(Layout::Together, 9);
            let x = model.linear(0, 4);
            let x = model.block(x);
            let mean = model.mean(x);
            let d = model.less(x, mean);
            let y = model.standardised(d);
            model.output(y);
            let hidden = model.push("relu", FloatOp::Relu, &[y]);
            let update = model.linear(hidden, 4);
            let z = model.add(d, update);
            let z = model.sum("shift", 4, &[z], |i, _, k| f64::from(i == k), |i| shift * i as f64);
            let last = model.normalised(z);
            model.output(last);
            let mean = model.mean(d);
            let weight = |i: usize, value: usize, k: usize| [f64::from(i == k), -1.0][value];
            let again = model.sum("again", 4, &[d, mean], weight, |i| 1.0 + i as f64);
            let squares = model.push("squares", FloatOp::Square, &[again]);
            model.output(squares);
            let [before, after] = counts(&model.carried());
            assert!(after.2 < before.2 && after.0 < before.0);
        }
    }

    #[test]
    fn vectors_are_selected_and_averaged() {
        for averaged in [false, true] {
            let mut model = Model::new(Layout::Together, 9);
            let x = model.linear(0, 4);
            let x = model.block(x);
            let mut rows = AffineBuilder::new(4 * TOKENS);
            for i in 0..4 {
                let read = if averaged { 0..TOKENS } else { 1..2 };
                rows.push(read.map(|token| (4 * token + i, 1.0)).collect(), 0.0);
            }
            let pooled = model.push("pooled", FloatOp::Affine(rows.finish()), &[x]);
            let mut means = AffineBuilder::new(4);
            means.push((0..4).map(|i| (i, 0.25)).collect(), 0.0);
            let mean = model.push("mean", FloatOp::Affine(means.finish()), &[pooled]);
            let mut less = AffineBuilder::new(5);
            (0..4).for_each(|i| less.push(vec![(i, 1.0), (4, -1.0)], 0.0));
            let d = model.push("less", FloatOp::Affine(less.finish()), &[pooled, mean]);
            let y = model.push("squares", FloatOp::Square, &[d]);
            model.output(y);
            let [before, after] = counts(&model.carried());
            assert_eq!((before.0, after.0), (2, 0));
        }
    }

    #[test]
    fn what_is_read_otherwise_assert_left() {
        let stream = || {
            let mut model = Model::new(Layout::Together, 9);
            let x = model.linear(0, 4);
            let y = model.block(x);
            let last = model.normalised(y);
            model.output(last);
            (model, x, y)
        };
        let (model, ..) = stream();
        let [before, after] = counts(&model.carried());
        assert!(after.2 < before.2);
        // an output
        let (mut model, _, y) = stream();
        model.output(y);
        model.assert_left();
        // of a function, of a sum that is none of means
        let (mut model, _, y) = stream();
        let relu = model.push("relu", FloatOp::Relu, &[y]);
        model.output(relu);
        model.assert_left();
        let (mut model, _, y) = stream();
        let sums = model.linear(y, 2);
        let relu = model.push("relu", FloatOp::Relu, &[sums]);
        model.output(relu);
        model.assert_left();
        // the mean itself
        let (mut model, _, y) = stream();
        let mean = model.mean(y);
        model.output(mean);
        model.assert_left();
    }

    /// What follows a value that has to be there is carried, and that value is centred beside it.
    #[test]
    fn a_stream_begins_after_what_is_read_otherwise() {
        let mut model = Model::new(Layout::Apart, 9);
        let x = model.push("relu", FloatOp::Relu, &[0]);
        let x = model.block(x);
        model.output(x);
        let x = model.block(x);
        let x = model.block(x);
        let last = model.normalised(x);
        model.output(last);
        let [before, after] = counts(&model.carried());
        // the first stays; the output is centred by two maps; the last sum is where it was less its mean
        assert_eq!(((before.0, before.1), (after.0, after.1)), ((4, 4), (1, 4)));
        assert!(after.2 < before.2);
        // with one normalisation nothing is gained
        let mut model = Model::new(Layout::Apart, 9);
        let x = model.push("relu", FloatOp::Relu, &[0]);
        let y = model.normalised(x);
        model.output(y);
        model.assert_left();
    }

    #[test]
    fn other_sums_are_no_means() {
        let model = |weight: fn(usize) -> f64, own: fn(usize) -> f64| {
            let mut model = Model::new(Layout::Together, 9);
            let x = model.linear(0, 4);
            let relu = model.push("relu", FloatOp::Relu, &[0]);
            let x = model.sum(
                "add",
                4,
                &[x, relu],
                |i, value, k| if value == 0 { f64::from(i == k) } else { 0.3 + (i * k) as f64 },
                |_| 0.0,
            );
            let mean = model.sum("mean", 1, &[x], |_, _, k| weight(k), |_| 0.0);
            let less = |i: usize, value: usize, k: usize| {
                if value == 1 {
                    -1.0
                } else if i == k {
                    own(i)
                } else {
                    0.0
                }
            };
            let d = model.sum("less", 4, &[x, mean], less, |_| 0.0);
            let y = model.standardised(d);
            model.output(y);
            model
        };
        let [before, after] = counts(&model(|_| 0.25, |_| 1.0).carried());
        assert!(after.2 < before.2);
        model(|k| if k == 2 { 0.25 + 1e-6 } else { 0.25 }, |_| 1.0).assert_left();
        model(|k| [0.25, 0.25, 0.25, 0.0][k], |_| 1.0).assert_left();
        model(|_| 0.2, |_| 1.0).assert_left();
        model(|_| 0.25, |i| if i == 1 { 2.0 } else { 1.0 }).assert_left();
    }

    #[test]
    fn maps_that_would_get_more_weights_are_left() {
        let model = |spread: usize| {
            let mut model = Model::new(Layout::Together, 16);
            let weight =
                |i: usize, _: usize, k: usize| if (i + 16 - k) % 16 < spread { (i * i + k) as f64 } else { 0.0 };
            let x = model.sum("sparse", 16, &[0], weight, |_| 1.0);
            let x = model.block(x);
            let y = model.normalised(x);
            model.output(y);
            model
        };
        model(2).assert_left();
        let [before, after] = counts(&model(14).carried());
        assert_eq!(after.0, 0);
        assert!(after.2 < before.2);
    }

    /// Sums of roundings are no weights.
    #[test]
    fn what_is_centred_stays_sparse() {
        let mut model = Model::new(Layout::Together, 6);
        let weights = [0.1, 0.2, -0.3, 0.0, 0.0, 0.0];
        let x = model.sum("sparse", 6, &[0], |i, _, k| weights[(i + k) % 6], |i| weights[i]);
        let y = model.normalised(x);
        model.output(y);
        let graphs = model.carried();
        let map = graphs.1.nodes.iter().find_map(|node| match &node.op {
            FloatOp::Affine(map) => Some(map),
            _ => None,
        });
        let map = map.unwrap();
        assert_eq!(
            (map.weights.len(), map.bias.iter().filter(|bias| **bias == 0.0).count()),
            (18 * TOKENS, 3 * TOKENS)
        );
    }

    /// A mean and a subtraction that are one map.
    #[test]
    fn weights_of_a_centring_are_known() {
        for layout in [Layout::Together, Layout::Apart] {
            let mut model = Model::new(layout, 9);
            let x = model.linear(0, 4);
            let x = model.block(x);
            let weight = |i: usize, _: usize, k: usize| if i == k { 0.75 } else { -0.25 };
            let d = model.sum("matrix", 4, &[x], weight, |_| 0.0);
            let squares = model.push("squares", FloatOp::Square, &[d]);
            model.output(squares);
            let x = model.block(x);
            let y = model.normalised(x);
            model.output(y);
            let graphs = model.carried();
            let [before, after] = counts(&graphs);
            assert_eq!([&graphs.0, &graphs.1].map(|graph| count(graph, "matrix")), [1, 0]);
            assert_eq!((before.0, after.0), (3, 0));
        }
    }
}
