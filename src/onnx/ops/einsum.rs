//! Einsum: sums of products over named axes, as a chain of matrix products.

use super::elementwise::numbers;
use super::groups::Rows;
use super::{Lowering, Node, OnnxError, Registry, Value};
use crate::onnx::shape::{MAX_RANK, offsets, strides};
use crate::ops::Product;

/// What names an axis: a letter, or its place among those that an ellipsis stands for, counted from the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Label {
    Ellipsis(usize),
    Letter(char),
}

/// A tensor with one label per axis.
#[derive(Clone)]
struct Labelled {
    value: Value,
    labels: Vec<Label>,
}

/// The labels of one term of the equation, for a tensor of `rank` axes.
fn labels(node: &Node, term: &str, rank: usize) -> Result<Vec<Label>, OnnxError> {
    let refuse = |reason: &str| node.unsupported(&format!("the term \"{term}\" of its equation"), reason);
    let letters = |part: &str| -> Result<Vec<Label>, OnnxError> {
        match part.chars().find(|c| !c.is_ascii_alphabetic()) {
            Some(c) => Err(refuse(&format!("'{c}' is no letter"))),
            None => Ok(part.chars().map(Label::Letter).collect()),
        }
    };
    let labels = match term.split_once("...") {
        None => letters(term)?,
        Some((before, after)) => {
            let (before, after) = (letters(before)?, letters(after)?);
            let between = rank.checked_sub(before.len() + after.len());
            let between = between.ok_or_else(|| refuse(&format!("the tensor has {rank} axes")))?;
            before.into_iter().chain((0..between).rev().map(Label::Ellipsis)).chain(after).collect()
        }
    };
    match labels.len() == rank && rank <= MAX_RANK {
        true => Ok(labels),
        false => Err(refuse(&format!("the tensor has {rank} axes"))),
    }
}

impl Labelled {
    /// The axes `target`, in this order, of those that the tensor has; axes of one label become their diagonal.
    fn arranged(&self, lowering: &mut Lowering, node: &Node, target: &[Label]) -> Result<Value, OnnxError> {
        if self.labels == target {
            return Ok(self.value.clone());
        }
        let own = strides(self.value.shape());
        let steps = target.iter().map(|label| {
            let along = self.labels.iter().zip(&own).filter(|(l, _)| *l == label);
            along.map(|(_, step)| step).sum()
        });
        let steps: Vec<usize> = steps.collect();
        let sizes: Vec<usize> = target.iter().map(|&label| self.size(label)).collect();
        lowering.charge_shape(node, &sizes)?;
        lowering.select(node, &self.value, sizes.clone(), offsets(&sizes, &steps))
    }

    fn size(&self, label: Label) -> usize {
        let place = self.labels.iter().position(|&l| l == label);
        place.map_or(1, |a| self.value.shape()[a])
    }

    /// The tensor with its diagonals taken, without axes of one element that `sizes` is greater for, and summed over the
    /// labels that `needed` does not hold.
    fn reduced(
        &self,
        lowering: &mut Lowering,
        node: &Node,
        needed: impl Fn(Label) -> bool,
        sizes: impl Fn(Label) -> usize,
    ) -> Result<Labelled, OnnxError> {
        let mut distinct = self.labels.clone();
        distinct.sort_unstable();
        distinct.dedup();
        distinct.retain(|&label| self.size(label) == sizes(label));
        let (kept, summed): (Vec<Label>, Vec<Label>) = distinct.into_iter().partition(|&label| needed(label));
        let all: Vec<Label> = kept.iter().chain(&summed).copied().collect();
        let value = self.arranged(lowering, node, &all)?;
        if summed.is_empty() {
            return Ok(Labelled { value, labels: kept });
        }
        let shape: Vec<usize> = kept.iter().map(|&label| self.size(label)).collect();
        let rows = lowering.reshape(
            node,
            &value,
            vec![shape.iter().product(), summed.iter().map(|&l| self.size(l)).product()],
        )?;
        let sums = Rows::of(&rows).sums(lowering, node, &rows, 1.0, 0.0)?;
        Ok(Labelled { value: lowering.reshape(node, &sums, shape)?, labels: kept })
    }

