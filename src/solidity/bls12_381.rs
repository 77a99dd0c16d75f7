//! The last steps on BLS12-381: one multi-scalar multiplication, and EIP-4844's point evaluation.

use ff::PrimeField;
use group::{Curve as _, prime::PrimeCurveAffine};
use halo2curves::bls12_381::Fq;

use super::{
    contract::Check,
    verifier::{Generator, Point, Step, VerifierError},
    yul::{Block, at, hex_or_decimal, store},
};
use crate::proof::{
    curve::{Bls12381, Curve, Word},
    protocol::Protocol,
    srs::ethereum_s_g2,
};

/// How many times today's price a precompile is given: room for a future repricing, and all that a bad point, which
/// consumes the gas given, can burn.
const MARGIN: u64 = 4;

/// EIP-2537: G1ADD.
const G1ADD_GAS: u64 = 375;

/// EIP-2537: one multiplication of G1MSM, before the discount.
const G1MSM_GAS: u64 = 12_000;

/// EIP-2537: thousandths of the price that a G1MSM of 1, 2, ... terms pays per term.
const G1MSM_DISCOUNT: [u64; 16] = [1000, 949, 848, 797, 764, 750, 738, 728, 719, 712, 705, 698, 692, 687, 682, 677];

/// EIP-4844: point evaluation.
const POINT_EVALUATION_GAS: u64 = 50_000;

/// SHA-256 of two words.
const SHA256_GAS: u64 = 84;

/// Bytes of a term of G1MSM: a padded point, a scalar.
const TERM: usize = 160;

/// The point evaluation precompile has `[tau]_2` of Ethereum's ceremony built in: other setups are refused.
pub fn check_setup<C: Curve>(protocol: &Protocol<C>) -> Result<(), VerifierError> {
    let ceremony = ethereum_s_g2().map(|s_g2| Bls12381::to_raw2(&s_g2));
    if ceremony.is_ok_and(|ceremony| ceremony == C::to_raw2(&protocol.s_g2)) {
        Ok(())
    } else {
        Err(VerifierError::Setup)
    }
}

/// What G1MSM of so many terms costs; more terms than the table has pay at most its last rate.
fn msm_gas(terms: usize) -> u64 {
    let discount = G1MSM_DISCOUNT[terms.clamp(1, G1MSM_DISCOUNT.len()) - 1];
    terms as u64 * G1MSM_GAS * discount / 1000
}

pub fn commitments<C: Curve>(generator: &mut Generator<'_, C>) -> Step {
    let terms = generator.terms.len();
    generator.memory.reserve("POINT", 4);
    generator.memory.reserve("MULTIPLES", 4);
    let first = generator.terms.first().map_or_else(String::new, |term| term.slot.clone());
    generator.constant(
        "G1MSM_GAS",
        (MARGIN * msm_gas(terms)).to_string(),
        format!("{terms} terms: {MARGIN} times today's price"),
    );
    let mut block = Block::default();
    block.comment("EIP-2537 pads a coordinate with 16 zero bytes: the memory here has not been written before");
    let copy = |block: &mut Block, slot: &str, position: &str| {
        block.line(format!("calldatacopy({}, {position}, 0x30)", at(slot, 0x10)));
        block.line(format!("calldatacopy({}, add({position}, 0x30), 0x30)", at(slot, 0x50)));
    };
    for term in &generator.terms {
        block.comment(&term.comment);
        match &term.point {
            Point::Key(words) => words.iter().enumerate().for_each(|(i, word)| {
                block.line(store(&at(&term.slot, 0x20 * i), word));
            }),
            Point::Proof(position) => copy(&mut block, &term.slot, position),
        }
    }
    block.line(format!("let ok := staticcall(G1MSM_GAS, G1MSM, {first}, {:#x}, MULTIPLES, 0x80)", TERM * terms));
    block.comment(
        "advice column: its coefficient is one. The addition does not check that it is in the subgroup; the point",
    );
    block.comment("evaluation checks the sum, and all that is added to it is in the subgroup");
    copy(&mut block, "POINT", "ADVICE");
    block.line("ok := and(ok, staticcall(G1ADD_GAS, G1ADD, POINT, 0x100, POINT, 0x80))");
    block.comment("the last point is followed by 16 zero bytes");
    block.line("ok := and(ok, iszero(shl(128, calldataload(add(LAST_POINT, 0x20)))))");
    block.comment("a missing precompile answers with nothing");
    block.open("if iszero(and(ok, eq(returndatasize(), 0x80)))");
    block.comment("a call that ran out of gas leaves less than this, and says nothing about the proof");
    block.line("if lt(gas(), div(G1MSM_GAS, 63)) { revert(0, 0) }");
    block.line("failure := 4").close();
    Step {
        title: "Opening: commitments",
        notes: vec![
            "POINT := the sum of scalar * term over all commitments. Multiplication checks that coordinates are reduced and",
            "that points are in the subgroup.",
        ],
        block,
    }
}

