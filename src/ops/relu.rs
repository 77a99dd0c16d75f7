//! `max(x, 0)`.

use crate::graph::Interval;

pub(super) fn eval(inputs: &[&[i128]]) -> Vec<i128> {
    inputs.concat().into_iter().map(|x| x.max(0)).collect()
}

pub(super) fn bounds(inputs: &[&[Interval]]) -> Vec<Interval> {
    inputs.concat().into_iter().map(|x| Interval { lo: x.lo.max(0), hi: x.hi.max(0) }).collect()
}
