//! Three judges of one statement: the interpreter, the native verifier and the generated contract must agree, on honest
//! proofs of random models and on tampered ones.

use hallmark::{
    chain::{Anvil, AnvilOptions, CompileSettings, Compiled, Search, compile},
    circuit::Layout,
    graph::{Digest, IntegerModel, Output},
    ops::{Op, Product},
    proof::{
        Bn254, Curve, Proof, ProvingKey,
        curve::{Word, scalar_word},
        protocol::Protocol,
        verifier::VerifyError,
        verify,
    },
    solidity::Calldata,
};
use halo2curves::bn256::Fr;
use rayon::prelude::*;

mod common;

use common::{
    Draw, committed, random_functions, random_general_model, random_input, random_model, random_values, reweighted,
    twin,
};

const SEEDS: std::ops::Range<u64> = 0..10;

/// A compiled model.
struct Case {
    seed: u64,
    model: IntegerModel,
    pk: ProvingKey,
    contract: Compiled,
}

impl Case {
    fn new(seed: u64, model: IntegerModel, layout: Layout) -> Self {
        assert_eq!(model.validate(), Ok(()), "seed {seed}");
        let (pk, source) = common::keys_and_contract_in(layout, &model, "Verifier");
        let solc = Search::default().solc().unwrap();
        let sources = [("Verifier.sol".into(), source)];
        let contract = compile(&solc, &sources, "Verifier", &CompileSettings::default()).unwrap();
        assert!(contract.warnings.is_empty(), "seed {seed}: {:?}", contract.warnings);
        Self { seed, model, pk, contract }
    }

    fn protocol(&self) -> &Protocol {
        self.pk.verifying_key().protocol()
    }

    fn deploy<'a>(&'a self, anvil: &'a Anvil) -> Judges<'a> {
        let address = anvil.deploy(&self.contract.init_code).unwrap().address;
        Judges { case: self, anvil, address: address.into() }
    }
}

/// The native verifier and the deployed contract of one model.
struct Judges<'a> {
    case: &'a Case,
    anvil: &'a Anvil,
    address: [u8; 20],
}

impl Judges<'_> {
    /// The common verdict: the name of the contract's error, if it is a rejection.
    fn verdict(&self, proof: &Proof) -> Result<(), String> {
        let calldata = Calldata::new(proof);
        let answer = self.anvil.call(self.address.into(), &calldata.encode("tryVerify")).unwrap();
        let mut yes = [0; 32];
        yes[31] = 1;
        assert!(answer == yes || answer == [0; 32], "seed {}: tryVerify answers {answer:?}", self.case.seed);
        let verified = self.verify(&calldata.encode("verify"));
        assert_eq!(verified.is_ok(), answer == yes, "seed {}: verify says {verified:?}", self.case.seed);
        let native = verify(self.case.pk.verifying_key(), proof);
        assert_eq!(native.is_ok(), answer == yes, "seed {}: {native:?} natively, {verified:?}", self.case.seed);
        verified
    }

    /// What `verify` says to these bytes: nothing, or the name of its error.
    fn verify(&self, calldata: &[u8]) -> Result<(), String> {
        match self.anvil.call(self.address.into(), calldata) {
            Ok(nothing) if nothing.is_empty() => Ok(()),
            Ok(something) => panic!("verify answers {something:?}"),
            Err(error) => {
                let data = error.revert_data().unwrap_or_else(|| panic!("no revert: {error}"));
                Err(self.case.contract.error_name(data).unwrap_or("no error of the contract").into())
            }
        }
    }
}

/// `word + modulus`, if it fits: another encoding of the same residue.
fn aliased(word: &Word, modulus: &str) -> Option<Word> {
    let (mut sum, mut carry) = (*word, 0);
    for (byte, &modulus) in sum.iter_mut().zip(&hex::decode(modulus).unwrap()).rev() {
        let digit = u16::from(*byte) + u16::from(modulus) + carry;
        (*byte, carry) = (digit as u8, digit >> 8);
    }
    (carry == 0).then_some(sum)
}

