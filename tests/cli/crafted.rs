//! Artifacts made to do harm: every digest is right and the content is nonsense. They are refused without a panic and
//! without an allocation of what they claim.

use std::{cell::RefCell, fs};

use hallmark::{
    circuit::Layout,
    graph::{Affine, Feature, IntegerModel, Interval, integer::Output},
    ops::{Divide, OneHot, Op, Piecewise, Product, Rescale, Root, Segment},
    project::{AnyVerifyingKey, Project},
    proof::{
        Bn254, Curve, CurveId, Srs,
        artifact::{ArtifactKind, read_artifact, write_artifact},
        points::{Encoding, in_g2_subgroup},
        srs_file::generate_unsafe_file,
    },
};
use halo2curves::serde::SerdeObject;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    artifacts::{read, reseal},
    support::{Ended, Scene, run_in_little_memory},
};

/// Puts `payload` into the folder, all digests fitting, and runs what reads folders.
fn run_with(scene: &Scene, file: &str, kind: ArtifactKind, payload: &[u8]) -> Vec<Ended> {
    write_artifact(&scene.folder().join(file), kind, payload).unwrap();
    reseal(&scene.folder(), file);
    read(scene, &run_in_little_memory)
}

/// The linear map of the first node, which the credit model has.
fn linear(model: &mut IntegerModel) -> &mut Affine<i64, i128> {
    match &mut model.nodes[0].op {
        Op::Linear(map) => map,
        other => panic!("{other:?}"),
    }
}

