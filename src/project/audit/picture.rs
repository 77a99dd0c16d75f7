//! An audit as a picture: error by precision, and error by tensor, both on logarithmic axes.

use std::fmt::Write;

use super::Audit;
use crate::{
    quant::{Accuracy, TensorError},
    svg::{Axis, escape, line, open},
};

const WIDTH: u64 = 880;
const MARGIN: f64 = 16.0;
/// Where axes begin, and how long they are.
const LEFT: f64 = 290.0;
const LENGTH: f64 = 560.0;
/// The upper chart: where it begins and how high it is.
const TOP: f64 = 116.0;
const HEIGHT: f64 = 180.0;
const ROW: f64 = 22.0;
/// Height of a line of the verdict, its longest length in characters, and how many there may be.
const LINE: f64 = 17.0;
const LINE_LENGTH: usize = 120;
const VERDICT_LINES: usize = 3;
/// The most tensors that are drawn: those with the greatest errors.
const MAX_TENSORS: usize = 40;

const COLOURS: [&str; 2] = ["#3b82d9", "#d97a34"];

impl Audit {
    /// The picture as an SVG document.
    pub fn svg(&self, title: &str) -> String {
        let mut tensors: Vec<&TensorError> = self.tensors.iter().collect();
        tensors.sort_by(|a, b| b.relative.total_cmp(&a.relative));
        tensors.truncate(MAX_TENSORS);
        let below = TOP + HEIGHT + 90.0;
        let height = (below + ROW * tensors.len() as f64 + 2.0 * MARGIN) as u64;
        let mut out = open(WIDTH, height, title);
        let _ = writeln!(out, "<text class=\"title\" x=\"{MARGIN}\" y=\"30\">{}</text>", escape(title));
        for (i, line) in wrapped(&self.verdict).iter().enumerate() {
            let y = 52.0 + LINE * i as f64;
            let _ = writeln!(out, "<text class=\"faint\" x=\"{MARGIN}\" y=\"{y}\">{}</text>", escape(line));
        }
        self.by_precision(&mut out);
        self.by_tensor(&mut out, &tensors, below);
        out.push_str("</svg>\n");
        out
    }

    /// Greatest and mean error, relative to the range of the outputs, against bits.
    fn by_precision(&self, out: &mut String) {
        let measured: Vec<(u32, &Accuracy)> =
            self.precisions.iter().filter_map(|at| Some((at.bits, at.accuracy.as_ref()?))).collect();
        let greatest = |a: &Accuracy| a.max_relative_to_range;
        let mean = |a: &Accuracy| a.mean_abs_error / a.output_range;
        let series = [("greatest error", greatest as fn(&Accuracy) -> f64), ("mean error", mean)];
        let values = measured.iter().flat_map(|(_, a)| [greatest(a), mean(a)]);
        let axis = Axis::logarithmic(values.chain([self.tolerance]));
        let y = |value: f64| TOP + HEIGHT * (1.0 - axis.place(value));
        let (first, last) = measured.iter().fold((u32::MAX, 0), |(lo, hi), (bits, _)| (lo.min(*bits), hi.max(*bits)));
        let x = |bits: u32| {
            LEFT + LENGTH * f64::from(bits.saturating_sub(first)) / f64::from(last.saturating_sub(first).max(1))
        };

        let _ = writeln!(
            out,
            "<text x=\"{MARGIN}\" y=\"{TOP}\">error of the outputs,</text>\n<text x=\"{MARGIN}\" y=\"{}\">relative to their range</text>",
            TOP + 18.0
        );
        for (value, place) in axis.ticks() {
            let y = TOP + HEIGHT * (1.0 - place);
            line(out, "grid", (LEFT, y), (LEFT + LENGTH, y), "");
            let _ = writeln!(
                out,
                "<text class=\"figure faint\" x=\"{}\" y=\"{:.1}\">{value:.0e}</text>",
                LEFT - 8.0,
                y + 4.0
            );
        }
        line(
            out,
            "",
            (LEFT, y(self.tolerance)),
            (LEFT + LENGTH, y(self.tolerance)),
            " stroke=\"#3f9f5f\" stroke-dasharray=\"6 4\"",
        );
        for (i, (name, value)) in series.iter().enumerate() {
            let colour = COLOURS[i % COLOURS.len()];
            let points: Vec<String> =
                measured.iter().map(|(bits, a)| format!("{:.1},{:.1}", x(*bits), y(value(a)))).collect();
            let _ = writeln!(
                out,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
                points.join(" ")
            );
            for (bits, a) in &measured {
                let _ = writeln!(
                    out,
                    "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"4\" fill=\"{colour}\"><title>{name} at {bits} bits: {:.2e}</title></circle>",
                    x(*bits),
                    y(value(a)),
                    value(a)
                );
            }
            legend(out, colour, name, i);
        }
        legend(out, "#3f9f5f", &format!("tolerance {:e}", self.tolerance), series.len());
        for (bits, _) in &measured {
            let _ = writeln!(
                out,
                "<text class=\"faint\" x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{bits}</text>",
                x(*bits),
                TOP + HEIGHT + 20.0
            );
        }
        let _ = writeln!(out, "<text class=\"faint\" x=\"{MARGIN}\" y=\"{}\">bits</text>", TOP + HEIGHT + 20.0);
    }

