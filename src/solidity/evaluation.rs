//! Steps that evaluate at `x`: closed forms, the instance columns, the constraints' linearisation.
//!
//! Closed forms are fractions. All of the linearisation is multiplied by the product of their denominators, the scale, so that
//! the contract never divides.

use ff::{Field, PrimeField};
use group::prime::PrimeCurveAffine;

use super::{
    contract::LEAVE_AFTER,
    layout::{ADVICE, BETWEEN},
    verifier::{Generator, Step},
    yul::{Block, Emitter, Signed, Value, load, product},
};
use crate::{
    circuit::{InstanceColumn, Periodic, PublicRow, PublicRun},
    proof::{
        curve::Curve,
        protocol::{Expression, Polynomial, last_rows, off_rows},
    },
};

/// Longest product that is written as one expression: what the stack and a line hold.
const MAX_PRODUCT: usize = 70;

/// Factors of a product, or steps of Horner's rule, that are nested: what the stack holds.
const NESTED: usize = 4;

/// Slot for a numerator that is computed in several steps.
const NUMERATOR: &str = "NUMERATOR";

/// Slots for many outputs: the numerator of their fractions, the product of the denominators, and that of all other
/// denominators with `x^n - 1`.
const OUTPUT_NUMERATOR: &str = "OUTPUT_NUMERATOR";
const OUTPUT_DISTANCES: &str = "OUTPUT_DISTANCES";
const OUTPUT_SUM: &str = "OUTPUT_SUM";

fn row_name(row: i32) -> String {
    if row < 0 { format!("MINUS{}", -row) } else { row.to_string() }
}

/// Rows whose Lagrange polynomials are only ever needed as a sum.
struct RowGroup {
    rows: Vec<i32>,
}

impl RowGroup {
    fn slot(&self) -> String {
        let rows: Vec<String> = self.rows.iter().map(|&row| row_name(row)).collect();
        match rows.as_slice() {
            // many rows follow each other
            [first, .., last] if rows.len() > 8 => format!("LAGRANGE_{first}_TO_{last}"),
            _ => format!("LAGRANGE_{}", rows.join("_")),
        }
    }

    /// The coefficients of `1/n sum omega^row prod (X - omega^other)`, the constant one first: the numerator of the sum of
    /// the Lagrange polynomials, less their common factor `X^n - 1`.
    fn numerator<F: Field>(&self, n: F, omega_power: impl Fn(i32) -> F) -> Vec<F> {
        let mut sum = vec![F::ZERO; self.rows.len()];
        let inverse = n.invert().unwrap_or(F::ZERO);
        for &row in &self.rows {
            let mut term = vec![omega_power(row) * inverse];
            for &other in self.rows.iter().filter(|&&other| other != row) {
                let root = omega_power(other);
                term.push(F::ZERO);
                for i in (0..term.len()).rev() {
                    let below = if i > 0 { term[i - 1] } else { F::ZERO };
                    term[i] = below - root * term[i];
                }
            }
            sum.iter_mut().zip(term).for_each(|(sum, coefficient)| *sum += coefficient);
        }
        sum
    }
}

/// A factor of the scale, and what has it as denominator.
struct Factor {
    /// Where the fraction goes, scaled.
    slot: String,
    value: Value,
    /// The rows of a Lagrange polynomial; `None` for a section, whose selector is `(x^n - 1) / D_s`.
    rows: Option<RowGroup>,
}