/// Order of the group.
const R: &str = "30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000001";

/// Modulus of the curve's coordinates.
const Q: &str = "30644e72e131a029b85045b68181585d97816a916871ca8d3c208c16d87cfd47";

/// Proofs that must be rejected, each with what was done to it.
fn tampered(proof: &Proof, protocol: &Protocol, draw: &mut Draw) -> Vec<(String, Proof)> {
    let mut forged = vec![];
    let mut tamper = |what: String, change: &mut dyn FnMut(&mut Proof)| {
        let mut copy = proof.clone();
        change(&mut copy);
        assert_ne!(&copy, proof, "{what}");
        forged.push((what, copy));
    };
    let values = proof.statement.public_values.len();
    for delta in if values > 0 { &[-1, 1][..] } else { &[] } {
        let i = draw.index(values);
        tamper(format!("public value {i} {delta:+}"), &mut |proof| proof.statement.public_values[i] += delta);
    }
    for i in 0..proof.statement.digests.len() {
        let bit = draw.index(250);
        tamper(format!("bit {bit} of digest {i}"), &mut |proof| {
            proof.statement.digests[i][31 - bit / 8] ^= 1 << (bit % 8)
        });
        let alias = aliased(&proof.statement.digests[i], R).unwrap();
        tamper(format!("the order added to digest {i}"), &mut |proof| proof.statement.digests[i] = alias);
    }
    let bit = draw.index(256);
    tamper(format!("bit {bit} of the context"), &mut |proof| proof.statement.context[bit / 8] ^= 1 << (bit % 8));

    for _ in 0..8 {
        let (word, bit) = (draw.index(proof.words.len()), draw.index(256));
        tamper(format!("bit {bit} of word {word}"), &mut |proof| proof.words[word][bit / 8] ^= 1 << (bit % 8));
    }
    // evaluations stand between the first points and the opening's two points
    let first = 2 * (protocol.points() - 1);
    let evaluations = protocol.evaluations().len();
    let words = proof.words.len();
    for word in [first, first + draw.index(evaluations)] {
        let alias = aliased(&proof.words[word], R).unwrap();
        tamper(format!("the order added to word {word}"), &mut |proof| proof.words[word] = alias);
    }
    for word in [draw.index(first), words - 1 - draw.index(4)] {
        let alias = aliased(&proof.words[word], Q).unwrap();
        tamper(format!("the modulus added to word {word}"), &mut |proof| proof.words[word] = alias);
    }
    for point in (0..first).step_by(2).chain([words - 4, words - 2]) {
        tamper(format!("infinity in words {point} and {}", point + 1), &mut |proof| {
            proof.words[point..point + 2].fill([0; 32]);
        });
    }
    let (one, other) = (first, first + evaluations - 1);
    tamper(format!("words {one} and {other} swapped"), &mut |proof| proof.words.swap(one, other));
    forged
}

fn anvil() -> Anvil {
    Anvil::start(&Search::default().anvil().unwrap(), &AnvilOptions::default()).unwrap()
}

