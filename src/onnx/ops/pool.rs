//! Pooling: greatest elements, means and norms of windows.

use super::window::{Tap, Windows, image, sizes};
use super::{Lowering, Node, OnnxError, Registry, Value};
use crate::graph::{AffineBuilder, Function};
use crate::onnx::tensor::Kind;

/// The greatest of the `count` rows of `x`, which has as many elements per row as `shape`: `count - 1` pairs in
/// `log2 count` levels.
pub(super) fn greatest(
    lowering: &mut Lowering,
    node: &Node,
    x: &Value,
    count: usize,
    shape: &[usize],
) -> Result<Value, OnnxError> {
    let len: usize = shape.iter().product();
    let (mut rest, mut count) = (x.clone(), count);
    while count > 1 {
        let half = count / 2;
        lowering.charge(node.name, [len, count, 2])?;
        let low = lowering.select(node, &rest, vec![half, len], (0..half * len).collect())?;
        let high = lowering.select(node, &rest, vec![half, len], (half * len..2 * half * len).collect())?;
        let greater = lowering.maximum(node, &low, &high)?;
        rest = match count % 2 {
            0 => greater,
            _ => {
                let last = lowering.select(node, &rest, vec![1, len], (2 * half * len..count * len).collect())?;
                stacked(lowering, node, &[&greater, &last], vec![half + 1, len])?
            }
        };
        count = half + count % 2;
    }
    lowering.reshape(node, &rest, shape.to_vec())
}

/// The elements of the parts, one part after the other, as the shape `shape`.
pub(super) fn stacked(
    lowering: &mut Lowering,
    node: &Node,
    parts: &[&Value],
    shape: Vec<usize>,
) -> Result<Value, OnnxError> {
    let count = lowering.charge_shape(node, &shape)?;
    let mut rows = AffineBuilder::new(count);
    (0..count).for_each(|i| rows.push(vec![(i, 1.0)], 0.0));
    let kind = parts.first().map_or(Kind::Float, |p| p.kind());
    lowering.affine(node, parts, rows.finish(), shape, kind)
}

/// A pooling operator's windows over its input, in `[batch * channels, plane]`.
struct Pool {
    windows: Windows,
    taps: Vec<Tap>,
    maps: usize,
    plane: usize,
    shape: Vec<usize>,
}

impl Pool {
    /// Windows as the attributes tell.
    fn local(lowering: &mut Lowering, node: &Node, x: &Value) -> Result<Self, OnnxError> {
        let (_, _, spatial) = image(node, x.shape())?;
        if node.ints("kernel_shape")?.is_none() {
            return Err(node.unsupported("attribute kernel_shape", "it is missing"));
        }
        let kernel = sizes(node, "kernel_shape", spatial.len(), 1, 1)?;
        let windows = Windows::new(node, spatial, &kernel, node.flag("ceil_mode")?)?;
        Self::over(lowering, node, x, windows)
    }

    /// One window, the whole input.
    fn global(lowering: &mut Lowering, node: &Node, x: &Value) -> Result<Self, OnnxError> {
        let (_, _, spatial) = image(node, x.shape())?;
        let axis = |&n: &usize| super::window::Axis {
            input: n,
            output: 1,
            kernel: n,
            stride: 1,
            dilation: 1,
            begin: 0,
            end: 0,
        };
        Self::over(lowering, node, x, Windows { axes: spatial.iter().map(axis).collect() })
    }

    fn over(lowering: &mut Lowering, node: &Node, x: &Value, windows: Windows) -> Result<Self, OnnxError> {
        let (batch, channels, spatial) = image(node, x.shape())?;
        if x.kind() == Kind::Bool || x.shape().contains(&0) {
            return Err(node.unsupported("its input", "it must be a tensor of numbers that has elements"));
        }
        let shape: Vec<usize> = [batch, channels].into_iter().chain(windows.output()).collect();
        let count = lowering.charge_shape(node, &shape)?;
        lowering.charge(node.name, windows.axes.iter().map(|a| a.kernel).chain([count]))?;
        let taps = windows.taps();
        let plane = spatial.iter().product();
        Ok(Self { windows, taps, maps: batch * channels, plane, shape })
    }

