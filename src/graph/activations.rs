//! Activations that models write out, as `x * sigmoid(x)` or `x / 2 * (1 + erf(x / sqrt 2))`: one function in their place.

use std::collections::{BTreeMap, BTreeSet};

use super::float::{Affine, FloatNode, FloatOp, Graph};
use super::{AffineBuilder, Function};

/// The most nodes that an activation is written out in.
const MAX_NODES: usize = 16;

/// How far an activation may be from what is written out, relative to its factor and to values above one: constants are
/// numbers of 32 bits.
const TOLERANCE: f64 = 1e-6;

/// Where a factor and a slope are read off.
const UNIT: f64 = 1.0;

/// Slopes of sigmoids below this are none: what is written out is a multiple of its argument.
const LEAST_SLOPE: f64 = 1e-3;

/// A number that is computed from others of the same place, in the same way for every element.
#[derive(Clone, Debug, PartialEq)]
enum Step {
    /// Its weights of the operands, and its bias.
    Sum(Vec<f64>, f64),
    Relu,
    Square,
    Product,
    Quotient,
    Function(Function),
}

impl Step {
    /// That of a node, whose operands have these lengths; `None` if its elements are not alike.
    fn of(node: &FloatNode, lens: &[usize]) -> Option<Self> {
        match &node.op {
            FloatOp::Affine(map) => {
                let len = map.output_len();
                lens.iter().all(|operand| *operand == len).then(|| Self::sum(map, lens.len()))?
            }
            FloatOp::Relu => Some(Step::Relu),
            FloatOp::Square => Some(Step::Square),
            FloatOp::Function(function) => Some(Step::Function(*function)),
            FloatOp::Product(product) => {
                (*product == crate::ops::Product::elementwise(product.batch)).then_some(Step::Product)
            }
            FloatOp::Quotient => Some(Step::Quotient),
            _ => None,
        }
    }

    /// That of a map over so many operands of the length of its output, if all its rows are the same multiples of their elements.
    fn sum(map: &Affine<f64, f64>, operands: usize) -> Option<Self> {
        let (len, bias) = (map.output_len(), *map.bias.first()?);
        let mut weights = vec![0.0; operands];
        map.row(0).for_each(|(column, weight)| weights[column / len] = weight);
        let expected = |j: usize| weights.iter().enumerate().map(move |(operand, weight)| (operand * len + j, *weight));
        let alike = |j: usize| map.bias[j] == bias && map.row(j).eq(expected(j).filter(|term| term.1 != 0.0));
        (0..len).all(alike).then_some(Step::Sum(weights, bias))
    }

    fn apply(&self, operands: &[f64]) -> f64 {
        match (self, operands) {
            (Step::Sum(weights, bias), _) => weights.iter().zip(operands).fold(*bias, |sum, (w, x)| sum + w * x),
            (Step::Relu, &[x]) => x.max(0.0),
            (Step::Square, &[x]) => x * x,
            (Step::Function(function), &[x]) => function.apply(x),
            (Step::Product, &[a, b]) => a * b,
            (Step::Quotient, &[a, b]) => a / b,
            _ => f64::NAN,
        }
    }
}

/// What computes a number from one other: steps over that number, which is the first value, and the values before them.
struct Written(Vec<(Step, Vec<usize>)>);

impl Written {
    fn apply(&self, x: f64) -> f64 {
        let mut values = vec![x];
        for (step, operands) in &self.0 {
            let operands: Vec<f64> = operands.iter().map(|&value| values[value]).collect();
            values.push(step.apply(&operands));
        }
        values[values.len() - 1]
    }

    /// The activation that it is, and its factor.
    fn activation(&self) -> Option<(f64, Function)> {
        let points: Vec<(f64, f64)> = points().map(|x| (x, self.apply(x))).collect();
        // x sigmoid(alpha x) at a point and its negative: their ratio is -exp(alpha x)
        let alpha = (-self.apply(UNIT) / self.apply(-UNIT)).ln() / UNIT;
        let swish = (alpha.is_finite() && alpha.abs() > LEAST_SLOPE).then_some(Function::Swish { alpha });
        let others = [Function::Gelu, Function::GeluTanh, Function::Mish, Function::HardSwish, Function::Softsign];
        let factor = |function: &Function| self.apply(UNIT) / function.apply(UNIT);
        let agrees = |function: &Function| {
            let factor = factor(function);
            points.iter().all(|(x, y)| {
                let value = function.apply(*x);
                (factor * value - y).abs() <= TOLERANCE * factor.abs() * value.abs().max(1.0)
            })
        };
        others.into_iter().chain(swish).find(agrees).map(|function| (factor(&function), function))
    }
}

/// Numbers of both signs, close to each other where activations bend, and up to where a limit would show.
fn points() -> impl Iterator<Item = f64> {
    let near = (0..60).map(|i| 0.017 + 0.21 * f64::from(i));
    let far = (0..17).map(|i| 13.0 * f64::from(i).exp2());
    near.chain(far).flat_map(|x| [x, -x])
}