#[test]
fn interpreter_verifier_and_contract_agree_on_random_models() {
    let case = |seed| Case::new(seed, random_model(seed), Layout::ALL[seed as usize % 3]);
    let cases: Vec<Case> = SEEDS.into_par_iter().map(case).collect();
    let anvil = anvil();
    for case in &cases {
        let judges = case.deploy(&anvil);
        let mut draw = Draw::new(!case.seed);
        for _ in 0..2 {
            let input = random_input(&case.model, &mut draw);
            let proof = common::prove(&case.pk, &case.model, &input);
            let outputs = case.model.public_values(&case.model.trace(&input));
            assert_eq!(proof.statement.public_values, outputs);
            assert_eq!(judges.verdict(&proof), Ok(()), "seed {}, input {input:?}", case.seed);
        }
        let proof = common::prove(&case.pk, &case.model, &random_input(&case.model, &mut draw));
        let mut verdicts = vec![];
        for (what, forged) in tampered(&proof, case.protocol(), &mut draw) {
            let verdict = judges.verdict(&forged);
            verdicts.push(verdict.expect_err(&format!("seed {}: accepted with {what}", case.seed)));
        }
        let rejected_by = |error: &str| verdicts.iter().filter(|verdict| *verdict == error).count();
        assert!(rejected_by("ProofRejected") >= 5, "seed {}: {verdicts:?}", case.seed);
        assert!(rejected_by("PointNotOnCurve") >= 2 && rejected_by("ScalarNotCanonical") >= 2, "{verdicts:?}");
        let calldata = Calldata::new(&proof).encode("verify");
        let longer = [calldata.as_slice(), &[0]].concat();
        for wrong in [&longer, &calldata[..calldata.len() - 1]] {
            assert!(judges.verify(wrong).is_err(), "seed {}: accepted {} bytes", case.seed, wrong.len());
        }
        assert_eq!(judges.verify(&calldata), Ok(()));
    }
}

/// The layouts that have all operators.
const ANY: [Layout; 2] = [Layout::General, Layout::Phased];

/// The operators that not every layout has.
#[test]
fn interpreter_verifier_and_contract_agree_on_models_of_any_operators() {
    let cases: Vec<Case> =
        SEEDS.into_par_iter().map(|seed| Case::new(seed, random_general_model(seed), ANY[seed as usize % 2])).collect();
    let anvil = anvil();
    for case in &cases {
        let judges = case.deploy(&anvil);
        let input = random_input(&case.model, &mut Draw::new(!case.seed));
        let proof = common::prove(&case.pk, &case.model, &input);
        assert_eq!(proof.statement.public_values, case.model.public_values(&case.model.trace(&input)));
        assert_eq!(judges.verdict(&proof), Ok(()), "seed {}, input {input:?}", case.seed);
        for (what, forged) in tampered(&proof, case.protocol(), &mut Draw::new(case.seed)) {
            assert!(judges.verdict(&forged).is_err(), "seed {}: accepted with {what}", case.seed);
        }
    }
    let used = |what: fn(&Op) -> bool| cases.iter().any(|case| case.model.nodes.iter().any(|node| what(&node.op)));
    assert!(used(|op| matches!(op, Op::Square)) && used(|op| matches!(op, Op::Product(_))));
    assert!(used(|op| matches!(op, Op::Piecewise(_))) && used(|op| matches!(op, Op::Divide(_))));
    assert!(used(|op| matches!(op, Op::Root(_))) && used(|op| matches!(op, Op::OneHot(_))));
}

/// More outputs than the contract names one by one: it reads them in a loop. No byte of the calldata may differ.
#[test]
fn many_outputs_are_read_in_a_loop() {
    let models = [(17, 3), (40, 4)].map(|(width, seed)| {
        let mut model = common::mlp(&[3, 4, width], 100, seed);
        // inputs are outputs as well, and a constant that is zero
        let zero = common::linear(3, &[vec![0, 0, 0]], vec![0]);
        let zero = common::push(&mut model, zero, vec![0]);
        for tensor in [0, zero] {
            model.outputs.push(Output { name: format!("tensor{tensor}"), tensor, scale: 1.0 });
        }
        model
    });
    let cases: Vec<Case> = models.into_par_iter().zip(ANY).map(|(model, layout)| Case::new(0, model, layout)).collect();
    let anvil = anvil();
    for case in &cases {
        assert!(case.protocol().shape.public_run().is_some());
        let judges = case.deploy(&anvil);
        for input in [[-100, 0, 100], [7, -1, 3]] {
            let proof = common::prove(&case.pk, &case.model, &input);
            assert_eq!(judges.verdict(&proof), Ok(()));
        }
        let proof = common::prove(&case.pk, &case.model, &[1, -2, 30]);
        for (what, forged) in tampered(&proof, case.protocol(), &mut Draw::new(1)) {
            assert!(judges.verdict(&forged).is_err(), "accepted with {what}");
        }
        let calldata = Calldata::new(&proof).encode("verify");
        for at in 4..calldata.len() {
            let mut forged = calldata.clone();
            forged[at] ^= 1 << (at % 8);
            assert!(judges.verify(&forged).is_err(), "accepted with another byte {at}");
        }
    }
}