pub fn point_evaluation<C: Curve>(generator: &mut Generator<'_, C>) -> Step {
    // versioned hash, point, value, commitment and proof of 48 bytes each
    let input = generator.memory.reserve("EVALUATION", 6);
    let half = half_modulus();
    let [high, low] = ["HALF_P_HIGH", "HALF_P_LOW"];
    generator.constant(high, hex_or_decimal(&half[0]), "(p - 1) / 2 for the modulus p of the coordinates");
    generator.constant(low, hex_or_decimal(&half[1]), "");
    let mut block = Block::default();
    block.comment("compress POINT: x, whose top bits say that it is compressed and that y is the larger root");
    block.line("let y := mload(add(POINT, 0x40))");
    block.line(format!("let larger := or(gt(y, {high}), and(eq(y, {high}), gt(mload(add(POINT, 0x60)), {low})))"));
    block.line("let x := or(mload(POINT), or(shl(127, 1), shl(125, larger)))");
    block.line("let low := mload(add(POINT, 0x20))");
    block.line(store(&at(&input, 0x60), "or(shl(128, x), shr(128, low))"));
    block.line(store(&at(&input, 0x70), "low"));
    block.comment("the versioned hash of the commitment");
    block.line(format!("let ok := staticcall(SHA256_GAS, SHA256, {}, 0x30, {input}, 0x20)", at(&input, 0x60)));
    block.line(format!("mstore8({input}, 0x01)"));
    block.comment("the point, the claimed value, the proof");
    block.line(store(&at(&input, 0x20), "mload(OPENED_AT)"));
    block.line(store(&at(&input, 0x40), "mload(CLAIM)"));
    block.line(format!("calldatacopy({}, LAST_POINT, 0x30)", at(&input, 0x90)));
    block.line(format!(
        "ok := and(ok, staticcall(POINT_EVALUATION_GAS, POINT_EVALUATION, {input}, 0xc0, {input}, 0x40))"
    ));
    block.comment("the answer is the number of field elements of a blob, and their modulus");
    block.open(&format!("if iszero(and(and(ok, eq(returndatasize(), 0x40)), eq(mload({}), R)))", at(&input, 0x20)));
    block.comment("a call that ran out of gas leaves less than this, and says nothing about the proof");
    block.line("if lt(gas(), div(POINT_EVALUATION_GAS, 63)) { revert(0, 0) }");
    block.line("failure := 5").close();
    Step {
        title: "Point evaluation",
        notes: vec![
            "KZG in the hands of EIP-4844: POINT is the commitment to a polynomial that has the claimed value at mu. If POINT is",
            "infinity, which has another encoding, the precompile rejects: x = 0 is in no subgroup.",
        ],
        block,
    }
}

/// `(p - 1) / 2` for the modulus `p` of the coordinates, in two words.
fn half_modulus() -> [Word; 2] {
    // (p - 1) / 2 is -1/2
    let bytes = (-Fq::TWO_INV).to_bytes_be();
    let (mut high, mut low) = ([0; 32], [0; 32]);
    high[16..].copy_from_slice(&bytes[..16]);
    low.copy_from_slice(&bytes[16..]);
    [high, low]
}

