//! The declared input domain, and inputs inside and outside of it.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::{DataError, InputError};
use super::input::{CalibrationData, number, parse_json};
use crate::graph::{Feature, Graph, IntegerModel};

/// One scalar input and the values it may take, in the units of the float model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeclaredFeature {
    pub name: String,
    pub min: f64,
    pub max: f64,
    /// Whether it only takes integers: then it is quantised exactly, with scale 1.
    pub integer: bool,
}

/// Where a domain comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DomainSource {
    /// A features block, in the calibration file or a file of its own.
    Declared,
    /// The least and greatest value of each feature in the calibration data. Inputs beyond these cannot be proved.
    Calibration,
}

/// The values that each feature may take: what ranges are proved from and what the circuit enforces.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Domain {
    /// In the order of the model's inputs, flattened and concatenated.
    pub features: Vec<DeclaredFeature>,
    pub source: DomainSource,
}

impl Domain {
    /// The domain of `graph`: that of `declared` (a domain file), else that of the calibration file's features block,
    /// else what the calibration data spans.
    pub fn resolve(
        graph: &Graph,
        calibration: &CalibrationData,
        declared: Option<&DomainFile>,
    ) -> Result<Self, DataError> {
        let domain = Self::of(graph, calibration, declared)?;
        let file = declared.map_or(calibration.file(), |d| &d.file);
        let limits = graph.inputs.iter().flat_map(|i| std::iter::repeat_n(i.limits, i.len()));
        for (feature, limits) in domain.features.iter().zip(limits) {
            let (min, max) = (feature.min, feature.max);
            if let Some((least, greatest)) = limits.filter(|&(least, greatest)| min < least || max > greatest) {
                let (file, feature) = (file.into(), feature.name.clone());
                return Err(DataError::BeyondType { file, feature, min, max, least, greatest });
            }
        }
        Ok(domain)
    }

    fn of(graph: &Graph, calibration: &CalibrationData, declared: Option<&DomainFile>) -> Result<Self, DataError> {
        let integer: Vec<bool> = graph.inputs.iter().flat_map(|i| std::iter::repeat_n(i.integer, i.len())).collect();
        let block = declared.map(|d| (d.file.as_str(), d.features.as_slice()));
        let block = block.or_else(|| calibration.features().map(|f| (calibration.file(), f)));
        if let Some((file, features)) = block {
            let mut features = features.to_vec();
            if features.len() != integer.len() {
                let (location, found) = ("the features block".into(), features.len());
                return Err(DataError::Count { file: file.into(), location, expected: integer.len(), found });
            }
            for (feature, integer) in features.iter_mut().zip(integer) {
                feature.integer |= integer;
                check_feature(file, feature)?;
            }
            return Ok(Self { features, source: DomainSource::Declared });
        }
        let names = default_names(graph);
        let samples = calibration.samples(graph, &names)?;
        let mut features: Vec<DeclaredFeature> = names
            .into_iter()
            .zip(integer)
            .map(|(name, integer)| DeclaredFeature { name, min: f64::INFINITY, max: f64::NEG_INFINITY, integer })
            .collect();
        for sample in &samples {
            for (feature, &value) in features.iter_mut().zip(sample) {
                feature.min = feature.min.min(value);
                feature.max = feature.max.max(value);
            }
        }
        features.iter().try_for_each(|feature| check_feature(calibration.file(), feature))?;
        Ok(Self { features, source: DomainSource::Calibration })
    }

    /// Names of the features.
    pub fn names(&self) -> Vec<String> {
        self.features.iter().map(|f| f.name.clone()).collect()
    }
}

/// A file that holds a features block.
#[derive(Clone, Debug, PartialEq)]
pub struct DomainFile {
    file: String,
    features: Vec<DeclaredFeature>,
}

impl DomainFile {
    /// The domain of a model that has been compiled to a folder.
    pub fn of(folder: &Path, domain: &Domain) -> Self {
        Self { file: folder.display().to_string(), features: domain.features.clone() }
    }

    /// Reads `{"features": [{"name", "min", "max", "integer"}, ...]}`.
    pub fn read(path: &Path) -> Result<Self, DataError> {
        let text = std::fs::read(path).map_err(|source| DataError::Io { path: path.into(), source })?;
        Self::parse(&path.display().to_string(), &text)
    }

    /// Parses a domain file from memory; `file` is named in errors.
    pub fn parse(file: &str, text: &[u8]) -> Result<Self, DataError> {
        match parse_json(file, text)?.get("features") {
            Some(Value::Array(block)) => Ok(Self { file: file.into(), features: parse_features(file, block)? }),
            _ => Err(DataError::Format {
                file: file.into(),
                reason: "expected {\"features\": [{\"name\", \"min\", \"max\", \"integer\"}, ...]}".into(),
            }),
        }
    }
}

