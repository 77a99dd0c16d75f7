//! What operators are laid out with, whatever the layout: values as sums of cells, and the constraints on them.

use ff::PrimeField;

use crate::{
    graph::{Affine, Interval},
    ops::{Piecewise, Product},
};

/// An affine combination of cells: `constant + sum(coefficient * a[row])`. Tensors live in the circuit in this form, so
/// scales, offsets and sums of few terms cost nothing until somebody needs them in one cell.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr<F> {
    pub terms: Vec<(usize, F)>,
    pub constant: F,
}

impl<F: PrimeField> Expr<F> {
    /// The value of one cell.
    pub fn cell(row: usize) -> Self {
        Self { terms: vec![(row, F::ONE)], constant: F::ZERO }
    }

    /// A constant.
    pub fn constant(value: F) -> Self {
        Self { terms: Vec::new(), constant: value }
    }

    /// The combination times `factor`.
    pub fn scaled(&self, factor: F) -> Self {
        let terms = self.terms.iter().map(|&(row, c)| (row, c * factor)).collect();
        Self { terms, constant: self.constant * factor }
    }

    /// The combination plus a constant.
    pub fn offset(mut self, constant: F) -> Self {
        self.constant += constant;
        self
    }

    /// Add `factor * other`.
    pub fn add_scaled(&mut self, other: &Self, factor: F) {
        self.terms.extend(other.terms.iter().map(|&(row, c)| (row, c * factor)));
        self.constant += other.constant * factor;
    }

    /// The same combination with at most one term a cell, and none that is zero.
    pub fn merged(mut self) -> Self {
        self.terms.sort_by_key(|term| term.0);
        self.terms.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                kept.1 += next.1;
            }
            same
        });
        self.terms.retain(|term| term.1 != F::ZERO);
        self
    }
}

/// `value` as a field element; negative integers become `p - |value|`.
pub fn field<F: PrimeField>(value: i128) -> F {
    let magnitude: F = unsigned(value.unsigned_abs());
    if value < 0 { -magnitude } else { magnitude }
}

/// `value` as a field element. `PrimeField::from_u128` doubles 128 times.
pub fn unsigned<F: PrimeField>(value: u128) -> F {
    let (low, high) = (F::from(value as u64), (value >> 64) as u64);
    if high == 0 { low } else { F::from(high) * F::from(1 << 32).square() + low }
}

/// Booleans of which exactly one is 1.
#[derive(Clone, Debug)]
pub struct OneHot<F> {
    pub booleans: Vec<Expr<F>>,
}

impl<F: PrimeField> OneHot<F> {
    /// The boolean at `place`.
    pub fn boolean(&self, place: usize) -> Expr<F> {
        self.booleans[place].clone()
    }

    /// The coefficient of the boolean that is 1.
    pub fn select(&self, coefficient: impl Fn(usize) -> F) -> Expr<F> {
        let mut sum = Expr::constant(F::ZERO);
        self.booleans.iter().enumerate().for_each(|(i, boolean)| sum.add_scaled(boolean, coefficient(i)));
        sum.merged()
    }
}

/// An output of a linear map, as an expression: whoever consumes it accumulates its terms.
pub fn sum<F: PrimeField>(map: &Affine<i64, i128>, inputs: &[&Expr<F>], output: usize) -> Expr<F> {
    let mut sum = Expr::constant(field(map.bias[output]));
    map.row(output).for_each(|(i, w)| sum.add_scaled(inputs[i], field(w.into())));
    sum
}

/// An expression with its value.
pub type Valued<'a, F> = (&'a Expr<F>, F);

/// What a table has of a piecewise function at some argument.
#[derive(Clone, Debug)]
pub enum Tabled<F> {
    /// The numerator, by its segment.
    Numerator(Expr<F>),
    /// The function's value.
    Value(Expr<F>),
}

/// The constraints that operators are made of. What is laid out depends on the model alone, never on witness values: the same
/// code runs for key generation and for every proof. `value` is the witness value of what it stands beside.
pub trait Gadgets<F: PrimeField> {
    /// Constrain an expression to zero.
    fn check_zero(&mut self, expr: &Expr<F>);

    /// The expression in a single cell (and no constant), for values that are used many times.
    fn materialise(&mut self, expr: &Expr<F>) -> Expr<F>;

    /// A fresh value that nothing constrains.
    fn free(&mut self, value: F) -> Expr<F>;

