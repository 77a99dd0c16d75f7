//! RNN, GRU and LSTM, unrolled over their sequence.

use super::grid::permuted;
use super::pool::stacked;
use super::{Lowering, Node, OnnxError, Registry, Value};
use crate::graph::Function;
use crate::onnx::tensor::Kind;
use crate::ops::Product;

#[derive(Clone, Copy, PartialEq)]
enum Activation {
    Sigmoid,
    Tanh,
    Relu,
}

impl Activation {
    fn of(self, lowering: &mut Lowering, node: &Node, x: &Value) -> Result<Value, OnnxError> {
        match self {
            Activation::Sigmoid => lowering.function(node, Function::Sigmoid, x),
            Activation::Tanh => lowering.function(node, Function::Tanh, x),
            Activation::Relu => lowering.relu(node, x),
        }
    }
}

/// The kind of cell.
#[derive(Clone, Copy, PartialEq)]
enum Cell {
    Rnn,
    Gru,
    Lstm,
}

impl Cell {
    fn gates(self) -> usize {
        match self {
            Cell::Rnn => 1,
            Cell::Gru => 3,
            Cell::Lstm => 4,
        }
    }

    /// Activations of one direction, as they are if the node does not name any.
    fn activations(self) -> &'static [Activation] {
        match self {
            Cell::Rnn => &[Activation::Tanh],
            Cell::Gru => &[Activation::Sigmoid, Activation::Tanh],
            Cell::Lstm => &[Activation::Sigmoid, Activation::Tanh, Activation::Tanh],
        }
    }
}

/// A layer: sizes, attributes, and the operands that all directions share.
struct Layer {
    cell: Cell,
    steps: usize,
    batch: usize,
    inputs: usize,
    hidden: usize,
    /// Per direction, whether it goes from the end to the start.
    reversed: Vec<bool>,
    batch_first: bool,
    reset_after: bool,
    clip: Option<f64>,
    activations: Vec<Activation>,
}

/// One direction of a layer.
struct Direction<'a> {
    layer: &'a Layer,
    activations: &'a [Activation],
    /// `[hidden, gates * hidden]`
    recurrence: Value,
    /// `[gates * hidden]`, added to the product with the recurrence.
    bias: Option<Value>,
    /// `[3 * hidden]`
    peepholes: Option<Value>,
}

fn activations(node: &Node, cell: Cell, directions: usize) -> Result<Vec<Activation>, OnnxError> {
    let count = cell.activations().len() * directions;
    let default = || cell.activations().iter().copied().cycle().take(count).collect();
    for name in ["activation_alpha", "activation_beta"] {
        if node.floats(name)?.is_some_and(|v| !v.is_empty()) {
            return Err(node.unsupported(&format!("attribute {name}"), "no supported activation takes it"));
        }
    }
    let Some(attribute) = node.raw("activations") else { return Ok(default()) };
    if attribute.strings.is_empty() {
        return Ok(default());
    }
    let known = |name: &[u8]| match name.to_ascii_lowercase().as_slice() {
        b"sigmoid" => Some(Activation::Sigmoid),
        b"tanh" => Some(Activation::Tanh),
        b"relu" => Some(Activation::Relu),
        _ => None,
    };
    let named: Option<Vec<Activation>> = attribute.strings.iter().map(|name| known(name)).collect();
    named.filter(|named| named.len() == count).ok_or_else(|| {
        node.unsupported("attribute activations", &format!("there must be {count} of Sigmoid, Tanh and Relu"))
    })
}

