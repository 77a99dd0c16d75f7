//! The last steps on BN254: one multiplication and one addition per commitment, one pairing.

use group::prime::PrimeCurveAffine;

use super::{
    contract::Check,
    verifier::{Form, Generator, Point, Step, Term},
    yul::{Block, at, hex_or_decimal, load, store},
};
use crate::proof::curve::Curve;

/// Gas that a curve addition and a multiplication are given: ten times today's prices. A future repricing does not disable
/// the contract, and a point that is not on the curve, which consumes all gas given, cannot burn the caller's.
const ECADD_GAS: u64 = 1_500;
const ECMUL_GAS: u64 = 60_000;

/// Multiply the term in `slot` and add it to the point at `sum`; `multiple` is behind that.
fn add_multiple(block: &mut Block, slot: &str, sum: &str, multiple: &str) {
    block.line(format!("ok := and(ok, staticcall(ECMUL_GAS, ECMUL, {slot}, 0x60, {multiple}, 0x40))"));
    block.line(format!("ok := and(ok, staticcall(ECADD_GAS, ECADD, {sum}, 0x80, {sum}, 0x40))"));
}

/// Write the coordinates of a term.
fn copy_point<C: Curve>(generator: &Generator<'_, C>, block: &mut Block, term: &Term) {
    match &term.point {
        Point::Key(words) => words.iter().enumerate().for_each(|(i, word)| {
            block.line(store(&at(&term.slot, 0x20 * i), word));
        }),
        Point::Proof(position) => {
            block.line(format!("calldatacopy({}, {}, 0x40)", term.slot, generator.position(position)));
        }
    }
}

/// Fail if a curve operation has.
fn check_operations(block: &mut Block) {
    block.comment("a missing precompile answers with nothing");
    block.open("if iszero(and(ok, eq(returndatasize(), 0x40)))");
    block.comment("a call that ran out of gas leaves less than this, and says nothing about the proof");
    block.line("if lt(gas(), div(ECMUL_GAS, 63)) { revert(0, 0) }");
    block.line("failure := 4").close();
}

/// Add multiples of those terms to POINT.
fn add_terms<C: Curve>(generator: &Generator<'_, C>, block: &mut Block, added: impl Fn(&Point) -> bool) {
    for term in generator.terms.iter().filter(|term| added(&term.point)) {
        block.comment(&term.comment);
        copy_point(generator, block, term);
        add_multiple(block, &term.slot, "POINT", "MULTIPLE");
    }
}

pub fn commitments<C: Curve>(generator: &mut Generator<'_, C>) -> Step {
    // the pairing's input: POINT, a point of G2, a point, a point of G2
    generator.memory.reserve("POINT", 12);
    generator.memory.alias("MULTIPLE", "POINT", 0x40);
    let mut block = Block::default();
    block.line("let ok := 1");
    match generator.form {
        Form::One => {
            block.comment("advice column: its coefficient is one; the first addition checks that it is on the curve");
            block.line("calldatacopy(POINT, ADVICE, 0x40)");
            add_terms(generator, &mut block, |_| true);
        }
        Form::Batch => {
            let scalar = generator.term("ADVICE", "advice column", Point::Proof("ADVICE".into()));
            block.line(store(&scalar, "mload(RHO_POWER)"));
            generator.memory.reserve("LAST", 2);
            generator.memory.reserve("LAST_MULTIPLE", 2);
            add_terms(generator, &mut block, |point| matches!(point, Point::Proof(_)));
            block.comment("LAST := LAST + rho * last point");
            block.line(store("SCALAR_LAST_POINT", "mload(RHO_POWER)"));
            add_multiple(&mut block, "TERM_LAST_POINT", "LAST", "LAST_MULTIPLE");
        }
    }
    check_operations(&mut block);
    Step {
        title: "Opening: commitments",
        notes: vec![
            "POINT := POINT + scalar * term for every commitment. Each point of the proof passes through a precompile,",
            "which checks that its coordinates are reduced and that it is on the curve.",
        ],
        block,
    }
}

/// The commitments of the key, which all proofs of a batch share, with the sums of their scalars.
pub fn key_commitments<C: Curve>(generator: &mut Generator<'_, C>) -> Step {
    let mut block = Block::default();
    block.line("let ok := 1");
    add_terms(generator, &mut block, |point| matches!(point, Point::Key(_)));
    check_operations(&mut block);
    Step {
        title: "Opening: commitments of the key",
        notes: vec!["They are the same in all proofs, so each is multiplied once, by the sum of its scalars."],
        block,
    }
}

