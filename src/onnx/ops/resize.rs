//! Resize and Upsample: every element of the result is a fixed combination of elements of the input.

use super::grid::distinct_axes;
use super::{Lowering, Node, OnnxError, Registry, Value};
use crate::graph::AffineBuilder;
use crate::onnx::shape::strides;
use crate::onnx::tensor::Kind;

/// How one axis is resized.
struct Axis {
    input: usize,
    output: usize,
    scale: f64,
}

/// The place in the input, in elements, of element `o` of the output.
#[derive(Clone, Copy)]
enum Coordinates {
    /// `(o + 1/2) / scale - 1/2`
    HalfPixel,
    /// The same around the centre, if the output is not exactly `scale` times the input.
    HalfPixelSymmetric,
    /// The same, but 0 for an output of one element.
    PytorchHalfPixel,
    /// `(o + 1/2) / scale`
    TfHalfPixelForNn,
    /// `o (input - 1) / (output - 1)`
    AlignCorners,
    /// `o / scale`
    Asymmetric,
}

impl Coordinates {
    fn place(self, axis: &Axis, o: usize) -> f64 {
        let (input, output, o) = (axis.input as f64, axis.output as f64, o as f64);
        let half = (o + 0.5) / axis.scale;
        match self {
            Coordinates::HalfPixel => half - 0.5,
            Coordinates::HalfPixelSymmetric => input / 2.0 * (1.0 - output / (axis.scale * input)) + half - 0.5,
            Coordinates::PytorchHalfPixel => {
                if axis.output > 1 {
                    half - 0.5
                } else {
                    0.0
                }
            }
            Coordinates::TfHalfPixelForNn => half,
            Coordinates::AlignCorners => {
                if axis.output > 1 {
                    o * (input - 1.0) / (output - 1.0)
                } else {
                    0.0
                }
            }
            Coordinates::Asymmetric => o / axis.scale,
        }
    }
}

#[derive(Clone, Copy)]
enum Mode {
    /// The element at the place, rounded.
    Nearest(fn(f64) -> f64),
    /// The two elements around the place.
    Linear,
    /// The four elements around the place, by the cubic of parameter `a`; `inside` drops those beyond the ends.
    Cubic { a: f64, inside: bool },
}

impl Mode {
    /// The elements and their weights; elements beyond the ends are those at the ends.
    fn terms(self, axis: &Axis, place: f64) -> Vec<(usize, f64)> {
        let last = axis.input as f64 - 1.0;
        let at = |i: f64| i.clamp(0.0, last) as usize;
        let base = place.floor();
        let t = place - base;
        match self {
            Mode::Nearest(round) => vec![(at(round(place)), 1.0)],
            Mode::Linear => vec![(at(base), 1.0 - t), (at(base + 1.0), t)],
            Mode::Cubic { a, inside } => {
                let near = |d: f64| ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0;
                let far = |d: f64| ((a * d - 5.0 * a) * d + 8.0 * a) * d - 4.0 * a;
                let weights = [far(1.0 + t), near(t), near(1.0 - t), far(2.0 - t)];
                let elements = weights.into_iter().zip([-1.0, 0.0, 1.0, 2.0]).map(|(w, o)| (base + o, w));
                let kept: Vec<(f64, f64)> = elements.filter(|&(i, _)| !inside || (0.0..=last).contains(&i)).collect();
                let sum: f64 = if inside { kept.iter().map(|&(_, w)| w).sum() } else { 1.0 };
                kept.into_iter().map(|(i, w)| (at(i), w / sum)).collect()
            }
        }
    }
}

