//! A model as variables: all that is affine is carried out, and what is left is one variable per input, per ReLU whose
//! argument takes both signs, and per rescaling.

use std::collections::HashMap;

use super::{NotPeriodic, form::Form};
use crate::{
    graph::{Affine, IntegerModel, Interval},
    ops::{Op, Rescale},
};

/// What defines a variable. Arguments are forms over variables before it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Definition {
    /// The input with this index.
    Input(usize),
    Relu(Form),
    Rescale(u32, Form),
}

impl Definition {
    /// The argument of an operator.
    pub fn argument(&self) -> Option<&Form> {
        match self {
            Definition::Input(_) => None,
            Definition::Relu(argument) | Definition::Rescale(_, argument) => Some(argument),
        }
    }
}

/// An integer that is no affine function of those before it.
#[derive(Clone, Debug)]
pub struct Variable {
    pub definition: Definition,
    /// Proved, more than one value.
    pub range: Interval,
    /// The node that needs it; inputs are node 0.
    pub node: usize,
}

/// A model's variables, and its public values in terms of them.
#[derive(Clone, Debug)]
pub struct Unfolded {
    pub variables: Vec<Variable>,
    /// One form over variables per public value.
    pub outputs: Vec<Form>,
    known: HashMap<Definition, usize>,
}

impl Unfolded {
    pub fn new(model: &IntegerModel) -> Result<Self, NotPeriodic> {
        let mut unfolded = Self { variables: Vec::new(), outputs: Vec::new(), known: HashMap::new() };
        let input = |(i, range): (usize, Interval)| match range.lo == range.hi {
            true => Form::constant(range.lo),
            false => unfolded.variable(Definition::Input(i), range, 0),
        };
        let mut tensors: Vec<Vec<Form>> = vec![model.ranges(0).into_iter().enumerate().map(input).collect()];
        for (i, node) in model.nodes.iter().enumerate() {
            let inputs = || node.inputs.iter().flat_map(|&id| &tensors[id]);
            let outputs: Option<Vec<Form>> = match &node.op {
                Op::Linear(map) => linear(map, &inputs().collect::<Vec<_>>()),
                Op::Relu => inputs().map(|x| unfolded.relu(x.clone(), i)).collect(),
                Op::Rescale(Rescale { shift }) => inputs().map(|x| unfolded.rescale(*shift, x.clone(), i)).collect(),
                op => return Err(NotPeriodic::Operator { node: node.name.clone(), operator: op.name() }),
            };
            tensors.push(outputs.ok_or_else(|| NotPeriodic::TooWide { node: node.name.clone() })?);
        }
        unfolded.outputs = model.outputs.iter().flat_map(|output| tensors[output.tensor].iter().cloned()).collect();
        Ok(unfolded)
    }

    fn variable(&mut self, definition: Definition, range: Interval, node: usize) -> Form {
        let next = self.variables.len();
        let id = *self.known.entry(definition.clone()).or_insert(next);
        if id == next {
            self.variables.push(Variable { definition, range, node });
        }
        Form::value(id)
    }

    /// Proved bounds of a form over variables.
    pub fn bounds(&self, form: &Form) -> Option<Interval> {
        form.bounds(|id| self.variables[id].range)
    }

    fn relu(&mut self, x: Form, node: usize) -> Option<Form> {
        let range = self.bounds(&x)?;
        if range.lo >= 0 {
            return Some(x);
        }
        if range.hi <= 0 {
            return Some(Form::default());
        }
        Some(self.variable(Definition::Relu(x), Interval { lo: 0, hi: range.hi }, node))
    }

    /// A rescaled ReLU is the ReLU of the rescaled argument: rounding is monotonic and leaves zero alone. That order needs
    /// no argument but an affine one.
    fn rescale(&mut self, shift: u32, x: Form, node: usize) -> Option<Form> {
        if let Some(Definition::Relu(argument)) = x.as_value().map(|id| &self.variables[id].definition) {
            let rescaled = self.rescale(shift, argument.clone(), node)?;
            return self.relu(rescaled, node);
        }
        let bounds = self.bounds(&x)?;
        let bounds = Interval::new(bounds.lo, bounds.hi)?;
        let range = *Op::Rescale(Rescale { shift }).bounds(&[&[bounds]]).ok()?.first()?;
        if range.lo == range.hi {
            return Some(Form::constant(range.lo));
        }
        Some(self.variable(Definition::Rescale(shift, x), range, node))
    }

    /// The values of all variables for an input of the domain.
    pub fn values(&self, input: &[i128]) -> Vec<i128> {
        let mut values = Vec::with_capacity(self.variables.len());
        for variable in &self.variables {
            let apply = |op: Op, argument: &Form| op.eval(&[&[argument.eval(&values)]])[0];
            let value = match &variable.definition {
                Definition::Input(i) => input[*i],
                Definition::Relu(argument) => apply(Op::Relu, argument),
                Definition::Rescale(shift, argument) => apply(Op::Rescale(Rescale { shift: *shift }), argument),
            };
            values.push(value);
        }
        values
    }
}

fn linear(map: &Affine<i64, i128>, inputs: &[&Form]) -> Option<Vec<Form>> {
    let output = |j: usize| {
        let mut sum = Form::constant(map.bias[j]);
        map.row(j).try_for_each(|(i, weight)| sum.add_scaled(inputs[i], weight.into()))?;
        Some(sum)
    };
    (0..map.output_len()).map(output).collect()
}