    /// The sum over the labels of both that `needed` does not hold of the product with `other`, as one batch of matrix
    /// products. No label of one alone may be missing from `needed`.
    fn contracted(
        &self,
        lowering: &mut Lowering,
        node: &Node,
        other: &Labelled,
        needed: impl Fn(Label) -> bool,
    ) -> Result<Labelled, OnnxError> {
        let (shared, left): (Vec<Label>, Vec<Label>) =
            self.labels.iter().partition(|label| other.labels.contains(label));
        let (batch, inner): (Vec<Label>, Vec<Label>) = shared.into_iter().partition(|&label| needed(label));
        let right: Vec<Label> = other.labels.iter().copied().filter(|label| !self.labels.contains(label)).collect();
        let size = |labels: &[Label]| -> usize { labels.iter().map(|&l| self.size(l).max(other.size(l))).product() };
        let product = Product { batch: size(&batch), rows: size(&left), inner: size(&inner), columns: size(&right) };
        let a = self.arranged(lowering, node, &[&batch[..], &left, &inner].concat())?;
        let b = other.arranged(lowering, node, &[&batch[..], &inner, &right].concat())?;
        let labels = [&batch[..], &left, &right].concat();
        let shape = labels.iter().map(|&l| self.size(l).max(other.size(l))).collect();
        Ok(Labelled { value: lowering.matrix_product(node, &a, &b, product, shape)?, labels })
    }
}

/// The output's term if the equation has none: what an ellipsis stands for, then the letters that occur once, sorted.
fn implicit(operands: &[Labelled]) -> Vec<Label> {
    let all: Vec<Label> = operands.iter().flat_map(|o| o.labels.iter().copied()).collect();
    let once = |label: &Label| all.iter().filter(|l| *l == label).count() == 1;
    let mut letters: Vec<Label> = all.iter().copied().filter(|l| matches!(l, Label::Letter(_)) && once(l)).collect();
    letters.sort_unstable();
    ellipsis(operands).into_iter().chain(letters).collect()
}

/// The axes that the ellipses of all operands stand for.
fn ellipsis(operands: &[Labelled]) -> Vec<Label> {
    let labels = operands.iter().flat_map(|o| &o.labels);
    let count = labels.filter_map(|l| if let Label::Ellipsis(i) = l { Some(i + 1) } else { None }).max();
    (0..count.unwrap_or(0)).rev().map(Label::Ellipsis).collect()
}