fn mode(node: &Node, upsample: bool) -> Result<Mode, OnnxError> {
    let unknown = |name: &str, value: &str| Err(node.unsupported(name, &format!("\"{value}\" is not supported")));
    let mode = node.string("mode")?;
    let inside = node.flag("exclude_outside")?;
    if inside && mode.as_deref() != Some("cubic") {
        return Err(node.unsupported("attribute exclude_outside", "it is for mode cubic"));
    }
    // exporters write those of all modes
    node.ignore(&["cubic_coeff_a", "nearest_mode"]);
    match mode.as_deref() {
        None | Some("nearest") => {}
        Some("linear" | "bilinear" | "trilinear") => return Ok(Mode::Linear),
        Some("cubic") => return Ok(Mode::Cubic { a: node.float("cubic_coeff_a")?.unwrap_or(-0.75), inside }),
        Some(other) => return unknown("attribute mode", other),
    }
    let default = if upsample { "floor" } else { "round_prefer_floor" };
    Ok(Mode::Nearest(match node.string("nearest_mode")?.as_deref().unwrap_or(default) {
        "round_prefer_floor" => |x| (x - 0.5).ceil(),
        "round_prefer_ceil" => |x| (x + 0.5).floor(),
        "floor" => f64::floor,
        "ceil" => f64::ceil,
        other => return unknown("attribute nearest_mode", other),
    }))
}

fn coordinates(node: &Node, upsample: bool) -> Result<Coordinates, OnnxError> {
    let default = if upsample { "asymmetric" } else { "half_pixel" };
    Ok(match node.string("coordinate_transformation_mode")?.as_deref().unwrap_or(default) {
        "half_pixel" => Coordinates::HalfPixel,
        "half_pixel_symmetric" => Coordinates::HalfPixelSymmetric,
        "pytorch_half_pixel" => Coordinates::PytorchHalfPixel,
        "tf_half_pixel_for_nn" => Coordinates::TfHalfPixelForNn,
        "align_corners" => Coordinates::AlignCorners,
        "asymmetric" => Coordinates::Asymmetric,
        other => {
            let reason = format!("\"{other}\" is not supported");
            return Err(node.unsupported("attribute coordinate_transformation_mode", &reason));
        }
    })
}

/// The numbers of a constant input of floats; `None` if it is left out or empty.
fn scales_input(node: &Node, position: usize) -> Result<Option<Vec<f64>>, OnnxError> {
    match node.optional_input(position).map(Value::constant) {
        None => Ok(None),
        Some(Some(c)) if c.kind == Kind::Float => Ok(Some(c.data.clone()).filter(|scales| !scales.is_empty())),
        Some(_) => Err(node.unsupported("the scales", "they must be constant floats")),
    }
}

fn axes(node: &Node, upsample: bool) -> Result<Vec<Axis>, OnnxError> {
    let x = node.input(0)?;
    let (scales, sizes) = match (upsample, node.opset) {
        (true, ..9) => (node.floats("scales")?.map(|s| s.iter().map(|&v| v.into()).collect()), None),
        (true, _) | (false, ..11) => (scales_input(node, 1)?, None),
        _ => {
            let sizes = node.optional_input(3).map(|_| node.integers(3, "the sizes")).transpose()?;
            let sizes = sizes.filter(|s| !s.is_empty());
            (if sizes.is_some() { None } else { scales_input(node, 2)? }, sizes)
        }
    };
    let named = match node.ints("axes")? {
        Some(given) => distinct_axes(node, given, x.shape().len())?,
        None => (0..x.shape().len()).collect(),
    };
    let count = scales.as_ref().map(Vec::len).or(sizes.as_ref().map(Vec::len));
    if count != Some(named.len()) {
        return Err(node.unsupported("its scales or sizes", &format!("there must be {} of them", named.len())));
    }
    let mut axes: Vec<Axis> = x.shape().iter().map(|&n| Axis { input: n, output: n, scale: 1.0 }).collect();
    for (i, a) in named.into_iter().enumerate() {
        let axis = &mut axes[a];
        (axis.output, axis.scale) = match (&scales, &sizes) {
            // single precision, as in other runtimes
            (Some(scales), _) => ((axis.input as f32 * scales[i] as f32).floor() as usize, scales[i]),
            (_, Some(sizes)) => {
                let output = usize::try_from(sizes[i]).unwrap_or(0);
                (output, output as f64 / axis.input as f64)
            }
            _ => (0, 0.0),
        };
        if axis.output == 0 || axis.input == 0 || axis.scale <= 0.0 {
            let reason = format!("the {} elements of axis {a} become {}", axis.input, axis.output);
            return Err(node.unsupported("its scales or sizes", &reason));
        }
    }
    Ok(axes)
}

