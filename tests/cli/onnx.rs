//! ONNX files, written by hand: a perceptron with one hidden layer, right or wrong in one respect.

use serde_json::{Value, json};

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value > 0x7f {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A field that holds an integer.
fn int(field: u64, value: i64) -> Vec<u8> {
    let mut out = Vec::new();
    varint(field << 3, &mut out);
    varint(value as u64, &mut out);
    out
}

/// A field that holds a string or a message, given as its parts.
fn message(field: u64, parts: &[Vec<u8>]) -> Vec<u8> {
    let content = parts.concat();
    let mut out = Vec::new();
    varint(field << 3 | 2, &mut out);
    varint(content.len() as u64, &mut out);
    out.extend(content);
    out
}

fn text(field: u64, value: &str) -> Vec<u8> {
    message(field, &[value.as_bytes().to_vec()])
}

pub const FLOAT: i64 = 1;
pub const STRING: i64 = 8;

/// A dimension of the input.
#[derive(Clone)]
pub enum Dim {
    Fixed(i64),
    Named(&'static str),
}

/// `y = relu(x W1) W2`.
#[derive(Clone)]
pub struct Perceptron {
    pub shape: Vec<Dim>,
    pub element_type: i64,
    pub inputs: usize,
    pub hidden: usize,
    pub activation: &'static str,
    /// The first weight.
    pub first: f32,
    pub output: &'static str,
}

impl Default for Perceptron {
    fn default() -> Self {
        Self {
            shape: vec![Dim::Named("batch"), Dim::Fixed(3)],
            element_type: FLOAT,
            inputs: 3,
            hidden: 2,
            activation: "Relu",
            first: 0.5,
            output: "y",
        }
    }
}

impl Perceptron {
    pub fn bytes(&self) -> Vec<u8> {
        let matmul = |a: &str, b: &str, y: &str| {
            message(1, &[text(1, a), text(1, b), text(2, y), text(3, y), text(4, "MatMul")])
        };
        let activation = message(1, &[text(1, "h"), text(2, "r"), text(3, "activation"), text(4, self.activation)]);
        let graph = [
            matmul("x", "w1", "h"),
            activation,
            matmul("r", "w2", self.output),
            text(2, "perceptron"),
            self.weights("w1", self.inputs, self.hidden),
            self.weights("w2", self.hidden, 1),
            message(11, &self.declaration()),
            message(12, &[text(1, self.output)]),
        ];
        [int(1, 8), message(7, &graph), message(8, &[int(2, 13)])].concat()
    }

    fn weights(&self, name: &str, rows: usize, columns: usize) -> Vec<u8> {
        // no two columns of many are the same
        let period = if rows * columns > 20_000 { 30_011 } else { 199 };
        let weight =
            |i: usize| if i == 0 { self.first } else { ((i * 7919) % period) as f32 / (period / 2) as f32 - 1.0 };
        let raw: Vec<u8> = (0..rows * columns).flat_map(|i| weight(i).to_le_bytes()).collect();
        message(5, &[int(1, rows as i64), int(1, columns as i64), int(2, FLOAT), text(8, name), message(9, &[raw])])
    }

    fn declaration(&self) -> Vec<Vec<u8>> {
        let dimension = |dim: &Dim| match dim {
            Dim::Fixed(size) => message(1, &[int(1, *size)]),
            Dim::Named(name) => message(1, &[text(2, name)]),
        };
        let shape: Vec<_> = self.shape.iter().map(dimension).collect();
        let tensor = message(1, &[int(1, self.element_type), message(2, &shape)]);
        vec![text(1, "x"), message(2, &[tensor])]
    }

    /// Calibration data for it: values from -1 to 1.
    pub fn data(&self) -> Value {
        let row = |i: usize| (0..self.inputs).map(|j| ((i * 31 + j * 17) % 41) as f64 / 20.0 - 1.0).collect::<Vec<_>>();
        json!({ "input_data": (0..20).map(row).collect::<Vec<_>>() })
    }
}
