//! Honest witnesses are accepted, and nothing else that leads to other public values.

use ff::Field;
use halo2curves::bn256::Fr;
use proptest::prelude::*;

use super::*;
use crate::circuit::{
    field,
    testing::{Draw, Runs, linear, push, random_general_model, random_input, random_model, single_op},
};
use crate::graph::{Affine, Digest, Output, Salt};
use crate::ops::{Divide, OneHot, Op, Piecewise, Product, Rescale, Root, Segment};

fn challenges() -> [Fr; 2] {
    [0x1234_5678_9abc_def1, 0x9876_5432_10fe_dcb3].map(|seed| Fr::from(seed).square())
}

pub(super) fn honest(model: &IntegerModel, input: &[i128]) -> PhasedCircuit<Fr> {
    PhasedCircuit::new(model, &model.trace(input))
}

/// The same with a table of `2^bits`.
pub(super) fn honest_with(bits: u32, model: &IntegerModel, input: &[i128]) -> PhasedCircuit<Fr> {
    with_tables(bits, vec![], model, input)
}

/// What elements of a function look up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    Segments,
    Values,
}

/// The same with tables of all functions, of these kinds in turn, whatever they cost.
pub(super) fn tabled(bits: u32, kinds: &[Kind], model: &IntegerModel, input: &[i128]) -> PhasedCircuit<Fr> {
    let table = |(used, kind): (&tables::Use<'_>, &Kind)| match kind {
        Kind::Segments => used.segments(),
        Kind::Values => used.values(),
    };
    let tables = tables::uses(model).iter().zip(kinds.iter().cycle()).filter_map(table).map(Arc::new).collect();
    with_tables(bits, tables, model, input)
}

pub(super) fn with_tables(
    bits: u32,
    tables: Vec<Arc<Table>>,
    model: &IntegerModel,
    input: &[i128],
) -> PhasedCircuit<Fr> {
    let builder = PhasedBuilder::new(bits, usize::MAX).with_tables(tables);
    let mut layout = lay_out(builder, model, &model.trace(input));
    layout.finish();
    PhasedCircuit { layout, k: 20 }
}

/// What is wrong with cells of `a`, if the prover goes on by the gate for `c`, counts what is looked up, and claims the public
/// values that `claims` are.
pub(super) fn violations(circuit: &PhasedCircuit<Fr>, a: &[Fr], claims: &[Fr]) -> Vec<String> {
    let mut layout = circuit.layout.clone();
    layout.public_values = claims.to_vec();
    let mut a = a.to_vec();
    layout.count(&mut a);
    differences(&layout, &a)
}

/// Copies that do not hold for cells of `a`, multiplicities among them.
pub(super) fn differences(layout: &PhasedBuilder<Fr>, a: &[Fr]) -> Vec<String> {
    let c = layout.running_sum(a, challenges(), layout.rows());
    let unequal = |column: &[Fr], pairs: &[(usize, usize)], name: &str| -> Vec<String> {
        let differ = pairs.iter().filter(|(left, right)| column[*left] != column[*right]);
        differ.map(|(left, right)| format!("{name}[{left}] != {name}[{right}]")).collect()
    };
    [unequal(a, &layout.copies, "a"), unequal(&c, &layout.pins, "c")].concat()
}

pub(super) fn satisfied(circuit: &PhasedCircuit<Fr>, a: &[Fr], outputs: &[i128]) -> bool {
    let claims: Vec<Fr> = outputs.iter().map(|&value| field(value)).collect();
    violations(circuit, a, &claims).is_empty()
}

/// The public values that cells of `a` add up to.
pub(super) fn claims(circuit: &PhasedCircuit<Fr>, a: &[Fr]) -> Vec<Fr> {
    Runs::new(circuit).claims(a)
}

/// Cells that hold the same value as the one in `row`.
fn class(circuit: &PhasedCircuit<Fr>, row: usize) -> Vec<usize> {
    let mut class = vec![row];
    let mut next = 0;
    while next < class.len() {
        for &(left, right) in &circuit.layout.copies {
            for (one, other) in [(left, right), (right, left)] {
                if one == class[next] && !class.contains(&other) {
                    class.push(other);
                }
            }
        }
        next += 1;
    }
    class
}

