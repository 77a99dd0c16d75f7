//! `compile`: model, data and setup in; keys, contract and report out.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use halo2curves::bn256::Fr;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::ProjectError;
use crate::{
    circuit::ModelCircuit,
    fsutil::StagedFolder,
    graph::{Interval, MAX_BITS},
    onnx,
    proof::{
        ProvingKey, Srs,
        artifact::{ArtifactKind, write_container},
    },
    quant::{CalibrationData, Domain, DomainFile, QuantOptions, Quantised, quantise},
    solidity::{ContractInfo, verifier_source},
};

/// Which trusted setup to use.
#[derive(Clone, Debug, Default)]
pub enum Setup {
    /// The embedded ceremony.
    #[default]
    Embedded,
    /// A file that `srs import` or `srs generate-unsafe` wrote.
    File(PathBuf),
}

/// What to compile, and how.
#[derive(Clone, Debug)]
pub struct CompileOptions {
    /// The ONNX file.
    pub model: PathBuf,
    /// Calibration data, which may declare the features.
    pub data: PathBuf,
    /// A file that declares the features, in place of the calibration file's own block.
    pub domain: Option<PathBuf>,
    /// The contract's name; made from the model's file name by default.
    pub name: Option<String>,
    pub quant: QuantOptions,
    pub setup: Setup,
    /// Emit a contract on a setup whose secret is known.
    pub allow_unsafe_srs: bool,
}

/// A step of the compilation, for progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Import,
    Quantise,
    Setup,
    Keys,
    Contract,
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Stage::Import => "importing the model",
            Stage::Quantise => "quantising",
            Stage::Setup => "loading the setup",
            Stage::Keys => "generating keys",
            Stage::Contract => "writing the contract",
        })
    }
}

/// A compiled model.
#[derive(Debug)]
pub struct Build {
    pub model_sha256: String,
    pub domain: Domain,
    pub quantised: Quantised,
    pub threshold: f64,
    pub proving_key: ProvingKey,
    /// Rows in use, of `2^k`.
    pub rows: usize,
    pub contract_name: String,
    /// The verifier contract.
    pub contract: String,
    pub keygen: Duration,
    setup_digest: [u8; 32],
}

/// Compile a model. `progress` is told of every stage as it begins.
pub fn compile(options: &CompileOptions, mut progress: impl FnMut(Stage)) -> Result<Build, ProjectError> {
    progress(Stage::Import);
    let bytes = read(&options.model)?;
    let file_name = options.model.display().to_string();
    let graph = onnx::import_bytes(&file_name, &bytes)?;
    let model_sha256 = hex::encode(Sha256::digest(&bytes));
    let contract_name = match &options.name {
        Some(name) => name.clone(),
        None => contract_name(&options.model),
    };

    progress(Stage::Quantise);
    let data = CalibrationData::read(&options.data)?;
    let declared = options.domain.as_deref().map(DomainFile::read).transpose()?;
    let domain = Domain::resolve(&graph, &data, declared.as_ref())?;
    let quantised = quantise(&graph, &domain, &data, &options.quant)?;
    if !quantised.within_tolerance && options.quant.precision.is_none() {
        let accuracy = &quantised.accuracy;
        let (error, flips) = (accuracy.max_relative_to_range, accuracy.decisions_flipped);
        return Err(ProjectError::Tolerance { tolerance: options.quant.tolerance, error, flips });
    }

    progress(Stage::Setup);
    let circuit = ModelCircuit::<Fr>::for_keygen(&quantised.model);
    let (k, rows) = (circuit.k, circuit.layout.rows());
    let srs = match &options.setup {
        Setup::Embedded => Srs::embedded(k)?,
        Setup::File(path) => Srs::read(path, k)?,
    };
    let contract_name = match (srs.origin().is_unsafe(), options.allow_unsafe_srs) {
        (false, _) => contract_name,
        (true, true) => format!("{contract_name}UNSAFE"),
        (true, false) => return Err(ProjectError::UnsafeSetup),
    };

    progress(Stage::Keys);
    let setup_digest = srs.digest();
    let start = Instant::now();
    let proving_key = ProvingKey::generate(&quantised.model, srs)?;
    let keygen = start.elapsed();

    progress(Stage::Contract);
    let vk = proving_key.verifying_key();
    let model = &quantised.model;
    let info = ContractInfo {
        name: contract_name.clone(),
        model: format!("ONNX sha256 {model_sha256}"),
        setup: format!("{}, digest {}", vk.setup(), hex::encode(setup_digest)),
        outputs: model.public_names(),
    };
    let contract = verifier_source(vk.protocol(), vk.public_ranges(), &info)?;
    let threshold = options.quant.threshold;
    Ok(Build {
        model_sha256,
        domain,
        quantised,
        threshold,
        proving_key,
        rows,
        contract_name,
        contract,
        keygen,
        setup_digest,
    })
}

