//! The geometry of convolutions and pooling: which elements a window covers at each of its places.

use super::{Node, OnnxError};

/// No attribute that counts elements may exceed this; sums of a few products of two of them fit `usize`.
const MAX_SIZE: usize = 1 << 24;

/// One spatial axis: window `o` covers the elements `o * stride + k * dilation - begin` for `k < kernel`.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    pub input: usize,
    pub output: usize,
    pub kernel: usize,
    pub stride: usize,
    pub dilation: usize,
    pub begin: usize,
    pub end: usize,
}

/// Where an element of a window lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Tap {
    /// At this index of the spatial axes, flattened.
    Inside(usize),
    Padding,
    /// Beyond the padding, where rounding up puts a last, incomplete window.
    Beyond,
}

/// Padding as the attributes give it.
pub(super) enum Padding {
    Explicit { begin: Vec<usize>, end: Vec<usize> },
    SameUpper,
    SameLower,
}

/// An attribute of one size per axis, each at least `least`; `default` if it is absent.
pub(super) fn sizes(
    node: &Node,
    name: &str,
    count: usize,
    least: usize,
    default: usize,
) -> Result<Vec<usize>, OnnxError> {
    let Some(given) = node.ints(name)? else { return Ok(vec![default; count]) };
    let valid = |&v: &i64| usize::try_from(v).ok().filter(|v| (least..=MAX_SIZE).contains(v));
    let sizes: Option<Vec<usize>> = given.iter().map(valid).collect();
    sizes.filter(|sizes| sizes.len() == count).ok_or_else(|| {
        let reason = format!("{given:?} is not {count} numbers from {least} to {MAX_SIZE}");
        node.unsupported(&format!("attribute {name}"), &reason)
    })
}

/// Refuses padding that is given twice: readers differ on which of the attributes counts.
pub(super) fn refuse_both(node: &Node, automatic: &str) -> Result<(), OnnxError> {
    let given = node.ints("pads")?.unwrap_or_default();
    match matches!(automatic, "" | "NOTSET") || given.iter().all(|&pad| pad == 0) {
        true => Ok(()),
        false => Err(node.unsupported("attribute pads", &format!("it is {given:?} beside auto_pad {automatic}"))),
    }
}

impl Padding {
    pub fn read(node: &Node, axes: usize) -> Result<Self, OnnxError> {
        let automatic = node.string("auto_pad")?.unwrap_or_default();
        refuse_both(node, &automatic)?;
        match automatic.as_str() {
            "NOTSET" | "" => {
                let begin = sizes(node, "pads", 2 * axes, 0, 0)?;
                let (begin, end) = begin.split_at(axes);
                Ok(Padding::Explicit { begin: begin.into(), end: end.into() })
            }
            "VALID" => Ok(Padding::Explicit { begin: vec![0; axes], end: vec![0; axes] }),
            "SAME_UPPER" => Ok(Padding::SameUpper),
            "SAME_LOWER" => Ok(Padding::SameLower),
            other => Err(node.unsupported("attribute auto_pad", &format!("\"{other}\" is not known"))),
        }
    }
}

/// The windows over all spatial axes, row-major.
pub(super) struct Windows {
    pub axes: Vec<Axis>,
}

impl Windows {
    /// Windows of size `kernel` over a tensor with spatial axes `input`, as the attributes pads, auto_pad, strides and
    /// dilations place them. `round_up` adds a window that the end of the tensor cuts, unless it starts in the padding.
    pub fn new(node: &Node, input: &[usize], kernel: &[usize], round_up: bool) -> Result<Self, OnnxError> {
        let (strides, dilations) =
            (sizes(node, "strides", input.len(), 1, 1)?, sizes(node, "dilations", input.len(), 1, 1)?);
        let padding = Padding::read(node, input.len())?;
        let mut axes = vec![];
        for (a, (&input, &kernel)) in input.iter().zip(kernel).enumerate() {
            let (stride, dilation) = (strides[a], dilations[a]);
            let extent = extent(node, kernel, dilation)?;
            let same = |upper: bool| {
                let output = input.div_ceil(stride);
                let total = (output.saturating_sub(1) * stride + extent).saturating_sub(input);
                let less = total / 2;
                if upper { (less, total - less) } else { (total - less, less) }
            };
            let (begin, end) = match &padding {
                Padding::Explicit { begin, end } => (begin[a], end[a]),
                Padding::SameUpper => same(true),
                Padding::SameLower => same(false),
            };
            let Some(steps) = (input + begin + end).checked_sub(extent).filter(|_| input > 0) else {
                return Err(node.mismatch(&[input], &[kernel], "a window does not fit the padded input"));
            };
            let explicit = matches!(padding, Padding::Explicit { .. });
            let mut output = 1 + if round_up && explicit { steps.div_ceil(stride) } else { steps / stride };
            if output > 1 && (output - 1) * stride >= input + begin {
                output -= usize::from(round_up);
            }
            axes.push(Axis { input, output, kernel, stride, dilation, begin, end });
        }
        Ok(Self { axes })
    }

    /// Sizes of the result's spatial axes.
    pub fn output(&self) -> Vec<usize> {
        self.axes.iter().map(|a| a.output).collect()
    }

    /// Number of elements of a window. It and the number of windows must have been charged for.
    pub fn window_len(&self) -> usize {
        self.axes.iter().map(|a| a.kernel).product()
    }

    /// For every window, the places of its elements.
    pub fn taps(&self) -> Vec<Tap> {
        let count: usize = self.axes.iter().map(|a| a.output).product();
        let window = self.window_len();
        let mut taps = Vec::with_capacity(count * window);
        for o in 0..count {
            for k in 0..window {
                taps.push(self.tap(o, k));
            }
        }
        taps
    }

    fn tap(&self, mut o: usize, mut k: usize) -> Tap {
        let (mut flat, mut stride, mut padding) = (0, 1, false);
        for axis in self.axes.iter().rev() {
            let at = (o % axis.output) * axis.stride + (k % axis.kernel) * axis.dilation;
            (o, k) = (o / axis.output, k / axis.kernel);
            if at >= axis.begin + axis.input + axis.end {
                return Tap::Beyond;
            }
            match at.checked_sub(axis.begin).filter(|&i| i < axis.input) {
                Some(i) => flat += i * stride,
                None => padding = true,
            }
            stride *= axis.input;
        }
        if padding { Tap::Padding } else { Tap::Inside(flat) }
    }
}

/// Elements from a window's first to its last, both included.
pub(super) fn extent(node: &Node, kernel: usize, dilation: usize) -> Result<usize, OnnxError> {
    if !(1..=MAX_SIZE).contains(&kernel) {
        return Err(node.unsupported("the kernel", &format!("it has {kernel} elements along an axis")));
    }
    Ok((kernel - 1) * dilation + 1)
}

/// Batch, channels and spatial axes (at least one) of a tensor.
pub(super) fn image<'a>(node: &Node, shape: &'a [usize]) -> Result<(usize, usize, &'a [usize]), OnnxError> {
    match shape {
        [batch, channels, spatial @ ..] if !spatial.is_empty() => Ok((*batch, *channels, spatial)),
        _ => Err(node.mismatch(shape, &[], "the input must have a batch, channels and at least one more axis")),
    }
}
