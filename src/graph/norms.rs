//! Quotients by a norm: no element is greater than a multiple of the root of a sum of squares of which its own is one.
//!
//! Interval arithmetic does not see that, and ranges would grow from layer to layer. [`Graph::clamp_normalised`] finds
//! such quotients, however a model spells them, and clamps them to the bound, which changes no value but for rounding.

use super::float::{FloatNode, FloatOp, Graph};
use super::{Affine, AffineBuilder};

/// What bounds are widened by: enough for the roundings of most models, so that clamps are proved to do nothing, and cost nothing.
const ROOM: f64 = 1.0 + 1.0 / 64.0;

/// One element of a value, times a factor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Term {
    pub id: usize,
    pub element: usize,
    pub factor: f64,
}

/// An element of a normalised vector: a multiple of an element of one whose squares add up to at most one.
pub(super) struct Normalised {
    /// The root that divides them.
    pub group: (usize, usize),
    /// What is divided, but for a factor.
    pub member: (usize, usize),
    /// What it is times, as an element of such a vector: its bound, or less that.
    pub reach: f64,
}

impl Graph {
    /// Clamps every quotient `a / d` for which `d` is at least a positive multiple of `|a|` whatever the input, because
    /// `d` is a root of a sum of squares, plus nothing negative.
    pub fn clamp_normalised(&mut self) {
        self.rewrite(|graph, _, node| {
            let bounds = graph.quotient_bounds(&node);
            let (name, onnx_op) = (node.name.clone(), node.onnx_op.clone());
            let id = graph.append(node);
            let bounds = bounds.map(|bounds| bounds.into_iter().map(|bound| bound * ROOM).collect::<Vec<_>>());
            bounds.map_or(id, |bounds| graph.clamp(id, &bounds, &name, &onnx_op))
        });
    }

    /// `max(-bound, min(x, bound))`, in an order of which interval arithmetic sees both ends:
    /// `bound - max(2 bound - max(x + bound, 0), 0)`.
    fn clamp(&mut self, x: usize, bounds: &[f64], name: &str, onnx_op: &str) -> usize {
        let affine = |factor: f64, offset: f64| {
            let mut rows = AffineBuilder::new(bounds.len());
            bounds.iter().enumerate().for_each(|(i, bound)| rows.push(vec![(i, factor)], offset * bound));
            FloatOp::Affine(rows.finish())
        };
        let steps = [affine(1.0, 1.0), FloatOp::Relu, affine(-1.0, 2.0), FloatOp::Relu, affine(-1.0, 1.0)].into_iter();
        steps
            .fold(x, |x, op| self.append(FloatNode { name: name.into(), onnx_op: onnx_op.into(), op, inputs: vec![x] }))
    }

    /// The bound of every element of a quotient by norms of what is divided.
    fn quotient_bounds(&self, node: &FloatNode) -> Option<Vec<f64>> {
        let (FloatOp::Quotient, &[a, d]) = (&node.op, node.inputs.as_slice()) else { return None };
        (0..self.value_len(a)).map(|i| self.normalised(a, d, i).map(|element| element.reach.abs())).collect()
    }

    /// What is known of `a[i] / d[i]` if `d[i]` is at least a multiple of a root of a sum of squares, that of `a[i]` among them.
    pub(super) fn normalised(&self, a: usize, d: usize, i: usize) -> Option<Normalised> {
        // d >= factor * root
        let root = self.at_least(Term { id: d, element: i, factor: 1.0 });
        let FloatOp::Sqrt = self.op(root.id)? else { return None };
        let numerator = self.equal(Term { id: a, element: i, factor: 1.0 });
        let radicand = self.at_least(Term { id: self.inputs_of(root.id)?[0], element: root.element, factor: 1.0 });
        let mut bound = None;
        let mut include = |mut term: Term| {
            term = self.equal(term);
            let (FloatOp::Square, operand) = self.op_and_inputs(term.id)? else { return None };
            let squared = self.equal(Term { id: operand[0], element: term.element, factor: 1.0 });
            bound = bound.or(self.ratio(numerator, squared, term.factor, root.factor));
            (term.factor > 0.0).then_some(())
        };
        match self.op_and_inputs(radicand.id)? {
            (FloatOp::Affine(map), inputs) => {
                if map.bias[radicand.element] < 0.0 {
                    return None;
                }
                for (column, weight) in map.row(radicand.element) {
                    let (id, element) = self.place(inputs, column)?;
                    include(Term { id, element, factor: radicand.factor * weight })?;
                }
            }
            // the root of a square
            _ => include(radicand)?,
        }
        let group = (root.id, root.element);
        Some(Normalised { group, member: (numerator.id, numerator.element), reach: bound?.copysign(numerator.factor) })
    }

