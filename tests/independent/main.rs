//! Judges that share no verifier with this crate: halo2's own, and `snark-verifier` natively and as a contract.
//!
//! They judge the circuits and their keys, under stock halo2 proofs in the transcript of `snark-verifier`; Hallmark's own
//! proofs stand beside them. On random models, every judge accepts the outputs of the interpreter, and none accepts another
//! output, a damaged proof, the proof of another model, or a proof of a witness that no input has.

mod contract;
mod general;
mod layout;
mod periodic;
mod phased;
mod stock;

#[path = "../common/mod.rs"]
mod common;

use std::ops::RangeInclusive;

use ff::Field;
use group::Curve;
use hallmark::{
    chain::{Anvil, AnvilOptions, Search},
    circuit::{ModelCircuit, PeriodicCircuit, PhasedCircuit, domain_generator, field},
    graph::IntegerModel,
    proof::{Proof, ProvingKey, verify},
};
use halo2curves::bn256::Fr;
use rayon::prelude::*;

use common::{Draw, random_functions, random_input, random_model, random_values, twin};
use contract::Contract;
use layout::{Kind, Layout};
use stock::{Stock, srs};

/// The most kinds of lies that are told about one model: a proof each.
const LIES: usize = 3;

/// One model in so many is set against its twin.
const TWINS: usize = 4;

/// How many contracts are deployed.
const CONTRACTS: usize = 3;

/// A model with an input, keys of both kinds, and the honest circuit.
struct Case<L> {
    seed: u64,
    model: IntegerModel,
    input: Vec<i128>,
    honest: L,
    stock: Stock,
    own: ProvingKey,
}

/// From these seeds on, models are those of functions, and of functions whose values are looked up.
const FUNCTIONS: u64 = 1 << 32;
const VALUES: u64 = 1 << 33;

/// A random model and an input of its domain.
fn drawn(seed: u64) -> (IntegerModel, Vec<i128>) {
    let model = match seed {
        VALUES.. => random_values(seed - VALUES),
        FUNCTIONS.. => random_functions(seed - FUNCTIONS),
        _ => random_model(seed),
    };
    let input = random_input(&model, &mut Draw::new(!seed));
    (model, input)
}

impl<L: Layout> Case<L> {
    fn new(seed: u64) -> Self {
        let (model, input) = drawn(seed);
        let honest = L::lay_out(&model, &input).unwrap();
        let own = L::own_keys(&model, srs(honest.k()));
        let stock = Stock::new(&honest, &honest.instances(&outputs(&model, &input)));
        Self { seed, model, input, honest, stock, own }
    }

    /// Keys are the same points, whoever generates them and from whatever witness.
    fn compare_keys(&self) {
        let (protocol, vk) = (self.own.verifying_key().protocol(), self.stock.verifying_key());
        assert_eq!(&protocol.fixed, vk.fixed_commitments(), "seed {}", self.seed);
        let sigma: Vec<_> =
            protocol.permutation.iter().flat_map(|permutation| permutation.sigma.iter().copied()).collect();
        let mut expected = vk.permutation().commitments().clone();
        // the rows of a tie have each other's values
        let mut moved = vec![Fr::ZERO; 1 << self.honest.k()];
        for (left, right) in self.honest.tied_rows() {
            let omega = domain_generator::<Fr>(self.honest.k());
            moved[left] = omega.pow([right as u64]) - omega.pow([left as u64]);
            moved[right] = -moved[left];
        }
        if let Some(first) = expected.first_mut() {
            *first = (self.stock.commit(moved) + *first).to_affine();
        }
        assert_eq!(sigma, expected, "seed {}", self.seed);
    }

    /// What both stock judges say.
    fn verdict(&self, proof: &[u8], instances: &[Vec<Fr>]) -> Result<(), String> {
        let (halo2, other) = (self.stock.halo2(proof, instances), self.stock.snark_verifier(proof, instances));
        assert_eq!(halo2.is_ok(), other.is_ok(), "seed {}: halo2 {halo2:?}, snark-verifier {other:?}", self.seed);
        halo2
    }

    #[track_caller]
    fn rejects(&self, what: &str, proof: &[u8], instances: &[Vec<Fr>]) {
        assert!(self.verdict(proof, instances).is_err(), "seed {}: accepted with {what}", self.seed);
    }

