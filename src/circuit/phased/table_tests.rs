//! Functions by tables: the lies that tables invite.

use ff::{Field, PrimeField};
use halo2curves::bn256::Fr;

use super::{
    tests::{assert_pinned_in, claims, differences, honest, honest_with, satisfied, tabled, violations},
    *,
};
use crate::circuit::testing::{Draw, Runs, push, random_functions, random_input, single_op};
use crate::ops::{Op, Piecewise, Rescale, Segment};

fn function(numbers: &[(i128, [i128; 3])], end: i128, shift: u32) -> Piecewise {
    let segments = numbers.iter().map(|&(start, coefficients)| Segment { start, coefficients }).collect();
    Piecewise { segments, end, shift }
}

/// A function of each degree.
fn functions() -> [Piecewise; 3] {
    [
        function(&[(-8, [4, 0, 0]), (-2, [-3, 0, 0]), (5, [9, 0, 0])], 20, 0),
        function(&[(-8, [4, -1, 0]), (-7, [-3, 2, 0]), (5, [9, 0, 0])], 20, 1),
        function(&[(-8, [1, 2, 3]), (-2, [0, -1, 0]), (5, [7, 0, -2]), (11, [5, -3, 1])], 20, 2),
    ]
}

#[test]
fn every_cell_is_pinned() {
    for function in functions() {
        let model = single_op(Op::Piecewise(function), &[(-8, 19)]);
        for (bits, x) in [(1, -8), (2, -3), (3, 5), (5, 19), (8, 6)] {
            let circuit = tabled(bits, &model, &[x]);
            assert!(circuit.layout.extras().paired);
            assert_pinned_in(&circuit, &model, &[x]);
        }
    }
}

/// A model of two functions of degree two over one input, and one of each other degree.
fn several() -> IntegerModel {
    let [step, line, parabola] = functions();
    let mut other = parabola.clone();
    other.segments.iter_mut().for_each(|segment| segment.coefficients[1] += 4);
    let mut model = single_op(Op::Piecewise(parabola), &[(-8, 19)]);
    for function in [other, line, step] {
        let tensor = push(&mut model, Op::Piecewise(function), vec![0]);
        model.outputs.push(crate::graph::integer::Output { name: format!("y{tensor}"), tensor, scale: 1.0 });
    }
    model
}

/// All numbers of another segment, of the same table or another one: the argument is not in it, or the tags differ.
#[test]
fn another_segment_is_noticed() {
    let model = several();
    for x in [-8, -3, -2, 4, 5, 10, 11, 19] {
        let circuit = tabled(5, &model, &[x]);
        let (runs, a) = (Runs::new(&circuit), &circuit.layout.a);
        let elements = runs.elements();
        assert_eq!(elements.iter().map(Vec::len).collect::<Vec<_>>(), [4, 4, 3, 2]);
        let (mut told, mut alone) = (0, 0);
        for element in &elements {
            for by in (-6..=6).filter(|&by| by != 0) {
                let Some(numbers) = runs.with_segment(element, by) else { continue };
                let forged = runs.complete(&numbers);
                assert_ne!(&forged, a);
                let wrong = violations(&circuit, &forged, &claims(&circuit, &forged));
                // cells that are looked up in two ways differ if the tags do
                let own = numbers.iter().all(|(row, number)| forged[*row] == *number);
                let end = [format!("c[0] != c[{}]", circuit.layout.rows())];
                assert!(if own { wrong == end } else { !wrong.is_empty() }, "{x}, {element:?} by {by}: {wrong:?}");
                (told, alone) = (told + 1, alone + usize::from(own));
            }
        }
        assert!(alone >= 10 && told > alone, "{told} {alone}");
    }
}

