//! What proving will take, before any key is made: seconds, memory, and keys on disk.

use serde::Serialize;

use super::ProjectError;
use crate::{
    circuit::LaidOut,
    graph::IntegerModel,
    proof::{
        Curve, VerifyingKey,
        artifact::OVERHEAD,
        cost::{Work, peak_bytes, proving_key_bytes},
        speed::{Speed, Time},
    },
};

/// What a process takes to begin and to end.
const PROCESS: Time = Time { wall_seconds: 0.01, cpu_seconds: 0.01 };
/// Memory of a process that does nothing: most of it is the program.
const PROCESS_BYTES: u64 = 19 << 20;
/// What an allocator takes from the system for a byte that is in use at the peak.
const RESIDENT: f64 = 1.2;

/// What one run of `hallmark prove` takes on this machine, from its start to its end.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ProverForecast {
    #[serde(flatten)]
    pub time: Time,
    pub peak_bytes: u64,
    /// Files of the keys.
    pub proving_key_bytes: u64,
    pub verifying_key_bytes: u64,
}

impl ProverForecast {
    /// For a key, whose commitments do not matter. Takes about as long as laying the model out, and some tenths of a second.
    pub(super) fn new<C: Curve>(vk: &VerifyingKey<C>, model: &IntegerModel) -> Result<Self, ProjectError> {
        let protocol = vk.protocol();
        let (laying_out, circuit) = Time::of(|| LaidOut::<C::Scalar>::for_keygen(vk.layout(), model));
        let circuit = circuit?;
        // opening the folder validates the model
        let (validating, _) = Time::of(|| model.validate());
        // it is laid out for the verifying key, for the proving key, and with the witness
        let model_time = laying_out * 3.0 + validating;
        let time = PROCESS + model_time + Speed::measure(protocol).time::<C>(&Work::new(protocol));
        Ok(Self {
            time,
            peak_bytes: resident_bytes(vk, &circuit),
            proving_key_bytes: proving_key_bytes(protocol) + OVERHEAD,
            verifying_key_bytes: vk.to_bytes()?.len() as u64 + OVERHEAD,
        })
    }
}

/// Memory of a prover at its peak, as the system accounts it.
pub(super) fn resident_bytes<C: Curve>(vk: &VerifyingKey<C>, circuit: &LaidOut<C::Scalar>) -> u64 {
    let bytes = peak_bytes(vk.protocol(), circuit.rows(), circuit.copies());
    PROCESS_BYTES + (bytes as f64 * RESIDENT) as u64
}
