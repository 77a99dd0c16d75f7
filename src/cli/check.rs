//! `hallmark check`

use std::{fmt::Write, path::PathBuf};

use hallmark::{
    fsutil::write_atomic,
    project::{Checked, Forecast, check, check_model},
    quant::DomainSource,
};
use serde_json::json;

use super::{
    Outcome, Threads,
    compile::{NO_DOMAIN, not_printed, others},
    keep,
    options::ModelOptions,
    output::{Output, Report, table, thousands},
};

/// Say everything that keeps a model from being compiled, and what it will cost, before anything is built.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  hallmark check credit.onnx
  hallmark check credit.onnx --data calibration.json
  hallmark check credit.onnx --data calibration.json --report report.html
  hallmark check credit.onnx --data calibration.json --max-memory 4GiB --max-gas 250000 --json

Without --data only the model itself is looked at. Time and memory are those of `hallmark prove` on this machine, measured in some
tenths of a second.

Exits with 1 if there is a problem.")]
pub struct Args {
    /// ONNX model.
    #[arg(value_name = "MODEL.onnx")]
    model: PathBuf,
    /// Calibration data: {"input_data": [[...], ...]}, optionally with a "features" block that declares the domain; or .npy,
    /// .npz, .csv.
    #[arg(long, value_name = "CALIBRATION.json")]
    data: Option<PathBuf>,
    /// HTML page to write: the model, its domain, accuracy, circuit and costs, and all plans that there are.
    #[arg(long, value_name = "FILE.html", requires = "data")]
    report: Option<PathBuf>,
    #[command(flatten)]
    options: ModelOptions,
    #[command(flatten)]
    threads: Threads,
}

pub fn run(args: &Args, output: &Output) -> Outcome {
    args.threads.apply()?;
    let read: Vec<PathBuf> = [Some(&args.model), args.data.as_ref()].into_iter().flatten().cloned().collect();
    args.report.iter().try_for_each(|report| keep(report, &read))?;
    let step = output.step("");
    let checked = match &args.data {
        Some(data) => {
            let options = args.options.compile_options(args.model.clone(), data.clone());
            check(&options, |stage| step.set(stage.to_string()))?
        }
        None => check_model(&args.model)?,
    };
    drop(step);
    let Checked { problems, forecast, report } = &checked;
    let mut text = match problems.count {
        0 => format!("{}: no problem\n", args.model.display()),
        1 => format!("{}: 1 problem{problems}\n", args.model.display()),
        count => format!("{}: {count} problems{problems}\n", args.model.display()),
    };
    if forecast.as_ref().is_some_and(|forecast| forecast.domain == DomainSource::Calibration) {
        output.note(NO_DOMAIN);
    }
    match forecast {
        Some(forecast) => text.push_str(&summary(forecast)),
        None if args.data.is_none() => text.push_str("\nnext: --data CALIBRATION.json, for what it will cost"),
        None => {}
    }
    let written = args.report.as_ref().filter(|_| report.is_some());
    match (written, report, &args.report) {
        (Some(path), Some(report), _) => {
            write_atomic(path, report.as_bytes())?;
            let _ = write!(text, "\nwrote {}", path.display());
        }
        (_, _, Some(path)) => {
            let _ = write!(text, "\nnot written: {}, as there is no plan to report", path.display());
        }
        _ => {}
    }
    if problems.is_empty() && forecast.is_some() {
        let _ = write!(text, "\nnext: hallmark compile {} -o DIR, with the same options", args.model.display());
    }
    let json = json!({ "ok": problems.is_empty(), "problems": problems, "forecast": forecast, "report": written });
    Ok(Report { bad: !problems.is_empty(), ..Report::new(text, json) })
}

/// The forecast as a table.
fn summary(forecast: &Forecast) -> String {
    let visibility = forecast.visibility.rows();
    let Forecast { plan, columns, accuracy, prover, setup, .. } = forecast;
    let megabytes = |bytes: u64| format!("{:.1} MB", bytes as f64 / 1e6);
    let bytes = |bytes: u64| if bytes < 1_000_000 { format!("{} bytes", thousands(bytes)) } else { megabytes(bytes) };
    let contract = match &forecast.contract {
        Some(contract) => bytes(contract.runtime_bytes as u64),
        None => "not known without solc".into(),
    };
    let setup = match setup.embedded {
        true => format!("2^{} powers, embedded", setup.k),
        false => format!("2^{} powers, to be imported: hallmark srs import", setup.k),
    };
    let mut rows = vec![
        ("Circuit", String::new()),
        ("layout", plan.to_string()),
        ("rows", format!("{} of 2^{}", thousands(plan.rows as u64), plan.k)),
        ("columns", format!("{} advice, {} fixed, {} permutation", columns.advice, columns.fixed, columns.permutation)),
        ("setup", setup),
        ("precision", format!("{} bits", forecast.precision_bits)),
        (
            "error",
            format!(
                "{:.2e} of the output range on {} samples, {} decisions flip",
                accuracy.max_relative_to_range, accuracy.samples, accuracy.decisions_flipped
            ),
        ),
        ("Verifying", String::new()),
        visibility[0].clone(),
        visibility[1].clone(),
        visibility[2].clone(),
        ("gas", thousands(plan.estimate.transaction)),
        ("calldata", bytes(forecast.calldata_bytes as u64)),
        ("contract", contract),
    ];
    if let Some(gas) = forecast.contract.as_ref().and_then(|contract| contract.deployment_gas) {
        rows.push(("deployment", format!("{} gas", thousands(gas))));
    }
    rows.extend(others(plan, &forecast.alternatives));
    rows.push(not_printed(plan, &forecast.alternatives, "--report FILE has them all"));
    rows.extend([
        ("Proving on this machine", String::new()),
        ("time", format!("{:.2} s ({:.2} CPU s)", prover.time.wall_seconds, prover.time.cpu_seconds)),
        ("peak memory", megabytes(prover.peak_bytes)),
        ("proving key", bytes(prover.proving_key_bytes)),
        ("verifying key", bytes(prover.verifying_key_bytes)),
    ]);
    table(&rows)
}
