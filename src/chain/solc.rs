//! Compiles Solidity sources held in memory.

use std::{
    io::Write,
    ops::Range,
    path::PathBuf,
    process::Stdio,
    sync::{Mutex, PoisonError},
};

use alloy::json_abi::JsonAbi;
use foundry_compilers::error::SolcError;
pub use foundry_compilers_artifacts::EvmVersion;
use foundry_compilers_artifacts::{
    BytecodeHash, CompilerOutput, Contract, Settings, SettingsMetadata, Severity, SolcInput, SolcLanguage, Source,
    output_selection::OutputSelection, sourcemap::SourceMap,
};

use super::{ChainError, Tool};

/// The most bytes of code a contract may have (EIP-170).
pub const MAX_RUNTIME_BYTES: usize = 24_576;

/// How to compile. The defaults are those of `foundry.toml`, so that both give the same bytecode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompileSettings {
    /// How often the optimizer expects each instruction to run; 1,000,000 keeps large constants as single pushes.
    pub optimizer_runs: usize,
    /// Whether to go through solc's Yul pipeline.
    pub via_ir: bool,
    /// The EVM to compile for, capped at the newest one the compiler knows.
    pub evm_version: EvmVersion,
}

impl Default for CompileSettings {
    fn default() -> Self {
        Self { optimizer_runs: 1_000_000, via_ir: false, evm_version: EvmVersion::Osaka }
    }
}

/// One deployable contract.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// Creation code, without constructor arguments.
    pub init_code: Vec<u8>,
    /// Code on chain; immutables are zero.
    pub runtime_code: Vec<u8>,
    pub abi: JsonAbi,
    /// Where each instruction of the runtime code, in their order, comes from: bytes of the contract's source file, as far as
    /// the compiler says.
    pub origins: Vec<Option<Range<usize>>>,
    /// The settings, with the EVM version that the compiler knows.
    pub settings: CompileSettings,
    /// The compiler's full version, such as `0.8.37+commit.f401782d.Linux.gcc`.
    pub solc_version: String,
    /// The compiler's warnings about any of the sources.
    pub warnings: Vec<String>,
}

impl Compiled {
    /// The name of the custom error that `revert_data` carries, if the contract declares it.
    pub fn error_name(&self, revert_data: &[u8]) -> Option<&str> {
        let selector = revert_data.first_chunk::<4>()?;
        self.abi.errors().find(|error| error.selector() == *selector).map(|error| error.name.as_str())
    }
}

/// Compiles `sources` (source unit name and text) and returns `contract`, given as `Name` or as `file:Name`.
///
/// Imports between the sources are resolved by their names; metadata is left out of the bytecode.
///
/// # Errors
///
/// [`ChainError::SolcFailed`] where the compiler does not run, [`ChainError::Compile`] with its messages where it
/// rejects the sources, [`ChainError::ContractNotFound`] where no source or more than one declares the contract,
/// [`ChainError::NoBytecode`] where it cannot be deployed as it is, and [`ChainError::ContractTooLarge`] over EIP-170's
/// limit.
pub fn compile(
    solc: &Tool,
    sources: &[(PathBuf, String)],
    contract: &str,
    settings: &CompileSettings,
) -> Result<Compiled, ChainError> {
    let failed = |error| ChainError::SolcFailed { solc: solc.location.clone(), source: Box::new(error) };
    let solc_version = version(solc).map_err(failed)?;
    let parsed = solc_version.parse().map_err(|error| failed(SolcError::msg(format!("{solc_version}: {error}"))))?;
    let sources = sources.iter().map(|(name, text)| (name.clone(), Source::new(text))).collect();
    let input = SolcInput::new(SolcLanguage::Solidity, sources, standard_settings(settings)).sanitized(&parsed);
    let output = standard_json(solc, &input).map_err(failed)?;

    let messages = |wanted: Severity| -> Vec<String> {
        let chosen = output.errors.iter().filter(|error| error.severity == wanted);
        chosen.map(|error| error.formatted_message.as_ref().unwrap_or(&error.message).trim().to_owned()).collect()
    };
    let errors = messages(Severity::Error);
    if !errors.is_empty() {
        return Err(ChainError::Compile { version: solc_version, messages: errors.join("\n") });
    }
    let warnings = messages(Severity::Warning);

    let code_missing = || ChainError::NoBytecode { contract: contract.to_owned() };
    let files: Vec<(PathBuf, u32)> = output.sources.iter().map(|(path, file)| (path.clone(), file.id)).collect();
    let (file, artifact) = select(output, contract)?;
    let evm = artifact.evm.ok_or_else(code_missing)?;
    let bytes = |code: Option<foundry_compilers_artifacts::Bytecode>| {
        code.and_then(|code| code.object.into_bytes()).filter(|code| !code.is_empty()).ok_or_else(code_missing)
    };
    let init_code = bytes(evm.bytecode)?.to_vec();
    let runtime = evm.deployed_bytecode.and_then(|code| code.bytecode);
    let map = runtime.as_ref().and_then(|code| code.source_map()).and_then(Result::ok).unwrap_or_default();
    let origins = origins(&map, files.iter().find(|(path, _)| *path == file).map(|(_, id)| *id));
    let runtime_code = bytes(runtime)?.to_vec();
    if runtime_code.len() > MAX_RUNTIME_BYTES {
        let (bytes, limit) = (runtime_code.len(), MAX_RUNTIME_BYTES);
        return Err(ChainError::ContractTooLarge { contract: contract.to_owned(), bytes, limit });
    }
    let abi = artifact.abi.unwrap_or_default();
    let evm_version = input.settings.evm_version.unwrap_or(settings.evm_version);
    let settings = CompileSettings { evm_version, ..settings.clone() };
    Ok(Compiled { init_code, runtime_code, abi, origins, settings, solc_version, warnings })
}