#[test]
fn circuits_that_make_no_sense() {
    let scene = Scene::new();
    let whole = Project::open(&scene.folder()).unwrap().model().clone();
    let refused = |payload: &[u8], words: &[&str]| {
        for ended in run_with(&scene, "circuit.bin", ArtifactKind::Circuit, payload) {
            ended.fails(1, words);
        }
    };
    let change = |change: &dyn Fn(&mut IntegerModel), words: &[&str]| {
        let mut model = whole.clone();
        change(&mut model);
        assert_ne!(model, whole);
        refused(
            &postcard::to_allocvec(&model).unwrap(),
            &[&["circuit.bin", "compile the model again"], words].concat(),
        );
    };

    for garbage in
        [&b""[..], &[0xff; 64], &[0x80; 64], &[0; 3], &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 1, 2]]
    {
        refused(garbage, &["circuit.bin"]);
    }
    let encoded = postcard::to_allocvec(&whole).unwrap();
    refused(&[encoded.as_slice(), b"x"].concat(), &["circuit.bin", "bytes follow the model's end"]);
    refused(&encoded[..encoded.len() - 1], &["circuit.bin", "not a model"]);

    let missing = "a tensor that does not exist yet";
    change(&|model| model.nodes[0].inputs = vec![1], &[missing]);
    change(&|model| model.nodes[0].inputs = vec![usize::MAX], &[missing]);
    change(&|model| model.nodes[0].inputs = vec![], &[missing]);
    change(&|model| model.nodes[0].inputs = vec![0; 2_000_000], &["reads more than 16777216 elements"]);
    let shapes = "weights do not fit the shapes";
    change(&|model| linear(model).columns[0] = 10, &[shapes]);
    change(&|model| linear(model).columns[0] = u32::MAX, &[shapes]);
    change(&|model| linear(model).row_starts[1] = u32::MAX, &[shapes]);
    change(&|model| linear(model).row_starts.clear(), &[shapes]);
    change(&|model| linear(model).row_starts[0] = 1, &[shapes]);
    change(&|model| linear(model).input_len = usize::MAX, &[shapes]);
    change(&|model| linear(model).weights.truncate(1), &[shapes]);
    change(&|model| linear(model).bias.truncate(1), &[shapes]);
    change(&|model| linear(model).bias[0] = i128::MIN, &[shapes]);
    change(&|model| linear(model).weights[0] = i64::MIN, &["node", "range"]);
    change(&|model| model.nodes[1].op = Op::Rescale(Rescale { shift: 0 }), &[shapes]);
    change(&|model| model.nodes[1].op = Op::Rescale(Rescale { shift: u32::MAX }), &[shapes]);
    let product = |batch, rows, inner, columns| Op::Product(Product { batch, rows, inner, columns });
    for op in [
        Op::OneHot(OneHot { depth: 1 << 40 }),
        Op::Divide(Divide { shift: i32::MIN, nearest: true }),
        Op::Root(Root { shift: u32::MAX }),
        product(1, 0, 1, 32),
        product(usize::MAX, usize::MAX, 2, 2),
        Op::Piecewise(Piecewise { segments: vec![], end: 0, shift: 0 }),
        Op::Piecewise(Piecewise {
            segments: [0, i128::MIN].map(|start| Segment { start, coefficients: [i128::MIN; 3] }).into(),
            end: i128::MAX,
            shift: 1,
        }),
    ] {
        change(&|model| model.nodes[1].op = op.clone(), &[shapes]);
    }
    change(&|model| model.nodes.swap(0, 1), &["node"]);
    let implied = "not those that the domain implies";
    change(&|model| model.nodes[0].ranges.clear(), &[implied]);
    change(&|model| model.nodes[0].ranges[0] = Interval { lo: i128::MIN, hi: i128::MAX }, &[implied]);
    change(&|model| model.nodes[0].ranges[0] = Interval { lo: 1, hi: 0 }, &[implied]);
    let domain = "domain or scale is not valid";
    for scale in [f64::NAN, f64::INFINITY, 0.0, -1.0] {
        change(&|model| model.features[0].scale = scale, &[domain]);
    }
    change(&|model| model.features[0].range = Interval { lo: 5, hi: 4 }, &[domain]);
    change(&|model| model.features[0].range = Interval { lo: i128::MIN, hi: i128::MAX }, &[domain]);
    change(&|model| model.features.clear(), &[]);
    change(&|model| model.outputs.clear(), &["an output does not exist"]);
    change(&|model| model.outputs[0].tensor = usize::MAX, &["an output does not exist"]);
    change(&|model| model.outputs[0].scale = f64::NAN, &["has no scale"]);
    let many = |model: &mut IntegerModel| {
        let output = Output { name: String::new(), tensor: 0, scale: 1.0 };
        model.outputs = vec![output; 2_000_000];
    };
    change(&many, &["outputs have more than 16777216 elements"]);
    // Well formed, and another model than that of the keys.
    refused(&other_model(&whole, |model| model.features[0].range.hi += 1), &[]);
    let none = IntegerModel { features: vec![], ..Default::default() };
    refused(&postcard::to_allocvec(&none).unwrap(), &["an output does not exist"]);
    let feature = Feature { name: "x".into(), scale: 1.0, range: Interval::new(0, 1).unwrap() };
    let output = Output { name: "y".into(), tensor: 0, scale: 1.0 };
    let identity = IntegerModel { features: vec![feature], outputs: vec![output], ..Default::default() };
    refused(&postcard::to_allocvec(&identity).unwrap(), &["key"]);
}

/// The model after a change, with the ranges that follow from it.
fn other_model(model: &IntegerModel, change: impl FnOnce(&mut IntegerModel)) -> Vec<u8> {
    let mut model = model.clone();
    change(&mut model);
    for i in 0..model.nodes.len() {
        model.nodes[i].ranges = model.implied_ranges(&model.nodes[i].op, &model.nodes[i].inputs).unwrap();
    }
    model.validate().unwrap();
    postcard::to_allocvec(&model).unwrap()
}

/// A verifying key's payload: what its encoding is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Key {
    curve: CurveId,
    layout: Layout,
    quotient_pieces: usize,
    fixed: Vec<Vec<[u8; 32]>>,
    sigma: Option<Vec<[u8; 32]>>,
    s_g2: Vec<u8>,
    public_ranges: Vec<Interval>,
    setup: String,
}

