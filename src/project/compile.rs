//! `compile`: model, data and setup in; keys, contract and report out.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{
    Limits, ProjectError,
    architecture::{ArchitectureData, First},
    keys::{AnyProvingKey, AnySrs, AnyVerifyingKey},
    proof_file::hex_word,
    report::{Report, proving_costs, verifying_costs},
    visibility::{Seen, Visibility, digest_notes, digests_json, packed_notes},
};
use crate::{
    circuit::Layout,
    fsutil::StagedFolder,
    graph::{IntegerModel, Interval, MAX_BITS, PackedInput},
    onnx,
    plan::{Alternative, Choice, Optimize, Plan, PlanOptions, alternatives, choose, needed_k},
    problem::Problems,
    proof::{
        Bn254, CurveId, Srs, SrsError,
        artifact::{ArtifactKind, OVERHEAD, write_container},
        srs::{EMBEDDED_K, ETHEREUM_K},
    },
    quant::{CalibrationData, Domain, DomainFile, QuantOptions, Quantised, Weights, quantise},
    solidity::{ContractInfo, FIXTURE, batch_name, typed_name},
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
    /// Which layout.
    pub layout: Choice<Layout>,
    /// Which curve.
    pub curve: Choice<CurveId>,
    /// What the layout and the curve are chosen for, where there is a choice.
    pub optimize: Optimize,
    /// What proofs say of inputs and outputs.
    pub visibility: Visibility,
    /// A folder of a model with committed weights: the model is another one of its architecture, for the same contract. It decides all
    /// of the above but model, data, setup, and the tolerance and the threshold of `quant`.
    pub like: Option<PathBuf>,
    /// Emit a contract on a setup whose secret is known.
    pub allow_unsafe_srs: bool,
    /// What the plan may take at most.
    pub limits: Limits,
}

impl CompileOptions {
    /// The defaults for a model and its calibration data: fixed weights, public outputs, the embedded ceremony, the least gas.
    pub fn new(model: impl Into<PathBuf>, data: impl Into<PathBuf>) -> Self {
        CompileOptions {
            model: model.into(),
            data: data.into(),
            domain: None,
            name: None,
            quant: QuantOptions::default(),
            setup: Setup::default(),
            layout: Choice::Auto,
            curve: Choice::Auto,
            optimize: Optimize::default(),
            visibility: Visibility::default(),
            like: None,
            allow_unsafe_srs: false,
            limits: Limits::default(),
        }
    }

    /// Refuses a model that misses the tolerance, unless its precision was chosen.
    pub(super) fn tolerated(&self, quantised: &Quantised) -> Result<(), ProjectError> {
        let accuracy = &quantised.accuracy;
        let (error, flips) = (accuracy.max_relative_to_range, accuracy.decisions_flipped);
        match quantised.within_tolerance || self.quant.precision.is_some() {
            true => Ok(()),
            false => Err(ProjectError::Tolerance { tolerance: self.quant.max_error, error, flips }),
        }
    }
}

/// A step of the compilation, for progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Import,
    Quantise,
    Plan,
    Setup,
    Keys,
    Contract,
    Forecast,
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Stage::Import => "importing the model",
            Stage::Quantise => "quantising",
            Stage::Plan => "planning",
            Stage::Setup => "loading the setup",
            Stage::Keys => "generating keys",
            Stage::Contract => "writing the contract",
            Stage::Forecast => "measuring this machine",
        })
    }
}

/// A compiled model.
#[derive(Debug)]
pub struct Build {
    /// The model's file, without its folder.
    pub model_file: String,
    pub model_sha256: String,
    pub domain: Domain,
    pub quantised: Quantised,
    /// What proofs say of inputs and outputs.
    pub seen: Seen,
    /// What further models of the architecture are compiled with.
    architecture: Option<ArchitectureData>,
    pub threshold: f64,
    pub plan: Plan,
    /// All plans that were considered.
    pub alternatives: Vec<Alternative>,
    pub proving_key: AnyProvingKey,
    pub verifying_key: AnyVerifyingKey,
    pub contract_name: String,
    /// The verifier contract.
    pub contract: String,
    /// The contract for many proofs in one call, where the curve has one.
    pub batch_contract: Option<String>,
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
    let first = options.like.as_deref().map(First::open).transpose()?;

