//! What all pictures share: SVG and HTML that are readable on light and dark ground, axes, and text that cannot be markup.

use std::fmt::Write;

const STYLE: &str = "\
text { font: 13px system-ui, sans-serif; fill: #24292f }
.title { font-size: 17px; font-weight: 600 }
.faint { fill: #6e7781 }
.figure { text-anchor: end; font-variant-numeric: tabular-nums }
.grid { stroke: #8c959f; stroke-opacity: 0.35 }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .faint { fill: #8d96a0 } }";

/// The beginning of a document of this size; `</svg>` ends it.
pub fn open(width: u64, height: u64, title: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         role=\"img\" aria-label=\"{}\">\n<style>\n{STYLE}\n</style>\n",
        escape(title)
    )
}

/// A line; `style` are further attributes.
pub fn line(out: &mut String, class: &str, from: (f64, f64), to: (f64, f64), style: &str) {
    let _ = writeln!(
        out,
        "<line class=\"{class}\" x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\"{style}/>",
        from.0, from.1, to.0, to.1
    );
}

/// Where values are along an axis, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Axis {
    /// From one power of ten to another.
    Logarithmic { lowest: i32, highest: i32 },
    /// From a multiple of a step, so many steps on.
    Linear { step: f64, first: f64, steps: usize },
}

/// Values that are not zero but smaller are drawn as this on a logarithmic axis.
const LEAST: f64 = 1e-12;

/// About so many steps has a linear axis.
const STEPS: f64 = 5.0;

impl Axis {
    /// A logarithmic axis for the values that are not zero, with a power of ten to spare below them.
    pub fn logarithmic(values: impl Iterator<Item = f64>) -> Self {
        match Self::decades(values) {
            Self::Logarithmic { lowest, highest } => Self::Logarithmic { lowest: lowest - 1, highest },
            linear @ Self::Linear { .. } => linear,
        }
    }

    /// A logarithmic axis from the power of ten below the values that are not zero to the one above them.
    pub fn decades(values: impl Iterator<Item = f64>) -> Self {
        let exponents = values.filter(|v| *v > 0.0 && v.is_finite()).map(|v| v.max(LEAST).log10());
        let (lowest, highest) =
            exponents.fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), e| (lo.min(e.floor()), hi.max(e.ceil())));
        match lowest <= highest {
            true => Self::Logarithmic { lowest: lowest as i32, highest: (highest as i32).max(lowest as i32 + 1) },
            false => Self::Logarithmic { lowest: 0, highest: 1 },
        }
    }

    /// A linear axis that begins and ends beyond the values, with round steps.
    pub fn linear(values: impl Iterator<Item = f64>) -> Self {
        let (least, most) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), v| (lo.min(v), hi.max(v)));
        if !(least.is_finite() && most.is_finite()) {
            return Self::Linear { step: 1.0, first: 0.0, steps: 1 };
        }
        let rough = if most > least { (most - least) / STEPS } else { (most.abs() / STEPS).max(LEAST) };
        let unit = 10f64.powf(rough.log10().floor());
        let step = unit * [1.0, 2.0, 5.0].into_iter().find(|factor| factor * unit >= rough).unwrap_or(10.0);
        let first = (least / step - 0.1).floor();
        Self::Linear { step, first: first * step, steps: ((most / step + 0.1).ceil() - first).max(1.0) as usize }
    }

    /// Where a value is; zero is at 0 on a logarithmic axis.
    pub fn place(&self, value: f64) -> f64 {
        let place = match *self {
            Self::Logarithmic { lowest, highest } => {
                (value.max(LEAST).log10() - f64::from(lowest)) / f64::from(highest - lowest)
            }
            Self::Linear { step, first, steps } => (value - first) / (step * steps as f64),
        };
        place.clamp(0.0, 1.0)
    }

    /// Values to mark, with their places.
    pub fn ticks(&self) -> Vec<(f64, f64)> {
        let values: Vec<f64> = match *self {
            Self::Logarithmic { lowest, highest } => {
                let step = ((highest - lowest) / 6 + 1) as usize;
                (lowest..=highest).step_by(step).map(|e| 10f64.powi(e)).collect()
            }
            Self::Linear { step, first, steps } => (0..=steps).map(|i| first + step * i as f64).collect(),
        };
        values.into_iter().map(|value| (value, self.place(value))).collect()
    }
}

