//! Quantisation of graphs with operators of every kind.

use proptest::prelude::*;

use super::{CalibrationData, Domain, QuantError, QuantOptions, Quantised, quantise};
use crate::graph::{Affine, AffineBuilder, Comparison, FloatNode, FloatOp, Function, Graph, GraphInput, Rounding};
use crate::ops::{Op, Product};

/// A graph over `len` real features in `[-2, 2]`, and what it takes to build one.
struct Draft {
    graph: Graph,
    seed: u64,
}

impl Draft {
    fn new(len: usize, seed: u64) -> Self {
        let inputs = vec![GraphInput { name: "x".into(), shape: vec![len], integer: false, limits: None }];
        Self { graph: Graph { inputs, nodes: vec![], outputs: vec![] }, seed }
    }

    /// From -1 to 1.
    fn draw(&mut self) -> f64 {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.seed >> 33) as f64 / f64::from(1u32 << 30) - 1.0
    }

    fn pick(&mut self, count: usize) -> usize {
        ((self.draw() + 1.0) / 2.0 * count as f64) as usize % count
    }

    fn node(&mut self, op: FloatOp, inputs: &[usize]) -> usize {
        let id = 1 + self.graph.nodes.len();
        self.graph.nodes.push(FloatNode { name: format!("n{id}"), onnx_op: "Op".into(), op, inputs: inputs.to_vec() });
        id
    }

    /// A dense layer whose results stay within -2 and 2 if what it reads does.
    fn dense(&mut self, input: usize, len: usize) -> usize {
        let columns = self.graph.value_len(input);
        let mut map = AffineBuilder::new(columns);
        for _ in 0..len {
            let terms = (0..columns).map(|c| (c, self.draw() * 0.8 / columns as f64)).collect();
            let bias = self.draw() * 0.4;
            map.push(terms, bias);
        }
        self.node(FloatOp::Affine(map.finish()), &[input])
    }

    fn affine(&mut self, input: usize, factor: f64, offset: f64) -> usize {
        let len = self.graph.value_len(input);
        let mut map = AffineBuilder::new(len);
        (0..len).for_each(|i| map.push(vec![(i, factor)], offset));
        self.node(FloatOp::Affine(map.finish()), &[input])
    }

    /// Some operator over values within -2 and 2, whose results are again.
    fn smooth(&mut self, x: usize, y: usize) -> usize {
        match self.pick(8) {
            0 => self.node(FloatOp::Relu, &[x]),
            1 => {
                let square = self.node(FloatOp::Square, &[x]);
                self.affine(square, 0.5, 0.0)
            }
            2 => {
                let len = self.graph.value_len(x);
                let product = self.node(FloatOp::Product(Product::elementwise(len)), &[x, y]);
                self.affine(product, 0.5, 0.0)
            }
            3 => {
                let functions = [Function::Sigmoid, Function::Tanh, Function::Sin, Function::Gelu, Function::Erf];
                let function = functions[self.pick(functions.len())];
                self.node(FloatOp::Function(function), &[x])
            }
            4 => {
                let divisor = self.affine(y, 0.5, 3.0);
                self.node(FloatOp::Quotient, &[x, divisor])
            }
            5 => {
                let divisor = self.affine(y, 0.5, -3.0);
                self.node(FloatOp::Quotient, &[x, divisor])
            }
            6 => {
                let positive = self.affine(x, 1.0, 2.5);
                let root = self.node(FloatOp::Sqrt, &[positive]);
                self.affine(root, 0.9, 0.0)
            }
            _ => {
                let scaled = self.affine(x, 0.5, 0.0);
                let exp = self.node(FloatOp::Function(Function::Exp), &[scaled]);
                self.affine(exp, 0.7, 0.0)
            }
        }
    }

    fn finish(mut self, output: usize, samples: usize) -> (Graph, Vec<Vec<f64>>) {
        let shape = vec![self.graph.value_len(output)];
        self.graph.outputs.push(("y".into(), output, shape));
        let len = self.graph.input_len();
        let samples = (0..samples).map(|_| (0..len).map(|_| 2.0 * self.draw()).collect()).collect();
        (self.graph, samples)
    }
}

fn quantised(graph: &Graph, samples: &[Vec<f64>], precision: Option<u32>) -> Quantised {
    let options = QuantOptions { max_error: 1e-3, precision, ..QuantOptions::default() };
    try_quantised(graph, samples, &options).unwrap()
}

