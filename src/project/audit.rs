//! `audit`: how accurate a model is in fixed point, at several precisions and tensor by tensor, and what circuits that takes:
//! whether it is fit for a proof, before there is any key.

mod picture;

use std::path::PathBuf;

use serde::Serialize;

use super::{ProjectError, compile::read};
use crate::{
    circuit::Layout,
    gas::thousands,
    graph::IntegerModel,
    onnx,
    plan::{Choice, Optimize, PlanOptions, alternatives, choose},
    proof::{CurveId, srs::EMBEDDED_K},
    quant::{
        Accuracy, AtPrecision, CalibrationData, Domain, DomainFile, Measured, QuantOptions, Quantised, TensorError,
        at_precisions, quantise,
    },
};

/// log2 of the rows up to which circuits are laid out to be counted.
const MAX_ROWS_K: u32 = 22;
/// The precision whose tensors are shown where none was found.
const DEFAULT_BITS: u32 = 16;

/// What to audit.
#[derive(Clone, Debug)]
pub struct AuditOptions {
    /// The ONNX file.
    pub model: PathBuf,
    /// Calibration data, which may declare the features.
    pub data: PathBuf,
    /// A file that declares the features, in place of the calibration file's own block.
    pub domain: Option<PathBuf>,
    /// Samples to measure on, in place of the calibration data.
    pub input: Option<PathBuf>,
    pub quant: QuantOptions,
    /// The precisions.
    pub bits: Vec<u32>,
}

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Audit {
    pub precisions: Vec<PrecisionAudit>,
    /// The precision that `compile` would take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chosen: Option<Chosen>,
    /// The error that is tolerated, relative to the range of the outputs.
    pub tolerance: f64,
    /// The precision of `tensors`: the chosen one in whole bits.
    pub tensor_bits: u32,
    pub tensors: Vec<TensorError>,
    pub fit: bool,
    /// The same in words.
    pub verdict: String,
}

/// A model at one precision.
#[derive(Clone, Debug, Serialize)]
pub struct PrecisionAudit {
    pub bits: u32,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<Accuracy>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rms_error: Option<f64>,
    /// Samples on which all outputs that are integers are exact, where there are such.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exact_integers: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<Size>,
    /// Why there is no such model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// The circuit of a model on BN254, in the layout that is cheapest to verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Size {
    pub layout: Layout,
    pub rows: usize,
    pub k: u32,
}

/// What `compile` would take.
#[derive(Clone, Debug, Serialize)]
pub struct Chosen {
    pub bits: f64,
    /// On the calibration data.
    pub accuracy: Accuracy,
    pub within_tolerance: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<Size>,
}

/// Audit a model.
///
/// # Errors
///
/// Where a file cannot be read or does not fit the model. A model that cannot be quantised has an audit that says so.
pub fn audit(options: &AuditOptions) -> Result<Audit, ProjectError> {
    let graph = onnx::import_bytes(&options.model.display().to_string(), &read(&options.model)?)?;
    let data = CalibrationData::read(&options.data)?;
    let declared = options.domain.as_deref().map(DomainFile::read).transpose()?;
    let input = options.input.as_deref().map(CalibrationData::read).transpose()?;
    let domain = Domain::resolve(&graph, &data, declared.as_ref())?;
    let at = |bits: &[u32]| at_precisions(&graph, &domain, &data, input.as_ref(), options.quant.threshold, bits);

    let quantised = quantise(&graph, &domain, &data, &options.quant);
    let tensor_bits = quantised.as_ref().map_or(DEFAULT_BITS, |quantised| quantised.precision.ceil() as u32);
    let measured = at(&options.bits)?;
    let tensors = match measured.iter().find(|at| at.bits == tensor_bits) {
        Some(AtPrecision { result: Ok(measured), .. }) => measured.tensors.clone(),
        _ => at(&[tensor_bits])?.into_iter().find_map(|at| at.result.ok()).map(|m| m.tensors).unwrap_or_default(),
    };
    let (chosen, fit, verdict) = match quantised {
        Err(error) => (None, false, format!("not fit for a proof: {error}")),
        Ok(Quantised { model, accuracy, precision, within_tolerance, .. }) => {
            let chosen = Chosen { bits: precision, accuracy, within_tolerance, size: size(&model) };
            let (fit, verdict) = (within_tolerance && chosen.size.is_some(), chosen.verdict(options.quant.max_error));
            (Some(chosen), fit, verdict)
        }
    };
    let precisions = measured.into_iter().map(PrecisionAudit::new).collect();
    Ok(Audit { precisions, chosen, tolerance: options.quant.max_error, tensor_bits, tensors, fit, verdict })
}

impl Chosen {
    fn verdict(&self, tolerance: f64) -> String {
        let Accuracy { max_relative_to_range: error, decisions_flipped: flips, samples, .. } = self.accuracy;
        let error = format!("the outputs are off by at most {error:.1e} of their range on {samples} samples");
        let decisions = match flips {
            0 => "no decision changes".to_string(),
            1 => "1 decision changes".to_string(),
            flips => format!("{flips} decisions change"),
        };
        let (bits, measured) = (self.bits, format!("{error}, and {decisions}"));
        match (self.within_tolerance, &self.size) {
            (false, _) => format!("not fit for a proof: even at {bits} bits {measured}; {tolerance:.1e} is tolerated"),
            (true, None) => {
                format!("not fit for a proof: at {bits} bits {measured}, but the circuit has over 2^{MAX_ROWS_K} rows")
            }
            (true, Some(Size { rows, k, .. })) => {
                let setup = if *k > EMBEDDED_K { "; that needs an imported setup" } else { "" };
                let rows = thousands(*rows as u64);
                format!("fit for a proof: at {bits} bits {measured}; the circuit has {rows} rows of 2^{k}{setup}")
            }
        }
    }
}

impl PrecisionAudit {
    fn new(AtPrecision { bits, result }: AtPrecision) -> Self {
        let empty = Self { bits, accuracy: None, rms_error: None, exact_integers: None, size: None, refused: None };
        match result {
            Err(error) => Self { refused: Some(error.to_string()), ..empty },
            Ok(Measured { model, accuracy, rms_error, exact_integers, .. }) => Self {
                size: size(&model),
                accuracy: Some(accuracy),
                rms_error: Some(rms_error),
                exact_integers,
                ..empty
            },
        }
    }
}

/// The circuit of a model; `None` beyond [`MAX_ROWS_K`].
fn size(model: &IntegerModel) -> Option<Size> {
    let (layout, curve) = (Choice::Auto, Choice::Only(CurveId::Bn254));
    let options = PlanOptions { layout, curve, bn254_k: MAX_ROWS_K, optimize: Optimize::Gas };
    let plan = choose(&alternatives(model, &options), &options).ok()?;
    Some(Size { layout: plan.layout, rows: plan.rows, k: plan.k })
}
