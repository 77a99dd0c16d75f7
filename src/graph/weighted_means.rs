//! Weighted means: `sum (e_j / s) v_j` is `(sum e_j v_j) / s`.
//!
//! An attention divides the weights of its means, one for every pair of positions, by their sums. Where the results have fewer
//! elements than the weights, these are divided instead. That no mean is beyond what it is of, whatever the weights, is known of it all
//! the same: see `parts::means` for integers, and [`Graph::mean`].

use super::float::{FloatNode, FloatOp, Graph};
use super::norms::Term;
use super::spans::Span;
use super::{Affine, AffineBuilder};
use crate::ops::Product;

/// A product of matrices, of which every row or every column of one is of quotients by one number.
struct Weighted {
    /// Which operand of the product that is.
    side: usize,
    quotient: usize,
    dividends: usize,
    /// What the operand is of the quotients, if it is not all in their order.
    through: Option<Affine<f64, f64>>,
    /// Per result of the product its divisor, of what these values are.
    divisors: Affine<f64, f64>,
    divisor_inputs: Vec<usize>,
}

impl Graph {
    /// Products of matrices of which one is of quotients, the same divisor for all that one result reads, become quotients of
    /// products, where these are fewer. The function computed is the same, up to rounding in `f64`.
    ///
    /// Quotients by a norm of the dividends stay: more is known of them (see [`super::norms`]).
    pub fn divide_sums(&mut self) {
        let mut readers = vec![0usize; self.inputs.len() + self.nodes.len()];
        let read = self.nodes.iter().flat_map(|node| &node.inputs).chain(self.outputs.iter().map(|output| &output.1));
        read.for_each(|&id| readers[id] += 1);
        let alone = |&id: &usize| self.chain(id).is_some_and(|chain| chain.iter().all(|&id| readers[id] == 1));
        let operands = |node: &FloatNode| match node.op {
            FloatOp::Product(_) => node.inputs.iter().map(alone).collect(),
            _ => vec![],
        };
        let alone: Vec<Vec<bool>> = self.nodes.iter().map(operands).collect();
        let mut changed = false;
        self.rewrite(|graph, i, node| match graph.weighted(&node, &alone[i]) {
            None => graph.append(node),
            Some(found) => {
                changed = true;
                graph.divide_after(node, found)
            }
        });
        if changed {
            self.drop_unused();
        }
    }

    fn divide_after(&mut self, mut node: FloatNode, found: Weighted) -> usize {
        let Weighted { side, quotient, dividends, through, divisors, divisor_inputs } = found;
        let FloatNode { name, onnx_op, .. } = self.nodes[quotient - self.inputs.len()].clone();
        let own = |op, inputs| FloatNode { name: name.clone(), onnx_op: onnx_op.clone(), op, inputs };
        node.inputs[side] = match through {
            Some(map) => self.append(own(FloatOp::Affine(map), vec![dividends])),
            None => dividends,
        };
        let sums = self.append(node);
        let divisors = self.append(own(FloatOp::Affine(divisors), divisor_inputs));
        self.append(own(FloatOp::Quotient, vec![sums, divisors]))
    }

    /// The values from one to the quotients that it is of, through linear maps of single values.
    fn chain(&self, mut id: usize) -> Option<Vec<usize>> {
        let mut chain = vec![id];
        loop {
            match self.op_and_inputs(id)? {
                (FloatOp::Quotient, _) => return Some(chain),
                (FloatOp::Affine(map), &[next]) if map.bias.iter().all(|&bias| bias == 0.0) => id = next,
                _ => return None,
            }
            chain.push(id);
        }
    }

    /// The quotients that a value is of, and the map through which it is, if there is one.
    fn quotients_behind(&self, id: usize) -> Option<(usize, Option<Affine<f64, f64>>)> {
        let chain = self.chain(id)?;
        let (quotient, maps) = chain.split_last()?;
        let mut through: Option<Affine<f64, f64>> = None;
        for &id in maps {
            let (FloatOp::Affine(next), _) = self.op_and_inputs(id)? else { return None };
            through = Some(match through {
                Some(map) => map.compose(0, next, map.weights.len() + next.weights.len())?,
                None => next.clone(),
            });
        }
        Some((*quotient, through))
    }