fn try_quantised(graph: &Graph, samples: &[Vec<f64>], options: &QuantOptions) -> Result<Quantised, QuantError> {
    let features: Vec<_> = (0..graph.input_len())
        .map(|i| serde_json::json!({"name": format!("f{i}"), "min": -2.0, "max": 2.0, "integer": graph.inputs[0].integer}))
        .collect();
    let json = serde_json::json!({"input_data": samples, "features": features});
    let data = CalibrationData::parse("data.json", json.to_string().as_bytes()).unwrap();
    let domain = Domain::resolve(graph, &data, None).unwrap();
    quantise(graph, &domain, &data, options)
}

/// Outputs of the integer model for an input in the domain; its ranges are asserted on the way.
fn outputs(quantised: &Quantised, input: &[f64]) -> Vec<f64> {
    let model = &quantised.model;
    model.validate().unwrap();
    let trace = model.trace(&model.quantise_input(input).unwrap());
    for (values, id) in trace.iter().zip(0..) {
        assert!(values.iter().zip(model.ranges(id)).all(|(&v, range)| range.contains(v)));
    }
    model.float_outputs(&trace)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(32) })]

    #[test]
    fn integer_models_are_near_their_float_models(seed: u64, depth in 1usize..7) {
        let mut draft = Draft::new(4, seed);
        let mut values = vec![draft.dense(0, 3)];
        for _ in 0..depth {
            let (x, y) = (values[draft.pick(values.len())], values[draft.pick(values.len())]);
            let smooth = draft.smooth(x, y);
            values.push(smooth);
            let last = draft.dense(smooth, 3);
            values.push(last);
        }
        let (graph, samples) = draft.finish(*values.last().unwrap(), 24);
        let (calibration, others) = samples.split_at(8);
        let result = quantised(&graph, calibration, None);
        prop_assert!(result.within_tolerance, "{:?}", result.accuracy);
        for input in others {
            for (a, b) in outputs(&result, input).into_iter().zip(graph.eval(input)) {
                prop_assert!((a - b).abs() <= 2e-2 * result.accuracy.output_range.max(0.1), "{a} is not {b}");
            }
        }
        // more bits, less error
        let fine = quantised(&graph, calibration, Some(18));
        prop_assert!(fine.accuracy.max_abs_error <= 1e-4 * fine.accuracy.output_range.max(0.1));
    }
}

#[test]
fn rounding_and_comparison_follow_the_float_model() {
    for rounding in [Rounding::Floor, Rounding::Ceil, Rounding::HalfEven] {
        let mut draft = Draft::new(5, 7);
        let scaled = draft.affine(0, 4.0, 0.0);
        let rounded = draft.node(FloatOp::Round(rounding), &[scaled]);
        let (graph, _) = draft.finish(rounded, 0);
        let samples: Vec<Vec<f64>> = (-8..8).map(|i| (0..5).map(|j| f64::from(i * 5 + j) / 64.0).collect()).collect();
        let result = quantised(&graph, &samples, Some(12));
        for sample in &samples {
            assert_eq!(outputs(&result, sample), graph.eval(sample), "{rounding:?} of {sample:?}");
        }
    }
    for comparison in [Comparison::Above, Comparison::AtLeast, Comparison::Equal] {
        let mut draft = Draft::new(4, 7);
        let compared = draft.node(FloatOp::Compare(comparison), &[0]);
        let (graph, _) = draft.finish(compared, 0);
        let samples = [vec![-2.0, -0.25, 0.0, 0.25], vec![0.0, 2.0, 1.0, -1.0]];
        let result = quantised(&graph, &samples, Some(8));
        for sample in &samples {
            assert_eq!(outputs(&result, sample), graph.eval(sample), "{comparison:?}");
        }
    }
}