fn einsum(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let equation = node.string("equation")?.unwrap_or_default().replace(' ', "");
    let (terms, output) = match equation.split_once("->") {
        Some((terms, output)) => (terms, Some(output)),
        None => (equation.as_str(), None),
    };
    let terms: Vec<&str> = terms.split(',').collect();
    if terms.len() != node.inputs.len() {
        let reason = format!("it has {} terms for {} inputs", terms.len(), node.inputs.len());
        return Err(node.unsupported(&format!("equation \"{equation}\""), &reason));
    }
    let mut operands = vec![];
    for (position, term) in terms.iter().enumerate() {
        let value = numbers(node, position)?.clone();
        if value.shape().contains(&0) {
            return Err(OnnxError::ZeroSized { tensor: node.name.into(), shape: value.shape().to_vec() });
        }
        let labels = labels(node, term, value.shape().len())?;
        operands.push(Labelled { value, labels });
    }
    let first = operands[0].value.kind();
    if operands.iter().any(|o| o.value.kind() != first) {
        return Err(node.unsupported("its element type", "all operands must have the same"));
    }
    // An axis of one element is repeated; the axes of a label are otherwise of one length.
    let axes = |label: Label| {
        operands.iter().flat_map(move |o| o.labels.iter().zip(o.value.shape()).filter(move |(l, _)| **l == label))
    };
    for (o, &label) in operands.iter().flat_map(|o| o.labels.iter().map(move |label| (o, label))) {
        let sizes: Vec<usize> = axes(label).map(|(_, &size)| size).collect();
        let size = sizes.iter().copied().max().unwrap_or(1);
        let repeated = o.labels.iter().filter(|l| **l == label).count() > 1;
        let own = o.labels.iter().zip(o.value.shape()).filter(|(l, _)| **l == label);
        let fits = if repeated { own.clone().all(|(_, &s)| s == o.size(label)) } else { true };
        if !fits || sizes.iter().any(|&s| s != size && s != 1) {
            return Err(node.mismatch(o.value.shape(), &sizes, "axes of one label have different lengths"));
        }
    }
    let output = match output {
        None => implicit(&operands),
        Some(output) => {
            let rank =
                output.replace("...", "").len() + if output.contains("...") { ellipsis(&operands).len() } else { 0 };
            labels(node, output, rank)?
        }
    };
    for (i, label) in output.iter().enumerate() {
        if output[..i].contains(label) || axes(*label).next().is_none() {
            return Err(
                node.unsupported(&format!("equation \"{equation}\""), "its result repeats a label or has a new one")
            );
        }
    }
    let size = |label: Label| axes(label).map(|(_, &size)| size).max().unwrap_or(1);
    let mut result: Option<Labelled> = None;
    for (i, operand) in operands.iter().enumerate() {
        let later =
            |label: Label| output.contains(&label) || operands[i + 1..].iter().any(|o| o.labels.contains(&label));
        let earlier = |label: Label| result.as_ref().is_some_and(|r| r.labels.contains(&label));
        let reduced = operand.reduced(lowering, node, |label| later(label) || earlier(label), size)?;
        result = Some(match &result {
            None => reduced,
            Some(before) => {
                // what only the product so far has and nothing needs any more
                let before = before.reduced(lowering, node, |l| later(l) || reduced.labels.contains(&l), size)?;
                before.contracted(lowering, node, &reduced, later)?
            }
        });
    }
    let Some(result) = result else { return Err(node.unsupported("its inputs", "there are none")) };
    Ok(vec![result.arranged(lowering, node, &output)?])
}

pub(super) fn register(registry: &mut Registry) {
    registry.add("Einsum", einsum);
}

#[cfg(test)]
mod tests {
    use tract_onnx::pb::TensorProto;

    use crate::onnx::ops::testing::with_text;
    use crate::onnx::testing::{model, node, random, weights};
    use crate::onnx::{OnnxError, import_model};

    type Term<'a> = (&'a str, &'a [i64]);

    /// The sum over all assignments of indices to letters, one operand a list of letters with its axes' sizes.
    fn by_definition(terms: &[Term], output: &str, data: &[Vec<f64>]) -> Vec<f64> {
        let mut letters: Vec<(char, i64)> = vec![];
        for (term, shape) in terms {
            for (c, &size) in term.chars().zip(*shape) {
                match letters.iter_mut().find(|l| l.0 == c) {
                    Some(l) => l.1 = l.1.max(size),
                    None => letters.push((c, size)),
                }
            }
        }
        letters.sort_by_key(|l| output.find(l.0).unwrap_or(usize::MAX));
        let outer: i64 = letters.iter().filter(|l| output.contains(l.0)).map(|l| l.1).product();
        let all: i64 = letters.iter().map(|l| l.1).product();
        let mut result = vec![0.0; outer as usize];
        for code in 0..all {
            let (mut rest, mut index) = (code, vec![]);
            for &(c, size) in letters.iter().rev() {
                index.push((c, rest % size));
                rest /= size;
            }
            let element = |(&(term, shape), data): (&Term, &Vec<f64>)| {
                let at = |c: char| index.iter().find(|i| i.0 == c).unwrap().1;
                data[term.chars().zip(shape).fold(0, |n, (c, &size)| n * size + at(c) % size) as usize]
            };
            result[(code / (all / outer)) as usize] += terms.iter().zip(data).map(element).product::<f64>();
        }
        result
    }

