//! The integer model: exact semantics in plain Rust. The circuit's witness is this interpreter's trace.

use std::ops::Deref;

use serde::{Deserialize, Serialize};

use super::{Digest, Interval, Salt};
use crate::ops::Op;
use crate::stages::{self, Stage};

/// The most elements that a tensor may have, that one node may read, or that all outputs may have.
pub const MAX_ELEMENTS: usize = 1 << 24;

/// One scalar input of the model: how it is quantised and the domain that the circuit enforces.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Feature {
    pub name: String,
    /// The integer is `round(value * scale)`.
    pub scale: f64,
    /// The declared domain, in integers.
    pub range: Interval,
}

/// One step of the integer model. It defines tensor `1 + its index` (tensor 0 is the input).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IntegerNode {
    /// The ONNX node's name: errors and reports quote it.
    pub name: String,
    pub op: Op,
    /// Tensor ids: 0 is the input, `1 + i` the output of node `i`.
    pub inputs: Vec<usize>,
    /// Proved interval of every output element, from the declared input domain.
    pub ranges: Vec<Interval>,
}

/// A public output: which tensor, and how its integers map to the units of the float model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Output {
    pub name: String,
    pub tensor: usize,
    /// `float = integer / scale`.
    pub scale: f64,
}

/// A quantised model with exact integer semantics.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct IntegerModel {
    /// All inputs flattened, in the order of the ONNX inputs.
    pub features: Vec<Feature>,
    pub nodes: Vec<IntegerNode>,
    /// Those that are public as they are.
    pub outputs: Vec<Output>,
    /// What is public by its digest; these public values follow the outputs.
    pub digests: Vec<Digest>,
}

/// All tensors of one run, by tensor id, and what its digests are salted with.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    tensors: Vec<Vec<i128>>,
    /// One per digest of the model.
    pub salts: Vec<Salt>,
}

impl Deref for Trace {
    type Target = [Vec<i128>];

    fn deref(&self) -> &[Vec<i128>] {
        &self.tensors
    }
}

impl From<Vec<Vec<i128>>> for Trace {
    /// These tensors, of a model without digests.
    fn from(tensors: Vec<Vec<i128>>) -> Self {
        Self { tensors, salts: Vec::new() }
    }
}

impl Trace {
    /// The same run with these salts, one per digest.
    pub fn salted(self, salts: &[Salt]) -> Self {
        Self { salts: salts.to_vec(), ..self }
    }
}

impl IntegerModel {
    /// Proved interval of every element of tensor `id`.
    ///
    /// `id` must be a tensor of the model.
    pub fn ranges(&self, id: usize) -> Vec<Interval> {
        match id.checked_sub(1) {
            None => self.features.iter().map(|f| f.range).collect(),
            Some(node) => self.nodes[node].ranges.clone(),
        }
    }

    /// Check that a model read from a file holds together: tensors exist, shapes fit, and the stored ranges are the ones
    /// that the input domain implies. Says what is wrong otherwise.
    pub fn validate(&self) -> Result<(), String> {
        let domain = self.features.iter().all(|f| Interval::new(f.range.lo, f.range.hi).is_some());
        if !domain || self.features.iter().any(|f| !(f.scale.is_finite() && f.scale > 0.0)) {
            return Err("a feature's domain or scale is not valid".into());
        }
        for (i, node) in self.nodes.iter().enumerate() {
            let wrong = |what: &str| Err(format!("node \"{}\": {what}", node.name));
            if node.inputs.is_empty() || node.inputs.iter().any(|&id| id > i) {
                return wrong("it reads a tensor that does not exist yet");
            }
            if !node.op.accepts(node.inputs.iter().map(|&id| self.tensor_len(id)).sum()) {
                return wrong("its weights do not fit the shapes around it");
            }
            match self.implied_ranges(&node.op, &node.inputs) {
                Ok(bounds) if bounds == node.ranges => {}
                Ok(_) => return wrong("its ranges are not those that the domain implies"),
                Err(error) => return wrong(&error.to_string()),
            }
        }
        if self.outputs.is_empty() && self.digests.is_empty() || !self.outputs.iter().all(|o| self.has_output(o)) {
            return Err("an output does not exist or has no scale".into());
        }
        self.validate_digests()
    }

    /// Whether an output is one of a tensor of the model and has a scale.
    pub(super) fn has_output(&self, output: &Output) -> bool {
        output.tensor <= self.nodes.len() && output.scale.is_finite() && output.scale > 0.0
    }