impl Layer {
    fn read(node: &Node, cell: Cell) -> Result<Self, OnnxError> {
        let (x, weights, recurrence) = (node.input(0)?, node.input(1)?, node.input(2)?);
        let floats = [0, 1, 2, 3, 5, 6, 7].into_iter().filter_map(|i| node.optional_input(i));
        if floats.into_iter().any(|v| v.kind() != Kind::Float) {
            return Err(node.unsupported("its element type", "all operands but the lengths must be floats"));
        }
        let batch_first = match node.int("layout")?.unwrap_or(0) {
            0 => false,
            1 => true,
            other => return Err(node.unsupported("attribute layout", &format!("{other} is not 0 or 1"))),
        };
        let &[first, second, inputs] = x.shape() else {
            return Err(node.mismatch(x.shape(), &[], "the input must have a sequence, a batch and features"));
        };
        let (steps, batch) = if batch_first { (second, first) } else { (first, second) };
        let reversed = match node.string("direction")?.as_deref() {
            None | Some("forward") => vec![false],
            Some("reverse") => vec![true],
            Some("bidirectional") => vec![false, true],
            Some(other) => return Err(node.unsupported("attribute direction", &format!("\"{other}\" is not known"))),
        };
        let &[_, _, hidden] = recurrence.shape() else {
            return Err(node.mismatch(recurrence.shape(), &[], "the recurrence must have three axes"));
        };
        if node.int("hidden_size")?.is_some_and(|size| usize::try_from(size) != Ok(hidden)) {
            return Err(node.unsupported("attribute hidden_size", &format!("the recurrence has {hidden} columns")));
        }
        let rows = hidden.saturating_mul(cell.gates());
        let directions = reversed.len();
        let expected: [(usize, Vec<usize>); 5] = [
            (1, vec![directions, rows, inputs]),
            (2, vec![directions, rows, hidden]),
            (3, vec![directions, rows.saturating_mul(2)]),
            (5, if batch_first { vec![batch, directions, hidden] } else { vec![directions, batch, hidden] }),
            (6, if batch_first { vec![batch, directions, hidden] } else { vec![directions, batch, hidden] }),
        ];
        for (position, shape) in expected {
            if let Some(value) = node.optional_input(position)
                && value.shape() != shape
            {
                return Err(node.mismatch(value.shape(), &shape, &format!("input {position} has another shape")));
            }
        }
        if let Some(peepholes) = node.optional_input(7)
            && peepholes.shape() != [directions, hidden.saturating_mul(3)]
        {
            return Err(node.mismatch(peepholes.shape(), &[directions, hidden], "the peepholes have another shape"));
        }
        if [steps, batch, hidden].contains(&0) || weights.len() == 0 {
            return Err(node.unsupported("its operands", "they must have elements"));
        }
        if node.optional_input(4).is_some() {
            let lengths = node.integers(4, "the lengths of the sequences")?;
            if lengths.len() != batch || lengths.iter().any(|&l| usize::try_from(l) != Ok(steps)) {
                return Err(node.unsupported("the lengths of the sequences", "every sequence must be full"));
            }
        }
        let clip = node.float("clip")?;
        if clip.is_some_and(|clip| clip <= 0.0) {
            return Err(node.unsupported("attribute clip", "it must be positive"));
        }
        if cell == Cell::Lstm && clip.is_some() {
            return Err(node.unsupported("attribute clip", "runtimes differ on whether the cell state is clipped"));
        }
        if node.flag("input_forget")? {
            return Err(node.unsupported("attribute input_forget", "it is not supported"));
        }
        let reset_after = node.flag("linear_before_reset")?;
        let activations = activations(node, cell, directions)?;
        Ok(Self { cell, steps, batch, inputs, hidden, reversed, batch_first, reset_after, clip, activations })
    }

    /// `x m` for `x` of `rows` rows and the matrix `m` of `inner` rows.
    fn times(
        &self,
        lowering: &mut Lowering,
        node: &Node,
        x: &Value,
        m: &Value,
        rows: usize,
        inner: usize,
    ) -> Result<Value, OnnxError> {
        let columns = m.len() / inner;
        let product = Product { batch: 1, rows, inner, columns };
        lowering.matrix_product(node, x, m, product, vec![rows, columns])
    }