    #[test]
    fn equations_by_definition() {
        // the equation, then the same with a letter for every axis
        let cases: [(&str, &[Term], &str); 15] = [
            ("ij->ji", &[("ij", &[2, 3])], "ji"),
            ("ij->i", &[("ij", &[2, 3])], "i"),
            ("ij->", &[("ij", &[2, 3])], ""),
            ("ii->i", &[("ii", &[3, 3])], "i"),
            ("iij", &[("iij", &[2, 2, 3])], "j"),
            ("ij, jk -> ik", &[("ij", &[2, 3]), ("jk", &[3, 4])], "ik"),
            ("ba,cb", &[("ba", &[2, 3]), ("cb", &[4, 2])], "ac"),
            ("i,j->ij", &[("i", &[2]), ("j", &[3])], "ij"),
            ("bij,bjk->bki", &[("bij", &[2, 3, 2]), ("bjk", &[2, 2, 4])], "bki"),
            ("bhid,bhjd->bhij", &[("bhid", &[1, 2, 3, 2]), ("bhjd", &[1, 2, 4, 2])], "bhij"),
            ("...ij,...jk->...ik", &[("xij", &[2, 3, 2]), ("jk", &[2, 2])], "xik"),
            ("...i,i...->...", &[("xyi", &[2, 3, 2]), ("iy", &[2, 3])], "xy"),
            ("ij,ij->ij", &[("ij", &[2, 3]), ("ij", &[1, 3])], "ij"),
            ("ij,jk,kl->il", &[("ij", &[2, 3]), ("jk", &[3, 2]), ("kl", &[2, 2])], "il"),
            ("ij,k,ik->jk", &[("ij", &[2, 3]), ("k", &[2]), ("ik", &[2, 2])], "jk"),
        ];
        for (equation, terms, output) in cases {
            for constant in 0..=terms.len() {
                let names = ["a", "b", "c"];
                let (mut inputs, mut constants, mut data, mut x) = (vec![], vec![], vec![], vec![]);
                for (i, (_, shape)) in terms.iter().enumerate() {
                    let elements = random(shape.iter().product::<i64>() as usize, i as u64 + 1);
                    data.push(elements.iter().map(|&v| f64::from(v)).collect::<Vec<f64>>());
                    match i == constant {
                        true => constants.push(weights(names[i], shape, i as u64 + 1)),
                        false => {
                            inputs.push((names[i], *shape));
                            x.extend(elements.into_iter().map(f64::from));
                        }
                    }
                }
                let product = with_text(node("Einsum", &names[..terms.len()], "y", vec![]), "equation", equation);
                if inputs.is_empty() {
                    continue;
                }
                let graph = import_model(&model(&inputs, "y", constants, vec![product]));
                let found = graph.unwrap_or_else(|e| panic!("{equation}: {e}")).eval(&x);
                let expected = by_definition(terms, output, &data);
                assert_eq!(found.len(), expected.len(), "{equation}");
                assert!(
                    found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-9),
                    "{equation} {found:?} {expected:?}"
                );
            }
        }
    }

    #[test]
    fn equations_are_checked() {
        let refused = |equation: &str, w: TensorProto| {
            let product = with_text(node("Einsum", &["x", "w"], "y", vec![]), "equation", equation);
            import_model(&model(&[("x", &[2, 3])], "y", vec![w], vec![product])).unwrap_err()
        };
        for equation in
            ["", "ij->i", "ij,jk->ii", "ij,jk->il", "i,jk->ik", "ij,j1->i", "...ijk,jk->i", "ij,jk->i...k..."]
        {
            let error = refused(equation, weights("w", &[3, 4], 0));
            assert!(matches!(error, OnnxError::UnsupportedAttribute { .. }), "{equation} {error}");
        }
        let lengths = refused("ij,jk->ik", weights("w", &[2, 4], 0));
        assert!(matches!(lengths, OnnxError::ShapeMismatch { .. }), "{lengths}");
        assert!(matches!(refused("ij,kk->i", weights("w", &[1, 4], 0)), OnnxError::ShapeMismatch { .. }));
    }
}
