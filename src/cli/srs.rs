//! `hallmark srs`

use std::path::PathBuf;

use hallmark::proof::{
    Srs,
    import::import,
    srs::EMBEDDED_K,
    srs_file::{SrsInfo, generate_unsafe_file},
};
use rand_core::OsRng;
use serde_json::json;

use super::{
    Outcome, keep,
    output::{Output, Report, table},
};

/// Inspect, import or generate trusted setups.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Say what a setup file holds; the embedded setup without a file.
    Info {
        /// File that `hallmark srs` wrote.
        file: Option<PathBuf>,
    },
    /// Import a ceremony: a snarkjs .ptau or a halo2 .srs file, checked by pairing.
    #[command(after_help = "\
Example:
  hallmark srs import powersOfTau28_hez_final_16.ptau -o hermez16.srs
  hallmark compile model.onnx --data calibration.json --srs hermez16.srs -o build/model")]
    Import {
        /// Ceremony file.
        file: PathBuf,
        /// File to write.
        #[arg(long, short)]
        output: PathBuf,
        /// Take the first 2^K powers only.
        #[arg(short)]
        k: Option<u32>,
    },
    /// Generate a setup for tests. Whoever does knows its secret and can forge proofs.
    GenerateUnsafe {
        /// Size: 2^K powers.
        #[arg(short)]
        k: u32,
        /// File to write.
        #[arg(long, short)]
        output: PathBuf,
    },
}

pub fn run(command: &Command, output: &Output) -> Outcome {
    match command {
        Command::Info { file: None } => {
            let srs = Srs::embedded(1)?;
            let info = SrsInfo { origin: srs.origin().clone(), k: EMBEDDED_K, digest: hex::encode(srs.digest()) };
            Ok(report(&info))
        }
        Command::Info { file: Some(file) } => Ok(report(&Srs::info(file)?)),
        Command::Import { file, output: target, k } => {
            keep(target, std::slice::from_ref(file))?;
            let step = output.step("checking the ceremony");
            let info = import(file, target, *k, |done, all| step.set(progress("checking the ceremony", done, all)))?;
            Ok(report(&info))
        }
        Command::GenerateUnsafe { k, output: target } => {
            let step = output.step("generating");
            let on_progress = |done, all| step.set(progress("generating", done, all));
            Ok(report(&generate_unsafe_file(target, *k, OsRng, on_progress)?))
        }
    }
}

fn progress(what: &str, done: u64, all: u64) -> String {
    format!("{what}: {}%", 100 * done / all.max(1))
}

fn report(info: &SrsInfo) -> Report {
    let text = table(&[
        ("origin", info.origin.to_string()),
        ("size", format!("k = {}, for circuits of up to 2^{} rows", info.k, info.k)),
        ("digest", info.digest.clone()),
    ]);
    let json = json!({
        "origin": info.origin, "k": info.k, "digest": info.digest, "unsafe": info.origin.is_unsafe(),
    });
    Report::new(text, json)
}