impl<C: Curve> Generator<'_, C> {
    fn minus_omega(&mut self, row: i32) -> Value {
        if row == 0 {
            return self.minus_one();
        }
        let power = -self.protocol.omega_power(row);
        self.scalar(format!("MINUS_OMEGA_{}", row_name(row)), &power, format!("-omega^{row}"))
    }

    fn minus_one(&mut self) -> Value {
        self.scalar("MINUS_ONE", &-C::Scalar::ONE, "")
    }

    /// The Lagrange rows, those together whose polynomials all enter the same sums.
    fn row_groups(&self) -> Vec<RowGroup> {
        let p = self.protocol;
        // the numbers of the sums that a row's Lagrange polynomial enters; those of public values are of one row each
        let sums = |row: i32| -> Vec<(usize, i32)> {
            let last = p.last_rotation();
            let permutation = [(0, p.permutation.is_some() && row == 0), (1, last == Some(row))];
            let inactive = (2, last.is_some_and(|last| (last..0).contains(&row)));
            let columns = p.shape.instance_columns.iter().enumerate().flat_map(|(i, column)| match column {
                InstanceColumn::EvenRows { off } => off_rows(*off).contains(&row).then_some((3 + i, 0)),
                InstanceColumn::ActiveRows { off } => last_rows(*off).contains(&row).then_some((3 + i, 0)),
                InstanceColumn::Public(rows) => rows.iter().any(|r| r.row as i32 == row).then_some((3 + i, row)),
                _ => None,
            });
            let permutation = permutation.into_iter().chain([inactive]).filter(|(_, enters)| *enters);
            permutation.map(|(sum, _)| (sum, 0)).chain(columns).collect()
        };
        let mut groups: Vec<RowGroup> = Vec::new();
        let in_run = |row: i32| self.run.is_some_and(|run| usize::try_from(row).is_ok_and(|row| run.contains(row)));
        for row in p.lagrange_rows().into_iter().filter(|&row| !in_run(row)) {
            match groups.iter_mut().find(|group| sums(group.rows[0]) == sums(row)) {
                Some(group) => group.rows.push(row),
                None => groups.push(RowGroup { rows: vec![row] }),
            }
        }
        groups
    }

    /// The sum of the Lagrange polynomials of these rows, which are whole groups.
    fn lagrange_sum(&self, rows: &[i32]) -> Option<Value> {
        let groups = self.row_groups().into_iter().filter(|group| rows.contains(&group.rows[0]));
        groups.map(|group| self.slot(&group.slot())).reduce(|sum, value| sum.plus(&value))
    }

    pub fn closed_forms(&mut self) -> Step {
        let p = self.protocol;
        let mut block = Block::default();
        let [r_x, running] = ["x", "p"].map(|name| self.value(name));
        block.line("let r := R").define("x", &self.slot("X"));
        self.powers(&mut block);
        let factors = self.factors(&mut block);

        block.comment("the scale is complete");
        self.memory.reserve("SCALE", 1);
        block.store("SCALE", &running);
        if let Some(column) = self.outside_sections() {
            let slot = format!("INSTANCE{column}");
            block.store(&slot, &self.slot(&slot).times(&running));
        }
        block.store("VANISHING", &self.value("t").times(&running));
        block.comment(
            "a write that the optimizer cannot follow: with via-IR it would otherwise keep all products on the stack",
        );
        block.line("mstore8(0, 0)");
        block.comment(
            "back from the last: x^n - 1, which Lagrange polynomials and selectors have, times all factors but one",
        );
        for (i, factor) in factors.iter().enumerate().rev() {
            let after = self.value("t");
            let mut value = if i == 0 { after.clone() } else { after.times(&self.slot(&factor.slot)) };
            if let Some(group) = &factor.rows {
                let n = C::Scalar::from(p.n() as u64);
                let numerator = group.numerator(n, |row| p.omega_power(row));
                let mut sum: Option<Value> = None;
                for (degree, coefficient) in numerator.iter().enumerate().rev() {
                    let name = format!("{}_C{degree}", group.slot().replace("LAGRANGE", "NUMERATOR"));
                    let coefficient = self.scalar(name, coefficient, "of the Lagrange polynomials' numerator");
                    sum = Some(sum.map_or(coefficient.clone(), |sum| sum.times(&r_x).plus(&coefficient)));
                    if let Some(part) = sum.as_mut().filter(|_| degree > 0 && degree % NESTED == 0) {
                        if !self.memory.slots().iter().any(|slot| slot.name == NUMERATOR) {
                            self.memory.reserve(NUMERATOR, 1);
                        }
                        let kept = part.named(&load(NUMERATOR));
                        block.store(NUMERATOR, &std::mem::replace(part, kept));
                    }
                }
                value = sum.map_or(value.clone(), |sum| value.times(&sum));
            }
            block.store(&factor.slot, &value);
            if i > 0 {
                block.assign("t", &after.times(&factor.value));
            }
        }
        Step {
            title: LEAVE_AFTER,
            notes: vec![
                "Selectors and Lagrange polynomials at x are fractions. All constraints are multiplied by the product of the",
                "denominators, SCALE, so that there is nothing to invert; it is zero for about one in 2^240 of the x.",
            ],
            block,
        }
    }

    /// The instance column that is on outside of all sections.
    fn outside_sections(&self) -> Option<usize> {
        let mut columns = self.protocol.shape.instance_columns.iter();
        columns.position(|column| *column == InstanceColumn::OutsideSections)
    }

    /// `t = x^n - 1`, and the powers of `x` on the way that closed forms need.
    fn powers(&mut self, block: &mut Block) {
        let p = self.protocol;
        let columns = &p.shape.instance_columns;
        let needs_half = columns.iter().any(|column| matches!(column, InstanceColumn::EvenRows { .. }));
        let period = p.shape.periodic.as_ref().map(|periodic| p.k - periodic.log_period);
        block.comment(format!("powers of x up to x^n, n = 2^{}", p.k));
        let mut power = self.value("x");
        for exponent in 0..=p.k {
            if exponent > 0 {
                let square = power.times(&power);
                power = square.named("p");
                if exponent == 1 {
                    block.define("p", &square)
                } else {
                    block.assign("p", &square)
                };
            }
            if period == Some(exponent) {
                block.define("u", &power);
            }
            if exponent + 1 == p.k && needs_half {
                let slot = self.memory.reserve("X_HALF", 1);
                block.store(&slot, &power);
            }
        }
        if p.quotient_pieces > 1 {
            let slot = self.memory.reserve("X_N", 1);
            block.store(&slot, &power);
        }
        block.define("t", &power.plus_reduced(&self.minus_one()));
        self.memory.reserve("VANISHING", 1);
    }

    /// Evaluate all factors; leaves their product in `p`, and in each factor's slot but the first's the product of those
    /// before it.
    fn factors(&mut self, block: &mut Block) -> Vec<Factor> {
        let p = self.protocol;
        let mut factors: Vec<Factor> = Vec::new();
        let running = self.value("p");
        let mut multiply = |block: &mut Block, slot: String, value: &Value, kept: Value, rows: Option<RowGroup>| {
            if factors.is_empty() {
                block.assign("p", value);
            } else {
                block.store(&slot, &running).assign("p", &running.times(value));
            }
            factors.push(Factor { slot, value: kept, rows });
        };
        let d = self.value("d");
        if let Some(periodic) = &p.shape.periodic {
            let columns = &p.shape.instance_columns;
            let column = |wanted: InstanceColumn<C::Scalar>| columns.iter().position(|column| *column == wanted);
            block.comment(
                "for each section of the period, the product of the distances of u = x^(n/P) from its positions",
            );
            block.line("let d");
            let selected: Vec<(usize, Option<usize>)> =
                (0..periodic.sections.len()).map(|s| (s, column(InstanceColumn::Section(s)))).collect();
            for &(s, column) in selected.iter().filter(|(_, column)| column.is_some()) {
                block.comment(format!("section {s}"));
                self.section_product(block, &periodic.sections[s], periodic, false);
                let roots = self.memory.reserve(format!("SECTION{s}"), 1);
                block.store(&roots, &d);
                let slot = self.memory.reserve(format!("INSTANCE{}", column.unwrap_or_default()), 1);
                multiply(block, slot, &d, self.slot(&roots), None);
            }
            if let Some(column) = self.outside_sections() {
                // the selected sections are in `p` already, if there are any
                let all = if selected.iter().any(|(_, column)| column.is_some()) { "p" } else { "1" };
                block.assign("d", &self.value(all));
                for &(s, _) in selected.iter().filter(|(_, column)| column.is_none()) {
                    block.comment(format!("section {s}"));
                    self.section_product(block, &periodic.sections[s], periodic, true);
                }
                let slot = self.memory.reserve(format!("INSTANCE{column}"), 1);
                block.store(&slot, &d);
            }
        }
        block.comment("distances of x from the rows of Lagrange polynomials; sums of these have one denominator");
        for group in self.row_groups() {
            let distances: Vec<Value> =
                group.rows.iter().map(|&row| self.value("x").plus(&self.minus_omega(row))).collect();
            let slot = self.memory.reserve(group.slot(), 1);
            let mut parts = distances.chunks(NESTED).filter_map(product);
            let Some(value) = parts.next() else { continue };
            if distances.len() > 1 {
                let roots = self.memory.reserve(format!("{}_ROOTS", group.slot()), 1);
                block.store(&roots, &value);
                for part in parts {
                    block.store(&roots, &self.slot(&roots).times(&part));
                }
                multiply(block, slot, &self.slot(&roots), self.slot(&roots), Some(group));
            } else {
                multiply(block, slot, &value, value.clone(), Some(group));
            }
        }
        if let Some(run) = self.run {
            let value = self.output_fractions(block, run);
            let distances = self.memory.reserve(OUTPUT_DISTANCES, 1);
            block.store(&distances, &value);
            let slot = self.memory.reserve(OUTPUT_SUM, 1);
            multiply(block, slot, &self.slot(&distances), self.slot(&distances), None);
        }
        factors
    }

    /// Many outputs: the numerator of `sum v_i / (z_i - 1)`, into its slot, and the product of all `x - omega^row`.
    ///
    /// With `z_i = x / omega^row`, a row's Lagrange polynomial is `(x^n - 1) / (n (z_i - 1))`.
    fn output_fractions(&mut self, block: &mut Block, run: PublicRun) -> Value {
        let p = self.protocol;
        let first = self.scalar(
            "OMEGA_TO_FIRST_OUTPUT",
            &p.omega_power(-(run.first as i32)),
            format!("omega^-{}: outputs are in every row {} from row {} on", run.first, run.step, run.first),
        );
        let next =
            self.scalar("OMEGA_TO_NEXT_OUTPUT", &p.omega_power(-(run.step as i32)), format!("omega^-{}", run.step));
        let all = self.scalar("OMEGA_OF_OUTPUTS", &self.all_rows(run), "omega to the sum of the outputs' rows");
        let [x, z, distance, numerator, product] = ["x", "z", "f", "q", "e"].map(|name| self.value(name));
        block.comment(
            "outputs v at rows i: q / e is the sum of v / (z - 1), with z = x / omega^i; a negative v is r - |v|",
        );
        block.define("q", &self.value("0")).define("e", &self.value("1")).define("z", &x.times(&first));
        self.each_output(block, ADVICE);
        block.define("f", &z.plus_reduced(&self.minus_one()));
        block.line("let v := calldataload(at)");
        let value = self.value("add(v, mul(r, slt(v, 0)))");
        block.assign("q", &numerator.times(&distance).plus_reduced(&value.times(&product)));
        block.assign("e", &product.times(&distance)).assign("z", &z.times(&next)).close();
        let slot = self.memory.reserve(OUTPUT_NUMERATOR, 1);
        block.store(&slot, &numerator);
        product.times(&all)
    }

    /// `omega` to the sum of the rows of many outputs.
    fn all_rows(&self, run: PublicRun) -> C::Scalar {
        let sum: u64 = (0..run.count).map(|i| (run.first + i * run.step) as u64).sum();
        self.protocol.omega.pow([sum])
    }

    /// Multiply the local `d` by the distances of `u` from the positions of a section, or define it so.
    fn section_product(&mut self, block: &mut Block, positions: &[usize], periodic: &Periodic, started: bool) {
        let g = self.protocol.omega.pow([1 << (self.protocol.k - periodic.log_period)]);
        let mut product = started.then(|| self.value("d"));
        for (i, &position) in positions.iter().enumerate() {
            let comment = format!("-g^{position}, g of order {}", periodic.period());
            let root = self.scalar(format!("MINUS_G{position}"), &-g.pow([position as u64]), comment);
            let distance = self.value("u").plus(&root);
            let next = product.map_or(distance.clone(), |product| distance.times(&product));
            let full = next.to_string().len() > MAX_PRODUCT || i + 1 == positions.len();
            product = Some(if full {
                block.assign("d", &next);
                next.named("d")
            } else {
                next
            });
        }
    }

    pub fn instances(&mut self) -> Step {
        let mut block = Block::default();
        block.line("let r := R");
        for (i, column) in self.protocol.shape.instance_columns.iter().enumerate() {
            let value = match column {
                InstanceColumn::Public(rows) => {
                    block.comment("public values in their rows; a negative value v is r - |v|");
                    self.public_column(&mut block, rows)
                }
                InstanceColumn::EvenRows { off } => {
                    block.comment(format!(
                        "1 on even rows but the last {off} rows: (1 + x^(n/2)) / 2 less their Lagrange polynomials"
                    ));
                    let half = self.scalar("ONE_HALF", &C::Scalar::TWO_INV, "1 / 2");
                    let even = self.slot("X_HALF").plus(&self.value("1")).times(&half).times(&self.slot("SCALE"));
                    let off = self.lagrange_sum(&off_rows(*off));
                    off.map_or(even.clone(), |off| even.minus(&off))
                }
                InstanceColumn::ActiveRows { off } => {
                    block.comment(format!("1 on all rows but the last {off}: 1 less their Lagrange polynomials"));
                    let off: Vec<i32> = last_rows(*off).collect();
                    let active = self.slot("SCALE");
                    self.lagrange_sum(&off).map_or(active.clone(), |off| active.minus(&off))
                }
                InstanceColumn::Section(_) | InstanceColumn::OutsideSections => continue,
            };
            self.keep(&mut block, &format!("INSTANCE{i}"), &value);
        }
        Step {
            title: "Instance columns",
            notes: vec!["Not committed: evaluated here from the outputs and from closed forms."],
            block,
        }
    }

    /// `sum (constant + sum coefficient * value) * lagrange`, in a local.
    fn public_column(&mut self, block: &mut Block, rows: &[PublicRow<C::Scalar>]) -> Value {
        let mut sum: Option<Value> = None;
        if let Some(run) = self.run {
            let n = C::Scalar::from(self.protocol.n() as u64).invert().unwrap_or(C::Scalar::ZERO);
            let factor = self.scalar("OUTPUTS_FACTOR", &(self.all_rows(run) * n), "OMEGA_OF_OUTPUTS / n");
            let value = self.slot(OUTPUT_SUM).times(&self.slot(OUTPUT_NUMERATOR)).times(&factor);
            block.define("v", &value);
            sum = Some(value.named("v"));
        }
        let in_run = |row: &PublicRow<C::Scalar>| self.run.is_some_and(|run| run.contains(row.row));
        let rows: Vec<&PublicRow<C::Scalar>> = rows.iter().filter(|row| !in_run(row)).collect();
        for row in rows {
            let mut value = Signed::constant(&row.constant);
            for &(index, coefficient) in &row.terms {
                let word = self.word(&self.calldata.public_value_name(index));
                let element = match index < self.ranges.len() {
                    true => self.value(format!("add({word}, mul(r, slt({word}, 0)))")),
                    false => word,
                };
                let term = Signed { value: element, negative: false };
                let Some(coefficient) = Signed::constant(&coefficient) else { continue };
                let term = term.times(&coefficient);
                value = Some(value.map_or(term.clone(), |value| value.plus(&term)));
            }
            let lagrange = Signed { value: self.slot(&format!("LAGRANGE_{}", row.row)), negative: false };
            let Some(value) = value.map(|value| value.times(&lagrange).value()) else { continue };
            sum = Some(match sum {
                Some(sum) => {
                    block.assign("v", &sum.plus(&value));
                    sum.plus(&value).named("v")
                }
                None => {
                    block.define("v", &value);
                    value.named("v")
                }
            });
        }
        sum.unwrap_or_else(|| self.value("0"))
    }

    fn leaf(&self, expression: &Expression<C::Scalar>) -> Value {
        match *expression {
            Expression::Advice(column, rotation) => self.evaluation(Polynomial::Advice(column), rotation),
            Expression::Challenge(index) => self.hash(BETWEEN[index.min(1)]),
            Expression::Fixed(column) => self.evaluation(Polynomial::Fixed(column), 0),
            Expression::Instance(column) => self.slot(&format!("INSTANCE{column}")),
            _ => self.value("0"),
        }
    }

    /// Linear columns that are not all zero, by their position among the linear columns, with the names of their coefficients.
    pub fn linear_columns(&self) -> Vec<(usize, String)> {
        let linear = &self.protocol.shape.linear;
        let name = |i: usize| if linear.len() == 1 { "WEIGHTS".into() } else { format!("LINEAR{i}") };
        let p = self.protocol;
        let zero = |column: usize| p.weights != Some(column) && bool::from(p.fixed[column].is_identity());
        linear.iter().enumerate().filter(|(_, column)| !zero(**column)).map(|(i, _)| (i, name(i))).collect()
    }

    pub fn constraints(&mut self) -> Step {
        let p = self.protocol;
        let mut block = Block::default();
        block.line("let r := R").define("y", &self.hash("Y")).line("let c");
        let y = self.hash("y_").named("y");
        let linear = self.linear_columns();
        for (_, name) in &linear {
            self.memory.reserve(name, 1);
        }
        // one coefficient is kept in a local, more in their slots
        let local = linear.len() == 1;
        if local {
            block.line("let w");
        }
        // accumulator := accumulator * y + value
        let fold = |accumulator: Option<&Signed>, value: Option<Signed>| {
            let shifted = accumulator.map(|sum| Signed { value: sum.value.times(&y), ..*sum });
            match (shifted, value) {
                (Some(sum), Some(value)) => Some(sum.plus(&value)),
                (sum, value) => sum.or(value),
            }
        };
        let scale = Signed { value: self.slot("SCALE"), negative: false };
        // instance columns are scaled already
        let scaled =
            |plain: Option<Signed>, scaled: Option<Signed>| match (plain.map(|value| value.times(&scale)), scaled) {
                (Some(plain), Some(scaled)) => Some(scaled.plus(&plain)),
                (plain, scaled) => plain.or(scaled),
            };
        let mut constant: Option<Signed> = None;
        let mut coefficients: Vec<Option<Signed>> = vec![None; linear.len()];
        for (i, gate) in p.split_gates().enumerate() {
            block.comment(format!("gate {i}")).open("");
            let parts: Vec<&Expression<C::Scalar>> =
                gate.rest.iter().chain(linear.iter().flat_map(|(column, _)| &gate.coefficients[*column])).collect();
            let mut values = Emitter::emit(&mut block, &parts, &|leaf| self.leaf(leaf)).into_iter();
            let mut next = || scaled(values.next().flatten(), values.next().flatten());
            constant = fold(constant.as_ref(), next());
            if let Some(sum) = &mut constant {
                block.assign("c", &sum.value);
                sum.value = sum.value.named("c");
            }
            for (coefficient, (_, name)) in coefficients.iter_mut().zip(&linear) {
                *coefficient = fold(coefficient.as_ref(), next());
                match coefficient {
                    Some(sum) if local => {
                        block.assign("w", &sum.value);
                        sum.value = sum.value.named("w");
                    }
                    Some(sum) => {
                        block.store(name, &sum.value);
                        sum.value = sum.value.named(&load(name));
                    }
                    None => {}
                }
            }
            block.close();
        }
        let zero = || Signed { value: self.value("0"), negative: false };
        let mut constant = constant.unwrap_or_else(zero);
        let mut coefficients: Vec<Signed> = coefficients.into_iter().map(|sum| sum.unwrap_or_else(zero)).collect();
        if p.permutation.is_some() {
            self.permutation(&mut block, &mut constant, &mut coefficients);
        }
        self.keep(&mut block, "CONSTANT", &constant.value());
        for (coefficient, (_, name)) in coefficients.into_iter().zip(linear) {
            block.store(&name, &coefficient.value());
            self.kept.push((name.clone(), coefficient.value().named(&load(&name))));
        }
        Step {
            title: "Constraints",
            notes: vec![
                "All constraints at x, combined by powers of y: a constant, plus coefficients times the polynomials whose",
                "values at x are not known. Their commitments, so combined, must be that of a polynomial that is zero at x.",
            ],
            block,
        }
    }

    fn permutation(&mut self, block: &mut Block, constant: &mut Signed, coefficients: &mut [Signed]) {
        let p = self.protocol;
        let Some(first) = self.lagrange_sum(&[0]) else { return };
        let (y, beta) = (self.hash("y_").named("y"), self.hash("BETA"));
        let last = p.last_rotation();
        let columns = p.phases;
        if last.is_some() {
            block.comment("permutation: l_0 (1 - z), l_last (1 - z), and on active rows");
            block.comment("z(omega x) (a + beta sigma + gamma) - z (a + beta x + gamma)");
        } else {
            block.comment("permutation: l_0 (1 - z), and for the product over both advice columns");
            block.comment("z(omega x) prod (a + beta sigma + gamma) - z prod (a + beta delta x + gamma)");
        }
        // a, plus gamma, of each column
        let names: Vec<&str> = ["a", "b"].into_iter().take(columns).collect();
        for (column, name) in names.iter().enumerate() {
            let value = self.evaluation(Polynomial::Advice(column), 0).plus_reduced(&self.slot("GAMMA"));
            block.define(name, &value);
        }
        let advice: Vec<Value> = names.iter().map(|name| self.value(*name)).collect();
        let (mut active, mut ends, mut shift) = (self.slot("SCALE"), first, y.clone());
        if let Some(last) = last {
            let inactive: Vec<i32> = (last..0).collect();
            if let (Some(inactive), Some(last)) = (self.lagrange_sum(&inactive), self.lagrange_sum(&[last])) {
                block.define("active", &active.plus_reduced(&inactive.negated()));
                active = self.value("active");
                let value = ends.times(&y).plus(&last);
                block.define("ends", &value);
                ends = value.named("ends");
                let value = y.times(&y);
                block.define("y2", &value);
                shift = value.named("y2");
            }
        }
        let mut next = active.times(&self.evaluation(Polynomial::Product, 1));
        for column in p.evaluated_sigma() {
            let sigma = self.evaluation(Polynomial::Sigma(column), 0);
            next = next.times(&beta.times(&sigma).plus(&advice[column]));
        }
        block.define("next", &next);
        let next = self.value("next");
        // (c shift + ends) y + next * (a + gamma)
        let value = constant.value().times(&shift).plus(&ends).times(&y).plus(&next.times(&advice[columns - 1]));
        block.assign("c", &value);
        *constant = Signed { value: value.named("c"), negative: false };
        for coefficient in coefficients {
            coefficient.value = coefficient.value.times(&shift).times(&y);
        }
        self.keep(block, "SIGMA", &next.times(&beta));
        let x = self.slot("X");
        let mut product = active;
        for (column, a) in advice.iter().enumerate() {
            let mut shifted = beta.times(&x);
            if column > 0 {
                let delta = C::Scalar::DELTA.pow([column as u64]);
                let comment = "moves the cells of the second column apart from those of the first";
                shifted = shifted.times(&self.scalar("DELTA", &delta, comment));
            }
            product = product.times(&shifted.plus(a));
        }
        self.keep(block, "MINUS_PRODUCT", &ends.times(&y).plus(&product));
    }

    /// Store a value in a slot of its own.
    fn keep(&mut self, block: &mut Block, name: &str, value: &Value) {
        let slot = self.memory.reserve(name, 1);
        block.store(&slot, value);
        self.kept.push((slot.clone(), value.named(&format!("mload({slot})"))));
    }
}
