//! Halo2's prover and our own on the same circuits in one run: perceptrons in the layout `phased`. Writes a table of
//! `docs/proving.md`.
//!
//! Both have keys in memory, two commitments per quotient, and the same witness. Halo2's needs as many powers as rows, and so does ours
//! with the quotient in two pieces.

use std::{error::Error, fmt::Write, fs, path::Path};

use hallmark::{
    circuit::{LaidOut, Layout, PhasedCircuit},
    fsutil::write_atomic,
    graph::IntegerModel,
    onnx::import,
    proof::{Bn254, ProvingKey, Srs, prove, speed::Time, verify},
    quant::{CalibrationData, DeclaredFeature, Domain, DomainSource, QuantOptions, quantise},
};
use halo2_proofs::{
    plonk::{create_proof, keygen_pk, keygen_vk},
    poly::kzg::{
        commitment::{KZGCommitmentScheme, ParamsKZG},
        multiopen::ProverSHPLONK,
    },
    transcript::{Blake2bWrite, Challenge255, TranscriptWriterBuffer},
};
use halo2curves::bn256::{Bn256, Fr, G1Affine, G2Affine};
use rand_chacha::ChaCha20Rng;
use rand_core::{OsRng, SeedableRng};
use serde_json::json;

#[path = "common/perceptron.rs"]
mod perceptron;

use perceptron::{INPUTS, onnx, perceptron};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Neurons of the models.
const NEURONS: [usize; 4] = [32, 128, 512, 2048];
/// Every proof is the quickest of so many.
const TRIES: usize = 3;
const BEGIN: &str = "<!-- benches/stock.rs writes from here -->";
const END: &str = "<!-- the stock prover to here -->";

fn model(neurons: usize) -> Result<IntegerModel> {
    let feature = |i| DeclaredFeature { name: format!("f{i}"), min: -1.0, max: 1.0, integer: false };
    let domain = Domain { features: (0..INPUTS).map(feature).collect(), source: DomainSource::Declared };
    let sample =
        |seed| onnx::random(INPUTS, seed).into_iter().map(|value| f64::from(value / 2.0)).collect::<Vec<f64>>();
    let samples: Vec<Vec<f64>> = (0..32).map(sample).collect();
    let data = CalibrationData::parse("samples", json!({ "input_data": samples }).to_string().as_bytes())?;
    let options = QuantOptions { precision: Some(12), ..QuantOptions::default() };
    let file = tempfile::NamedTempFile::new()?;
    fs::write(&file, perceptron(neurons))?;
    Ok(quantise(&import(file.path())?, &domain, &data, &options)?.model)
}

fn quickest(mut run: impl FnMut() -> Result<()>) -> Result<Time> {
    let mut best: Option<Time> = None;
    for _ in 0..TRIES {
        let (time, done) = Time::of(&mut run);
        done?;
        best = Some(best.filter(|best| best.cpu_seconds <= time.cpu_seconds).unwrap_or(time));
    }
    best.ok_or_else(|| "nothing was timed".into())
}

/// The times of halo2's prover and of ours.
fn measure(model: &IntegerModel) -> Result<(PhasedCircuit<Fr>, [Time; 2])> {
    let input: Vec<i128> = model.features.iter().map(|feature| (feature.range.lo + feature.range.hi) / 2 + 1).collect();
    let trace = model.trace(&input);
    let circuit = PhasedCircuit::<Fr>::new(model, &trace);
    let srs = Srs::<Bn254>::generate_unsafe(circuit.k, ChaCha20Rng::seed_from_u64(1))?;

    // halo2 has no other public constructor from powers; the receiver is not used
    let params = ParamsKZG::<Bn256>::setup(0, ChaCha20Rng::seed_from_u64(0)).from_parts(
        circuit.k,
        srs.g().to_vec(),
        None,
        G2Affine::generator(),
        srs.s_g2(),
    );
    let vk = keygen_vk(&params, &circuit)?;
    let pk = keygen_pk(&params, vk, &circuit)?;
    let instances = circuit.instances(&circuit.layout.public_values);
    let instances: Vec<&[Fr]> = instances.iter().map(Vec::as_slice).collect();
    let stock = quickest(|| {
        // the witness is laid out for each, as ours does
        let circuit = PhasedCircuit::<Fr>::decided(&circuit.decisions(), model, &model.trace(&input));
        let mut transcript = Blake2bWrite::<_, G1Affine, Challenge255<_>>::init(vec![]);
        create_proof::<KZGCommitmentScheme<Bn256>, ProverSHPLONK<'_, Bn256>, Challenge255<G1Affine>, _, _, _>(
            &params,
            &pk,
            &[circuit],
            &[&instances],
            OsRng,
            &mut transcript,
        )?;
        Ok(())
    })?;
    drop((pk, params));

    let key = ProvingKey::generate(model, &LaidOut::for_keygen(Layout::Phased, model)?, srs)?;
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    let own = quickest(|| {
        let proof = prove(&key, model, &input, [0; 32], &mut rng)?;
        Ok(verify(key.verifying_key(), &proof)?)
    })?;
    Ok((circuit, [stock, own]))
}

fn main() -> Result<()> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut table = format!("On {cores} cores, Hallmark {}; the quickest of {TRIES}.\n\n", env!("CARGO_PKG_VERSION"));
    table.push_str("| k | rows | halo2's prover, CPU s | s | ours, CPU s | s | CPU, times less |\n");
    let _ = writeln!(table, "| ---: |{}", " ---: |".repeat(6));
    for neurons in NEURONS {
        let (circuit, [stock, own]) = measure(&model(neurons)?)?;
        let sizes = format!("{} | {}", circuit.k, circuit.layout.rows());
        let times = [stock, own].map(|time| format!("{:.2} | {:.2}", time.cpu_seconds, time.wall_seconds)).join(" | ");
        let line = format!("| {sizes} | {times} | {:.1} |", stock.cpu_seconds / own.cpu_seconds);
        eprintln!("{line}");
        let _ = writeln!(table, "{line}");
    }
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/proving.md");
    let text = fs::read_to_string(&page)?;
    let (Some((before, _)), Some((_, after))) = (text.split_once(BEGIN), text.split_once(END)) else {
        return Err(format!("{} has no place for the table", page.display()).into());
    };
    write_atomic(&page, format!("{before}{BEGIN}\n{table}{END}{after}").as_bytes())?;
    Ok(())
}
