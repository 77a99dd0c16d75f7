//! Shapes: element counts with a cap, broadcasting, index arithmetic.

/// The most elements that one tensor may have.
pub(super) const MAX_ELEMENTS: u64 = crate::graph::MAX_ELEMENTS as u64;
/// The most axes that a tensor may have.
pub(super) const MAX_RANK: usize = 16;

/// Number of elements; `None` beyond [`MAX_ELEMENTS`] or [`MAX_RANK`]. The axes of a tensor without elements must keep to the
/// limit without those of length zero, so that no product of axes overflows.
pub(super) fn element_count(shape: &[usize]) -> Option<usize> {
    let count = shape.iter().try_fold(1u64, |n, &d| n.checked_mul(d.max(1) as u64));
    count.filter(|&n| n <= MAX_ELEMENTS && shape.len() <= MAX_RANK)?;
    Some(shape.iter().product())
}

/// The common shape of two tensors under ONNX's (NumPy's) broadcasting; `None` if there is none.
pub(super) fn broadcast(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let dim = |shape: &[usize], axis: usize| (axis + shape.len()).checked_sub(rank).map_or(1, |i| shape[i]);
    (0..rank)
        .map(|axis| match (dim(a, axis), dim(b, axis)) {
            (x, y) if x == y => Some(x),
            (1, y) => Some(y),
            (x, 1) => Some(x),
            _ => None,
        })
        .collect()
}

/// Row-major strides.
pub(super) fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1usize; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    strides
}

/// For every element of a tensor of shape `shape`, in row-major order, the dot product of its index and `strides`.
pub(super) fn offsets(shape: &[usize], strides: &[usize]) -> Vec<usize> {
    let count = shape.iter().product();
    let (mut result, mut index, mut offset) = (Vec::with_capacity(count), vec![0; shape.len()], 0);
    for _ in 0..count {
        result.push(offset);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            offset += strides[axis];
            if index[axis] < shape[axis] {
                break;
            }
            offset -= strides[axis] * shape[axis];
            index[axis] = 0;
        }
    }
    result
}

/// For every element of `shape`, the flat index of the element of `operand` that broadcasting puts there.
///
/// `operand` must broadcast to `shape`.
pub(super) fn broadcast_offsets(operand: &[usize], shape: &[usize]) -> Vec<usize> {
    let missing = shape.len() - operand.len();
    let own = strides(operand);
    let strides: Vec<usize> = (0..shape.len())
        .map(|axis| axis.checked_sub(missing).map_or(0, |i| if operand[i] == 1 { 0 } else { own[i] }))
        .collect();
    offsets(shape, &strides)
}

/// The axis that `axis` names in a tensor of `rank` axes; negative ones count from the end. `None` if out of range.
pub(super) fn axis(axis: i64, rank: usize) -> Option<usize> {
    let resolved = if axis < 0 { axis.checked_add(rank as i64)? } else { axis };
    usize::try_from(resolved).ok().filter(|&a| a < rank)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn element_counts_are_capped() {
        assert_eq!(element_count(&[]), Some(1));
        assert_eq!(element_count(&[3, 0, 5]), Some(0));
        assert_eq!(element_count(&[0, 1 << 40]), None);
        assert_eq!(element_count(&[1 << 24]), Some(1 << 24));
        assert_eq!(element_count(&[(1 << 24) + 1]), None);
        assert_eq!(element_count(&[usize::MAX, usize::MAX]), None);
        assert_eq!(element_count(&[1; 17]), None);
    }

    #[test]
    fn broadcasting_follows_numpy() {
        assert_eq!(broadcast(&[2, 1, 3], &[4, 1]), Some(vec![2, 4, 3]));
        assert_eq!(broadcast(&[2], &[3]), None);
        assert_eq!(broadcast_offsets(&[2, 1], &[2, 2, 3]), [0, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 1]);
        assert_eq!(broadcast_offsets(&[], &[2]), [0, 0]);
    }

    #[test]
    fn axes_count_from_both_ends() {
        assert_eq!((axis(-1, 3), axis(2, 3), axis(3, 3), axis(-4, 3)), (Some(2), Some(2), None, None));
        assert_eq!(axis(i64::MIN, 3), None);
    }
}
