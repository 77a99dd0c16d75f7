//! All plans of a model as a picture and as a table: gas against proving time, what is chosen, what is worse in both, and why
//! the others are not possible.

use std::fmt::Write;

use crate::{
    circuit::Layout,
    gas::thousands,
    plan::{Alternative, Plan, front},
    proof::CurveId,
    svg::{Axis, escape, line, open},
};

const WIDTH: u64 = 880;
const HEIGHT: u64 = 470;
/// The field between the axes.
const LEFT: f64 = 90.0;
const TOP: f64 = 40.0;
const LENGTH: f64 = 760.0;
const RISE: f64 = 330.0;
/// A time that is so many times another one is on a logarithmic axis with it.
const DECADES: f64 = 20.0;
const FRONT: &str = "#3f9f5f";
const WORSE: &str = "#8c959f";

fn colour(layout: Layout) -> &'static str {
    match layout {
        Layout::Periodic => "#3b82d9",
        Layout::General => "#d97a34",
        Layout::Phased => "#9a62d6",
    }
}

/// The plans by rising gas, numbered from 1 where they are drawn and listed.
fn by_gas(alternatives: &[Alternative]) -> Vec<&Plan> {
    let mut plans: Vec<&Plan> = alternatives.iter().filter_map(|a| a.plan.as_ref()).collect();
    plans.sort_by_key(|plan| plan.estimate.transaction);
    plans
}

/// Gas against proving time, every plan a point.
pub(super) fn svg(chosen: &Plan, alternatives: &[Alternative]) -> String {
    let (plans, front) = (by_gas(alternatives), front(alternatives));
    let times = || plans.iter().map(|plan| plan.proving);
    let (least, most) = times().fold((f64::INFINITY, 0.0f64), |(lo, hi), time| (lo.min(time), hi.max(time)));
    let across = if most > DECADES * least { Axis::decades(times()) } else { Axis::linear(times()) };
    let up = Axis::linear(plans.iter().map(|plan| plan.estimate.transaction as f64));
    let x = |plan: &Plan| LEFT + LENGTH * across.place(plan.proving);
    let y = |plan: &Plan| TOP + RISE * (1.0 - up.place(plan.estimate.transaction as f64));

    let mut out = open(WIDTH, HEIGHT, "gas of verifying against time of proving");
    let _ = writeln!(out, "<text class=\"faint\" x=\"16\" y=\"22\">gas of the verifying transaction</text>");
    for (value, place) in up.ticks() {
        let y = TOP + RISE * (1.0 - place);
        line(&mut out, "grid", (LEFT, y), (LEFT + LENGTH, y), "");
        let gas = thousands(value.max(0.0).round() as u64);
        let _ = writeln!(out, "<text class=\"figure faint\" x=\"{}\" y=\"{:.1}\">{gas}</text>", LEFT - 8.0, y + 4.0);
    }
    for (value, place) in across.ticks() {
        let x = LEFT + LENGTH * place;
        line(&mut out, "grid", (x, TOP), (x, TOP + RISE), "");
        let y = TOP + RISE + 20.0;
        let time = seconds(value);
        let _ = writeln!(out, "<text class=\"faint\" x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{time}</text>");
    }
    let _ = writeln!(
        out,
        "<text class=\"figure faint\" x=\"{}\" y=\"{}\">CPU seconds of proving, on a machine that is the same for all plans</text>",
        LEFT + LENGTH,
        TOP + RISE + 42.0
    );

    // what can be had for so much gas and time: stairs
    let mut stairs = String::new();
    for (i, plan) in front.iter().enumerate() {
        if let Some(before) = i.checked_sub(1).and_then(|i| front.get(i)) {
            let _ = write!(stairs, "{:.1},{:.1} ", x(before), y(plan));
        }
        let _ = write!(stairs, "{:.1},{:.1} ", x(plan), y(plan));
    }
    let _ = writeln!(
        out,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"{FRONT}\" stroke-width=\"2\" stroke-dasharray=\"6 4\"/>",
        stairs.trim_end()
    );
    for (i, plan) in plans.iter().enumerate() {
        let (x, y) = (x(plan), y(plan));
        let on_front = front.contains(plan);
        if *plan == chosen {
            let _ = writeln!(
                out,
                "<circle class=\"ring\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"11\" fill=\"none\" stroke=\"{FRONT}\" stroke-width=\"2.5\"/>"
            );
        }
        let _ = writeln!(
            out,
            "{}<title>{}. {}: {} gas, {}</title></{}>\n<text class=\"{}\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            mark(plan, (x, y), if on_front || *plan == chosen { colour(plan.layout) } else { WORSE }),
            i + 1,
            escape(&plan.to_string()),
            thousands(plan.estimate.transaction),
            seconds(plan.proving),
            if plan.curve == CurveId::Bn254 { "circle" } else { "rect" },
            if on_front { "" } else { "faint" },
            x + 9.0,
            y - 7.0,
            i + 1
        );
    }
    legend(&mut out);
    out.push_str("</svg>\n");
    out
}

