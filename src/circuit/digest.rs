//! Digests: Poseidon over words of packed values, on field elements and on cells alike.
//!
//! `h_0 = salt`, `h_i = hash(h_(i-1), word_i)`; the digest is the last of them.

use ff::PrimeField;

use super::gadgets::{Expr, Gadgets, field};
use crate::{
    graph::{
        Digest, IntegerModel, Salt, Trace,
        digest::{HEADER_BITS, HashedWords, WORD_BITS},
    },
    poseidon::{Arithmetic, Elements, Poseidon},
};

/// Sums of more terms become a cell of their own: in partial rounds two elements of the state only ever gather terms.
const MAX_TERMS: usize = 6;

/// The salt as a field element, if it is below the field's order.
pub fn salt_element<F: PrimeField>(salt: &Salt) -> Option<F> {
    let mut repr = F::Repr::default();
    let bytes = repr.as_mut();
    (bytes.len() == salt.0.len()).then_some(())?;
    bytes.iter_mut().zip(salt.0.iter().rev()).for_each(|(byte, digit)| *byte = *digit);
    F::from_repr(repr).into_option()
}

/// The words that are hashed, of these values.
pub fn words<F: PrimeField, A: Arithmetic<F>>(on: &mut A, hashed: &HashedWords, values: &[A::Value]) -> Vec<A::Value> {
    let power = |bits: u32| F::from(2).pow_vartime([u64::from(bits)]);
    let word = |word: usize| {
        let last = word + 1 == hashed.words;
        let header = if last { F::from_u128(hashed.header) * power(WORD_BITS - HEADER_BITS) } else { F::ZERO };
        let mut terms = Vec::new();
        let mut constant = header;
        for (i, value) in hashed.word(word) {
            let weight = power(value.shift);
            terms.extend(values.get(i).map(|value| (weight, value)));
            constant -= weight * field::<F>(value.range.lo);
        }
        on.combine(&terms, constant)
    };
    (0..hashed.words).map(word).collect()
}

/// The digest of words.
fn chain<F: PrimeField, A: Arithmetic<F>>(on: &mut A, salt: A::Value, words: Vec<A::Value>) -> A::Value {
    let poseidon = Poseidon::new();
    words.into_iter().fold(salt, |state, word| poseidon.hash(on, state, word))
}

impl IntegerModel {
    /// The digests of a trace, in the order of `digests`; a salt that is not below the field's order counts as zero.
    pub fn digests_of<F: PrimeField>(&self, trace: &Trace) -> Vec<F> {
        let salts = trace.salts.iter().map(|salt| salt_element(salt).unwrap_or(F::ZERO));
        let digest = |(of, salt)| chain(&mut Elements, salt, self.words_of(of, trace));
        self.digests.iter().zip(salts).map(digest).collect()
    }

    /// The words that one of the model's digests is of.
    pub fn words_of<F: PrimeField>(&self, digest: &Digest, trace: &Trace) -> Vec<F> {
        let hashed = self.hashed(digest);
        let values: Vec<F> = hashed.values.iter().map(|v| field(trace[v.tensor][v.element])).collect();
        words(&mut Elements, &hashed, &values)
    }
}

/// Expressions with their values, laid out with the gadgets of some layout.
struct Cells<'a, G> {
    gadgets: &'a mut G,
}

impl<F: PrimeField, G: Gadgets<F>> Arithmetic<F> for Cells<'_, G> {
    type Value = (Expr<F>, F);

    fn combine(&mut self, terms: &[(F, &Self::Value)], constant: F) -> Self::Value {
        let (mut sum, mut total) = (Expr::constant(constant), constant);
        for &(coefficient, (expr, value)) in terms {
            sum.add_scaled(expr, coefficient);
            total += coefficient * value;
        }
        let sum = sum.merged();
        (if sum.terms.len() > MAX_TERMS { self.gadgets.materialise(&sum) } else { sum }, total)
    }

    fn fifth_power(&mut self, (expr, value): &Self::Value) -> Self::Value {
        let (square, fourth) = (value.square(), value.square().square());
        if expr.terms.is_empty() {
            return (Expr::constant(fourth * value), fourth * value);
        }
        let x = self.gadgets.in_one_cell(expr.clone());
        let squared = self.gadgets.square(&x, *value);
        let squared = self.gadgets.square(&squared, square);
        (self.gadgets.product((&x, *value), (&squared, fourth)), fourth * value)
    }
}

/// Lay out the digest of values under a salt that nothing constrains; returns its expression.
pub(super) fn lay_out<F: PrimeField>(
    gadgets: &mut impl Gadgets<F>,
    hashed: &HashedWords,
    salt: &Salt,
    values: Vec<(Expr<F>, F)>,
) -> Expr<F> {
    let salt = salt_element(salt).unwrap_or(F::ZERO);
    let salt = (gadgets.free(salt), salt);
    let cells = &mut Cells { gadgets };
    let words = words(cells, hashed, &values);
    chain(cells, salt, words).0
}