/// The four words of a point as EIP-2537 takes it.
pub fn padded(words: &[Word]) -> Vec<Word> {
    let bytes = words.concat();
    let pad = |half: &[u8]| {
        let padded = [&[0; 16], half].concat();
        padded.chunks(32).map(|chunk| chunk.try_into().unwrap_or([0; 32])).collect::<Vec<Word>>()
    };
    bytes.chunks(48).flat_map(pad).collect()
}

/// The constants, the constructor and the names of this curve's last check.
pub fn check() -> Check {
    let generator = <Bls12381 as Curve>::G1Affine::generator();
    let two = (generator.to_curve() + generator.to_curve()).to_affine();
    let encoded = |point| {
        let words = padded(&Bls12381::point(&point));
        words.iter().map(hex_or_decimal).collect::<Vec<_>>().join(",\n            ")
    };
    let (one, two) = (encoded(generator), encoded(two));
    Check {
        curve: "BLS12-381",
        scheme: "SHPLONK over KZG on BLS12-381, opened by EIP-4844's point evaluation",
        precompiles: vec![
            ("SHA256", "0x02".into(), ""),
            ("POINT_EVALUATION", "0x0a".into(), "EIP-4844"),
            ("G1ADD", "0x0b".into(), "EIP-2537"),
            ("G1MSM", "0x0c".into(), "EIP-2537"),
            ("SHA256_GAS", (MARGIN * SHA256_GAS).to_string(), "four times today's price"),
            (
                "POINT_EVALUATION_GAS",
                (MARGIN * POINT_EVALUATION_GAS).to_string(),
                "likewise: all that a bad point can burn",
            ),
            ("G1ADD_GAS", (MARGIN * G1ADD_GAS).to_string(), "likewise"),
        ],
        point_error: "A point of the proof is not in the subgroup of the curve, or not in its one encoding.",
        constructor: format!(
            r#"
    /// @dev Fails on a chain whose precompiles do not do what this contract relies on: 2 G = G + G, and the polynomial zero is
    /// zero and not one.
    constructor() {{
        bytes memory one = abi.encode(
            {one}
        );
        bytes memory two = abi.encode(
            {two}
        );
        // a point of order three, and one that is not on the curve
        bytes memory small = abi.encode(0, 0, 0, 2);
        bytes memory off = abi.encode(0, 0, 0, 1);
        bytes memory infinity = abi.encodePacked(bytes1(0xc0), bytes15(0), bytes32(0));
        bytes32 digest = 0x5f0657f37554c781402a22917dee2f75def7ab966d7b770905398eba3c444014;
        bytes32 hash = 0x010657f37554c781402a22917dee2f75def7ab966d7b770905398eba3c444014;
        bytes memory zero = bytes.concat(abi.encode(hash, 0, 0), infinity, infinity);
        bytes memory notZero = bytes.concat(abi.encode(hash, 0, 1), infinity, infinity);
        bool works = _answers(SHA256, SHA256_GAS, infinity, abi.encode(digest))
            && _answers(G1ADD, G1ADD_GAS, bytes.concat(one, one), two)
            && _answers(G1MSM, G1MSM_GAS, bytes.concat(one, abi.encode(2)), two)
            && _answers(POINT_EVALUATION, POINT_EVALUATION_GAS, zero, abi.encode(4096, R));
        bool fails = _fails(G1ADD, G1ADD_GAS, bytes.concat(off, one))
            && _fails(G1MSM, G1MSM_GAS, bytes.concat(off, abi.encode(2)))
            && _fails(G1MSM, G1MSM_GAS, bytes.concat(small, abi.encode(2)))
            && _fails(POINT_EVALUATION, POINT_EVALUATION_GAS, notZero);
        if (!works || !fails) revert PrecompileMissing();
    }}
"#
        ),
    }
}