#[test]
fn verifying_keys_that_make_no_sense() {
    let scene = Scene::new();
    let path = scene.folder().join("verifying.key");
    let payload = read_artifact(&path, ArtifactKind::VerifyingKey).unwrap();
    let whole: Key = postcard::from_bytes(&payload).unwrap();
    assert_eq!(postcard::to_allocvec(&whole).unwrap(), payload);
    let refused = |payload: &[u8], words: &[&str]| {
        for ended in run_with(&scene, "verifying.key", ArtifactKind::VerifyingKey, payload) {
            ended.fails(1, words);
        }
    };
    let change = |change: &dyn Fn(&mut Key), words: &[&str]| {
        let mut key = whole.clone();
        change(&mut key);
        assert_ne!(key, whole);
        refused(&postcard::to_allocvec(&key).unwrap(), &[&["verifying", "compile the model again"], words].concat());
    };

    for garbage in [&b""[..], &[0xff; 64], &[0x80; 64], &[11, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]] {
        refused(garbage, &["verifying key", "encoding is not valid"]);
    }
    refused(&[payload.as_slice(), b"x"].concat(), &["verifying key", "bytes follow its end"]);
    change(&|key| key.curve = CurveId::Bls12381, &["a commitment is not a point"]);
    change(&|key| key.layout = Layout::General, &["commitments are not those of its columns"]);
    for pieces in [0, 3, usize::MAX] {
        change(&|key| key.quotient_pieces = pieces, &["neither one nor two pieces"]);
    }
    change(&|key| key.quotient_pieces = 2, &["digest"]);
    let point = "a commitment is not a point";
    let count = "commitments are not those of its columns";
    change(&|key| key.fixed.clear(), &[count]);
    change(&|key| key.fixed = vec![key.fixed[0].clone(); 100], &[count]);
    change(&|key| key.fixed[0].clear(), &[point]);
    change(&|key| key.fixed[0].push([0; 32]), &[point]);
    change(&|key| key.fixed[0] = vec![[0xff; 32]; 2], &[point]);
    change(&|key| key.fixed[0][1][31] ^= 1, &[point]);
    change(&|key| key.fixed[0].swap(0, 1), &[point]);
    change(&|key| key.sigma = Some(key.fixed[0].clone()), &[count]);
    let setup = "setup is not a point of G2";
    change(&|key| key.s_g2.clear(), &[setup]);
    change(&|key| key.s_g2 = vec![0; 128], &[setup]);
    change(&|key| key.s_g2 = vec![0xff; 128], &[setup]);
    change(&|key| key.s_g2[0] ^= 1, &[setup]);
    change(&|key| key.s_g2 = outside_subgroup(), &[setup]);
    change(&|key| key.fixed[0] = vec![[0; 32]; 2], &["digest"]);
    let ranges = "public values are not those of the model";
    change(&|key| key.public_ranges.clear(), &[ranges]);
    change(&|key| key.public_ranges[0].hi += 1, &[ranges]);
    change(&|key| key.public_ranges[0] = Interval { lo: i128::MAX, hi: i128::MIN }, &[ranges]);
    let origin = "setup's origin is not known";
    change(&|key| key.setup.clear(), &[origin]);
    change(&|key| key.setup = "[".repeat(1 << 20), &[origin]);
    change(&|key| key.setup = r#"{"kind": "trust-me"}"#.into(), &[origin]);
    let foreign = Srs::generate_unsafe(5, ChaCha20Rng::seed_from_u64(1)).unwrap().s_g2().to_raw_bytes();
    change(&|key| key.s_g2 = foreign.clone(), &["claims to be a ceremony that it is not"]);
}

/// A point of the curve that G2 lies on, outside of G2.
fn outside_subgroup() -> Vec<u8> {
    let point = (0u8..).find_map(|x| {
        let mut bytes = [0; 64];
        bytes[0] = x;
        Encoding::Halo2Compressed.g2(&bytes)
    });
    let point = point.unwrap();
    assert!(!in_g2_subgroup(&point));
    point.to_raw_bytes()
}

/// Keys that are well formed and wrong, in a folder whose manifest names them: proving ends with an error, and proofs of
/// the model that they pretend to be do not verify.
#[test]
fn verifying_keys_of_nothing() {
    let scene = Scene::new();
    let path = scene.folder().join("verifying.key");
    let whole: Key = postcard::from_bytes(&read_artifact(&path, ArtifactKind::VerifyingKey).unwrap()).unwrap();
    let proof: Value = serde_json::from_slice(&fs::read(scene.proof()).unwrap()).unwrap();
    let model = Project::open(&scene.folder()).unwrap().model().clone();
    let proving_key =
        RefCell::new(read_artifact(&scene.folder().join("proving.key"), ArtifactKind::ProvingKey).unwrap());
    let pretend = |change: &dyn Fn(&mut Key)| {
        let mut key = whole.clone();
        change(&mut key);
        let payload = postcard::to_allocvec(&key).unwrap();
        let id = AnyVerifyingKey::from_bytes(&payload, &model).unwrap().id();
        let manifest = scene.folder().join("manifest.json");
        let mut content: Value = serde_json::from_slice(&fs::read(&manifest).unwrap()).unwrap();
        content["model"]["id"] = json!(id);
        fs::write(&manifest, content.to_string()).unwrap();
        let mut proof = proof.clone();
        proof["model_id"] = json!(id);
        fs::write(scene.proof(), proof.to_string()).unwrap();
        proving_key.borrow_mut()[..32].copy_from_slice(&hex::decode(id).unwrap());
        write_artifact(&scene.folder().join("proving.key"), ArtifactKind::ProvingKey, &proving_key.borrow()).unwrap();
        reseal(&scene.folder(), "proving.key");
        run_with(&scene, "verifying.key", ArtifactKind::VerifyingKey, &payload)
    };
    let foreign = Srs::generate_unsafe(5, ChaCha20Rng::seed_from_u64(1)).unwrap();
    let secret = foreign.g()[1];
    let s_g2 = foreign.s_g2().to_raw_bytes();
    let changes: [&dyn Fn(&mut Key); 3] =
        [&|key| key.fixed[0] = vec![[0; 32]; 2], &|key| key.fixed[0] = Bn254::point(&secret), &|key| {
            (key.s_g2, key.setup) = (s_g2.clone(), r#"{"kind":"unsafe"}"#.into())
        }];
    for change in changes {
        let ended = pretend(change);
        ended[..2].iter().for_each(|ended| ended.fails(3, &["not valid for this verifying key"]));
        ended[2].fails(1, &["prover failed", "damaged proving key"]);
    }
}

#[test]
fn proving_keys_that_make_no_sense() {
    let scene = Scene::new();
    let path = scene.folder().join("proving.key");
    let whole = read_artifact(&path, ArtifactKind::ProvingKey).unwrap();
    let change = |change: &dyn Fn(&mut Vec<u8>), words: &[&str]| {
        let mut payload = whole.clone();
        change(&mut payload);
        let ended = run_with(&scene, "proving.key", ArtifactKind::ProvingKey, &payload);
        ended[..2].iter().for_each(|ended| assert_eq!(ended.code, 0, "{ended:?}"));
        ended[2].fails(1, words);
    };
    change(&|bytes| bytes.clear(), &["proving key is damaged", "too short"]);
    change(&|bytes| bytes.truncate(31), &["proving key is damaged", "too short"]);
    change(&|bytes| bytes[0] ^= 1, &["proving key belongs to another model"]);
    for len in [32, 33, 96, 32 + (64 << 12), 31 + (64 << 13)] {
        change(&|bytes| bytes.truncate(len), &["proving key is damaged", "length does not fit"]);
    }
    change(&|bytes| bytes.extend([0; 64]), &["proving key is damaged", "length does not fit"]);
    change(&|bytes| bytes[40] ^= 1, &["proving key is damaged", "not a point"]);
    change(&|bytes| bytes[32..].fill(0xff), &["proving key is damaged", "not a point"]);
    // Points of the curve, and not the setup's powers: the prover checks its proof before it gives it away.
    let prover = ["prover failed", "damaged proving key"];
    change(&|bytes| bytes[32..].fill(0), &prover);
    change(&|bytes| bytes.copy_within(32..96, 160), &prover);
    let srs = scene.path("foreign.srs");
    generate_unsafe_file(&srs, 13, ChaCha20Rng::seed_from_u64(1), |_, _| ()).unwrap();
    let foreign: Vec<u8> = Srs::read(&srs, 13).unwrap().g().iter().flat_map(|point| point.to_raw_bytes()).collect();
    change(&|bytes| bytes[32..].copy_from_slice(&foreign), &prover);
}
