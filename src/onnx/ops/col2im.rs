//! Col2Im: blocks added up where they overlap, the transpose of what a convolution gathers.

use super::elementwise::numbers;
use super::window::{Tap, Windows};
use super::{Lowering, Node, OnnxError, Registry, Value};
use crate::graph::AffineBuilder;
use crate::onnx::shape::{MAX_ELEMENTS, MAX_RANK};

/// A constant input of positive sizes, at most as many as a tensor has axes.
fn sizes(node: &Node, position: usize, what: &str) -> Result<Vec<usize>, OnnxError> {
    let given = node.integers(position, what)?;
    let size = |&v: &i64| usize::try_from(v).ok().filter(|&v| v > 0 && v as u64 <= MAX_ELEMENTS);
    let sizes: Option<Vec<usize>> = given.iter().map(size).collect();
    sizes
        .filter(|s| (1..MAX_RANK - 1).contains(&s.len()))
        .ok_or_else(|| node.unsupported(&format!("{what} {given:?}"), "it must be a list of positive sizes"))
}

/// From `[batch, channels * block, places]` to `[batch, channels, image]`.
fn col2im(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let x = numbers(node, 0)?;
    let (image, block) = (sizes(node, 1, "the image shape")?, sizes(node, 2, "the block shape")?);
    if image.len() != block.len() {
        return Err(node.mismatch(&image, &block, "image and block must have as many axes"));
    }
    let &[batch, rows, places] = x.shape() else {
        return Err(node.mismatch(x.shape(), &[], "there must be three axes"));
    };
    let windows = Windows::new(node, &image, &block, false)?;
    lowering.charge(node.name, windows.output().into_iter().chain(block.iter().copied()))?;
    let (taps, window) = (windows.taps(), windows.window_len());
    if rows % window != 0 || taps.len() != places * window {
        return Err(node.mismatch(x.shape(), &block, "the blocks do not fit the image"));
    }
    let channels = rows / window;
    let shape: Vec<usize> = [batch, channels].into_iter().chain(image.iter().copied()).collect();
    let count = lowering.charge_shape(node, &shape)?;
    lowering.charge_shape(node, x.shape())?;
    let plane: usize = image.iter().product();
    let mut terms = vec![vec![]; count];
    for map in 0..batch * channels {
        for (at, tap) in taps.iter().enumerate() {
            let (place, k) = (at / window, at % window);
            if let &Tap::Inside(i) = tap {
                terms[map * plane + i].push(((map * window + k) * places + place, 1.0));
            }
        }
    }
    let mut result = AffineBuilder::new(x.len());
    terms.into_iter().for_each(|terms| result.push(terms, 0.0));
    Ok(vec![lowering.affine(node, &[x], result.finish(), shape, x.kind())?])
}

pub(super) fn register(registry: &mut Registry) {
    registry.add("Col2Im", col2im);
}

#[cfg(test)]
mod tests {
    use crate::onnx::import_model;
    use crate::onnx::testing::{Attr, ints, model, node};

    #[test]
    fn overlapping_blocks_add_up() {
        let of = |x: &[i64], attributes| {
            let constants = vec![ints("i", &[2], &[3, 3]), ints("b", &[2], &[2, 2])];
            import_model(&model(&[("x", x)], "y", constants, vec![node("Col2Im", &["x", "i", "b"], "y", attributes)]))
        };
        let ones = [1.0; 16];
        assert_eq!(of(&[1, 4, 4], vec![]).unwrap().eval(&ones), [1.0, 2.0, 1.0, 2.0, 4.0, 2.0, 1.0, 2.0, 1.0]);
        let x: Vec<f64> = (0..8).map(f64::from).collect();
        let strides = of(&[1, 8, 1], vec![("strides", Attr::Ints(&[2, 2]))]).unwrap();
        assert_eq!(strides.outputs[0].2, [1, 2, 3, 3]);
        assert_eq!(strides.eval(&x)[..9], [0.0, 1.0, 0.0, 2.0, 3.0, 0.0, 0.0, 0.0, 0.0]);
        let dilated = of(&[1, 4, 1], vec![("dilations", Attr::Ints(&[2, 2]))]).unwrap();
        assert_eq!(dilated.eval(&x[..4]), [0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 2.0, 0.0, 3.0]);
        let padded = of(&[1, 4, 9], vec![("pads", Attr::Ints(&[0, 0, 1, 1]))]).unwrap();
        assert_eq!(padded.eval(&[1.0; 36]), [1.0, 2.0, 2.0, 2.0, 4.0, 4.0, 2.0, 4.0, 4.0]);
        assert!(of(&[1, 4, 5], vec![]).is_err() && of(&[1, 5, 4], vec![]).is_err());
    }
}