pub(super) fn parse_features(file: &str, block: &[Value]) -> Result<Vec<DeclaredFeature>, DataError> {
    let mut features: Vec<DeclaredFeature> = vec![];
    for (i, entry) in block.iter().enumerate() {
        let format = |reason: &str| DataError::Format { file: file.into(), reason: format!("features[{i}] {reason}") };
        let object = entry.as_object().ok_or_else(|| format("must be an object"))?;
        if let Some(key) =
            object.keys().find(|k| !["name", "min", "max", "integer", "description"].contains(&k.as_str()))
        {
            return Err(format(&format!("has an unknown key \"{key}\"")));
        }
        let name = entry.get("name").and_then(Value::as_str).ok_or_else(|| format("must have a \"name\", a string"))?;
        let bound = |key: &str| {
            let value = entry.get(key).ok_or_else(|| format(&format!("(\"{name}\") lacks \"{key}\"")))?;
            number(file, || format!("features[{i}].{key}"), value)
        };
        let integer = match entry.get("integer") {
            None => false,
            Some(Value::Bool(integer)) => *integer,
            Some(_) => return Err(format("must have a boolean as \"integer\"")),
        };
        let feature = DeclaredFeature { name: name.into(), min: bound("min")?, max: bound("max")?, integer };
        check_feature(file, &feature)?;
        if features.iter().any(|f| f.name == feature.name) {
            return Err(DataError::DuplicateFeature { file: file.into(), feature: feature.name });
        }
        features.push(feature);
    }
    Ok(features)
}

fn check_feature(file: &str, feature: &DeclaredFeature) -> Result<(), DataError> {
    let (file, name, min, max) = (file.into(), feature.name.clone(), feature.min, feature.max);
    if min > max {
        return Err(DataError::MinAboveMax { file, feature: name, min, max });
    }
    if feature.integer && min.ceil() > max.floor() {
        return Err(DataError::NoInteger { file, feature: name, min, max });
    }
    Ok(())
}

/// The input's name for a scalar input, else the name and the flat index: `x[3]`.
fn default_names(graph: &Graph) -> Vec<String> {
    let names = graph.inputs.iter().flat_map(|input| {
        (0..input.len()).map(|i| if input.len() == 1 { input.name.clone() } else { format!("{}[{i}]", input.name) })
    });
    names.collect()
}

/// Scale 1 is that of integer features, and of no other.
fn is_integer(feature: &Feature) -> bool {
    feature.scale == 1.0
}

impl IntegerModel {
    /// Quantises one input, in the units of the float model: `round(value * scale)`, halves away from zero.
    pub fn quantise_input(&self, values: &[f64]) -> Result<Vec<i128>, InputError> {
        if values.len() != self.features.len() {
            return Err(InputError::Count { expected: self.features.len(), found: values.len() });
        }
        self.features.iter().zip(values).map(|(feature, &value)| quantise_value(feature, value)).collect()
    }

    /// Checks that one input, already quantised, lies in the declared domain.
    pub fn check_input(&self, input: &[i128]) -> Result<(), InputError> {
        if input.len() != self.features.len() {
            return Err(InputError::Count { expected: self.features.len(), found: input.len() });
        }
        self.features.iter().zip(input).try_for_each(|(f, &v)| check_value(f, v, v as f64 / f.scale))
    }
}

fn quantise_value(feature: &Feature, value: f64) -> Result<i128, InputError> {
    let name = || feature.name.clone();
    if !value.is_finite() {
        return Err(InputError::NotFinite { feature: name(), value });
    }
    // A cast from `f64` saturates, so that a huge value stays outside of every domain.
    let integer = (value * feature.scale).round() as i128;
    check_value(feature, integer, value)?;
    if is_integer(feature) && value.fract() != 0.0 {
        return Err(InputError::NotInteger { feature: name(), value });
    }
    Ok(integer)
}

