//! Options of the commands that begin with a model.

use std::path::PathBuf;

use hallmark::{
    circuit::Layout,
    plan::{Choice, Optimize},
    project::{CompileOptions, Limits, Names, Setup, Visibility},
    proof::CurveId,
    quant::{QuantOptions, Weights},
};

/// Where a model's weights are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Where {
    Fixed,
    Committed,
}

/// How to compile a model.
#[derive(Debug, clap::Args)]
pub struct ModelOptions {
    /// Input domain: {"features": [{"name", "min", "max", "integer"}, ...]}.
    #[arg(long, value_name = "DOMAIN.json")]
    domain: Option<PathBuf>,
    /// Name of the contract; from the model's file name by default.
    #[arg(long)]
    name: Option<String>,
    /// Greatest error on the calibration data, relative to the range of the outputs.
    #[arg(long, default_value_t = QuantOptions::default().max_error)]
    max_error: f64,
    /// A single output decides by being at or above this.
    #[arg(long, default_value_t = QuantOptions::default().threshold, allow_negative_numbers = true)]
    threshold: f64,
    /// Precision in bits, instead of the least that meets the tolerance.
    #[arg(long, value_name = "BITS")]
    precision: Option<u32>,
    /// Where the weights are: fixed in the contract, or committed to in every proof, so that one contract serves all models of an
    /// architecture (`compile --like`).
    #[arg(long, value_enum, default_value_t = Where::Fixed)]
    weights: Where,
    /// Trusted setup: a file from `hallmark srs import`. The embedded ceremony by default, up to k = 14.
    #[arg(long, value_name = "FILE")]
    srs: Option<PathBuf>,
    /// Layout of the circuit: periodic, general, phased, or auto for the best one.
    #[arg(long, default_value_t = Choice::Auto)]
    layout: Choice<Layout>,
    /// Curve: bn254 (any EVM chain), bls12-381 (chains with the precompiles of EIP-2537 and EIP-4844), or auto for the
    /// best one.
    #[arg(long, default_value_t = Choice::Only(CurveId::Bn254))]
    curve: Choice<CurveId>,
    /// What layout and curve are chosen for: gas, prover (the least time of proving), or balanced (the fastest prover for at most
    /// a quarter more than the least gas).
    #[arg(long, default_value_t = Optimize::Gas)]
    optimize: Optimize,
    /// Names of the outputs in the contract, in the order of the model's, in place of its own: with commas between them.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    output_names: Vec<String>,
    /// Inputs that a proof says in the open: names with commas between them, or all that are not named otherwise. They are packed,
    /// several in a word. Other inputs are private.
    #[arg(long, value_name = "NAMES", value_parser = names)]
    public_inputs: Option<Names>,
    /// Inputs of which a proof says one Poseidon digest, which somebody else can attest.
    #[arg(long, value_name = "NAMES", value_parser = names)]
    hashed_inputs: Option<Names>,
    /// Outputs of which a proof says one Poseidon digest. Other outputs are public.
    #[arg(long, value_name = "NAMES", value_parser = names)]
    hashed_outputs: Option<Names>,
    /// Outputs of which a proof says nothing.
    #[arg(long, value_name = "NAMES", value_parser = names)]
    private_outputs: Option<Names>,
    /// Accept a setup whose secret is known. The contract says UNSAFE in its name.
    #[arg(long)]
    allow_unsafe_srs: bool,
    /// Refuse a model whose prover needs more memory: bytes, or with a unit, as 4GiB or 500MB.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_memory: Option<u64>,
    /// Refuse a model whose verifying transaction takes more gas.
    #[arg(long, value_name = "GAS")]
    max_gas: Option<u64>,
    /// Refuse a model whose circuit has more rows.
    #[arg(long, value_name = "ROWS")]
    max_rows: Option<u64>,
}

impl ModelOptions {
    /// The library's options for a model and its calibration data.
    pub fn compile_options(&self, model: PathBuf, data: PathBuf) -> CompileOptions {
        CompileOptions {
            domain: self.domain.clone(),
            name: self.name.clone(),
            quant: QuantOptions {
                max_error: self.max_error,
                threshold: self.threshold,
                precision: self.precision,
                weights: match self.weights {
                    Where::Fixed => Weights::Fixed,
                    Where::Committed => Weights::Committed,
                },
                ..QuantOptions::default()
            },
            setup: self.srs.clone().map_or(Setup::Embedded, Setup::File),
            layout: self.layout,
            curve: self.curve,
            optimize: self.optimize,
            visibility: Visibility {
                output_names: self.output_names.clone(),
                public_inputs: self.public_inputs.clone().unwrap_or_default(),
                hashed_inputs: self.hashed_inputs.clone().unwrap_or_default(),
                hashed_outputs: self.hashed_outputs.clone().unwrap_or_default(),
                private_outputs: self.private_outputs.clone().unwrap_or_default(),
            },
            allow_unsafe_srs: self.allow_unsafe_srs,
            limits: Limits { memory: self.max_memory, gas: self.max_gas, rows: self.max_rows },
            ..CompileOptions::new(model, data)
        }
    }
}

/// `all`, or names with commas between them.
fn names(text: &str) -> Result<Names, String> {
    let names: Vec<String> = text.split(',').map(|name| name.trim().to_string()).collect();
    match names.as_slice() {
        [all] if all == "all" => Ok(Names::All),
        names if names.iter().any(String::is_empty) => Err("a name is empty".into()),
        _ => Ok(Names::Only(names)),
    }
}

/// Bytes, with or without a unit.
fn size(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 9] = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("TiB", 1 << 40),
        ("kB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("TB", 1_000_000_000_000),
        ("B", 1),
    ];
    let unit = UNITS.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor)));
    let (number, factor) = unit.unwrap_or((text, 1));
    let size = number.trim_end().parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
    size.ok_or_else(|| "a size is a whole number of bytes, or one with a unit: 4GiB, 500MB".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in [("0", 0), ("4GiB", 4 << 30), ("500 MB", 500_000_000), ("7B", 7), ("12kB", 12_000)] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "GiB", "-1", "1.5GiB", "99999999999TiB", "4 gib"] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}