/// Digests of inputs and outputs beside outputs, without any, and behind many; each is that of the interpreter's trace. No byte of the
/// calldata may differ.
#[test]
fn digests_are_judged_alike() {
    let model = |width: usize, digests: fn(&IntegerModel) -> Vec<Digest>, public: bool| {
        let mut model = common::mlp(&[3, 4, width], 100, 6);
        model.digests = digests(&model);
        if !public {
            model.outputs.clear();
        }
        model
    };
    let inputs = |_: &IntegerModel| vec![Digest::Inputs(vec![2, 0])];
    let both = |model: &IntegerModel| vec![Digest::Inputs(vec![0, 1, 2]), Digest::Outputs(model.outputs.clone())];
    let cases = [
        (model(2, inputs, true), Layout::General),
        (model(2, both, false), Layout::Phased),
        (model(17, inputs, true), Layout::General),
    ];
    let cases: Vec<Case> = cases.into_par_iter().map(|(model, layout)| Case::new(6, model, layout)).collect();
    let anvil = anvil();
    for case in &cases {
        let judges = case.deploy(&anvil);
        let input = random_input(&case.model, &mut Draw::new(3));
        let proof = common::prove(&case.pk, &case.model, &input);
        assert_eq!(judges.verdict(&proof), Ok(()));
        let trace = case.model.trace(&input).salted(&common::salts(&case.model));
        let digests: Vec<Word> = case.model.digests_of::<Fr>(&trace).iter().map(scalar_word).collect();
        assert_eq!(proof.statement.digests, digests);
        for (what, forged) in tampered(&proof, case.protocol(), &mut Draw::new(1)) {
            assert!(judges.verdict(&forged).is_err(), "accepted with {what}");
        }
        for (change, error) in [(0, "ProofRejected"), (1, "OutputOutOfRange")] {
            let mut forged = proof.clone();
            let digest = forged.statement.digests.last_mut().unwrap();
            *digest = if change == 0 { [1; 32] } else { aliased(digest, R).unwrap() };
            assert_eq!(judges.verdict(&forged), Err(error.into()));
        }
        let calldata = Calldata::new(&proof).encode("verify");
        for at in 4..calldata.len() {
            let mut forged = calldata.clone();
            forged[at] ^= 1 << (at % 8);
            assert!(judges.verify(&forged).is_err(), "accepted with another byte {at}");
        }
    }
}

/// What the layout `phased` checks by projections: products with a constant matrix and of two tensors, and a convolution. Weights are
/// so large that few sums share a field element.
#[test]
fn projected_products_are_verified() {
    verified_with_two_challenges(projected());
}

fn projected() -> Vec<IntegerModel> {
    let weight = |j: usize, i: usize| ((31 * j + 17 * i) as i64 % 10 - 12) << 45;
    let row = |k: usize| (0..108).map(|x| if x / 9 == k / 10 { weight(x % 9, k % 10) } else { 0 }).collect();
    let shared = common::linear(108, &(0..120).map(row).collect::<Vec<Vec<i64>>>(), vec![3; 120]);
    let product = Op::Product(Product { batch: 2, rows: 6, inner: 5, columns: 6 });
    // 4 filters of 3 x 3 over 10 x 10
    let filter = |k: usize| {
        let mut row = vec![0; 100];
        let tap = |at: usize| 10 * (k % 64 / 8 + at / 3) + k % 8 + at % 3;
        (0..9).for_each(|at| row[tap(at)] = weight(at, k / 64));
        row
    };
    let convolution = common::linear(100, &(0..256).map(filter).collect::<Vec<Vec<i64>>>(), vec![-2; 256]);
    let models = [(shared, 108), (product, 120), (convolution, 100)];
    models
        .into_iter()
        .map(|(op, inputs)| {
            let mut model = common::mlp(&[inputs, 1], 7, 1);
            (model.nodes, model.outputs) = (vec![], vec![]);
            let tensor = common::push(&mut model, op, vec![0]);
            let len = model.tensor_len(tensor);
            let sum = common::linear(len, &[vec![1; len], (0..len as i64).collect()], vec![0; 2]);
            let tensor = common::push(&mut model, sum, vec![tensor]);
            model.outputs.push(Output { name: "sums".into(), tensor, scale: 1.0 });
            model
        })
        .collect()
}

