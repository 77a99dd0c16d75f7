//! Whether the code at an address is a contract's, and where they differ, in the words of the contract's source.

use std::collections::BTreeMap;

use alloy::primitives::U256;
use serde::Serialize;

/// How a contract's code relates to what was compiled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Comparison {
    /// Byte for byte the same.
    Same,
    /// The same but for what solc appends about the source; it is not executed.
    SameButMetadata {
        /// The compiler that the appendix names.
        #[serde(skip_serializing_if = "Option::is_none")]
        solc: Option<String>,
    },
    /// There is no code.
    NoCode,
    /// The same instructions with other constants.
    OtherConstants { constants: Vec<ConstantChange>, unnamed: usize },
    /// Other instructions. The constants of the source that the code does not have; none, if it may be another compiler's output.
    OtherInstructions { missing: Vec<Constant> },
}

/// A constant of the source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Constant {
    pub name: String,
    pub value: U256,
}

/// A constant of the source in whose place the code has another value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConstantChange {
    /// Its name; several, where the source has several with that value.
    pub names: Vec<String>,
    pub expected: U256,
    pub found: U256,
}

impl Comparison {
    /// Whether the code does what the source says.
    pub fn is_match(&self) -> bool {
        matches!(self, Self::Same | Self::SameButMetadata { .. })
    }
}

/// Compares `found`, the code on a chain, with `expected`, which was compiled from `source` without metadata.
pub fn compare(source: &str, expected: &[u8], found: &[u8]) -> Comparison {
    if found.is_empty() {
        return Comparison::NoCode;
    }
    if found == expected {
        return Comparison::Same;
    }
    if let Some((code, solc)) = split_metadata(found)
        && code == expected
    {
        return Comparison::SameButMetadata { solc };
    }
    let names = names(source);
    let (ours, theirs) = (instructions(expected), instructions(found));
    let same_shape = ours.len() == theirs.len() && ours.iter().zip(&theirs).all(|(a, b)| a.same_kind(b));
    if !same_shape {
        let has = |value: &U256| theirs.iter().any(|instruction| instruction.value == Some(*value));
        let had = |value: &U256| ours.iter().any(|instruction| instruction.value == Some(*value));
        let missing = names.iter().filter(|(value, _)| had(value) && !has(value));
        let missing =
            missing.flat_map(|(value, names)| names.iter().map(|name| Constant { name: name.clone(), value: *value }));
        return Comparison::OtherInstructions { missing: missing.collect() };
    }
    let mut constants: Vec<ConstantChange> = Vec::new();
    let mut unnamed = 0;
    for (ours, theirs) in ours.iter().zip(&theirs) {
        let (Some(expected), Some(found)) = (ours.value, theirs.value) else { continue };
        if expected == found {
            continue;
        }
        match names.get(&expected) {
            Some(names) => {
                let change = ConstantChange { names: names.clone(), expected, found };
                if !constants.contains(&change) {
                    constants.push(change);
                }
            }
            None => unnamed += 1,
        }
    }
    // Values pushed at other widths are another compiler's doing.
    match constants.is_empty() && unnamed == 0 {
        true => Comparison::OtherInstructions { missing: Vec::new() },
        false => Comparison::OtherConstants { constants, unnamed },
    }
}

/// The code before solc's appendix, and the compiler that the appendix names. The last two bytes are the appendix's length; it is a CBOR map.
fn split_metadata(code: &[u8]) -> Option<(&[u8], Option<String>)> {
    let (rest, length) = code.split_last_chunk::<2>()?;
    let length = usize::from(u16::from_be_bytes(*length));
    let (code, map) = rest.split_at_checked(rest.len().checked_sub(length)?)?;
    // a map of one to four entries, whose first key is a text
    if !matches!(map.first()?, 0xa1..=0xa4) || !matches!(map.get(1)?, 0x60..=0x77) {
        return None;
    }
    let key = [0x64, b's', b'o', b'l', b'c', 0x43];
    let at = map.windows(key.len()).position(|window| window == key).map(|at| at + key.len());
    let solc = at.and_then(|at| map.get(at..at + 3)).map(|v| format!("{}.{}.{}", v[0], v[1], v[2]));
    // solc sets an invalid instruction before the appendix
    Some((code.strip_suffix(&[0xfe]).unwrap_or(code), solc))
}

/// An instruction: its opcode, pushes of all widths being alike, and the value of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Instruction {
    opcode: u8,
    value: Option<U256>,
}

impl Instruction {
    fn same_kind(&self, other: &Self) -> bool {
        self.opcode == other.opcode
    }
}

const PUSH0: u8 = 0x5f;
const PUSH32: u8 = 0x7f;

fn instructions(code: &[u8]) -> Vec<Instruction> {
    let mut instructions = Vec::new();
    let mut at = 0;
    while let Some(&opcode) = code.get(at) {
        at += 1;
        if !(PUSH0..=PUSH32).contains(&opcode) {
            instructions.push(Instruction { opcode, value: None });
            continue;
        }
        let end = (at + usize::from(opcode - PUSH0)).min(code.len());
        let value = U256::from_be_slice(code.get(at..end).unwrap_or_default());
        instructions.push(Instruction { opcode: PUSH0, value: Some(value) });
        at = end;
    }
    instructions
}

