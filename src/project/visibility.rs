//! What a proof says of each input and output: the value, a digest of it with others, or nothing.

use std::collections::HashSet;

use rand_core::{CryptoRng, RngCore};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Project, ProjectError, proof_file::read_word};
use crate::{
    graph::{Digest, IntegerModel, PackedInput, Salt, digest::HashedValue},
    proof::encode::Word,
};

/// Lines of a contract's comment on what a digest is of; there is more in the manifest.
const MAX_LINES: usize = 32;

/// Names of inputs or outputs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Names {
    #[default]
    None,
    /// All that are not named otherwise.
    All,
    /// Those of these names. The name of a tensor stands for all of its elements.
    Only(Vec<String>),
}

/// How inputs and outputs are seen: inputs that are not named are private, outputs public. The names are the new ones, if outputs have
/// new names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Visibility {
    /// Names in place of those in the ONNX file, one for each output in order; or none.
    pub output_names: Vec<String>,
    pub public_inputs: Names,
    pub hashed_inputs: Names,
    pub hashed_outputs: Names,
    pub private_outputs: Names,
}

/// Inputs and outputs that are seen alike.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alike {
    pub inputs: Vec<String>,
    pub outputs: Vec<String>,
}

/// All inputs and outputs, by how they are seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    pub public: Alike,
    pub hashed: Alike,
    pub private: Alike,
}

impl std::fmt::Display for Alike {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let list = |what: &str, names: &[String]| match names {
            [] => None,
            [name] => Some(format!("{what} {name}")),
            [first, .., last] if names.len() > 12 => Some(format!("{} {what}s, {first} to {last}", names.len())),
            names => Some(format!("{what}s {}", names.join(", "))),
        };
        let parts: Vec<_> =
            [list("output", &self.outputs), list("input", &self.inputs)].into_iter().flatten().collect();
        f.write_str(&if parts.is_empty() { "nothing".into() } else { parts.join("; ") })
    }
}

impl Seen {
    /// Of a model, and of the outputs that it has no more.
    fn of(model: &IntegerModel, private_outputs: Vec<String>) -> Self {
        let packed = model.packed_inputs();
        let mut seen = Self { private: Alike { inputs: vec![], outputs: private_outputs }, ..Self::default() };
        let name = |feature: usize| model.features[feature].name.clone();
        seen.public.inputs = packed.iter().map(|packed| name(packed.feature)).collect();
        seen.public.outputs = model.computed_outputs().into_iter().map(|(_, output)| output.name.clone()).collect();
        let mut private = vec![true; model.features.len()];
        packed.iter().for_each(|packed| private[packed.feature] = false);
        for digest in &model.digests {
            match digest {
                Digest::Inputs(features) => {
                    features.iter().for_each(|&feature| private[feature] = false);
                    seen.hashed.inputs = features.iter().map(|&feature| name(feature)).collect();
                }
                Digest::Outputs(outputs) => seen.hashed.outputs = outputs.iter().map(|o| o.name.clone()).collect(),
            }
        }
        seen.private.inputs = (0..private.len()).filter(|&feature| private[feature]).map(name).collect();
        seen
    }

    /// Titles and lists, for a table.
    pub fn rows(&self) -> [(&'static str, String); 3] {
        [("public", &self.public), ("hashed", &self.hashed), ("private", &self.private)]
            .map(|(title, alike)| (title, alike.to_string()))
    }
}

/// Inputs or outputs that names choose from.
struct Known<'a> {
    what: &'static str,
    names: Vec<&'a str>,
}

