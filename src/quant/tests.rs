//! Properties of quantised models, on random networks.

use proptest::prelude::*;

use super::build::{aligned, build};
use super::scales::{Planner, Scales, exp2};
use super::*;
use crate::graph::{AffineBuilder, FloatNode, FloatOp, Graph, GraphInput, IntegerModel};
use crate::ops::Op;

#[derive(Clone, Debug)]
struct Network {
    graph: Graph,
    domain: Domain,
    samples: Vec<Vec<f64>>,
}

impl Network {
    fn calibration(&self) -> CalibrationData {
        let json = serde_json::to_vec(&serde_json::json!({ "input_data": self.samples })).unwrap();
        CalibrationData::parse("calibration.json", &json).unwrap()
    }
}

/// Numbers from 0 to 1.
fn stream(mut seed: u64) -> impl FnMut() -> f64 {
    move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as f64 / (1u64 << 31) as f64
    }
}

/// Dense layers of the given widths with ReLUs between them; with `skip`, every layer also reads the inputs.
fn network(widths: &[usize], samples: usize, skip: bool, seed: u64) -> Network {
    let mut next = stream(seed);
    let mut nodes: Vec<FloatNode> = vec![];
    let mut inputs = vec![0];
    let mut input_len = widths[0];
    for (layer, &width) in widths.iter().enumerate().skip(1) {
        let mut map = AffineBuilder::new(input_len);
        for _ in 0..width {
            let size = 2.0 / (input_len as f64).sqrt();
            let terms = (0..input_len).filter(|_| next() < 0.9).collect::<Vec<_>>();
            let terms = terms.into_iter().map(|i| (i, (next() - 0.5) * 2.0 * size)).collect();
            map.push(terms, next() - 0.5);
        }
        let id = nodes.len() + 1;
        let node =
            |name: &str, op, inputs| FloatNode { name: format!("{name}{layer}"), onnx_op: name.into(), op, inputs };
        nodes.push(node("dense", FloatOp::Affine(map.finish()), inputs));
        if layer + 1 < widths.len() {
            nodes.push(node("relu", FloatOp::Relu, vec![id]));
            inputs = if skip { vec![id + 1, 0] } else { vec![id + 1] };
            input_len = width + if skip { widths[0] } else { 0 };
        } else {
            inputs = vec![];
        }
    }
    let features: Vec<DeclaredFeature> = (0..widths[0])
        .map(|i| match i % 3 {
            0 => DeclaredFeature { name: format!("f{i}"), min: -3.0, max: 3.0, integer: false },
            1 => DeclaredFeature { name: format!("f{i}"), min: 0.0, max: 7.0, integer: true },
            _ => DeclaredFeature { name: format!("f{i}"), min: 0.0, max: 0.1, integer: false },
        })
        .collect();
    let draw = |f: &DeclaredFeature, t: f64| {
        let value = f.min + t * (f.max - f.min);
        if f.integer { value.round() } else { value }
    };
    let samples = (0..samples).map(|_| features.iter().map(|f| draw(f, next())).collect()).collect();
    let output = nodes.len();
    let graph = Graph {
        inputs: vec![GraphInput { name: "x".into(), shape: vec![1, widths[0]], integer: false, limits: None }],
        nodes,
        outputs: vec![("y".into(), output, vec![1, *widths.last().unwrap()])],
    };
    Network { graph, domain: Domain { features, source: DomainSource::Declared }, samples }
}

/// Corners of the domain and points inside.
fn points(domain: &Domain, seed: u64) -> Vec<Vec<f64>> {
    let mut next = stream(seed);
    let mut point = |corner: bool| {
        let value = |f: &DeclaredFeature| {
            let t = if corner { next().round() } else { next() };
            let value = f.min + t * (f.max - f.min);
            if f.integer { value.round() } else { value }
        };
        domain.features.iter().map(value).collect::<Vec<f64>>()
    };
    (0..20).map(|i| point(i % 2 == 0)).collect()
}

