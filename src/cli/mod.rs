//! The command line: parsing, progress and printing. What the commands do lives in the library.

mod audit;
mod bench;
mod calldata;
mod chain;
mod check;
mod compile;
mod demo;
mod deploy;
mod gas;
mod hash;
mod matching;
mod measure;
mod options;
mod output;
mod peers;
mod profile;
mod prove;
mod srs;
mod submit;
mod verify;

use std::{
    fmt::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{CommandFactory, Parser, Subcommand};
use hallmark::{
    gas::GasError,
    graph::Salt,
    project::{ProjectError, parse_context, parse_salt},
};
use serde_json::json;

use output::{Output, Report};

/// Any error, with the library's message.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What a command gives back: for people and for `--json`.
type Outcome = Result<output::Report, Failure>;

/// Exit code of wrong usage, as clap has it.
const WRONG_USAGE: u8 = 2;

/// Exit code of a proof that does not verify, and of a contract that does not match; other failures exit with 1.
const INVALID_PROOF: u8 = 3;

const EXAMPLES: &str = "\
Examples:
  hallmark demo
  hallmark check credit.onnx --data calibration.json
  hallmark audit credit.onnx --data calibration.json
  hallmark compile credit.onnx --data calibration.json -o build/credit
  hallmark prove build/credit --input applicant.json -o proof.json
  hallmark verify build/credit proof.json
  hallmark calldata build/credit proof.json
  hallmark gas build/credit --proof proof.json --svg gas.svg
  hallmark bench build/credit --input applicant.json --json
  hallmark deploy build/credit --rpc http://127.0.0.1:8545
  hallmark match credit.onnx --data calibration.json --address 0x… --rpc http://127.0.0.1:8545
  hallmark submit build/credit proof.json --rpc http://127.0.0.1:8545

Exit codes: 0 success, 1 failure, 2 wrong usage, 3 the proof does not verify, or the contract does not match.";

/// Prove that an approved ONNX model gave an output, and verify it on Ethereum.
#[derive(Debug, Parser)]
#[command(name = "hallmark", version, after_help = EXAMPLES, max_term_width = 120)]
struct Cli {
    /// Print one JSON document to standard output, errors included.
    #[arg(long, global = true)]
    json: bool,
    /// No progress; print results only.
    #[arg(long, short, global = true)]
    quiet: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(check::Args),
    Audit(audit::Args),
    Compile(compile::Args),
    Hash(hash::Args),
    Prove(prove::Args),
    Verify(verify::Args),
    Calldata(calldata::Args),
    Gas(gas::Args),
    Bench(bench::Args),
    Deploy(deploy::Args),
    Match(matching::Args),
    Submit(submit::Args),
    #[command(subcommand)]
    Srs(srs::Command),
    Demo(demo::Args),
    /// Print a completion script for a shell.
    #[command(after_help = "Example:\n  hallmark completions bash > /etc/bash_completion.d/hallmark")]
    Completions {
        shell: clap_complete::Shell,
    },
}

/// Parse the arguments, run the command, print what it says.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // Help and version are no errors.
        Err(error) if error.use_stderr() && std::env::args_os().any(|argument| argument == "--json") => {
            let message = error.to_string();
            Output::new(true, true).failure(message.trim().trim_start_matches("error: "));
            return ExitCode::from(WRONG_USAGE);
        }
        Err(error) => error.exit(),
    };
    let output = Output::new(cli.json, cli.quiet);
    let outcome = match cli.command {
        Command::Audit(args) => audit::run(&args, &output),
        Command::Check(args) => check::run(&args, &output),
        Command::Compile(args) => compile::run(&args, &output),
        Command::Hash(args) => hash::run(&args),
        Command::Prove(args) => prove::run(&args, &output),
        Command::Verify(args) => verify::run(&args),
        Command::Calldata(args) => calldata::run(&args, cli.json),
        Command::Gas(args) => gas::run(&args, &output),
        Command::Bench(args) => bench::run(&args, &output),
        Command::Deploy(args) => deploy::run(&args, &output),
        Command::Match(args) => matching::run(&args, &output),
        Command::Submit(args) => submit::run(&args, &output),
        Command::Srs(command) => srs::run(&command, &output),
        Command::Demo(args) => demo::run(&args, &output),
        Command::Completions { shell } => Ok(completions(shell)),
    };
    match outcome {
        Ok(report) => output.report(&report),
        Err(failure) => {
            output.failure(&message(failure.as_ref()));
            ExitCode::from(if is_verdict(failure.as_ref()) { INVALID_PROOF } else { 1 })
        }
    }
}

