//! Data files: calibration samples and inputs.
//!
//! Understood are EZKL's `{"input_data": [[...], ...]}`, named values (`{"age": 40, ...}`, also under `"features"`),
//! arrays of either, and beside them a block `"features": [{"name", "min", "max", "integer"}, ...]` that declares the
//! input domain.

use std::path::Path;

use serde_json::{Map, Value};

use super::domain::DeclaredFeature;
use super::error::{DataError, InputError};
use crate::graph::{Graph, IntegerModel};

/// The largest integer up to which `f64` holds every integer.
const MAX_EXACT: u64 = 1 << 53;

/// Samples as they stand in a file, before they are matched with a model.
#[derive(Clone, Debug, PartialEq)]
enum Rows {
    Positional(Vec<Vec<f64>>),
    Named(Vec<Vec<(String, Vec<f64>)>>),
}

/// A parsed data file.
#[derive(Clone, Debug, PartialEq)]
pub struct CalibrationData {
    file: String,
    rows: Rows,
    features: Option<Vec<DeclaredFeature>>,
}

impl CalibrationData {
    /// Reads and parses a data file.
    pub fn read(path: &Path) -> Result<Self, DataError> {
        let text = std::fs::read(path).map_err(|source| DataError::Io { path: path.into(), source })?;
        Self::parse(&path.display().to_string(), &text)
    }

    /// Parses a data file from memory; `file` is named in errors.
    pub fn parse(file: &str, text: &[u8]) -> Result<Self, DataError> {
        let json = parse_json(file, text)?;
        let features = match json.get("features") {
            Some(Value::Array(block)) => Some(super::domain::parse_features(file, block)?),
            _ => None,
        };
        let parser = Parser { file };
        let rows = match json {
            Value::Array(samples) => parser.samples("", samples)?,
            Value::Object(mut object) => match (object.remove("input_data"), object.remove("features")) {
                (Some(Value::Array(samples)), _) => parser.samples("input_data", samples)?,
                (Some(_), _) => return Err(parser.format("\"input_data\" must be an array")),
                (None, Some(Value::Object(named))) => Rows::Named(vec![parser.named("features", named)?]),
                (None, Some(_)) => return Err(DataError::Empty { file: file.into() }),
                (None, None) => Rows::Named(vec![parser.named("the sample", object)?]),
            },
            _ => return Err(parser.format("expected an object or an array")),
        };
        let empty = match &rows {
            Rows::Positional(rows) => rows.iter().all(Vec::is_empty),
            Rows::Named(rows) => rows.iter().all(Vec::is_empty),
        };
        if empty { Err(DataError::Empty { file: file.into() }) } else { Ok(Self { file: file.into(), rows, features }) }
    }

    /// The file's name, for messages.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The block that declares the input domain, if the file has one.
    pub fn features(&self) -> Option<&[DeclaredFeature]> {
        self.features.as_deref()
    }

    /// The samples, each with all inputs of `graph` concatenated; `names` are its features in that order.
    ///
    /// A row of values holds one sample or, concatenated, several. For a model of several inputs, as many rows as
    /// inputs hold the samples of one input each.
    pub fn samples(&self, graph: &Graph, names: &[String]) -> Result<Vec<Vec<f64>>, DataError> {
        match &self.rows {
            Rows::Named(rows) => {
                let tensors: Vec<(&str, usize)> = graph.inputs.iter().map(|i| (i.name.as_str(), i.len())).collect();
                rows.iter().enumerate().map(|(i, row)| self.by_name(i, row, names, &tensors)).collect()
            }
            Rows::Positional(rows) => match per_input(rows, graph) {
                Some(samples) => Ok(samples),
                None => self.by_position(rows, names.len()),
            },
        }
    }

    fn by_position(&self, rows: &[Vec<f64>], len: usize) -> Result<Vec<Vec<f64>>, DataError> {
        let mut samples = vec![];
        for (i, row) in rows.iter().enumerate() {
            if row.is_empty() || len == 0 || row.len() % len != 0 {
                let location = format!("input_data[{i}]");
                return Err(DataError::Count { file: self.file.clone(), location, expected: len, found: row.len() });
            }
            samples.extend(row.chunks(len).map(<[f64]>::to_vec));
        }
        Ok(samples)
    }