    /// Matrix `direction` of a stack of matrices with rows of `width`, transposed.
    fn transposed(
        &self,
        lowering: &mut Lowering,
        node: &Node,
        stack: &Value,
        direction: usize,
        width: usize,
    ) -> Result<Value, OnnxError> {
        let rows = self.hidden * self.cell.gates();
        lowering.charge(node.name, [rows, width])?;
        let columns = (0..width).flat_map(|i| (0..rows).map(move |r| (direction * rows + r) * width + i)).collect();
        lowering.select(node, stack, vec![width, rows], columns)
    }

    /// `y + bias` for `y` of rows as long as the bias.
    fn biased(&self, lowering: &mut Lowering, node: &Node, y: Value, bias: Option<&Value>) -> Result<Value, OnnxError> {
        let Some(bias) = bias else { return Ok(y) };
        let bias = lowering.broadcast_to(node, bias, y.shape())?;
        lowering.charge(node.name, [y.len(), 2])?;
        lowering.combination(node, &[(&y, 1.0), (&bias, 1.0)], 0.0)
    }

    /// An initial state of direction `direction`, `[batch, hidden]`; zero if it is left out.
    fn initial(
        &self,
        lowering: &mut Lowering,
        node: &Node,
        position: usize,
        direction: usize,
    ) -> Result<Value, OnnxError> {
        let (batch, hidden, directions) = (self.batch, self.hidden, self.reversed.len());
        let shape = vec![batch, hidden];
        let count = lowering.charge_shape(node, &shape)?;
        let Some(given) = node.optional_input(position) else {
            return lowering.constant(node, shape, Kind::Float, vec![0.0; count]);
        };
        let row = |b: usize| if self.batch_first { b * directions + direction } else { direction * batch + b };
        let columns = (0..batch).flat_map(|b| (0..hidden).map(move |h| row(b) * hidden + h)).collect();
        lowering.select(node, given, shape, columns)
    }
}

