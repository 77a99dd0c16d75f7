//! Import and quantisation of real models, from file to public values.

use std::path::{Path, PathBuf};

use hallmark::graph::Graph;
use hallmark::onnx::{self, OnnxError};
use hallmark::quant::{CalibrationData, DeclaredFeature, Domain, DomainSource, QuantOptions, quantise, read_input};

/// A model of this repository.
fn own(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models").join(name)
}

/// A file of the shared collection of models, which a checkout may lack.
fn shared(name: &str, file: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.ancestors().map(|dir| dir.join("shared/models").join(name).join(file)).find(|path| path.exists())
}

fn names(graph: &Graph) -> Vec<&str> {
    graph.nodes.iter().map(|n| n.name.as_str()).collect()
}

#[test]
fn a_declared_domain_covers_every_applicant() {
    let graph = onnx::import(&own("mlp.onnx")).unwrap();
    assert_eq!(names(&graph), ["dense1", "relu1", "dense2", "relu2", "dense3"]);

    let feature = |name: &str, min, max, integer| DeclaredFeature { name: name.into(), min, max, integer };
    let features = vec![
        feature("age", 18.0, 75.0, true),
        feature("amount", 250.0, 18424.0, true),
        feature("ratio", 0.0, 1.0, false),
        feature("loans", 0.0, 9.0, true),
    ];
    let samples: Vec<[f64; 4]> = (0..60)
        .map(|i| {
            [
                18.0 + f64::from(i * 7 % 57),
                250.0 + f64::from(i * 7919 % 18174),
                f64::from(i % 13) / 13.0,
                f64::from(i % 10),
            ]
        })
        .collect();
    let json = serde_json::json!({ "input_data": samples, "features": features });
    let calibration = CalibrationData::parse("calibration.json", &serde_json::to_vec(&json).unwrap()).unwrap();
    let domain = Domain::resolve(&graph, &calibration, None).unwrap();
    assert_eq!(domain, Domain { features, source: DomainSource::Declared });

    let result = quantise(&graph, &domain, &calibration, &QuantOptions::default()).unwrap();
    assert!(result.within_tolerance);
    assert_eq!(result.accuracy.samples, 60);
    let scales: Vec<f64> = result.model.features.iter().map(|f| f.scale).collect();
    assert!(scales[0] == 1.0 && scales[1] == 1.0 && scales[2] > 1.0 && scales[3] == 1.0, "{scales:?}");

    let input = [75.0, 18424.0, 1.0, 0.0];
    let quantised = result.model.quantise_input(&input).unwrap();
    let outputs = result.model.float_outputs(&result.model.trace(&quantised));
    assert!((outputs[0] - graph.eval(&input)[0]).abs() < 1e-3 * result.accuracy.output_range);
    let error = result.model.quantise_input(&[30.0, 20000.0, 0.5, 1.0]).unwrap_err();
    assert_eq!(error.to_string(), "feature \"amount\": 20000 is above the declared maximum 18424");
}

#[test]
fn a_graph_of_several_inputs_and_outputs() {
    let graph = onnx::import(&own("branches.onnx")).unwrap();
    assert_eq!(graph.inputs.iter().map(|i| (i.name.as_str(), i.len())).collect::<Vec<_>>(), [("a", 6), ("b", 6)]);
    assert_eq!(
        graph.outputs.iter().map(|o| (o.0.as_str(), o.2.clone())).collect::<Vec<_>>(),
        [("sum", vec![1, 6]), ("scores", vec![1, 4])]
    );
    assert_eq!(names(&graph), ["dense1", "relu", "residual", "dense2"]);
    let row = |i: i32| (0..6).map(|j| f64::from((i * 31 + j * 17) % 23) / 11.5 - 1.0).collect::<Vec<f64>>();
    let samples: Vec<_> = (0..30).map(|i| serde_json::json!({ "a": row(i), "b": row(i + 100) })).collect();
    let calibration = CalibrationData::parse("samples.json", &serde_json::to_vec(&samples).unwrap()).unwrap();
    let domain = Domain::resolve(&graph, &calibration, None).unwrap();
    let result = quantise(&graph, &domain, &calibration, &QuantOptions::default()).unwrap();
    assert!(result.within_tolerance);
    assert_eq!(result.model.outputs.iter().map(|o| o.name.as_str()).collect::<Vec<_>>(), ["sum", "scores"]);
    assert_eq!(result.model.public_ranges().len(), 10);
}

#[test]
fn a_missing_file_is_named() {
    let error = onnx::import(&own("none.onnx")).unwrap_err();
    assert!(matches!(&error, OnnxError::Io { path, .. } if path.ends_with("none.onnx")), "{error}");
    assert!(matches!(onnx::import(&own("make.py")), Err(OnnxError::NotOnnx { .. })));
}

