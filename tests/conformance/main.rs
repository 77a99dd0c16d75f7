//! The operator tests that the `onnx` package ships. Every one is imported and run by the float graph and by the integer
//! model: it passes, or it is refused with a reason, and nothing else. `make conformance` makes the cases (`cases.py`) and
//! runs this; `docs/operators.md` must say what it finds, and `make operators` writes it anew.
//!
//! With `HALLMARK_CASES=resize` only the tests whose names hold that word are run, and what becomes of each is printed.

mod case;
mod judge;
mod table;

use std::{env, fs, path::Path};

use case::Case;
use judge::{Verdict, judge};
use rayon::prelude::*;

const PAGE: &str = "docs/operators.md";

#[test]
#[ignore = "`make conformance` makes the cases and runs it"]
fn operator_tests_pass_or_are_refused() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut cases = Case::read_all(&root.join("cache/conformance/cases"));
    let word = env::var("HALLMARK_CASES").ok();
    cases.retain(|case| word.as_ref().is_none_or(|word| case.name.contains(word)));
    let verdicts: Vec<(&Case, Verdict)> = cases.par_iter().map(|case| (case, judge(case))).collect();
    if word.is_some() {
        verdicts.iter().for_each(|(case, verdict)| println!("{}: {verdict:#?}", case.name));
    }
    let wrong: Vec<String> = verdicts.iter().flat_map(|(case, verdict)| verdict.wrong(&case.name)).collect();
    assert!(wrong.is_empty(), "{} results are wrong:\n{}", wrong.len(), wrong.join("\n"));
    if word.is_some() {
        return;
    }

    let page = root.join(PAGE);
    let old = fs::read_to_string(&page).unwrap();
    let new = table::insert(&old, &verdicts);
    if env::var_os("HALLMARK_UPDATE_GOLDEN").is_some() {
        fs::write(&page, new).unwrap();
        return;
    }
    assert!(old == new, "{PAGE} does not say what the tests find; run `make operators` and read the difference");
}
