//! Rescales that are put off, past sums, squares and products, to where there are fewer elements to rescale.
//!
//! A rescale costs rows for every bit of every element. What it drops can be carried through operators that scale with their
//! operands, until the next rescale drops it as well, or a new one behind a sum that joins many elements in one. Nothing is
//! rounded in between, so that the result is no less accurate.

use std::collections::BTreeSet;

use crate::{
    graph::{IntegerModel, IntegerNode, MAX_BITS, Output},
    ops::{Op, Rescale},
};

use super::scales::MAX_WEIGHT_BITS;

/// What rescaling an element costs beside its bits.
const ELEMENT: usize = 6;

/// Work of all that is tried for one model, in weights and elements.
const WORK: usize = 1 << 26;

/// The model with rescales put off for as long as that makes them cost less. Other operators are the same.
pub(super) fn deferred(mut model: IntegerModel) -> IntegerModel {
    let mut left = WORK / work(&model).max(1);
    if left < (0..model.nodes.len()).filter(|&i| is_candidate(&model, i)).count() {
        model = alike(model);
    }
    let mut improved = true;
    while std::mem::take(&mut improved) {
        let mut at = 0;
        while let Some(rescale) = (at..model.nodes.len()).find(|&i| is_candidate(&model, i)) {
            let Some(rest) = left.checked_sub(1) else { return model };
            left = rest;
            at = rescale + 1;
            if let Some(better) =
                without(&model, &BTreeSet::from([rescale])).filter(|better| cost(better) < cost(&model))
            {
                model = better;
                at = rescale;
                improved = true;
            }
        }
    }
    model
}

/// The same for all rescales of a kind together: the layers of a large model are alike.
fn alike(mut model: IntegerModel) -> IntegerModel {
    let kinds: BTreeSet<Kind> = (0..model.nodes.len()).filter_map(|i| kind(&model, i)).collect();
    for of in kinds {
        let rescales = (0..model.nodes.len()).filter(|&i| kind(&model, i) == Some(of)).collect();
        if let Some(better) = without(&model, &rescales).filter(|better| cost(better) < cost(&model)) {
            model = better;
        }
    }
    model
}

fn work(model: &IntegerModel) -> usize {
    let weights = |node: &IntegerNode| node.op.affine().map_or(0, |map| map.weights.len());
    model.nodes.iter().map(|node| weights(node) + node.ranges.len()).sum()
}

/// What all rescales cost.
fn cost(model: &IntegerModel) -> usize {
    let rescales = model.nodes.iter().filter(|node| matches!(node.op, Op::Rescale(_)));
    let ranges = rescales.flat_map(|node| node.inputs.iter().flat_map(|&id| model.ranges(id)));
    ranges.map(|range| range.bits() as usize + ELEMENT).sum()
}

/// Rescales of products, or that products read: those of sums are where they are for good reasons.
fn is_candidate(model: &IntegerModel, node: usize) -> bool {
    let multiplies = |op: &Op| matches!(op, Op::Square | Op::Product(_));
    let IntegerNode { op, inputs, .. } = &model.nodes[node];
    let made = || inputs.iter().filter_map(|id| id.checked_sub(1)).any(|n| multiplies(&model.nodes[n].op));
    let read = || readers(model, node + 1).any(|n| multiplies(&n.op));
    matches!(op, Op::Rescale(_)) && (made() || read())
}

/// Rescales of one kind: of as many elements, of the results of one operator and read by one operator.
type Kind = (usize, Option<&'static str>, Option<&'static str>);

fn kind(model: &IntegerModel, node: usize) -> Option<Kind> {
    if !is_candidate(model, node) {
        return None;
    }
    let name = |op: &Op| match op {
        Op::Square => "square",
        Op::Product(product) if product.inner == 1 => "product",
        Op::Product(_) => "products",
        Op::Linear(_) => "linear",
        _ => "other",
    };
    let IntegerNode { inputs, ranges, .. } = &model.nodes[node];
    let made = inputs[0].checked_sub(1).map(|n| name(&model.nodes[n].op));
    let read = readers(model, node + 1).map(|n| name(&n.op)).next();
    Some((ranges.len(), made, read))
}