impl Graph {
    /// Replaces activations that are written out by one function each, and a factor. The function computed is the same, up to
    /// rounding in `f32`.
    pub fn recognise_activations(&mut self) {
        let lens = |node: &FloatNode| node.inputs.iter().map(|&id| self.value_len(id)).collect::<Vec<_>>();
        let steps: Vec<Option<Step>> = self.nodes.iter().map(|node| Step::of(node, &lens(node))).collect();
        let found: Vec<Option<(usize, f64, Function)>> = (0..steps.len())
            .map(|node| match steps[node] {
                Some(Step::Product | Step::Quotient) => self.written_out(self.inputs.len() + node, &steps),
                _ => None,
            })
            .collect();
        for (node, found) in self.nodes.iter_mut().zip(&found) {
            if let Some((argument, _, function)) = *found {
                node.op = FloatOp::Function(function);
                node.inputs = vec![argument];
            }
        }
        self.rewrite(|graph, i, node| {
            let (name, onnx_op) = (node.name.clone(), node.onnx_op.clone());
            let id = graph.append(node);
            let Some((_, factor, _)) = found[i] else { return id };
            let mut rows = AffineBuilder::new(graph.value_len(id));
            (0..graph.value_len(id)).for_each(|element| rows.push(vec![(element, factor)], 0.0));
            graph.append(FloatNode { name, onnx_op, op: FloatOp::Affine(rows.finish()), inputs: vec![id] })
        });
    }

