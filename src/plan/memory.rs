//! Memory of a prover, as the system accounts it.

use crate::{
    circuit::{Expr, LaidOut},
    graph::{IntegerModel, IntegerNode, Interval},
    ops::{Op, Weighted},
    proof::{Curve, cost::peak_bytes, protocol::Protocol},
};

/// Memory of a process that does nothing: most of it is the program.
const PROCESS_BYTES: u64 = 19 << 20;
/// What an allocator takes from the system for a byte that is in use at the peak.
const RESIDENT: f64 = 1.3;

/// Memory of a prover at its peak, as the system accounts it: while proving, or while laying out a model that is large beside its
/// circuit.
pub(crate) fn resident_bytes<C: Curve>(
    protocol: &Protocol<C>,
    model: &IntegerModel,
    circuit: &LaidOut<C::Scalar>,
) -> u64 {
    let (rows, copies) = (circuit.rows(), circuit.copies());
    let columns = rows * 2 * size_of::<C::Scalar>() + copies * size_of::<(usize, usize)>();
    let laying_out = expression_bytes::<C>(model) + columns as u64;
    let bytes = model_bytes(model) + laying_out.max(peak_bytes(protocol, rows, copies));
    PROCESS_BYTES + (bytes as f64 * RESIDENT) as u64
}

/// A model and its trace.
fn model_bytes(model: &IntegerModel) -> u64 {
    let node = |node: &IntegerNode| {
        let values = node.ranges.len() * (size_of::<Interval>() + size_of::<i128>());
        values
            + match &node.op {
                Op::Linear(map) | Op::Weighted(Weighted { map, .. }) => {
                    map.weights.len() * size_of::<(i64, u32)>() + map.bias.len() * size_of::<(i128, u32)>()
                }
                _ => 0,
            }
    };
    model.nodes.iter().map(node).sum::<usize>() as u64
}

/// The expressions that stand for values while a model is laid out: at the widest node those that it or a later one reads, its own, and
/// their values. Values that are constant over the domain have no terms.
fn expression_bytes<C: Curve>(model: &IntegerModel) -> u64 {
    let (expression, term) = (size_of::<Expr<C::Scalar>>(), size_of::<(usize, C::Scalar)>());
    let varies = |range: &Interval| range.lo < range.hi;
    let last_readers = model.last_readers();
    let mut sizes = vec![model.features.len() * (expression + term)];
    let (mut held, mut widest) = (sizes[0], 0);
    for (i, node) in model.nodes.iter().enumerate() {
        let inputs: Vec<Interval> = node.inputs.iter().flat_map(|&id| model.ranges(id)).collect();
        let terms = match &node.op {
            Op::Linear(map) | Op::Weighted(Weighted { map, .. }) => {
                map.columns.iter().filter(|&&c| inputs.get(c as usize).is_some_and(varies)).count()
            }
            _ => node.ranges.iter().filter(|range| varies(range)).count(),
        };
        let size = node.ranges.len() * expression + terms * term;
        let values = inputs.len() * (size_of::<Interval>() + size_of::<i128>());
        sizes.push(size);
        held += size;
        widest = widest.max(held + values);
        for &input in node.inputs.iter().filter(|&&input| last_readers[input] == Some(i)) {
            held -= std::mem::take(&mut sizes[input]);
        }
    }
    widest as u64
}