    /// The outputs of the interpreter are accepted by everybody, others by nobody.
    fn judge_outputs(&self, draw: &mut Draw) -> Vec<u8> {
        let outputs = outputs(&self.model, &self.input);
        let instances = self.honest.instances(&outputs);
        let proof = self.stock.prove(&self.honest, &instances);
        assert_eq!(self.verdict(&proof, &instances), Ok(()), "seed {}, input {:?}", self.seed, self.input);

        let (i, delta) = (draw.index(outputs.len()), [Fr::ONE, -Fr::ONE][draw.index(2)]);
        let mut other = outputs.clone();
        other[i] += delta;
        let other = self.honest.instances(&other);
        self.rejects("another output", &proof, &other);
        self.rejects("another output, proved", &self.stock.prove(&self.honest, &other), &other);

        let own = common::prove(&self.own, &self.model, &self.input);
        let values: Vec<Fr> = own.statement.public_values.iter().map(|&value| field(value)).collect();
        assert_eq!(values, outputs, "seed {}", self.seed);
        let key = self.own.verifying_key();
        assert_eq!(verify(key, &own), Ok(()), "seed {}", self.seed);
        let mut forged: Vec<Proof> = vec![own; 3];
        forged[0].statement.public_values[i] += if delta == Fr::ONE { 1 } else { -1 };
        for forged in &mut forged[1..] {
            let (word, bit) = (draw.index(forged.words.len()), draw.index(256));
            forged.words[word][bit / 8] ^= 1 << (bit % 8);
        }
        assert!(forged.iter().all(|proof| verify(key, proof).is_err()), "seed {}", self.seed);
        proof
    }

    /// Flipped bits, a missing end, changed cells of instance columns.
    fn judge_damage(&self, proof: &[u8], draw: &mut Draw) {
        let instances = self.honest.instances(&outputs(&self.model, &self.input));
        for byte in [0, proof.len() - 1, draw.index(proof.len()), draw.index(proof.len())] {
            let mut damaged = proof.to_vec();
            damaged[byte] ^= 1 << draw.index(8);
            self.rejects(&format!("a flipped bit of byte {byte}"), &damaged, &instances);
        }
        self.rejects("a byte missing", &proof[..proof.len() - 1], &instances);
        for column in 0..instances.len() {
            let row = draw.index(instances[column].len());
            let mut changed = instances.clone();
            changed[column][row] += Fr::ONE;
            self.rejects(&format!("row {row} of instance column {column} changed"), proof, &changed);
        }
    }

    /// A proof of a model that differs in one unit of its last bias. Returns whether there is one.
    fn judge_twin(&self) -> bool {
        let model = twin(&self.model);
        let twin = L::lay_out(&model, &self.input).filter(|twin| model != self.model && twin.k() == self.honest.k());
        let Some(twin) = twin else { return false };
        let instances = twin.instances(&outputs(&model, &self.input));
        let stock = Stock::new(&twin, &instances);
        let proof = stock.prove(&twin, &instances);
        assert_eq!(stock.halo2(&proof, &instances), Ok(()), "seed {}", self.seed);
        self.rejects("the twin's proof", &proof, &self.honest.instances(&outputs(&model, &self.input)));
        let own = common::prove(&L::own_keys(&model, srs(twin.k())), &model, &self.input);
        assert!(verify(self.own.verifying_key(), &own).is_err(), "seed {}", self.seed);
        true
    }

    /// Witnesses that no input has, up to [`LIES`]. Returns their kinds.
    fn judge_lies(&self, draw: &mut Draw) -> Vec<Kind> {
        let mut lies = self.honest.lies(&self.model, &self.input, draw);
        while lies.len() > LIES {
            lies.swap_remove(draw.index(lies.len()));
        }
        for lie in &lies {
            let instances = self.honest.instances(&lie.claims);
            let proof = self.stock.prove(&lie.prover, &instances);
            self.rejects(&format!("{:?}, cells {:?}", lie.kind, lie.prover.cells), &proof, &instances);
        }
        lies.into_iter().map(|lie| lie.kind).collect()
    }
}

/// What the interpreter says, in the field.
fn outputs(model: &IntegerModel, input: &[i128]) -> Vec<Fr> {
    model.public_values(&model.trace(input)).into_iter().map(field).collect()
}

/// The first seeds whose models a layout holds in `2^k` rows for one of these `k`.
fn seeds<L: Layout>(ks: &RangeInclusive<u32>, count: usize) -> Vec<u64> {
    let fits = |seed: &u64| {
        let (model, input) = drawn(*seed);
        L::lay_out(&model, &input).is_some_and(|circuit| ks.contains(&circuit.k()))
    };
    (0..).filter(fits).take(count).collect()
}