    /// Every name is a feature with one value, or an input tensor with all of its values.
    fn by_name(
        &self,
        sample: usize,
        row: &[(String, Vec<f64>)],
        names: &[String],
        tensors: &[(&str, usize)],
    ) -> Result<Vec<f64>, DataError> {
        let (file, location) = (self.file.clone(), format!("sample {sample}"));
        let mut values = vec![None; names.len()];
        for (name, given) in row {
            let start = tensors.iter().position(|(tensor, _)| tensor == name);
            let (start, expected) = match (names.iter().position(|n| n == name), start) {
                (Some(feature), _) => (feature, 1),
                (None, Some(t)) => (tensors[..t].iter().map(|(_, len)| len).sum(), tensors[t].1),
                (None, None) => {
                    let known = names.to_vec();
                    return Err(DataError::UnknownFeature { file, location, feature: name.clone(), known });
                }
            };
            if given.len() != expected {
                let location = format!("{location}, \"{name}\"");
                return Err(DataError::Count { file, location, expected, found: given.len() });
            }
            values[start..start + expected].iter_mut().zip(given).for_each(|(slot, &v)| *slot = Some(v));
        }
        let missing = |i: usize| DataError::MissingFeature { file, location, feature: names[i].clone() };
        if let Some(i) = values.iter().position(Option::is_none) {
            return Err(missing(i));
        }
        Ok(values.into_iter().flatten().collect())
    }
}

/// The samples of rows that hold one input tensor each, if the rows fit that reading.
fn per_input(rows: &[Vec<f64>], graph: &Graph) -> Option<Vec<Vec<f64>>> {
    let lens: Vec<usize> = graph.inputs.iter().map(|i| i.len()).collect();
    let count = rows.first()?.len().checked_div(*lens.first()?)?;
    let fits = lens.len() > 1
        && rows.len() == lens.len()
        && count > 0
        && rows.iter().zip(&lens).all(|(row, &len)| Some(row.len()) == len.checked_mul(count));
    let sample = |s: usize| rows.iter().zip(&lens).flat_map(|(row, &len)| row[s * len..][..len].to_vec()).collect();
    fits.then(|| (0..count).map(sample).collect())
}

/// Reads one input for `model`: the only sample of the file, or that with index `sample`.
///
/// The values are in the units of the float model; [`IntegerModel::quantise_input`] checks and quantises them.
pub fn read_input(path: &Path, model: &IntegerModel, sample: Option<usize>) -> Result<Vec<f64>, DataError> {
    let data = CalibrationData::read(path)?;
    let file = data.file.clone();
    let names: Vec<String> = model.features.iter().map(|f| f.name.clone()).collect();
    let mut samples = match &data.rows {
        Rows::Named(rows) => {
            let tensors = tensors(&names);
            let rows = rows.iter().enumerate();
            rows.map(|(i, row)| data.by_name(i, row, &names, &tensors)).collect::<Result<_, _>>()?
        }
        // One row per input tensor: together they are one sample.
        Rows::Positional(rows)
            if rows.iter().all(|r| r.len() < names.len())
                && rows.iter().map(Vec::len).sum::<usize>() == names.len() =>
        {
            vec![rows.concat()]
        }
        Rows::Positional(rows) => data.by_position(rows, names.len())?,
    };
    match (sample, samples.len()) {
        (None, 1) => Ok(samples.swap_remove(0)),
        (None, count) => Err(DataError::SeveralSamples { file, count }),
        (Some(index), count) if index < count => Ok(samples.swap_remove(index)),
        (Some(index), count) => Err(DataError::NoSuchSample { file, index, count }),
    }
}