    /// An input or any other fresh value: constrained to `[0, max]`, exactly. `value <= max < 2^127`.
    fn range(&mut self, value: u128, max: u128) -> Expr<F>;

    /// Constrain an expression to `[0, 2^b)` for some `bits <= b < bits + 17`: enough to say that it is not negative.
    fn check_bits(&mut self, expr: &Expr<F>, value: u128, bits: u32);

    /// `floor(expr / 2^shift) + offset` of an expression that is constrained to `[0, 2^b)`, `b` as above.
    fn shifted(&mut self, expr: &Expr<F>, value: u128, bits: u32, shift: u32, offset: i128) -> Expr<F>;

    /// `max(expr, 0)` of an expression whose magnitude is below `2^bits`.
    fn rectified(&mut self, expr: &Expr<F>, value: i128, bits: u32) -> Expr<F>;

    /// The product of two booleans, if the layout has one that takes fewer rows than the ReLU of their sum less one.
    fn conjunction(&mut self, _x: Valued<'_, F>, _y: Valued<'_, F>) -> Option<Expr<F>> {
        None
    }

    /// The square.
    fn square(&mut self, expr: &Expr<F>, value: F) -> Expr<F>;

    /// The product.
    fn product(&mut self, x: Valued<'_, F>, y: Valued<'_, F>) -> Expr<F>;

    /// The products of matrices that `product` describes; `factors` are its two operands.
    fn products(&mut self, product: &Product, factors: &[Valued<'_, F>]) -> Vec<Expr<F>>;

    /// Booleans of which exactly one is 1: the one at `hot`.
    fn one_hot(&mut self, len: usize, hot: usize) -> OneHot<F>;

    /// Whether a table has the values of a function at all arguments that elements may have, and quotients by `2^shift` may be looked up
    /// there: [`Self::shifted_by_table`] may be called.
    fn tabulates(&self, _function: &Piecewise, _shift: u32) -> bool {
        false
    }

    /// The function at `floor(expr / 2^shift) + offset`, by the table of its values; `value` is that of `expr`, which is not negative.
    fn shifted_by_table(
        &mut self,
        _function: &Piecewise,
        _expr: &Expr<F>,
        _value: u128,
        _shift: u32,
        _offset: i128,
    ) -> Expr<F> {
        self.impossible()
    }

    /// What a table has of a function at `x`, an integer of `range`, if the layout has one.
    fn by_table(&mut self, _function: &Piecewise, _x: &Expr<F>, _value: i128, _range: Interval) -> Option<Tabled<F>> {
        None
    }

    /// The outputs of a linear map. `ranges` are those of the inputs.
    fn linear(&mut self, map: &Affine<i64, i128>, inputs: &[Valued<'_, F>], _ranges: &[Interval]) -> Vec<Expr<F>> {
        let inputs: Vec<&Expr<F>> = inputs.iter().map(|input| input.0).collect();
        (0..map.output_len()).map(|j| sum(map, &inputs, j)).collect()
    }

    /// The outputs of a linear map, each in a cell. Inputs that it reads are cells; `ranges` are those of the outputs, for all weights
    /// that there may be. Nothing but the first fixed column depends on the weights and biases, zeros among them.
    fn weighted(&mut self, map: &Affine<i64, i128>, inputs: &[Valued<'_, F>], ranges: &[Interval]) -> Vec<Expr<F>>;

    /// Bind an expression to the next public value.
    fn bind_public(&mut self, expr: &Expr<F>);

    /// The expression in a single cell: itself, if it is one.
    fn in_one_cell(&mut self, expr: Expr<F>) -> Expr<F> {
        match expr.terms.as_slice() {
            [(_, factor)] if *factor == F::ONE && expr.constant == F::ZERO => expr,
            _ => self.materialise(&expr),
        }
    }

    /// Materialise when that saves rows: every use costs as many rows as there are terms.
    fn share(&mut self, expr: Expr<F>, uses: usize) -> Expr<F> {
        let terms = expr.terms.len();
        if terms * uses > terms + 1 + uses { self.materialise(&expr) } else { expr }
    }

    /// What no witness satisfies: for operands without proved ranges, which models that hold together do not have.
    fn impossible(&mut self) -> Expr<F> {
        self.check_zero(&Expr::constant(F::ONE));
        Expr::constant(F::ZERO)
    }
}
