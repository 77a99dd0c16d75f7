//! Conjunctions: of booleans `a` and `b`, `max(a + b - 1, 0)` is `a b`, and `max(a - b, 0)` is `a (1 - b)`. Which nodes of a decision
//! tree are reached is said so.

use super::{IntegerModel, Interval};
use crate::ops::Op;

const BOOLEAN: Interval = Interval { lo: 0, hi: 1 };

/// The booleans, by tensor and index in it, of which an element of a ReLU is the conjunction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conjunction {
    pub left: (usize, usize),
    pub right: (usize, usize),
    /// Whether it is that of `left` and of what `right` is not.
    pub negated: bool,
}

impl IntegerModel {
    /// The conjunction that an element of the result of a node is; `None` if it is none, or if the ranges of what it reads do not
    /// say so.
    pub fn conjunction(&self, node: usize, element: usize) -> Option<Conjunction> {
        let (Op::Relu, &[read]) = (&self.nodes[node].op, self.nodes[node].inputs.as_slice()) else { return None };
        let sums = &self.nodes[read.checked_sub(1)?];
        let Op::Linear(map) = &sums.op else { return None };
        let mut terms = map.row(element);
        let (Some((first, v)), Some((second, w)), None) = (terms.next(), terms.next(), terms.next()) else {
            return None;
        };
        let (left, right, negated) = match (v, w, map.bias[element]) {
            (1, 1, -1) => (first, second, false),
            (1, -1, 0) => (first, second, true),
            (-1, 1, 0) => (second, first, true),
            _ => return None,
        };
        let boolean = |column| self.place(&sums.inputs, column).filter(|&place| self.range(place) == BOOLEAN);
        Some(Conjunction { left: boolean(left)?, right: boolean(right)?, negated })
    }

    /// Per tensor, the last node that reads it, as an operand or as one of a conjunction; none for what the public values read, and
    /// for what nothing reads.
    pub fn last_readers(&self) -> Vec<Option<usize>> {
        let mut readers = vec![None; self.nodes.len() + 1];
        for (i, node) in self.nodes.iter().enumerate() {
            node.inputs.iter().for_each(|&input| readers[input] = Some(i));
            let conjunctions = (0..node.ranges.len()).filter_map(|element| self.conjunction(i, element));
            conjunctions.flat_map(|of| [of.left, of.right]).for_each(|(tensor, _)| readers[tensor] = Some(i));
        }
        let hashed = self.digests.iter().flat_map(|digest| self.hashed(digest).values).map(|value| value.tensor);
        self.outputs.iter().map(|output| output.tensor).chain(hashed).for_each(|tensor| readers[tensor] = None);
        readers
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::circuit::testing::{linear, push, single_op};

    /// The ReLU of a sum of two of the inputs.
    fn rectified(terms: &[(usize, i64)], bias: i128, domain: &[(i128, i128)]) -> IntegerModel {
        let mut row = vec![0; domain.len()];
        terms.iter().for_each(|&(i, w)| row[i] = w);
        let mut model = single_op(linear(domain.len(), &[row], vec![bias]), domain);
        push(&mut model, Op::Relu, vec![1]);
        model
    }

    #[test]
    fn sums_of_two_booleans_are_told_apart() {
        let booleans = [(0, 1), (-1, 1), (0, 1)];
        let found = |terms: &[(usize, i64)], bias| rectified(terms, bias, &booleans).conjunction(1, 0);
        let of = |left, right, negated| Some(Conjunction { left: (0, left), right: (0, right), negated });
        assert_eq!(found(&[(0, 1), (2, 1)], -1), of(0, 2, false));
        assert_eq!(found(&[(0, 1), (2, -1)], 0), of(0, 2, true));
        assert_eq!(found(&[(0, -1), (2, 1)], 0), of(2, 0, true));
        for (terms, bias) in [
            (vec![(0, 1), (2, 1)], 0),
            (vec![(0, 1), (2, -1)], 1),
            (vec![(0, 2), (2, 1)], -1),
            (vec![(0, 1)], 0),
            (vec![(0, 1), (1, 1), (2, 1)], -1),
            (vec![(0, 1), (1, 1)], -1),
        ] {
            assert_eq!(found(&terms, bias), None, "{terms:?} {bias}");
        }
        let model = rectified(&[(0, 1), (2, 1)], -1, &booleans);
        assert_eq!(model.conjunction(0, 0), None, "the sum is none");
    }

    /// The values are those of the ReLU.
    #[test]
    fn a_conjunction_is_the_rectified_sum() {
        for (terms, bias) in [([(0, 1), (1, 1)], -1), ([(0, 1), (1, -1)], 0), ([(0, -1), (1, 1)], 0)] {
            let model = rectified(&terms, bias, &[(0, 1), (0, 1)]);
            let Conjunction { left, right, negated } = model.conjunction(1, 0).unwrap();
            for input in [[0, 0], [0, 1], [1, 0], [1, 1]] {
                let right = input[right.1];
                let expected = input[left.1] * if negated { 1 - right } else { right };
                assert_eq!(model.trace(&input)[2], [expected]);
            }
        }
    }
}