pub fn pairing<C: Curve>(generator: &mut Generator<'_, C>) -> Step {
    let minus_s_g2 = -generator.protocol.s_g2.to_curve();
    let minus_s_g2 = C::point2(&group::Curve::to_affine(&minus_s_g2));
    let mut block = Block::default();
    for (i, word) in C::point2(&C::G2Affine::generator()).iter().enumerate() {
        let comment = if i == 0 { "generator of G2, imaginary parts first" } else { "" };
        let name = generator.constant(format!("G2_{i}"), hex_or_decimal(word), comment);
        block.line(store(&at("POINT", 0x40 + 0x20 * i), &name));
    }
    match generator.form {
        Form::One => block.line("calldatacopy(add(POINT, 0xc0), LAST_POINT, 0x40)"),
        Form::Batch => {
            block.line(store(&at("POINT", 0xc0), "mload(LAST)"));
            block.line(store(&at("POINT", 0xe0), load(&at("LAST", 0x20))))
        }
    };
    for (i, word) in minus_s_g2.iter().enumerate() {
        let comment = if i == 0 { "minus the setup's secret times the generator of G2" } else { "" };
        let name = generator.constant(format!("MINUS_S_G2_{i}"), hex_or_decimal(word), comment);
        block.line(store(&at("POINT", 0x100 + 0x20 * i), &name));
    }
    block.comment("the input is valid: the call can only fail for want of gas, which says nothing about the proof");
    block.line("if iszero(staticcall(gas(), PAIRING, POINT, 0x180, POINT, 0x20)) { revert(0, 0) }");
    block.comment("a missing precompile answers with nothing");
    block.line("if iszero(and(eq(returndatasize(), 0x20), eq(mload(POINT), 1))) { failure := 5 }");
    Step { title: "Pairing", notes: vec!["e(POINT, [1]_2) = e(last point, [s]_2)."], block }
}

/// The constants, the constructor and the names of this curve's last check.
pub fn check() -> Check {
    Check {
        curve: "BN254",
        scheme: "SHPLONK over KZG on BN254",
        precompiles: vec![
            ("ECADD", "0x06".into(), "EIP-196"),
            ("ECMUL", "0x07".into(), "EIP-196"),
            ("PAIRING", "0x08".into(), "EIP-197"),
            ("ECADD_GAS", ECADD_GAS.to_string(), "ten times today's price: all that a bad point can burn"),
            ("ECMUL_GAS", ECMUL_GAS.to_string(), "likewise"),
        ],
        point_error: "A point of the proof is not on the curve.",
        constructor: r#"
    /// @dev Fails on a chain whose precompiles do not do what this contract relies on: 2 G = G + G, and e(G, H) e(-G, H) = 1.
    constructor() {
        bytes memory two = abi.encode(
            0x030644e72e131a029b85045b68181585d97816a916871ca8d3c208c16d87cfd3,
            0x15ed738c0e0a7c92e7845f96b2ae9c0a68a6a449e3538fc7ff3ebf7a5a18a2c4
        );
        uint256 minusTwo = 0x30644e72e131a029b85045b68181585d97816a916871ca8d3c208c16d87cfd45;
        bytes memory left = abi.encode(1, 2, G2_0, G2_1, G2_2, G2_3);
        bytes memory right = abi.encode(1, minusTwo, G2_0, G2_1, G2_2, G2_3);
        bool works = _answers(ECADD, ECADD_GAS, abi.encode(1, 2, 1, 2), two)
            && _answers(ECMUL, ECMUL_GAS, abi.encode(1, 2, 2), two)
            && _answers(PAIRING, gasleft(), bytes.concat(left, right), abi.encode(1))
            && _answers(PAIRING, gasleft(), left, abi.encode(0));
        // a point off the curve must make them fail
        bool fails = _fails(ECADD, ECADD_GAS, abi.encode(1, 1, 1, 2)) && _fails(ECMUL, ECMUL_GAS, abi.encode(1, 1, 2));
        if (!works || !fails) revert PrecompileMissing();
    }
"#
        .into(),
    }
}
