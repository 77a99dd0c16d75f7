//! The cases as `cases.py` writes them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use serde_json::Value;

/// Integers up to it are exact in an `f64`.
const MAX_EXACT: f64 = (1u64 << 53) as f64;

#[derive(Deserialize)]
pub struct Case {
    pub name: String,
    /// The operator under test.
    pub operator: String,
    pub rtol: f64,
    pub atol: f64,
    pub forms: Vec<Form>,
    pub outputs: Vec<Tensor>,
}

/// The test with some of its inputs as constants of the model.
#[derive(Deserialize)]
pub struct Form {
    #[serde(rename = "form")]
    pub name: String,
    pub model: PathBuf,
    /// Those that are not constant.
    pub inputs: Vec<Tensor>,
}

#[derive(Deserialize)]
pub struct Tensor {
    r#type: Type,
    values: Vec<Value>,
}

#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Type {
    Float,
    Signed,
    Unsigned,
    Bool,
    /// Text, and what is no tensor: the library has no such values.
    Other,
}

impl Case {
    /// All cases in a folder, by name.
    pub fn read_all(folder: &Path) -> Vec<Self> {
        let files =
            fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}; run `make conformance`", folder.display()));
        let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
        files.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
        files.sort();
        let read = |path: &PathBuf| {
            let mut case: Self = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
            case.forms.iter_mut().for_each(|form| form.model = folder.join(&form.model));
            case
        };
        files.iter().map(read).collect()
    }
}

impl Tensor {
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether its elements are integers or booleans.
    pub fn exact(&self) -> bool {
        self.r#type != Type::Float
    }

    /// The elements; infinities and what is no number included.
    pub fn values(&self) -> Result<Vec<f64>, String> {
        if self.r#type == Type::Other {
            return Err("its data is no tensor of numbers".into());
        }
        let number = |value: &Value| match value {
            Value::Bool(b) => f64::from(*b),
            Value::String(text) => text.parse().unwrap(),
            other => other.as_f64().unwrap(),
        };
        let values: Vec<f64> = self.values.iter().map(number).collect();
        match self.exact() && values.iter().any(|v| v.abs() > MAX_EXACT) {
            true => Err("its integers exceed 2^53".into()),
            false => Ok(values),
        }
    }

    /// Least and greatest value of an input of this type that the test's reach, in both directions.
    pub fn around(&self, values: &[f64]) -> (f64, f64) {
        let reach = values.iter().fold(0.5, |m: f64, v| m.max(v.abs())).ceil();
        match self.r#type {
            Type::Bool => (0.0, 1.0),
            Type::Unsigned => (0.0, reach),
            _ => (-reach, reach),
        }
    }
}
