//! The table in the documentation.

use std::{collections::BTreeMap, fmt::Write};

use super::{
    case::Case,
    judge::{Outcome, Verdict},
};

/// Everything between these lines is written by this test.
const BEGIN: &str = "<!-- table of tests/conformance: begin -->";
const END: &str = "<!-- table of tests/conformance: end -->";

/// The page with the table made anew.
pub fn insert(page: &str, verdicts: &[(&Case, Verdict)]) -> String {
    let (head, rest) = page.split_once(BEGIN).unwrap();
    let (_, tail) = rest.split_once(END).unwrap();
    format!("{head}{BEGIN}\n\n{}\n{END}{tail}", table(verdicts))
}

fn table(verdicts: &[(&Case, Verdict)]) -> String {
    let mut rows: BTreeMap<&str, Vec<&Verdict>> = BTreeMap::new();
    for (case, verdict) in verdicts {
        rows.entry(&case.operator).or_default().push(verdict);
    }
    let mut table =
        String::from("| operator | tests | float | quantised | refused |\n| --- | ---: | ---: | ---: | --- |\n");
    for (operator, verdicts) in rows {
        let passed =
            |outcome: fn(&Verdict) -> &Outcome| verdicts.iter().filter(|v| *outcome(v) == Outcome::Passed).count();
        let (float, quantised) = (passed(|v| &v.float), passed(|v| &v.quantised));
        writeln!(table, "| {operator} | {} | {float} | {quantised} | {} |", verdicts.len(), reasons(&verdicts))
            .unwrap();
    }
    table
}

/// The reasons of all refusals, each with how many tests it stops.
fn reasons(verdicts: &[&Verdict]) -> String {
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for verdict in verdicts {
        if let Outcome::Refused(reason) | Outcome::Undefined(reason) = &verdict.quantised {
            // a cell is one line
            *reasons.entry(reason.lines().next().unwrap_or_default()).or_default() += 1;
        }
    }
    reasons.iter().map(|(reason, count)| format!("{count}: {reason}")).collect::<Vec<_>>().join("<br>")
}