#[test]
fn integers_stay_integers() {
    let mut draft = Draft::new(3, 5);
    draft.graph.inputs[0].integer = true;
    let shifted = draft.affine(0, 1.0, 16_777_217.0);
    let divisor = draft.affine(0, 1.0, 5.0);
    let quotient = draft.node(FloatOp::FloorQuotient, &[shifted, divisor]);
    let square = draft.node(FloatOp::Square, &[shifted]);
    let product = draft.node(FloatOp::Product(Product::elementwise(3)), &[quotient, square]);
    let index = draft.affine(0, 1.0, 2.0);
    let hot = draft.node(FloatOp::OneHot { depth: 5 }, &[index]);
    for output in [quotient, square, product, hot] {
        let shape = vec![draft.graph.value_len(output)];
        draft.graph.outputs.push((format!("y{output}"), output, shape));
    }
    let samples = [vec![-2.0, 0.0, 1.0], vec![2.0, -1.0, 0.0]];
    let result = quantised(&draft.graph, &samples, Some(4));
    for sample in &samples {
        let model = &result.model;
        let trace = model.trace(&model.quantise_input(sample).unwrap());
        let x = |i: usize| sample[i] as i128;
        for i in 0..3 {
            let (q, s) = ((x(i) + 16_777_217).div_euclid(x(i) + 5), (x(i) + 16_777_217).pow(2));
            let values = |output: usize| &trace[model.outputs[output].tensor];
            assert_eq!((values(0)[i], values(1)[i], values(2)[i]), (q, s, q * s));
            assert_eq!(values(3)[5 * i..5 * (i + 1)].iter().position(|&v| v == 1), Some((x(i) + 2) as usize));
            assert!(model.outputs.iter().all(|o| o.scale == 1.0));
        }
    }
}

/// `1 / (x + 3)` and a constant output: constants are nodes that read nothing.
#[test]
fn constants_are_nodes_without_inputs() {
    let mut draft = Draft::new(3, 3);
    let mut ones = AffineBuilder::new(0);
    (0..3).for_each(|_| ones.push(vec![], 1.0));
    let one = draft.node(FloatOp::Affine(ones.finish()), &[]);
    let divisor = draft.affine(0, 1.0, 3.0);
    let inverse = draft.node(FloatOp::Quotient, &[one, divisor]);
    draft.graph.outputs.push(("one".into(), one, vec![3]));
    let (graph, samples) = draft.finish(inverse, 8);
    let result = quantised(&graph, &samples, None);
    assert!(result.within_tolerance, "{:?}", result.accuracy);
    assert_eq!(outputs(&result, &samples[0])[..3], [1.0; 3]);
}

/// `x / (sum of |x| + 1/2)`: one divisor for all elements of a row, so one division.
#[test]
fn quotients_by_one_number_take_one_division() {
    for (rows, columns, divisions) in [(1, 6, 1), (3, 5, 3), (4, 3, 12)] {
        let len = rows * columns;
        let mut draft = Draft::new(len, 3);
        let square = draft.node(FloatOp::Square, &[0]);
        let mut sums = AffineBuilder::new(len);
        (0..rows).for_each(|row| sums.push((0..columns).map(|i| (row * columns + i, 1.0)).collect(), 0.5));
        let sums = draft.node(FloatOp::Affine(sums.finish()), &[square]);
        let norm = draft.node(FloatOp::Sqrt, &[sums]);
        let spread = FloatOp::Affine(Affine::selection(rows, (0..len).map(|i| i / columns)));
        let spread = draft.node(spread, &[norm]);
        let quotient = draft.node(FloatOp::Quotient, &[0, spread]);
        let (graph, samples) = draft.finish(quotient, 12);
        for precision in [None, Some(8), Some(16), Some(24)] {
            let result = quantised(&graph, &samples, precision);
            let bits = precision.map_or(10.0, f64::from);
            let error = result.accuracy.max_relative_to_range;
            assert!(error <= 2.0 * (-bits).exp2(), "{rows} x {columns}, {precision:?}: {error}");
            let nodes = result.model.nodes.iter();
            let divided = nodes.filter(|node| matches!(node.op, Op::Divide(_))).map(|node| node.ranges.len());
            assert_eq!(divided.collect::<Vec<_>>(), [divisions]);
            assert_eq!(result.model.validate(), Ok(()));
        }
    }
}

/// With few bits the domain's edge is rounded to where the function ends; with more it is not.
#[test]
fn a_domain_near_the_edge_is_a_matter_of_bits() {
    let mut draft = Draft::new(2, 3);
    let near = draft.affine(0, 1.0 / 1024.0, 2.0 / 1024.0 + 1e-7);
    let ln = draft.node(FloatOp::Function(Function::Ln), &[near]);
    let (graph, samples) = draft.finish(ln, 8);
    let result = quantised(&graph, &samples, None);
    assert!(result.within_tolerance && result.precision > 6.0, "{} bits: {:?}", result.precision, result.accuracy);
    let coarse = QuantOptions { max_error: 1e-3, max_precision: 6, ..QuantOptions::default() };
    let message = try_quantised(&graph, &samples, &coarse).unwrap_err().to_string();
    assert!(message.contains("Ln is not defined at"), "{message}");
}