fn readers(model: &IntegerModel, tensor: usize) -> impl Iterator<Item = &IntegerNode> {
    model.nodes.iter().filter(move |node| node.inputs.contains(&tensor))
}

/// A tensor, and how many bits of scale it has more than before.
#[derive(Clone, Copy)]
struct Moved {
    tensor: usize,
    excess: u32,
}

/// The model without these rescales; the excess is dropped further on. `None` if integers get too large.
fn without(model: &IntegerModel, rescales: &BTreeSet<usize>) -> Option<IntegerModel> {
    let mut next = Rebuilt { model: IntegerModel { nodes: vec![], outputs: vec![], ..model.clone() } };
    let mut moved = vec![Moved { tensor: 0, excess: 0 }];
    for (i, node) in model.nodes.iter().enumerate() {
        let operands: Vec<Moved> = node.inputs.iter().map(|&id| moved[id]).collect();
        let name = node.name.as_str();
        if let (true, Op::Rescale(Rescale { shift }), [operand]) =
            (rescales.contains(&i), &node.op, operands.as_slice())
        {
            moved.push(Moved { tensor: operand.tensor, excess: operand.excess + shift });
            continue;
        }
        let tensors = |operands: &[Moved]| operands.iter().map(|operand| operand.tensor).collect();
        let carried = match operands.iter().all(|operand| operand.excess == 0) {
            true => Some((node.op.clone(), 0)),
            false => {
                let lens: Vec<usize> = node.inputs.iter().map(|&id| model.tensor_len(id)).collect();
                carried(&node.op, &operands, &lens)?
            }
        };
        let result = match carried {
            Some((op, excess)) => next.push(name, op, tensors(&operands), excess)?,
            None => {
                // whoever reads them from here on reads them rescaled
                for &id in &node.inputs {
                    moved[id] = next.rescaled(name, moved[id])?;
                }
                let operands: Vec<Moved> = node.inputs.iter().map(|&id| moved[id]).collect();
                next.push(name, node.op.clone(), tensors(&operands), 0)?
            }
        };
        // sums are rescaled at once, unless that is what comes next
        let carries = |reader: &IntegerNode| match reader.op {
            Op::Rescale(_) => true,
            Op::Linear(_) | Op::Square | Op::Product(_) => !matches!(node.op, Op::Linear(_)),
            _ => false,
        };
        let is_output = model.outputs.iter().any(|output| output.tensor == i + 1);
        let goes_on = !is_output && readers(model, i + 1).all(carries);
        moved.push(if goes_on { result } else { next.rescaled(name, result)? });
    }
    for output in &model.outputs {
        let tensor = next.rescaled(&output.name, moved[output.tensor])?.tensor;
        next.model.outputs.push(Output { tensor, ..output.clone() });
    }
    Some(next.model)
}