    /// Bars, the longest first.
    fn by_tensor(&self, out: &mut String, tensors: &[&TensorError], top: f64) {
        let axis = Axis::logarithmic(tensors.iter().map(|tensor| tensor.relative));
        let _ = writeln!(
            out,
            "<text x=\"{MARGIN}\" y=\"{:.1}\">greatest error by tensor at {} bits, relative to its range</text>",
            top - 30.0,
            self.tensor_bits
        );
        for (value, place) in axis.ticks() {
            let x = LEFT + (LENGTH - 60.0) * place;
            line(out, "grid", (x, top - 8.0), (x, top + ROW * tensors.len() as f64), "");
            let _ = writeln!(
                out,
                "<text class=\"faint\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{value:.0e}</text>",
                top - 12.0
            );
        }
        for (i, tensor) in tensors.iter().enumerate() {
            let y = top + ROW * i as f64;
            let name: String = tensor.node.chars().rev().take(36).collect::<Vec<_>>().into_iter().rev().collect();
            let _ = writeln!(
                out,
                "<text x=\"{MARGIN}\" y=\"{:.1}\">{}</text>\n<rect x=\"{LEFT}\" y=\"{:.1}\" width=\"{:.1}\" height=\"14\" rx=\"2\" fill=\"{}\"/>\n\
                 <text class=\"figure\" x=\"{}\" y=\"{:.1}\">{:.1e}</text>",
                y + 13.0,
                escape(&name),
                y + 2.0,
                (LENGTH - 60.0) * if tensor.relative > 0.0 { axis.place(tensor.relative) } else { 0.0 },
                COLOURS[0],
                LEFT + LENGTH,
                y + 13.0,
                tensor.relative
            );
        }
    }
}

/// Lines that are not too long, but for long words; at most [`VERDICT_LINES`].
fn wrapped(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = vec![];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= LINE_LENGTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.into()),
        }
    }
    lines.truncate(VERDICT_LINES);
    lines
}

fn legend(out: &mut String, colour: &str, name: &str, place: usize) {
    let y = TOP + 52.0 + ROW * place as f64;
    let _ = writeln!(
        out,
        "<rect x=\"{MARGIN}\" y=\"{:.1}\" width=\"14\" height=\"4\" fill=\"{colour}\"/>\n<text class=\"faint\" x=\"{}\" y=\"{y:.1}\">{name}</text>",
        y - 6.0,
        MARGIN + 22.0
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{project::PrecisionAudit, svg::text};

    fn audit(errors: &[f64], tensors: usize) -> Audit {
        let at = |(i, &error): (usize, &f64)| PrecisionAudit {
            bits: 8 + 4 * i as u32,
            accuracy: Some(Accuracy {
                samples: 3,
                max_abs_error: error,
                mean_abs_error: error / 2.0,
                max_relative_to_range: error,
                decisions_flipped: 0,
                output_range: 1.0,
            }),
            rms_error: Some(error),
            exact_integers: None,
            size: None,
            refused: None,
        };
        let tensor = |i: usize| TensorError {
            node: format!("<node \"{i}\">"),
            operator: "Gemm".into(),
            elements: 1,
            fraction_bits: 8,
            range: 1.0,
            max_error: 0.5f64.powi(i as i32),
            relative: 0.5f64.powi(i as i32),
        };
        Audit {
            precisions: errors.iter().enumerate().map(at).collect(),
            chosen: None,
            tolerance: 1e-3,
            tensor_bits: 12,
            tensors: (0..tensors).map(tensor).collect(),
            fit: true,
            verdict: "fit & well".into(),
        }
    }

    #[test]
    fn pictures_are_well_formed_and_bounded() {
        for (errors, tensors) in [(&[][..], 0), (&[0.0][..], 1), (&[1e-2, 1e-4, 0.0, 1e-30][..], 100)] {
            let svg = audit(errors, tensors).svg("A <b> \"title\"");
            let text = text(&svg);
            assert!(text.contains("fit &amp; well") && text.contains("A &lt;b&gt;"), "{text}");
            assert!(!svg.contains("<node") && !svg.contains("NaN") && !svg.contains("inf"), "{svg}");
            assert_eq!(svg.matches("rx=\"2\"").count(), tensors.min(MAX_TENSORS));
            assert_eq!(svg.matches("<circle").count(), 2 * errors.len());
        }
    }

    #[test]
    fn long_verdicts_are_wrapped() {
        let text = "word ".repeat(60);
        let lines = wrapped(&text);
        assert!(lines.len() == 3 && lines.iter().all(|line| line.len() <= LINE_LENGTH), "{lines:?}");
        assert_eq!(lines.join(" "), text.trim_end());
        assert_eq!(wrapped(&"x".repeat(500)).len(), 1);
    }

    #[test]
    fn smaller_errors_are_lower() {
        let svg = audit(&[1e-2, 1e-3, 1e-5], 0).svg("");
        let height =
            |line: &str| -> f64 { line.split("cy=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap() };
        let heights: Vec<f64> = svg.lines().filter(|line| line.contains("greatest error at")).map(height).collect();
        assert!(heights.len() == 3 && heights.windows(2).all(|pair| pair[0] < pair[1]), "{heights:?}");
        let steps = (heights[1] - heights[0], heights[2] - heights[1]);
        assert!((steps.1 / steps.0 - 2.0).abs() < 0.02, "two decades are twice as far: {steps:?}");
    }
}