/// Whether the witness shows what a proof says: its public values are the model's outputs for an input of the domain. Inputs are
/// the first cells after the constant that are looked up.
fn tells_the_truth(model: &IntegerModel, circuit: &PhasedCircuit<Fr>, inputs: &[usize], a: &[Fr]) -> bool {
    let input: Option<Vec<i128>> = model
        .features
        .iter()
        .zip(inputs)
        .map(|(feature, &row)| {
            let mut values = feature.range.lo..=feature.range.hi;
            if feature.range.lo == feature.range.hi {
                Some(feature.range.lo)
            } else {
                values.find(|&v| field::<Fr>(v - feature.range.lo) == a[row])
            }
        })
        .collect();
    input.is_some_and(|input| {
        let outputs = model.public_values(&model.trace(&input));
        outputs.into_iter().map(field::<Fr>).eq(claims(circuit, a))
    })
}

/// The cells of the inputs: those in which layouts of two inputs differ first.
fn input_cells(model: &IntegerModel, bits: u32) -> Vec<usize> {
    let lows: Vec<i128> = model.features.iter().map(|feature| feature.range.lo).collect();
    let low = honest_with(bits, model, &lows);
    let cell = |i: usize| {
        let mut other = lows.clone();
        other[i] = model.features[i].range.hi;
        let other = honest_with(bits, model, &other);
        (0..low.layout.rows()).find(|&row| low.layout.a[row] != other.layout.a[row]).unwrap_or(0)
    };
    (0..lows.len()).map(cell).collect()
}

/// The honest witness is accepted; a cell that is changed, alone, with its copies, or with all that follows, is noticed, or is the
/// honest witness of another input.
fn assert_pinned(bits: u32, model: &IntegerModel, input: &[i128]) {
    assert_pinned_in(&honest_with(bits, model, input), model, input);
}

pub(super) fn assert_pinned_in(circuit: &PhasedCircuit<Fr>, model: &IntegerModel, input: &[i128]) {
    let outputs = model.public_values(&model.trace(input));
    let bits = circuit.layout.table_bits;
    let (a, inputs, runs) = (&circuit.layout.a, input_cells(model, bits), Runs::new(circuit));
    assert_eq!(&runs.complete(&[]), a);
    assert!(satisfied(circuit, a, &outputs), "{input:?}: {:?}", violations(circuit, a, &claims(circuit, a)));
    for i in 0..outputs.len() {
        let mut forged = outputs.clone();
        forged[i] += 1;
        assert!(!satisfied(circuit, a, &forged), "public value {i} is not bound");
    }
    for row in 0..runs.end() {
        let base = Fr::from(1 << circuit.layout.table_bits);
        let cell = a[row];
        for value in
            [cell + Fr::ONE, cell - Fr::ONE, -cell, cell.double() + Fr::ONE, cell + base, cell - base, Fr::ZERO]
        {
            if value == cell {
                continue;
            }
            let mut alone = a.clone();
            alone[row] = value;
            let mut all = a.clone();
            class(circuit, row).into_iter().for_each(|row| all[row] = value);
            for forged in [alone, all, runs.complete(&[(row, value)])] {
                let accepted = violations(circuit, &forged, &claims(circuit, &forged)).is_empty();
                assert!(
                    !accepted || tells_the_truth(model, circuit, &inputs, &forged),
                    "input {input:?}, {bits} bits: {value:?} in row {row} instead of {cell:?} is accepted"
                );
            }
        }
    }
}

/// An operator, the domains of its inputs, and inputs.
type Case = (Op, Vec<(i128, i128)>, Vec<Vec<i128>>);