    /// Leave out the nodes that no public value depends on.
    pub fn prune(&mut self) {
        let hashed = self.digests.iter_mut().flat_map(|digest| match digest {
            Digest::Outputs(outputs) => outputs.as_mut_slice(),
            Digest::Inputs(_) => &mut [],
        });
        let mut outputs: Vec<&mut Output> = self.outputs.iter_mut().chain(hashed).collect();
        let mut needed = vec![false; self.nodes.len() + 1];
        outputs.iter().for_each(|output| needed[output.tensor] = true);
        for (i, node) in self.nodes.iter().enumerate().rev() {
            if needed[i + 1] {
                node.inputs.iter().for_each(|&id| needed[id] = true);
            }
        }
        let mut ids = vec![0];
        for needed in &needed[1..] {
            let last = ids.last().copied().unwrap_or(0);
            ids.push(last + usize::from(*needed));
        }
        outputs.iter_mut().for_each(|output| output.tensor = ids[output.tensor]);
        let mut tensor = 1..;
        self.nodes.retain(|_| tensor.next().is_some_and(|id| needed[id]));
        self.nodes.iter_mut().flat_map(|node| &mut node.inputs).for_each(|id| *id = ids[*id]);
    }

    /// Per node that is a function, the rescale whose quotients are its arguments and nothing else, if it is of one.
    pub fn rescales_of_functions(&self) -> Vec<Option<usize>> {
        let mut reads = vec![0; self.nodes.len() + 1];
        self.nodes.iter().flat_map(|node| &node.inputs).for_each(|&id| reads[id] += 1);
        let last_readers = self.last_readers();
        let rescale = |(i, node): (usize, &IntegerNode)| {
            let (Op::Piecewise(_), [id]) = (&node.op, node.inputs.as_slice()) else { return None };
            let rescale = id.checked_sub(1).filter(|&rescale| matches!(self.nodes[rescale].op, Op::Rescale(_)));
            rescale.filter(|_| reads[*id] == 1 && last_readers[*id] == Some(i))
        };
        self.nodes.iter().enumerate().map(rescale).collect()
    }

    /// Number of elements of tensor `id`.
    ///
    /// `id` must be a tensor of the model.
    pub fn tensor_len(&self, id: usize) -> usize {
        id.checked_sub(1).map_or(self.features.len(), |node| self.nodes[node].ranges.len())
    }

    /// Whether a commitment among the public values names the model's weights; else its circuit does.
    pub fn has_committed_weights(&self) -> bool {
        self.nodes.iter().any(|node| matches!(node.op, Op::Weighted(_)))
    }

    /// Check that a model is one of the same architecture: it may differ in committed weights, and in nothing else. Says what differs
    /// otherwise.
    pub fn has_architecture_of(&self, other: &Self) -> Result<(), String> {
        if self.features != other.features {
            return Err("its inputs have other names, domains or scales".into());
        }
        if self.nodes.len() != other.nodes.len() {
            let (found, expected) = (self.nodes.len(), other.nodes.len());
            return Err(format!("it has {found} integer operators, the architecture {expected}"));
        }
        let same = |(one, other): &(&IntegerNode, &IntegerNode)| {
            let ops = match (&one.op, &other.op) {
                (Op::Weighted(one), Op::Weighted(other)) => one.has_architecture_of(other),
                (one, other) => one == other,
            };
            ops && one.name == other.name && one.inputs == other.inputs && one.ranges == other.ranges
        };
        if let Some((node, _)) = self.nodes.iter().zip(&other.nodes).find(|pair| !same(pair)) {
            return Err(format!("node \"{}\" differs in more than its weights", node.name));
        }
        if self.outputs != other.outputs || self.digests != other.digests {
            return Err("its outputs have other names, scales or visibilities".into());
        }
        Ok(())
    }

    /// Run the model on quantised inputs and keep every tensor: the witness. Salts are zero.
    ///
    /// `input` holds one integer per feature, each inside its domain; outside of it the proved ranges do not hold
    /// and arithmetic may overflow, so callers check with [`Self::check_input`] first.
    pub fn trace(&self, input: &[i128]) -> Trace {
        let _stage = stages::enter(Stage::Witness);
        let mut tensors = vec![input.to_vec()];
        for node in &self.nodes {
            let inputs: Vec<&[i128]> = node.inputs.iter().map(|&id| tensors[id].as_slice()).collect();
            let output = node.op.eval(&inputs);
            debug_assert!(output.iter().zip(&node.ranges).all(|(v, r)| r.contains(*v)));
            tensors.push(output);
        }
        Trace { tensors, salts: vec![Salt([0; 32]); self.digests.len()] }
    }

    /// The public integers of a trace: its outputs, concatenated in the order of `outputs`.
    pub fn public_values(&self, trace: &Trace) -> Vec<i128> {
        self.outputs.iter().flat_map(|o| trace[o.tensor].iter().copied()).collect()
    }

    /// Name and scale of every public integer, in the order of [`Self::public_values`]; elements of a tensor are numbered.
    pub fn public_names(&self) -> Vec<(String, f64)> {
        let mut names = Vec::new();
        for output in &self.outputs {
            let len = self.tensor_len(output.tensor);
            for i in 0..len {
                let name = if len == 1 { output.name.clone() } else { format!("{}[{i}]", output.name) };
                names.push((name, output.scale));
            }
        }
        names
    }

    /// Proved intervals of the public integers, in the order of [`Self::public_values`].
    pub fn public_ranges(&self) -> Vec<Interval> {
        self.outputs.iter().flat_map(|o| self.ranges(o.tensor)).collect()
    }
}
