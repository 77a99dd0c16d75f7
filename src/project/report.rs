//! `report.html`: what a model is, what is proved of it, and what that costs in every plan, as one page that needs nothing else.

mod plans;

use super::{AnyVerifyingKey, Columns};
use crate::{
    gas::thousands,
    graph::{Feature, IntegerModel, IntegerNode, Interval},
    plan::{Alternative, Plan},
    problem::Problems,
    quant::{DomainSource, Quantised},
    svg::{escape, facts, page},
};

/// The most features, and the most public values, that are listed; the manifest has all.
const MAX_LISTED: usize = 64;

/// A line of a table: a name and a value.
pub(super) type Fact = (&'static str, String);

/// What verifying takes, as it is known without keys.
pub(super) fn verifying_costs(plan: &Plan, proof_bytes: usize, calldata_bytes: usize) -> Vec<Fact> {
    let (gas, execution) = (thousands(plan.estimate.transaction), thousands(plan.estimate.execution));
    vec![
        ("gas of verifying", format!("{gas}, of which execution {execution}")),
        ("proof", bytes(proof_bytes as u64)),
        ("calldata", bytes(calldata_bytes as u64)),
    ]
}

/// What proving takes besides time.
pub(super) fn proving_costs(peak_bytes: u64, proving_key_bytes: u64, verifying_key_bytes: u64) -> Vec<Fact> {
    vec![
        ("peak memory of proving", bytes(peak_bytes)),
        ("proving key", bytes(proving_key_bytes)),
        ("verifying key", bytes(verifying_key_bytes)),
    ]
}

/// A number of bytes for people.
pub(super) fn bytes(count: u64) -> String {
    match count {
        ..1_000_000 => format!("{} bytes", thousands(count)),
        _ => format!("{:.1} MB", count as f64 / 1e6),
    }
}

/// What a report says.
pub(super) struct Report<'a> {
    /// The model's file.
    pub file: &'a str,
    /// What else is known about the model, such as its digest.
    pub identity: Vec<Fact>,
    pub problems: &'a Problems,
    pub domain: DomainSource,
    pub quantised: &'a Quantised,
    pub plan: &'a Plan,
    pub alternatives: &'a [Alternative],
    pub columns: Columns,
    pub verifying_key: &'a AnyVerifyingKey,
    /// What verifying and proving take, as far as it is known.
    pub costs: Vec<Fact>,
}

