//! Keys on either curve.

use std::{
    io::{self, Write},
    path::Path,
};

use ff::Field;
use rand_core::{CryptoRng, RngCore};

use super::{Columns, Hashed, ProjectError, ProverForecast};
use crate::{
    circuit::{LaidOut, Layout},
    graph::{IntegerModel, Interval, Salt, Trace},
    plan::Plan,
    proof::{
        Bls12381, Bn254, Curve, CurveId, Proof, ProveError, ProvingKey, Srs, SrsOrigin, VerifyingKey,
        artifact::{ArtifactKind, ArtifactReader, ArtifactWriter},
        cost::Work,
        curve::{Word, scalar_word},
        keys::peek,
        prove_salted,
        prover::check_salts,
        verify,
    },
    solidity::{ContractInfo, batch_source, verifier_source},
    stages::{self, Stage},
};

/// A verifying key on either curve.
#[derive(Clone, Debug)]
pub enum AnyVerifyingKey {
    Bn254(VerifyingKey<Bn254>),
    Bls12381(VerifyingKey<Bls12381>),
}

/// A proving key on either curve.
#[derive(Debug)]
pub enum AnyProvingKey {
    Bn254(ProvingKey<Bn254>),
    Bls12381(ProvingKey<Bls12381>),
}

/// A setup on either curve.
#[derive(Clone, Debug)]
pub enum AnySrs {
    Bn254(Srs<Bn254>),
    Bls12381(Srs<Bls12381>),
}

/// Do the same on either curve.
macro_rules! on_curve {
    ($any:ident, $value:expr, $key:ident => $body:expr) => {
        match $value {
            $any::Bn254($key) => $body,
            $any::Bls12381($key) => $body,
        }
    };
}

impl AnySrs {
    /// Where the setup comes from.
    pub fn origin(&self) -> &SrsOrigin {
        on_curve!(AnySrs, self, srs => srs.origin())
    }

    /// Names the secret.
    pub fn digest(&self) -> [u8; 32] {
        on_curve!(AnySrs, self, srs => srs.digest())
    }
}

impl AnyVerifyingKey {
    /// Read the key of a model from its bytes; also returns the `k` and the rows in use of the model's circuit.
    pub fn from_bytes(bytes: &[u8], model: &IntegerModel) -> Result<Self, ProjectError> {
        let (curve, layout) = peek(bytes)?;
        Ok(match curve {
            CurveId::Bn254 => {
                Self::Bn254(VerifyingKey::from_bytes(bytes, model, &LaidOut::for_keygen(layout, model)?)?)
            }
            CurveId::Bls12381 => {
                Self::Bls12381(VerifyingKey::from_bytes(bytes, model, &LaidOut::for_keygen(layout, model)?)?)
            }
        })
    }

    /// The key of a model in a plan, but with made-up commitments: see [`VerifyingKey::outline`].
    pub fn outline(model: &IntegerModel, plan: &Plan, setup: SrsOrigin) -> Result<Self, ProjectError> {
        let pieces = plan.quotient_pieces;
        Ok(match plan.curve {
            CurveId::Bn254 => {
                Self::Bn254(VerifyingKey::outline(model, &LaidOut::for_keygen(plan.layout, model)?, pieces, setup)?)
            }
            CurveId::Bls12381 => {
                Self::Bls12381(VerifyingKey::outline(model, &LaidOut::for_keygen(plan.layout, model)?, pieces, setup)?)
            }
        })
    }

    /// What proving will take on this machine, and what the keys take on its disk.
    pub fn forecast(&self, model: &IntegerModel) -> Result<ProverForecast, ProjectError> {
        on_curve!(AnyVerifyingKey, self, key => ProverForecast::new(key, model))
    }

    /// The curve.
    pub fn curve(&self) -> CurveId {
        match self {
            Self::Bn254(_) => CurveId::Bn254,
            Self::Bls12381(_) => CurveId::Bls12381,
        }
    }

    /// The layout of the circuit.
    pub fn layout(&self) -> Layout {
        on_curve!(AnyVerifyingKey, self, key => key.layout())
    }

    /// In hex: the name of the approved model.
    pub fn id(&self) -> String {
        hex::encode(self.id_word())
    }

    /// The name of the approved model.
    pub fn id_word(&self) -> Word {
        on_curve!(AnyVerifyingKey, self, key => key.protocol().model_id())
    }