/// Scales of any size are refused, not shifted out of their integers.
#[test]
fn rounding_at_extreme_scales_is_refused_or_right() {
    for (factor, precision) in [(1.0, 60), (1e-30, 60), (1e-38, 60), (1e30, 4), (1e18, 4)] {
        for rounding in [Rounding::Floor, Rounding::Ceil, Rounding::HalfEven] {
            let mut draft = Draft::new(2, 3);
            let x = draft.affine(0, factor, 0.0);
            let smooth = draft.node(FloatOp::Function(Function::Softsign), &[x]);
            let rounded = [draft.node(FloatOp::Round(rounding), &[x]), draft.node(FloatOp::Round(rounding), &[smooth])];
            for node in rounded {
                let mut graph = draft.graph.clone();
                graph.outputs.push(("y".into(), node, vec![2]));
                let samples = [vec![0.5, -1.25]];
                let options = QuantOptions { precision: Some(precision), ..QuantOptions::default() };
                if let Ok(result) = try_quantised(&graph, &samples, &options) {
                    let expected = graph.eval(&samples[0]);
                    let found = outputs(&result, &samples[0]);
                    let near = expected.iter().zip(&found).all(|(a, b)| (a - b).abs() <= a.abs() / 8.0);
                    assert!(near, "{factor}, {rounding:?}: {found:?}, not {expected:?}");
                }
            }
        }
    }
}

#[test]
fn what_is_not_defined_is_refused_by_name() {
    let refused = |op: FloatOp, inputs: &[usize]| {
        let mut draft = Draft::new(2, 1);
        let node = draft.node(op, inputs);
        let (graph, _) = draft.finish(node, 0);
        let json = r#"{"input_data": [[1, 1]], "features": [{"name": "a", "min": -1, "max": 1}, {"name": "b", "min": 0, "max": 1}]}"#;
        let data = CalibrationData::parse("data.json", json.as_bytes()).unwrap();
        let domain = Domain::resolve(&graph, &data, None).unwrap();
        quantise(&graph, &domain, &data, &QuantOptions::default()).unwrap_err().to_string()
    };
    let message = refused(FloatOp::Function(Function::Ln), &[0]);
    assert!(message.contains("node \"n1\": Ln is not defined at -1"), "{message}");
    let message = refused(FloatOp::Quotient, &[0, 0]);
    assert!(message.contains("divided by zero") && message.contains("narrow the domain"), "{message}");
    let message = refused(FloatOp::Sqrt, &[0]);
    assert!(message.contains("square root of a negative number"), "{message}");
    let message = refused(FloatOp::OneHot { depth: 4 }, &[0]);
    assert!(message.contains("not known to be an integer"), "{message}");
}

/// The argument of a function and a factor are the same feature, which the two need at different scales.
#[test]
fn a_feature_may_be_read_at_several_scales() {
    let mut draft = Draft::new(3, 3);
    let scaled = draft.affine(0, 0.5f64.sqrt(), 0.0);
    let erf = draft.node(FloatOp::Function(Function::Erf), &[scaled]);
    let above = draft.affine(erf, 1.0, 1.0);
    let product = draft.node(FloatOp::Product(Product::elementwise(3)), &[0, above]);
    let gelu = draft.affine(product, 0.5, 0.0);
    let (graph, samples) = draft.finish(gelu, 8);
    for precision in [8, 12, 16, 20] {
        let accuracy = quantised(&graph, &samples, Some(precision)).accuracy;
        let expected = 4.0 * (-f64::from(precision)).exp2();
        assert!(accuracy.max_relative_to_range <= expected, "{precision} bits: {accuracy:?}");
    }
}