impl Direction<'_> {
    /// Gate `gate` of rows of gates.
    fn gate(&self, lowering: &mut Lowering, node: &Node, gates: &Value, gate: usize) -> Result<Value, OnnxError> {
        let (batch, hidden) = (self.layer.batch, self.layer.hidden);
        let width = gates.len() / batch;
        lowering.charge_shape(node, &[batch, hidden])?;
        let columns = (0..batch).flat_map(|b| (0..hidden).map(move |h| b * width + gate * hidden + h)).collect();
        lowering.select(node, gates, vec![batch, hidden], columns)
    }

    /// The activation `which` of the sum of the parts, clipped first.
    fn activated(
        &self,
        lowering: &mut Lowering,
        node: &Node,
        which: usize,
        parts: &[&Value],
    ) -> Result<Value, OnnxError> {
        let terms: Vec<(&Value, f64)> = parts.iter().map(|&p| (p, 1.0)).collect();
        let mut sum = lowering.combination(node, &terms, 0.0)?;
        if let Some(clip) = self.layer.clip {
            let bound = |v: f64| vec![v; sum.len()];
            let (shape, high, low) = (sum.shape().to_vec(), bound(clip), bound(-clip));
            lowering.charge(node.name, [sum.len(), 8])?;
            let high = lowering.constant(node, shape.clone(), Kind::Float, high)?;
            let low = lowering.constant(node, shape, Kind::Float, low)?;
            sum = lowering.maximum(node, &sum, &low)?;
            sum = lowering.minimum(node, &sum, &high)?;
        }
        self.activations[which].of(lowering, node, &sum)
    }

    /// `part + peephole * state`, for the peephole of a gate.
    fn peeped(
        &self,
        lowering: &mut Lowering,
        node: &Node,
        part: Value,
        gate: usize,
        state: &Value,
    ) -> Result<Value, OnnxError> {
        let Some(peepholes) = &self.peepholes else { return Ok(part) };
        let (batch, hidden) = (self.layer.batch, self.layer.hidden);
        let columns = (0..batch).flat_map(|_| gate * hidden..(gate + 1) * hidden).collect();
        lowering.charge(node.name, [batch, hidden, 4])?;
        let peephole = lowering.select(node, peepholes, vec![batch, hidden], columns)?;
        let seen = lowering.product(node, state, &peephole)?;
        lowering.combination(node, &[(&part, 1.0), (&seen, 1.0)], 0.0)
    }

    /// The product of a hidden state and the recurrence, with its bias.
    fn recurred(&self, lowering: &mut Lowering, node: &Node, state: &Value) -> Result<Value, OnnxError> {
        let layer = self.layer;
        let y = layer.times(lowering, node, state, &self.recurrence, layer.batch, layer.hidden)?;
        layer.biased(lowering, node, y, self.bias.as_ref())
    }

    /// The next hidden and cell state; `x` is the product of the input and the weights, with its bias.
    fn step(
        &self,
        lowering: &mut Lowering,
        node: &Node,
        x: &Value,
        hidden: &Value,
        state: &Value,
    ) -> Result<(Value, Value), OnnxError> {
        let from_hidden = self.recurred(lowering, node, hidden)?;
        let part = |lowering: &mut Lowering, gate: usize| -> Result<(Value, Value), OnnxError> {
            Ok((self.gate(lowering, node, x, gate)?, self.gate(lowering, node, &from_hidden, gate)?))
        };
        match self.layer.cell {
            Cell::Rnn => Ok((self.activated(lowering, node, 0, &[x, &from_hidden])?, state.clone())),
            // z = f(..), r = f(..), n = g(..), h = n + z (h - n)
            Cell::Gru => {
                let (xz, hz) = part(lowering, 0)?;
                let (xr, hr) = part(lowering, 1)?;
                let update = self.activated(lowering, node, 0, &[&xz, &hz])?;
                let reset = self.activated(lowering, node, 0, &[&xr, &hr])?;
                let (xn, hn) = part(lowering, 2)?;
                let hn = if self.layer.reset_after {
                    lowering.product(node, &reset, &hn)?
                } else {
                    let kept = lowering.product(node, &reset, hidden)?;
                    let kept = self.recurred(lowering, node, &kept)?;
                    self.gate(lowering, node, &kept, 2)?
                };
                let new = self.activated(lowering, node, 1, &[&xn, &hn])?;
                let change = lowering.combination(node, &[(hidden, 1.0), (&new, -1.0)], 0.0)?;
                let change = lowering.product(node, &update, &change)?;
                Ok((lowering.combination(node, &[(&new, 1.0), (&change, 1.0)], 0.0)?, state.clone()))
            }
            // gates in the order i, o, f, c: c' = f c + i g(..), h = o h(c'); peepholes in the order i, o, f
            Cell::Lstm => {
                let (xi, hi) = part(lowering, 0)?;
                let hi = self.peeped(lowering, node, hi, 0, state)?;
                let input = self.activated(lowering, node, 0, &[&xi, &hi])?;
                let (xf, hf) = part(lowering, 2)?;
                let hf = self.peeped(lowering, node, hf, 2, state)?;
                let forget = self.activated(lowering, node, 0, &[&xf, &hf])?;
                let (xc, hc) = part(lowering, 3)?;
                let new = self.activated(lowering, node, 1, &[&xc, &hc])?;
                let kept = lowering.product(node, &forget, state)?;
                let added = lowering.product(node, &input, &new)?;
                let state = lowering.combination(node, &[(&kept, 1.0), (&added, 1.0)], 0.0)?;
                let (xo, ho) = part(lowering, 1)?;
                let ho = self.peeped(lowering, node, ho, 1, &state)?;
                let output = self.activated(lowering, node, 0, &[&xo, &ho])?;
                let shown = self.activations[2].of(lowering, node, &state)?;
                Ok((lowering.product(node, &output, &shown)?, state))
            }
        }
    }
}

