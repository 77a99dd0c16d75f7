//! An EVM in process: deploy a contract, call it, and see what every instruction and every precompile cost.

use revm::{
    Context, ExecuteCommitEvm, InspectEvm, Inspector, MainBuilder, MainContext, MainnetEvm,
    context::{
        TxEnv,
        result::{ExecutionResult, Output},
    },
    database::{CacheDB, EmptyDB},
    handler::MainnetContext,
    interpreter::{CallInputs, CallOutcome, CreateInputs, CreateOutcome, Interpreter, interpreter_types::Jumps},
    primitives::{Address, Bytes, TxKind, hardfork::SpecId},
};

use super::GasError;
use crate::chain::{
    anvil::MAX_TRANSACTION_GAS,
    gas::{BASE, calldata_gas},
};

/// What one instruction of the called contract cost, its precompile's gas excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Position in the runtime code.
    pub position: usize,
    pub gas: u64,
    /// The call that the instruction made.
    pub call: Option<Call>,
}

/// A call out of the contract, to a precompile as a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    pub target: Address,
    /// Gas that it consumed of what it was given.
    pub gas: u64,
}

/// A call that succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// What the receipt of this call as a transaction would charge.
    pub transaction: u64,
    /// What the instructions cost, calls included; no refunds.
    pub execution: u64,
    pub instructions: Vec<Instruction>,
    pub output: Vec<u8>,
}

/// A contract deployed on a chain of its own, at Ethereum's present fork (Osaka).
#[derive(Debug)]
pub struct Evm {
    evm: MainnetEvm<MainnetContext<CacheDB<EmptyDB>>, Tracer>,
    address: Address,
    deployment: u64,
}

impl Evm {
    /// Deploys creation code, constructor included.
    ///
    /// # Errors
    ///
    /// [`GasError::Deployment`] where the constructor does not succeed.
    pub fn deploy(init_code: &[u8]) -> Result<Self, GasError> {
        let context = Context::mainnet().with_db(CacheDB::default()).modify_cfg_chained(|config| {
            config.set_spec_and_mainnet_gas_params(SpecId::OSAKA);
            config.disable_nonce_check = true;
        });
        let mut evm = context.build_mainnet_with_inspector(Tracer::default());
        let result = evm.transact_commit(transaction(TxKind::Create, init_code)?).map_err(rejected)?;
        let deployment = result.tx_gas_used();
        match result {
            ExecutionResult::Success { output: Output::Create(_, Some(address)), .. } => {
                Ok(Self { evm, address, deployment })
            }
            ExecutionResult::Revert { output, .. } => {
                Err(GasError::Deployment { reason: "its constructor reverts".into(), data: output.into() })
            }
            other => Err(GasError::Deployment { reason: describe(&other), data: vec![] }),
        }
    }

    /// Gas of the deploying transaction.
    pub fn deployment(&self) -> u64 {
        self.deployment
    }

    /// Calls the contract in a transaction whose effects are then forgotten.
    ///
    /// # Errors
    ///
    /// [`GasError::Reverted`] with the revert data, [`GasError::Halted`] where the EVM stopped for another reason.
    pub fn call(&mut self, calldata: &[u8]) -> Result<Trace, GasError> {
        let transaction = transaction(TxKind::Call(self.address), calldata)?;
        self.evm.inspector = Tracer::default();
        let result = self.evm.inspect_tx(transaction).map_err(rejected)?.result;
        let gas = *result.gas();
        match result {
            ExecutionResult::Success { output, .. } => {
                let instructions = std::mem::take(&mut self.evm.inspector.instructions);
                let execution = gas.total_gas_spent().saturating_sub(BASE + calldata_gas(calldata));
                let output = output.into_data().into();
                Ok(Trace { transaction: gas.tx_gas_used(), execution, instructions, output })
            }
            ExecutionResult::Revert { output, .. } => Err(GasError::Reverted { data: output.into() }),
            other => Err(GasError::Halted { reason: describe(&other) }),
        }
    }
}

fn transaction(kind: TxKind, data: &[u8]) -> Result<TxEnv, GasError> {
    let sender = Address::with_last_byte(0xff);
    let builder = TxEnv::builder().caller(sender).gas_limit(MAX_TRANSACTION_GAS).gas_price(0);
    builder
        .kind(kind)
        .data(Bytes::copy_from_slice(data))
        .build()
        .map_err(|error| GasError::Rejected { reason: format!("{error:?}") })
}