/// The operator for operands that have bits in excess, and how many its results then have; `None` inside if it has to have its
/// operands as they were, outside if integers get too large.
fn carried(op: &Op, operands: &[Moved], lens: &[usize]) -> Option<Option<(Op, u32)>> {
    let excess: Vec<u32> = operands.iter().map(|operand| operand.excess).collect();
    Some(match (op, excess.as_slice()) {
        (Op::Rescale(Rescale { shift }), [excess]) => {
            let shift = shift + excess;
            (shift < MAX_BITS).then_some(())?;
            Some((Op::Rescale(Rescale { shift }), 0))
        }
        (Op::Square, [excess]) => Some((Op::Square, 2 * excess)),
        (Op::Product(product), [left, right]) if lens.first() == Some(&product.left_len()) => {
            Some((op.clone(), left + right))
        }
        (Op::Linear(map), excess) => {
            let most = excess.iter().copied().max().unwrap_or(0);
            let missing = excess.iter().zip(lens).flat_map(|(excess, &len)| std::iter::repeat_n(most - excess, len));
            let missing: Vec<u32> = missing.collect();
            let mut map = map.clone();
            // what all weights and biases have in common need not be multiplied in
            let zeros = |(weight, column): (&i64, &u32)| weight.trailing_zeros() + missing[*column as usize];
            let of_weights = map.weights.iter().zip(&map.columns).map(zeros);
            let of_biases = map.bias.iter().filter(|bias| **bias != 0).map(|bias| bias.trailing_zeros() + most);
            let common = of_weights.chain(of_biases).min().unwrap_or(0).min(most);
            for (weight, &column) in map.weights.iter_mut().zip(&map.columns) {
                let shift = missing[column as usize];
                let bits = u64::BITS - weight.unsigned_abs().leading_zeros() + shift;
                (bits <= MAX_WEIGHT_BITS as u32 + common).then_some(())?;
                *weight = (i128::from(*weight) << shift >> common) as i64;
            }
            for bias in &mut map.bias {
                let bits = u128::BITS - bias.unsigned_abs().leading_zeros() + most;
                (bits < MAX_BITS).then(|| *bias = *bias << most >> common)?;
            }
            Some((Op::Linear(map), most - common))
        }
        _ => None,
    })
}

/// A model under construction.
struct Rebuilt {
    model: IntegerModel,
}

impl Rebuilt {
    fn push(&mut self, name: &str, op: Op, inputs: Vec<usize>, excess: u32) -> Option<Moved> {
        let ranges = self.model.implied_ranges(&op, &inputs).ok()?;
        self.model.nodes.push(IntegerNode { name: name.into(), op, inputs, ranges });
        Some(Moved { tensor: self.model.nodes.len(), excess })
    }

