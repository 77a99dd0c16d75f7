//! Data files: calibration samples and inputs.
//!
//! Understood are EZKL's `{"input_data": [[...], ...]}`, named values (`{"age": 40, ...}`, also under `"features"`),
//! arrays of either, and beside them a block `"features": [{"name", "min", "max", "integer"}, ...]` that declares the
//! input domain; NumPy's arrays (`.npy`, a sample per row) and archives of them (`.npz`, named, a sample per row of each);
//! and tables (`.csv`) with a line of names.

use std::path::Path;

use serde_json::{Map, Value};

use super::csv;
use super::domain::DeclaredFeature;
use super::error::{DataError, InputError};
use super::npy::{self, Array};
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

    /// Parses a data file from memory; `file` is named in errors. NumPy's files are known by how they start, tables by
    /// the name of the file.
    pub fn parse(file: &str, text: &[u8]) -> Result<Self, DataError> {
        let table = Path::new(file).extension().is_some_and(|e| e.eq_ignore_ascii_case("csv"));
        let (rows, features) = if text.starts_with(npy::NPY_MAGIC) {
            (Rows::Positional(npy::array(file, text)?.rows()), None)
        } else if npy::NPZ_MAGIC.iter().any(|magic| text.starts_with(magic)) {
            (archive(file, npy::archive(file, text)?)?, None)
        } else if table {
            (Rows::Named(csv::samples(file, text)?), None)
        } else {
            Self::json(file, text)?
        };
        let empty = match &rows {
            Rows::Positional(rows) => rows.is_empty(),
            Rows::Named(rows) => rows.iter().all(Vec::is_empty),
        };
        if empty { Err(DataError::Empty { file: file.into() }) } else { Ok(Self { file: file.into(), rows, features }) }
    }

    fn json(file: &str, text: &[u8]) -> Result<(Rows, Option<Vec<DeclaredFeature>>), DataError> {
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
        Ok((rows, features))
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
    /// inputs may hold the samples of one input each; rows that can be read both ways are refused.
    pub fn samples(&self, graph: &Graph, names: &[String]) -> Result<Vec<Vec<f64>>, DataError> {
        match &self.rows {
            Rows::Named(rows) => {
                let tensors: Vec<(&str, usize)> = graph.inputs.iter().map(|i| (i.name.as_str(), i.len())).collect();
                rows.iter().enumerate().map(|(i, row)| self.by_name(i, row, names, &tensors)).collect()
            }
            Rows::Positional(rows) => match (per_input(rows, graph), self.by_position(rows, names.len())) {
                (Some(_), Ok(_)) => Err(DataError::Format {
                    file: self.file.clone(),
                    reason: "each row may be a sample or hold the values of one input tensor; name the values to tell"
                        .into(),
                }),
                (Some(samples), Err(_)) => Ok(samples),
                (None, by_position) => by_position,
            },
        }
    }

    fn by_position(&self, rows: &[Vec<f64>], len: usize) -> Result<Vec<Vec<f64>>, DataError> {
        let mut samples = vec![];
        for (i, row) in rows.iter().enumerate() {
            // a model without inputs has samples without values
            if row.is_empty() && len == 0 {
                samples.push(vec![]);
                continue;
            }
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

/// The samples of named arrays, one per index of their first axes; a single array without a name is one of rows.
fn archive(file: &str, arrays: Vec<(String, Array)>) -> Result<Rows, DataError> {
    let count = arrays.first().map_or(0, |(_, array)| array.shape.first().copied().unwrap_or(1));
    if let [(name, _)] = arrays.as_slice()
        && name == "arr_0"
    {
        return Ok(Rows::Positional(arrays.into_iter().flat_map(|(_, array)| array.rows()).collect()));
    }
    if let Some((name, array)) = arrays.iter().find(|(_, a)| a.shape.first().copied().unwrap_or(1) != count) {
        let (first, _) = &arrays[0];
        let reason = format!("\"{first}\" holds {count} samples, \"{name}\" of shape {:?} does not", array.shape);
        return Err(DataError::Format { file: file.into(), reason });
    }
    let mut samples = vec![vec![]; count];
    for (name, array) in &arrays {
        let rows = array.data.chunks(array.data.len() / count);
        samples.iter_mut().zip(rows).for_each(|(sample, row)| sample.push((name.clone(), row.to_vec())));
    }
    Ok(Rows::Named(samples))
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
        Value::Bool(_) => true,
        _ => false,
    };
    let number = value.as_bool().map_or(value.as_f64(), |b| Some(f64::from(u8::from(b))));
    number.filter(|v| exact && v.is_finite()).ok_or_else(|| {
        let found = match value {
            Value::Null => "null".into(),
            Value::Bool(_) => "a boolean".into(),
            Value::Number(n) => format!("{n}, which is too large to be exact"),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::GraphInput;
    use crate::graph::{Feature, Interval};

    fn graph(inputs: &[(&str, usize)]) -> Graph {
        let input = |&(name, len): &(&str, usize)| GraphInput {
            name: name.into(),
            shape: vec![1, len],
            integer: false,
            limits: None,
        };
        Graph { inputs: inputs.iter().map(input).collect(), nodes: vec![], outputs: vec![] }
    }

    fn samples(json: &str, inputs: &[(&str, usize)], names: &[&str]) -> Result<Vec<Vec<f64>>, DataError> {
        let names: Vec<String> = names.iter().map(|n| n.to_string()).collect();
        CalibrationData::parse("data.json", json.as_bytes())?.samples(&graph(inputs), &names)
    }

    #[test]
    fn rows_are_samples_or_concatenated_samples() {
        let expected = vec![vec![1.0, 2.0], vec![3.0, 4.5]];
        let inputs = [("x", 2)];
        for json in [
            r#"{"input_data": [[1, 2], [3, 4.5]]}"#,
            r#"{"input_data": [[1, 2, 3, 4.5]]}"#,
            r#"{"input_data": [[[1, 2], [3, 4.5]]], "input_shapes": [[2]]}"#,
            "[[1, 2], [3, 4.5]]",
            "[1, 2, 3, 4.5]",
            r#"[{"a": 1, "b": 2}, {"b": 4.5, "a": 3}]"#,
            r#"{"input_data": [{"a": 1, "b": 2}, {"features": {"b": 4.5, "a": 3}}]}"#,
            r#"[{"x": [1, 2]}, {"x": [[3, 4.5]]}]"#,
        ] {
            assert_eq!(samples(json, &inputs, &["a", "b"]).unwrap(), expected, "{json}");
        }
    }

    #[test]
    fn a_row_per_input_tensor() {
        let inputs = [("x", 2), ("z", 1)];
        let names = ["x[0]", "x[1]", "z"];
        let one = samples(r#"{"input_data": [[1, 2], [3]]}"#, &inputs, &names).unwrap();
        assert_eq!(one, [[1.0, 2.0, 3.0]]);
        let two = samples(r#"{"input_data": [[1, 2, 4, 5], [3, 6]]}"#, &inputs, &names).unwrap();
        assert_eq!(two, [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]);
        let ambiguous = samples("[[1, 2], [3, 4]]", &[("x", 1), ("z", 1)], &["x", "z"]).unwrap_err();
        assert!(ambiguous.to_string().contains("name the values"), "{ambiguous}");
        let named = samples(r#"{"z": 3, "x": [1, 2]}"#, &inputs, &names).unwrap();
        assert_eq!(named, one);
    }

    #[test]
    fn errors_say_where() {
        let error = |json: &str| samples(json, &[("x", 2)], &["a", "b"]).unwrap_err().to_string();
        assert_eq!(
            error(r#"{"input_data": [[1, 2], [1, 2, 3]]}"#),
            "data.json: input_data[1] has 3 values, the model takes 2"
        );
        assert_eq!(
            error(r#"{"input_data": [[1, null]]}"#),
            "data.json: input_data[0][1] is null; finite numbers are needed"
        );
        assert_eq!(
            error(r#"{"a": 1, "b": "2"}"#),
            "data.json: the sample, \"b\" is a string; finite numbers are needed"
        );
        assert_eq!(error(r#"{"a": 1}"#), "data.json: sample 0 lacks the feature \"b\"");
        assert_eq!(
            error(r#"[{"a": 1, "c": 2}]"#),
            "data.json: sample 0 names \"c\", which is no feature of the model; they are: a, b"
        );
        for large in ["9007199254740993", "-9007199254740993", "1e999"] {
            assert!(error(&format!("[[{large}, 0]]")).starts_with("data.json"), "{large}");
        }
        for empty in ["[]", "{}", r#"{"input_data": []}"#, r#"{"features": []}"#] {
            assert_eq!(error(empty), "data.json holds no samples", "{empty}");
        }
        for malformed in ["", "[1", "[NaN]", "{\"input_data\": [[Infinity]]}"] {
            assert!(error(malformed).starts_with("data.json is not valid JSON"), "{malformed}");
        }
        for format in ["1", r#"{"input_data": 1}"#, "[[1, 2], 3]", r#"[{"a": 1}, 3]"#] {
            assert!(error(format).starts_with("data.json: "), "{format}");
        }
    }

    #[test]
    fn arrays_archives_and_tables() {
        use crate::quant::npy::tests::{npy, npz};
        let read = |file: &str, bytes: &[u8]| {
            let names = ["a".to_string(), "b".to_string()];
            CalibrationData::parse(file, bytes)?.samples(&graph(&[("x", 2)]), &names)
        };
        let expected = vec![vec![1.0, 2.0], vec![3.0, 4.0]];
        let array = |shape: &[usize], data: &[u8]| npy("|u1", false, shape, data);
        assert_eq!(read("x.npy", &array(&[2, 2], &[1, 2, 3, 4])).unwrap(), expected);
        assert_eq!(read("x.npy", &array(&[4], &[1, 2, 3, 4])).unwrap(), expected);
        assert_eq!(read("x.npz", &npz(&[("arr_0.npy", array(&[2, 2], &[1, 2, 3, 4]))], 0)).unwrap(), expected);
        assert_eq!(read("x.npz", &npz(&[("x.npy", array(&[2, 1, 2], &[1, 2, 3, 4]))], 0)).unwrap(), expected);
        let columns = [("b.npy", array(&[2], &[2, 4])), ("a.npy", array(&[2], &[1, 3]))];
        assert_eq!(read("x.npz", &npz(&columns, 0)).unwrap(), expected);
        assert_eq!(read("x.CSV", b"b,a\n2,1\n4,3\n").unwrap(), expected);
        let error = |file: &str, bytes: &[u8]| read(file, bytes).unwrap_err().to_string();
        assert_eq!(error("x.npy", &array(&[2, 3], &[0; 6])), "x.npy: input_data[0] has 3 values, the model takes 2");
        let uneven = [("a.npy", array(&[2], &[2, 4])), ("b.npy", array(&[3], &[1, 3, 5]))];
        assert_eq!(error("x.npz", &npz(&uneven, 0)), "x.npz: \"a\" holds 2 samples, \"b\" of shape [3] does not");
        assert_eq!(error("x.npz", &npz(&[], 0)), "x.npz holds no samples");
        assert_eq!(error("x.csv", b"a,b\n"), "x.csv holds no samples");
        assert_eq!(error("x.csv", b"a\n1"), "x.csv: sample 0 lacks the feature \"b\"");
        assert!(error("x.csv", b"a,c\n1,2").contains("names \"c\", which is no feature"));
    }

    #[test]
    fn one_input_is_read_by_index() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("input.json");
        let feature = |name: &str| Feature { name: name.into(), scale: 1.0, range: Interval { lo: 0, hi: 9 } };
        let features = ["x[0]", "x[1]", "z"].map(feature).to_vec();
        let model = IntegerModel { features, ..Default::default() };
        let read = |json: &str, index| {
            std::fs::write(&path, json).unwrap();
            read_input(&path, &model, index)
        };
        for one in [
            "[[1, 2, 3]]",
            "[[1, 2], [3]]",
            "[1, 2, 3]",
            r#"{"x": [1, 2], "z": 3}"#,
            r#"{"x[0]": 1, "x[1]": 2, "z": 3}"#,
        ] {
            assert_eq!(read(one, None).unwrap(), [1.0, 2.0, 3.0], "{one}");
        }
        let two = "[[1, 2, 3], [4, 5, 6]]";
        assert_eq!(read(two, Some(1)).unwrap(), [4.0, 5.0, 6.0]);
        assert!(matches!(read(two, None), Err(DataError::SeveralSamples { count: 2, .. })));
        assert!(matches!(read(two, Some(2)), Err(DataError::NoSuchSample { index: 2, count: 2, .. })));
        assert!(matches!(read("[[1, 2]]", None), Err(DataError::Count { expected: 3, found: 2, .. })));
        assert!(matches!(read_input(&folder.path().join("none"), &model, None), Err(DataError::Io { .. })));
    }
}