#[test]
fn every_cell_of_every_operator_is_pinned() {
    let segments: Vec<Segment> = [(-8, [1, 2, 3]), (-2, [0, -1, 0]), (5, [7, 0, -2])]
        .map(|(start, coefficients)| Segment { start, coefficients })
        .into();
    let cases: Vec<Case> = vec![
        (linear(2, &[vec![3, -2], vec![0, 5]], vec![7, -1]), vec![(-5, 6), (0, 15)], vec![vec![2, 9]]),
        (
            linear(12, &[1, 2, 3, 5].map(|i| (0..12).map(|j| i * j % 7 - 3).collect()), vec![1, -2, 3, -4]),
            vec![(-3, 4); 12],
            vec![vec![2, -3, 4, 1, 0, -1, 2, -3, 4, 1, 0, -1]],
        ),
        (Op::Relu, vec![(-9, 12)], vec![vec![-9], vec![0], vec![5]]),
        (Op::Relu, vec![(-1, 40)], vec![vec![-1], vec![17]]),
        (Op::Relu, vec![(-90_000, 120_000)], vec![vec![-77_123], vec![99_999]]),
        (Op::Rescale(Rescale { shift: 3 }), vec![(-100, 200)], vec![vec![-100], vec![12], vec![77]]),
        (Op::Rescale(Rescale { shift: 11 }), vec![(-90_000, 120_000)], vec![vec![-77_123], vec![1024]]),
        (Op::Square, vec![(-9, 12)], vec![vec![-4], vec![7]]),
        (Op::Product(Product::elementwise(1)), vec![(-9, 12), (-3, 5)], vec![vec![-4, 5], vec![0, 3]]),
        (
            Op::Product(Product { batch: 1, rows: 2, inner: 2, columns: 1 }),
            vec![(-9, 12); 6],
            vec![vec![1, -2, 3, 4, -5, 6]],
        ),
        (
            Op::Piecewise(Piecewise { segments: segments.clone(), end: 20, shift: 2 }),
            vec![(-8, 19)],
            vec![vec![-6], vec![6]],
        ),
        (Op::Piecewise(Piecewise { segments, end: 20, shift: 0 }), vec![(-8, 19)], vec![vec![-2]]),
        (Op::Divide(Divide { shift: 4, nearest: false }), vec![(-30, 40), (1, 9)], vec![vec![-29, 7], vec![40, 9]]),
        (Op::Divide(Divide { shift: 2, nearest: true }), vec![(-30, 40), (1, 9)], vec![vec![17, 4]]),
        (Op::Root(Root { shift: 4 }), vec![(0, 300)], vec![vec![0], vec![77]]),
        (Op::OneHot(OneHot { depth: 5 }), vec![(0, 4)], vec![vec![0], vec![3]]),
    ];
    for (op, domains, inputs) in cases {
        let model = single_op(op, &domains);
        for bits in [1, 2, 3, 5, 8] {
            inputs.iter().for_each(|input| assert_pinned(bits, &model, input));
        }
    }
}

/// A cell of a digest that is changed is noticed, alone, with its copies, or with all that follows, or is the honest witness of another
/// salt.
#[test]
fn every_cell_of_a_digest_is_pinned() {
    let mut model = single_op(linear(2, &[vec![3, -2]], vec![7]), &[(-5, 6), (0, 15)]);
    model.digests = vec![Digest::Inputs(vec![1, 0])];
    let (input, bits) = ([2, 9], 4);
    let statement = |salt: Salt| {
        let trace = model.trace(&input).salted(&[salt]);
        let integers = model.public_values(&trace).into_iter().map(field::<Fr>);
        integers.chain(model.digests_of(&trace)).collect::<Vec<Fr>>()
    };
    let laid_out = |salt: Salt| {
        let trace = model.trace(&input).salted(&[salt]);
        let mut layout = lay_out(PhasedBuilder::<Fr>::new(bits, usize::MAX), &model, &trace);
        layout.finish();
        PhasedCircuit { layout, k: 20 }
    };
    let [circuit, other] = [Salt([9; 32]), Salt([10; 32])].map(laid_out);
    let (a, runs) = (&circuit.layout.a, Runs::new(&circuit));
    let first = (0..a.len()).find(|&row| a[row] != other.layout.a[row]).unwrap();
    let expected = statement(Salt([9; 32]));
    assert_eq!(claims(&circuit, a), expected);
    assert_eq!(violations(&circuit, a, &expected), Vec::<String>::new());
    assert_eq!(&runs.complete(&[]), a);
    // of another salt, the honest witness: all that follows from its cell
    let forged = runs.complete(&[(first, other.layout.a[first])]);
    assert_eq!((&forged, claims(&circuit, &forged)), (&other.layout.a, statement(Salt([10; 32]))));

    for row in first..circuit.layout.table_start.unwrap() {
        let value = a[row] + Fr::ONE;
        let mut alone = a.clone();
        alone[row] = value;
        let mut all = a.clone();
        class(&circuit, row).into_iter().for_each(|row| all[row] = value);
        let mut forgeries = vec![alone, all];
        if row != first && row % 7 == 0 {
            forgeries.push(runs.complete(&[(row, value)]));
        }
        for forged in forgeries {
            assert!(!violations(&circuit, &forged, &expected).is_empty(), "row {row} is not bound to the statement");
            let accepted = violations(&circuit, &forged, &claims(&circuit, &forged)).is_empty();
            assert!(!accepted || forged[first] != a[first], "row {row} is accepted");
        }
    }
}