    /// Per window the sum of its elements times `factor` of the taps.
    fn sums(
        &self,
        lowering: &mut Lowering,
        node: &Node,
        x: &Value,
        factor: impl Fn(&[Tap]) -> f64,
    ) -> Result<Value, OnnxError> {
        let window = self.windows.window_len();
        let mut rows = AffineBuilder::new(x.len());
        for map in 0..self.maps {
            for covered in self.taps.chunks_exact(window) {
                let factor = factor(covered);
                let term = |tap: &Tap| match tap {
                    Tap::Inside(i) => Some((map * self.plane + i, factor)),
                    _ => None,
                };
                rows.push(covered.iter().filter_map(term).collect(), 0.0);
            }
        }
        lowering.affine(node, &[x], rows.finish(), self.shape.clone(), Kind::Float)
    }

    /// The greatest element of every window; padding does not count.
    fn maxima(&self, lowering: &mut Lowering, node: &Node, x: &Value) -> Result<Vec<Value>, OnnxError> {
        let window = self.windows.window_len();
        let mut places = vec![];
        for covered in self.taps.chunks_exact(window) {
            let inside = |tap: &Tap| if let &Tap::Inside(i) = tap { Some(i) } else { None };
            let Some(any) = covered.iter().find_map(inside) else {
                return Err(node.unsupported("attribute pads", "a window lies in the padding"));
            };
            places.extend(covered.iter().map(|tap| inside(tap).unwrap_or(any)));
        }
        let mut columns = Vec::with_capacity(self.maps * places.len());
        for k in 0..window {
            for map in 0..self.maps {
                columns.extend(places.iter().skip(k).step_by(window).map(|&i| map * self.plane + i));
            }
        }
        let rows = vec![window, self.maps, places.len() / window];
        let selected = lowering.select(node, x, rows, columns)?;
        Ok(vec![greatest(lowering, node, &selected, window, &self.shape)?])
    }

    /// `(sum of |x|^p)^(1/p)` over every window.
    fn norms(&self, lowering: &mut Lowering, node: &Node, x: &Value) -> Result<Vec<Value>, OnnxError> {
        let p = node.int("p")?.unwrap_or(2);
        if !(1..=64).contains(&p) {
            return Err(node.unsupported(&format!("attribute p = {p}"), "it must be from 1 to 64"));
        }
        if p == 2 {
            let squares = lowering.square(node, x)?;
            let sums = self.sums(lowering, node, &squares, |_| 1.0)?;
            return Ok(vec![lowering.sqrt(node, &sums)?]);
        }
        let positive = lowering.relu(node, x)?;
        let magnitude = lowering.combination(node, &[(&positive, 2.0), (x, -1.0)], 0.0)?;
        if p == 1 {
            return Ok(vec![self.sums(lowering, node, &magnitude, |_| 1.0)?]);
        }
        let exponent = p as f64;
        let powers = lowering.function(node, Function::Power { exponent }, &magnitude)?;
        let sums = self.sums(lowering, node, &powers, |_| 1.0)?;
        Ok(vec![lowering.function(node, Function::Power { exponent: exponent.recip() }, &sums)?])
    }
}

/// Only the first output: indices are not provided.
fn max_pool(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    if node.proto.output.iter().skip(1).any(|name| !name.is_empty()) {
        return Err(node.unsupported("its second output", "the indices are not provided"));
    }
    let x = node.input(0)?;
    Pool::local(lowering, node, x)?.maxima(lowering, node, x)
}

/// The mean of every window; padding is zero if `count_include_pad` is set, else it does not count.
fn average_pool(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let x = floats(node)?;
    let pool = Pool::local(lowering, node, x)?;
    let padding_counts = node.flag("count_include_pad")?;
    let counts = |tap: &&Tap| matches!(tap, Tap::Inside(_)) || (padding_counts && **tap == Tap::Padding);
    if pool.taps.chunks_exact(pool.windows.window_len()).any(|covered| covered.iter().filter(counts).count() == 0) {
        return Err(node.unsupported("attribute pads", "a window lies in the padding"));
    }
    Ok(vec![pool.sums(lowering, node, x, |covered| 1.0 / covered.iter().filter(counts).count() as f64)?])
}