/// A bound on the error of every output, propagated through the trace of one input.
fn error_bound(graph: &Graph, scales: &Scales, model: &IntegerModel, input: &[i128]) -> Vec<f64> {
    let trace = model.trace(input);
    let first = graph.inputs.len();
    // Per value: elements of the integer model in real units, and how far they are from the float model's.
    let real = |tensor: &[i128], exponent: i32| tensor.iter().map(|&v| v as f64 * exp2(-exponent)).collect::<Vec<_>>();
    let feature = |(&v, &e): (&i128, &i32)| v as f64 * exp2(-e);
    let mut values = vec![input.iter().zip(&scales.features).map(feature).collect::<Vec<f64>>()];
    let half = |e: i32| exp2(-e) / 2.0;
    let domain_error = |&e: &i32| if e == 0 { 0.0 } else { half(e) };
    let mut errors = vec![scales.features.iter().map(domain_error).collect::<Vec<f64>>()];
    let mut steps = vec![scales.features.iter().map(|&e| exp2(e)).collect::<Vec<f64>>()];
    let mut tensor = 0;
    for (i, node) in graph.nodes.iter().enumerate() {
        tensor += 1 + usize::from(scales.shifts[i] > 0);
        let exponent = scales.output(i);
        let gather = |of: &[Vec<f64>]| node.inputs.iter().flat_map(|&id| of[id].clone()).collect::<Vec<f64>>();
        let (x, e, step) = (gather(&values), gather(&errors), gather(&steps));
        let error = match &node.op {
            FloatOp::Relu => e,
            FloatOp::Affine(map) => (0..map.output_len())
                .map(|j| {
                    let term = |(c, w): (usize, f64)| w.abs() * e[c] + x[c].abs() * step[c] * half(scales.nodes[i]);
                    let rescaled = if scales.shifts[i] > 0 { half(exponent) } else { 0.0 };
                    map.row(j).map(term).sum::<f64>() + half(scales.nodes[i]) + rescaled
                })
                .collect(),
            op => panic!("{op:?} is not in these graphs"),
        };
        values.push(real(&trace[tensor], exponent));
        errors.push(error);
        steps.push(vec![exp2(exponent); trace[tensor].len()]);
    }
    assert_eq!(values.len(), first + graph.nodes.len());
    graph.outputs.iter().flat_map(|(_, id, _)| errors[*id].clone()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn traces_stay_in_their_proved_ranges_and_near_the_float_model(
        widths in prop::collection::vec(1usize..7, 2..6),
        precision in 1u32..20,
        skip: bool,
        seed: u64,
    ) {
        let net = network(&widths, 5, skip, seed);
        let graph = aligned(&net.graph);
        let scales = Planner::new(&graph, &net.domain, &net.samples).at_precision(f64::from(precision));
        let model = build(&graph, &net.domain, &scales, &Weights::Fixed, f64::from(precision)).unwrap().model;
        for point in points(&net.domain, seed) {
            let input = model.quantise_input(&point).unwrap();
            prop_assert_eq!(model.check_input(&input), Ok(()));
            let trace = model.trace(&input);
            for (id, tensor) in trace.iter().enumerate() {
                let ranges = model.ranges(id);
                prop_assert!(tensor.iter().zip(&ranges).all(|(v, r)| r.contains(*v)), "tensor {} leaves its range", id);
            }
            let bounds = error_bound(&graph, &scales, &model, &input);
            let expected = net.graph.eval(&point);
            for ((found, expected), bound) in model.float_outputs(&trace).iter().zip(expected).zip(bounds) {
                prop_assert!((found - expected).abs() <= bound * 1.000001 + 1e-9, "{} {} {}", found, expected, bound);
            }
        }
    }

    #[test]
    fn the_result_depends_on_the_arguments_only(widths in prop::collection::vec(1usize..6, 2..5), seed: u64) {
        let net = network(&widths, 20, false, seed);
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| quantise(&net.graph, &net.domain, &net.calibration(), &QuantOptions::default()).unwrap())
        };
        let one = run(1);
        prop_assert_eq!(&one, &run(3));
        prop_assert!(one.within_tolerance || one.precision > 20.0);
        let again = audit(&net.graph, &one.model, &net.calibration(), 0.0).unwrap();
        prop_assert_eq!(one.accuracy, again);
    }
}