/// Which leaves of a tree are reached, over conditions `a`, `b` and `c`: `a b`, `a (1 - b)`, and of the others those of `c`.
fn tree() -> IntegerModel {
    let mut model =
        single_op(linear(3, &[vec![1, 1, 0], vec![1, -1, 0], vec![-1, 0, 1]], vec![-1, 0, 0]), &[(0, 1); 3]);
    let reached = push(&mut model, Op::Relu, vec![1]);
    // of what `a` leaves, and of what is left of that, whatever is not `b`
    let left = linear(6, &[vec![-1, 0, 0, 0, 0, -1]], vec![1]);
    let rest = push(&mut model, left, vec![0, reached]);
    let sum = push(&mut model, linear(4, &[vec![0, -1, 0, 1]], vec![0]), vec![0, rest]);
    let last = push(&mut model, Op::Relu, vec![sum]);
    let output = |tensor| Output { name: format!("y{tensor}"), tensor, scale: 1.0 };
    model.outputs = vec![output(reached), output(rest), output(last)];
    model
}

#[test]
fn conjunctions_are_products() {
    let model = tree();
    for at in 0..8 {
        let [a, b, c] = [at & 1, at >> 1 & 1, at >> 2];
        let expected = [a * b, a * (1 - b), (1 - a) * c, (1 - a) * (1 - c), (1 - a) * (1 - c) * (1 - b)];
        assert_eq!(model.public_values(&model.trace(&[a, b, c])), expected);
        assert_pinned(3, &model, &[a, b, c]);
    }
    // none is looked up but the inputs
    let circuit = honest_with(3, &model, &[1, 0, 1]);
    assert_eq!(circuit.layout.lookup.iter().filter(|&&times| times > 0).count(), input_cells(&model, 3).len());
}

/// A linear map with a shared matrix, and products of matrices.
fn projected() -> Vec<IntegerModel> {
    // 12 vectors of 9 elements, a 9 x 10 matrix of weights so large that few sums share a field element
    let weight = |j: usize, i: usize| ((31 * j + 17 * i) as i64 % 10 - 12) << 50;
    let row = |k: usize| -> Vec<i64> {
        (0..108).map(|input| if input / 9 == k / 10 { weight(input % 9, k % 10) } else { 0 }).collect()
    };
    // beside every output an input of its own, beside the first one of its neighbour's, too; biases of their own; some inputs are constant
    let beside = |k: usize| -> Vec<i64> {
        let weight = |input: usize| match input {
            _ if input == k => 3 << 40,
            _ if k.is_multiple_of(10) && input == k + 1 => -5,
            _ => 0,
        };
        let own = (0..120).map(weight);
        row(k).into_iter().chain(own).collect()
    };
    let sums: Vec<Vec<i64>> = (0..120).map(beside).collect();
    let domains: Vec<(i128, i128)> = (0..228).map(|input| if input % 9 == 5 { (2, 2) } else { (-3, 4) }).collect();
    let map = single_op(linear(228, &sums, (0..120).map(|k| 7 * k - 90).collect()), &domains);
    let product = Product { batch: 2, rows: 5, inner: 5, columns: 5 };
    // 4 filters of 3 x 3 over 10 x 10
    let tap = |k: usize, at: usize| 10 * (k % 64 / 8 + at / 3) + k % 8 + at % 3;
    let filter = |k: usize| -> Vec<i64> {
        let mut row = vec![0; 100];
        (0..9).for_each(|at| row[tap(k, at)] = (((7 * (k / 64) + 5 * at) % 11) as i64 - 12) << 50);
        row
    };
    let filters: Vec<Vec<i64>> = (0..256).map(filter).collect();
    let convolution = single_op(linear(100, &filters, (0..256).map(|k| k / 64 - 2).collect()), &[(-3, 4); 100]);
    let constants: Vec<(i128, i128)> = (0..100).map(|factor| if factor % 7 < 2 { (-1, -1) } else { (-2, 3) }).collect();
    let products = [vec![(-2, 3); 100], constants].map(|domains| single_op(Op::Product(product), &domains));
    [vec![map, convolution], products.into()].concat()
}

