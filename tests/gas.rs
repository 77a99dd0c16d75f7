//! Gas by part, against receipts.

use std::path::PathBuf;

use alloy::{sol, sol_types::SolCall};
use hallmark::{
    chain::{Anvil, AnvilOptions, CompileSettings, Compiled, GasFigures, Search, compile, gas::floor_gas},
    gas::{GasError, Measurement, PartKind, measure},
    solidity::Calldata,
};

mod common;

use common::{Draw, random_input, random_model};

sol! {
    function clear() external;
    function echo(bytes calldata data) external pure;
    function twice(uint256 a) external pure;
}

const SMALL: &str = r#"
// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;
contract Small {
    uint256 private stored = 1;
    function clear() external { stored = 0; }
    function echo(bytes calldata data) external pure {}
    function twice(uint256 a) external view {
        // 1. Once
        uint256 sum = _shared(a);
        // 2. Twice: it costs twice as much
        sum = sum * _shared(a + sum) + _shared(sum);
        require(sum != 7);
    }
    function _shared(uint256 a) private view returns (uint256) {
        (bool ok, bytes memory answer) = address(5).staticcall(abi.encode(32, 32, 32, a, 3, 1 << 200));
        require(ok);
        return abi.decode(answer, (uint256)) % 5;
    }
}
"#;

fn compiled(name: &str, source: &str) -> Compiled {
    let solc = Search::default().solc().unwrap();
    let sources = [(PathBuf::from(format!("{name}.sol")), source.to_string())];
    compile(&solc, &sources, name, &CompileSettings::default()).unwrap()
}

fn anvil() -> Anvil {
    Anvil::start(&Search::default().anvil().unwrap(), &AnvilOptions::default()).unwrap()
}

fn sum(measured: &Measurement) -> u64 {
    measured.breakdown.parts.iter().map(|part| part.gas).sum()
}

/// Two random models' contracts: what runs in process costs what the chain charges, to the unit.
#[test]
fn parts_add_up_to_the_receipt() {
    let anvil = anvil();
    for seed in [3, 4] {
        let model = random_model(seed);
        let (pk, source) = common::keys_and_contract(&model, "Verifier");
        let contract = compiled("Verifier", &source);
        let proof = common::prove(&pk, &model, &random_input(&model, &mut Draw::new(seed)));
        let calldata = Calldata::new(&proof).encode("verify");

        let measured = measure(&source, &contract, &calldata).unwrap();
        let deployed = anvil.deploy(&contract.init_code).unwrap();
        let sent = anvil.send(deployed.address, &calldata, 2_000_000).unwrap();
        let figures = GasFigures::from_receipt(sent.gas_used, &calldata, deployed.gas_used);
        let breakdown = &measured.breakdown;
        assert_eq!((breakdown.transaction, sum(&measured)), (sent.gas_used, sent.gas_used), "seed {seed}");
        assert_eq!(Some(breakdown.execution), figures.execution);
        assert_eq!(measured.deployment, deployed.gas_used);
        assert_eq!((breakdown.of(PartKind::Base), breakdown.of(PartKind::Calldata)), (21_000, figures.calldata));

        // every step of the source costs something, in the source's order, and little is outside of them
        let titles = source.lines().filter_map(|line| line.trim().strip_prefix("// "));
        let numbered = titles.filter(|title| title.split_once(". ").is_some_and(|(n, _)| n.parse::<u32>().is_ok()));
        let steps = breakdown.parts.iter().filter(|part| part.kind == PartKind::Step).map(|part| part.name.as_str());
        assert!(numbered.eq(steps), "{breakdown:?}");
        assert!(breakdown.of(PartKind::Entry) < 1_000, "{breakdown:?}");
        // e(P, Q) e(R, S): EIP-1108
        assert_eq!(breakdown.of(PartKind::Pairing), 45_000 + 2 * 34_000);
        let multiplications = breakdown.parts.iter().filter(|part| part.kind == PartKind::Multiplication);
        for part in multiplications {
            assert_eq!(part.gas, 6_000 * part.calls.unwrap(), "{part:?}");
        }
    }
}

#[test]
fn a_rejected_proof_is_named() {
    let model = random_model(3);
    let (pk, source) = common::keys_and_contract(&model, "Verifier");
    let contract = compiled("Verifier", &source);
    let mut proof = common::prove(&pk, &model, &random_input(&model, &mut Draw::new(3)));
    proof.statement.context[0] ^= 1;
    let rejected = |calldata: &[u8]| measure(&source, &contract, calldata).unwrap_err();
    let error = rejected(&Calldata::new(&proof).encode("verify"));
    let name = contract.abi.errors().map(|error| error.name.clone()).find(|name| error.to_string().contains(name));
    assert!(matches!(&error, GasError::Proof { error } if Some(error) == name.as_ref()), "{error}");
    proof.words.pop();
    let error = rejected(&Calldata::new(&proof).encode("verify"));
    assert!(matches!(&error, GasError::Proof { error } if error == "no data"), "{error}");
}

#[test]
fn shared_functions_count_for_the_step_that_calls_them() {
    let calldata = twiceCall { a: alloy::primitives::U256::from(9) }.abi_encode();
    let measured = measure(SMALL, &compiled("Small", SMALL), &calldata).unwrap();
    let breakdown = &measured.breakdown;
    assert_eq!(sum(&measured), breakdown.transaction);
    let modexp: Vec<_> = breakdown.parts.iter().filter(|part| part.kind == PartKind::Modexp).collect();
    let called: Vec<_> = modexp.iter().map(|part| (part.step.as_deref().unwrap(), part.calls.unwrap())).collect();
    assert_eq!(called, [("1. Once", 1), ("2. Twice: it costs twice as much", 2)], "{breakdown:?}");
    assert_eq!(2 * modexp[0].gas, modexp[1].gas);
}

#[test]
fn the_calldata_floor_is_a_part_and_refunds_are_refused() {
    let small = compiled("Small", SMALL);
    let calldata = echoCall { data: vec![0xff; 4_000].into() }.abi_encode();
    let measured = measure(SMALL, &small, &calldata).unwrap();
    assert_eq!((sum(&measured), measured.breakdown.transaction), (floor_gas(&calldata), floor_gas(&calldata)));
    assert!(measured.breakdown.of(PartKind::CalldataFloor) > 0);

    let anvil = anvil();
    let deployed = anvil.deploy(&small.init_code).unwrap();
    assert_eq!(anvil.send(deployed.address, &calldata, 1_000_000).unwrap().gas_used, floor_gas(&calldata));
    assert_eq!(measured.deployment, deployed.gas_used);

    let error = measure(SMALL, &small, &clearCall {}.abi_encode()).unwrap_err();
    assert!(matches!(error, GasError::Unbalanced { parts, transaction } if parts > transaction), "{error}");
}