#[cfg(test)]
mod tests {
    use ff::Field;
    use halo2_proofs::{dev::MockProver, plonk::ConstraintSystem, poly::Rotation};
    use halo2curves::bn256::Fr;

    use super::*;
    use crate::{
        circuit::{
            GeneralConfig, LaidOut, Layout, ModelCircuit, NotPeriodic, PhasedCircuit,
            testing::{Draw, claims, complete, encoded_input, linear, random_input, single_op},
        },
        graph::Output,
        ops::Op,
    };

    /// A linear map of three features, with these digests.
    fn model(digests: Vec<Digest>) -> IntegerModel {
        let op = linear(3, &[vec![3, -2, 1], vec![0, 1, 0]], vec![7, 0]);
        IntegerModel { digests, ..single_op(op, &[(-5, 6), (0, 15), (4, 4)]) }
    }

    fn of_outputs() -> Digest {
        Digest::Outputs(vec![Output { name: "y".into(), tensor: 1, scale: 4.0 }])
    }

    fn salt(draw: &mut Draw) -> Salt {
        let mut salt = [0; 32];
        salt[16..].copy_from_slice(&draw.integer(1, 1 << 100).to_be_bytes());
        salt[1..8].fill(0xab);
        Salt(salt)
    }

    /// All public values, as elements.
    fn statement(model: &IntegerModel, trace: &Trace) -> Vec<Fr> {
        let integers = model.public_values(trace).into_iter().map(field);
        integers.chain(model.digests_of(trace)).collect()
    }

    #[test]
    fn the_digest_is_the_chain_of_hashes() {
        let mut model = model(vec![Digest::Inputs(vec![1, 0])]);
        model.features[0].range = crate::graph::Interval { lo: -5, hi: 1 << 119 };
        model.features[1].range = crate::graph::Interval { lo: 0, hi: (1 << 119) - 1 };
        let mut draw = Draw::new(1);
        let salt = salt(&mut draw);
        let trace = model.trace(&[2, 9, 4]).salted(&[salt]);
        let hashed = model.hashed(&model.digests[0]);
        assert_eq!(hashed.words, 2);
        let [first, second] =
            [Fr::from(9) + Fr::from(7) * Fr::from(2).pow([119]), Fr::from_u128(hashed.header) * Fr::from(2).pow([125])];
        let hash = |left, right| Poseidon::new().hash(&mut Elements, left, right);
        let expected = hash(hash(salt_element(&salt).unwrap(), first), second);
        assert_eq!(model.digests_of::<Fr>(&trace), [expected]);
    }

    #[test]
    fn salts_are_below_the_order() {
        let mut order = (-Fr::ONE).to_repr();
        order.as_mut().reverse();
        let mut salt = Salt(order.as_ref().try_into().unwrap());
        assert_eq!(salt_element(&salt), Some(-Fr::ONE));
        salt.0[31] += 1;
        assert_eq!(salt_element::<Fr>(&salt), None);
        assert_eq!(salt_element(&Salt([0; 32])), Some(Fr::ZERO));
    }

    #[test]
    fn both_layouts_arrive_at_the_digests_and_at_no_others() {
        let models =
            [vec![Digest::Inputs(vec![2, 1, 0])], vec![of_outputs()], vec![Digest::Inputs(vec![0]), of_outputs()]];
        for (seed, digests) in (1..).zip(models) {
            let model = model(digests);
            model.validate().unwrap();
            let keygen = ModelCircuit::<Fr>::for_keygen(&model);
            let mut draw = Draw::new(seed);
            for _ in 0..2 {
                let salts: Vec<Salt> = model.digests.iter().map(|_| salt(&mut draw)).collect();
                let trace = model.trace(&random_input(&model, &mut draw)).salted(&salts);
                let expected = statement(&model, &trace);
                let general = ModelCircuit::<Fr>::new(&model, &trace);
                let phased = PhasedCircuit::<Fr>::new(&model, &trace);
                assert_eq!(claims(&general), expected);
                assert_eq!(phased.layout.public_values, expected);
                let layout = |circuit: &ModelCircuit<Fr>| {
                    let layout = &circuit.layout;
                    (layout.w.clone(), layout.q.clone(), layout.copies.clone(), layout.public_rows.clone())
                };
                assert!(layout(&general) == layout(&keygen));
                for (wrong, delta) in [(None, Fr::ZERO), (Some(expected.len() - 1), Fr::ONE)] {
                    let mut public = expected.clone();
                    wrong.into_iter().for_each(|i: usize| public[i] += delta);
                    let of_general = MockProver::run(general.k, &general, general.instances(&public)).unwrap();
                    assert_eq!(of_general.verify().is_ok(), wrong.is_none());
                    let mut phased = phased.clone();
                    phased.layout.public_values = public.clone();
                    let of_phased = MockProver::run(phased.k, &phased, phased.instances(&public)).unwrap();
                    assert_eq!(of_phased.verify().is_ok(), wrong.is_none());
                }
            }
        }
    }

