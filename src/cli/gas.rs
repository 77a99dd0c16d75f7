//! `hallmark gas`

use std::{fmt::Write, io::IsTerminal, path::PathBuf};

use hallmark::{
    chain::{CompileSettings, Search, compile},
    fsutil::write_atomic,
    gas::{self, Breakdown, CalldataCost, Estimate, Part, picture::Picture, thousands},
    project::Project,
    proof::Proof,
    quant::read_input,
    solidity::Calldata,
};
use rand_core::OsRng;
use serde_json::json;

use super::{
    ContextArgs, Failure, Folder, Outcome, bench, keep,
    output::{Align, Output, Report, grid, table},
};

/// Characters in the bar of the dearest part.
const LONGEST_BAR: u64 = 30;

/// Break the gas of a verification down by part, in process: no chain is started.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  hallmark gas build/credit
  hallmark gas build/credit --proof proof.json --svg gas.svg --html gas.html
  hallmark gas build/credit --input applicant.json --json | jq '.parts[] | select(.kind == \"pairing\").gas'

The parts are the numbered steps of the contract; they add up to what the receipt of the transaction charges. Without --proof
and --input, the middle of the input domain is proved.

Exits with 3 if the contract rejects the proof.")]
pub struct Args {
    #[command(flatten)]
    folder: Folder,
    /// Proof file that `hallmark prove` wrote.
    #[arg(long, value_name = "PROOF.json", conflicts_with_all = ["input", "context"])]
    proof: Option<PathBuf>,
    /// Input file to prove, as for `hallmark prove`.
    #[arg(long, value_name = "INPUT.json")]
    input: Option<PathBuf>,
    /// Which sample of a file that holds several, from 0.
    #[arg(long, value_name = "N", requires = "input")]
    index: Option<usize>,
    #[command(flatten)]
    context: ContextArgs,
    /// Picture to write.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Page with the picture and the figures to write.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

pub fn run(args: &Args, output: &Output) -> Outcome {
    let step = output.step("loading the keys");
    let project = Project::open(&args.folder.folder)?;
    check_outputs(args, &project)?;
    let solc = Search::default().solc()?;
    let proof = match &args.proof {
        Some(path) => project.read_proof(path)?,
        None => prove(args, &project, || step.set("proving"))?,
    };

    step.set("compiling the contract");
    let (name, source) = project.contract()?;
    let contract =
        compile(&solc, &[(format!("{name}.sol").into(), source.clone())], &name, &CompileSettings::default())?;
    step.set("running the contract");
    let calldata = Calldata::new(&proof).encode("verify");
    let measured = gas::measure(&source, &contract, &calldata)?;
    drop(step);

    let breakdown = &measured.breakdown;
    let expected = CalldataCost::of_verify(
        &project.model().public_ranges(),
        proof.statement.weights.len() + proof.statement.digests.len() + proof.words.len(),
    );
    let estimate = Estimate::new(&source, &expected)?;
    let off = 100.0 * (estimate.transaction as f64 / breakdown.transaction.max(1) as f64 - 1.0);
    let facts = [
        ("estimate before keys, gas", format!("{} ({off:+.2}%)", thousands(estimate.transaction))),
        ("deployment, gas", thousands(measured.deployment)),
        ("contract, bytes", thousands(contract.runtime_code.len() as u64)),
        ("calldata, bytes", thousands(calldata.len() as u64)),
        ("solc", contract.solc_version.clone()),
    ]
    .map(|(name, value)| (name.to_string(), value));
    let title = format!("{name}: gas of verify");
    let picture = Picture { title: &title, facts: &facts, breakdown };
    let mut files = Vec::new();
    for path in args.svg.iter().chain(&args.html) {
        let document = if args.svg.as_ref() == Some(path) { picture.svg() } else { picture.html() };
        write_atomic(path, document.as_bytes())?;
        files.push(path.clone());
    }

    let mut text = parts_table(breakdown, std::io::stdout().is_terminal());
    let rows: Vec<(&str, String)> = facts.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    text += &table(&[&[("Contract", String::new())], rows.as_slice()].concat());
    for file in &files {
        let _ = writeln!(text, "wrote {}", file.display());
    }
    let json = json!({
        "contract": name,
        "model_id": project.verifying_key().id(),
        "transaction": breakdown.transaction,
        "execution": breakdown.execution,
        "parts": breakdown.parts,
        "estimate": estimate,
        "deployment": measured.deployment,
        "contract_bytes": contract.runtime_code.len(),
        "calldata_bytes": calldata.len(),
        "solc": contract.solc_version,
        "files": files,
    });
    Ok(Report::new(text, json))
}

/// Neither picture replaces the other or anything that is read.
fn check_outputs(args: &Args, project: &Project) -> Result<(), Failure> {
    let read: Vec<PathBuf> = project.files().into_iter().chain(args.proof.clone()).chain(args.input.clone()).collect();
    for path in [&args.svg, &args.html].into_iter().flatten() {
        keep(path, &read)?;
    }
    match (&args.svg, &args.html) {
        (Some(svg), Some(html)) if svg == html => {
            Err(format!("--svg and --html both name {}; choose two files", svg.display()).into())
        }
        _ => Ok(()),
    }
}

fn prove(args: &Args, project: &Project, started: impl FnOnce()) -> Result<Proof, Failure> {
    let context = args.context.bytes()?;
    let input = match &args.input {
        Some(path) => read_input(path, project.model(), args.index)?,
        None => bench::middle(project),
    };
    let pk = project.proving_key()?;
    started();
    let salts = project.random_salts(&mut OsRng);
    Ok(project.prove_salted(&pk, &input, &salts, context, &mut OsRng)?)
}

/// One line a part: name, gas, share of the transaction and, on a terminal, a bar.
fn parts_table(breakdown: &Breakdown, bars: bool) -> String {
    let largest = breakdown.parts.iter().map(|part| part.gas).max().unwrap_or(0).max(1);
    let row = |name: String, gas: u64, bar: u64| {
        let share = 100.0 * gas as f64 / breakdown.transaction.max(1) as f64;
        let bar = if bars { "█".repeat(bar as usize) } else { String::new() };
        vec![name, thousands(gas), format!("{share:.1}%"), bar]
    };
    let part = |part: &Part| {
        let name = match part.calls {
            Some(calls) => format!("    {calls} x {}", part.name),
            None => format!("  {}", part.name),
        };
        row(name, part.gas, (part.gas * LONGEST_BAR).div_ceil(largest))
    };
    let head = ["", "gas", "share", ""].map(String::from).to_vec();
    let sums = [("  transaction", breakdown.transaction), ("  of which execution", breakdown.execution)];
    let sums = sums.map(|(name, gas)| row(name.into(), gas, 0));
    let rows: Vec<_> = [head].into_iter().chain(breakdown.parts.iter().map(part)).chain(sums).collect();
    format!("Gas of verify, by part\n{}", grid(&rows, &[Align::Left, Align::Right, Align::Right, Align::Left]))
}
