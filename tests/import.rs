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