/// A page that needs nothing else.
pub fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{0}</title>\n<style>\n\
             {PAGE_STYLE}\n</style>\n</head>\n<body>\n<h1>{0}</h1>\n{body}</body>\n</html>\n",
        escape(title)
    )
}

const PAGE_STYLE: &str = "\
:root { color-scheme: light dark }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 920px; margin: 2rem auto; padding: 0 1rem }
svg { max-width: 100%; height: auto }
table { border-collapse: collapse; margin: 1.5rem 0 }
td, th { padding: 0.2rem 1rem 0.2rem 0; border-bottom: 1px solid #8884; text-align: left; vertical-align: top; overflow-wrap: anywhere }
.figure { text-align: right; font-variant-numeric: tabular-nums }
.call { padding-left: 1.2rem }
.worse { opacity: 0.6 }
.chosen { font-weight: 600 }";

/// A table of names and values.
pub fn facts<N: AsRef<str>>(rows: &[(N, String)]) -> String {
    let mut out = String::from("<table>\n");
    for (name, value) in rows {
        let (name, value) = (escape(name.as_ref()), escape(value));
        let _ = writeln!(out, "<tr><th>{name}</th><td>{value}</td></tr>");
    }
    out.push_str("</table>\n");
    out
}

/// Text for an element or a quoted attribute.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// The text between the tags of a document, and a check that the tags nest.
#[cfg(test)]
pub(crate) fn text(document: &str) -> String {
    let (mut text, mut open) = (String::new(), vec![]);
    for piece in document.split('<').skip(1) {
        let (tag, rest) = piece.split_once('>').unwrap();
        let name = tag.split_whitespace().next().unwrap();
        if let Some(name) = name.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "{document}");
        } else if !tag.ends_with('/') && !matches!(name, "!doctype" | "meta") {
            open.push(name);
        }
        text.push_str(rest);
        text.push(' ');
    }
    assert_eq!(open, Vec::<&str>::new());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_hold_their_values_between_round_ticks() {
        for values in [&[124_900.0, 239_800.0][..], &[7.0], &[0.0], &[-3.2, 1e6], &[0.1, 0.100001]] {
            let axis = Axis::linear(values.iter().copied());
            let ticks = axis.ticks();
            assert!((2..14).contains(&ticks.len()), "{values:?}: {ticks:?}");
            assert!(ticks[0].0 <= values[0] && ticks[ticks.len() - 1].0 >= values[values.len() - 1], "{ticks:?}");
            assert_eq!((ticks[0].1, ticks[ticks.len() - 1].1), (0.0, 1.0));
        }
        assert_eq!(Axis::linear([125_363.0, 239_800.0].into_iter()).ticks()[0].0, 100_000.0);
        let axis = Axis::logarithmic([0.03, 20.0].into_iter());
        assert_eq!(axis, Axis::Logarithmic { lowest: -3, highest: 2 });
        assert_eq!(Axis::decades([0.03, 20.0].into_iter()), Axis::Logarithmic { lowest: -2, highest: 2 });
        assert_eq!(Axis::logarithmic(std::iter::empty()), Axis::Logarithmic { lowest: -1, highest: 1 });
        assert!((axis.place(1.0) - 0.6).abs() < 1e-9 && axis.place(0.0) == 0.0 && axis.place(1e9) == 1.0);
        assert!(
            Axis::linear(std::iter::empty())
                .ticks()
                .iter()
                .all(|(value, place)| value.is_finite() && place.is_finite())
        );
    }
}