fn lp_pool(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let x = floats(node)?;
    Pool::local(lowering, node, x)?.norms(lowering, node, x)
}

fn global_max_pool(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let x = node.input(0)?;
    Pool::global(lowering, node, x)?.maxima(lowering, node, x)
}

fn global_average_pool(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let x = floats(node)?;
    let pool = Pool::global(lowering, node, x)?;
    Ok(vec![pool.sums(lowering, node, x, |covered| 1.0 / covered.len() as f64)?])
}

fn global_lp_pool(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let x = floats(node)?;
    Pool::global(lowering, node, x)?.norms(lowering, node, x)
}

fn floats<'a>(node: &'a Node) -> Result<&'a Value, OnnxError> {
    let x = node.input(0)?;
    match x.kind() {
        Kind::Float => Ok(x),
        _ => Err(node.unsupported("its element type", "it must be a float")),
    }
}

pub(super) fn register(registry: &mut Registry) {
    registry.add("MaxPool", max_pool);
    registry.add("AveragePool", average_pool);
    registry.add("LpPool", lp_pool);
    registry.add("GlobalMaxPool", global_max_pool);
    registry.add("GlobalAveragePool", global_average_pool);
    registry.add("GlobalLpPool", global_lp_pool);
}

#[cfg(test)]
mod tests {
    use super::super::testing::with_text;
    use crate::graph::Graph;
    use crate::onnx::testing::{Attr, agrees, model, node};
    use crate::onnx::{OnnxError, import_model};

