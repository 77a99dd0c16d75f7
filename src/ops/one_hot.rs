//! One-hot encoding: how data-dependent indices become linear algebra.

use serde::{Deserialize, Serialize};

use super::{BoundError, BoundReason};
use crate::graph::Interval;

/// `y[i * depth + j] = 1` if `x[i] = j`, else 0. Every `x` is proved to lie in `[0, depth)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OneHot {
    pub depth: usize,
}

impl OneHot {
    pub(super) fn accepts(&self, len: usize) -> bool {
        self.depth > 0 && self.depth.checked_mul(len).is_some()
    }

    pub(super) fn eval(&self, inputs: &[&[i128]]) -> Vec<i128> {
        let hot = |x: i128| (0..self.depth).map(move |j| i128::from(x == j as i128));
        inputs.concat().into_iter().flat_map(hot).collect()
    }

    pub(super) fn bounds(&self, inputs: &[&[Interval]]) -> Result<Vec<Interval>, BoundError> {
        let mut result = vec![];
        for (element, x) in inputs.concat().into_iter().enumerate() {
            if x.lo < 0 || x.hi >= self.depth as i128 {
                return Err(BoundError { element, reason: BoundReason::IndexOutside { depth: self.depth } });
            }
            let possible = |j: usize| x.contains(j as i128);
            let certain = |j: usize| x.lo == x.hi && possible(j);
            result.extend((0..self.depth).map(|j| Interval { lo: certain(j).into(), hi: possible(j).into() }));
        }
        Ok(result)
    }
}