    progress(Stage::Quantise);
    let data = CalibrationData::read(&options.data)?;
    let declared = options.domain.as_deref().map(DomainFile::read).transpose()?;
    let (domain, visibility, mut quant) = match &first {
        Some(first) => (first.domain(&graph, &data)?, &first.data.visibility, options.quant.clone()),
        None => (Domain::resolve(&graph, &data, declared.as_ref())?, &options.visibility, options.quant.clone()),
    };
    if let Some(first) = &first {
        quant = QuantOptions { weights: Weights::Of(Box::new(first.data.choices.clone())), ..quant };
    }
    let mut quantised = quantise(&graph, &domain, &data, &quant)?;
    options.tolerated(&quantised)?;
    let seen = visibility.apply(&mut quantised.model)?;
    let architecture = quantised.architecture.clone().map(|choices| ArchitectureData {
        choices,
        domain: domain.clone(),
        visibility: visibility.clone(),
    });
    if let Some(first) = &first {
        first.holds(&quantised.model)?;
    }

    progress(Stage::Plan);
    let bn254_k = setup_k(&options.setup)?;
    let (layout, curve) = match first {
        Some(_) => (Choice::Auto, Choice::Auto),
        None => (options.layout, options.curve),
    };
    let plan_options = PlanOptions { layout, curve, bn254_k, optimize: options.optimize };
    let mut alternatives = alternatives(&quantised.model, &plan_options);
    if let Some(first) = &first {
        alternatives.retain(|alternative| first.allows(alternative));
    }
    let plan = choose(&alternatives, &plan_options);
    if let (Err(_), Some(k)) = (&plan, needed_k(&alternatives, &plan_options)) {
        options.setup.powers(k)?;
    }
    let plan = plan?;
    let exceeded = options.limits.exceeded(&plan);
    if !exceeded.is_empty() {
        return Err(ProjectError::Limits { problems: exceeded });
    }

    progress(Stage::Setup);
    let srs = setup(&options.setup, &plan, bn254_k)?;
    let own_name = || options.name.clone().unwrap_or_else(|| contract_name(&options.model));
    let contract_name = match (&first, srs.origin().is_unsafe(), options.allow_unsafe_srs) {
        (_, true, false) => return Err(ProjectError::UnsafeSetup),
        (Some(first), ..) => first.contract()?.0,
        (None, false, _) => own_name(),
        (None, true, true) => format!("{}UNSAFE", own_name()),
    };

    progress(Stage::Keys);
    let setup_digest = srs.digest();
    let start = Instant::now();
    let proving_key = AnyProvingKey::generate(&quantised.model, plan.layout, srs)?;
    let keygen = start.elapsed();

    progress(Stage::Contract);
    let verifying_key = proving_key.verifying_key();
    let setup = format!("{}, digest {}", verifying_key.setup(), hex::encode(setup_digest));
    let about = match verifying_key.architecture() {
        Some(_) => "any of one architecture, named by the commitment to its weights".into(),
        None => format!("ONNX sha256 {model_sha256}"),
    };
    let info = contract_info(&contract_name, &quantised.model, about, setup);
    let contract = verifying_key.contract(&info)?;
    if let Some(first) = &first {
        first.verifies(verifying_key.architecture().map(|(id, _)| id).as_deref(), &contract)?;
    }
    let batch_contract = verifying_key.batch_contract(&info)?;
    let threshold = options.quant.threshold;
    Ok(Build {
        model_file: self::file_name(&options.model),
        model_sha256,
        domain,
        quantised,
        seen,
        architecture,
        threshold,
        plan,
        alternatives,
        proving_key,
        verifying_key,
        contract_name,
        contract,
        batch_contract,
        keygen,
        setup_digest,
    })
}

/// What a model's contract says about it.
pub(super) fn contract_info(name: &str, model: &IntegerModel, about: String, setup: String) -> ContractInfo {
    ContractInfo {
        name: name.into(),
        model: about,
        setup,
        outputs: model.public_names(),
        public_inputs: packed_notes(model),
        digests: digest_notes(model),
    }
}

/// log2 of the powers that the setup on BN254 has.
pub(super) fn setup_k(setup: &Setup) -> Result<u32, SrsError> {
    Ok(match setup {
        Setup::Embedded => EMBEDDED_K,
        Setup::File(path) => Srs::info(path)?.k,
    })
}