/// Every axis is resized by itself: weights are products of those of the axes.
fn resized(lowering: &mut Lowering, node: &Node, upsample: bool) -> Result<Vec<Value>, OnnxError> {
    let x = node.input(0)?;
    if node.flag("antialias")? {
        return Err(node.unsupported("attribute antialias", "it is not supported"));
    }
    if let Some(policy) = node.string("keep_aspect_ratio_policy")?.filter(|p| p != "stretch") {
        return Err(node.unsupported("attribute keep_aspect_ratio_policy", &format!("\"{policy}\" is not supported")));
    }
    let old = upsample || node.opset < 11;
    let (axes, mode, coordinates) = (axes(node, upsample)?, mode(node, old)?, coordinates(node, old)?);
    if x.kind() != Kind::Float && !matches!(mode, Mode::Nearest(_)) {
        return Err(node.unsupported("its element type", "interpolation needs floats"));
    }
    // Readers disagree on which of the two numbers the corners are aligned by.
    let inexact = |a: &&Axis| (a.scale * a.input as f64 - a.output as f64).abs() > 1e-5 * a.output as f64;
    if let (Coordinates::AlignCorners, Some(axis)) = (coordinates, axes.iter().find(inexact)) {
        let reason = format!("with align_corners, {} times {} must be an integer", axis.input, axis.scale);
        return Err(node.unsupported("its scales", &reason));
    }
    let shape: Vec<usize> = axes.iter().map(|a| a.output).collect();
    let count = lowering.charge_shape(node, &shape)?;
    let per_axis = match mode {
        Mode::Nearest(_) => 1usize,
        Mode::Linear => 2,
        Mode::Cubic { .. } => 4,
    };
    let resized = axes.iter().filter(|a| a.output != a.input || a.scale != 1.0).count();
    lowering.charge(node.name, std::iter::repeat_n(per_axis, resized).chain([count]))?;
    let mut elements = vec![vec![(0, 1.0)]];
    for (axis, stride) in axes.iter().zip(strides(x.shape())) {
        let terms: Vec<Vec<(usize, f64)>> = (0..axis.output)
            .map(|o| match axis.output == axis.input && axis.scale == 1.0 {
                true => vec![(o, 1.0)],
                false => mode.terms(axis, coordinates.place(axis, o)),
            })
            .collect();
        let product = |outer: &[(usize, f64)], inner: &[(usize, f64)]| -> Vec<(usize, f64)> {
            let pair = |&(i, v): &(usize, f64)| inner.iter().map(move |&(j, w)| (i + j * stride, v * w));
            outer.iter().flat_map(pair).filter(|&(_, w)| w != 0.0).collect()
        };
        elements = elements.iter().flat_map(|outer| terms.iter().map(|inner| product(outer, inner))).collect();
    }
    let mut rows = AffineBuilder::new(x.len());
    elements.into_iter().for_each(|terms| rows.push(terms, 0.0));
    Ok(vec![lowering.affine(node, &[x], rows.finish(), shape, x.kind())?])
}

pub(super) fn register(registry: &mut Registry) {
    registry.add("Resize", |lowering, node| resized(lowering, node, false));
    registry.add("Upsample", |lowering, node| resized(lowering, node, true));
}

#[cfg(test)]
mod tests {
    use super::super::testing::text;
    use crate::graph::Graph;
    use crate::onnx::testing::{Attr, agrees, floats, ints, model, node};
    use crate::onnx::{OnnxError, import_model};

    fn resized(x: &[i64], scales: &[f32], sizes: &[i64], texts: &[(&str, &str)]) -> Result<Graph, OnnxError> {
        let (inputs, tensor) = match sizes.is_empty() {
            true => (vec!["x", "", "s"], floats("s", &[scales.len() as i64], scales)),
            false => (vec!["x", "", "", "s"], ints("s", &[sizes.len() as i64], sizes)),
        };
        let mut resize = node("Resize", &inputs, "y", vec![]);
        resize.attribute.extend(texts.iter().map(|(name, value)| text(name, value)));
        import_model(&model(&[("x", x)], "y", vec![tensor], vec![resize]))
    }