    /// In hex: what the contract says that it verifies, the model's name or, with committed weights, the architecture's.
    pub fn contract_id(&self) -> String {
        self.architecture().map_or_else(|| self.id(), |(architecture, _)| architecture)
    }

    /// In hex, with committed weights: the name of the architecture, which is the verifier's, and the commitment to the weights.
    pub fn architecture(&self) -> Option<(String, Vec<Word>)> {
        on_curve!(AnyVerifyingKey, self, key => {
            let protocol = key.protocol();
            protocol.weights.map(|_| (hex::encode(protocol.digest()), protocol.weights_words()))
        })
    }

    /// Where the setup comes from.
    pub fn setup(&self) -> &SrsOrigin {
        on_curve!(AnyVerifyingKey, self, key => key.setup())
    }

    /// Proved interval of every public value.
    pub fn public_ranges(&self) -> &[Interval] {
        on_curve!(AnyVerifyingKey, self, key => key.public_ranges())
    }

    /// How many digests follow the public integers.
    pub fn digests(&self) -> usize {
        on_curve!(AnyVerifyingKey, self, key => key.digests())
    }

    /// A new salt: an element of the curve's scalar field.
    pub fn random_salt(&self, rng: &mut (impl RngCore + CryptoRng)) -> Salt {
        fn random<C: Curve>(_: &VerifyingKey<C>, rng: &mut (impl RngCore + CryptoRng)) -> Salt {
            Salt(scalar_word(&C::Scalar::random(rng)))
        }
        on_curve!(AnyVerifyingKey, self, key => random(key, rng))
    }

    /// The digests of a trace of the model, with what they are made of.
    pub fn hash(&self, model: &IntegerModel, trace: &Trace) -> Result<Vec<Hashed>, ProjectError> {
        fn hash<C: Curve>(_: &VerifyingKey<C>, model: &IntegerModel, trace: &Trace) -> Result<Vec<Hashed>, ProveError> {
            check_salts::<C>(model, &trace.salts)?;
            let word = |element: &C::Scalar| scalar_word(element);
            let digests = model.digests.iter().zip(model.digests_of::<C::Scalar>(trace));
            let hashed = digests.map(|(of, digest)| Hashed {
                of: of.of(),
                digest: word(&digest),
                words: model.words_of::<C::Scalar>(of, trace).iter().map(word).collect(),
            });
            Ok(hashed.collect())
        }
        Ok(on_curve!(AnyVerifyingKey, self, key => hash(key, model, trace))?)
    }

    /// The domain has `2^k` rows.
    pub fn k(&self) -> u32 {
        on_curve!(AnyVerifyingKey, self, key => key.protocol().k)
    }

    /// Columns by kind.
    pub fn columns(&self) -> Columns {
        on_curve!(AnyVerifyingKey, self, key => {
            let protocol = key.protocol();
            let permutation = usize::from(protocol.permutation.is_some());
            Columns { advice: protocol.phases, fixed: protocol.fixed.len(), permutation }
        })
    }

    /// Commitments to the quotient.
    pub fn quotient_pieces(&self) -> usize {
        on_curve!(AnyVerifyingKey, self, key => key.protocol().quotient_pieces)
    }

    /// Words of 32 bytes in a proof.
    pub fn proof_words(&self) -> usize {
        on_curve!(AnyVerifyingKey, self, key => key.protocol().proof_words())
    }

    /// Words of the commitment to the weights in a statement; none if they are fixed.
    pub fn weights_words(&self) -> usize {
        on_curve!(AnyVerifyingKey, self, key => key.protocol().weights_words().len())
    }

    /// Bytes of a call of `verify`.
    pub fn calldata_bytes(&self) -> usize {
        4 + 32 * (1 + self.weights_words() + self.public_ranges().len() + self.digests() + self.proof_words())
    }