    fn weighted(&self, node: &FloatNode, alone: &[bool]) -> Option<Weighted> {
        let FloatOp::Product(product) = &node.op else { return None };
        let sides = node.inputs.iter().zip(alone).enumerate().filter(|(_, (_, alone))| **alone);
        sides.map(|(side, (&id, _))| (side, id)).find_map(|(side, id)| self.weighted_by(product, side, id))
    }

    fn weighted_by(&self, product: &Product, side: usize, id: usize) -> Option<Weighted> {
        let Product { rows, inner, columns, .. } = *product;
        let (quotient, through) = self.quotients_behind(id)?;
        let (_, &[dividends, divisor]) = self.op_and_inputs(quotient)? else { return None };
        // rows of the left matrices or columns of the right ones, and the results that read them
        let of_column = |at: usize, rows: usize| at / (rows * columns) * columns + at % columns;
        let line = |element: usize| if side == 0 { element / inner } else { of_column(element, inner) };
        let line_of_result = |j: usize| if side == 0 { j / columns } else { of_column(j, rows) };
        let mut used = vec![false; self.value_len(quotient)];
        let mut by: Vec<Option<usize>> = vec![None; product.output_len().max(self.value_len(id))];
        for element in 0..self.value_len(id) {
            let read = match &through {
                Some(map) => map.row(element).map(|(column, _)| column).collect(),
                None => vec![element],
            };
            for place in read {
                let first = *by[line(element)].get_or_insert(place);
                used[place] = true;
                if !self.same_element(divisor, first, place) || self.normalised(dividends, divisor, place).is_some() {
                    return None;
                }
            }
        }
        let quotients = used.iter().enumerate().filter(|(i, used)| **used && !self.is_constant(dividends, *i)).count();
        let any = by.iter().find_map(|by| *by)?;
        if product.output_len() >= quotients {
            return None;
        }
        let places = (0..product.output_len()).map(|j| by[line_of_result(j)].unwrap_or(any));
        let (divisors, divisor_inputs) = match self.op_and_inputs(divisor) {
            Some((FloatOp::Affine(map), inputs)) => {
                let mut rows = AffineBuilder::new(map.input_len);
                places.for_each(|place| rows.push(map.row(place).collect(), map.bias[place]));
                (rows.finish(), inputs.to_vec())
            }
            _ => (Affine::selection(self.value_len(divisor), places), vec![divisor]),
        };
        Some(Weighted { side, quotient, dividends, through, divisors, divisor_inputs })
    }

    /// Whether two elements of a value are the same number whatever the input, as far as the map that computes them tells.
    fn same_element(&self, id: usize, one: usize, other: usize) -> bool {
        let same = |map: &Affine<f64, f64>| map.row(one).eq(map.row(other)) && map.bias[one] == map.bias[other];
        one == other || matches!(self.op_and_inputs(id), Some((FloatOp::Affine(map), _)) if same(map))
    }

    /// Whether an element is a number that no input changes, as far as single operands tell.
    fn is_constant(&self, mut id: usize, mut element: usize) -> bool {
        while let Some((op, inputs)) = self.op_and_inputs(id) {
            match op {
                FloatOp::Affine(map) => {
                    let mut row = map.row(element);
                    match (row.next(), row.next()) {
                        (None, _) => return true,
                        (Some((column, _)), None) => match self.place(inputs, column) {
                            Some(place) => (id, element) = place,
                            None => return false,
                        },
                        _ => return false,
                    }
                }
                FloatOp::Function(_) | FloatOp::Relu | FloatOp::Square | FloatOp::Sqrt | FloatOp::Round(_) => {
                    id = inputs[0];
                }
                _ => return false,
            }
        }
        false
    }