    fn near(found: Vec<f64>, expected: &[f64]) {
        assert_eq!(found.len(), expected.len(), "{found:?}");
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5), "{found:?} {expected:?}");
    }

    #[test]
    fn nearest_elements() {
        let x = [1.0, 2.0, 3.0, 4.0];
        let of = |output: i64, rounding: &str, coordinates: &str| {
            let texts = [("nearest_mode", rounding), ("coordinate_transformation_mode", coordinates)];
            resized(&[4], &[], &[output], &texts).unwrap().eval(&x)
        };
        // places -1/4, 1/4, 3/4, ...
        assert_eq!(of(8, "round_prefer_floor", "half_pixel"), [1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0]);
        assert_eq!(of(8, "floor", "half_pixel"), [1.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 4.0]);
        assert_eq!(of(8, "ceil", "half_pixel"), [1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0, 4.0]);
        // places 0, 1/2, 1, ...
        assert_eq!(of(8, "round_prefer_floor", "asymmetric"), [1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0]);
        assert_eq!(of(8, "round_prefer_ceil", "asymmetric"), [1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0, 4.0]);
        // places 1/2, 5/2 and 1, 3
        assert_eq!(of(2, "round_prefer_floor", "half_pixel"), [1.0, 3.0]);
        assert_eq!(of(2, "round_prefer_ceil", "half_pixel"), [2.0, 4.0]);
        assert_eq!(of(2, "floor", "tf_half_pixel_for_nn"), [2.0, 4.0]);
        assert_eq!(of(2, "floor", "align_corners"), [1.0, 4.0]);
        assert_eq!(of(1, "floor", "pytorch_half_pixel"), [1.0]);
        assert_eq!(of(1, "round_prefer_floor", "half_pixel"), [2.0]);
    }

    #[test]
    fn linear_interpolation() {
        let x = [1.0, 2.0, 4.0];
        let of = |output: i64, coordinates: &str| {
            let texts = [("mode", "linear"), ("coordinate_transformation_mode", coordinates)];
            resized(&[3], &[], &[output], &texts).unwrap().eval(&x)
        };
        near(of(6, "half_pixel"), &[1.0, 1.25, 1.75, 2.5, 3.5, 4.0]);
        near(of(6, "asymmetric"), &[1.0, 1.5, 2.0, 3.0, 4.0, 4.0]);
        near(of(5, "align_corners"), &[1.0, 1.5, 2.0, 3.0, 4.0]);
        near(of(1, "pytorch_half_pixel"), &[1.0]);
        near(of(1, "half_pixel"), &[2.0]);
        // the example of the operator's documentation
        let texts = [("mode", "linear")];
        let two = resized(&[1, 1, 2, 2], &[1.0, 1.0, 2.0, 2.0], &[], &texts).unwrap();
        let expected = [1.0, 1.25, 1.75, 2.0, 1.5, 1.75, 2.25, 2.5, 2.5, 2.75, 3.25, 3.5, 3.0, 3.25, 3.75, 4.0];
        near(two.eval(&[1.0, 2.0, 3.0, 4.0]), &expected);
    }

    #[test]
    fn cubic_interpolation() {
        // the examples of the operator's documentation, first rows
        let x: Vec<f64> = (1..=16).map(f64::from).collect();
        let of = |scale: f32, texts: &[(&str, &str)], exclude: bool| {
            let a = if exclude { -0.5 } else { -0.75 };
            let attributes = vec![("exclude_outside", Attr::Int(exclude.into())), ("cubic_coeff_a", Attr::Float(a))];
            let mut resize = node("Resize", &["x", "", "s"], "y", attributes);
            resize.attribute.push(text("mode", "cubic"));
            resize.attribute.extend(texts.iter().map(|(name, value)| text(name, value)));
            let scales = floats("s", &[4], &[1.0, 1.0, scale, scale]);
            let graph = import_model(&model(&[("x", &[1, 1, 4, 4])], "y", vec![scales], vec![resize])).unwrap();
            let width = graph.outputs[0].2[3];
            graph.eval(&x)[..width].to_vec()
        };
        let expected = [0.47265625, 0.76953125, 1.24609375, 1.875, 2.28125, 2.91015625, 3.38671875, 3.68359375];
        near(of(2.0, &[], false), &expected);
        near(of(0.8, &[], false), &[1.47119141, 2.78125, 4.08251953]);
        near(of(0.8, &[], true), &[1.36812675, 2.6695014, 4.0133367]);
        let corners = [("coordinate_transformation_mode", "align_corners")];
        near(of(2.0, &corners, false)[..4].to_vec(), &[1.0, 1.34110787, 1.80029155, 2.32944606]);
    }

    /// Exporters write the attributes of all modes.
    #[test]
    fn attributes_of_other_modes_have_no_effect() {
        let of = |mode: &str, exclude| {
            let attributes = vec![("exclude_outside", Attr::Int(exclude)), ("cubic_coeff_a", Attr::Float(-0.5))];
            let mut resize = node("Resize", &["x", "", "s"], "y", attributes);
            resize.attribute.extend([text("mode", mode), text("nearest_mode", "floor")]);
            let scales = floats("s", &[4], &[1.0, 1.0, 2.0, 2.0]);
            import_model(&model(&[("x", &[1, 1, 2, 2])], "y", vec![scales], vec![resize]))
        };
        for mode in ["nearest", "linear", "cubic"] {
            assert!(of(mode, 0).is_ok(), "{mode}");
        }
        assert!(of("linear", 1).unwrap_err().to_string().contains("attribute exclude_outside"));
    }

    #[test]
    fn upsampling_agrees() {
        let upsample = |opset, mode: &str| {
            let scales = [1.0, 1.0, 2.0, 3.0];
            let (inputs, given): (&[&str], _) = match opset {
                ..9 => (&["x"], vec![("scales", Attr::Floats(&scales))]),
                _ => (&["x", "s"], vec![]),
            };
            let mut upsample = node("Upsample", inputs, "y", given);
            upsample.attribute.push(text("mode", mode));
            let mut model = model(&[("x", &[1, 2, 2, 2])], "y", vec![floats("s", &[4], &scales)], vec![upsample]);
            model.opset_import[0].version = opset;
            import_model(&model).unwrap()
        };
        let x = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];
        for opset in [7, 9] {
            let y = upsample(opset, "nearest").eval(&x);
            assert_eq!(y[..12], [1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0]);
            near(upsample(opset, "linear").eval(&x)[..6].to_vec(), &[1.0, 4.0 / 3.0, 5.0 / 3.0, 2.0, 2.0, 2.0]);
        }
    }

    #[test]
    fn resizing_agrees() {
        for (mode, coordinates) in [("linear", "half_pixel"), ("linear", "align_corners"), ("nearest", "asymmetric")] {
            for scale in [2.0, 1.5] {
                let mut resize = node("Resize", &["x", "", "s"], "y", vec![]);
                resize.attribute.extend([text("mode", mode), text("nearest_mode", "floor")]);
                resize.attribute.push(text("coordinate_transformation_mode", coordinates));
                let scales = floats("s", &[4], &[1.0, 1.0, scale, 2.0]);
                agrees(&model(&[("x", &[1, 2, 4, 3])], "y", vec![scales], vec![resize]));
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(resized(&[2, 2], &[1.0], &[], &[]).is_err());
        assert!(resized(&[2, 2], &[1.0, 0.2], &[], &[]).is_err());
        assert!(resized(&[2, 2], &[1.0, -1.0], &[], &[]).is_err());
        assert!(resized(&[2, 2], &[1.0, 1e30], &[], &[]).is_err());
        assert!(resized(&[2, 2], &[], &[2, i64::MIN], &[]).is_err());
        assert!(resized(&[2, 2], &[], &[2, i64::MAX], &[]).is_err());
        let corners = [("coordinate_transformation_mode", "align_corners")];
        assert!(resized(&[1, 4], &[1.0, 0.6], &[], &corners).is_err());
        for (name, value) in [
            ("mode", "area"),
            ("nearest_mode", "random"),
            ("coordinate_transformation_mode", "tf_crop_and_resize"),
            ("keep_aspect_ratio_policy", "not_larger"),
        ] {
            assert!(resized(&[2, 2], &[2.0, 2.0], &[], &[(name, value)]).is_err());
        }
    }
}