    /// The key's bytes, the same on every machine.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ProjectError> {
        Ok(on_curve!(AnyVerifyingKey, self, key => key.to_bytes())?)
    }

    /// The verifier contract.
    pub fn contract(&self, info: &ContractInfo) -> Result<String, ProjectError> {
        Ok(on_curve!(AnyVerifyingKey, self, key => verifier_source(key.protocol(), key.public_ranges(), info))?)
    }

    /// The contract for many proofs in one call; `None` on BLS12-381.
    pub fn batch_contract(&self, info: &ContractInfo) -> Result<Option<String>, ProjectError> {
        Ok(on_curve!(AnyVerifyingKey, self, key => batch_source(key.protocol(), key.public_ranges(), info))?)
    }

    /// Verify a proof natively.
    pub fn verify(&self, proof: &Proof) -> Result<(), ProjectError> {
        Ok(on_curve!(AnyVerifyingKey, self, key => verify(key, proof))?)
    }
}

impl AnyProvingKey {
    /// Generate the keys of a model in a layout.
    pub fn generate(model: &IntegerModel, layout: Layout, srs: AnySrs) -> Result<Self, ProjectError> {
        fn generate<C: Curve>(
            model: &IntegerModel,
            layout: Layout,
            srs: Srs<C>,
        ) -> Result<ProvingKey<C>, ProjectError> {
            let circuit = LaidOut::for_keygen(layout, model)?;
            stages::expect(|| {
                let cs = circuit.constraint_system();
                let columns = cs.num_fixed_columns() + cs.permutation().get_columns().len();
                vec![(Stage::Commitments, 1.0); columns]
            });
            Ok(ProvingKey::generate(model, &circuit, srs)?)
        }
        Ok(match srs {
            AnySrs::Bn254(srs) => Self::Bn254(generate(model, layout, srs)?),
            AnySrs::Bls12381(srs) => Self::Bls12381(generate(model, layout, srs)?),
        })
    }

    /// Read a key from its file, with the verifying key and the model that it was generated for.
    pub fn read(path: &Path, vk: AnyVerifyingKey, model: &IntegerModel) -> Result<Self, ProjectError> {
        fn read<C: Curve>(
            path: &Path,
            vk: VerifyingKey<C>,
            model: &IntegerModel,
        ) -> Result<ProvingKey<C>, ProjectError> {
            let mut file = ArtifactReader::open(path, ArtifactKind::ProvingKey)?;
            let circuit = LaidOut::for_keygen_decided(vk.decisions(), model)?;
            let key = ProvingKey::read(file.len(), vk, &circuit, |buffer| Ok(file.read_exact(buffer)?));
            // damage to the file is said before what it did to the key
            match key {
                Err(error @ ProjectError::Artifact(_)) => return Err(error),
                _ => file.finish()?,
            }
            key
        }
        Ok(match vk {
            AnyVerifyingKey::Bn254(vk) => Self::Bn254(read(path, vk, model)?),
            AnyVerifyingKey::Bls12381(vk) => Self::Bls12381(read(path, vk, model)?),
        })
    }

    /// The verifying key.
    pub fn verifying_key(&self) -> AnyVerifyingKey {
        match self {
            Self::Bn254(key) => AnyVerifyingKey::Bn254(key.verifying_key().clone()),
            Self::Bls12381(key) => AnyVerifyingKey::Bls12381(key.verifying_key().clone()),
        }
    }

    /// The length of the key in bytes.
    pub fn bytes_len(&self) -> usize {
        on_curve!(AnyProvingKey, self, key => key.bytes_len())
    }

    /// Write the key's file.
    pub fn write(&self, file: &mut dyn Write) -> io::Result<()> {
        let mut file = ArtifactWriter::new(file, ArtifactKind::ProvingKey, self.bytes_len() as u64)?;
        on_curve!(AnyProvingKey, self, key => key.write(|part| file.write(part)))?;
        file.finish()?;
        Ok(())
    }

    /// Prove that the model gives its outputs for `input`, one integer per feature. For models that hash nothing.
    pub fn prove(
        &self,
        model: &IntegerModel,
        input: &[i128],
        context: [u8; 32],
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Result<Proof, ProjectError> {
        self.prove_salted(model, input, &[], context, rng)
    }

    /// The same for a model with digests, made with these salts, in the order of the model's digests.
    pub fn prove_salted(
        &self,
        model: &IntegerModel,
        input: &[i128],
        salts: &[Salt],
        context: [u8; 32],
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Result<Proof, ProjectError> {
        Ok(on_curve!(AnyProvingKey, self, key => {
            let protocol = key.verifying_key().protocol();
            stages::expect(|| Work::new(protocol).milestones(protocol));
            prove_salted(key, model, input, salts, context, rng)
        })?)
    }
}
