//! The contract that `snark-verifier` emits for a circuit's stock proofs.

use std::{
    io::Write,
    process::{Command, Stdio},
    rc::Rc,
};

use hallmark::chain::{Anvil, ChainError, Search};
use halo2curves::bn256::{Fq, Fr, G1Affine};
use serde_json::{Value, json};
use snark_verifier::{
    loader::evm::{EvmLoader, encode_calldata},
    system::halo2::transcript::evm::EvmTranscript,
    verifier::SnarkVerifier,
};

use crate::stock::{PlonkVerifier, Stock};

/// What the emitted source asks for; the text says nothing that later compilers read differently.
const PRAGMA: &str = "pragma solidity 0.8.19;";

/// A deployed contract.
pub struct Contract<'a> {
    anvil: &'a Anvil,
    address: [u8; 20],
}

impl<'a> Contract<'a> {
    pub fn deploy(stock: &Stock, anvil: &'a Anvil) -> Self {
        let init_code = init_code(&source(stock));
        let address = anvil.deploy(&init_code).unwrap().address.into();
        Self { anvil, address }
    }

    pub fn accepts(&self, proof: &[u8], instances: &[Vec<Fr>]) -> bool {
        match self.anvil.call(self.address.into(), &encode_calldata(instances, proof)) {
            Ok(answer) => {
                assert!(answer.is_empty(), "it answers {answer:?}");
                true
            }
            Err(ChainError::Reverted { data }) => {
                assert!(data.is_empty(), "it reverts with {data:?}");
                false
            }
            // a precompile that fails takes all the gas that this contract hands it, which is nearly all there is
            Err(ChainError::Rpc { message, .. }) if ["OutOfGas", "OOG"].iter().any(|why| message.contains(why)) => {
                false
            }
            Err(error) => panic!("{error}"),
        }
    }
}

fn source(stock: &Stock) -> String {
    let loader = EvmLoader::new::<Fq, Fr>();
    let (key, protocol) = (stock.deciding_key(), stock.protocol.loaded(&loader));
    let mut transcript = EvmTranscript::<G1Affine, Rc<EvmLoader>, _, _>::new(&loader);
    let instances = transcript.load_instances(stock.instance_rows.clone());
    let proof = PlonkVerifier::read_proof(&key, &protocol, &instances, &mut transcript).unwrap();
    PlonkVerifier::verify(&key, &protocol, &instances, &proof).unwrap();
    loader.solidity_code()
}

/// Creation code of the contract, compiled without the optimizer: the text is one block, for which solc's optimizer wants more
/// stack than there is. (Through the IR it compiles, to code that always reverts: the text checks that no memory is in use.)
fn init_code(source: &str) -> Vec<u8> {
    assert_eq!(source.matches(PRAGMA).count(), 1);
    let source = source.replace(PRAGMA, "pragma solidity ^0.8.19;");
    let input = json!({
        "language": "Solidity",
        "sources": { "Halo2Verifier.sol": { "content": source } },
        "settings": { "outputSelection": { "*": { "*": ["evm.bytecode.object"] } } },
    });
    let solc = Search::default().solc().unwrap();
    let mut child = Command::new(&solc.program)
        .args(&solc.arguments)
        .arg("--standard-json")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.to_string().as_bytes()).unwrap();
    let output: Value = serde_json::from_slice(&child.wait_with_output().unwrap().stdout).unwrap();
    let code = &output["contracts"]["Halo2Verifier.sol"]["Halo2Verifier"]["evm"]["bytecode"]["object"];
    hex::decode(code.as_str().unwrap_or_else(|| panic!("{}", output["errors"]))).unwrap()
}
