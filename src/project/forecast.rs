//! What proving will take, before any key is made: seconds, memory, and keys on disk.

use serde::Serialize;

use super::ProjectError;
use crate::{
    circuit::LaidOut,
    graph::IntegerModel,
    plan::resident_bytes,
    proof::{
        Curve, VerifyingKey,
        artifact::OVERHEAD,
        cost::{Work, proving_key_bytes},
        speed::{Speed, Time},
    },
};

/// What a process takes to begin and to end.
const PROCESS: Time = Time { wall_seconds: 0.008, cpu_seconds: 0.008 };

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
        let (deciding, circuit) = Time::of(|| LaidOut::<C::Scalar>::for_keygen(vk.layout(), model));
        let circuit = circuit?;
        let (laying_out, _) = Time::of(|| LaidOut::<C::Scalar>::for_keygen_decided(vk.decisions(), model));
        // opening the folder validates the model
        let (validating, _) = Time::of(|| model.validate());
        // it is laid out for the verifying key, then for the proving key, and with the witness
        let model_time = deciding + laying_out * 2.0 + validating;
        let time = PROCESS + model_time + Speed::measure(protocol).time::<C>(&Work::new(protocol));
        Ok(Self {
            time,
            peak_bytes: resident_bytes::<C>(vk.protocol(), model, &circuit),
            proving_key_bytes: proving_key_bytes(protocol) + OVERHEAD,
            verifying_key_bytes: vk.to_bytes()?.len() as u64 + OVERHEAD,
        })
    }
}