/// Two maps of the same vectors, or of others: the sums of the same cells are there once.
#[test]
fn projections_of_the_same_vectors_share_their_sums() {
    let model = projected().swap_remove(0);
    let Op::Linear(map) = &model.nodes[0].op else { panic!("a linear map") };
    let input = random_input(&model, &mut Draw::new(7));
    let rows = [0, 1].map(|by| {
        let mut two = model.clone();
        let weights = map.weights.iter().map(|weight| -*weight).collect();
        // of the vector so many further on
        let column = |&column: &u32| if column < 108 { (column + 9 * by) % 108 } else { column };
        let columns = map.columns.iter().map(column).collect();
        let tensor = push(&mut two, Op::Linear(Affine { weights, columns, ..map.clone() }), vec![0]);
        two.outputs.push(Output { name: "other".into(), tensor, scale: 1.0 });
        let circuit = honest_with(4, &two, &input);
        let mut outputs = two.public_values(&two.trace(&input));
        assert!(satisfied(&circuit, &circuit.layout.a, &outputs));
        outputs[130] += 1;
        assert!(!satisfied(&circuit, &circuit.layout.a, &outputs));
        circuit.layout.rows()
    });
    // of eight inputs, as one is constant; each in twelve vectors, behind a jump
    assert_eq!(rows[1] - rows[0], 8 * (12 + 1));
}

#[test]
fn projections_pin_every_cell() {
    for model in projected() {
        let mut draw = Draw::new(7);
        let input = random_input(&model, &mut draw);
        assert!(honest_with(4, &model, &input).layout.extras().projected);
        assert_pinned(4, &model, &input);
    }
}

/// A prover who puts something else in a cell of `c` that neither gate determines, and goes on by the gates from there.
#[test]
fn every_jump_of_the_second_phase_is_pinned() {
    for model in projected() {
        let circuit = honest_with(4, &model, &random_input(&model, &mut Draw::new(3)));
        let layout = &circuit.layout;
        let c = layout.running_sum(&layout.a, challenges(), layout.rows());
        let wrong = |c: &[Fr]| layout.pins.iter().any(|&(left, right)| c[left] != c[right]);
        assert!(!wrong(&c));
        let ends_product = |row: &usize| layout.times.contains(&(row - 3));
        let rows: Vec<usize> = layout.jumps.iter().map(|jump| jump.0 + 1).filter(|row| !ends_product(row)).collect();
        assert!(rows.len() > 30);
        for row in rows {
            let mut forged = c[..=row].to_vec();
            forged[row] += Fr::ONE;
            let forged = layout.continued(forged, &layout.a, challenges(), layout.rows());
            assert!(wrong(&forged), "row {row}");
        }
    }
}

/// Of `p (p - m) = 0` with `m = 2 p - x` there are two solutions: a positive `x` may be passed off as zero, and a negative one as
/// itself. Only that `m` is not negative tells.
#[test]
fn the_other_root_of_a_relu_is_noticed() {
    let model = single_op(Op::Relu, &[(-200, 300)]);
    for (bits, x) in [(4, 77), (4, -77), (10, 77), (10, -77), (10, 300)] {
        let circuit = honest_with(bits, &model, &[x]);
        let (runs, a) = (Runs::new(&circuit), &circuit.layout.a);
        let [root] = runs.rectified()[..] else { panic!("one ReLU") };
        assert_eq!(root.magnitude.is_none(), bits == 10);
        let forged = runs.complete(&[(root.positive, runs.argument(root, a) - a[root.positive])]);
        let claims = claims(&circuit, &forged);
        assert_eq!(claims, [field(x.min(0))]);
        let wrong = violations(&circuit, &forged, &claims);
        assert_eq!(wrong, [format!("c[0] != c[{}]", circuit.layout.rows())], "{bits} bits, {x}: the look-ups tell");
    }
}

