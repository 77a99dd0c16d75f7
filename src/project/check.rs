//! `check`: everything that stands in the way of compiling a model, and what the model will cost, before any key is made.

use std::path::Path;

use serde::Serialize;

use super::{
    AnyVerifyingKey, CompileOptions, ProjectError, ProverForecast, Seen, Setup, Stage,
    compile::{contract_info, contract_name, file_name, read, setup_k},
    report::{Fact, Report, bytes, proving_costs, verifying_costs},
};
use crate::{
    chain::{self, ChainError, CompileSettings, Search},
    gas::{Evm, thousands},
    graph::Graph,
    onnx,
    plan::{Alternative, Plan, PlanOptions, alternatives, choose, needed_k},
    problem::{Problem, Problems},
    proof::{
        CurveId, Srs, SrsOrigin,
        srs::{EMBEDDED_K, ETHEREUM_K},
    },
    quant::{Accuracy, CalibrationData, Domain, DomainFile, DomainSource, Quantised, quantise_all},
};

/// What was found out about a model.
#[derive(Debug, Default, Serialize)]
pub struct Checked {
    /// What has to change before it can be compiled.
    pub problems: Problems,
    /// What it will cost, as far as the problems leave that open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forecast: Option<Forecast>,
    /// All of that as an HTML page, where there is a forecast.
    #[serde(skip)]
    pub report: Option<String>,
}

/// What a model will cost.
#[derive(Clone, Debug, Serialize)]
pub struct Forecast {
    pub plan: Plan,
    pub columns: Columns,
    /// Where the input domain comes from.
    pub domain: DomainSource,
    /// What proofs would say of inputs and outputs.
    pub visibility: Seen,
    pub precision_bits: f64,
    pub accuracy: Accuracy,
    pub setup: SetupForecast,
    pub prover: ProverForecast,
    pub proof_bytes: usize,
    pub calldata_bytes: usize,
    /// Of the contract, if there is a compiler.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contract: Option<ContractForecast>,
    /// Every layout on every curve.
    pub alternatives: Vec<Alternative>,
}

/// Columns by kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Columns {
    pub advice: usize,
    pub fixed: usize,
    pub permutation: usize,
}

/// The powers that a plan needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct SetupForecast {
    /// log2 of their number.
    pub k: u32,
    /// Whether a ceremony that is large enough is embedded.
    pub embedded: bool,
}

/// The contract, compiled with made-up commitments: its size changes by a byte for every one that happens to begin with zeros.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ContractForecast {
    pub runtime_bytes: usize,
    /// `None` if it cannot be deployed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployment_gas: Option<u64>,
}

/// What keeps a model from being imported.
///
/// # Errors
///
/// Where the file cannot be read.
pub fn check_model(model: &Path) -> Result<Checked, ProjectError> {
    let mut checked = Checked::default();
    import(model, &mut checked.problems)?;
    Ok(checked)
}

fn import(model: &Path, problems: &mut Problems) -> Result<Option<Graph>, ProjectError> {
    let graph = onnx::examine(&model.display().to_string(), &read(model)?);
    Ok(graph.map_err(|found| problems.extend(found.listed)).ok())
}

/// What keeps a model from being compiled, and what it will cost.
///
/// # Errors
///
/// Where the model or the setup cannot be read; what is wrong with model and data is among the problems.
pub fn check(options: &CompileOptions, mut progress: impl FnMut(Stage)) -> Result<Checked, ProjectError> {
    let mut checked = Checked::default();
    progress(Stage::Import);
    let graph = import(&options.model, &mut checked.problems)?;
    let declared = options.domain.as_deref().map(DomainFile::read).transpose();
    let declared = note(&mut checked.problems, declared);
    let data = note(&mut checked.problems, CalibrationData::read(&options.data));
    let (Some(graph), Some(declared), Some(data)) = (graph, declared, data) else { return Ok(checked) };

    progress(Stage::Quantise);
    let domain = note(&mut checked.problems, Domain::resolve(&graph, &data, declared.as_ref()));
    let Some(domain) = domain else { return Ok(checked) };
    let mut quantised = match quantise_all(&graph, &domain, &data, &options.quant) {
        Ok(quantised) => quantised,
        Err(problems) => {
            checked.problems.extend(problems.listed);
            return Ok(checked);
        }
    };
    note(&mut checked.problems, options.tolerated(&quantised));
    let seen = note(&mut checked.problems, options.visibility.apply(&mut quantised.model)).unwrap_or_default();

    progress(Stage::Plan);
    let found = forecast(options, domain.source, &quantised, seen, &mut checked.problems, progress)?;
    let Some((forecast, verifying_key)) = found else { return Ok(checked) };
    let report = Report {
        file: &file_name(&options.model),
        identity: vec![],
        problems: &checked.problems,
        domain: domain.source,
        quantised: &quantised,
        plan: &forecast.plan,
        alternatives: &forecast.alternatives,
        columns: forecast.columns,
        verifying_key: &verifying_key,
        costs: costs(&forecast),
    };
    checked.report = Some(report.html());
    checked.forecast = Some(forecast);
    Ok(checked)
}