fn relu_bits(model: &IntegerModel) -> u32 {
    let bits = |n: &crate::graph::IntegerNode| n.ranges.iter().map(|r| r.bits()).max().unwrap();
    model.nodes.iter().filter(|n| n.op == Op::Relu).map(bits).max().unwrap()
}

/// A node: weights and bias of one affine row, or none for a ReLU, and what it reads.
type Row<'a> = (Option<(&'a [f64], f64)>, &'a [usize]);

/// At every precision, the quantised graph of affine rows (weights, bias) and ReLUs is near `expected`, over features from 0 to 1.
fn is_near_at_every_precision(ops: &[Row<'_>], samples: &[Vec<f64>], expected: impl Fn(&[f64]) -> f64) {
    let node = |(map, inputs): &Row<'_>| {
        let op = map.map_or(FloatOp::Relu, |(weights, bias)| {
            let mut map = AffineBuilder::new(weights.len());
            map.push(weights.iter().copied().enumerate().filter(|(_, w)| *w != 0.0).collect(), bias);
            FloatOp::Affine(map.finish())
        });
        FloatNode { name: "n".into(), onnx_op: "Min".into(), op, inputs: inputs.to_vec() }
    };
    let len = samples[0].len();
    let graph = Graph {
        inputs: vec![GraphInput { name: "x".into(), shape: vec![len], integer: false, limits: None }],
        nodes: ops.iter().map(node).collect(),
        outputs: vec![("y".into(), ops.len(), vec![1])],
    };
    let feature = |i| DeclaredFeature { name: format!("x{i}"), min: 0.0, max: 1.0, integer: false };
    let domain = Domain { features: (0..len).map(feature).collect(), source: DomainSource::Declared };
    let graph = aligned(&graph);
    let planner = Planner::new(&graph, &domain, samples);
    for half_bits in 8..40 {
        let precision = f64::from(half_bits) / 2.0;
        let model = build(&graph, &domain, &planner.at_precision(precision), &Weights::Fixed, precision).unwrap().model;
        for x in samples {
            let y = model.float_outputs(&model.trace(&model.quantise_input(x).unwrap()))[0];
            assert!((y - expected(x)).abs() < 4.0 * (-precision).exp2(), "{precision} bits: {y} at {x:?}");
        }
    }
}