    /// The tensor without the bits in excess. `name` is that of the node which needs it.
    fn rescaled(&mut self, name: &str, Moved { tensor, excess }: Moved) -> Option<Moved> {
        match excess {
            0 => Some(Moved { tensor, excess }),
            1..MAX_BITS => {
                let op = Op::Rescale(Rescale { shift: excess });
                self.push(&format!("{name}/rescale"), op, vec![tensor], 0)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        circuit::testing::linear,
        graph::{Feature, Interval},
    };

    fn model(features: usize, nodes: Vec<(Op, Vec<usize>)>) -> IntegerModel {
        let feature = |i| Feature { name: format!("x{i}"), scale: 1.0, range: Interval { lo: -1000, hi: 1000 } };
        let mut rebuilt = Rebuilt {
            model: IntegerModel {
                features: (0..features).map(feature).collect(),
                nodes: vec![],
                outputs: vec![],
                digests: vec![],
            },
        };
        for (i, (op, inputs)) in nodes.into_iter().enumerate() {
            rebuilt.push(&format!("n{i}"), op, inputs, 0).unwrap();
        }
        let tensor = rebuilt.model.nodes.len();
        rebuilt.model.outputs.push(Output { name: "y".into(), tensor, scale: 1.0 });
        rebuilt.model.validate().unwrap();
        rebuilt.model
    }

    fn rescale(shift: u32) -> Op {
        Op::Rescale(Rescale { shift })
    }

    /// Squares and what they are of, pooled four by four.
    fn pooled() -> IntegerModel {
        let weights = |j: usize| (0..16).map(|i| i64::from(i % 8 / 4 == j)).collect::<Vec<_>>();
        let pool = linear(16, &[weights(0), weights(1)], vec![3, -5]);
        model(8, vec![(rescale(3), vec![0]), (Op::Square, vec![1]), (rescale(4), vec![2]), (pool, vec![3, 1])])
    }

    #[test]
    fn pooled_squares_are_rescaled_once() {
        let before = pooled();
        let after = deferred(before.clone());
        after.validate().unwrap();
        let rescales = |model: &IntegerModel| -> Vec<(u32, usize)> {
            let shift = |op: &Op| if let Op::Rescale(Rescale { shift }) = op { Some(*shift) } else { None };
            model.nodes.iter().filter_map(|node| Some((shift(&node.op)?, node.ranges.len()))).collect()
        };
        assert_eq!((rescales(&before), rescales(&after)), (vec![(3, 8), (4, 8)], vec![(10, 2)]));
        for seed in 0..50i128 {
            let input: Vec<i128> = (0..8).map(|i| (seed * 7919 + i * 104_729) % 2001 - 1000).collect();
            let exact = |j: usize| -> f64 {
                let x = input[4 * j..4 * j + 4].iter().map(|&x| x as f64 / 8.0);
                x.map(|x| x * x / 16.0 + x).sum::<f64>() + [3.0, -5.0][j]
            };
            let outputs = |model: &IntegerModel| model.public_values(&model.trace(&input));
            for (j, (&before, &after)) in outputs(&before).iter().zip(&outputs(&after)).enumerate() {
                assert!((after as f64 - exact(j)).abs() <= 0.5, "{after} instead of {}", exact(j));
                assert!((before as f64 - exact(j)).abs() <= 40.0, "{before} instead of {}", exact(j));
            }
        }
    }

    /// Two layers, each of which sums up its squares.
    #[test]
    fn layers_that_are_alike_are_changed_together() {
        let sum = || linear(8, &[vec![1; 8]], vec![0]);
        let spread = || linear(1, &vec![vec![1]; 8], vec![0; 8]);
        let layer = |at: usize| {
            [
                (Op::Square, vec![at]),
                (rescale(4), vec![at + 1]),
                (sum(), vec![at + 2]),
                (rescale(9), vec![at + 3]),
                (spread(), vec![at + 4]),
            ]
        };
        let before = model(8, [layer(0), layer(5)].concat());
        let after = alike(before.clone());
        after.validate().unwrap();
        let rescaled = |model: &IntegerModel| -> Vec<usize> {
            model.nodes.iter().filter(|node| matches!(node.op, Op::Rescale(_))).map(|node| node.ranges.len()).collect()
        };
        assert_eq!((rescaled(&before), rescaled(&after)), (vec![8, 1, 8, 1], vec![1, 1]));
        assert_eq!(rescaled(&deferred(before)), [1, 1]);
    }

    #[test]
    fn products_are_rescaled_for_those_who_need_it() {
        // the product is an output of a ReLU, and has fewer bits without rescales of its factors
        let relu = model(
            2,
            vec![
                (linear(2, &[vec![1, 0]], vec![0]), vec![0]),
                (linear(2, &[vec![0, 1]], vec![0]), vec![0]),
                (rescale(2), vec![1]),
                (Op::Product(crate::ops::Product::elementwise(1)), vec![3, 2]),
                (Op::Relu, vec![4]),
            ],
        );
        for (candidate, better) in [
            (&relu, without(&relu, &BTreeSet::from([2])).unwrap()),
            (&pooled(), without(&pooled(), &BTreeSet::from([0])).unwrap()),
        ] {
            better.validate().unwrap();
            let input = vec![100; candidate.features.len()];
            let [one, other] = [candidate, &better].map(|model| model.public_values(&model.trace(&input)));
            let close = |(one, other): (&i128, &i128)| (one - other).abs() <= 60;
            assert!(one.iter().zip(&other).all(close), "{one:?} {other:?}");
        }
        let last = |model: &IntegerModel| model.nodes.iter().map(|node| node.op.clone()).next_back();
        assert_eq!(last(&without(&relu, &BTreeSet::from([2])).unwrap()), Some(Op::Relu));
    }

    #[test]
    fn nothing_is_put_off_beyond_what_integers_hold() {
        let power = |times: usize| {
            let nodes = (0..times).flat_map(|i| [(Op::Square, vec![2 * i]), (rescale(9), vec![2 * i + 1])]);
            model(1, nodes.collect())
        };
        let after = deferred(power(6));
        after.validate().unwrap();
        assert!(after.nodes.iter().any(|node| matches!(node.op, Op::Rescale(_))));
        assert!(after.nodes.len() <= 12);
    }
}
