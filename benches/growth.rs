//! What proving takes against rows and weights, and for what: perceptrons from 2^9 rows to 2^19, each proved in a process of its own.
//! Writes `docs/growth.csv`, `docs/growth.svg` and the tables of `docs/proving.md`.
//!
//! `MAX_K` is log2 of the rows of the largest domain. Runs take minutes, and twice as long for each one more.

use std::{
    collections::BTreeMap,
    error::Error,
    fmt::Write,
    fs,
    path::Path,
    process::{Command, Stdio},
};

use hallmark::{
    circuit::Layout,
    fsutil::write_atomic,
    plan::Choice,
    project::{CompileOptions, Limits, ProjectError, Setup, compile},
    proof::{CurveId, srs_file::generate_unsafe_file},
    quant::QuantOptions,
    stages::Stage,
    svg::{Axis, line, open},
};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use serde_json::{Value, json};

#[path = "common/perceptron.rs"]
mod perceptron;

use perceptron::{INPUTS, onnx, perceptron};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const DEFAULT_MAX_K: u32 = 19;
/// Neurons of the smallest model; each next one has twice as many.
const NEURONS: usize = 8;
/// Samples of the calibration data.
const SAMPLES: usize = 32;
const BEGIN: &str = "<!-- benches/growth.rs writes from here -->";
const END: &str = "<!-- to here -->";

/// One proof.
struct Measured {
    layout: Layout,
    k: u32,
    rows: usize,
    weights: usize,
    key_bytes: u64,
    gas: u64,
    cpu_seconds: f64,
    wall_seconds: f64,
    peak_bytes: f64,
    /// CPU seconds of the stages; those of none have no name.
    stages: Vec<(String, f64)>,
}