/// One contract for two models with committed weights, in every layout that has them, by rows of their own, side by side, by projections and as a
/// convolution: it takes the proofs of both, each for its own weights. Natively each key stands for its model.
#[test]
fn models_of_one_architecture_share_their_contract() {
    let [shared, _, convolution]: [IntegerModel; 3] = projected().try_into().unwrap();
    let of_seed = |seed: u64| (committed(&random_model(seed)), ANY[seed as usize % 2]);
    let large = [shared, convolution].map(|model| (committed(&model), Layout::Phased));
    let models: Vec<_> = (0..6).map(of_seed).chain(large).collect();
    let cases: Vec<[Case; 2]> = models
        .into_par_iter()
        .map(|(model, layout)| [model.clone(), reweighted(&model)].map(|model| Case::new(0, model, layout)))
        .collect();
    let anvil = anvil();
    for pair in &cases {
        let [one, other] = pair;
        assert_eq!(one.contract.init_code, other.contract.init_code);
        assert_eq!(one.protocol().digest(), other.protocol().digest());
        assert_ne!(one.protocol().model_id(), other.protocol().model_id());
        let judges = pair.each_ref().map(|case| case.deploy(&anvil));
        let input = random_input(&one.model, &mut Draw::new(4));
        let proofs = pair.each_ref().map(|case| common::prove(&case.pk, &case.model, &input));
        for i in 0..2 {
            let outputs = pair[i].model.public_values(&pair[i].model.trace(&input));
            assert_eq!(proofs[i].statement.public_values, outputs);
            assert_eq!(judges[i].verdict(&proofs[i]), Ok(()));
            assert_eq!(judges[i].verify(&Calldata::new(&proofs[1 - i]).encode("verify")), Ok(()));
            let native = verify(pair[i].pk.verifying_key(), &proofs[1 - i]);
            assert_eq!(native, Err(VerifyError::OtherWeights));
        }
        // one model's proof for the other's weights
        let mut forged = proofs[0].clone();
        forged.statement.weights = proofs[1].statement.weights.clone();
        assert_eq!(judges[1].verdict(&forged), Err("ProofRejected".into()));
        for (what, forged) in tampered(&proofs[0], one.protocol(), &mut Draw::new(1)) {
            assert!(judges[0].verdict(&forged).is_err(), "accepted with {what}");
        }
        let calldata = Calldata::new(&proofs[0]).encode("verify");
        // every byte of a small one: the golden contract's test
        for at in (4..calldata.len()).step_by(5) {
            let mut forged = calldata.clone();
            forged[at] ^= 1 << (at % 8);
            assert!(judges[0].verify(&forged).is_err(), "accepted with another byte {at}");
        }
    }
}

/// Functions whose segments the layout `phased` looks up, one of each degree, and such whose values it does.
#[test]
fn functions_by_tables_are_verified() {
    verified_with_two_challenges((0..3).map(random_functions).chain((0..2).map(random_values)).collect());
}