impl Known<'_> {
    /// The places that both lists name, which have none in common.
    fn choose(&self, lists: [&Names; 2]) -> Result<[Vec<usize>; 2], ProjectError> {
        let known = || self.names.iter().map(ToString::to_string).collect();
        let mut taken = HashSet::new();
        let mut chosen = [vec![], vec![]];
        for (list, chosen) in lists.iter().zip(&mut chosen) {
            let Names::Only(names) = list else { continue };
            for name in names {
                let places: Vec<usize> = match self.names.iter().position(|known| known == name) {
                    Some(place) => vec![place],
                    None => {
                        let element =
                            |known: &str| known.strip_prefix(name.as_str()).is_some_and(|i| i.starts_with('['));
                        (0..self.names.len()).filter(|&place| element(self.names[place])).collect()
                    }
                };
                if places.is_empty() {
                    return Err(ProjectError::NoSuchName { what: self.what, name: name.clone(), known: known() });
                }
                if !places.iter().all(|place| taken.insert(*place)) {
                    return Err(ProjectError::NamedTwice { what: self.what, name: name.clone(), known: known() });
                }
                chosen.extend(places);
            }
        }
        for (list, chosen) in lists.iter().zip(&mut chosen) {
            if **list == Names::All {
                chosen.extend((0..self.names.len()).filter(|place| taken.insert(*place)));
            }
        }
        match lists {
            [Names::All, Names::All] => {
                Err(ProjectError::NamedTwice { what: self.what, name: "all".into(), known: known() })
            }
            _ => Ok(chosen),
        }
    }
}

impl Visibility {
    /// Makes the model's proofs say this much, and says what that is.
    pub(super) fn apply(&self, model: &mut IntegerModel) -> Result<Seen, ProjectError> {
        if !self.output_names.is_empty() {
            let distinct: HashSet<&String> = self.output_names.iter().filter(|name| !name.is_empty()).collect();
            if distinct.len() != model.outputs.len() || self.output_names.len() != model.outputs.len() {
                let known = model.outputs.iter().map(|output| output.name.clone()).collect();
                return Err(ProjectError::OutputNames { given: self.output_names.clone(), known });
            }
            model.outputs.iter_mut().zip(&self.output_names).for_each(|(output, name)| output.name = name.clone());
        }
        let inputs = Known { what: "input", names: model.features.iter().map(|f| f.name.as_str()).collect() };
        let outputs = Known { what: "output", names: model.outputs.iter().map(|o| o.name.as_str()).collect() };
        let of_inputs = inputs.choose([&self.public_inputs, &self.hashed_inputs])?;
        let of_outputs = outputs.choose([&self.hashed_outputs, &self.private_outputs])?;
        let ([public, hashed], [hashed_outputs, private]) = (of_inputs, of_outputs);
        if private.len() == model.outputs.len() && public.is_empty() && hashed.is_empty() {
            return Err(ProjectError::NothingPublic);
        }
        let private_names = private.iter().map(|&place| model.outputs[place].name.clone()).collect();
        if !hashed.is_empty() {
            model.digests.push(Digest::Inputs(hashed));
        }
        if !hashed_outputs.is_empty() {
            let outputs = hashed_outputs.iter().map(|&place| model.outputs[place].clone()).collect();
            model.digests.push(Digest::Outputs(outputs));
        }
        let mut place = 0..;
        let hidden: HashSet<usize> = hashed_outputs.iter().chain(&private).copied().collect();
        model.outputs.retain(|_| place.next().is_some_and(|place| !hidden.contains(&place)));
        if !private.is_empty() {
            model.prune();
        }
        model.publish(&public).map_err(|feature| ProjectError::PublicInputWidth {
            name: model.features.get(feature).map(|feature| feature.name.clone()).unwrap_or_default(),
        })?;
        Ok(Seen::of(model, private_names))
    }
}

/// Per public input its word, and a line: which bits of it, and what they mean.
pub(super) fn packed_notes(model: &IntegerModel) -> Vec<(usize, String)> {
    let line = |packed: PackedInput| {
        let feature = model.features.get(packed.feature)?;
        let PackedInput { public_value, shift, bits, .. } = packed;
        let word = format!("outputs[{public_value}]");
        Some((public_value, field_note(&word, shift, bits, feature.range.lo, &feature.name, feature.scale)))
    };
    model.packed_inputs().into_iter().filter_map(line).collect()
}

fn field_note(word: &str, shift: u32, bits: u32, lo: i128, name: &str, scale: f64) -> String {
    let text = format!("{word}, {bits} bits from bit {shift}, plus {lo}: \"{name}\"");
    if scale == 1.0 { text } else { format!("{text}, over {scale}") }
}

