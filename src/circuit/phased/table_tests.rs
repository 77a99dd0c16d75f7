//! Functions by tables: the lies that tables invite.

use ff::{Field, PrimeField};
use halo2curves::bn256::Fr;

use super::{
    tests::{
        Kind::{self, Segments, Values},
        assert_pinned_in, claims, differences, honest, honest_with, satisfied, tabled, violations, with_tables,
    },
    *,
};
use crate::circuit::testing::{
    Draw, Runs, committed, linear, push, random_functions, random_input, random_values, single_op,
};
use crate::graph::{Interval, Output};
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
        for kind in [Segments, Values] {
            for (bits, x) in [(1, -8), (2, -3), (3, 5), (5, 19), (8, 6)] {
                let circuit = tabled(bits, &[kind], &model, &[x]);
                assert!(circuit.layout.extras().paired);
                assert_pinned_in(&circuit, &model, &[x]);
            }
        }
    }
}

/// Arguments that are a cell and a constant, a cell with a factor, and sums; beside them what needs range checks alone.
#[test]
fn every_cell_of_any_argument_is_pinned() {
    let [.., parabola] = functions();
    let rows = [vec![1, 0], vec![2, -1], vec![-1, 0], vec![1, 1]];
    let mut model = single_op(linear(2, &rows, vec![5, 0, 1, -2]), &[(-3, 4), (0, 2)]);
    let function = push(&mut model, Op::Piecewise(parabola), vec![1]);
    let rescaled = push(&mut model, Op::Rescale(Rescale { shift: 1 }), vec![function]);
    model.outputs = output(function).into_iter().chain(output(rescaled)).collect();
    for input in [[-3, 2], [4, 0], [1, 1]] {
        for kind in [Segments, Values] {
            assert_pinned_in(&tabled(3, &[kind], &model, &input), &model, &input);
        }
    }
}

fn output(tensor: usize) -> [Output; 1] {
    [Output { name: format!("y{tensor}"), tensor, scale: 1.0 }]
}

/// A model of two functions of degree two over one input, and one of each other degree.
fn several() -> IntegerModel {
    let [step, line, parabola] = functions();
    let mut other = parabola.clone();
    other.segments.iter_mut().for_each(|segment| segment.coefficients[1] += 4);
    let mut model = single_op(Op::Piecewise(parabola), &[(-8, 19)]);
    for function in [other, line, step] {
        let tensor = push(&mut model, Op::Piecewise(function), vec![0]);
        model.outputs.extend(output(tensor));
    }
    model
}