/// One or several numbers of another segment beside a key that is not theirs.
#[test]
fn numbers_of_several_segments_are_noticed() {
    let model = several();
    let (circuit, mut draw) = (tabled(5, &model, &[3]), Draw::new(1));
    let runs = Runs::new(&circuit);
    for element in runs.elements() {
        for by in (-6..=6).filter(|&by| by != 0) {
            let Some(numbers) = runs.with_segment(&element, by) else { continue };
            for _ in 0..8 {
                let some: Vec<_> = numbers.iter().copied().filter(|_| draw.once_in(2)).collect();
                let forged = runs.complete(&some);
                let accepted = violations(&circuit, &forged, &claims(&circuit, &forged)).is_empty();
                assert!(!accepted || forged == circuit.layout.a, "{element:?} by {by}: {some:?}");
            }
        }
    }
}

#[test]
fn every_multiplicity_is_pinned() {
    let circuit = tabled(4, &several(), &[3]);
    let (layout, runs) = (&circuit.layout, Runs::new(&circuit));
    let entries = runs.entries();
    assert!(entries.len() > 40);
    assert_eq!(differences(layout, &layout.a), Vec::<String>::new());
    for (i, &row) in entries.iter().enumerate() {
        for by in [Fr::ONE, -Fr::ONE] {
            let mut a = layout.a.clone();
            a[row] += by;
            assert!(!differences(layout, &a).is_empty(), "row {row}");
            // made up for by another entry
            a[entries[(i + 4) % entries.len()]] -= by;
            assert!(!differences(layout, &a).is_empty(), "row {row}");
            // and with another one below it
            let mut a = layout.a.clone();
            a[row + 1] += by;
            assert!(!differences(layout, &a).is_empty(), "row {row}");
        }
    }
}

/// What is looked up for a range may be the first component of a pair, and what is looked up as a pair a number of the range table
/// beside a key that is zero.
#[test]
fn pairs_and_ranges_are_not_taken_for_each_other() {
    let [.., parabola] = functions();
    let mut model = single_op(Op::Piecewise(parabola), &[(-8, 19)]);
    let tensor = push(&mut model, Op::Rescale(Rescale { shift: 2 }), vec![0]);
    model.outputs.push(crate::graph::integer::Output { name: "rescaled".into(), tensor, scale: 1.0 });
    let circuit = tabled(5, &model, &[3]);
    let (layout, runs) = (&circuit.layout, Runs::new(&circuit));
    let rejected = |cells: &[(usize, Fr)]| {
        let forged = runs.complete(cells);
        assert!(!violations(&circuit, &forged, &claims(&circuit, &forged)).is_empty(), "{cells:?}");
    };
    for entry in runs.entries() {
        let [first, second] = runs.pair(entry, &layout.a);
        assert_ne!(second, Fr::ZERO);
        for row in (0..runs.end()).filter(|&row| layout.lookup[row] > 0) {
            let times = Fr::from(u64::from(layout.lookup[row])).invert().unwrap();
            let forged = layout.a[row] + (first - runs.pair(row, &layout.a)[0]) * times;
            if forged != layout.a[row] {
                rejected(&[(row, forged)]);
            }
        }
    }
    for element in runs.elements() {
        for (row, _) in element {
            for entry in [0, 1, 31] {
                rejected(&[(row, Fr::from(entry) - layout.table[row]), (row + 1, Fr::ZERO)]);
            }
        }
    }
}

