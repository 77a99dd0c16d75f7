//! A breakdown as a picture: SVG, or an HTML page that needs nothing else. Both are readable on light and dark ground.

use std::fmt::Write;

use super::{Breakdown, Part, PartKind, thousands};
use crate::svg::{self, escape};

/// What a picture shows.
#[derive(Clone, Copy, Debug)]
pub struct Picture<'a> {
    pub title: &'a str,
    /// Names and values around the figures, such as the compiler's version.
    pub facts: &'a [(String, String)],
    pub breakdown: &'a Breakdown,
}

const WIDTH: u64 = 880;
const MARGIN: u64 = 16;
/// Where the bars of the parts start, and how long the longest is.
const BARS: u64 = 290;
const LONGEST_BAR: u64 = 450;
const ROW: u64 = 24;
/// Where the parts start, below the title and the bar of the whole.
const TOP: u64 = 112;

fn colour(kind: PartKind) -> &'static str {
    match kind {
        PartKind::Base => "#8c959f",
        PartKind::Calldata | PartKind::CalldataFloor => "#57808f",
        PartKind::Entry => "#a0a7b0",
        PartKind::Step => "#3b82d9",
        PartKind::Multiplication => "#d97a34",
        PartKind::Addition => "#d9a934",
        PartKind::Pairing => "#9a62d6",
        PartKind::PointEvaluation => "#3f9f5f",
        PartKind::Modexp => "#c9517f",
        PartKind::OtherCall => "#7a7f52",
    }
}

/// A part's name, with its number of calls where there is one.
fn label(part: &Part) -> String {
    part.calls.map_or_else(|| part.name.clone(), |calls| format!("{calls} × {}", part.name))
}

/// `gas` of `whole` in percent, with one decimal.
fn share(gas: u64, whole: u64) -> String {
    format!("{:.1}%", 100.0 * gas as f64 / whole.max(1) as f64)
}

impl Picture<'_> {
    /// The picture as an SVG document.
    pub fn svg(&self) -> String {
        let whole = self.breakdown.transaction;
        let parts = &self.breakdown.parts;
        let height = TOP + ROW * parts.len() as u64 + MARGIN;
        let title = escape(self.title);
        let mut out = svg::open(WIDTH, height, self.title);
        let _ = write!(
            out,
            "<text class=\"title\" x=\"{MARGIN}\" y=\"30\">{title}</text>\n\
             <text class=\"faint\" x=\"{MARGIN}\" y=\"52\">{} gas, of which execution {}</text>\n",
            thousands(whole),
            thousands(self.breakdown.execution),
        );

        // the whole, stacked
        let length = WIDTH - 2 * MARGIN;
        let mut before = 0;
        for part in parts.iter().filter(|part| part.gas > 0) {
            let x = before as f64 * length as f64 / whole.max(1) as f64;
            let width = part.gas as f64 * length as f64 / whole.max(1) as f64;
            let _ = writeln!(
                out,
                "<rect x=\"{:.2}\" y=\"66\" width=\"{width:.2}\" height=\"24\" fill=\"{}\"><title>{}: {}</title></rect>",
                MARGIN as f64 + x,
                colour(part.kind),
                escape(&label(part)),
                thousands(part.gas),
            );
            before += part.gas;
        }

        let largest = parts.iter().map(|part| part.gas).max().unwrap_or(0).max(1);
        for (i, part) in parts.iter().enumerate() {
            let y = TOP + ROW * i as u64;
            let (indent, class) = if part.kind.is_call() { (MARGIN, " class=\"faint\"") } else { (0, "") };
            let _ = writeln!(
                out,
                "<text{class} x=\"{}\" y=\"{}\">{}</text>\n\
                 <rect x=\"{BARS}\" y=\"{}\" width=\"{:.2}\" height=\"14\" rx=\"2\" fill=\"{}\"/>\n\
                 <text class=\"figure\" x=\"{}\" y=\"{}\">{}</text>\n\
                 <text class=\"figure faint\" x=\"{}\" y=\"{}\">{}</text>",
                MARGIN + indent,
                y + 12,
                escape(&label(part)),
                y + 1,
                part.gas as f64 * LONGEST_BAR as f64 / largest as f64,
                colour(part.kind),
                WIDTH - MARGIN - 56,
                y + 12,
                thousands(part.gas),
                WIDTH - MARGIN,
                y + 12,
                share(part.gas, whole),
            );
        }
        out.push_str("</svg>\n");
        out
    }

    /// The picture, the facts and a table of all parts as an HTML page.
    pub fn html(&self) -> String {
        let mut out = self.svg();
        out.push_str("<table>\n<tr><th>part</th><th class=\"figure\">gas</th><th class=\"figure\">share</th></tr>\n");
        let whole = self.breakdown.transaction;
        let mut row = |class: &str, name: &str, gas: u64| {
            let _ = writeln!(
                out,
                "<tr><td{class}>{}</td><td class=\"figure\">{}</td><td class=\"figure\">{}</td></tr>",
                escape(name),
                thousands(gas),
                share(gas, whole),
            );
        };
        for part in &self.breakdown.parts {
            row(if part.kind.is_call() { " class=\"call\"" } else { "" }, &label(part), part.gas);
        }
        row("", "transaction", whole);
        out.push_str("</table>\n");
        out.push_str(&svg::facts(self.facts));
        svg::page(self.title, &out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::svg::text;

    fn part(kind: PartKind, name: &str, gas: u64) -> Part {
        Part { kind, name: name.into(), step: None, calls: kind.is_call().then_some(2), gas }
    }

    fn breakdown() -> Breakdown {
        let parts = vec![
            part(PartKind::Base, "base", 21_000),
            part(PartKind::Step, "1. <script>alert('x' & \"y\")</script>", 4_000),
            part(PartKind::Multiplication, "multiplication of points", 12_000),
        ];
        Breakdown { transaction: 37_000, execution: 16_000, parts }
    }

    #[test]
    fn pictures_are_well_formed_and_quote_nothing() {
        let facts = [("solc <b>".to_string(), "0.8 & \u{1b}[2J".to_string())];
        let breakdown = breakdown();
        let picture = Picture { title: "A \"B\" <C>", facts: &facts, breakdown: &breakdown };
        for document in [picture.svg(), picture.html()] {
            let text = text(&document);
            for words in ["A &quot;B&quot; &lt;C&gt;", "&lt;script&gt;", "2 × multiplication of points", "37,000"] {
                assert!(text.contains(words), "{words}: {text}");
            }
            assert!(!document.contains("<script") && !document.contains('\u{1b}'));
        }
        assert!(text(&picture.html()).contains("solc &lt;b&gt;"));
    }

    #[test]
    fn bars_fill_the_whole_and_are_in_proportion() {
        let breakdown = breakdown();
        let svg = Picture { title: "", facts: &[], breakdown: &breakdown }.svg();
        let width = |line: &str| -> f64 {
            line.split("width=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap().parse().unwrap()
        };
        let widths = |y: &str| -> Vec<f64> {
            svg.lines().filter(|line| line.starts_with("<rect") && line.contains(y)).map(width).collect()
        };
        let stacked = widths("y=\"66\"");
        assert_eq!(stacked.len(), 3);
        assert!((stacked.iter().sum::<f64>() - (WIDTH - 2 * MARGIN) as f64).abs() < 0.05, "{stacked:?}");
        let rows = widths("rx=");
        assert!((rows[0] - LONGEST_BAR as f64).abs() < 0.01, "{rows:?}");
        assert!((rows[2] / rows[0] - 12.0 / 21.0).abs() < 0.001, "{rows:?}");
    }
}