impl Setup {
    /// Whether the setup on BN254 has `2^k` powers: reading it says what is missing, and where to get it.
    pub(super) fn powers(&self, k: u32) -> Result<(), SrsError> {
        match self {
            Setup::Embedded => Srs::embedded(k).map(drop),
            Setup::File(path) => Srs::<Bn254>::read(path, k).map(drop),
        }
    }
}

/// The setup for a plan, with as many powers as it takes.
fn setup(setup: &Setup, plan: &Plan, bn254_k: u32) -> Result<AnySrs, SrsError> {
    let k = plan.powers_k();
    Ok(match (plan.curve, setup) {
        (CurveId::Bls12381, _) => AnySrs::Bls12381(Srs::ethereum(k.min(ETHEREUM_K))?),
        (CurveId::Bn254, Setup::Embedded) => AnySrs::Bn254(Srs::embedded(k.min(bn254_k))?),
        (CurveId::Bn254, Setup::File(path)) => AnySrs::Bn254(Srs::read(path, k.min(bn254_k))?),
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

/// The name of a model's file, without its folder.
pub(super) fn file_name(model: &Path) -> String {
    model.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, ProjectError> {
    std::fs::read(path).map_err(|source| ProjectError::Read { path: path.into(), source })
}

/// Where a build's files are in its folder.
pub(super) mod paths {
    pub const CIRCUIT: &str = "circuit.bin";
    pub const PROVING_KEY: &str = "proving.key";
    pub const VERIFYING_KEY: &str = "verifying.key";
    pub const ARCHITECTURE: &str = "architecture.bin";
    pub const REPORT: &str = "report.html";

    /// The contract's source.
    pub fn contract(name: &str) -> String {
        format!("contracts/{name}.sol")
    }
}

impl Build {
    /// Write the folder of artifacts: all of it or, if anything fails, nothing. It is a Foundry project; `with_tests`, its suite comes with
    /// an example's proof, which is made for it.
    pub fn write(&self, folder: &Path, with_tests: bool) -> Result<(), ProjectError> {
        let vk = &self.verifying_key;
        let circuit = postcard::to_allocvec(&self.quantised.model).map_err(|error| ProjectError::Mismatch {
            path: folder.join(paths::CIRCUIT),
            detail: format!("the model cannot be encoded: {error}"),
        })?;
        let mut staged = StagedFolder::new(folder)?;
        let mut artifact = |path: &str, kind: ArtifactKind, payload: &[u8]| {
            staged.write_with(path, |file| write_container(file, kind, payload))
        };
        artifact(paths::CIRCUIT, ArtifactKind::Circuit, &circuit)?;
        if let Some(architecture) = &self.architecture {
            let bytes = postcard::to_allocvec(architecture).map_err(|error| ProjectError::Mismatch {
                path: folder.join(paths::ARCHITECTURE),
                detail: format!("the architecture cannot be encoded: {error}"),
            })?;
            artifact(paths::ARCHITECTURE, ArtifactKind::Architecture, &bytes)?;
        }
        let verifying_key = vk.to_bytes()?;
        artifact(paths::VERIFYING_KEY, ArtifactKind::VerifyingKey, &verifying_key)?;
        staged.write_with(paths::PROVING_KEY, |file| self.proving_key.write(file))?;
        staged.write(&paths::contract(&self.contract_name), self.contract.as_bytes())?;
        if let Some(batch) = &self.batch_contract {
            staged.write(&paths::contract(&batch_name(&self.contract_name)), batch.as_bytes())?;
        }
        let (interface, suite) = (self.interface(), self.suite());
        staged.write(&paths::contract(&typed_name(&self.contract_name)), interface.source().as_bytes())?;
        for (path, content) in self.web() {
            staged.write(&path, content.as_bytes())?;
        }
        staged.write("foundry.toml", suite.settings().as_bytes())?;
        staged.write("README.md", suite.readme(with_tests).as_bytes())?;
        let (path, script) = suite.script();
        staged.write(&path, script.as_bytes())?;
        if with_tests {
            let (path, tests) = suite.tests();
            staged.write(&path, tests.as_bytes())?;
            staged.write(FIXTURE, format!("{:#}\n", self.fixture(&circuit)?).as_bytes())?;
        }
        let key_bytes = [self.proving_key.bytes_len(), verifying_key.len()].map(|len| len as u64 + OVERHEAD);
        staged.write(paths::REPORT, self.report(key_bytes).as_bytes())?;
        Ok(staged.commit(self.manifest())?)
    }

    /// The page for people. Like all of the folder it is the same on every machine, so it has no measured time.
    fn report(&self, [proving_key_bytes, verifying_key_bytes]: [u64; 2]) -> String {
        let vk = &self.verifying_key;
        let mut costs = verifying_costs(&self.plan, 32 * vk.proof_words(), vk.calldata_bytes());
        let nominal = format!("{:.2} CPU s of the machine that plans are compared by", self.plan.proving);
        costs.push(("proving", nominal));
        costs.extend(proving_costs(self.plan.peak_bytes, proving_key_bytes, verifying_key_bytes));
        let measured = "hallmark check --report FILE adds the contract's size and the time on a machine of yours";
        costs.push(("measured", measured.into()));
        Report {
            file: &self.model_file,
            identity: vec![
                ("ONNX sha256", self.model_sha256.clone()),
                ("model id", vk.id()),
                ("contract", self.contract_name.clone()),
                ("setup digest", hex::encode(self.setup_digest)),
            ],
            problems: &Problems::default(),
            domain: self.domain.source,
            quantised: &self.quantised,
            plan: &self.plan,
            alternatives: &self.alternatives,
            columns: vk.columns(),
            verifying_key: vk,
            costs,
        }
        .html()
    }

    /// The manifest: what the folder holds, for people and CI.
    pub fn manifest(&self) -> Map<String, Value> {
        let (vk, model) = (&self.verifying_key, &self.quantised.model);
        let range = |range: &Interval, scale: f64| {
            json!({
                "integer": [range.lo.to_string(), range.hi.to_string()],
                "value": [range.lo as f64 / scale, range.hi as f64 / scale],
            })
        };
        let inputs = model.features.iter().map(|feature| {
            json!({ "name": feature.name, "scale": feature.scale, "range": range(&feature.range, feature.scale) })
        });
        let public_inputs = model.packed_inputs().into_iter().filter_map(|packed| {
            let feature = model.features.get(packed.feature)?;
            let PackedInput { public_value, shift, bits, .. } = packed;
            let place = json!({ "output": public_value, "shift": shift, "bits": bits });
            Some(json!({ "name": feature.name, "place": place, "plus": feature.range.lo.to_string() }))
        });
        let outputs = model.outputs.iter().map(|output| {
            let ranges: Vec<_> = model.ranges(output.tensor).iter().map(|r| range(r, output.scale)).collect();
            json!({ "name": output.name, "scale": output.scale, "ranges": ranges })
        });
        let manifest = json!({
            "format": 1,
            "model": { "sha256": self.model_sha256, "id": vk.id() },
            "weights": vk.architecture().map(|(architecture, commitment)| {
                json!({ "architecture": architecture, "commitment": commitment.iter().map(hex_word).collect::<Vec<_>>() })
            }),
            "contract": { "name": self.contract_name, "file": paths::contract(&self.contract_name) },
            "batch_contract": self.batch_contract.as_ref().map(|_| {
                let name = batch_name(&self.contract_name);
                json!({ "name": name, "file": paths::contract(&name) })
            }),
            "setup": { "origin": vk.setup(), "digest": hex::encode(self.setup_digest), "unsafe": vk.setup().is_unsafe() },
            "plan": {
                "layout": self.plan.layout,
                "curve": self.plan.curve,
                "k": self.plan.k,
                "rows": self.plan.rows,
                "columns": vk.columns(),
                "quotient_pieces": vk.quotient_pieces(),
                "proof_bytes": 32 * vk.proof_words(),
                "calldata_bytes": vk.calldata_bytes(),
                "estimate": self.plan.estimate,
                "alternatives": self.alternatives,
            },
            "domain": { "source": self.domain.source, "inputs": inputs.collect::<Vec<_>>() },
            "outputs": outputs.collect::<Vec<_>>(),
            "public_inputs": public_inputs.collect::<Vec<_>>(),
            "digests": digests_json(model),
            "visibility": self.seen,
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