/// The compiler's full version; every compiler is asked once.
fn version(solc: &Tool) -> Result<String, SolcError> {
    static ASKED: Mutex<Vec<(Tool, String)>> = Mutex::new(Vec::new());
    let mut asked = ASKED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, version)) = asked.iter().find(|(tool, _)| tool == solc) {
        return Ok(version.clone());
    }
    let output = run(solc, "--version", &[])?;
    let text = String::from_utf8_lossy(&output);
    let line = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
    // a plus may stand once in a version, and solc's own names g++
    let version = line.trim().trim_start_matches("Version: ").replace(".g++", ".gcc");
    asked.push((solc.clone(), version.clone()));
    Ok(version)
}

/// What the compiler makes of these sources alone.
fn standard_json(solc: &Tool, input: &SolcInput) -> Result<CompilerOutput, SolcError> {
    let output = run(solc, "--standard-json", &serde_json::to_vec(input)?)?;
    let mut output: CompilerOutput = serde_json::from_slice(&output)?;
    output.retain_files(input.sources.keys().map(PathBuf::as_path));
    Ok(output)
}

/// Standard output of the compiler, which reads its input to the end before it writes.
fn run(solc: &Tool, argument: &str, input: &[u8]) -> Result<Vec<u8>, SolcError> {
    let io = |error| SolcError::io(error, &solc.program);
    let mut command = solc.command();
    command.arg(argument).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(io)?;
    // dropped, and so closed, at the end of the statement
    let written = child.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(input));
    let output = child.wait_with_output().map_err(io)?;
    // why it ended says more than that it did not read on
    if !output.status.success() {
        return Err(SolcError::solc_output(&output));
    }
    written.map_err(io)?;
    Ok(output.stdout)
}

fn standard_settings(settings: &CompileSettings) -> Settings {
    let mut standard = Settings {
        evm_version: Some(settings.evm_version),
        via_ir: settings.via_ir.then_some(true),
        metadata: Some(SettingsMetadata::new(BytecodeHash::None, false)),
        output_selection: OutputSelection::common_output_selection(
            ["abi", "evm.bytecode.object", "evm.deployedBytecode.object", "evm.deployedBytecode.sourceMap"]
                .map(String::from),
        ),
        ..Default::default()
    };
    standard.optimizer.enabled = Some(true);
    standard.optimizer.runs = Some(settings.optimizer_runs);
    standard
}

/// The parts of the source map that lie in the file with this number.
fn origins(map: &SourceMap, file: Option<u32>) -> Vec<Option<Range<usize>>> {
    let origin = |offset: u32, length: u32| offset as usize..offset as usize + length as usize;
    let inside = |index: Option<u32>| index.is_some() && index == file;
    map.iter().map(|element| inside(element.index()).then(|| origin(element.offset(), element.length()))).collect()
}

/// The contract and the source file that declares it.
fn select(output: CompilerOutput, wanted: &str) -> Result<(PathBuf, Contract), ChainError> {
    let mut compiled = Vec::new();
    let mut matches = Vec::new();
    for (file, contracts) in output.contracts {
        for (name, contract) in contracts {
            let qualified = format!("{}:{name}", file.display());
            if wanted == name || wanted == qualified {
                matches.push((file.clone(), contract));
            }
            compiled.push(qualified);
        }
    }
    match (matches.pop(), matches.is_empty()) {
        (Some(found), true) => Ok(found),
        _ => Err(ChainError::ContractNotFound { contract: wanted.to_owned(), compiled }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_leave_metadata_out_and_ask_for_code_only() {
        let json = serde_json::to_value(standard_settings(&CompileSettings::default())).unwrap();
        assert_eq!(json["optimizer"]["runs"], 1_000_000);
        assert_eq!(json["evmVersion"], "osaka");
        assert_eq!(json["metadata"]["bytecodeHash"], "none");
        assert_eq!(json["metadata"]["appendCBOR"], false);
        assert!(json.get("viaIR").is_none());
        assert_eq!(json["outputSelection"]["*"].as_object().unwrap().len(), 1, "no AST: it is large and unused");
    }
}