/// The beginning of a point's element: round on BN254, square on BLS12-381; hollow with the quotient in two pieces.
fn mark(plan: &Plan, (x, y): (f64, f64), colour: &str) -> String {
    let fill = if plan.quotient_pieces == 1 { colour } else { "none" };
    let style = format!("fill=\"{fill}\" stroke=\"{colour}\" stroke-width=\"2\" pointer-events=\"all\"");
    match plan.curve {
        CurveId::Bn254 => format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"5\" {style}>"),
        CurveId::Bls12381 => {
            format!("<rect x=\"{:.1}\" y=\"{:.1}\" width=\"9\" height=\"9\" {style}>", x - 4.5, y - 4.5)
        }
    }
}

fn legend(out: &mut String) {
    let y = TOP + RISE + 72.0;
    let mut x = 16.0;
    let mut entry = |out: &mut String, colour: &str, text: &str| {
        let _ = writeln!(
            out,
            "<rect x=\"{x}\" y=\"{}\" width=\"12\" height=\"5\" fill=\"{colour}\"/>\n<text class=\"faint\" x=\"{}\" y=\"{y}\">{text}</text>",
            y - 7.0,
            x + 18.0
        );
        x += 42.0 + 7.0 * text.len() as f64;
    };
    for layout in Layout::ALL {
        entry(out, colour(layout), &layout.to_string());
    }
    entry(out, WORSE, "another plan is better in both");
    entry(out, FRONT, "the front; a ring: chosen");
    let _ = writeln!(
        out,
        "<text class=\"faint\" x=\"16\" y=\"{}\">round: bn254, square: bls12-381; filled: quotient in one piece, hollow: in two</text>",
        y + 20.0
    );
}

fn seconds(value: f64) -> String {
    let digits = if value >= 10.0 || value == 0.0 { 0 } else { 1 - value.log10().floor().min(0.0) as usize };
    format!("{value:.digits$} s", digits = digits.min(6))
}