    /// `|numerator| / (factor * sqrt(weight) * |squared|)` if both are multiples of one element.
    fn ratio(&self, numerator: Term, squared: Term, weight: f64, factor: f64) -> Option<f64> {
        let same = (numerator.id, numerator.element) == (squared.id, squared.element);
        let bound = numerator.factor.abs() / (factor * weight.sqrt() * squared.factor.abs());
        (same && bound.is_finite() && bound > 0.0).then_some(bound)
    }

    fn op(&self, id: usize) -> Option<&FloatOp> {
        Some(self.op_and_inputs(id)?.0)
    }

    fn inputs_of(&self, id: usize) -> Option<&[usize]> {
        Some(self.op_and_inputs(id)?.1)
    }

    pub(super) fn op_and_inputs(&self, id: usize) -> Option<(&FloatOp, &[usize])> {
        let node = &self.nodes[id.checked_sub(self.inputs.len())?];
        Some((&node.op, &node.inputs))
    }

    /// The value and the element that a column of an affine map over `inputs` reads.
    pub(super) fn place(&self, inputs: &[usize], mut column: usize) -> Option<(usize, usize)> {
        for &id in inputs {
            match column.checked_sub(self.value_len(id)) {
                None => return Some((id, column)),
                Some(rest) => column = rest,
            }
        }
        None
    }

    /// The single term of an affine map's row, and its bias.
    fn single(&self, term: Term) -> Option<(Term, f64)> {
        let (FloatOp::Affine(map), inputs) = self.op_and_inputs(term.id)? else { return None };
        let (column, weight) = only(map, term.element)?;
        let (id, element) = self.place(inputs, column)?;
        Some((Term { id, element, factor: term.factor * weight }, map.bias[term.element]))
    }

    /// Where the same number comes from, through selections and scalings.
    pub(super) fn equal(&self, mut term: Term) -> Term {
        while let Some((next, bias)) = self.single(term)
            && bias == 0.0
        {
            term = next;
        }
        term
    }

    /// A number that `term` is not less than, if that is not negative, through selections, scalings and positive offsets.
    pub(super) fn at_least(&self, mut term: Term) -> Term {
        while let Some((next, bias)) = self.single(term)
            && bias >= 0.0
            && next.factor > 0.0
        {
            term = next;
        }
        term
    }
}

fn only(map: &Affine<f64, f64>, row: usize) -> Option<(usize, f64)> {
    let mut terms = map.row(row);
    terms.next().filter(|_| terms.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::GraphInput;

    /// `x - mean`, its squares, `sum weight * square + offset`, the root, `root + shift`, the quotients.
    fn normalisation(weight: f64, offset: f64, shift: f64) -> Graph {
        let map = |rows: &[&[f64]], bias: f64| {
            let mut map = AffineBuilder::new(rows[0].len());
            rows.iter().for_each(|row| map.push(row.iter().copied().enumerate().collect(), bias));
            FloatOp::Affine(map.finish())
        };
        let spread: [&[f64]; 2] = [&[1.0], &[1.0]];
        let nodes = [
            (map(&[&[0.5, -0.5], &[-0.5, 0.5]], 0.0), vec![0]),
            (FloatOp::Square, vec![1]),
            (map(&[&[0.5, weight]], offset), vec![2]),
            (FloatOp::Sqrt, vec![3]),
            (map(&spread, shift), vec![4]),
            (FloatOp::Quotient, vec![1, 5]),
            (map(&[&[3.0, 0.0], &[0.0, 3.0]], 0.0), vec![6]),
        ];
        let node = |(op, inputs)| FloatNode { name: "n".into(), onnx_op: "Div".into(), op, inputs };
        Graph {
            inputs: vec![GraphInput { name: "x".into(), shape: vec![1, 2], integer: false, limits: None }],
            nodes: nodes.into_iter().map(node).collect(),
            outputs: vec![("y".into(), 7, vec![2])],
        }
    }

    #[test]
    fn quotients_by_their_norm_are_clamped() {
        for (offset, shift) in [(0.0, 0.0), (0.01, 0.0), (0.01, 1e-3)] {
            let mut graph = normalisation(0.5, offset, shift);
            let plain = graph.clone();
            graph.clamp_normalised();
            assert_eq!(graph.nodes.len(), plain.nodes.len() + 5);
            for x in [[1.0, -1.0], [0.0, 1e-9], [100.0, 3.0]] {
                for (a, b) in graph.eval(&x).into_iter().zip(plain.eval(&x)) {
                    assert!((a - b).abs() < 1e-12 && a.abs() <= 3.0 * 2f64.sqrt());
                }
            }
        }
    }

    #[test]
    fn others_are_not() {
        for graph in [normalisation(-0.25, 1.0, 0.0), normalisation(0.5, -1e-3, 0.0), normalisation(0.5, 0.1, -1e-3)] {
            let mut clamped = graph.clone();
            clamped.clamp_normalised();
            assert_eq!(clamped, graph);
        }
        // the other number's square is not its own
        let mut graph = normalisation(0.0, 0.0, 0.0);
        graph.clamp_normalised();
        assert_eq!(graph.nodes.len(), 7);
    }
}