/// The constants of a source that are numbers, by value.
fn names(source: &str) -> BTreeMap<U256, Vec<String>> {
    let mut names: BTreeMap<U256, Vec<String>> = BTreeMap::new();
    for line in source.lines().map(str::trim) {
        let Some((left, right)) = line.split_once(" = ").filter(|(left, _)| left.contains(" constant ")) else {
            continue;
        };
        let Some(name) = left.split_whitespace().last() else { continue };
        let text = right.split([';', ' ']).next().unwrap_or_default().replace('_', "");
        let value = match text.strip_prefix('-') {
            Some(text) => text.parse::<U256>().map(U256::wrapping_neg),
            None => text.parse::<U256>(),
        };
        if let Ok(value) = value {
            names.entry(value).or_default().push(name.into());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "
    bytes32 public constant MODEL_ID = 0x000000000000000000000000000000000000000000000000000000000000abcd;
    int256 private constant LOW = -2; // comment
    uint256 private constant GAS = 1_500; // ten times
    uint256 private constant AGAIN = 0xabcd;
    uint256 notAConstant = 7;
    ";

    fn push(bytes: &[u8]) -> Vec<u8> {
        [&[PUSH0 + bytes.len() as u8], bytes].concat()
    }

    fn code(model: &[u8], gas: &[u8], offset: &[u8]) -> Vec<u8> {
        [push(model), push(gas), push(offset), vec![0x01, 0x00]].concat()
    }

    #[test]
    fn constants_of_a_source_have_names() {
        let names = names(SOURCE);
        assert_eq!(names[&U256::from(0xabcd)], ["MODEL_ID", "AGAIN"]);
        assert_eq!(names[&U256::MAX.wrapping_sub(U256::from(1))], ["LOW"]);
        assert_eq!(names[&U256::from(1500)], ["GAS"]);
        assert_eq!(names.len(), 3);
    }

    #[test]
    fn the_same_code_matches_with_and_without_metadata() {
        let ours = code(&[0xab, 0xcd], &[5, 220], &[9]);
        assert_eq!(compare(SOURCE, &ours, &ours), Comparison::Same);
        let map =
            [&[0xa2, 0x64, b'i', b'p', b'f', b's', 0x41, 7, 0x64, b's', b'o', b'l', b'c', 0x43, 0, 8, 20][..]].concat();
        let theirs = [&ours[..], &[0xfe], &map, &(map.len() as u16).to_be_bytes()].concat();
        let compared = compare(SOURCE, &ours, &theirs);
        assert_eq!(compared, Comparison::SameButMetadata { solc: Some("0.8.20".into()) });
        assert!(compared.is_match());
        // what is executed may not differ, and an appendix is no hiding place
        let other =
            [&code(&[0xab, 0xce], &[5, 220], &[9])[..], &[0xfe], &map, &(map.len() as u16).to_be_bytes()].concat();
        assert!(!compare(SOURCE, &ours, &other).is_match());
    }

    #[test]
    fn no_code_is_its_own_verdict() {
        assert_eq!(compare(SOURCE, &[1], &[]), Comparison::NoCode);
    }

    #[test]
    fn other_constants_are_named() {
        let ours = code(&[0xab, 0xcd], &[5, 220], &[9]);
        let theirs = code(&[0xab, 0xce], &[5, 220], &[1, 9]);
        let Comparison::OtherConstants { constants, unnamed } = compare(SOURCE, &ours, &theirs) else { panic!() };
        assert_eq!(unnamed, 1);
        let names = vec!["MODEL_ID".to_string(), "AGAIN".to_string()];
        assert_eq!(constants, [ConstantChange { names, expected: U256::from(0xabcd), found: U256::from(0xabce) }]);
    }

    #[test]
    fn other_instructions_tell_what_is_missing() {
        let ours = code(&[0xab, 0xcd], &[5, 220], &[9]);
        let theirs = [code(&[0xab, 0xcd], &[5, 221], &[9]), vec![0x02]].concat();
        let Comparison::OtherInstructions { missing } = compare(SOURCE, &ours, &theirs) else { panic!() };
        assert_eq!(missing, [Constant { name: "GAS".into(), value: U256::from(1500) }]);
        let wider = code(&[0xab, 0xcd], &[5, 220], &[0, 9]);
        assert_eq!(compare(SOURCE, &ours, &wider), Comparison::OtherInstructions { missing: vec![] });
    }

    #[test]
    fn code_that_is_cut_short_is_read_to_its_end() {
        assert_eq!(instructions(&[PUSH32, 1]), [Instruction { opcode: PUSH0, value: Some(U256::from(1)) }]);
        assert!(instructions(&[]).is_empty());
        assert_eq!(split_metadata(&[0xff, 0xff]), None);
        assert_eq!(split_metadata(&[1]), None);
    }
}