    /// The value that this one is an activation of, and the factor.
    fn written_out(&self, root: usize, steps: &[Option<Step>]) -> Option<(usize, f64, Function)> {
        let step = |id: usize| Some((id, steps[id.checked_sub(self.inputs.len())?].as_ref()?));
        let operands = |id: usize| self.nodes[id - self.inputs.len()].inputs.iter().copied();
        // from one value to those that it is computed from, the latest first
        let (mut reached, mut open) = (BTreeSet::new(), BTreeSet::from([root]));
        while let Some(id) = open.pop_last() {
            // all that is left to follow comes from this one, if it is the argument
            if id != root && open.is_empty() && self.value_len(id) == self.value_len(root) {
                let mut places = BTreeMap::from([(id, 0)]);
                let mut written = vec![];
                for (place, &node) in (1..).zip(&reached) {
                    let own = operands(node).map(|operand| places.get(&operand).copied()).collect::<Option<_>>()?;
                    written.push((step(node)?.1.clone(), own));
                    places.insert(node, place);
                }
                if let Some((factor, function)) = Written(written).activation() {
                    return Some((id, factor, function));
                }
            }
            if reached.len() == MAX_NODES {
                return None;
            }
            let (id, _) = step(id)?;
            reached.insert(id);
            open.extend(operands(id));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::GraphInput;
    use crate::ops::Product;

    const LEN: usize = 3;

    fn sum(weights: &[f64], bias: f64) -> FloatOp {
        let mut rows = AffineBuilder::new(weights.len() * LEN);
        for i in 0..LEN {
            rows.push(weights.iter().enumerate().map(|(operand, w)| (operand * LEN + i, *w)).collect(), bias);
        }
        FloatOp::Affine(rows.finish())
    }

    fn product() -> FloatOp {
        FloatOp::Product(Product::elementwise(LEN))
    }

    fn graph(nodes: Vec<(FloatOp, Vec<usize>)>) -> Graph {
        let node = |(i, (op, inputs))| FloatNode { name: format!("n{i}"), onnx_op: "Op".into(), op, inputs };
        let inputs = vec![GraphInput { name: "x".into(), shape: vec![1, LEN], integer: false, limits: None }];
        let nodes: Vec<FloatNode> = nodes.into_iter().enumerate().map(node).collect();
        let outputs = vec![("y".into(), nodes.len(), vec![1, LEN])];
        Graph { inputs, nodes, outputs }
    }

    /// The functions of the graph once activations are recognised; it computes what it did.
    fn recognised(nodes: Vec<(FloatOp, Vec<usize>)>) -> Vec<Function> {
        let plain = graph(nodes);
        let mut graph = plain.clone();
        graph.recognise_activations();
        graph.fold();
        for x in [[-9.0, -1.0, 0.0], [0.5, 2.0, 30.0]] {
            for (a, b) in graph.eval(&x).into_iter().zip(plain.eval(&x)) {
                assert!((a - b).abs() < 1e-5, "{a} {b}");
            }
        }
        let function = |node: &FloatNode| match node.op {
            FloatOp::Function(function) => Some(function),
            _ => None,
        };
        graph.nodes.iter().filter_map(function).collect()
    }

    /// `x` cubed, times a factor, before the argument of the hyperbolic tangent.
    fn gelu_tanh(cubed: f64) -> Vec<(FloatOp, Vec<usize>)> {
        let root = f64::from((2.0f32 / std::f32::consts::PI).sqrt());
        vec![
            (sum(&[cubed], 0.0), vec![0]),
            (product(), vec![1, 0]),
            (product(), vec![2, 0]),
            (sum(&[1.0, 1.0], 0.0), vec![0, 3]),
            (sum(&[root], 0.0), vec![4]),
            (FloatOp::Function(Function::Tanh), vec![5]),
            (sum(&[1.0], 1.0), vec![6]),
            (sum(&[0.5], 0.0), vec![0]),
            (product(), vec![8, 7]),
        ]
    }

    #[test]
    fn what_is_written_out_is_one_function() {
        assert_eq!(recognised(gelu_tanh(f64::from(0.044715f32))), [Function::GeluTanh]);
        // the factor last
        let erf = FloatOp::Function(Function::Erf);
        let half = f64::from(1.0 / std::f32::consts::SQRT_2);
        let gelu = vec![
            (sum(&[half], 0.0), vec![0]),
            (erf, vec![1]),
            (sum(&[1.0], 1.0), vec![2]),
            (product(), vec![0, 3]),
            (sum(&[0.5], 0.0), vec![4]),
        ];
        assert_eq!(recognised(gelu), [Function::Gelu]);
        let mish = vec![
            (FloatOp::Function(Function::Softplus), vec![0]),
            (FloatOp::Function(Function::Tanh), vec![1]),
            (product(), vec![0, 2]),
        ];
        assert_eq!(recognised(mish), [Function::Mish]);
        // x clip(x / 6 + 1 / 2, 0, 1)
        let sixth = f64::from(1.0f32 / 6.0);
        let hard = vec![
            (sum(&[sixth], 0.5), vec![0]),
            (FloatOp::Relu, vec![1]),
            (sum(&[-1.0], 1.0), vec![2]),
            (FloatOp::Relu, vec![3]),
            (sum(&[-1.0], 1.0), vec![4]),
            (product(), vec![0, 5]),
        ];
        assert_eq!(recognised(hard), [Function::HardSwish]);
        // x / (1 + exp(-x)), of a number that is itself the result of a sum
        let swish = vec![
            (sum(&[2.0], -1.0), vec![0]),
            (sum(&[-1.0], 0.0), vec![1]),
            (FloatOp::Function(Function::Exp), vec![2]),
            (sum(&[1.0], 1.0), vec![3]),
            (FloatOp::Quotient, vec![1, 4]),
        ];
        let [Function::Swish { alpha }] = recognised(swish)[..] else { panic!("another function") };
        assert!((alpha - 1.0).abs() < 1e-9);
        let quick = vec![
            (sum(&[f64::from(1.702f32)], 0.0), vec![0]),
            (FloatOp::Function(Function::Sigmoid), vec![1]),
            (product(), vec![2, 0]),
        ];
        let [Function::Swish { alpha }] = recognised(quick)[..] else { panic!("another function") };
        assert!((alpha - 1.702).abs() < 1e-6);
    }

    #[test]
    fn what_is_another_function_stays() {
        assert_eq!(recognised(gelu_tanh(0.0448)), [Function::Tanh]);
        let sigmoid = || FloatOp::Function(Function::Sigmoid);
        // of another element
        let turned = FloatOp::Affine(Affine::selection(LEN, [1, 2, 0]));
        assert_eq!(
            recognised(vec![(turned, vec![0]), (sigmoid(), vec![1]), (product(), vec![0, 2])]),
            [Function::Sigmoid]
        );
        // elements that differ
        let mut rows = AffineBuilder::new(LEN);
        (0..LEN).for_each(|i| rows.push(vec![(i, 1.0)], i as f64));
        let biased = FloatOp::Affine(rows.finish());
        assert_eq!(
            recognised(vec![(biased, vec![0]), (sigmoid(), vec![1]), (product(), vec![0, 2])]),
            [Function::Sigmoid]
        );
        // a limit far out
        let limited = vec![
            (sum(&[-1.0], 5000.0), vec![0]),
            (FloatOp::Relu, vec![1]),
            (sum(&[-1.0], 5000.0), vec![2]),
            (sigmoid(), vec![3]),
            (product(), vec![3, 4]),
        ];
        let [Function::Swish { .. }] = recognised(limited.clone())[..] else { panic!("another function") };
        let mut graph = graph(limited);
        graph.recognise_activations();
        // of what is limited
        assert!((graph.eval(&[9000.0; LEN])[0] - 5000.0).abs() < 1e-2);
        // a multiple of its argument
        assert_eq!(
            recognised(vec![(sum(&[1.0], 60.0), vec![0]), (FloatOp::Square, vec![1]), (FloatOp::Quotient, vec![2, 1])]),
            []
        );
        // a product of two functions of one number is none of them
        let square = vec![(sigmoid(), vec![0]), (FloatOp::Function(Function::Tanh), vec![0]), (product(), vec![1, 2])];
        assert_eq!(recognised(square), [Function::Sigmoid, Function::Tanh]);
    }
}
