//! The step that computes the scalar of every commitment.

use ff::Field;

use super::{
    layout::{CalldataLayout, SECOND, WEIGHTS, rotation_suffix},
    verifier::{Form, Generator, Point, Step, Term},
    yul::{Block, Value},
};
use crate::proof::{
    curve::{Curve, CurveId},
    protocol::Polynomial,
};

impl<C: Curve> Generator<'_, C> {
    /// Reserve memory for a commitment and its scalar; returns the scalar's slot.
    pub fn term(&mut self, name: &str, comment: impl Into<String>, point: Point) -> String {
        // words of a point as the precompiles take it
        let words = match C::ID {
            CurveId::Bn254 => 2,
            CurveId::Bls12381 => 4,
        };
        let slot = self.memory.reserve(format!("TERM_{name}"), words);
        let scalar = self.memory.reserve(format!("SCALAR_{name}"), 1);
        self.terms.push(Term { comment: comment.into(), slot, scalar: scalar.clone(), point });
        scalar
    }

    /// Whether something else than advice columns is opened at this rotation.
    fn is_opened_alone(&self, rotation: i32) -> bool {
        self.protocol.rotation_sets()[1..].iter().any(|set| set.rotations == [rotation])
    }

    pub fn opening(&mut self) -> Step {
        let p = self.protocol;
        let mut block = Block::default();
        block.line("let r := R");
        let mut sum = self.interpolation(&mut block);
        let [x, power, scale] = ["x", "power", "scale"].map(|name| self.value(name));

        block.comment("x^(m-1) for m rotations, the factor by which the products are off");
        block.define("x", &self.slot("X")).define("v", &self.slot("MU").times(&x));
        let powers = (2..p.rotations().len()).fold(x.clone(), |product, _| product.times(&x));
        if self.form == Form::Batch {
            block.comment("all of this claim is multiplied by its power of RHO");
            block.define("rho", &self.slot("RHO_POWER"));
            let rho = self.value("rho");
            block.define("power", &powers.times(&rho)).assign("sum", &sum.times(&rho));
            sum = sum.times(&rho).named("sum");
        } else {
            block.define("power", &powers);
        }
        block.comment("the opening's first point: minus the product of all distances");
        let distance = self.value("v").minus(&x);
        let opening = self.value("at").times(&power).times(&distance).negated();
        let slot = self.term("OPENING", "first point of the opening", Point::Proof("OPENING".into()));
        block.store(&slot, &opening);

        let nu = self.hash("NU");
        if p.phases > 1 {
            block.comment("the second advice column");
            let slot = self.term(SECOND, "advice column of the second phase", Point::Proof(SECOND.into()));
            let scalar = if self.form == Form::Batch { self.value("rho").times(&nu) } else { nu.clone() };
            block.store(&slot, &scalar).assign("power", &power.times(&nu));
        }
        let mut others: Vec<(usize, Polynomial, i32)> = Vec::new();
        for set in &p.rotation_sets()[1..] {
            others.extend(set.polynomials.iter().map(|&(power, polynomial)| (power, polynomial, set.rotations[0])));
        }
        others.sort_by_key(|(power, ..)| *power);
        for (_, polynomial, rotation) in others {
            block.assign("power", &power.times(&nu));
            let scalar = self.value(basis_name(rotation)).times(&power);
            match polynomial {
                Polynomial::Fixed(column) => {
                    block.comment(format!("fixed column {column}"));
                    let point = self.key_point(&format!("FIXED{column}"), &p.fixed[column]);
                    let slot = self.term(&format!("FIXED{column}"), format!("fixed column {column}"), point);
                    block.define(&format!("fixed{column}"), &scalar);
                    let scalar = scalar.named(&format!("fixed{column}"));
                    self.key_scalar(&mut block, &slot, &scalar);
                    sum = sum.plus(&scalar.times(&self.evaluation(polynomial, rotation)));
                    block.assign("sum", &sum);
                }
                Polynomial::Sigma(column) => {
                    block.comment("the permutation of the first advice column");
                    let Some(permutation) = &p.permutation else { continue };
                    let point = self.key_point(&format!("SIGMA{column}"), &permutation.sigma[column]);
                    let slot = self.term(&format!("SIGMA{column}"), "permutation of the first advice column", point);
                    block.define(&format!("sigma{column}"), &scalar);
                    let scalar = scalar.named(&format!("sigma{column}"));
                    self.key_scalar(&mut block, &slot, &scalar);
                    sum = sum.plus(&scalar.times(&self.evaluation(polynomial, rotation)));
                    block.assign("sum", &sum);
                }
                Polynomial::Linearisation => {
                    block.comment("the linearisation: weights, permutation, quotient");
                    block.define("scale", &scalar);
                    self.linearisation(&mut block, &scale);
                }
                Polynomial::Product => {
                    block.comment("the running product has a part in the linearisation as well");
                    let slot = self.term("PRODUCT", "running product", Point::Proof("PRODUCT".into()));
                    block.assign("power", &scalar);
                    let linearised = scale.times(&self.slot("MINUS_PRODUCT")).negated();
                    block.store(&slot, &power.plus(&linearised));
                    sum = sum.plus(&power.times(&self.evaluation(polynomial, rotation)));
                    block.assign("sum", &sum);
                }
                Polynomial::Advice(_) => {}
            }
            sum = sum.named("sum");
        }
        let constant = scale.times(&self.slot("CONSTANT"));
        match C::ID {
            CurveId::Bn254 => {
                block.comment("the generator of G1: what is known of all values");
                let slot = self.term("ONE", "generator of G1", Point::Key(vec!["1".into(), "2".into()]));
                self.key_scalar(&mut block, &slot, &constant.minus(&sum));
                block.comment("the last point, times v");
                let slot = self.term("LAST_POINT", "last point of the proof", Point::Proof("LAST_POINT".into()));
                let v = self.value("v");
                block.store(&slot, &if self.form == Form::Batch { v.times(&self.value("rho")) } else { v });
            }
            CurveId::Bls12381 => {
                block.comment("v and the claimed value there, reduced");
                let slot = self.memory.reserve("OPENED_AT", 1);
                block.store(&slot, &self.value("v"));
                let slot = self.memory.reserve("CLAIM", 1);
                block.store(&slot, &sum.plus_reduced(&constant.negated()));
            }
        }
        Step {
            title: "Opening: scalars",
            notes: vec![
                "SHPLONK (eprint 2020/081): the combination of all polynomials, less their values, is a multiple of the product",
                "of the distances of the points. It is opened at v = mu x. The advice column is opened at all rotations, with",
                "coefficient one.",
            ],
            block,
        }
    }

    /// `sum`: the advice column's values, interpolated, at `v = mu x`. And for every other rotation set the product of the
    /// distances of `v` from the points that are not in it, over a power of `x`.
    fn interpolation(&mut self, block: &mut Block) -> Value {
        let p = self.protocol;
        let rotations = p.rotations();
        let last = rotations.len() - 1;
        block.comment("the distances of mu x from omega^rotation x, over x");
        block.line("let sum");
        let alone: Vec<bool> = rotations.iter().map(|&rotation| self.is_opened_alone(rotation)).collect();
        for (&rotation, _) in rotations.iter().zip(&alone).filter(|(_, alone)| **alone) {
            block.line(format!("let {}", basis_name(rotation)));
        }
        block.open("");
        let name = |i: usize| self.value(format!("d{i}"));
        let distances: Vec<Value> = (0..=last).map(name).collect();
        block.define("d0", &self.slot("MU"));
        for i in (0..=last).rev() {
            let (rotation, value) = (rotations[i], -p.omega_power(rotations[i]));
            let minus = match rotation {
                0 => self.scalar("MINUS_ONE", &value, ""),
                _ => {
                    let name = format!("MINUS_OMEGA{}", rotation_suffix(rotation));
                    self.scalar(name, &value, format!("-omega^{rotation}"))
                }
            };
            let distance = distances[0].plus(&minus);
            if i == 0 {
                block.assign("d0", &distance)
            } else {
                block.define(&format!("d{i}"), &distance)
            };
        }
        block.comment("and the products of all but one");
        let mut before: Vec<Option<Value>> = vec![None, Some(distances[0].clone())];
        for i in 2..=last {
            let Some(product) = before[i - 1].as_ref().map(|before| before.times(&distances[i - 1])) else { break };
            let local = product.named(&format!("before{i}"));
            if i < last {
                block.define(&format!("before{i}"), &product);
            }
            before.push(Some(if i < last { local } else { product }));
        }
        let mut after: Vec<Option<Value>> = vec![None, Some(distances[last].clone())];
        for i in 2..=last {
            let Some(product) = after[i - 1].as_ref().map(|after| distances[last + 1 - i].times(after)) else { break };
            let local = product.named(&format!("after{i}"));
            if i < last {
                block.define(&format!("after{i}"), &product);
            }
            after.push(Some(if i < last { local } else { product }));
        }
        let mut sum: Option<Value> = None;
        for (i, &rotation) in rotations.iter().enumerate() {
            let others = rotations.iter().filter(|&&other| other != rotation);
            let gaps = others.map(|&other| p.omega_power(rotation) - p.omega_power(other)).product::<C::Scalar>();
            let weight = gaps.invert().unwrap_or(C::Scalar::ZERO);
            let weight = self.scalar(format!("INTERPOLATION{}", rotation_suffix(rotation)), &weight, "");
            let basis = match (&before[i], &after[last - i]) {
                (Some(before), Some(after)) => before.times(after),
                (one, other) => one.as_ref().or(other.as_ref()).cloned().unwrap_or_else(|| self.value("1")),
            };
            let basis = if alone[i] {
                block.assign(basis_name(rotation).as_str(), &basis);
                self.value(basis_name(rotation))
            } else {
                basis
            };
            let mut advice = self.evaluation(Polynomial::Advice(0), rotation);
            if p.phases > 1 {
                advice = self.hash("NU").times(&self.evaluation(Polynomial::Advice(1), rotation)).plus(&advice);
            }
            let term = basis.times(&advice.times(&weight));
            let total = sum.map_or(term.clone(), |sum: Value| sum.plus(&term));
            block.assign("sum", &total);
            sum = Some(total.named("sum"));
        }
        block.close();
        sum.unwrap_or_else(|| self.value("0"))
    }

    /// Keep the scalar of a commitment of the key, which is the same in all proofs of a batch.
    fn key_scalar(&self, block: &mut Block, slot: &str, scalar: &Value) {
        match self.form {
            Form::One => block.store(slot, scalar),
            Form::Batch => block.store(slot, &self.value(format!("mload({slot})")).plus_reduced(scalar)),
        };
    }

    /// The scalars of the commitments that make up the linearisation.
    fn linearisation(&mut self, block: &mut Block, scale: &Value) {
        let p = self.protocol;
        for (i, name) in self.linear_columns() {
            let column = p.shape.linear[i];
            let scalar = scale.times(&self.slot(&name));
            if p.weights == Some(column) {
                let slot =
                    self.term(&name, "weights, whose commitment the statement names", Point::Proof(WEIGHTS.into()));
                block.store(&slot, &scalar);
                continue;
            }
            let point = self.key_point(&name, &p.fixed[column]);
            let comment = if p.shape.linear.len() == 1 { "weights".into() } else { format!("fixed column {column}") };
            let slot = self.term(&name, comment, point);
            self.key_scalar(block, &slot, &scalar);
        }
        if let Some(sigma) = p.permutation.as_ref().and_then(|permutation| permutation.sigma.last()) {
            let point = self.key_point("SIGMA", sigma);
            let slot = self.term("SIGMA", "permutation", point);
            self.key_scalar(block, &slot, &scale.times(&self.slot("SIGMA")));
        }
        for piece in 0..p.quotient_pieces {
            let name = CalldataLayout::quotient_name(piece);
            let slot = self.term(&name, format!("quotient, piece {piece}"), Point::Proof(name.clone()));
            let value = if piece == 0 {
                scale.times(&self.slot("VANISHING")).negated()
            } else {
                let x_n = self.slot("X_N");
                let before = CalldataLayout::quotient_name(piece - 1);
                self.slot(&format!("SCALAR_{before}")).times(&x_n)
            };
            block.store(&slot, &value);
        }
    }
}

/// The local with the product of the distances of `v` from all points but this.
fn basis_name(rotation: i32) -> String {
    format!("at{}", rotation_suffix(rotation).to_lowercase())
}