/// Per digest lines that say what it is of.
pub(super) fn digest_notes(model: &IntegerModel) -> Vec<Vec<String>> {
    let notes = |digest: &Digest| {
        let hashed = model.hashed(digest);
        let mut lines = vec![
            format!(
                "of {}: h = salt, then h = poseidon(h, word) for every word, of which there are {}",
                digest.of(),
                hashed.words
            ),
            format!("the last word has {:#034x} from bit 125 on", hashed.header),
        ];
        let note =
            |v: &HashedValue| field_note(&format!("word {}", v.word), v.shift, v.bits, v.range.lo, &v.name, v.scale);
        lines.extend(hashed.values.iter().take(MAX_LINES).map(note));
        let more = hashed.values.len().saturating_sub(MAX_LINES);
        lines.extend((more > 0).then(|| format!("and {more} more, which the manifest lists")));
        lines
    };
    model.digests.iter().map(notes).collect()
}

/// What the digests are of, for the manifest: enough to compute them.
pub(super) fn digests_json(model: &IntegerModel) -> Vec<Value> {
    let json = |digest: &Digest| {
        let hashed = model.hashed(digest);
        let value = |v: &HashedValue| {
            json!({
                "name": v.name,
                "scale": v.scale,
                "plus": v.range.lo.to_string(),
                "place": { "word": v.word, "shift": v.shift, "bits": v.bits },
            })
        };
        json!({
            "of": digest.of(),
            "words": hashed.words,
            "header": format!("{:#034x}", hashed.header),
            "values": hashed.values.iter().map(value).collect::<Vec<_>>(),
        })
    };
    model.digests.iter().map(json).collect()
}

/// The 32 bytes of a salt given as `0x` and 64 hex digits, or as `@` and a file that holds them. `option` is where it was given; the
/// text is in no message.
pub fn parse_salt(option: &'static str, text: &str) -> Result<Salt, ProjectError> {
    let read = |path: &str| {
        let path = std::path::PathBuf::from(path);
        std::fs::read_to_string(&path).map_err(|source| ProjectError::Read { path, source })
    };
    let text = text.strip_prefix('@').map_or_else(|| Ok(text.to_string()), read)?;
    read_word(text.trim()).map(Salt).ok_or(ProjectError::Salt { option })
}

/// A digest and what it was made of.
#[derive(Clone, Debug)]
pub struct Hashed {
    /// `inputs` or `outputs`.
    pub of: &'static str,
    pub digest: Word,
    /// The packed values: as secret as they are.
    pub words: Vec<Word>,
}

impl Project {
    /// What proofs say of inputs and outputs. That there are outputs of which they say nothing is known from the manifest alone.
    pub fn seen(&self) -> Seen {
        let seen = self.manifest().get("visibility").cloned();
        let listed: Option<Seen> = seen.and_then(|seen| serde_json::from_value(seen).ok());
        Seen::of(self.model(), listed.unwrap_or_default().private.outputs)
    }

    /// Salts for this model's digests, from one for its inputs and one for its outputs; there is one where there is a digest.
    pub fn salts(&self, inputs: Option<Salt>, outputs: Option<Salt>) -> Result<Vec<Salt>, ProjectError> {
        let hashes = |of: &str| self.model().digests.iter().any(|digest| digest.of() == of);
        let mut salts = Vec::new();
        for (of, option, salt) in [("inputs", "--salt", inputs), ("outputs", "--output-salt", outputs)] {
            match (hashes(of), salt) {
                (true, Some(salt)) => salts.push(salt),
                (true, None) => return Err(ProjectError::SaltMissing { of, option }),
                (false, Some(_)) => return Err(ProjectError::SaltUnused { of, option }),
                (false, None) => {}
            }
        }
        Ok(salts)
    }

    /// A new salt.
    pub fn random_salt(&self, rng: &mut (impl RngCore + CryptoRng)) -> Salt {
        self.verifying_key().random_salt(rng)
    }

    /// New salts for all of this model's digests, where nobody has to know them.
    pub fn random_salts(&self, rng: &mut (impl RngCore + CryptoRng)) -> Vec<Salt> {
        self.model().digests.iter().map(|_| self.random_salt(rng)).collect()
    }

    /// The digests that a proof for this input (one value per feature, in the model's units) says under these salts.
    pub fn hash(&self, input: &[f64], salts: &[Salt]) -> Result<Vec<Hashed>, ProjectError> {
        let trace = self.model().trace(&self.model().quantise_input(input)?).salted(salts);
        self.verifying_key().hash(self.model(), &trace)
    }
}
