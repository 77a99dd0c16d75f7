//! A folder that `compile` wrote, opened again.

use std::path::{Path, PathBuf};

use rand_core::{CryptoRng, RngCore};
use serde_json::{Map, Value};

use super::{AnyProvingKey, AnyVerifyingKey, ProjectError, ProofFile, compile::paths};
use crate::{
    fsutil::{MANIFEST_FILE, verify_folder},
    graph::{Digest, IntegerModel, MAX_ELEMENTS, Salt},
    proof::{
        Proof,
        artifact::{ArtifactKind, read_artifact},
    },
};

/// An artifact folder whose files have been checked against its manifest.
#[derive(Debug)]
pub struct Project {
    folder: PathBuf,
    manifest: Map<String, Value>,
    model: IntegerModel,
    verifying_key: AnyVerifyingKey,
}

impl Project {
    /// Open a folder: every file has the digest that the manifest gives it, and they belong together.
    pub fn open(folder: &Path) -> Result<Self, ProjectError> {
        let manifest = verify_folder(folder)?;
        let mismatch = |path: &Path, detail: String| ProjectError::Mismatch { path: path.into(), detail };
        let path = listed(folder, &manifest, paths::CIRCUIT)?;
        let circuit = read_artifact(&path, ArtifactKind::Circuit)?;
        let (model, rest): (IntegerModel, _) = postcard::take_from_bytes(&circuit)
            .map_err(|error| mismatch(&path, format!("it is not a model: {error}")))?;
        if !rest.is_empty() {
            return Err(mismatch(&path, "bytes follow the model's end".into()));
        }
        check_size(&model).and_then(|()| model.validate()).map_err(|detail| mismatch(&path, detail))?;

        // the circuit follows from the model: the key can claim nothing about it
        let path = listed(folder, &manifest, paths::VERIFYING_KEY)?;
        let verifying_key = AnyVerifyingKey::from_bytes(&read_artifact(&path, ArtifactKind::VerifyingKey)?, &model)?;
        let id = manifest.get("model").and_then(|model| model.get("id")).and_then(Value::as_str);
        if id != Some(&verifying_key.id()) {
            let detail =
                format!("its digest is {}, the manifest's model is {}", verifying_key.id(), id.unwrap_or("missing"));
            return Err(mismatch(&path, detail));
        }
        Ok(Self { folder: folder.into(), manifest, model, verifying_key })
    }

    /// The manifest.
    pub fn manifest(&self) -> &Map<String, Value> {
        &self.manifest
    }

    /// Paths of the files that `compile` wrote.
    pub fn files(&self) -> Vec<PathBuf> {
        let files = self.manifest.get("files").and_then(Value::as_object).into_iter().flat_map(Map::keys);
        files.map(String::as_str).chain([MANIFEST_FILE]).map(|relative| self.folder.join(relative)).collect()
    }

    /// The folder.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The path of a file that the manifest lists.
    pub(super) fn listed(&self, relative: &str) -> Result<PathBuf, ProjectError> {
        listed(&self.folder, &self.manifest, relative)
    }

    /// The integer model.
    pub fn model(&self) -> &IntegerModel {
        &self.model
    }

    /// The verifying key.
    pub fn verifying_key(&self) -> &AnyVerifyingKey {
        &self.verifying_key
    }

    /// The contract: its name and its source.
    pub fn contract(&self) -> Result<(String, String), ProjectError> {
        self.source(self.contract_name("contract").unwrap_or_default())
    }

    /// The contract for many proofs in one call: its name and its source.
    pub fn batch_contract(&self) -> Result<(String, String), ProjectError> {
        self.source(self.contract_name("batch_contract").ok_or(ProjectError::NoBatchContract)?)
    }

    fn contract_name(&self, entry: &str) -> Option<String> {
        Some(self.manifest.get(entry)?.get("name")?.as_str()?.to_string())
    }

    fn source(&self, name: String) -> Result<(String, String), ProjectError> {
        let path = listed(&self.folder, &self.manifest, &paths::contract(&name))?;
        let source = std::fs::read_to_string(&path).map_err(|source| ProjectError::Read { path, source })?;
        Ok((name, source))
    }

    /// Read the proving key.
    pub fn proving_key(&self) -> Result<AnyProvingKey, ProjectError> {
        let path = listed(&self.folder, &self.manifest, paths::PROVING_KEY)?;
        AnyProvingKey::read(&path, self.verifying_key.clone(), &self.model)
    }

    /// Quantise an input (one value per feature, in the model's units), check it against the domain, and prove.
    pub fn prove(
        &self,
        pk: &AnyProvingKey,
        input: &[f64],
        context: [u8; 32],
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Result<Proof, ProjectError> {
        self.prove_salted(pk, input, &[], context, rng)
    }

    /// The same for a model with digests, made with these salts: see [`Project::salts`].
    pub fn prove_salted(
        &self,
        pk: &AnyProvingKey,
        input: &[f64],
        salts: &[Salt],
        context: [u8; 32],
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Result<Proof, ProjectError> {
        let input = self.model.quantise_input(input)?;
        pk.prove_salted(&self.model, &input, salts, context, rng)
    }

    /// Describe a proof for its file.
    pub fn proof_file(&self, proof: &Proof) -> ProofFile {
        ProofFile::new(proof, &self.model, self.verifying_key.id())
    }

    /// Read a proof of this project's model. It is not verified.
    pub fn read_proof(&self, path: &Path) -> Result<Proof, ProjectError> {
        let (file, proof) = ProofFile::read(path)?;
        let expected = self.verifying_key.id();
        if file.model_id != expected {
            return Err(ProjectError::OtherModel { path: path.into(), expected, found: file.model_id });
        }
        Ok(proof)
    }

    /// Verify a proof natively.
    pub fn verify(&self, proof: &Proof) -> Result<(), ProjectError> {
        self.verifying_key.verify(proof)
    }
}

/// The path of a file whose digest the manifest gives, and which has been checked by it.
fn listed(folder: &Path, manifest: &Map<String, Value>, relative: &str) -> Result<PathBuf, ProjectError> {
    match manifest.get("files").and_then(|files| files.get(relative)) {
        Some(_) => Ok(folder.join(relative)),
        None => Err(ProjectError::Mismatch {
            path: folder.join(MANIFEST_FILE),
            detail: format!("it does not list {relative}"),
        }),
    }
}

/// A file of a few bytes can name one tensor many times; nothing of that size is allocated before this.
fn check_size(model: &IntegerModel) -> Result<(), String> {
    let len = |id: usize| if id <= model.nodes.len() { model.tensor_len(id) } else { 0 };
    let fits = |ids: &[usize]| ids.iter().fold(0usize, |sum, &id| sum.saturating_add(len(id))) <= MAX_ELEMENTS;
    if let Some(node) = model.nodes.iter().find(|node| !fits(&node.inputs)) {
        return Err(format!("node \"{}\" reads more than {MAX_ELEMENTS} elements", node.name));
    }
    let hashed = model.digests.iter().flat_map(|digest| match digest {
        Digest::Outputs(outputs) => outputs.as_slice(),
        Digest::Inputs(_) => &[],
    });
    let outputs: Vec<usize> = model.outputs.iter().chain(hashed).map(|output| output.tensor).collect();
    if fits(&outputs) { Ok(()) } else { Err(format!("its outputs have more than {MAX_ELEMENTS} elements")) }
}