/// `x - max(x - 0.4, 0)`: the map before the ReLU and the one after it want other scales of `x`, at any precision.
#[test]
fn readers_of_one_feature_agree_on_its_scale() {
    let samples: Vec<Vec<f64>> = (0..=64).map(|i| vec![f64::from(i) / 64.0]).collect();
    let ops: [Row<'_>; 3] = [(Some((&[1.0], -0.4)), &[0]), (None, &[1]), (Some((&[1.0, -1.0], 0.0)), &[0, 2])];
    is_near_at_every_precision(&ops, &samples, |x| x[0].min(0.4));
}

/// `max(a - b, 0) / 8 + c`: `c` is read at a finer scale than `a` and `b`, which share it.
#[test]
fn readers_of_features_that_share_a_scale_agree_on_it() {
    let mut next = stream(1);
    let samples: Vec<Vec<f64>> = (0..64).map(|_| vec![next(), next(), next()]).collect();
    let ops: [Row<'_>; 3] =
        [(Some((&[1.0, -1.0, 0.0], 0.0)), &[0]), (None, &[1]), (Some((&[0.125, 0.0, 0.0, 1.0], 0.0)), &[2, 0])];
    is_near_at_every_precision(&ops, &samples, |x| (x[0] - x[1]).max(0.0) / 8.0 + x[2]);
}

#[test]
fn a_looser_tolerance_needs_fewer_bits() {
    let net = network(&[8, 16, 1], 50, false, 7);
    let run = |tolerance| {
        let options = QuantOptions { max_error: tolerance, ..QuantOptions::default() };
        quantise(&net.graph, &net.domain, &net.calibration(), &options).unwrap()
    };
    let (loose, tight) = (run(1e-2), run(1e-6));
    assert!(loose.within_tolerance && tight.within_tolerance);
    assert!(relu_bits(&loose.model) + 8 < relu_bits(&tight.model));
    assert!(loose.accuracy.max_relative_to_range <= 1e-2 && tight.accuracy.max_relative_to_range <= 1e-6);
}

#[test]
fn deep_models_are_rescaled_and_shallow_ones_are_not() {
    let rescales = |widths: &[usize]| {
        let net = network(widths, 20, false, 3);
        let result = quantise(&net.graph, &net.domain, &net.calibration(), &QuantOptions::default()).unwrap();
        assert!(result.within_tolerance);
        let count = result.model.nodes.iter().filter(|n| matches!(n.op, Op::Rescale(_))).count();
        (count, relu_bits(&result.model))
    };
    assert_eq!(rescales(&[10, 32, 1]).0, 0);
    let (count, bits) = rescales(&[10, 16, 16, 16, 16, 16, 1]);
    assert!(count > 0 && bits < 64, "{count} rescales, {bits} bits");
}

#[test]
fn rescaling_saves_rows() {
    let net = network(&[10, 16, 16, 16, 16, 1], 20, false, 3);
    let graph = aligned(&net.graph);
    let planner = Planner::new(&graph, &net.domain, &net.samples);
    let with = planner.at_precision(12.0);
    assert!(with.shifts.iter().any(|&s| s > 0));
    let without = planner.derive(12.0, &Default::default());
    assert!(planner.rows(&with) < planner.rows(&without));
}

#[test]
fn a_cap_that_is_too_low_is_reported() {
    let net = network(&[4, 6, 1], 20, false, 1);
    let options = QuantOptions { max_precision: 3, ..QuantOptions::default() };
    let result = quantise(&net.graph, &net.domain, &net.calibration(), &options).unwrap();
    assert!(!result.within_tolerance && result.precision <= 3.0);
    assert!(result.accuracy.max_relative_to_range > 1e-4);
}

#[test]
fn a_forced_precision_is_kept() {
    let net = network(&[4, 6, 1], 20, false, 1);
    let error = |bits| {
        let options = QuantOptions { precision: Some(bits), ..QuantOptions::default() };
        let result = quantise(&net.graph, &net.domain, &net.calibration(), &options).unwrap();
        assert_eq!(result.precision, f64::from(bits));
        result.accuracy.max_abs_error
    };
    assert!(error(16) < error(8) / 16.0);
}

#[test]
fn integers_are_exact() {
    let mut map = AffineBuilder::new(2);
    map.push(vec![(0, 3.0), (1, -0.25)], 0.5);
    let nodes = vec![
        FloatNode { name: "dense".into(), onnx_op: "Gemm".into(), op: FloatOp::Affine(map.finish()), inputs: vec![0] },
        FloatNode { name: "relu".into(), onnx_op: "Relu".into(), op: FloatOp::Relu, inputs: vec![1] },
    ];
    let graph = Graph {
        inputs: vec![GraphInput { name: "x".into(), shape: vec![2], integer: true, limits: None }],
        nodes,
        outputs: vec![("y".into(), 2, vec![1])],
    };
    let data = CalibrationData::parse("data.json", b"[[16777217, 4], [0, 1]]").unwrap();
    let domain = Domain::resolve(&graph, &data, None).unwrap();
    let options = QuantOptions { max_error: 1e-12, max_precision: 45, ..QuantOptions::default() };
    let result = quantise(&graph, &domain, &data, &options).unwrap();
    assert_eq!(result.accuracy.max_abs_error, 0.0);
    let input = result.model.quantise_input(&[16777217.0, 1.0]).unwrap();
    assert_eq!(result.model.float_outputs(&result.model.trace(&input)), [3.0 * 16777217.0 + 0.25]);
}

#[test]
fn inputs_that_are_outputs_get_one_scale() {
    let graph = Graph {
        inputs: vec![GraphInput { name: "x".into(), shape: vec![3], integer: false, limits: None }],
        nodes: vec![FloatNode { name: "r".into(), onnx_op: "Relu".into(), op: FloatOp::Relu, inputs: vec![0] }],
        outputs: vec![("x".into(), 0, vec![3]), ("y".into(), 1, vec![3])],
    };
    let json = br#"{"input_data": [[1.5, 3, -0.001]], "features": [{"name": "a", "min": -2, "max": 2},
        {"name": "b", "min": 0, "max": 9, "integer": true}, {"name": "c", "min": -0.001, "max": 0.001}]}"#;
    let data = CalibrationData::parse("data.json", json).unwrap();
    let domain = Domain::resolve(&graph, &data, None).unwrap();
    let result = quantise(&graph, &domain, &data, &QuantOptions::default()).unwrap();
    assert!(result.within_tolerance);
    let values =
        result.model.float_outputs(&result.model.trace(&result.model.quantise_input(&[1.5, 3.0, -0.001]).unwrap()));
    assert_eq!((values[1], values[4], values[5]), (3.0, 3.0, 0.0));
}