/// The value; an error becomes a problem.
fn note<T, E: Into<ProjectError>>(problems: &mut Problems, result: Result<T, E>) -> Option<T> {
    result.map_err(|error| problems.push(Problem::from_message(&error.into().to_string(), None))).ok()
}

fn forecast(
    options: &CompileOptions,
    domain: DomainSource,
    quantised: &Quantised,
    seen: Seen,
    problems: &mut Problems,
    mut progress: impl FnMut(Stage),
) -> Result<Option<(Forecast, AnyVerifyingKey)>, ProjectError> {
    let model = &quantised.model;
    let bn254_k = setup_k(&options.setup)?;
    let mut plan_options =
        PlanOptions { layout: options.layout, curve: options.curve, bn254_k, optimize: options.optimize };
    let mut found = alternatives(model, &plan_options);
    if let (Err(_), Some(k)) = (choose(&found, &plan_options), needed_k(&found, &plan_options)) {
        note(problems, options.setup.powers(k));
        // as it will be with a setup that is large enough
        plan_options.bn254_k = k;
        found = alternatives(model, &plan_options);
    }
    let Some(plan) = note(problems, choose(&found, &plan_options)) else { return Ok(None) };
    problems.extend(options.limits.exceeded(&plan).listed);
    let origin = match (&options.setup, plan.curve) {
        (_, CurveId::Bls12381) => SrsOrigin::EthereumKzg,
        (Setup::Embedded, CurveId::Bn254) => SrsOrigin::AztecIgnition,
        (Setup::File(path), CurveId::Bn254) => Srs::info(path)?.origin,
    };
    if origin.is_unsafe() && !options.allow_unsafe_srs {
        note::<(), _>(problems, Err(ProjectError::UnsafeSetup));
    }

    progress(Stage::Contract);
    let outline = AnyVerifyingKey::outline(model, &plan, origin)?;
    let name = options.name.clone().unwrap_or_else(|| contract_name(&options.model));
    let source = note(problems, outline.contract(&contract_info(&name, model, String::new(), String::new())));
    let contract = source.and_then(|source| contract(&name, source, problems));
    progress(Stage::Forecast);
    let columns = outline.columns();
    let embedded_k = if plan.curve == CurveId::Bn254 { EMBEDDED_K } else { ETHEREUM_K };
    let forecast = Forecast {
        columns,
        domain,
        visibility: seen,
        precision_bits: quantised.precision,
        accuracy: quantised.accuracy.clone(),
        setup: SetupForecast { k: plan.powers_k(), embedded: plan.powers_k() <= embedded_k },
        prover: outline.forecast(model)?,
        proof_bytes: 32 * outline.proof_words(),
        calldata_bytes: outline.calldata_bytes(),
        contract,
        alternatives: found,
        plan,
    };
    Ok(Some((forecast, outline)))
}

/// What the report says that verifying and proving take.
fn costs(forecast: &Forecast) -> Vec<Fact> {
    let mut rows = verifying_costs(&forecast.plan, forecast.proof_bytes, forecast.calldata_bytes);
    match &forecast.contract {
        Some(ContractForecast { runtime_bytes, deployment_gas }) => {
            rows.push(("contract", bytes(*runtime_bytes as u64)));
            rows.extend(deployment_gas.map(|gas| ("deployment", format!("{} gas", thousands(gas)))));
        }
        None => rows.push(("contract", "not known without solc".into())),
    }
    let ProverForecast { time, peak_bytes, proving_key_bytes, verifying_key_bytes } = forecast.prover;
    let time = format!("{:.2} s ({:.2} CPU s)", time.wall_seconds, time.cpu_seconds);
    rows.push(("proving, on the machine of this forecast", time));
    rows.extend(proving_costs(peak_bytes, proving_key_bytes, verifying_key_bytes));
    rows
}

/// The contract compiled; `None` without a compiler.
fn contract(name: &str, source: String, problems: &mut Problems) -> Option<ContractForecast> {
    let solc = Search::default().solc().ok()?;
    match chain::compile(&solc, &[(format!("{name}.sol").into(), source)], name, &CompileSettings::default()) {
        Ok(compiled) => {
            let deployed = Evm::deploy(&compiled.init_code);
            let deployment_gas = deployed.ok().map(|evm| evm.deployment());
            Some(ContractForecast { runtime_bytes: compiled.runtime_code.len(), deployment_gas })
        }
        Err(error) => {
            problems.push(Problem::from_message(&error.to_string(), None));
            match error {
                ChainError::ContractTooLarge { bytes, .. } => {
                    Some(ContractForecast { runtime_bytes: bytes, deployment_gas: None })
                }
                _ => None,
            }
        }
    }
}