fn rejected(error: impl std::fmt::Display) -> GasError {
    GasError::Rejected { reason: error.to_string() }
}

fn describe(result: &ExecutionResult) -> String {
    match result {
        ExecutionResult::Halt { reason, .. } => format!("the EVM halts: {reason:?}"),
        _ => "it leaves no contract".into(),
    }
}

/// Notes the cost of every instruction of the outermost frame, as differences of the gas that is left.
#[derive(Debug, Default)]
struct Tracer {
    /// Frames that are open: 1 inside the called contract, 2 inside of what it calls.
    depth: usize,
    /// Gas left before the last instruction.
    left: u64,
    instructions: Vec<Instruction>,
}

impl Tracer {
    fn enter(&mut self) {
        self.depth += 1;
    }

    fn leave(&mut self, target: Option<Address>, limit: u64, remaining: u64) {
        self.depth = self.depth.saturating_sub(1);
        match (self.depth, self.instructions.last_mut()) {
            (0, Some(_)) => self.settle(remaining),
            (1, Some(instruction)) => {
                instruction.call = target.map(|target| Call { target, gas: limit.saturating_sub(remaining) });
            }
            _ => {}
        }
    }

    /// The last instruction is over, and left this much gas to its frame.
    fn settle(&mut self, left: u64) {
        if let Some(instruction) = self.instructions.last_mut() {
            let called = instruction.call.map_or(0, |call| call.gas);
            instruction.gas = self.left.saturating_sub(left).saturating_sub(called);
        }
        self.left = left;
    }
}

impl<CTX> Inspector<CTX> for Tracer {
    fn step(&mut self, interpreter: &mut Interpreter, _: &mut CTX) {
        if self.depth == 1 {
            self.settle(interpreter.gas.remaining());
            self.instructions.push(Instruction { position: interpreter.bytecode.pc(), gas: 0, call: None });
        }
    }

    fn call(&mut self, _: &mut CTX, _: &mut CallInputs) -> Option<CallOutcome> {
        self.enter();
        None
    }

    fn call_end(&mut self, _: &mut CTX, inputs: &CallInputs, outcome: &mut CallOutcome) {
        let result = &outcome.result;
        let remaining = if result.result.is_ok_or_revert() { result.gas.remaining() } else { 0 };
        self.leave(Some(inputs.bytecode_address), result.gas.limit(), remaining);
    }

    fn create(&mut self, _: &mut CTX, _: &mut CreateInputs) -> Option<CreateOutcome> {
        self.enter();
        None
    }

