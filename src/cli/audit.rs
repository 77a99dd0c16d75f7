//! `hallmark audit`

use std::{fmt::Write, path::PathBuf};

use hallmark::{
    fsutil::write_atomic,
    project::{Audit, AuditOptions, PrecisionAudit, Size, audit},
    quant::QuantOptions,
};
use serde_json::json;

use super::{
    Outcome, keep,
    output::{Align, Output, Report, grid, thousands},
};

/// The most tensors of the table for people; `--json` has all.
const MAX_TENSORS: usize = 24;

/// Say how accurate a model is in fixed point, before anything is built.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  hallmark audit credit.onnx --data calibration.json
  hallmark audit credit.onnx --data calibration.json --bits 6,8,10,12 --plot audit.svg
  hallmark audit credit.onnx --data calibration.json --input held-out.json --json

Scales come from the calibration data; --input measures on other samples, which must lie in the domain.

Exits with 1 if the model is not fit for a proof.")]
pub struct Args {
    /// ONNX model.
    #[arg(value_name = "MODEL.onnx")]
    model: PathBuf,
    /// Calibration data: {"input_data": [[...], ...]}, optionally with a "features" block that declares the domain; or .npy,
    /// .npz, .csv.
    #[arg(long, value_name = "CALIBRATION.json")]
    data: PathBuf,
    /// Samples to measure on, instead of the calibration data.
    #[arg(long, value_name = "INPUT.json")]
    input: Option<PathBuf>,
    /// Input domain: {"features": [{"name", "min", "max", "integer"}, ...]}.
    #[arg(long, value_name = "DOMAIN.json")]
    domain: Option<PathBuf>,
    /// Precisions to measure, with commas between them.
    #[arg(long, value_delimiter = ',', default_value = "8,12,16,20,24", value_parser = clap::value_parser!(u32).range(1..=60))]
    bits: Vec<u32>,
    /// Greatest error on the calibration data, relative to the range of the outputs.
    #[arg(long, default_value_t = QuantOptions::default().max_error)]
    max_error: f64,
    /// A single output decides by being at or above this.
    #[arg(long, default_value_t = QuantOptions::default().threshold, allow_negative_numbers = true)]
    threshold: f64,
    /// Picture to write.
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
}

pub fn run(args: &Args, output: &Output) -> Outcome {
    let read = [Some(&args.model), Some(&args.data), args.input.as_ref(), args.domain.as_ref()];
    let read: Vec<PathBuf> = read.into_iter().flatten().cloned().collect();
    args.plot.iter().try_for_each(|plot| keep(plot, &read))?;
    let options = AuditOptions {
        model: args.model.clone(),
        data: args.data.clone(),
        domain: args.domain.clone(),
        input: args.input.clone(),
        quant: QuantOptions { max_error: args.max_error, threshold: args.threshold, ..QuantOptions::default() },
        bits: args.bits.clone(),
    };
    let step = output.step("measuring");
    let audit = audit(&options)?;
    drop(step);
    let mut text = format!("{}\n{}", by_precision(&audit), by_tensor(&audit));
    if let Some(plot) = &args.plot {
        let title = args.model.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        write_atomic(plot, audit.svg(&format!("{title}: accuracy in fixed point")).as_bytes())?;
        let _ = writeln!(text, "\nwrote {}", plot.display());
    }
    let _ = write!(text, "\n{}", audit.verdict);
    Ok(Report { bad: !audit.fit, ..Report::new(text, json!({ "audit": audit, "plot": args.plot })) })
}

/// One line a precision.
fn by_precision(audit: &Audit) -> String {
    let integers = audit.precisions.iter().any(|at| at.exact_integers.is_some());
    let mut head = vec!["bits", "max error", "of range", "mean", "RMS", "decisions", "rows", "k", "layout"];
    if integers {
        head.push("integers equal");
    }
    let size = |size: Option<&Size>| match size {
        Some(size) => [thousands(size.rows as u64), size.k.to_string(), size.layout.to_string()],
        None => ["too many".into(), String::new(), String::new()],
    };
    let row = |at: &PrecisionAudit| match (&at.accuracy, at.rms_error) {
        (Some(accuracy), Some(rms)) => {
            let mut row = vec![
                at.bits.to_string(),
                format!("{:.2e}", accuracy.max_abs_error),
                format!("{:.2e}", accuracy.max_relative_to_range),
                format!("{:.2e}", accuracy.mean_abs_error),
                format!("{rms:.2e}"),
                format!("{} of {}", accuracy.decisions_flipped, accuracy.samples),
            ];
            row.extend(size(at.size.as_ref()));
            row.extend(at.exact_integers.map(|exact| format!("{exact} of {}", accuracy.samples)));
            row
        }
        _ => vec![at.bits.to_string(), "refused".into()],
    };
    let rows: Vec<Vec<String>> =
        [head.into_iter().map(String::from).collect()].into_iter().chain(audit.precisions.iter().map(row)).collect();
    let mut text = String::from("Outputs by precision: errors in their units, decisions that change\n");
    text += &grid(&rows, &[[Align::Right; 8].as_slice(), &[Align::Left], &[Align::Right]].concat());
    for at in &audit.precisions {
        if let Some(refused) = &at.refused {
            let _ = writeln!(text, "{} bits: {refused}", at.bits);
        }
    }
    text
}

/// One line a tensor, in the order of the model; where there are many, those with the greatest errors.
fn by_tensor(audit: &Audit) -> String {
    let mut worst: Vec<usize> = (0..audit.tensors.len()).collect();
    worst.sort_by(|&a, &b| audit.tensors[b].relative.total_cmp(&audit.tensors[a].relative));
    worst.truncate(MAX_TENSORS);
    worst.sort_unstable();
    let head = ["tensor", "operator", "elements", "range", "max error", "of range", "bits after the point"];
    let rows = worst.iter().map(|&i| {
        let tensor = &audit.tensors[i];
        vec![
            tensor.node.clone(),
            tensor.operator.clone(),
            thousands(tensor.elements as u64),
            format!("{:.3e}", tensor.range),
            format!("{:.2e}", tensor.max_error),
            format!("{:.2e}", tensor.relative),
            tensor.fraction_bits.to_string(),
        ]
    });
    let rows: Vec<Vec<String>> = [head.map(String::from).to_vec()].into_iter().chain(rows).collect();
    let mut text = format!("Tensors at {} bits\n", audit.tensor_bits);
    text += &grid(&rows, &[[Align::Left; 2].as_slice(), &[Align::Right; 5]].concat());
    match audit.tensors.len() - worst.len() {
        0 => {}
        more => {
            let _ = writeln!(text, "and {more} with smaller errors; --json has all");
        }
    }
    text
}