/// The contract's name for a model file: `credit-model.onnx` becomes `CreditModelVerifier`.
pub fn contract_name(model: &Path) -> String {
    let stem = model.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let words = stem.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let capitalised = |word: &str| {
        let (first, rest) = word.split_at(1);
        first.to_ascii_uppercase() + rest
    };
    let name: String = words.map(capitalised).collect();
    let prefix = if name.starts_with(|c: char| c.is_ascii_alphabetic()) { "" } else { "Model" };
    format!("{prefix}{name}Verifier")
}

fn read(path: &Path) -> Result<Vec<u8>, ProjectError> {
    std::fs::read(path).map_err(|source| ProjectError::Read { path: path.into(), source })
}

/// Where a build's files are in its folder.
pub(super) mod paths {
    pub const CIRCUIT: &str = "circuit.bin";
    pub const PROVING_KEY: &str = "proving.key";
    pub const VERIFYING_KEY: &str = "verifying.key";

    /// The contract's source.
    pub fn contract(name: &str) -> String {
        format!("contracts/{name}.sol")
    }
}

impl Build {
    /// Write the folder of artifacts: all of it or, if anything fails, nothing.
    pub fn write(&self, folder: &Path) -> Result<(), ProjectError> {
        let vk = self.proving_key.verifying_key();
        let circuit = postcard::to_allocvec(&self.quantised.model).map_err(|error| ProjectError::Mismatch {
            path: folder.join(paths::CIRCUIT),
            detail: format!("the model cannot be encoded: {error}"),
        })?;
        let mut staged = StagedFolder::new(folder)?;
        let mut artifact = |path: &str, kind: ArtifactKind, payload: &[u8]| {
            staged.write_with(path, |file| write_container(file, kind, payload))
        };
        artifact(paths::CIRCUIT, ArtifactKind::Circuit, &circuit)?;
        artifact(paths::PROVING_KEY, ArtifactKind::ProvingKey, &self.proving_key.to_bytes())?;
        artifact(paths::VERIFYING_KEY, ArtifactKind::VerifyingKey, &vk.to_bytes()?)?;
        staged.write(&paths::contract(&self.contract_name), self.contract.as_bytes())?;
        Ok(staged.commit(self.manifest())?)
    }

    /// The manifest: what the folder holds, for people and CI.
    pub fn manifest(&self) -> Map<String, Value> {
        let vk = self.proving_key.verifying_key();
        let (protocol, model) = (vk.protocol(), &self.quantised.model);
        let range = |range: &Interval, scale: f64| {
            json!({
                "integer": [range.lo.to_string(), range.hi.to_string()],
                "value": [range.lo as f64 / scale, range.hi as f64 / scale],
            })
        };
        let inputs = model.features.iter().map(|feature| {
            json!({ "name": feature.name, "scale": feature.scale, "range": range(&feature.range, feature.scale) })
        });
        let outputs = model.outputs.iter().map(|output| {
            let ranges: Vec<_> = model.ranges(output.tensor).iter().map(|r| range(r, output.scale)).collect();
            json!({ "name": output.name, "scale": output.scale, "ranges": ranges })
        });
        let manifest = json!({
            "format": 1,
            "model": { "sha256": self.model_sha256, "id": vk.id() },
            "contract": { "name": self.contract_name, "file": paths::contract(&self.contract_name) },
            "setup": { "origin": vk.setup(), "digest": hex::encode(self.setup_digest), "unsafe": vk.setup().is_unsafe() },
            "plan": {
                "layout": "general",
                "curve": "bn254",
                "k": protocol.k,
                "rows": self.rows,
                "columns": {
                    "advice": protocol.advice_columns,
                    "fixed": protocol.fixed.len(),
                    "permutation": protocol.sigma.len(),
                },
                "quotient_pieces": protocol.quotient_pieces,
                "proof_bytes": 32 * protocol.proof_words(),
                "calldata_bytes": 4 + 32 * (1 + protocol.public_rows().len() + protocol.proof_words()),
            },
            "domain": { "source": self.domain.source, "inputs": inputs.collect::<Vec<_>>() },
            "outputs": outputs.collect::<Vec<_>>(),
            "quantisation": {
                "precision_bits": self.quantised.precision,
                "threshold": self.threshold,
                "max_bits": MAX_BITS,
                "calibration": self.quantised.accuracy,
            },
        });
        match manifest {
            Value::Object(map) => map,
            _ => Map::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contract_names_are_identifiers() {
        for (file, name) in [
            ("credit.onnx", "CreditVerifier"),
            ("a/b/credit-model_v2.onnx", "CreditModelV2Verifier"),
            ("1l_relu.onnx", "Model1lReluVerifier"),
            ("größe.onnx", "GrEVerifier"),
            (".onnx", "OnnxVerifier"),
            ("", "ModelVerifier"),
        ] {
            assert_eq!(contract_name(Path::new(file)), name, "{file}");
        }
    }
}
