//! Columns and gates of the `general` layout.
//!
//! Write `a0..a3` for the advice cells at rotations 0 to 3, `d0 = a0 - 2 a1`, `d1 = a1 - 2 a2`, and `e` for the parity
//! column: 1 on even rows (except the last few, where a gate would reach into blinding rows), 0 on odd rows.
//!
//! | gate | polynomial | meaning |
//! | --- | --- | --- |
//! | linear | `(1 - q) (e (a0 - a2) + w a1) + public` | even row: `a2 = a0 + w a1`; odd row with `w != 0`: `a1 = -public / w` |
//! | quadratic | `q (d0^2 - d0 + w (d0 - a3))` | `w = 0`: `d0` is a bit; `w = 1`: `d0^2 = a3` |
//! | | `q (d1^2 - d1 + w (d1 - a3))` | the same for `d1` |
//!
//! All have degree 3, so the quotient needs two commitments, the least there is. Rows with `q = 1` are even rows, which
//! leaves `w` of the odd row below one free to pin the next even cell. With `w = 1` both squares equal the same cell,
//! which says `d0 = +-d1`.

use ff::PrimeField;
use halo2_proofs::{
    plonk::{Advice, Column, ConstraintSystem, Expression, Fixed, Instance},
    poly::Rotation,
};

use super::shape::{InstanceColumn, PublicRow, Shape};

/// Columns of the `general` layout.
#[derive(Clone, Debug)]
pub struct GeneralConfig {
    pub a: Column<Advice>,
    pub w: Column<Fixed>,
    pub q: Column<Fixed>,
    pub public: Column<Instance>,
    pub parity: Column<Instance>,
}

/// The value that the public column always has in row 0: it anchors the circuit's constant.
pub const ANCHOR: u64 = 1;

/// Rows at the end of the domain that hold no witness: the blinding rows and the last-row marker of the permutation.
///
/// Four rotations of `a`, so halo2 blinds six rows (`ConstraintSystem::blinding_factors`) and marks one more.
pub const UNUSABLE_ROWS: usize = 7;

/// Rows at the end of the domain that hold no cell of the model: the unusable ones, and three more, of which the odd one
/// is read by no constraint. That leaves eight cells for random values.
pub const RESERVED_ROWS: usize = UNUSABLE_ROWS + 3;

/// Rows at the end of the domain in which the linear gate is off: from the last even row whose `a2` is not usable.
pub const PARITY_OFF_ROWS: usize = 8;

impl GeneralConfig {
    /// Declare the columns and the gates.
    pub fn configure<F: PrimeField>(cs: &mut ConstraintSystem<F>) -> Self {
        let a = cs.advice_column();
        let (w, q) = (cs.fixed_column(), cs.fixed_column());
        let (public, parity) = (cs.instance_column(), cs.instance_column());
        cs.enable_equality(a);

        cs.create_gate("general", |cells| {
            let [a0, a1, a2, a3] = [0, 1, 2, 3].map(|rotation| cells.query_advice(a, Rotation(rotation)));
            let [w, q] = [w, q].map(|column| cells.query_fixed(column, Rotation::cur()));
            let [public, e] = [public, parity].map(|column| cells.query_instance(column, Rotation::cur()));
            let one = || Expression::Constant(F::ONE);
            let two = || Expression::Constant(F::from(2));

            let linear = (one() - q.clone()) * (e * (a0.clone() - a2.clone()) + w.clone() * a1.clone()) + public;
            let quadratic =
                |d: Expression<F>| q.clone() * (d.clone() * d.clone() - d.clone() + w.clone() * (d - a3.clone()));
            vec![linear, quadratic(a0 - two() * a1.clone()), quadratic(a1 - two() * a2)]
        });
        Self { a, w, q, public, parity }
    }

    /// The two instance columns, with the public values in the given rows.
    pub fn shape<F: PrimeField>(public_rows: &[usize]) -> Shape<F> {
        let anchor = PublicRow { row: 0, terms: Vec::new(), constant: F::from(ANCHOR) };
        let value = |(index, &row): (usize, &usize)| PublicRow { row, terms: vec![(index, F::ONE)], constant: F::ZERO };
        let public = std::iter::once(anchor).chain(public_rows.iter().enumerate().map(value)).collect();
        let instance_columns = vec![InstanceColumn::Public(public), InstanceColumn::EvenRows { off: PARITY_OFF_ROWS }];
        Shape { instance_columns, periodic: None, linear: vec![0] }
    }
}