/// All numbers of another segment, of the same table or another one: the argument is not in it, or the tags differ.
#[test]
fn another_segment_is_noticed() {
    let model = several();
    for x in [-8, -3, -2, 4, 5, 10, 11, 19] {
        let circuit = tabled(5, &[Segments], &model, &[x]);
        let (runs, a) = (Runs::new(&circuit), &circuit.layout.a);
        let elements = runs.elements();
        assert_eq!(elements.iter().map(Vec::len).collect::<Vec<_>>(), [4, 4, 3, 2]);
        assert_eq!(runs.values(), []);
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
    let (circuit, mut draw) = (tabled(5, &[Segments], &model, &[3]), Draw::new(1));
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

/// A table of either kind, one beside the other.
const MIXED: [Kind; 2] = [Values, Segments];

#[test]
fn tables_of_both_kinds_pin_every_cell_together() {
    let model = several();
    for (kinds, x) in [(MIXED, -8), ([Segments, Values], 4)] {
        assert_pinned_in(&tabled(4, &kinds, &model, &[x]), &model, &[x]);
    }
}

/// The value of another argument, or of another function, that of the same argument among them: the argument's is another one.
#[test]
fn another_value_is_noticed() {
    let model = several();
    for (kinds, values) in [(&[Values][..], 4), (&MIXED, 2)] {
        for x in [-8, -2, 3, 19] {
            let circuit = tabled(5, kinds, &model, &[x]);
            let (runs, a) = (Runs::new(&circuit), &circuit.layout.a);
            assert_eq!((runs.values().len(), runs.elements().len()), (values, 4 - values));
            let mut told = 0;
            for (row, own) in runs.values() {
                let first = runs.pair(own, a)[0];
                for entry in runs.entries().into_iter().filter(|&entry| entry != own) {
                    let [other, second] = runs.pair(entry, a);
                    if second != a[row + 1] {
                        let forged = runs.complete(&[(row + 1, second)]);
                        let wrong = violations(&circuit, &forged, &claims(&circuit, &forged));
                        assert_eq!(wrong, [format!("c[0] != c[{}]", circuit.layout.rows())], "{x}, row {row}: {entry}");
                        told += 1;
                    }
                    // a pair that is in a table, of an argument that is not the element's
                    let forged = runs.complete(&[(row, a[row] + other - first), (row + 1, second)]);
                    let wrong = violations(&circuit, &forged, &claims(&circuit, &forged));
                    assert!(wrong.len() == 1 && wrong[0].starts_with("a["), "{x}, row {row}: {wrong:?}");
                }
            }
            assert!(told > 100);
        }
    }
}

/// Two functions at quotients of one input, and one at the input itself.
fn below_rescales(shifts: [u32; 2]) -> IntegerModel {
    let [step, _, parabola] = functions();
    let mut other = parabola.clone();
    other.segments.iter_mut().for_each(|segment| segment.coefficients[1] += 4);
    let mut model = single_op(Op::Piecewise(step), &[(-7, 13)]);
    for (function, shift) in [parabola, other].into_iter().zip(shifts) {
        // the sum's range is that of the quotients times the power of two
        let sum = push(&mut model, linear(1, &[vec![1 << shift]], vec![1]), vec![0]);
        let quotient = push(&mut model, Op::Rescale(Rescale { shift }), vec![sum]);
        let tensor = push(&mut model, Op::Piecewise(function), vec![quotient]);
        model.outputs.extend(output(tensor));
    }
    model
}

#[test]
fn quotients_are_looked_up_with_their_values() {
    for (bits, shifts, x) in [(2, [1, 5], -7), (3, [3, 6], 0), (4, [2, 11], 13), (5, [4, 5], 5)] {
        let model = below_rescales(shifts);
        for kinds in [&[Values][..], &[Segments, Values], &[Values, Segments]] {
            let circuit = tabled(bits, kinds, &model, &[x]);
            let at = circuit.layout.tables.iter().filter(|table| matches!(***table, Table::Values(_))).count();
            assert_eq!(Runs::new(&circuit).values().len(), at);
            assert_pinned_in(&circuit, &model, &[x]);
        }
    }
}

/// The quotient and the value of any entry of any table, and numbers of the range table beside a value that is zero, with the limbs of what
/// then remains: they do not end.
#[test]
fn another_quotient_is_noticed() {
    for shifts in [[1, 4], [6, 9]] {
        let model = below_rescales(shifts);
        for x in [-7, 2, 13] {
            let circuit = tabled(4, &[Values], &model, &[x]);
            let (runs, a) = (Runs::new(&circuit), &circuit.layout.a);
            let quotients: Vec<_> = runs
                .values()
                .into_iter()
                .filter(|(row, _)| circuit.layout.copies.iter().all(|copy| copy.1 != *row))
                .collect();
            assert_eq!(quotients.len(), 2);
            for (row, own) in quotients {
                let first = runs.pair(own, a)[0];
                let pairs = runs.entries().into_iter().map(|entry| runs.pair(entry, a));
                let ranges = (0..16).map(|number| [Fr::from(number), Fr::ZERO]);
                for [other, second] in pairs.chain(ranges).filter(|pair| pair[0] != first) {
                    let forged = runs.complete(&[(row, a[row] + other - first), (row + 1, second)]);
                    assert_eq!((forged[row], forged[row + 1]), (a[row] + other - first, second));
                    let wrong = violations(&circuit, &forged, &claims(&circuit, &forged));
                    assert_eq!(wrong, [format!("c[0] != c[{}]", circuit.layout.rows())], "{x}, row {row}: {other:?}");
                }
            }
        }
    }
}

/// A quotient that somebody else reads, or that is an output, has cells of its own.
#[test]
fn quotients_that_others_read_are_looked_up_in_their_range() {
    let model = below_rescales([2, 3]);
    assert_eq!(model.rescales_of_functions().iter().flatten().count(), 2);
    let mut read = model.clone();
    let sum = push(&mut read, linear(1, &[vec![3]], vec![1]), vec![3]);
    read.outputs.extend(output(sum));
    let mut shown = model.clone();
    shown.outputs.extend(output(3));
    for model in [read, shown] {
        assert_eq!(model.rescales_of_functions().iter().flatten().count(), 1);
        assert_pinned_in(&tabled(4, &[Values], &model, &[3]), &model, &[3]);
    }
}

/// Beyond the bits that the argument of `tables.rs` allows, quotients are range-checked and read from cells of their own.
#[test]
fn quotients_by_large_powers_are_looked_up_in_their_range() {
    for (shift, beside) in [(48, 2), (49, 0), (60, 0)] {
        let model = below_rescales([shift, shift]);
        let circuit = tabled(5, &[Values], &model, &[7]);
        let quotients = Runs::new(&circuit).values();
        let own = quotients.iter().filter(|(row, _)| circuit.layout.copies.iter().all(|copy| copy.1 != *row));
        assert_eq!((quotients.len(), own.count()), (3, beside), "{shift}");
        let outputs = model.public_values(&model.trace(&[7]));
        assert!(satisfied(&circuit, &circuit.layout.a, &outputs));
        assert!(!satisfied(&circuit, &circuit.layout.a, &[outputs[0], outputs[1] + 1, outputs[2]]));
    }
}

/// What has no entry has no value.
#[test]
fn arguments_beside_the_table_are_noticed() {
    let [.., parabola] = functions();
    let model = single_op(Op::Piecewise(parabola.clone()), &[(-8, 19)]);
    let (lo, hi) = (-5, 11);
    let table = Table::Values(values::Values::new(&parabola, Interval { lo, hi }).unwrap());
    for x in -8..=19 {
        let circuit = with_tables(5, vec![Arc::new(table.clone())], &model, &[x]);
        let (a, layout) = (&circuit.layout.a, &circuit.layout);
        let row = layout.pairs[0].0;
        for value in [a[row + 1], Fr::ZERO, Fr::ONE, -Fr::ONE].into_iter().chain((2..80).map(Fr::from)) {
            let mut forged = a.clone();
            forged[row + 1] = value;
            let accepted = violations(&circuit, &forged, &claims(&circuit, &forged)).is_empty();
            assert_eq!(accepted, (lo..=hi).contains(&x) && value == a[row + 1], "{x}");
        }
    }
}

/// Tables of values are all that is looked up where inputs are constant and weights are not.
#[test]
fn values_are_looked_up_without_range_checks() {
    let [.., parabola] = functions();
    let mut model = single_op(linear(1, &[vec![1]], vec![1]), &[(2, 2)]);
    let function = push(&mut model, Op::Piecewise(parabola), vec![1]);
    model.outputs = output(function).into();
    let model = committed(&model);
    let circuit = tabled(3, &[Values], &model, &[2]);
    let (a, outputs) = (&circuit.layout.a, model.public_values(&model.trace(&[2])));
    assert!(circuit.layout.lookup.iter().filter(|&&times| times > 0).count() == 1);
    assert!(satisfied(&circuit, a, &outputs) && !satisfied(&circuit, a, &[outputs[0] + 1]));
    assert_pinned_in(&circuit, &model, &[2]);
}

#[test]
fn every_multiplicity_is_pinned() {
    [&[Segments][..], &[Values], &MIXED].into_iter().for_each(assert_multiplicities_pinned);
}

fn assert_multiplicities_pinned(kinds: &[Kind]) {
    let circuit = tabled(4, kinds, &several(), &[3]);
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
    [Segments, Values].into_iter().for_each(assert_told_apart_from_ranges);
}

fn assert_told_apart_from_ranges(kind: Kind) {
    let [.., parabola] = functions();
    let mut model = single_op(Op::Piecewise(parabola), &[(-8, 19)]);
    let tensor = push(&mut model, Op::Rescale(Rescale { shift: 2 }), vec![0]);
    model.outputs.extend(output(tensor));
    let circuit = tabled(5, &[kind], &model, &[3]);
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
    let pairs = [runs.elements().concat(), runs.values()].concat();
    assert!(!pairs.is_empty());
    for (row, _) in pairs {
        for entry in [0, 1, 31] {
            rejected(&[(row, Fr::from(entry) - layout.table[row]), (row + 1, Fr::ZERO)]);
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
    let mut models: Vec<(IntegerModel, &[Kind])> =
        (0..20).map(|seed| (random_functions(seed), &[Segments][..])).collect();
    models.extend((0..4).map(|seed| (random_values(seed), &[Values, Values, Segments][..])));
    models.extend([(several(), &[Segments][..]), (several(), &MIXED)]);
    let mut values = 0;
    for (model, kinds) in &models {
        let inputs: Vec<i128> = model.features.iter().map(|feature| feature.range.lo).collect();
        let circuit = tabled(8, kinds, model, &inputs);
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
            let (table, place) = ((tag.unwrap() - 1) / 4, (tag.unwrap() - 1) % 4);
            let number = first - power(131) * Fr::from(tag.unwrap());
            tags.insert(tag);
            if let Table::Values(_) = *circuit.layout.tables[table as usize] {
                assert!(place == 0 && below(number, 20) && below(second, 127));
            } else if place % 2 == 0 {
                // above a key, or twice a key
                assert!(below(number + power(127), 128), "{number:?}");
                assert!(below(second - power(128 + place as u32 / 2), 128 + place as u32 / 2));
                keys.insert((table, place, second));
            } else {
                assert!(below(number - power(128), 128) && below(second, 127));
            }
        }
        let distinct: std::collections::BTreeSet<Fr> = keys.iter().map(|key| key.2).collect();
        assert_eq!(distinct.len(), keys.len());
        assert!(tags.len() >= if *kinds == [Segments] { 9 } else { 6 });
        values += circuit.layout.tables.iter().filter(|table| matches!(***table, Table::Values(_))).count();
    }
    assert_eq!(values, 4 * 2 + 2);
}

/// Tables are there if they make the domain smaller, and the layout does not depend on the witness.
#[test]
fn tables_are_chosen_by_rows() {
    for (model, seed) in (0..8).flat_map(|seed| [random_functions(seed), random_values(seed)].map(|of| (of, seed))) {
        let mut draw = Draw::new(seed);
        let inputs = [random_input(&model, &mut draw), random_input(&model, &mut draw)];
        let [circuit, other] = [0, 1].map(|i| honest(&model, &inputs[i]));
        assert!(circuit.layout.extras().paired, "seed {seed}, {} rows", circuit.layout.rows());
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

/// The kinds of the tables that are chosen.
fn chosen(model: &IntegerModel, bits: u32) -> Vec<Kind> {
    let kind = |table: &Arc<Table>| if matches!(**table, Table::Values(_)) { Values } else { Segments };
    tables::find::<Fr>(model, bits).iter().map(kind).collect()
}

/// A function of so many segments over `[0, width]`, and a model of so many elements of it.
fn of_elements(count: i128, width: i128, elements: usize) -> (Op, IntegerModel) {
    let segment = |i: i128| (i * (width / count), [i % 5 - 2, 7 - i, i % 3 - 1]);
    let op = Op::Piecewise(function(&(0..count).map(segment).collect::<Vec<_>>(), width, 2));
    (op.clone(), single_op(op, &vec![(0, width); elements]))
}

/// Each function has what takes the fewest rows, as they are laid out.
#[test]
fn functions_take_what_has_the_fewest_rows() {
    let cases = [
        (4, 30, 1, None),
        (4, 30, 60, Some(Values)),
        (4, 3000, 60, Some(Segments)),
        (12, 3000, 60, Some(Segments)),
        (12, 3000, 400, Some(Values)),
        (12, 3000, 1, None),
        (1, 30, 60, Some(Values)),
        (1, 3000, 60, None),
        (1, 3000, 2000, Some(Values)),
    ];
    for (count, width, elements, expected) in cases {
        let (op, model) = of_elements(count, width, elements);
        let input = vec![width / 2; elements];
        let rows = |kinds: &[Kind]| {
            let circuit =
                if kinds.is_empty() { honest_with(6, &model, &input) } else { tabled(6, kinds, &model, &input) };
            circuit.layout.rows()
        };
        let none = rows(&[]);
        let few = [(none, None), (rows(&[Segments]), Some(Segments)), (rows(&[Values]), Some(Values))];
        let fewest = few.iter().min_by_key(|of| of.0).unwrap();
        println!("{count} segments, [0, {width}], {elements} elements: {few:?}");
        assert_eq!((fewest.1, chosen(&model, 6)), (expected, expected.into_iter().collect()), "{op:?}");
    }
}

/// Of several functions in one model each has its own kind.
#[test]
fn each_function_has_its_own_kind() {
    let (_, mut model) = of_elements(4, 30, 60);
    let (wide, _) = of_elements(12, 3000, 1);
    let rows: Vec<Vec<i64>> = (0..60).map(|j| (0..60).map(|i| if i == j { 90 } else { 0 }).collect()).collect();
    let layer = push(&mut model, linear(60, &rows, vec![1; 60]), vec![0]);
    let wide = push(&mut model, wide, vec![layer]);
    let few = push(&mut model, linear(60, &rows[..1], vec![2]), vec![0]);
    let (other, _) = of_elements(11, 3000, 1);
    let few = push(&mut model, other, vec![few]);
    model.outputs.extend([output(wide), output(few)].concat());
    assert_eq!(chosen(&model, 6), [Values, Segments]);
    let input: Vec<i128> = (0..60).map(|i| i % 31).collect();
    let circuit = honest(&model, &input);
    assert_eq!(circuit.layout.tables, tables::find::<Fr>(&model, circuit.layout.table_bits));
    assert_eq!(Runs::new(&circuit).values().len(), 60);
    let outputs = model.public_values(&model.trace(&input));
    assert!(satisfied(&circuit, &circuit.layout.a, &outputs));
}

/// Numbers that would not be below the bounds of the argument, and more values than a table may have.
#[test]
fn large_numbers_have_no_table() {
    let wide = |width: i128| function(&[(0, [1, 1, 0]), (width, [5, 0, 0])], 2 * width, 0);
    for (bits, fits) in [(20, true), (58, true), (61, false), (70, false)] {
        let model = single_op(Op::Piecewise(wide(1 << bits)), &[(0, 2 << bits)]);
        assert_eq!(tables::uses(&model)[0].segments().is_some(), fits, "{bits} bits");
    }
    for (width, fits) in [((1 << 20) - 1, true), (1 << 20, false), (1 << 90, false)] {
        let model = single_op(Op::Piecewise(wide(1 << 100)), &[(5, 5 + width)]);
        assert_eq!(tables::uses(&model)[0].values().is_some(), fits, "{width}");
    }
}
