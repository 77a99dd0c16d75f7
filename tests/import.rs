//! Import and quantisation of real models.

use std::path::{Path, PathBuf};

use hallmark::onnx;
use hallmark::quant::{CalibrationData, Domain, DomainSource, QuantOptions, quantise, read_input};

/// A model of the shared collection, which a checkout may lack.
fn shared(name: &str, file: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.ancestors().map(|dir| dir.join("shared/models").join(name).join(file)).find(|path| path.exists())
}

#[test]
fn credit_is_quantised_within_tolerance() {
    let Some(path) = shared("credit", "network.onnx") else { return };
    let graph = onnx::import(&path).unwrap();
    let calibration = CalibrationData::read(&shared("credit", "calibration.json").unwrap()).unwrap();
    let domain = Domain::resolve(&graph, &calibration, None).unwrap();
    assert_eq!(domain.source, DomainSource::Calibration);
    let result = quantise(&graph, &domain, &calibration, &QuantOptions::default()).unwrap();
    for n in &result.model.nodes {
        println!(
            "{} {} {:?} bits {}",
            n.name,
            n.op.name(),
            n.ranges.len(),
            n.ranges.iter().map(|r| r.bits()).max().unwrap()
        );
    }
    println!(
        "{:?} {} {:?}",
        result.accuracy,
        result.precision,
        result.model.features.iter().map(|f| f.scale).collect::<Vec<_>>()
    );
    assert!(result.within_tolerance);
    let input = read_input(&shared("credit", "input.json").unwrap(), &result.model, None).unwrap();
    println!("{:?}", result.model.quantise_input(&input));
}

#[test]
fn other_models() {
    for name in [
        "1l_mlp",
        "sklearn_mlp",
        "1l_linear",
        "1l_relu",
        "2l_relu_fc",
        "linear_regression",
        "large_mlp",
        "eye",
        "doodles",
        "1l_tiny_div",
        "1l_flatten",
        "1l_concat",
    ] {
        let Some(path) = shared(name, "network.onnx") else { continue };
        let graph = match onnx::import(&path) {
            Ok(g) => g,
            Err(e) => {
                println!("{name}: {e}");
                continue;
            }
        };
        println!(
            "{name}: {:?} nodes {:?}",
            graph.inputs,
            graph.nodes.iter().map(|n| (&n.name, n.weight_count())).collect::<Vec<_>>()
        );
        let Some(data) = shared(name, "input.json") else { continue };
        let calibration = CalibrationData::read(&data).unwrap();
        let domain = match Domain::resolve(&graph, &calibration, None) {
            Ok(g) => g,
            Err(e) => {
                println!("{name}: {e}");
                continue;
            }
        };
        let t = std::time::Instant::now();
        match quantise(&graph, &domain, &calibration, &QuantOptions::default()) {
            Err(e) => println!("{name}: {e}"),
            Ok(result) => {
                for n in &result.model.nodes {
                    println!(
                        "   {} {} {:?} bits {}",
                        n.name,
                        n.op.name(),
                        n.ranges.len(),
                        n.ranges.iter().map(|r| r.bits()).max().unwrap()
                    );
                }
                println!("  {:?} {} {:?}", result.accuracy, result.precision, t.elapsed());
            }
        }
    }
}
