//! Random models through the whole compiler. Each seed draws an ONNX model of one to eight layers of any operators; it is
//! imported or refused with a reason, and then everybody has to agree: another implementation of ONNX with the float graph,
//! the float graph with the integer model, its proved ranges with every trace, the constraint system and, for some seeds,
//! the contract with the outputs.
//!
//! `make fuzz` runs many seeds; `HALLMARK_SEEDS` is their number, or `from..to`. A failure names its seed.

mod dense;
mod elementwise;
mod judge;
mod models;
mod reduce;
mod sketch;
mod tensors;

#[path = "../common/mod.rs"]
mod common;

use std::{collections::BTreeMap, ops::Range};

use hallmark::chain::{Anvil, AnvilOptions, Search};
use rayon::prelude::*;

use judge::{Report, general, judge};
use sketch::{Drawn, Sketch, Value};

const SEEDS: u64 = 300;
/// One seed in so many is proved, if its circuit is small.
const PROVED: u64 = 10;
/// The most models in a hundred that may be refused.
const MAX_REFUSED: usize = 15;

/// Adds one layer, unless that cannot be.
type Family = fn(&mut Sketch) -> Option<Value>;

const FAMILIES: [Family; 39] = [
    dense::gemm,
    dense::mat_mul,
    dense::mat_mul,
    dense::conv,
    dense::conv_transpose,
    dense::pool,
    dense::einsum,
    elementwise::piecewise,
    elementwise::piecewise,
    elementwise::smooth,
    elementwise::smooth,
    elementwise::arithmetic,
    elementwise::arithmetic,
    elementwise::comparison,
    elementwise::logic,
    elementwise::select,
    elementwise::integers,
    elementwise::quantised,
    reduce::reduce,
    reduce::cum_sum,
    reduce::extreme,
    reduce::top_k,
    reduce::softmax,
    reduce::normalise,
    tensors::shape,
    tensors::slice,
    tensors::split,
    tensors::concat,
    tensors::pad,
    tensors::tile,
    tensors::resize,
    tensors::blocks,
    tensors::gather,
    tensors::one_hot,
    tensors::scatter,
    models::recurrent,
    models::linear,
    models::trees,
    models::branches,
];

fn drawn(seed: u64) -> Drawn {
    let mut sketch = Sketch::new(seed);
    let layers = 1 + sketch.draw.index(8);
    let mut added = 0;
    while added < layers && sketch.size() < 12 {
        let family = sketch.any(&FAMILIES);
        added += usize::from(family(&mut sketch).is_some());
    }
    sketch.finish()
}

/// Judges the seeds and prints what became of them; fails if one of them did.
fn fuzz(seeds: Range<u64>, anvil: Option<&Anvil>) {
    let single = seeds.end - seeds.start == 1;
    let run = |seed: u64| {
        let drawn = drawn(seed);
        let report = judge(seed, &drawn, anvil.filter(|_| seed.is_multiple_of(PROVED)));
        if report.failures.is_empty() && !single {
            return (seed, report);
        }
        let refused = report.refused.as_deref().unwrap_or_default();
        println!("seed {seed}: {}{refused}\n{}", report.failures.join("; "), drawn.text());
        (seed, report)
    };
    let reports: Vec<(u64, Report)> = seeds.into_par_iter().map(run).collect();
    let count = |what: fn(&Report) -> bool| reports.iter().filter(|(_, report)| what(report)).count();
    let (all, refused) = (reports.len(), count(|r| r.refused.is_some()));
    println!(
        "{all} models: {refused} refused, {} compared, {} within tolerance, {} before the mock prover, {} proved",
        count(|r| r.incomparable.is_none()),
        count(|r| r.within_tolerance),
        count(|r| r.mocked),
        count(|r| r.proved)
    );
    let seeds_by = |reason: fn(&Report) -> Option<&String>| {
        let mut seeds: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for (seed, report) in &reports {
            reason(report).into_iter().for_each(|reason| seeds.entry(general(reason)).or_default().push(*seed));
        }
        seeds
    };
    for (what, reasons) in
        [("refused", seeds_by(|r| r.refused.as_ref())), ("not compared", seeds_by(|r| r.incomparable.as_ref()))]
    {
        for (reason, seeds) in reasons {
            println!("  {what}: {} of {all}, such as seed {}: {reason}", seeds.len(), seeds[0]);
        }
    }
    let failed: Vec<String> = reports
        .iter()
        .filter(|(_, report)| !report.failures.is_empty())
        .map(|(seed, report)| format!("seed {seed} ({}): {}", report.operators.join(" "), report.failures.join("; ")))
        .collect();
    assert!(failed.is_empty(), "{} of {all} models:\n{}", failed.len(), failed.join("\n"));
    assert!(refused * 100 <= MAX_REFUSED * all.max(20), "{refused} of {all} models are refused");
}

#[test]
fn a_few_random_models_go_through_the_compiler() {
    fuzz(0..12, None);
}

#[test]
#[ignore = "minutes: make fuzz"]
fn many_random_models_go_through_the_compiler() {
    let seeds = std::env::var("HALLMARK_SEEDS").unwrap_or_else(|_| SEEDS.to_string());
    let (from, to) = seeds.split_once("..").unwrap_or(("0", &seeds));
    let number = |text: &str| text.parse().expect("HALLMARK_SEEDS is a count or from..to");
    let anvil = Anvil::start(&Search::default().anvil().unwrap(), &AnvilOptions::default()).unwrap();
    fuzz(number(from)..number(to), Some(&anvil));
}