    #[test]
    fn maxima_and_means_agree() {
        type Case<'a> = (&'a [i64], Vec<(&'a str, &'a [i64])>);
        let cases: [Case; 6] = [
            (&[1, 2, 5], vec![("kernel_shape", &[2])]),
            (&[2, 1, 7], vec![("kernel_shape", &[3]), ("strides", &[2]), ("pads", &[1, 1])]),
            (&[1, 2, 4, 5], vec![("kernel_shape", &[2, 3]), ("strides", &[2, 1])]),
            (&[1, 1, 4, 4], vec![("kernel_shape", &[3, 3]), ("pads", &[1, 2, 0, 1])]),
            (&[1, 1, 3, 3, 4], vec![("kernel_shape", &[2, 2, 2])]),
            (&[1, 2, 1], vec![("kernel_shape", &[1])]),
        ];
        for (x, given) in cases {
            let attributes = || -> Vec<(&str, Attr)> { given.iter().map(|&(n, v)| (n, Attr::Ints(v))).collect() };
            let mut all = vec![("MaxPool", attributes()), ("AveragePool", attributes())];
            all.push(("AveragePool", attributes()));
            all[2].1.push(("count_include_pad", Attr::Int(1)));
            for (op, attributes) in all {
                agrees(&model(&[("x", x)], "y", vec![], vec![node(op, &["x"], "y", attributes)]));
            }
        }
        for op in ["GlobalMaxPool", "GlobalAveragePool"] {
            for x in [&[1i64, 2, 3][..], &[2, 1, 2, 3], &[1, 1, 5, 1, 2]] {
                agrees(&model(&[("x", x)], "y", vec![], vec![node(op, &["x"], "y", vec![])]));
            }
        }
    }

    #[test]
    fn automatic_padding_agrees() {
        for mode in ["SAME_UPPER", "SAME_LOWER", "VALID"] {
            for op in ["MaxPool", "AveragePool"] {
                let attributes = vec![("kernel_shape", Attr::Ints(&[2, 3])), ("strides", Attr::Ints(&[2, 2]))];
                let pool = with_text(node(op, &["x"], "y", attributes), "auto_pad", mode);
                agrees(&model(&[("x", &[1, 1, 5, 4])], "y", vec![], vec![pool]));
            }
        }
    }

    fn pool(op: &str, x: &[i64], attributes: Vec<(&str, Attr)>) -> Result<Graph, OnnxError> {
        import_model(&model(&[("x", x)], "y", vec![], vec![node(op, &["x"], "y", attributes)]))
    }

    #[test]
    fn incomplete_windows_and_dilations() {
        let x = [1.0, 5.0, 2.0, -4.0, 3.0, 7.0];
        let given = |extra: Vec<(&'static str, Attr<'static>)>| {
            let mut all = vec![("kernel_shape", Attr::Ints(&[3])), ("strides", Attr::Ints(&[2]))];
            all.extend(extra);
            all
        };
        let up = || vec![("ceil_mode", Attr::Int(1))];
        assert_eq!(pool("MaxPool", &[1, 1, 6], given(vec![])).unwrap().eval(&x), [5.0, 3.0]);
        assert_eq!(pool("MaxPool", &[1, 1, 6], given(up())).unwrap().eval(&x), [5.0, 3.0, 7.0]);
        let mean = pool("AveragePool", &[1, 1, 6], given(up())).unwrap().eval(&x);
        assert!((mean[1] - 1.0 / 3.0).abs() < 1e-12 && mean[2] == 5.0);
        // a padded window counts its padding, but nothing beyond
        let mut padded = given(up());
        padded.extend([("pads", Attr::Ints(&[0, 1])), ("count_include_pad", Attr::Int(1))]);
        let mean = pool("AveragePool", &[1, 1, 6], padded).unwrap().eval(&x);
        assert!((mean[2] - 10.0 / 3.0).abs() < 1e-12);
        // the last window would start in the padding
        let start = vec![
            ("kernel_shape", Attr::Ints(&[1])),
            ("strides", Attr::Ints(&[2])),
            ("pads", Attr::Ints(&[0, 0])),
            ("ceil_mode", Attr::Int(1)),
        ];
        assert_eq!(pool("MaxPool", &[1, 1, 6], start).unwrap().eval(&x), [1.0, 2.0, 3.0]);
        let dilated = vec![("kernel_shape", Attr::Ints(&[2])), ("dilations", Attr::Ints(&[3]))];
        assert_eq!(pool("MaxPool", &[1, 1, 6], dilated).unwrap().eval(&x), [1.0, 5.0, 7.0]);
    }

    #[test]
    fn norms_follow_the_formula() {
        let x = [1.0, -2.0, 3.0, -1.5];
        for p in [1, 2, 3] {
            let attributes = vec![("kernel_shape", Attr::Ints(&[2])), ("p", Attr::Int(p))];
            let local = pool("LpPool", &[1, 1, 4], attributes).unwrap().eval(&x);
            let norm = |x: &[f64]| x.iter().map(|v| v.abs().powi(p as i32)).sum::<f64>().powf(1.0 / p as f64);
            for (found, window) in local.iter().zip(x.windows(2)) {
                assert!((found - norm(window)).abs() < 1e-12);
            }
            let global = pool("GlobalLpPool", &[1, 1, 2, 2], vec![("p", Attr::Int(p))]).unwrap().eval(&x);
            assert!((global[0] - norm(&x)).abs() < 1e-12);
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let kernel = |k: &'static [i64]| ("kernel_shape", Attr::Ints(k));
        let refused = [
            vec![],
            vec![kernel(&[0])],
            vec![kernel(&[-1])],
            vec![kernel(&[i64::MAX])],
            vec![kernel(&[7])],
            vec![kernel(&[2, 2])],
            vec![kernel(&[2]), ("pads", Attr::Ints(&[3, 0]))],
            vec![kernel(&[2]), ("strides", Attr::Ints(&[-1]))],
            vec![kernel(&[2]), ("pads", Attr::Ints(&[1]))],
        ];
        for attributes in refused {
            assert!(pool("MaxPool", &[1, 1, 6], attributes).is_err());
        }
        assert!(pool("LpPool", &[1, 1, 6], vec![kernel(&[2]), ("p", Attr::Int(0))]).is_err());
        assert!(pool("GlobalMaxPool", &[1, 6], vec![]).is_err());
    }
}
