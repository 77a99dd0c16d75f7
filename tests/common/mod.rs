//! Random models and their keys, for the integration tests.

use hallmark::{
    circuit::ModelCircuit,
    graph::{Affine, Feature, IntegerModel, IntegerNode, Interval, integer::Output},
    ops::{Op, Rescale},
    proof::{Proof, ProvingKey, Srs},
    solidity::{ContractInfo, verifier_source},
};
use halo2curves::bn256::Fr;
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

/// A random multi-layer perceptron with ReLUs between its layers, inputs in `[-domain, domain]`.
pub fn mlp(widths: &[usize], domain: i128, seed: u64) -> IntegerModel {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let mut weight = |bound: i64| (rng.next_u64() % (2 * bound as u64 + 1)) as i64 - bound;
    let range = Interval::new(-domain, domain).unwrap();
    let features = (0..widths[0]).map(|i| Feature { name: format!("x{i}"), scale: 1.0, range }).collect();
    let mut model = IntegerModel { features, nodes: vec![], outputs: vec![] };
    let push = |model: &mut IntegerModel, op: Op| {
        let input = model.nodes.len();
        let ranges = op.bounds(&[&model.ranges(input)]).unwrap();
        model.nodes.push(IntegerNode { name: format!("node{input}"), op, inputs: vec![input], ranges });
    };
    for (layer, pair) in widths.windows(2).enumerate() {
        if layer > 0 {
            push(&mut model, Op::Relu);
        }
        if layer > 1 {
            push(&mut model, Op::Rescale(Rescale { shift: 6 }));
        }
        let (input_len, output_len) = (pair[0], pair[1]);
        let map = Affine {
            input_len,
            row_starts: (0..=output_len).map(|j| (j * input_len) as u32).collect(),
            columns: (0..output_len).flat_map(|_| 0..input_len as u32).collect(),
            weights: (0..input_len * output_len).map(|_| weight(500) | 1).collect(),
            bias: (0..output_len).map(|_| weight(10_000).into()).collect(),
        };
        push(&mut model, Op::Linear(map));
    }
    model.outputs.push(Output { name: "y".into(), tensor: model.nodes.len(), scale: 1024.0 });
    model
}

/// Keys under the embedded setup, and the contract's source.
pub fn keys_and_contract(model: &IntegerModel, name: &str) -> (ProvingKey, String) {
    let k = ModelCircuit::<Fr>::for_keygen(model).k;
    let pk = ProvingKey::generate(model, Srs::embedded(k).unwrap()).unwrap();
    let vk = pk.verifying_key();
    let info = ContractInfo {
        name: name.into(),
        model: "a random perceptron".into(),
        setup: vk.setup().to_string(),
        outputs: model.public_ranges().iter().enumerate().map(|(i, _)| (format!("y{i}"), 1024.0)).collect(),
    };
    let source = verifier_source(vk.protocol(), vk.public_ranges(), &info).unwrap();
    (pk, source)
}

/// A proof with blinding from a fixed seed, for context `0x0707...`.
pub fn prove(pk: &ProvingKey, model: &IntegerModel, input: &[i128]) -> Proof {
    hallmark::proof::prove(pk, model, input, [7; 32], &mut ChaCha20Rng::seed_from_u64(1)).unwrap()
}
