//! RotaryEmbedding: pairs of elements turned by an angle that depends on their place in a sequence.

use super::common::float;
use super::gather::resolved;
use super::{Lowering, Node, OnnxError, Registry, Value};
use crate::graph::AffineBuilder;
use crate::onnx::tensor::Kind;

/// Where the elements of a tensor lie: `[batch, heads, places, size]`, or `[batch, places, heads * size]` if `flat`.
struct Layout {
    places: usize,
    heads: usize,
    size: usize,
    flat: bool,
}

impl Layout {
    fn read(node: &Node, x: &Value) -> Result<(usize, Self), OnnxError> {
        let refuse = || node.mismatch(x.shape(), &[], "there must be four axes, or three and attribute num_heads");
        match *x.shape() {
            [batch, heads, places, size] => {
                node.ignore(&["num_heads"]);
                Ok((batch, Self { places, heads, size, flat: false }))
            }
            [batch, places, width] => {
                let heads = node.int("num_heads")?.and_then(|h| usize::try_from(h).ok());
                let heads = heads.filter(|&h| h > 0 && width.is_multiple_of(h)).ok_or_else(refuse)?;
                Ok((batch, Self { places, heads, size: width / heads, flat: true }))
            }
            _ => Err(refuse()),
        }
    }

    /// Which place of the sequence of all batches element `i` belongs to, and its index in its head.
    fn split(&self, i: usize) -> (usize, usize) {
        let (rest, element) = (i / self.size, i % self.size);
        match self.flat {
            true => (rest / self.heads, element),
            false => (rest / self.places / self.heads * self.places + rest % self.places, element),
        }
    }
}

/// `cos x - sin y` and `sin x + cos y` for every pair: halves of a head's first elements, or neighbours if `interleaved`.
fn rotary_embedding(lowering: &mut Lowering, node: &Node) -> Result<Vec<Value>, OnnxError> {
    let (x, cos, sin) = (node.input(0)?, node.input(1)?, node.input(2)?);
    for value in [x, cos, sin] {
        float(node, value)?;
    }
    let (batch, layout) = Layout::read(node, x)?;
    let turned = node.int("rotary_embedding_dim")?.unwrap_or(0);
    let turned = if turned == 0 { layout.size } else { usize::try_from(turned).unwrap_or(usize::MAX) };
    if turned > layout.size || !turned.is_multiple_of(2) || turned == 0 {
        let reason = format!("it must be even and at most {}", layout.size);
        return Err(node.unsupported("attribute rotary_embedding_dim", &reason));
    }
    let (half, interleaved) = (turned / 2, node.flag("interleaved")?);
    let places = batch * layout.places;
    // the row of the caches for every place
    let (rows, expected) = match node.optional_input(3) {
        None => ((0..places).collect(), vec![batch, layout.places, half]),
        Some(_) => {
            let ids = node.integers(3, "the positions")?;
            let count = cos.shape().first().copied().unwrap_or(0);
            if ids.len() != places {
                return Err(node.mismatch(x.shape(), &[ids.len()], "there must be a position for every place"));
            }
            (resolved(node, &ids, count)?, vec![count, half])
        }
    };
    if cos.shape() != expected || sin.shape() != expected {
        return Err(node.mismatch(
            cos.shape(),
            &expected,
            "the caches must have half as many columns as elements turn",
        ));
    }
    let count = lowering.charge_shape(node, x.shape())?;
    lowering.charge(node.name, [count, 4])?;
    let (mut cosines, mut sines) = (AffineBuilder::new(cos.len()), AffineBuilder::new(sin.len()));
    let mut partners = vec![];
    for i in 0..count {
        let (place, element) = layout.split(i);
        if element >= turned {
            cosines.push(vec![], 1.0);
            sines.push(vec![], 0.0);
            partners.push(i);
            continue;
        }
        let (pair, first, distance) = match interleaved {
            true => (element / 2, element.is_multiple_of(2), 1),
            false => (element % half, element < half, half),
        };
        let angle = rows[place] * half + pair;
        cosines.push(vec![(angle, 1.0)], 0.0);
        sines.push(vec![(angle, if first { -1.0 } else { 1.0 })], 0.0);
        partners.push(if first { i + distance } else { i - distance });
    }
    let shape = x.shape().to_vec();
    let cosines = lowering.affine(node, &[cos], cosines.finish(), shape.clone(), Kind::Float)?;
    let sines = lowering.affine(node, &[sin], sines.finish(), shape.clone(), Kind::Float)?;
    let partners = lowering.select(node, x, shape, partners)?;
    let (own, other) = (lowering.product(node, x, &cosines)?, lowering.product(node, &partners, &sines)?);
    Ok(vec![lowering.combination(node, &[(&own, 1.0), (&other, 1.0)], 0.0)?])
}

pub(super) fn register(registry: &mut Registry) {
    registry.add("RotaryEmbedding", rotary_embedding);
}

#[cfg(test)]
mod tests {
    use crate::onnx::import_model;
    use crate::onnx::testing::{Attr, floats, ints, model, node};

    #[test]
    fn pairs_are_turned() {
        // two places, of which the second turns by a quarter and by a half
        let caches = || {
            vec![floats("cos", &[1, 2, 2], &[1.0, 1.0, 0.0, -1.0]), floats("sin", &[1, 2, 2], &[0.0, 0.0, 1.0, 0.0])]
        };
        let of = |shape: &[i64], attributes| {
            let turn = node("RotaryEmbedding", &["x", "cos", "sin"], "y", attributes);
            import_model(&model(&[("x", shape)], "y", caches(), vec![turn]))
        };
        let x: Vec<f64> = (1..=8).map(f64::from).collect();
        assert_eq!(of(&[1, 1, 2, 4], vec![]).unwrap().eval(&x), [1.0, 2.0, 3.0, 4.0, -7.0, -6.0, 5.0, -8.0]);
        let neighbours = vec![("interleaved", Attr::Int(1)), ("num_heads", Attr::Int(1))];
        assert_eq!(of(&[1, 2, 4], neighbours).unwrap().eval(&x), [1.0, 2.0, 3.0, 4.0, -6.0, 5.0, -7.0, -8.0]);
        // two heads of five elements, of which four turn
        let part = vec![("rotary_embedding_dim", Attr::Int(4)), ("num_heads", Attr::Int(2))];
        let x: Vec<f64> = (1..=20).map(f64::from).collect();
        let found = of(&[1, 2, 10], part).unwrap().eval(&x);
        assert_eq!(found[..10], x[..10]);
        assert_eq!(found[10..], [-13.0, -12.0, 11.0, -14.0, 15.0, -18.0, -17.0, 16.0, -19.0, 20.0]);
        assert!(of(&[1, 1, 2, 6], vec![]).is_err() && of(&[1, 2, 4], vec![]).is_err());
    }

    #[test]
    fn positions_select_the_angle() {
        let turn = |ids: &[i64]| {
            let constants = vec![
                floats("cos", &[2, 1], &[1.0, 0.0]),
                floats("sin", &[2, 1], &[0.0, 1.0]),
                ints("ids", &[1, 2], ids),
            ];
            let nodes = vec![node("RotaryEmbedding", &["x", "cos", "sin", "ids"], "y", vec![])];
            import_model(&model(&[("x", &[1, 1, 2, 2])], "y", constants, nodes))
        };
        assert_eq!(turn(&[1, 0]).unwrap().eval(&[1.0, 2.0, 3.0, 4.0]), [-2.0, 1.0, 3.0, 4.0]);
        assert!(turn(&[0, 2]).is_err());
    }
}