    #[test]
    fn periodic_has_no_digests() {
        let model = model(vec![of_outputs()]);
        assert_eq!(LaidOut::<Fr>::for_keygen(Layout::Periodic, &model).err(), Some(NotPeriodic::Hashed));
    }

    /// Whether copies of these rows, and the gates that read them, hold.
    fn holds(cs: &ConstraintSystem<Fr>, circuit: &ModelCircuit<Fr>, rows: impl Iterator<Item = usize>) -> bool {
        let (n, layout) = (1usize << circuit.k, &circuit.layout);
        let public = circuit.shape().instance_values(circuit.k, &claims(circuit));
        let cell = |row: usize| layout.a.get(row).copied().unwrap_or(Fr::ZERO);
        let fixed = |column: usize, row: usize| match column {
            0 => layout.w.get(row).copied().unwrap_or(Fr::ZERO),
            _ => Fr::from(u64::from(layout.q.get(row).copied().unwrap_or(false))),
        };
        let gates = || cs.gates().iter().flat_map(|gate| gate.polynomials());
        let gate_holds = |row: usize| {
            let at = |rotation: Rotation| (row as i32 + rotation.0).rem_euclid(n as i32) as usize;
            gates().all(|gate| {
                let value = gate.evaluate(
                    &|constant| constant,
                    &|_| unreachable!("no selectors"),
                    &|query| fixed(query.column_index(), at(query.rotation())),
                    &|query| cell(at(query.rotation())),
                    &|query| public[query.column_index()][at(query.rotation())],
                    &|_| unreachable!("no challenges"),
                    &|value| -value,
                    &|left, right| left + right,
                    &|left, right| left * right,
                    &|value, factor| value * factor,
                );
                value == Fr::ZERO
            })
        };
        layout.copies.iter().all(|&(left, right)| cell(left) == cell(right)) && rows.into_iter().all(gate_holds)
    }

    #[test]
    fn every_cell_of_a_digest_is_pinned() {
        let model = model(vec![Digest::Inputs(vec![1, 0])]);
        let (input, mut draw) = ([2, 9, 4], Draw::new(7));
        let laid_out = |salt: Salt| ModelCircuit::<Fr>::new(&model, &model.trace(&input).salted(&[salt]));
        let [circuit, other] = [(); 2].map(|()| laid_out(salt(&mut draw)));
        let a = &circuit.layout.a;
        // the cell of the salt is the first one that knows it
        let first = (0..a.len()).find(|&row| a[row] != other.layout.a[row]).unwrap();
        let mut cs = ConstraintSystem::default();
        GeneralConfig::configure(&mut cs);
        assert!(holds(&cs, &circuit, 0..1 << circuit.k));

        let expected = claims(&circuit);
        for (row, &cell) in a.iter().enumerate().skip(first) {
            let mut alone = circuit.clone();
            alone.layout.a[row] += Fr::ONE;
            // what the row claims as a public value is what is claimed
            let unchanged = claims(&alone) == expected;
            assert!(!unchanged || !holds(&cs, &alone, row.saturating_sub(3)..=row), "row {row} is not constrained");
            if row != first && row % 19 != 0 {
                continue;
            }
            for value in [cell + Fr::ONE, -cell] {
                let forged = complete(&circuit, &[(row, value)]);
                if value != cell && holds(&cs, &forged, 0..1 << circuit.k) {
                    // the honest witness of another salt
                    let inputs = encoded_input(&model, &forged);
                    assert_eq!(inputs, encoded_input(&model, &circuit));
                    let hashed = model.hashed(&model.digests[0]);
                    let words = words(&mut Elements, &hashed, &[inputs[1], inputs[0]]);
                    let digest = chain(&mut Elements, forged.layout.a[first], words);
                    assert_eq!(claims(&forged).last(), Some(&digest), "row {row}");
                }
            }
        }
        // another salt is another digest, and nothing else
        let forged = complete(&circuit, &[(first, a[first] + Fr::ONE)]);
        assert!(holds(&cs, &forged, 0..1 << circuit.k));
        assert_eq!(claims(&forged)[..2], expected[..2]);
        assert_ne!(claims(&forged)[2], expected[2]);
    }

    #[test]
    fn models_that_are_pruned_say_the_same() {
        let mut model = model(vec![]);
        let unused = crate::circuit::testing::push(&mut model, Op::Square, vec![0]);
        let used = crate::circuit::testing::push(&mut model, Op::Relu, vec![1]);
        model.outputs = vec![Output { name: "relu".into(), tensor: used, scale: 1.0 }];
        model.digests = vec![of_outputs()];
        let mut pruned = model.clone();
        pruned.prune();
        pruned.validate().unwrap();
        assert_eq!((unused, pruned.nodes.len(), pruned.outputs[0].tensor), (2, 2, 2));
        let (trace, other) = (model.trace(&[-5, 3, 4]), pruned.trace(&[-5, 3, 4]));
        assert_eq!(statement(&model, &trace), statement(&pruned, &other));
    }
}