impl Report<'_> {
    /// The page.
    pub fn html(&self) -> String {
        let (model, plan) = (&self.quantised.model, self.plan);
        let mut body = String::new();
        let mut section = |title: &str, content: String| body += &format!("<h2>{title}</h2>\n{content}");
        if !self.problems.is_empty() {
            let lines = self.problems.to_string();
            let items =
                lines.lines().filter(|line| !line.is_empty()).map(|line| format!("<li>{}</li>\n", escape(line)));
            section("Problems", format!("<ul>\n{}</ul>\n", items.collect::<String>()));
        }
        section("Model", facts(&self.model()));
        section("Domain", self.domain());
        section("Public values", public_values(model));
        section("Accuracy", facts(&self.accuracy()));
        section("Circuit", facts(&self.circuit()));
        section("Forecast", facts(&self.costs));
        let remark = "Proving times compare plans: they are CPU seconds of a machine that there is not, the same for all. \
                      What no other plan beats in both is the front.";
        let plans = plans::svg(plan, self.alternatives) + &plans::table(plan, self.alternatives);
        section("Alternatives", format!("<p>{remark}</p>\n{plans}"));
        page(&format!("{}: {plan}", self.file), &body)
    }

    fn model(&self) -> Vec<Fact> {
        let model = &self.quantised.model;
        let weights = |node: &IntegerNode| node.op.affine().map_or(0, |map| map.weights.len() + map.bias.len());
        let mut kinds: Vec<(&str, usize)> = vec![];
        for name in model.nodes.iter().map(|node| node.op.name()) {
            match kinds.iter_mut().find(|(kind, _)| *kind == name) {
                Some((_, count)) => *count += 1,
                None => kinds.push((name, 1)),
            }
        }
        let kinds: Vec<String> = kinds.into_iter().map(|(name, count)| format!("{count} × {name}")).collect();
        let mut rows = vec![("file", self.file.to_string())];
        rows.extend(self.identity.iter().cloned());
        rows.extend([
            ("inputs", thousands(model.features.len() as u64)),
            ("outputs", model.outputs.iter().map(|output| output.name.as_str()).collect::<Vec<_>>().join(", ")),
            ("integer operators", kinds.join(", ")),
            ("integer weights", thousands(model.nodes.iter().map(weights).sum::<usize>() as u64)),
        ]);
        rows
    }

    fn domain(&self) -> String {
        let source = match self.domain {
            DomainSource::Declared => "Declared. A proof exists for every input inside of it and for no other.",
            DomainSource::Calibration => {
                "Not declared: it is what the calibration data spans. A proof exists for every input inside of it and for no other."
            }
        };
        let row = |feature: &Feature| {
            let Feature { name, range, scale } = feature;
            let value = |integer: i128| integer as f64 / scale;
            let bounds = [value(range.lo).to_string(), value(range.hi).to_string()];
            vec![name.clone(), bounds[0].clone(), bounds[1].clone(), unit(*scale)]
        };
        let model = &self.quantised.model;
        format!(
            "<p>{source}</p>\n{}",
            listed(["input", "least", "greatest", "in steps of"], model.features.iter().map(row))
        )
    }

    fn accuracy(&self) -> Vec<Fact> {
        let accuracy = &self.quantised.accuracy;
        vec![
            ("precision", format!("{} bits", self.quantised.precision)),
            ("samples", thousands(accuracy.samples as u64)),
            (
                "greatest error",
                format!("{:.2e}, {:.2e} of the output range", accuracy.max_abs_error, accuracy.max_relative_to_range),
            ),
            ("mean error", format!("{:.2e}", accuracy.mean_abs_error)),
            ("decisions that flip", accuracy.decisions_flipped.to_string()),
        ]
    }

    fn circuit(&self) -> Vec<Fact> {
        let (plan, Columns { advice, fixed, permutation }) = (self.plan, self.columns);
        vec![
            ("layout", plan.layout.to_string()),
            ("curve", plan.curve.to_string()),
            ("rows", format!("{} of 2^{}", thousands(plan.rows as u64), plan.k)),
            ("columns", format!("{advice} advice, {fixed} fixed, {permutation} permutation")),
            ("pieces of the quotient", plan.quotient_pieces.to_string()),
            ("setup", format!("{}, 2^{} powers", self.verifying_key.setup(), plan.powers_k())),
        ]
    }
}

/// Values that an integer's last place stands for.
fn unit(scale: f64) -> String {
    if scale == 1.0 { "1".into() } else { format!("1/{scale}") }
}

/// What a proof says in the open.
fn public_values(model: &IntegerModel) -> String {
    let packed: Vec<(usize, &str)> = model
        .packed_inputs()
        .into_iter()
        .filter_map(|packed| Some((packed.public_value, model.features.get(packed.feature)?.name.as_str())))
        .collect();
    let values = model.public_names().into_iter().zip(model.public_ranges()).enumerate();
    let row = |(i, ((name, scale), Interval { lo, hi })): (usize, ((String, f64), Interval))| {
        let inputs: Vec<&str> = packed.iter().filter(|(word, _)| *word == i).map(|(_, name)| *name).collect();
        match inputs.is_empty() {
            true => vec![name, (lo as f64 / scale).to_string(), (hi as f64 / scale).to_string(), unit(scale)],
            false => vec![format!("packed inputs: {}", inputs.join(", ")), lo.to_string(), hi.to_string(), "1".into()],
        }
    };
    format!(
        "<p>All else is private. The contract refuses a value outside of its proved range.</p>\n{}",
        listed(["value", "least", "greatest", "in steps of"], values.map(row))
    )
}

/// A table of at most [`MAX_LISTED`] rows, with a line that counts the others; all but the first column are numbers.
fn listed(head: [&str; 4], rows: impl ExactSizeIterator<Item = Vec<String>>) -> String {
    let count = rows.len();
    let class = |i: usize| if i == 0 { "" } else { " class=\"figure\"" };
    let mut out = String::from("<table>\n<tr>");
    head.iter().enumerate().for_each(|(i, name)| out += &format!("<th{}>{name}</th>", class(i)));
    for row in rows.take(MAX_LISTED) {
        out += "</tr>\n<tr>";
        row.iter().enumerate().for_each(|(i, cell)| out += &format!("<td{}>{}</td>", class(i), escape(cell)));
    }
    out += "</tr>\n</table>\n";
    match count.saturating_sub(MAX_LISTED) {
        0 => {}
        more => out += &format!("<p>And {} more; manifest.json has all.</p>\n", thousands(more as u64)),
    }
    out
}