/// Compiles and proves; `None` if the circuit takes more than `2^max_k` rows.
fn measure(neurons: usize, layout: Layout, max_k: u32, srs: &Path, scratch: &Path) -> Result<Option<Measured>> {
    let path = |name: &str| scratch.join(name);
    fs::write(path("model.onnx"), perceptron(neurons))?;
    let sample = |seed| onnx::random(INPUTS, seed).into_iter().map(|value| value / 2.0).collect::<Vec<f32>>();
    let features: Vec<Value> = (0..INPUTS).map(|i| json!({ "name": format!("f{i}"), "min": -1, "max": 1 })).collect();
    let samples: Vec<_> = (0..SAMPLES as u64).map(sample).collect();
    fs::write(path("data.json"), json!({ "features": features, "input_data": samples }).to_string())?;
    fs::write(path("input.json"), json!({ "input_data": [samples[0]] }).to_string())?;
    let options = CompileOptions {
        quant: QuantOptions { precision: Some(12), ..QuantOptions::default() },
        setup: Setup::File(srs.into()),
        layout: Choice::Only(layout),
        curve: Choice::Only(CurveId::Bn254),
        allow_unsafe_srs: true,
        limits: Limits { rows: Some(1 << max_k), ..Limits::default() },
        ..CompileOptions::new(path("model.onnx"), path("data.json"))
    };
    let build = match compile(&options, |_| ()) {
        Ok(build) => build,
        Err(ProjectError::Limits { .. } | ProjectError::Srs(_) | ProjectError::Plan(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if build.plan.k > max_k {
        return Ok(None);
    }
    build.write(&path("build"), false)?;
    let mut prove = Command::new(env!("CARGO_BIN_EXE_hallmark"));
    prove.arg("prove").arg(path("build")).arg("--input").arg(path("input.json")).arg("-o").arg(path("proof.json"));
    let proved = prove.arg("--json").stderr(Stdio::inherit()).output()?;
    let proved: Value = serde_json::from_slice(&proved.stdout)?;
    let number = |value: &Value| value.as_f64().ok_or_else(|| format!("a figure is missing in {proved}"));
    let stage = |at: &Value| -> Result<(String, f64)> {
        Ok((at["stage"].as_str().unwrap_or_default().to_string(), number(&at["cpu_seconds"])?))
    };
    let stages = proved["stages"].as_array().into_iter().flatten().map(stage).collect::<Result<_>>()?;
    let process = &proved["process"];
    Ok(Some(Measured {
        layout,
        k: build.plan.k,
        rows: build.plan.rows,
        weights: (INPUTS + 2) * neurons,
        key_bytes: fs::metadata(path("build/proving.key"))?.len(),
        gas: build.plan.estimate.transaction,
        cpu_seconds: number(&process["cpu_seconds"])?,
        wall_seconds: number(&process["wall_seconds"])?,
        peak_bytes: number(&process["peak_rss_bytes"])?,
        stages,
    }))
}

fn csv(all: &[Measured]) -> String {
    let mut out =
        String::from("layout,k,rows,weights,cpu_seconds,wall_seconds,peak_bytes,proving_key_bytes,estimated_gas\n");
    for m in all {
        let Measured { layout, k, rows, weights, key_bytes, gas, cpu_seconds, wall_seconds, peak_bytes, .. } = m;
        let times = format!("{cpu_seconds:.3},{wall_seconds:.3}");
        let _ = writeln!(out, "{layout},{k},{rows},{weights},{times},{peak_bytes},{key_bytes},{gas}");
    }
    out
}

/// A chart: its title, and what it draws against what, with the unit of the latter.
type Chart = (&'static str, &'static str, fn(&Measured) -> f64, fn(&Measured) -> f64);

const CHARTS: [Chart; 4] = [
    ("CPU seconds of proving", "rows", |m| m.rows as f64, |m| m.cpu_seconds),
    ("CPU seconds of proving", "weights", |m| m.weights as f64, |m| m.cpu_seconds),
    ("peak memory, MB", "rows", |m| m.rows as f64, |m| m.peak_bytes / 1e6),
    ("peak memory, MB", "weights", |m| m.weights as f64, |m| m.peak_bytes / 1e6),
];
const COLOURS: [&str; 3] = ["#3b82d9", "#d97a34", "#9a62d6"];

fn svg(all: &[Measured]) -> String {
    const WIDTH: f64 = 340.0;
    const HEIGHT: f64 = 220.0;
    let mut out = open(880, 660, "proving time and memory against rows and weights");
    for (i, (title, unit, across, up)) in CHARTS.iter().enumerate() {
        let (left, top) = (70.0 + 440.0 * (i % 2) as f64, 40.0 + 310.0 * (i / 2) as f64);
        let (x_axis, y_axis) = (Axis::decades(all.iter().map(across)), Axis::decades(all.iter().map(up)));
        let x = |value: f64| left + WIDTH * x_axis.place(value);
        let y = |value: f64| top + HEIGHT * (1.0 - y_axis.place(value));
        let _ = writeln!(out, "<text x=\"{}\" y=\"{}\">{title}, by {unit}</text>", left - 50.0, top - 16.0);
        for (value, _) in y_axis.ticks() {
            let y = y(value);
            line(&mut out, "grid", (left, y), (left + WIDTH, y), "");
            let _ =
                writeln!(out, "<text class=\"figure faint\" x=\"{}\" y=\"{:.1}\">{value}</text>", left - 8.0, y + 4.0);
        }
        for (value, _) in x_axis.ticks() {
            let x = x(value);
            line(&mut out, "grid", (x, top), (x, top + HEIGHT), "");
            let y = top + HEIGHT + 18.0;
            let _ = writeln!(out, "<text class=\"faint\" x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{value}</text>");
        }
        for (layout, colour) in Layout::ALL.into_iter().zip(COLOURS) {
            let mut points = String::new();
            for m in all.iter().filter(|m| m.layout == layout) {
                let (x, y) = (x(across(m)), y(up(m)));
                let _ = write!(points, "{x:.1},{y:.1} ");
                let title = format!("{layout}, 2^{} rows, {} weights", m.k, m.weights);
                let _ = writeln!(
                    out,
                    "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"><title>{title}</title></circle>"
                );
            }
            let points = points.trim_end();
            let _ =
                writeln!(out, "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>");
        }
    }
    for (i, (layout, colour)) in Layout::ALL.into_iter().zip(COLOURS).enumerate() {
        let x = 70 + 120 * i;
        let _ = writeln!(out, "<rect x=\"{x}\" y=\"637\" width=\"14\" height=\"4\" fill=\"{colour}\"/>");
        let _ = writeln!(out, "<text class=\"faint\" x=\"{}\" y=\"643\">{layout}</text>", x + 20);
    }
    out.push_str("</svg>\n");
    out
}

/// The smallest, the middle and the largest circuit of every layout, stage by stage; and all of them.
fn tables(all: &[Measured]) -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut out = format!("On {cores} cores, Hallmark {}.\n\n![](growth.svg)\n", env!("CARGO_PKG_VERSION"));
    for layout in Layout::ALL {
        let of: Vec<&Measured> = all.iter().filter(|m| m.layout == layout).collect();
        let Some(last) = of.len().checked_sub(1) else { continue };
        let places = BTreeMap::from([(0, ()), (last / 2, ()), (last, ())]);
        let three: Vec<&Measured> = places.into_keys().filter_map(|i| of.get(i).copied()).collect();
        let _ = writeln!(out, "\n**{layout}**, CPU seconds and their share\n");
        let head: Vec<String> = three.iter().map(|m| format!("2^{}, {} rows", m.k, m.rows)).collect();
        let _ = writeln!(out, "| stage | {} |\n| --- |{}", head.join(" | "), " ---: |".repeat(three.len()));
        let names =
            Stage::ALL.into_iter().map(|stage| (json!(stage).as_str().unwrap_or_default().to_string(), stage.name()));
        for (key, name) in names.chain([(String::new(), "all else")]) {
            let cells = three.iter().map(|m| {
                let seconds = m.stages.iter().find(|(stage, _)| *stage == key).map_or(0.0, |(_, seconds)| *seconds);
                let sum: f64 = m.stages.iter().map(|(_, seconds)| seconds).sum();
                format!("{seconds:.3} ({:.0}%)", 100.0 * seconds / sum)
            });
            let _ = writeln!(out, "| {name} | {} |", cells.collect::<Vec<_>>().join(" | "));
        }
    }
    out.push_str("\nAll of them ([growth.csv](growth.csv)):\n\n| layout | k | rows | weights | CPU s | s | peak memory, MB | proving key, MB | gas |\n");
    let _ = writeln!(out, "| --- |{}", " ---: |".repeat(8));
    for m in all {
        let sizes = format!("{} | {} | {} | {}", m.layout, m.k, m.rows, m.weights);
        let times = format!("{:.2} | {:.2} | {:.0}", m.cpu_seconds, m.wall_seconds, m.peak_bytes / 1e6);
        let _ = writeln!(out, "| {sizes} | {times} | {:.1} | {} |", m.key_bytes as f64 / 1e6, m.gas);
    }
    out
}

fn main() -> Result<()> {
    let max_k = match std::env::var("MAX_K") {
        Ok(text) => text.parse().map_err(|error| format!("MAX_K = \"{text}\": {error}"))?,
        Err(_) => DEFAULT_MAX_K,
    };
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let scratch = tempfile::tempdir()?;
    let srs = scratch.path().join("test.srs");
    eprintln!("a test setup of 2^{} powers", max_k + 1);
    generate_unsafe_file(&srs, max_k + 1, ChaCha20Rng::seed_from_u64(1), |_, _| ())?;
    let mut all = vec![];
    for layout in Layout::ALL {
        for neurons in std::iter::successors(Some(NEURONS), |neurons| Some(2 * neurons)) {
            let Some(measured) = measure(neurons, layout, max_k, &srs, scratch.path())? else { break };
            let Measured { k, rows, cpu_seconds, peak_bytes, .. } = measured;
            eprintln!(
                "{layout}, {neurons} neurons: {rows} rows of 2^{k}, {cpu_seconds:.2} CPU s, {:.0} MB",
                peak_bytes / 1e6
            );
            all.push(measured);
        }
    }
    let page = docs.join("proving.md");
    let text = fs::read_to_string(&page)?;
    let (Some((before, _)), Some((_, after))) = (text.split_once(BEGIN), text.rsplit_once(END)) else {
        return Err(format!("{} has no place for the tables", page.display()).into());
    };
    write_atomic(&docs.join("growth.csv"), csv(&all).as_bytes())?;
    write_atomic(&docs.join("growth.svg"), svg(&all).as_bytes())?;
    write_atomic(&page, format!("{before}{BEGIN}\n{}{END}{after}", tables(&all)).as_bytes())?;
    Ok(())
}