    fn create_end(&mut self, _: &mut CTX, _: &CreateInputs, _: &mut CreateOutcome) {
        self.leave(None, 0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Creation code for `runtime`.
    fn creation(runtime: &[u8]) -> Vec<u8> {
        let length = u8::try_from(runtime.len()).unwrap();
        [&[0x60, length, 0x80, 0x60, 0x09, 0x5f, 0x39, 0x5f, 0xf3], runtime].concat()
    }

    /// A contract that passes its calldata to a precompile with all gas, and returns the answer of `answer` bytes, or
    /// reverts where the call fails.
    fn relay(precompile: u8, answer: u8) -> Vec<u8> {
        [
            &[0x36, 0x5f, 0x5f, 0x37][..], // calldatacopy(0, 0, calldatasize())
            &[0x60, answer, 0x5f, 0x36, 0x5f, 0x60, precompile, 0x5a, 0xfa], // staticcall(gas(), precompile, ...)
            &[0x60, 0x13, 0x57, 0x5f, 0x5f, 0xfd, 0x5b, 0x60, answer, 0x5f, 0xf3], // return(0, answer), or revert(0, 0)
        ]
        .concat()
    }

    fn hex(text: &str) -> Vec<u8> {
        hex::decode(text.replace(char::is_whitespace, "")).unwrap()
    }

    fn ask(precompile: u8, input: &[u8], answer: u8) -> Result<Trace, GasError> {
        Evm::deploy(&creation(&relay(precompile, answer))).unwrap().call(input)
    }

    /// Generator of G1 of BLS12-381, padded as EIP-2537 has it.
    const G: &str = "0000000000000000000000000000000017f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac58\
                     6c55e83ff97a1aeffb3af00adb22c6bb0000000000000000000000000000000008b3f481e3aaa0f1a09e30ed741d8ae4\
                     fcf5e095d5d00af600db18cb2c04b3edd03cc744a2888ae40caa232946c5e7e1";

    #[test]
    fn instructions_and_calls_add_up_to_the_transaction() {
        let trace = ask(0x06, &[0; 128], 64).unwrap();
        assert_eq!(trace.output, [0; 64]);
        let calls: Vec<Call> = trace.instructions.iter().filter_map(|instruction| instruction.call).collect();
        assert_eq!(calls, [Call { target: Address::with_last_byte(6), gas: 150 }]);
        let own: u64 = trace.instructions.iter().map(|instruction| instruction.gas).sum();
        assert_eq!(own + 150, trace.execution);
        assert_eq!(trace.transaction, 21_000 + 4 * 128 + trace.execution);
        // warm access to a precompile costs 100, and the answer lies in memory that was paid for
        let call = trace.instructions.iter().find(|instruction| instruction.call.is_some()).unwrap();
        assert_eq!((call.position, call.gas), (12, 100));
    }

    #[test]
    fn bls12_381_works_without_native_libraries() {
        // G + G = 2 G, by addition (EIP-2537, 0x0b) and by multiplication (0x0c)
        let sum = ask(0x0b, &hex(&format!("{G}{G}")), 128).unwrap();
        let two = ask(0x0c, &hex(&format!("{G}{:064x}", 2)), 128).unwrap();
        assert_eq!(sum.output, two.output);
        assert_ne!(sum.output, hex(G));
        let gas = |trace: &Trace| trace.instructions.iter().find_map(|instruction| instruction.call).unwrap().gas;
        assert_eq!((gas(&sum), gas(&two)), (375, 12_000));
        // a point off the curve consumes all gas given, and the contract reverts
        let off = hex(&format!("{G}{G}").replacen("c6bb", "c6bc", 1));
        assert!(matches!(ask(0x0b, &off, 128), Err(GasError::Reverted { data }) if data.is_empty()));
    }

    #[test]
    fn point_evaluation_works_without_native_libraries() {
        // the constant polynomial 2 commits to 2 G; it is 2 everywhere, with the point at infinity as its proof
        let commitment =
            "a572cbea904d67468808c8eb50a9450c9721db309128012543902d0ac358a62ae28f75bb8f1c7c42c39a8c5529bf0f4e";
        let hash = {
            use sha2::{Digest, Sha256};
            Sha256::digest(hex(commitment))
        };
        let input = |value: u64| {
            let versioned = format!("01{}", hex::encode(&hash[1..]));
            hex(&format!("{versioned}{:064x}{value:064x}{commitment}c0{}", 77, "00".repeat(47)))
        };
        let trace = ask(0x0a, &input(2), 64).unwrap();
        let modulus = "73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001";
        assert_eq!(trace.output, hex(&format!("{:064x}{modulus}", 4096)));
        let call = trace.instructions.iter().find_map(|instruction| instruction.call).unwrap();
        assert_eq!(call, Call { target: Address::with_last_byte(0x0a), gas: 50_000 });
        assert!(matches!(ask(0x0a, &input(3), 64), Err(GasError::Reverted { .. })));
    }

    #[test]
    fn a_constructor_that_fails_is_an_error() {
        assert!(matches!(Evm::deploy(&[0x5f, 0x5f, 0xfd]), Err(GasError::Deployment { data, .. }) if data.is_empty()));
        let error = Evm::deploy(&[0xfe]).unwrap_err().to_string();
        assert!(error.contains("InvalidFEOpcode"), "{error}");
    }

    #[test]
    fn what_a_call_leaves_behind_is_forgotten() {
        // sload(0) + 1 is stored and returned
        let counter = [0x5f, 0x54, 0x60, 0x01, 0x01, 0x80, 0x5f, 0x55, 0x5f, 0x52, 0x60, 0x20, 0x5f, 0xf3];
        let mut evm = Evm::deploy(&creation(&counter)).unwrap();
        let (first, second) = (evm.call(&[]).unwrap(), evm.call(&[]).unwrap());
        assert_eq!(first, second);
        assert_eq!(first.output.last(), Some(&1));
    }
}
