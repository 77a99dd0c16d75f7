//! Operators that arrange features: FeatureVectorizer, ArrayFeatureExtractor, OneHotEncoder, ZipMap.

use super::labels::equalities;
use super::{Lowering, Node, OnnxError, Registry, Value};
use crate::graph::AffineBuilder;
use crate::onnx::shape::axis;
use crate::onnx::tensor::{Constant, Kind};

/// The columns of all inputs, side by side.
fn vectorizer(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let inputs = (0..node.inputs.len()).map(|i| node.input(i)).collect::<Result<Vec<_>, _>>()?;
    let dimensions = node.ints("inputdimensions")?;
    let mut widths = vec![];
    let mut batch = None;
    for (i, input) in inputs.iter().enumerate() {
        let fits = match *input.shape() {
            [rows, width] if *batch.get_or_insert(rows) == rows => Some(width),
            _ => None,
        };
        let declared = dimensions.is_none_or(|d| d.get(i).copied() == fits.map(|w| w as i64));
        match fits.filter(|_| declared) {
            Some(width) => widths.push(width),
            None => {
                let reason =
                    format!("input {i} has shape {:?}; a matrix of the declared width is needed", input.shape());
                return Err(node.unsupported("attribute inputdimensions", &reason));
            }
        }
    }
    let (batch, width) = (batch.unwrap_or(0), widths.iter().fold(0usize, |sum, &w| sum.saturating_add(w)));
    let count = lowering.charge_shape(node, &[batch, width])?;
    let mut rows = AffineBuilder::new(count);
    for r in 0..batch {
        let mut start = 0;
        for &w in &widths {
            (0..w).for_each(|c| rows.push(vec![(start + r * w + c, 1.0)], 0.0));
            start += batch * w;
        }
    }
    Ok(vec![lowering.affine(node, &inputs, rows.finish(), vec![batch, width], Kind::Float)?])
}

/// The elements of the last axis at constant indices.
fn extractor(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let (x, indices) = (node.input(0)?, node.integers(1, "the indices")?);
    let Some((&size, outer)) = x.shape().split_last() else {
        return Err(node.unsupported("its input", "it is a scalar"));
    };
    let picks: Option<Vec<usize>> = indices.iter().map(|&i| axis(i, size).filter(|_| i >= 0)).collect();
    let picks = picks.ok_or_else(|| node.unsupported("an index", &format!("the last axis has {size} elements")))?;
    let outer = if outer.is_empty() { vec![1] } else { outer.to_vec() };
    let shape: Vec<usize> = outer.iter().copied().chain([picks.len()]).collect();
    lowering.charge_shape(node, &shape)?;
    let blocks: usize = outer.iter().product();
    let columns = (0..blocks).flat_map(|o| picks.iter().map(move |&pick| o * size + pick)).collect();
    Ok(vec![lowering.select(node, x, shape, columns)?])
}

/// `[x = c]` for every category `c`, along a new last axis.
fn one_hot(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    if node.int("zeros")?.unwrap_or(1) == 0 {
        return Err(node.unsupported("zeros 0", "an unknown category would be an error"));
    }
    let categories = node.ints("cats_int64s")?.unwrap_or_default();
    if categories.is_empty() || !node.strings("cats_strings")?.is_empty() {
        return Err(node.unsupported("its categories", "they must be integers"));
    }
    let categories = categories.iter().map(|&v| v as f64).collect::<Vec<_>>();
    let categories = Constant::new(node.name, vec![categories.len()], Kind::Integer, categories)?.data;
    Ok(vec![equalities(lowering, node, node.input(0)?, &categories)?.with_kind(Kind::Float)])
}

/// The scores themselves: the keys of the maps are the classes, in the order of the columns.
fn zip_map(_: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let scores = node.input(0)?;
    let keys = node.ints("classlabels_int64s")?.unwrap_or_default().len() + node.strings("classlabels_strings")?.len();
    super::check_len(node, "of class labels", keys, scores.shape().last().copied().unwrap_or(1))?;
    Ok(vec![scores.clone()])
}

pub(super) fn register(registry: &mut Registry) {
    registry.add("ai.onnx.ml::FeatureVectorizer", vectorizer);
    registry.add("ai.onnx.ml::ArrayFeatureExtractor", extractor);
    registry.add("ai.onnx.ml::OneHotEncoder", one_hot);
    registry.add("ai.onnx.ml::ZipMap", zip_map);
}