/// The input tensors behind feature names: `x[0]`, `x[1]`, ... are the elements of `x`.
fn tensors(names: &[String]) -> Vec<(&str, usize)> {
    let mut tensors: Vec<(&str, usize)> = vec![];
    for name in names {
        let stem = name.split_once('[').map_or(name.as_str(), |(stem, _)| stem);
        match tensors.last_mut() {
            Some((last, len)) if *last == stem && *name == format!("{stem}[{len}]") => *len += 1,
            _ => tensors.push((stem, 1)),
        }
    }
    tensors
}

pub(super) fn parse_json(file: &str, text: &[u8]) -> Result<Value, DataError> {
    serde_json::from_slice(text).map_err(|source| DataError::Json { file: file.into(), source })
}

/// A JSON number as `f64`; integers must be exact.
pub(super) fn number(file: &str, location: impl FnOnce() -> String, value: &Value) -> Result<f64, DataError> {
    let exact = match value {
        Value::Number(n) => match (n.as_u64(), n.as_i64()) {
            (Some(v), _) => v <= MAX_EXACT,
            (None, Some(v)) => v.unsigned_abs() <= MAX_EXACT,
            (None, None) => true,
        },
        _ => false,
    };
    value.as_f64().filter(|v| exact && v.is_finite()).ok_or_else(|| {
        let found = match value {
            Value::Null => "null".into(),
            Value::Bool(b) => b.to_string(),
            Value::Number(n) => format!("{n}, beyond 2^53 and so"),
            Value::String(_) => "a string".into(),
            Value::Array(_) => "an array".into(),
            Value::Object(_) => "an object".into(),
        };
        DataError::NotANumber { file: file.into(), location: location(), found }
    })
}

struct Parser<'a> {
    file: &'a str,
}

impl Parser<'_> {
    fn format(&self, reason: &str) -> DataError {
        DataError::Format { file: self.file.into(), reason: reason.into() }
    }

    /// Rows of values, named samples, or the values of a single row.
    fn samples(&self, location: &str, samples: Vec<Value>) -> Result<Rows, DataError> {
        match samples.first() {
            None => Err(DataError::Empty { file: self.file.into() }),
            Some(Value::Object(_)) => {
                let named = |(i, sample)| match sample {
                    Value::Object(object) => self.named(&format!("{location}[{i}]"), object),
                    _ => Err(self.format(&format!("{location}[{i}] must be an object, as {location}[0] is"))),
                };
                Ok(Rows::Named(samples.into_iter().enumerate().map(named).collect::<Result<_, _>>()?))
            }
            Some(Value::Array(_)) => {
                let row = |(i, sample): (usize, &Value)| match sample {
                    Value::Array(_) => self.flatten(&format!("{location}[{i}]"), sample),
                    _ => Err(self.format(&format!("{location}[{i}] must be an array, as {location}[0] is"))),
                };
                Ok(Rows::Positional(samples.iter().enumerate().map(row).collect::<Result<_, _>>()?))
            }
            Some(_) => Ok(Rows::Positional(vec![self.flatten(location, &Value::Array(samples))?])),
        }
    }

    /// The values of a number or of nested arrays of numbers.
    fn flatten(&self, location: &str, value: &Value) -> Result<Vec<f64>, DataError> {
        match value {
            Value::Array(items) => {
                let parts = items.iter().enumerate().map(|(i, item)| self.flatten(&format!("{location}[{i}]"), item));
                Ok(parts.collect::<Result<Vec<_>, _>>()?.concat())
            }
            _ => Ok(vec![number(self.file, || location.into(), value)?]),
        }
    }

    fn named(&self, location: &str, object: Map<String, Value>) -> Result<Vec<(String, Vec<f64>)>, DataError> {
        let object = match object.get("features") {
            Some(Value::Object(inner)) => inner.clone(),
            _ => object,
        };
        let value = |(name, value): (String, Value)| {
            let values = self.flatten(&format!("{location}, \"{name}\""), &value)?;
            Ok((name, values))
        };
        object.into_iter().map(value).collect()
    }
}

impl DataError {
    /// Names the sample of `file` that an input error belongs to.
    pub(super) fn in_sample(file: &str, sample: usize) -> impl FnOnce(InputError) -> Self {
        move |source| Self::Sample { file: file.into(), sample, source }
    }
}