fn check_value(feature: &Feature, integer: i128, value: f64) -> Result<(), InputError> {
    let (name, bound) = (feature.name.clone(), |limit: i128| limit as f64 / feature.scale);
    if integer > feature.range.hi {
        return Err(InputError::AboveMaximum { feature: name, value, bound: bound(feature.range.hi) });
    }
    if integer < feature.range.lo {
        return Err(InputError::BelowMinimum { feature: name, value, bound: bound(feature.range.lo) });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{GraphInput, Interval};

    const BLOCK: &str = r#"{"features": [{"name": "credit_amount", "min": 250, "max": 18424, "integer": true},
                            {"name": "rate", "min": -0.5, "max": 0.5}], "input_data": [[1000, 0.25]]}"#;

    fn graph() -> Graph {
        let input = |integer| GraphInput {
            name: if integer { "n" } else { "x" }.into(),
            shape: vec![1],
            integer,
            limits: None,
        };
        Graph { inputs: vec![input(true), input(false)], nodes: vec![], outputs: vec![] }
    }

    fn parse(json: &str) -> CalibrationData {
        CalibrationData::parse("data.json", json.as_bytes()).unwrap()
    }

    #[test]
    fn domains_keep_to_the_element_type() {
        let mut graph = graph();
        graph.inputs[0].limits = Some((0.0, 1.0));
        let error = Domain::resolve(&graph, &parse(BLOCK), None).unwrap_err().to_string();
        assert!(error.contains("\"credit_amount\", from 250 to 18424, leaves") && error.contains("0 to 1"), "{error}");
        assert!(Domain::resolve(&graph, &parse("[[0, 5], [1, 6], [1, 7]]"), None).is_ok());
        assert!(Domain::resolve(&graph, &parse("[[0, 5], [-1, 6], [1, 7]]"), None).is_err());
    }

    #[test]
    fn a_declared_domain_wins_over_calibration_data() {
        let feature = |name: &str, min, max, integer| DeclaredFeature { name: name.into(), min, max, integer };
        let declared = Domain::resolve(&graph(), &parse(BLOCK), None).unwrap();
        let expected = vec![feature("credit_amount", 250.0, 18424.0, true), feature("rate", -0.5, 0.5, false)];
        assert_eq!(declared, Domain { features: expected, source: DomainSource::Declared });

        let plain = parse("[[1000, 0.25], [300, 0.5], [400, 0.3]]");
        let observed = Domain::resolve(&graph(), &plain, None).unwrap();
        let expected = vec![feature("n", 300.0, 1000.0, true), feature("x", 0.25, 0.5, false)];
        assert_eq!(observed, Domain { features: expected, source: DomainSource::Calibration });

        let file = DomainFile::parse("domain.json", BLOCK.replace("18424", "20000").as_bytes()).unwrap();
        assert_eq!(Domain::resolve(&graph(), &parse(BLOCK), Some(&file)).unwrap().features[0].max, 20000.0);
    }

    #[test]
    fn blocks_are_checked() {
        let error = |block: &str| {
            let json = format!("{{\"features\": [{block}]}}");
            DomainFile::parse("d.json", json.as_bytes()).unwrap_err().to_string()
        };
        assert_eq!(
            error(r#"{"name": "a", "min": 2, "max": 1}"#),
            "d.json: feature \"a\" has minimum 2 above its maximum 1"
        );
        assert_eq!(
            error(r#"{"name": "a", "min": 0.2, "max": 0.8, "integer": true}"#),
            "d.json: integer feature \"a\" has no integer from 0.2 to 0.8"
        );
        let twice = r#"{"name": "a", "min": 0, "max": 1}"#;
        assert_eq!(error(&format!("{twice}, {twice}")), "d.json declares the feature \"a\" twice");
        assert_eq!(error(r#"{"name": "a", "min": 0}"#), "d.json: features[0] (\"a\") lacks \"max\"");
        assert_eq!(
            error(r#"{"name": "a", "min": 0, "max": 1, "mx": 2}"#),
            "d.json: features[0] has an unknown key \"mx\""
        );
        assert_eq!(
            error(r#"{"name": "a", "min": 0, "max": "1"}"#),
            "d.json: features[0].max is a string; finite numbers are needed"
        );
        assert!(DomainFile::parse("d.json", b"[]").is_err());
        let wrong_count = DomainFile::parse("d.json", br#"{"features": [{"name": "a", "min": 0, "max": 1}]}"#).unwrap();
        let error = Domain::resolve(&graph(), &parse(BLOCK), Some(&wrong_count)).unwrap_err();
        assert_eq!(error.to_string(), "d.json: the features block has 1 values, the model takes 2");
    }

    #[test]
    fn inputs_are_rounded_and_checked() {
        let feature = |name: &str, scale, lo, hi| Feature { name: name.into(), scale, range: Interval { lo, hi } };
        let features = vec![feature("credit_amount", 1.0, 250, 18424), feature("rate", 4.0, -2, 2)];
        let model = IntegerModel { features, ..Default::default() };
        assert_eq!(model.quantise_input(&[18424.0, 0.375]).unwrap(), [18424, 2]);
        assert_eq!(model.quantise_input(&[250.0, -0.375]).unwrap(), [250, -2]);
        let error = |values: &[f64]| model.quantise_input(values).unwrap_err().to_string();
        assert_eq!(error(&[20000.0, 0.0]), "feature \"credit_amount\": 20000 is above the declared maximum 18424");
        assert_eq!(error(&[300.0, -0.75]), "feature \"rate\": -0.75 is below the declared minimum -0.5");
        assert_eq!(
            error(&[300.5, 0.0]),
            "feature \"credit_amount\": 300.5 is not an integer, but the feature was declared to be one"
        );
        assert_eq!(error(&[300.0, f64::NAN]), "feature \"rate\": NaN is not a finite number");
        assert_eq!(
            error(&[f64::MAX, 0.0]),
            format!("feature \"credit_amount\": {} is above the declared maximum 18424", f64::MAX)
        );
        assert_eq!(error(&[300.0]), "the model takes 2 values, got 1");
        assert_eq!(model.check_input(&[250, 2]), Ok(()));
        assert!(matches!(
            model.check_input(&[249, 2]),
            Err(InputError::BelowMinimum { value: 249.0, bound: 250.0, .. })
        ));
        assert!(matches!(model.check_input(&[250, 3]), Err(InputError::AboveMaximum { value: 0.75, bound: 0.5, .. })));
        assert!(matches!(model.check_input(&[250]), Err(InputError::Count { .. })));
    }
}
