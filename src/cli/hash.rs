//! `hallmark hash`

use std::fmt::Write;

use hallmark::{
    project::{Project, hex_word},
    quant::read_input,
};
use rand_core::OsRng;
use serde_json::json;

use super::{Folder, InputArgs, Outcome, SaltArgs, output::Report};

/// The digests that a proof for an input says: what an attester signs.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  hallmark hash build/credit --input applicant.json                   # draws a salt and prints it
  hallmark hash build/credit --input applicant.json --salt @salt.txt
  hallmark hash build/credit --input applicant.json --json            # with the words that are hashed

A salt is a secret of whoever knows the values: with it they can be guessed from the digest. It is drawn where none is given, printed
here and written nowhere. `hallmark prove` wants the same one.")]
pub struct Args {
    #[command(flatten)]
    folder: Folder,
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    salts: SaltArgs,
}

pub fn run(args: &Args) -> Outcome {
    let project = Project::open(&args.folder.folder)?;
    if project.model().digests.is_empty() {
        let folder = args.folder.folder.display();
        return Err(
            format!("proofs of {folder} say no digest: compile with --hashed-inputs or --hashed-outputs").into()
        );
    }
    let input = read_input(&args.input.input, project.model(), args.input.index)?;
    let given = args.salts.read()?;
    let of = ["inputs", "outputs"].map(|of| project.model().digests.iter().any(|digest| digest.of() == of));
    let drawn = [0, 1].map(|i| (of[i] && given[i].is_none()).then(|| project.random_salt(&mut OsRng)));
    let salts = project.salts(given[0].or(drawn[0]), given[1].or(drawn[1]))?;
    let (mut text, mut json) = (String::new(), Vec::new());
    for hashed in project.hash(&input, &salts)? {
        let drawn = if hashed.of == "inputs" { drawn[0] } else { drawn[1] };
        let _ = writeln!(text, "digest of {}  {}", hashed.of, hex_word(&hashed.digest));
        let words: Vec<_> = hashed.words.iter().map(hex_word).collect();
        let mut digest = json!({ "of": hashed.of, "digest": hex_word(&hashed.digest), "words": words });
        if let Some(salt) = drawn {
            let option = if hashed.of == "inputs" { "--salt" } else { "--output-salt" };
            let _ = writeln!(
                text,
                "salt, drawn now   {} (keep it secret, and give it to `hallmark prove` as {option})",
                hex_word(&salt.0)
            );
            digest["salt"] = json!(hex_word(&salt.0));
        }
        json.push(digest);
    }
    Ok(Report::new(text.trim_end(), json!({ "model_id": project.verifying_key().id(), "digests": json })))
}