/// Outputs: the hidden states of all steps, the last hidden state, the last cell state.
fn recurrent(lowering: &mut Lowering, node: &Node, cell: Cell) -> Result<Vec<Value>, OnnxError> {
    let layer = Layer::read(node, cell)?;
    let &Layer { steps, batch, inputs, hidden, .. } = &layer;
    let (directions, rows) = (layer.reversed.len(), hidden * cell.gates());
    let x = match layer.batch_first {
        true => {
            let shape = vec![steps, batch, inputs];
            permuted(lowering, node, node.input(0)?, &[batch, steps, inputs], &[1, 0, 2], shape)?
        }
        false => node.input(0)?.clone(),
    };
    let mut outputs: Vec<Vec<Value>> = vec![vec![]; steps];
    let (mut last_hidden, mut last_states) = (vec![], vec![]);
    for (d, &reversed) in layer.reversed.iter().enumerate() {
        let weights = layer.transposed(lowering, node, node.input(1)?, d, inputs)?;
        let mut bias = |half: usize| -> Result<Option<Value>, OnnxError> {
            let Some(all) = node.optional_input(3) else { return Ok(None) };
            let start = (2 * d + half) * rows;
            lowering.charge_shape(node, &[rows])?;
            lowering.select(node, all, vec![rows], (start..start + rows).collect()).map(Some)
        };
        let (input_bias, bias) = (bias(0)?, bias(1)?);
        let peepholes = match node.optional_input(7).filter(|_| cell == Cell::Lstm) {
            Some(all) => {
                let width = 3 * hidden;
                Some(lowering.select(node, all, vec![width], (d * width..(d + 1) * width).collect())?)
            }
            None => None,
        };
        let recurrence = layer.transposed(lowering, node, node.input(2)?, d, hidden)?;
        let count = cell.activations().len();
        let activations = &layer.activations[d * count..(d + 1) * count];
        let direction = Direction { layer: &layer, activations, recurrence, bias, peepholes };

        let projected = layer.times(lowering, node, &x, &weights, steps * batch, inputs)?;
        let projected = layer.biased(lowering, node, projected, input_bias.as_ref())?;
        let mut state = match cell {
            Cell::Lstm => layer.initial(lowering, node, 6, d)?,
            _ => lowering.constant(node, vec![1], Kind::Float, vec![0.0])?,
        };
        let mut shown = layer.initial(lowering, node, 5, d)?;
        for t in 0..steps {
            let t = if reversed { steps - 1 - t } else { t };
            let len = batch * rows;
            lowering.charge_shape(node, &[batch, rows])?;
            let now = lowering.select(node, &projected, vec![batch, rows], (t * len..(t + 1) * len).collect())?;
            (shown, state) = direction.step(lowering, node, &now, &shown, &state)?;
            outputs[t].push(shown.clone());
        }
        last_hidden.push(shown);
        last_states.push(state);
    }
    let all: Vec<&Value> = outputs.iter().flatten().collect();
    let y = stacked(lowering, node, &all, vec![steps, directions, batch, hidden])?;
    let last = |lowering: &mut Lowering, values: &[Value]| -> Result<Value, OnnxError> {
        let parts: Vec<&Value> = values.iter().collect();
        let stack = stacked(lowering, node, &parts, vec![directions, batch, hidden])?;
        match layer.batch_first {
            true => {
                let shape = vec![batch, directions, hidden];
                permuted(lowering, node, &stack, &[directions, batch, hidden], &[1, 0, 2], shape)
            }
            false => Ok(stack),
        }
    };
    let mut results = vec![match layer.batch_first {
        true => {
            let shape = vec![batch, steps, directions, hidden];
            permuted(lowering, node, &y, &[steps, directions, batch, hidden], &[2, 0, 1, 3], shape)?
        }
        false => y,
    }];
    results.push(last(lowering, &last_hidden)?);
    if cell == Cell::Lstm {
        results.push(last(lowering, &last_states)?);
    }
    Ok(results)
}

pub(super) fn register(registry: &mut Registry) {
    registry.add("RNN", |lowering, node| recurrent(lowering, node, Cell::Rnn));
    registry.add("GRU", |lowering, node| recurrent(lowering, node, Cell::Gru));
    registry.add("LSTM", |lowering, node| recurrent(lowering, node, Cell::Lstm));
}

#[cfg(test)]
mod tests;