/// A ReLU, a condition and a feature that are zero on all samples, and are not on other inputs.
#[test]
fn what_no_sample_shows_is_not_dropped() {
    for hidden in [FloatOp::Relu, FloatOp::Compare(Comparison::Above)] {
        let mut draft = Draft::new(2, 3);
        let shifted = draft.affine(0, 1.0, -0.9);
        let off = draft.node(hidden.clone(), &[shifted]);
        let mut product = off;
        if matches!(hidden, FloatOp::Compare(_)) {
            product = draft.node(FloatOp::Product(Product::elementwise(2)), &[off, shifted]);
        }
        let mut sum = AffineBuilder::new(4);
        sum.push(vec![(0, 0.6), (1, 0.3), (2, 1.3), (3, 0.4)], 0.1);
        let y = draft.node(FloatOp::Affine(sum.finish()), &[0, product]);
        let (graph, _) = draft.finish(y, 0);
        let samples: Vec<Vec<f64>> = (0..20).map(|i| vec![f64::from(i % 7) / 10.0, 0.0]).collect();
        let result = quantised(&graph, &samples, None);
        for input in [[2.0, 2.0], [-1.5, 1.7], [1.9, -2.0]] {
            let (found, expected) = (outputs(&result, &input)[0], graph.eval(&input)[0]);
            assert!((found - expected).abs() <= 5e-3, "{hidden:?} of {input:?}: {found}, not {expected}");
        }
    }
}

/// Bits that the rescale of the sums before the last function drops, where they read what a function gives, as it is or clamped.
fn dropped_bits(clamped: bool) -> u32 {
    let mut draft = Draft::new(6, 3);
    let mut x = draft.node(FloatOp::Function(Function::Tanh), &[0]);
    for _ in 0..if clamped { 2 } else { 0 } {
        x = draft.affine(x, -1.0, 2.0);
        x = draft.node(FloatOp::Relu, &[x]);
    }
    let sums = draft.dense(x, 6);
    let y = draft.node(FloatOp::Function(Function::Tanh), &[sums]);
    let (graph, samples) = draft.finish(y, 40);
    let result = quantised(&graph, &samples, Some(12));
    assert!(result.accuracy.max_relative_to_range < 1e-3, "{:?}", result.accuracy);
    let shift = |op: &Op| if let Op::Rescale(rescale) = op { Some(rescale.shift) } else { None };
    result.model.nodes.iter().rev().find_map(|node| shift(&node.op)).unwrap()
}

/// What passes through sums and ReLUs has no more bits than what made it, and weights need not be as precise as if it had.
#[test]
fn what_is_read_is_not_taken_to_be_known_better_than_it_is_computed() {
    assert_eq!(dropped_bits(true), dropped_bits(false));
}

/// A table of 64 rows is read in one of them: its numbers are rounded to what their reader asks for, and not rescaled.
#[test]
fn what_an_encoding_chooses_is_not_rescaled() {
    let mut draft = Draft::new(1, 3);
    draft.graph.inputs[0].integer = true;
    let index = draft.affine(0, 1.0, 2.0);
    let chosen = draft.node(FloatOp::OneHot { depth: 64 }, &[index]);
    // those that can be chosen
    let some = draft.node(FloatOp::Affine(Affine::selection(64, 0..32)), &[chosen]);
    let table = draft.dense(some, 8);
    let FloatOp::Affine(map) = &mut draft.graph.nodes[table - 1].op else { panic!() };
    map.bias.fill(0.0);
    let y = draft.node(FloatOp::Function(Function::Tanh), &[table]);
    let (graph, _) = draft.finish(y, 0);
    let samples: Vec<Vec<f64>> = (-2..=2).map(|i| vec![f64::from(i)]).collect();
    let result = quantised(&graph, &samples, Some(12));
    assert!(result.accuracy.max_relative_to_range < 1e-3, "{:?}", result.accuracy);
    let rescales = result.model.nodes.iter().filter(|node| matches!(node.op, Op::Rescale(_)));
    assert_eq!(rescales.count(), 0, "{:?}", result.model.nodes.iter().map(|node| &node.name).collect::<Vec<_>>());
}

/// `0.1 x + 0.2 x - 0.3 x`, as it is and with 1 added.
#[test]
fn roundings_are_no_range() {
    for offset in [0.0, 1.0] {
        let mut draft = Draft::new(1, 3);
        let parts = [0.1, 0.2].map(|factor| draft.affine(0, factor, 0.0));
        let mut sum = AffineBuilder::new(3);
        sum.push(vec![(0, 1.0), (1, 1.0), (2, -0.3)], offset);
        let y = draft.node(FloatOp::Affine(sum.finish()), &[parts[0], parts[1], 0]);
        let y = draft.node(FloatOp::Relu, &[y]);
        let (graph, samples) = draft.finish(y, 40);
        let result = quantised(&graph, &samples, None);
        assert!(result.within_tolerance && result.precision < 16.0, "{} bits: {:?}", result.precision, result.accuracy);
        assert!(result.accuracy.output_range > 0.1, "{:?}", result.accuracy);
    }
}