/// Where the argument needs what tables hold to be, as integers.
#[test]
fn components_lie_where_the_argument_has_them() {
    let power = |bits: u32| Fr::from(2).pow([u64::from(bits)]);
    let below = |value: Fr, bits: u32| {
        let bytes = value.to_repr();
        let (low, high) = bytes.as_ref().split_at(bits as usize / 8);
        high.iter().enumerate().all(|(i, &byte)| byte == 0 || i == 0 && u32::from(byte) < 1 << (bits % 8))
            && !low.is_empty()
    };
    let mut models: Vec<IntegerModel> = (0..20).map(random_functions).collect();
    models.push(several());
    for model in models {
        let inputs: Vec<i128> = model.features.iter().map(|feature| feature.range.lo).collect();
        let circuit = tabled(8, &model, &inputs);
        let runs = Runs::new(&circuit);
        let (mut tags, mut keys) = (std::collections::BTreeSet::new(), std::collections::BTreeSet::new());
        for entry in runs.entries() {
            let [first, second] = runs.pair(entry, &circuit.layout.a);
            assert!(second != Fr::ZERO && below(second, 130));
            // the multiple of 2^131 that is nearest below, with room for numbers that are negative
            let tag = (1u64..100).find(|&tag| {
                let rest = first - power(131) * Fr::from(tag) + power(127);
                below(rest, 131)
            });
            let (tag, place) = (tag.unwrap(), (tag.unwrap() - 1) % 4);
            let number = first - power(131) * Fr::from(tag);
            tags.insert(tag);
            if place % 2 == 0 {
                // above a key, or twice a key
                assert!(below(number + power(127), 128), "{number:?}");
                assert!(below(second - power(128 + place as u32 / 2), 128 + place as u32 / 2));
                keys.insert(((tag - 1) / 4, place, second));
            } else {
                assert!(below(number - power(128), 128) && below(second, 127));
            }
        }
        let distinct: std::collections::BTreeSet<Fr> = keys.iter().map(|key| key.2).collect();
        assert_eq!(distinct.len(), keys.len());
        assert!(tags.len() >= 9);
    }
}

/// Tables are there if they make the domain smaller, and the layout does not depend on the witness.
#[test]
fn tables_are_chosen_by_rows() {
    for seed in 0..8 {
        let (model, mut draw) = (random_functions(seed), Draw::new(seed));
        let inputs = [random_input(&model, &mut draw), random_input(&model, &mut draw)];
        let [circuit, other] = [0, 1].map(|i| honest(&model, &inputs[i]));
        assert!(circuit.layout.extras().paired && !circuit.layout.extras().projected);
        let bits = circuit.layout.table_bits;
        assert!(
            circuit.k < k_of((1..=16).map(|bits| honest_with(bits, &model, &inputs[0]).layout.rows()).min().unwrap())
        );
        assert_eq!(circuit.layout.rows(), circuit.layout.rows_with(bits) - (1 << bits) - table_rows(&circuit));
        assert_eq!(circuit.layout.fixed(), other.layout.fixed());
        assert_eq!((&circuit.layout.copies, &circuit.layout.pins), (&other.layout.copies, &other.layout.pins));
        for (circuit, input) in [(&circuit, &inputs[0]), (&other, &inputs[1])] {
            let outputs = model.public_values(&model.trace(input));
            assert!(satisfied(circuit, &circuit.layout.a, &outputs));
            let decided = PhasedCircuit::<Fr>::decided(&circuit.decisions(), &model, &model.trace(input));
            assert_eq!(decided.layout.a, circuit.layout.a);
            assert_eq!(decided.layout.fixed(), circuit.layout.fixed());
            let wrong: Vec<i128> = outputs.iter().map(|value| value + 1).collect();
            assert!(!satisfied(circuit, &circuit.layout.a, &wrong));
        }
    }
    let [.., parabola] = functions();
    let small = honest(&single_op(Op::Piecewise(parabola), &[(-8, 19)]), &[3]);
    assert!(!small.layout.extras().paired);
}

fn table_rows(circuit: &PhasedCircuit<Fr>) -> usize {
    circuit.layout.tables.iter().map(|table| table.rows()).sum()
}

/// Numbers that would not be below the bounds of the argument.
#[test]
fn large_numbers_have_no_table() {
    let wide = |width: i128| function(&[(0, [1, 1, 0]), (width, [5, 0, 0])], 2 * width, 0);
    for (bits, fits) in [(20, true), (58, true), (61, false), (70, false)] {
        let model = single_op(Op::Piecewise(wide(1 << bits)), &[(0, 2 << bits)]);
        assert_eq!(tables::candidates(&model).len(), usize::from(fits), "{bits} bits");
    }
}