    /// Interval of `a[i] / d[i]` if that is a sum of products over the sum of what is multiplied in them, which is not negative: between
    /// zero and the extremes of the other factors. `spans` are those of all values before.
    pub(super) fn mean(&self, spans: &[Vec<Span>], a: usize, d: usize, i: usize) -> Option<Span> {
        let sum = self.equal(Term { id: a, element: i, factor: 1.0 });
        let (FloatOp::Product(product), operands) = self.op_and_inputs(sum.id)? else { return None };
        let divisor = self.at_least(Term { id: d, element: i, factor: 1.0 });
        let (FloatOp::Affine(map), inputs) = self.op_and_inputs(divisor.id)? else { return None };
        let mut members = vec![];
        for (column, weight) in map.row(divisor.element) {
            let (id, element) = self.place(inputs, column)?;
            let Term { id, element, factor } = self.equal(Term { id, element, factor: weight * divisor.factor });
            (factor > 0.0 && spans[id][element].0 >= 0.0).then(|| members.push(((id, element), factor)))?;
        }
        members.sort_unstable_by_key(|member| member.0);
        members.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            kept.1 += if same { next.1 } else { 0.0 };
            same
        });
        if map.bias[divisor.element] < 0.0 || product.inner < 2 {
            return None;
        }
        // per member what it is times, over its weight
        let mut factors = vec![(0.0, 0.0); members.len()];
        for (left, right) in product.terms(sum.element) {
            let (left, right) = (self.place(operands, left)?, self.place(operands, right)?);
            let (weight, at, other) = [(left, right), (right, left)].into_iter().find_map(|(one, other)| {
                let Term { id, element, factor } = self.equal(Term { id: one.0, element: one.1, factor: sum.factor });
                let at = members.binary_search_by_key(&(id, element), |member| member.0).ok()?;
                Some((factor / members[at].1, at, other))
            })?;
            let (a, b) = spans[other.0][other.1];
            let (a, b) = (weight * a, weight * b);
            factors[at] = (factors[at].0 + a.min(b), factors[at].1 + a.max(b));
        }
        Some(factors.into_iter().fold((0.0, 0.0), |(lo, hi): Span, (a, b)| (lo.min(a), hi.max(b))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Function, GraphInput, Spans};

    const LEFT: Product = Product { batch: 2, rows: 5, inner: 6, columns: 3 };
    const RIGHT: Product = Product { batch: 2, rows: 3, inner: 6, columns: 5 };

    /// Rows of the left matrices or columns of the right ones, by element.
    fn lines(product: Product, side: usize) -> Vec<usize> {
        let Product { batch, rows, inner, columns } = product;
        match side {
            0 => (0..batch * rows * inner).map(|i| i / inner).collect(),
            _ => (0..batch * inner * columns).map(|i| i / (inner * columns) * columns + i % columns).collect(),
        }
    }

    fn sums(lines: &[usize]) -> FloatOp {
        let mut rows = AffineBuilder::new(lines.len());
        for line in 0..=lines.iter().copied().max().unwrap_or(0) {
            rows.push((0..lines.len()).filter(|&i| lines[i] == line).map(|i| (i, 1.0)).collect(), 0.0);
        }
        FloatOp::Affine(rows.finish())
    }

    /// A factor for every element, and none for some.
    fn scaled(len: usize, factor: impl Fn(usize) -> f64) -> FloatOp {
        let mut rows = AffineBuilder::new(len);
        (0..len).for_each(|i| rows.push(vec![(i, factor(i))], 0.0));
        FloatOp::Affine(rows.finish())
    }

    /// The product on one side of which are exponentials over the sums of their lines, `through` a map if there is one; values 5, 6
    /// and the last.
    fn attention(product: Product, side: usize, through: Option<FloatOp>) -> Graph {
        let lines = lines(product, side);
        let values = product.batch * product.inner * if side == 0 { product.columns } else { product.rows };
        let len = lines.len() + values;
        let count = lines.iter().max().unwrap() + 1;
        let results = product.output_len();
        let read = if through.is_some() { 6 } else { 5 };
        let nodes = [
            (FloatOp::Affine(Affine::selection(len, 0..lines.len())), vec![0]),
            (FloatOp::Function(Function::Exp), vec![1]),
            (sums(&lines), vec![2]),
            (FloatOp::Affine(Affine::selection(count, lines.iter().copied())), vec![3]),
            (FloatOp::Quotient, vec![2, 4]),
            (through.unwrap_or(FloatOp::Relu), vec![5]),
            (FloatOp::Affine(Affine::selection(len, lines.len()..len)), vec![0]),
            (FloatOp::Product(product), if side == 0 { vec![read, 7] } else { vec![7, read] }),
            (FloatOp::Affine(Affine::selection(results, (0..results).rev())), vec![8]),
        ];
        let node = |(op, inputs)| FloatNode { name: "n".into(), onnx_op: "N".into(), op, inputs };
        let mut graph = Graph {
            inputs: vec![GraphInput { name: "x".into(), shape: vec![1, len], integer: false, limits: None }],
            nodes: nodes.into_iter().map(node).collect(),
            outputs: vec![("y".into(), 9, vec![results])],
        };
        graph.drop_unused();
        graph
    }

    /// How many quotients there are after sums are divided where that pays off: the function is the same.
    fn divided(mut graph: Graph) -> usize {
        let input = |s: usize| (0..graph.input_len()).map(|i| ((5 * i + 3 * s) % 7) as f64 / 3.0 - 1.0).collect();
        let inputs: Vec<Vec<f64>> = (0..5).map(input).collect();
        let expected: Vec<Vec<f64>> = inputs.iter().map(|x| graph.eval(x)).collect();
        let before = graph.clone();
        graph.divide_sums();
        for (x, expected) in inputs.iter().zip(&expected) {
            let same = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-12;
            assert!(graph.eval(x).iter().zip(expected).all(same));
        }
        assert!(graph.nodes.iter().enumerate().all(|(i, node)| node.inputs.iter().all(|&id| id <= i)));
        let lens = |graph: &Graph| -> usize {
            let quotients = (0..graph.nodes.len()).filter(|&i| graph.nodes[i].op == FloatOp::Quotient);
            quotients.map(|i| graph.value_len(i + 1)).sum()
        };
        assert!(lens(&graph) < lens(&before) || graph == before);
        lens(&graph)
    }

    #[test]
    fn fewer_sums_than_weights_are_divided() {
        for (product, side) in [(LEFT, 0), (RIGHT, 1)] {
            assert_eq!(divided(attention(product, side, None)), 30);
            // some are left out, a whole line of them
            let through = scaled(60, |i| if i < 6 || i % 5 == 1 { 0.0 } else { 0.5 });
            assert_eq!(divided(attention(product, side, Some(through))), 30, "{side}");
        }
        // two maps after one another, of which the latter repeats elements
        let mut graph = attention(LEFT, 0, Some(scaled(60, |_| 0.5)));
        let repeats = FloatOp::Affine(Affine::selection(60, (0..60).map(|i| i - i % 6 + i % 6 / 2)));
        graph.nodes.insert(6, FloatNode { op: repeats, inputs: vec![6], ..graph.nodes[5].clone() });
        graph.nodes[8].inputs = vec![7, 8];
        graph.nodes[9].inputs = vec![9];
        graph.outputs[0].1 = 10;
        assert_eq!(divided(graph.clone()), 60);
        let narrow = Product { columns: 2, ..LEFT };
        graph.nodes[8].op = FloatOp::Product(narrow);
        graph.nodes[7].op = FloatOp::Affine(Affine::selection(96, 60..84));
        graph.nodes[9].op = scaled(20, |_| 1.0);
        graph.outputs[0].2 = vec![20];
        assert_eq!(divided(graph), 20);
        // sums may be spread and added up in one map
        let mut graph = attention(LEFT, 0, None);
        let (FloatOp::Affine(sums), FloatOp::Affine(spread)) = (&graph.nodes[2].op, &graph.nodes[3].op) else {
            panic!()
        };
        graph.nodes[3].op = FloatOp::Affine(spread.compose(0, sums, 1000).unwrap());
        graph.nodes[3].inputs = vec![2];
        assert_eq!(divided(graph), 30);
    }

    #[test]
    fn as_many_sums_are_not() {
        let wide = Product { columns: 6, ..LEFT };
        assert_eq!(divided(attention(wide, 0, None)), 60);
        // weights that are left out do not count, and neither do constants
        let few = scaled(60, |i| f64::from(u8::from(i % 2 == 0)));
        assert_eq!(divided(attention(LEFT, 0, Some(few))), 60);
        for (constants, quotients) in [(29, 30), (30, 60)] {
            let mut graph = attention(LEFT, 0, None);
            let mut scores = AffineBuilder::new(96);
            (0..60).for_each(|i| scores.push(if i < constants { vec![] } else { vec![(i, 1.0)] }, -1.0));
            graph.nodes[0].op = FloatOp::Affine(scores.finish());
            assert_eq!(divided(graph), quotients);
        }
    }

    #[test]
    fn quotients_that_are_read_elsewhere_stay() {
        for through in [None, Some(scaled(60, |_| 2.0))] {
            let graph = || attention(LEFT, 0, through.clone());
            for id in 5..=if through.is_some() { 6 } else { 5 } {
                let mut output = graph();
                output.outputs.push(("w".into(), id, vec![60]));
                assert_eq!(divided(output), 60);
                let mut reader = graph();
                let relu = reader.append(FloatNode { op: FloatOp::Relu, inputs: vec![id], ..reader.nodes[1].clone() });
                reader.outputs.push(("w".into(), relu, vec![60]));
                assert_eq!(divided(reader), 60);
            }
        }
        // an offset is not a multiple
        let mut offset = AffineBuilder::new(60);
        (0..60).for_each(|i| offset.push(vec![(i, 1.0)], 0.1));
        assert_eq!(divided(attention(LEFT, 0, Some(FloatOp::Affine(offset.finish())))), 60);
    }

    #[test]
    fn divisors_that_differ_within_a_line_are_not_taken_out() {
        for (product, side) in [(LEFT, 0), (RIGHT, 1)] {
            let mut graph = attention(product, side, None);
            let mut places = lines(product, side);
            places[7] = (places[7] + 1) % 10;
            graph.nodes[3].op = FloatOp::Affine(Affine::selection(10, places));
            assert_eq!(divided(graph), 60);
            // each by its own
            let mut graph = attention(product, side, None);
            graph.nodes[3] =
                FloatNode { op: FloatOp::Function(Function::Exp), inputs: vec![1], ..graph.nodes[3].clone() };
            assert_eq!(divided(graph), 60);
        }
    }

    #[test]
    fn quotients_by_their_norm_stay() {
        let mut graph = attention(LEFT, 0, None);
        graph.nodes[1].op = FloatOp::Square;
        graph.nodes.insert(3, FloatNode { op: FloatOp::Sqrt, inputs: vec![3], ..graph.nodes[1].clone() });
        graph.nodes[4].inputs = vec![4];
        graph.nodes[5].inputs = vec![1, 5];
        graph.nodes[7].inputs = vec![6, 7];
        graph.nodes[8].inputs = vec![8];
        graph.outputs[0].1 = 9;
        assert_eq!(divided(graph), 60);
    }

    #[test]
    fn means_are_within_what_they_are_of() {
        for (product, side) in [(LEFT, 0), (RIGHT, 1)] {
            let mut graph = attention(product, side, None);
            graph.divide_sums();
            let last = graph.outputs[0].1;
            let of = |graph: &Graph| {
                let values = [(-2.0, 4.0), (1.0, 2.0)].into_iter().cycle().take(36);
                Spans::new(graph, std::iter::repeat_n((-3.0, 1.0), 60).chain(values))
            };
            let spans = of(&graph);
            let hull = spans.of(last).iter().fold((0.0f64, 0.0f64), |a, b| (a.0.min(b.0), a.1.max(b.1)));
            assert_eq!(hull, (-2.0, 4.0));
            assert!(side == 1 || spans.of(last).iter().any(|&span| span.1 <= 4.0));
            // the sum lacks one, or a weight may be negative
            let sum =
                graph.nodes.iter().position(|node| matches!(&node.op, FloatOp::Affine(map) if map.output_len() == 10));
            let mut rows = AffineBuilder::new(60);
            let lines = lines(product, side);
            for line in 0..10 {
                let own = (0..60).filter(|&i| lines[i] == line && i != 0).map(|i| (i, 1.0)).collect();
                rows.push(own, if line == 0 { 1.0 } else { 0.0 });
            }
            let mut other = graph.clone();
            other.nodes[sum.unwrap()].op = FloatOp::Affine(rows.finish());
            let wide = |graph: &Graph| of(graph).of(last).iter().filter(|span| span.1 > 4.0 || span.0 < -2.0).count();
            assert_eq!(wide(&other), 3);
            graph.nodes[1].op = FloatOp::Square;
            let mut negative = graph.clone();
            negative.nodes[1].op = scaled(60, |_| 1.0);
            assert_eq!((wide(&graph), wide(&negative)), (0, 30));
        }
    }
}