#[test]
fn what_is_not_in_the_table_is_noticed_whatever_the_multiplicities() {
    let model = single_op(Op::Rescale(Rescale { shift: 3 }), &[(-100, 200)]);
    let circuit = honest_with(5, &model, &[77]);
    let layout = &circuit.layout;
    let (start, mut draw) = (layout.table_start.unwrap(), Draw::new(1));
    // 77 = 8 y + r with y one less and r eight more than it should be
    let runs = Runs::new(&circuit);
    let division = runs.divisions().into_iter().rfind(|division| division.bits == 3).unwrap();
    let forged = runs.complete(&[(division.rest, layout.a[division.rest] - Fr::ONE)]);
    let claims = claims(&circuit, &forged);
    assert!(!violations(&circuit, &forged, &claims).is_empty());
    let mut lying = layout.clone();
    lying.public_values = claims;
    for _ in 0..200 {
        let mut a = forged.clone();
        for _ in 0..1 + draw.index(3) {
            let entry = start + draw.index(layout.rows() - start);
            a[entry] += Fr::from(1 + draw.index(4) as u64) - Fr::from(2);
        }
        let c = lying.running_sum(&a, challenges(), lying.rows());
        assert!(lying.pins.iter().any(|&(left, right)| c[left] != c[right]));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(32) })]

    /// Completeness, a layout that depends on the model alone, and outputs that are bound.
    #[test]
    fn every_input_satisfies_one_layout(seed: u64) {
        let mut draw = Draw::new(!seed);
        for model in [random_model(seed), random_general_model(seed)] {
            let lows: Vec<i128> = model.features.iter().map(|feature| feature.range.lo).collect();
            let keygen = honest(&model, &lows);
            for _ in 0..2 {
                let input = random_input(&model, &mut draw);
                let circuit = honest(&model, &input);
                let outputs = model.public_values(&model.trace(&input));
                prop_assert!(satisfied(&circuit, &circuit.layout.a, &outputs), "{input:?}");
                prop_assert_eq!(circuit.layout.fixed(), keygen.layout.fixed());
                prop_assert_eq!(&circuit.layout.copies, &keygen.layout.copies);
                prop_assert_eq!(&circuit.layout.pins, &keygen.layout.pins);
                prop_assert_eq!(&circuit.layout.public_rows, &keygen.layout.public_rows);
                let wrong: Vec<i128> = outputs.iter().map(|value| value + 1).collect();
                prop_assert!(!satisfied(&circuit, &circuit.layout.a, &wrong));
            }
        }
    }

    /// A prover who forges one cell, or two, and completes the rest, is caught or has told the truth about an input.
    #[test]
    fn completed_forgeries_are_rejected(seed: u64) {
        let (model, mut draw) = (random_model(seed), Draw::new(!seed));
        let circuit = honest(&model, &random_input(&model, &mut draw));
        let (a, inputs) = (&circuit.layout.a, input_cells(&model, circuit.layout.table_bits));
        let runs = Runs::new(&circuit);
        let end = circuit.layout.table_start.unwrap_or(a.len());
        for round in 0..12 {
            let forgery: Vec<(usize, Fr)> = (0..1 + round % 2).map(|_| {
                let row = draw.index(end);
                let small = Fr::from_u128(draw.integer(1, 9) as u128);
                (row, [a[row] + small, a[row] - small, -a[row], a[row].double(), small][draw.index(5)])
            }).collect();
            let forged = runs.complete(&forgery);
            let accepted = violations(&circuit, &forged, &claims(&circuit, &forged)).is_empty();
            prop_assert!(!accepted || tells_the_truth(&model, &circuit, &inputs, &forged), "{forgery:?}");
        }
    }
}

/// The number of rows is what the choice of the table counted on.
#[test]
fn tables_take_the_rows_that_were_counted() {
    for seed in 0..12 {
        for model in [random_model(seed), random_general_model(seed)] {
            let lows: Vec<i128> = model.features.iter().map(|feature| feature.range.lo).collect();
            let trace = model.trace(&lows);
            let laid_out =
                |bits| crate::circuit::model::lay_out(PhasedBuilder::<Fr>::new(bits, usize::MAX), &model, &trace);
            let first = laid_out(8);
            for bits in 1..=12 {
                let mut layout = laid_out(bits);
                layout.finish();
                assert_eq!(first.rows_with(bits), layout.rows(), "seed {seed}, {bits} bits");
            }
        }
    }
}