#[test]
fn what_could_overflow_is_refused_by_name() {
    let net = network(&[3, 4, 4, 1], 5, false, 2);
    let options = QuantOptions { precision: Some(60), ..QuantOptions::default() };
    let error = quantise(&net.graph, &net.domain, &net.calibration(), &options).unwrap_err();
    let message = error.to_string();
    assert!(matches!(error, QuantError::Bound { ref node, .. } if node.starts_with("dense")), "{message}");
    assert!(message.contains("the limit is 2^120"), "{message}");

    let wide = DeclaredFeature { name: "f0".into(), min: -1e30, max: 1e37, integer: false };
    let mut domain = net.domain.clone();
    domain.features[0] = wide;
    let options = QuantOptions { precision: Some(10), ..QuantOptions::default() };
    let error = quantise(&net.graph, &domain, &net.calibration(), &options).unwrap_err();
    assert!(matches!(&error, QuantError::Bound { .. } | QuantError::Feature { .. }), "{error}");
}

#[test]
fn calibration_outside_of_the_domain_is_refused_by_name() {
    let mut net = network(&[3, 4, 1], 5, false, 2);
    net.samples[3][0] = 3.5;
    let error = quantise(&net.graph, &net.domain, &net.calibration(), &QuantOptions::default()).unwrap_err();
    assert!(error.to_string().starts_with("calibration.json: sample 3: feature \"f0\": 3.5 is above"), "{error}");
}

#[test]
fn options_are_checked() {
    let net = network(&[3, 1], 5, false, 2);
    let refused = |options| quantise(&net.graph, &net.domain, &net.calibration(), &options).unwrap_err().to_string();
    assert_eq!(
        refused(QuantOptions { max_error: 0.0, ..QuantOptions::default() }),
        "max-error is 0; it must be positive"
    );
    assert_eq!(
        refused(QuantOptions { precision: Some(61), ..QuantOptions::default() }),
        "precision is 61; it must be from 1 to 60 bits"
    );
    assert!(refused(QuantOptions { threshold: f64::NAN, ..QuantOptions::default() }).starts_with("threshold is NaN"));
}

#[test]
fn flipped_decisions_are_counted() {
    // The output is the input; the samples lie around the threshold, closer than a coarse scale resolves.
    let graph = Graph {
        inputs: vec![GraphInput { name: "x".into(), shape: vec![1], integer: false, limits: None }],
        nodes: vec![],
        outputs: vec![("x".into(), 0, vec![1])],
    };
    let data = CalibrationData::parse("data.json", b"[[-1], [0.49], [0.51], [1]]").unwrap();
    let domain = Domain::resolve(&graph, &data, None).unwrap();
    let run = |precision| {
        let options = QuantOptions { max_error: 0.5, threshold: 0.5, precision, ..QuantOptions::default() };
        quantise(&graph, &domain, &data, &options).unwrap()
    };
    let coarse = run(Some(4));
    assert_eq!((coarse.accuracy.decisions_flipped, coarse.within_tolerance), (1, true));
    let searched = run(None);
    assert_eq!((searched.accuracy.decisions_flipped, searched.within_tolerance), (0, true));
    assert!(searched.precision > 4.0);
}