/// All judges accept the outputs of the interpreter in the layout `phased`, and nothing else.
fn verified_with_two_challenges(models: Vec<IntegerModel>) {
    let cases: Vec<Case> = models.into_par_iter().map(|model| Case::new(0, model, Layout::Phased)).collect();
    let anvil = anvil();
    for case in &cases {
        assert_eq!(case.protocol().challenges, 2);
        let judges = case.deploy(&anvil);
        let input = random_input(&case.model, &mut Draw::new(2));
        let proof = common::prove(&case.pk, &case.model, &input);
        assert_eq!(proof.statement.public_values, case.model.public_values(&case.model.trace(&input)));
        assert_eq!(judges.verdict(&proof), Ok(()));
        for (what, forged) in tampered(&proof, case.protocol(), &mut Draw::new(1)) {
            assert!(judges.verdict(&forged).is_err(), "accepted with {what}");
        }
        let calldata = Calldata::new(&proof).encode("verify");
        for at in 4..calldata.len() {
            let mut forged = calldata.clone();
            forged[at] ^= 1 << (at % 8);
            assert!(judges.verify(&forged).is_err(), "accepted with another byte {at}");
        }
    }
}

#[test]
fn a_proof_of_one_model_is_rejected_by_every_judge_of_its_twin() {
    let model = common::mlp(&[3, 4, 2], 100, 5);
    let models = [twin(&model), model];
    let anvil = anvil();
    for (layout, of, under) in ANY.into_iter().flat_map(|layout| [(layout, 0, 1), (layout, 1, 0)]) {
        let cases: Vec<Case> = models.par_iter().map(|model| Case::new(5, model.clone(), layout)).collect();
        let proof = common::prove(&cases[of].pk, &cases[of].model, &[-20, 3, 50]);
        assert_eq!(cases[of].deploy(&anvil).verdict(&proof), Ok(()));
        let judges = cases[under].deploy(&anvil);
        assert_eq!(judges.verdict(&proof), Err("ProofRejected".into()));
    }
}

/// Constant inputs need no digits, so one fixed column is zero everywhere and its commitment is the point at infinity.
#[test]
fn a_model_without_a_single_digit_is_verified() {
    let case = Case::new(0, common::mlp(&[2, 2, 1], 0, 9), Layout::General);
    assert_eq!(case.protocol().fixed.iter().filter(|point| Bn254::point(point) == [[0; 32]; 2]).count(), 1);
    let anvil = anvil();
    let judges = case.deploy(&anvil);
    let proof = common::prove(&case.pk, &case.model, &[0, 0]);
    assert_eq!(judges.verdict(&proof), Ok(()));
    for (what, forged) in tampered(&proof, case.protocol(), &mut Draw::new(1)) {
        assert!(judges.verdict(&forged).is_err(), "accepted with {what}");
    }
}

/// The seeds above are worth something only if their models differ in what matters.
#[test]
fn the_random_models_cover_what_can_be_laid_out() {
    let models: Vec<IntegerModel> = SEEDS.map(random_model).collect();
    let count = |what: &dyn Fn(&IntegerModel) -> bool| models.iter().filter(|model| what(model)).count();
    let node =
        |what: &'static dyn Fn(&Op) -> bool| move |model: &IntegerModel| model.nodes.iter().any(|node| what(&node.op));
    assert!(count(&node(&|op| matches!(op, Op::Relu))) >= 3);
    assert!(count(&node(&|op| matches!(op, Op::Rescale(_)))) >= 3);
    assert!(count(&node(&|op| matches!(op, Op::Linear(map) if map.row_starts.windows(2).any(|w| w[0] == w[1])))) >= 1);
    assert!(count(&|model| model.nodes.iter().any(|node| node.inputs.len() > 1)) >= 3, "residual connections");
    assert!(count(&|model| model.outputs.len() > 1) >= 2, "several outputs");
    assert!(count(&|model| model.public_ranges().len() > 1) >= 3, "several public values");
    assert!(count(&|model| model.features.iter().any(|f| f.range.hi < 0)) >= 2, "negative domains");
    assert!(count(&|model| model.features.iter().any(|f| f.range.lo == f.range.hi)) >= 2, "constant inputs");
    assert!(count(&|model| model.public_ranges().iter().any(|r| r.lo < 0)) >= 3, "negative outputs");
}
