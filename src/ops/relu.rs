//! `max(x, 0)`.

use crate::graph::Interval;

pub(super) fn eval(inputs: &[&[i128]]) -> Vec<i128> {
    inputs.concat().into_iter().map(|x| x.max(0)).collect()
}

pub(super) fn bounds(inputs: &[&[Interval]]) -> Vec<Interval> {
    inputs.concat().into_iter().map(|x| Interval { lo: x.lo.max(0), hi: x.hi.max(0) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Op;

    #[test]
    fn values_and_bounds() {
        assert_eq!(Op::Relu.eval(&[&[-3, 0, 5]]), [0, 0, 5]);
        let ranges = [(-3, -1), (-3, 2), (1, 2)].map(|(lo, hi)| Interval { lo, hi });
        let expected = [(0, 0), (0, 2), (1, 2)].map(|(lo, hi)| Interval { lo, hi });
        assert_eq!(Op::Relu.bounds(&[&ranges]).unwrap(), expected);
    }
}
