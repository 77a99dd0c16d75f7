//! The layout as halo2's own key generation, provers and verifiers take it.
//!
//! Its permutation argument needs a last row, and its blinding takes the last rows; both have room in the tail. The tail's random
//! cells, and the ties between them, are ours alone: halo2's provers put their own randomness there.

use ff::PrimeField;
use halo2_proofs::{
    circuit::{Layouter, SimpleFloorPlanner, Value},
    plonk::{Circuit, ConstraintSystem, Error},
};

use super::{Extras, PhasedCircuit, PhasedConfig, TAIL};

impl<F: PrimeField> PhasedCircuit<F> {
    /// Values of the instance columns for the given public values, as far as halo2 takes them: its usable rows hold all but zeros.
    pub fn instances(&self, public_values: &[F]) -> Vec<Vec<F>> {
        let mut columns = self.shape().instance_values(self.k, public_values);
        columns.iter_mut().for_each(|column| column.truncate((1 << self.k) - TAIL));
        columns
    }
}

impl<F: PrimeField> Circuit<F> for PhasedCircuit<F> {
    type Config = PhasedConfig;
    type FloorPlanner = SimpleFloorPlanner;
    type Params = Extras;

    fn params(&self) -> Extras {
        self.layout.extras()
    }

    fn without_witnesses(&self) -> Self {
        self.clone()
    }

    fn configure_with_params(cs: &mut ConstraintSystem<F>, extras: Extras) -> PhasedConfig {
        PhasedConfig::configure(cs, extras)
    }

    fn configure(cs: &mut ConstraintSystem<F>) -> PhasedConfig {
        Self::configure_with_params(cs, Extras::default())
    }

    /// Regions begin in row 0.
    fn synthesize(&self, config: PhasedConfig, mut layouter: impl Layouter<F>) -> Result<(), Error> {
        let layout = &self.layout;
        layouter.assign_region(
            || "values",
            |mut region| {
                for (column, values) in config.fixed.into_iter().zip(layout.fixed()) {
                    for (row, value) in values.into_iter().enumerate() {
                        region.assign_fixed(column, row, value);
                    }
                }
                let assigned = layout.a.iter().enumerate();
                let cells: Vec<_> = assigned
                    .map(|(row, &value)| region.assign_advice(config.a, row, Value::known(value)).cell())
                    .collect();
                for &(left, right) in &layout.copies {
                    region.constrain_equal(cells[left], cells[right]);
                }
                Ok(())
            },
        )?;
        layouter.next_phase();
        // key generation draws no challenge
        let [alpha, theta] =
            [0, 1].map(|i| config.challenges.get(i).map(|challenge| layouter.get_challenge(*challenge)));
        let alpha = alpha.unwrap_or_else(Value::unknown);
        let theta = theta.unwrap_or_else(|| Value::known(F::ZERO));
        let sums = alpha.zip(theta).map(|(alpha, theta)| self.running_sum([alpha, theta]));
        layouter.assign_region(
            || "running sum",
            |mut region| {
                let rows = 0..=(1 << self.k) - TAIL;
                let cells: Vec<_> = rows
                    .map(|row| region.assign_advice(config.c, row, sums.as_ref().map(|sums| sums[row])).cell())
                    .collect();
                for &(start, end) in &layout.pins {
                    region.constrain_equal(cells[start], cells[end]);
                }
                Ok(())
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use ff::Field;
    use halo2_proofs::dev::MockProver;
    use halo2curves::bn256::Fr;

    use super::*;
    use crate::circuit::{
        field,
        testing::{Draw, random_functions, random_general_model, random_input, random_model, random_values},
    };

    /// What halo2 says of a witness whose running sum is that of these public values.
    fn accepted(circuit: &PhasedCircuit<Fr>, public_values: &[Fr]) -> bool {
        let mut circuit = circuit.clone();
        circuit.layout.public_values = public_values.to_vec();
        let instances = circuit.instances(public_values);
        MockProver::run(circuit.k, &circuit, instances).unwrap().verify().is_ok()
    }

    #[test]
    fn halo2_leaves_the_rows_above_the_tail_and_the_end_of_the_running_sum() {
        for (projected, paired) in [(false, false), (false, true), (true, false), (true, true)] {
            let mut cs = ConstraintSystem::<Fr>::default();
            PhasedConfig::configure(&mut cs, Extras { projected, paired });
            let unusable = cs.blinding_factors() + 1;
            assert!(unusable < TAIL, "{unusable} rows");
            assert_eq!((cs.degree(), cs.num_challenges()), (3, 1 + usize::from(projected || paired)));
        }
    }

    #[test]
    fn instances_are_zero_where_halo2_has_none() {
        for seed in 0..8 {
            let model = random_model(seed);
            let input = random_input(&model, &mut Draw::new(seed));
            let circuit = PhasedCircuit::<Fr>::new(&model, &model.trace(&input));
            let values = circuit.layout.public_values.clone();
            let all = circuit.shape().instance_values(circuit.k, &values);
            for (mut given, all) in circuit.instances(&values).into_iter().zip(all) {
                given.resize(all.len(), Fr::ZERO);
                assert_eq!(given, all);
            }
        }
    }

    #[test]
    fn halo2_accepts_the_outputs_and_no_others() {
        for seed in 0..12 {
            let mut draw = Draw::new(!seed);
            let random = [random_model, random_general_model, random_functions, random_values];
            for model in random.map(|of| of(seed)) {
                let input = random_input(&model, &mut draw);
                let trace = model.trace(&input);
                let circuit = PhasedCircuit::<Fr>::new(&model, &trace);
                let outputs: Vec<Fr> = model.public_values(&trace).into_iter().map(field).collect();
                assert!(accepted(&circuit, &outputs), "seed {seed}, {input:?}");
                let mut other = outputs.clone();
                other[draw.index(outputs.len())] += [Fr::ONE, -Fr::ONE][draw.index(2)];
                assert!(!accepted(&circuit, &other), "seed {seed}, {input:?}");
                let mut forged = circuit.clone();
                let row = draw.index(forged.layout.a.len());
                forged.layout.a[row] += Fr::ONE;
                assert!(!accepted(&forged, &outputs), "seed {seed}, {input:?}, row {row}");
            }
        }
    }
}
