//! Verify a proof natively: the same checks as the contract's, from the same description.

use group::{Curve as _, prime::PrimeCurveAffine};
use thiserror::Error;

use super::{
    Proof,
    curve::{Curve, pairings_cancel, read_scalar},
    equations::Evaluations,
    keys::VerifyingKey,
    msm::msm,
    protocol::Polynomial,
    transcript::ProofWords,
};
use crate::graph::Interval;

/// A proof does not verify.
#[derive(Debug, PartialEq, Error)]
pub enum VerifyError {
    #[error("{found} public values, the verifying key has {expected}")]
    PublicValueCount { expected: usize, found: usize },
    #[error("public value {index} is {value}, outside of its proved range [{}, {}]", .range.lo, .range.hi)]
    PublicValueRange { index: usize, value: i128, range: Interval },
    #[error("the proof is of a model with other weights than the verifying key's")]
    OtherWeights,
    #[error("{found} digests, the verifying key has {expected}")]
    DigestCount { expected: usize, found: usize },
    #[error("digest {index} is not below the order of the curve's group")]
    DigestRange { index: usize },
    #[error("the proof has {found} words, the verifying key wants {expected}")]
    Length { expected: usize, found: usize },
    #[error("the proof is not valid for this verifying key, public values and context: {detail}")]
    Invalid { detail: &'static str },
}

/// Verify a proof. Accepts exactly what the contract accepts; of a contract that serves an architecture, with the key's weights.
pub fn verify<C: Curve>(vk: &VerifyingKey<C>, proof: &Proof) -> Result<(), VerifyError> {
    let (protocol, values) = (vk.protocol(), &proof.statement.public_values);
    let ranges = vk.public_ranges();
    if proof.statement.weights != protocol.weights_words() {
        return Err(VerifyError::OtherWeights);
    }
    if values.len() != ranges.len() {
        return Err(VerifyError::PublicValueCount { expected: ranges.len(), found: values.len() });
    }
    for (index, (&value, &range)) in values.iter().zip(ranges).enumerate() {
        if !range.contains(value) {
            return Err(VerifyError::PublicValueRange { index, value, range });
        }
    }
    let digests = &proof.statement.digests;
    if digests.len() != vk.digests() {
        return Err(VerifyError::DigestCount { expected: vk.digests(), found: digests.len() });
    }
    let aliased = digests.iter().position(|digest| read_scalar::<C::Scalar>(digest).is_none());
    let public_values = proof.statement.elements::<C::Scalar>();
    let public_values = public_values.ok_or(VerifyError::DigestRange { index: aliased.unwrap_or(0) })?;
    let (expected, found) = (protocol.proof_words(), proof.words.len());
    let words = ProofWords::split(protocol, &proof.words).filter(|_| expected == found);
    let words = words.ok_or(VerifyError::Length { expected, found })?;
    let invalid = |detail| VerifyError::Invalid { detail };

    let scalars: Option<Vec<C::Scalar>> = words.evaluations.iter().map(read_scalar).collect();
    let scalars = scalars.ok_or(invalid("a scalar is not below the modulus"))?;
    let points = |words: &[_]| words.chunks(C::POINT_WORDS).map(C::read_point).collect::<Option<Vec<_>>>();
    let off_curve = || invalid("a point is not on the curve");
    let advice = points(&[words.advice, words.second].concat()).ok_or_else(off_curve)?;
    let opening = C::read_point(words.opening).ok_or_else(off_curve)?;
    let product = points(words.product).ok_or_else(off_curve)?;
    let quotient = points(words.quotient).ok_or_else(off_curve)?;
    let last = C::read_last_point(words.last).ok_or_else(off_curve)?;

    let challenges = words.challenges(protocol, &proof.statement);
    let evaluations = Evaluations::new(protocol, &scalars).ok_or(invalid("an evaluation is missing"))?;
    let linearisation = protocol.linearisation(&challenges, &evaluations, &public_values);
    let combined = protocol.opening(&challenges, &evaluations);

    // sum_s c_s P_s - sum_s c_s R_s(mu x) - Z(mu x) W + mu x W'
    let mut terms: Vec<(C::Scalar, C::G1Affine)> =
        vec![(-combined.remainder, C::G1Affine::generator()), (-combined.vanishing, opening), (combined.point, last)];
    for (set, coefficient) in protocol.rotation_sets().into_iter().zip(combined.sets) {
        for (power, polynomial) in set.polynomials {
            let factor = coefficient * ff::Field::pow(&challenges.nu, [power as u64]);
            match polynomial {
                Polynomial::Advice(column) => terms.push((factor, advice[column])),
                Polynomial::Fixed(column) => terms.push((factor, protocol.fixed[column])),
                Polynomial::Sigma(column) => {
                    terms.extend(protocol.permutation.iter().map(|p| (factor, p.sigma[column])));
                }
                Polynomial::Product => terms.extend(product.iter().map(|&point| (factor, point))),
                Polynomial::Linearisation => {
                    terms.push((factor * linearisation.constant, C::G1Affine::generator()));
                    let linear = linearisation.linear.iter().zip(&protocol.shape.linear);
                    terms.extend(linear.map(|(&coefficient, &column)| (factor * coefficient, protocol.fixed[column])));
                    terms.extend(product.iter().map(|&point| (factor * linearisation.product, point)));
                    let sigma = protocol.permutation.iter().filter_map(|p| p.sigma.last());
                    terms.extend(sigma.map(|&sigma| (factor * linearisation.sigma, sigma)));
                    let pieces = linearisation.quotient.iter().zip(&quotient);
                    terms.extend(pieces.map(|(&coefficient, &point)| (factor * coefficient, point)));
                }
            }
        }
    }
    let (scalars, bases): (Vec<_>, Vec<_>) = terms.into_iter().unzip();
    let sum = msm::<C>(&scalars, &bases).to_affine();
    let accepted = pairings_cancel::<C>(&[(sum, C::G2Affine::generator()), (-last, protocol.s_g2)]);
    if accepted { Ok(()) } else { Err(invalid("the pairing equation does not hold")) }
}