/// One line a plan, and one for every way that is not possible.
pub(super) fn table(chosen: &Plan, alternatives: &[Alternative]) -> String {
    let (plans, front) = (by_gas(alternatives), front(alternatives));
    let number = |plan: &Plan| plans.iter().position(|other| *other == plan).map_or(0, |i| i + 1);
    let mut out = String::from(
        "<table class=\"plans\">\n<tr><th class=\"figure\">no.</th><th>layout, curve, quotient</th><th class=\"figure\">rows</th><th class=\"figure\">k</th>\
         <th class=\"figure\">gas</th><th class=\"figure\">proving</th><th>verdict</th></tr>\n",
    );
    for plan in &plans {
        let better = front.iter().find(|other| plan.is_dominated_by(other));
        let (class, verdict) = match (*plan == chosen, better) {
            (true, None) => ("chosen", "chosen".to_string()),
            (true, Some(better)) => ("chosen", format!("chosen; no. {} is better in both", number(better))),
            (false, None) => ("", "on the front".into()),
            (false, Some(better)) => ("worse", format!("no. {} is better in both", number(better))),
        };
        let _ = writeln!(
            out,
            "<tr class=\"{class}\"><td class=\"figure\">{}</td><td>{}</td><td class=\"figure\">{}</td><td class=\"figure\">{}</td>\
             <td class=\"figure\">{}</td><td class=\"figure\">{:.2} ×</td><td>{verdict}</td></tr>",
            number(plan),
            escape(&plan.to_string()),
            thousands(plan.rows as u64),
            plan.k,
            thousands(plan.estimate.transaction),
            plan.proving / chosen.proving,
        );
    }
    for way in alternatives.iter().filter(|a| a.plan.is_none()) {
        let _ = writeln!(
            out,
            "<tr class=\"worse\"><td></td><td>{}</td><td></td><td></td><td></td><td></td><td>not possible: {}</td></tr>",
            escape(&way.to_string()),
            escape(way.reason.as_deref().unwrap_or_default()),
        );
    }
    out.push_str("</table>\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        circuit::testing::mlp,
        gas::Estimate,
        plan::{Choice, Optimize, PlanOptions, alternatives, choose},
        svg::text,
    };

    fn planned(widths: &[usize], bn254_k: u32, layout: Choice<Layout>) -> (Plan, Vec<Alternative>) {
        let curve = Choice::Only(CurveId::Bn254);
        let options = PlanOptions { layout, curve, bn254_k, optimize: Optimize::Gas };
        let found = alternatives(&mlp(widths, 1000, 1), &options);
        (choose(&found, &options).unwrap(), found)
    }

    #[test]
    fn every_plan_is_a_point_and_a_line() {
        let (chosen, found) = planned(&[10, 32, 1], 14, Choice::Auto);
        let plans = found.iter().filter(|a| a.plan.is_some()).count();
        assert!(plans > 4 && plans < found.len(), "{found:?}");
        let (svg, table) = (svg(&chosen, &found), table(&chosen, &found));
        text(&svg);
        assert_eq!(svg.matches("<title>").count(), plans);
        assert_eq!(svg.matches("class=\"ring\"").count(), 1);
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        let text = text(&table);
        assert_eq!(table.matches("<tr").count(), 1 + found.len());
        assert_eq!(text.matches("not possible: ").count(), found.len() - plans);
        assert_eq!((text.matches("chosen").count(), table.matches("\"chosen\"").count()), (1, 1));
        assert_eq!(text.matches("on the front").count(), front(&found).len() - 1, "{text}");
        assert_eq!(text.matches("is better in both").count(), plans - front(&found).len());
        assert!(text.contains(" 1.00 ×"), "{text}");
    }

    #[test]
    fn a_choice_that_is_dominated_says_so() {
        let (chosen, mut found) = planned(&[3, 4, 1], 14, Choice::Only(Layout::General));
        assert!(!text(&table(&chosen, &found)).contains("chosen; no. "));
        let mut better = found[0].clone();
        let (gas, proving) = (chosen.estimate.transaction - 1, chosen.proving / 2.0);
        better.plan =
            Some(Plan { estimate: Estimate { transaction: gas, ..chosen.estimate }, proving, ..chosen.clone() });
        found.push(better);
        let table = table(&chosen, &found);
        assert!(text(&table).contains("chosen; no. ") && table.contains("is better in both"), "{table}");
    }

    #[test]
    fn points_lie_by_gas_and_time() {
        let (chosen, found) = planned(&[100, 60, 4], 16, Choice::Auto);
        let svg = svg(&chosen, &found);
        let number = |line: &str, name: &str| -> f64 {
            line.split(&format!(" {name}=\"")).nth(1).unwrap().split('"').next().unwrap().parse().unwrap()
        };
        let mut places: Vec<(String, f64, f64)> = vec![];
        for line in svg.lines().filter(|line| line.contains("<title>")) {
            let name = line.split(". ").nth(1).unwrap().split(": ").next().unwrap().to_string();
            let (x, y, middle) = if line.starts_with("<rect") { ("x", "y", 4.5) } else { ("cx", "cy", 0.0) };
            places.push((name, number(line, x) + middle, number(line, y) + middle));
        }
        for a in found.iter().filter_map(|a| a.plan.as_ref()) {
            for b in found.iter().filter_map(|b| b.plan.as_ref()) {
                let place = |plan: &Plan| places.iter().find(|(name, ..)| *name == plan.to_string()).unwrap();
                let ((_, ax, ay), (_, bx, by)) = (place(a), place(b));
                assert!(a.proving > b.proving || ax <= bx, "{a}, {b}");
                assert!(a.estimate.transaction > b.estimate.transaction || ay >= by, "{a}, {b}");
            }
        }
    }
}