#[test]
fn credit_is_quantised_within_tolerance() {
    let Some(path) = shared("credit", "network.onnx") else { return };
    let graph = onnx::import(&path).unwrap();
    let calibration = CalibrationData::read(&shared("credit", "calibration.json").unwrap()).unwrap();
    let domain = Domain::resolve(&graph, &calibration, None).unwrap();
    assert_eq!(domain.source, DomainSource::Calibration);
    let result = quantise(&graph, &domain, &calibration, &QuantOptions::default()).unwrap();
    assert!(result.within_tolerance);
    assert_eq!(result.accuracy.samples, 20);
    let input = read_input(&shared("credit", "input.json").unwrap(), &result.model, None).unwrap();
    let quantised = result.model.quantise_input(&input).unwrap();
    let outputs = result.model.float_outputs(&result.model.trace(&quantised));
    assert!((outputs[0] - graph.eval(&input)[0]).abs() <= 1e-3);
}

#[test]
fn supported_models_of_the_collection_are_quantised() {
    for name in [
        "1l_concat",
        "1l_flatten",
        "1l_linear",
        "1l_mlp",
        "1l_relu",
        "1l_tiny_div",
        "2l_relu_fc",
        "blackman_window",
        "doodles",
        "eye",
        "large_mlp",
        "linear_regression",
        "sklearn_mlp",
    ] {
        let Some(path) = shared(name, "network.onnx") else { continue };
        let graph = onnx::import(&path).unwrap();
        let Some(data) = shared(name, "input.json") else { continue };
        let calibration = CalibrationData::read(&data).unwrap();
        let domain = Domain::resolve(&graph, &calibration, None).unwrap();
        let result = quantise(&graph, &domain, &calibration, &QuantOptions::default()).unwrap();
        assert!(result.within_tolerance, "{name}: {:?}", result.accuracy);
    }
}

/// Features that reach as far as the sample does, and half a unit further, on both sides of zero.
fn symmetric(graph: &Graph, sample: &[f64]) -> Vec<DeclaredFeature> {
    let integer = graph.inputs.iter().flat_map(|i| std::iter::repeat_n(i.integer, i.len()));
    let reach = sample.iter().fold(0.5, |m: f64, v| m.max(v.abs())).ceil();
    let feature = |(i, integer)| DeclaredFeature { name: format!("f{i}"), min: -reach, max: reach, integer };
    integer.enumerate().map(feature).collect()
}

#[test]
fn models_with_functions_products_and_comparisons_are_quantised() {
    for name in [
        "1l_erf",
        "1l_gelu_noappx",
        "1l_sigmoid",
        "2l_relu_sigmoid_small",
        "2l_sigmoid_small",
        "exp",
        "general_exp",
        "less",
        "rounding_ops",
        "selu",
        "softplus",
    ] {
        let (Some(path), Some(data)) = (shared(name, "network.onnx"), shared(name, "input.json")) else { continue };
        let graph = onnx::import(&path).unwrap();
        let names: Vec<String> = (0..graph.input_len()).map(|i| format!("f{i}")).collect();
        let samples = CalibrationData::read(&data).unwrap().samples(&graph, &names).unwrap();
        let json = serde_json::json!({ "input_data": samples, "features": symmetric(&graph, &samples[0]) });
        let calibration = CalibrationData::parse("calibration.json", &serde_json::to_vec(&json).unwrap()).unwrap();
        let domain = Domain::resolve(&graph, &calibration, None).unwrap();
        let options = QuantOptions { max_error: 1e-3, ..QuantOptions::default() };
        let result = quantise(&graph, &domain, &calibration, &options).unwrap();
        assert!(result.within_tolerance, "{name}: {:?}", result.accuracy);
        // any input of the domain has a trace within the proved ranges
        result.model.validate().unwrap();
        for corner in [0, 1, 2] {
            let pick = |f: &hallmark::graph::Feature| [f.range.lo, f.range.hi, (f.range.lo + f.range.hi) / 2][corner];
            let trace = result.model.trace(&result.model.features.iter().map(pick).collect::<Vec<_>>());
            for (id, values) in trace.iter().enumerate() {
                assert!(result.model.ranges(id).iter().zip(values).all(|(range, &v)| range.contains(v)), "{name}");
            }
        }
    }
}

#[test]
fn every_model_of_the_collection_is_imported() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let Some(models) = root.ancestors().find_map(|dir| std::fs::read_dir(dir.join("shared/models")).ok()) else {
        return;
    };
    for path in models.map(|entry| entry.unwrap().path().join("network.onnx")).filter(|path| path.exists()) {
        let graph = onnx::import(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert!(!graph.outputs.is_empty());
    }
}