/// Whether a proof was judged and found wanting, natively or by the contract.
fn is_verdict(failure: &(dyn std::error::Error + 'static)) -> bool {
    let native = failure.downcast_ref().is_some_and(|error| matches!(error, ProjectError::Verify(_)));
    native || failure.downcast_ref().is_some_and(|error| matches!(error, GasError::Proof { .. }))
}

/// The completion script. Written to memory first: the generator panics where its writer fails.
fn completions(shell: clap_complete::Shell) -> Report {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "hallmark", &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    let json = json!({ "shell": shell.to_string(), "script": script });
    Report::new(script, json)
}

/// Refuse to write to a file that the command reads: nobody means to lose an input, a proof or a key.
fn keep(output: &Path, read: &[PathBuf]) -> Result<(), Failure> {
    let Ok(target) = output.canonicalize() else { return Ok(()) };
    match read.iter().any(|path| path.canonicalize().is_ok_and(|path| path == target)) {
        true => {
            Err(format!("{} is read by this command and would be lost; choose another output", output.display()).into())
        }
        false => Ok(()),
    }
}

/// An error and its causes, unless a message already quotes its cause.
fn message(failure: &(dyn std::error::Error + 'static)) -> String {
    let mut text = failure.to_string();
    let mut cause = failure.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            let _ = write!(text, ": {next}");
        }
        cause = error.source();
    }
    text
}

/// The folder that `compile` wrote.
#[derive(Debug, clap::Args)]
struct Folder {
    /// Folder that `hallmark compile` wrote.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// Options that choose one input.
#[derive(Debug, clap::Args)]
struct InputArgs {
    /// Input file: {"input_data": [[...]]}, or named values like {"duration_months": 24, ...}; or .npy, .npz, .csv.
    #[arg(long, value_name = "INPUT.json")]
    input: PathBuf,
    /// Which sample of a file that holds several, from 0.
    #[arg(long, value_name = "N")]
    index: Option<usize>,
}

/// How many threads work.
#[derive(Clone, Copy, Debug, clap::Args)]
struct Threads {
    /// Threads to compute with; as many as the machine has cores by default.
    #[arg(long, value_name = "N", value_parser = threads)]
    threads: Option<usize>,
}

/// The most threads that may be asked for.
const MAX_THREADS: usize = 1024;

fn threads(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("0 threads compute nothing; give 1 or more, or leave --threads out".into()),
        Ok(count) if count <= MAX_THREADS => Ok(count),
        _ => Err(format!("a number of threads is a whole number from 1 to {MAX_THREADS}")),
    }
}

impl Threads {
    /// Takes effect for the whole process: to be called before anything is computed.
    fn apply(self) -> Result<(), Failure> {
        match self.threads {
            Some(count) => Ok(rayon::ThreadPoolBuilder::new().num_threads(count).build_global()?),
            None => Ok(()),
        }
    }
}

/// What digests are made with.
#[derive(Clone, Debug, clap::Args)]
struct SaltArgs {
    /// What the digest of the inputs is salted with, where some are hashed: 32 bytes, or @ and a file that holds them in hex. Others see
    /// the arguments of a process: prefer the file.
    #[arg(long, value_name = "0xHEX|@FILE")]
    salt: Option<String>,
    /// The same for the digest of the outputs. Another one, so that opening the score opens nothing else.
    #[arg(long, value_name = "0xHEX|@FILE")]
    output_salt: Option<String>,
}

impl SaltArgs {
    /// Those of inputs and outputs.
    fn read(&self) -> Result<[Option<Salt>; 2], ProjectError> {
        let read = |option, text: &Option<String>| text.as_deref().map(|text| parse_salt(option, text)).transpose();
        Ok([read("--salt", &self.salt)?, read("--output-salt", &self.output_salt)?])
    }
}

/// The context that a proof is bound to.
#[derive(Debug, clap::Args)]
struct ContextArgs {
    /// What the proof is bound to: 32 bytes, a hash of chain, consumer, sender, nonce or deadline. Zero by default, which
    /// binds it to nothing: such a proof can be replayed.
    #[arg(long, value_name = "0xHEX")]
    context: Option<String>,
}

impl ContextArgs {
    fn bytes(&self) -> Result<[u8; 32], ProjectError> {
        self.context.as_deref().map_or(Ok([0; 32]), parse_context)
    }
}