/// The kinds of lies that were told of a model, and whether it was set against its twin.
fn judge_seed<L: Layout>(seed: u64) -> (Vec<Kind>, bool) {
    let case = Case::<L>::new(seed);
    let mut draw = Draw::new(seed.rotate_left(32));
    case.compare_keys();
    let proof = case.judge_outputs(&mut draw);
    case.judge_damage(&proof, &mut draw);
    (case.judge_lies(&mut draw), draw.once_in(TWINS) && case.judge_twin())
}

fn judge<L: Layout>() {
    let seeds: Vec<u64> = L::MODELS.iter().flat_map(|(ks, count)| seeds::<L>(ks, *count)).collect();
    let models = seeds.len();
    let judged: Vec<(Vec<Kind>, bool)> = seeds.into_par_iter().map(judge_seed::<L>).collect();
    for kind in Kind::ALL {
        let count = judged.iter().filter(|(kinds, _)| kinds.contains(&kind)).count();
        assert!(count >= models / 5, "{kind:?} in {count} models only");
    }
    let twins = judged.iter().filter(|(_, twin)| *twin).count();
    assert!(twins >= models / TWINS / 2, "{twins} twins only");
}

#[test]
fn judges_agree_on_random_models_in_the_general_layout() {
    judge::<ModelCircuit<Fr>>();
}

#[test]
fn judges_agree_on_random_models_in_the_periodic_layout() {
    judge::<PeriodicCircuit<Fr>>();
}

#[test]
fn judges_agree_on_random_models_in_the_phased_layout() {
    judge::<PhasedCircuit<Fr>>();
}

#[test]
fn judges_agree_on_functions_by_tables() {
    for (first, kind) in [(FUNCTIONS, Kind::Segment), (VALUES, Kind::Value)] {
        let judged: Vec<(Vec<Kind>, bool)> =
            (first..first + 8).into_par_iter().map(judge_seed::<PhasedCircuit<Fr>>).collect();
        assert!(judged.iter().filter(|(kinds, _)| kinds.contains(&kind)).count() >= 3);
    }
}

/// Smallest domains only: the contract has code for every row of the instance columns.
fn judge_by_contract<L: Layout>() {
    let mut anvil = Search::default().anvil().unwrap();
    anvil.arguments.push("--disable-code-size-limit".into());
    let anvil = Anvil::start(&anvil, &AnvilOptions::default()).unwrap();
    for seed in seeds::<L>(&L::SMALL, CONTRACTS) {
        let case = Case::<L>::new(seed);
        let mut draw = Draw::new(seed);
        let contract = Contract::deploy(&case.stock, &anvil);
        let rejects = |what: &str, proof: &[u8], instances: &[Vec<Fr>]| {
            case.rejects(what, proof, instances);
            assert!(!contract.accepts(proof, instances), "seed {seed}: accepted with {what}");
        };

        let outputs = outputs(&case.model, &case.input);
        let instances = case.honest.instances(&outputs);
        let proof = case.stock.prove(&case.honest, &instances);
        assert!(contract.accepts(&proof, &instances), "seed {seed}");
        assert_eq!(case.verdict(&proof, &instances), Ok(()), "seed {seed}");

        let mut damaged = proof.clone();
        damaged[draw.index(proof.len())] ^= 1 << draw.index(8);
        rejects("a flipped bit", &damaged, &instances);
        let mut other = outputs.clone();
        other[draw.index(outputs.len())] += Fr::ONE;
        let other = case.honest.instances(&other);
        rejects("another output", &proof, &other);
        rejects("another output, proved", &case.stock.prove(&case.honest, &other), &other);
        for lie in case.honest.lies(&case.model, &case.input, &mut draw) {
            let instances = case.honest.instances(&lie.claims);
            let proof = case.stock.prove(&lie.prover, &instances);
            rejects(&format!("{:?}, cells {:?}", lie.kind, lie.prover.cells), &proof, &instances);
        }
    }
}

#[test]
fn the_contract_of_another_generator_agrees_in_the_general_layout() {
    judge_by_contract::<ModelCircuit<Fr>>();
}

#[test]
fn the_contract_of_another_generator_agrees_in_the_periodic_layout() {
    judge_by_contract::<PeriodicCircuit<Fr>>();
}

#[test]
fn the_contract_of_another_generator_agrees_in_the_phased_layout() {
    judge_by_contract::<PhasedCircuit<Fr>>();
}
