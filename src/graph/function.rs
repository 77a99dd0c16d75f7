//! Smooth functions of one variable, in `f64`: what quantisation turns into segments.

use std::f64::consts::{FRAC_PI_2, PI, SQRT_2};

use libm::erf;

/// A function of one real variable.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Function {
    Exp,
    Ln,
    Sigmoid,
    Tanh,
    Erf,
    Sin,
    Cos,
    Tan,
    Asin,
    Acos,
    Atan,
    Sinh,
    Cosh,
    Asinh,
    Acosh,
    Atanh,
    Softplus,
    /// `x / 2 * (1 + erf(x / sqrt 2))`
    Gelu,
    /// The approximation of [`Function::Gelu`] by a hyperbolic tangent.
    GeluTanh,
    /// `x * sigmoid(alpha x)`
    Swish {
        alpha: f64,
    },
    /// `x * tanh(softplus(x))`
    Mish,
    /// `gamma x` above zero, `gamma alpha (exp(x / beta) - 1)` below: Elu, Selu and Celu.
    Elu {
        gamma: f64,
        alpha: f64,
        beta: f64,
    },
    /// `x * clip(x / 6 + 1/2, 0, 1)`
    HardSwish,
    /// `x / (1 + |x|)`
    Softsign,
    /// `x^exponent`
    Power {
        exponent: f64,
    },
    /// `base^x` for a positive base.
    Exponential {
        base: f64,
    },
}

impl Function {
    /// Its value; not finite where it has none.
    pub fn apply(&self, x: f64) -> f64 {
        match *self {
            Function::Exp => x.exp(),
            Function::Ln => x.ln(),
            Function::Sigmoid => sigmoid(x),
            Function::Tanh => x.tanh(),
            Function::Erf => erf(x),
            Function::Sin => x.sin(),
            Function::Cos => x.cos(),
            Function::Tan => x.tan(),
            Function::Asin => x.asin(),
            Function::Acos => x.acos(),
            Function::Atan => x.atan(),
            Function::Sinh => x.sinh(),
            Function::Cosh => x.cosh(),
            Function::Asinh => x.asinh(),
            Function::Acosh => x.acosh(),
            Function::Atanh => x.atanh(),
            Function::Softplus => softplus(x),
            Function::Gelu => x / 2.0 * (1.0 + erf(x / SQRT_2)),
            Function::GeluTanh => x / 2.0 * (1.0 + ((2.0 / PI).sqrt() * (x + 0.044715 * x * x * x)).tanh()),
            Function::Swish { alpha } => x * sigmoid(alpha * x),
            Function::Mish => x * softplus(x).tanh(),
            Function::Elu { gamma, .. } if x >= 0.0 => gamma * x,
            Function::Elu { gamma, alpha, beta } => gamma * alpha * (x / beta).exp_m1(),
            Function::HardSwish => x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
            Function::Softsign => x / (1.0 + x.abs()),
            Function::Power { exponent } => x.powf(exponent),
            Function::Exponential { base } => base.powf(x),
        }
    }

    /// A point of `[lo, hi]` at which it is not defined, if there is one.
    pub fn undefined_at(&self, lo: f64, hi: f64) -> Option<f64> {
        let pole = (lo / PI - 0.5).ceil() * PI + FRAC_PI_2;
        let outside = |least: f64, greatest: f64| [lo, hi].into_iter().find(|&x| x < least || x > greatest);
        match *self {
            Function::Ln => (lo <= 0.0).then_some(lo),
            Function::Tan => (pole <= hi).then_some(pole),
            Function::Asin | Function::Acos => outside(-1.0, 1.0),
            Function::Acosh => outside(1.0, f64::INFINITY),
            Function::Atanh => [lo, hi].into_iter().find(|x| x.abs() >= 1.0),
            Function::Power { exponent } if exponent < 0.0 && lo <= 0.0 && hi >= 0.0 => Some(0.0),
            Function::Power { exponent } if exponent.fract() != 0.0 && lo < 0.0 => Some(lo),
            _ => None,
        }
    }

    /// The turning points inside `(lo, hi)`: between two of them the function is monotonic.
    pub fn turning_points(&self, lo: f64, hi: f64) -> Vec<f64> {
        let periodic = |phase: f64| half_turns(lo, hi, phase);
        let single = |x: f64| vec![x];
        let mut points: Vec<f64> = match *self {
            Function::Sin => periodic(FRAC_PI_2),
            Function::Cos => periodic(0.0),
            Function::Cosh => single(0.0),
            Function::Power { exponent } if exponent.fract() == 0.0 => single(0.0),
            Function::Gelu => single(-0.751_791_524_693_564_5),
            Function::GeluTanh => single(-0.752_461_422_071_016_3),
            Function::Swish { alpha } if alpha != 0.0 => single(-1.278_464_542_761_074 / alpha),
            Function::Mish => single(-1.192_431_214_515_495),
            Function::HardSwish => single(-1.5),
            Function::Elu { .. } => single(0.0),
            _ => vec![],
        };
        points.retain(|&x| x > lo && x < hi);
        points
    }

    /// Points inside `(lo, hi)` between which the function is convex or concave.
    pub fn inflections(&self, lo: f64, hi: f64) -> Vec<f64> {
        let periodic = |phase: f64| half_turns(lo, hi, phase);
        let mut points: Vec<f64> = match *self {
            Function::Sin | Function::Tan => periodic(0.0),
            Function::Cos => periodic(FRAC_PI_2),
            Function::Sigmoid
            | Function::Tanh
            | Function::Erf
            | Function::Asin
            | Function::Acos
            | Function::Atan
            | Function::Sinh
            | Function::Asinh
            | Function::Atanh
            | Function::Elu { .. }
            | Function::Softsign
            | Function::Power { .. } => vec![0.0],
            Function::Gelu => vec![-SQRT_2, SQRT_2],
            Function::GeluTanh => vec![-1.418_504_008_790_828, 1.418_504_008_790_828],
            Function::Swish { alpha } if alpha != 0.0 => {
                let x = 2.399_357_280_515_468 / alpha.abs();
                vec![-x, x]
            }
            Function::Mish => vec![-2.256_376_396_360_793, 1.490_571_179_455_428],
            Function::HardSwish => vec![-3.0, 3.0],
            _ => vec![],
        };
        points.retain(|&x| x > lo && x < hi);
        points
    }

    /// The least and the greatest value over `[lo, hi]`, where it is defined.
    pub fn range(&self, lo: f64, hi: f64) -> (f64, f64) {
        let ends = [lo, hi].into_iter().chain(self.turning_points(lo, hi));
        ends.map(|x| self.apply(x)).fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), y| (a.min(y), b.max(y)))
    }
}

/// The points of `[lo, hi]` that are a multiple of pi from `phase`.
fn half_turns(lo: f64, hi: f64, phase: f64) -> Vec<f64> {
    let (first, last) = (((lo - phase) / PI).ceil() as i64, ((hi - phase) / PI).floor() as i64);
    (first..=last).map(|i| i as f64 * PI + phase).collect()
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// `ln(1 + exp(x))` without overflow.
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Function; 22] = [
        Function::Exp,
        Function::Ln,
        Function::Sigmoid,
        Function::Tanh,
        Function::Erf,
        Function::Sin,
        Function::Cos,
        Function::Asin,
        Function::Acos,
        Function::Atan,
        Function::Cosh,
        Function::Softplus,
        Function::Gelu,
        Function::GeluTanh,
        Function::Swish { alpha: 1.5 },
        Function::Mish,
        Function::Elu { gamma: 1.05, alpha: 1.67, beta: 1.0 },
        Function::HardSwish,
        Function::Softsign,
        Function::Power { exponent: 4.0 },
        Function::Power { exponent: -0.5 },
        Function::Exponential { base: 0.3 },
    ];

    #[test]
    fn functions_are_monotonic_between_turning_points() {
        for function in ALL {
            let (mut lo, mut hi) = (-7.0, 7.0);
            if function.undefined_at(lo, hi).is_some() {
                (lo, hi) = (1e-3, 1.0);
            }
            assert_eq!(function.undefined_at(lo, hi), None, "{function:?}");
            let mut ends = vec![lo];
            ends.extend(function.turning_points(lo, hi));
            ends.push(hi);
            let (least, greatest) = function.range(lo, hi);
            for piece in ends.windows(2) {
                let x = |i: u32| piece[0] + (piece[1] - piece[0]) * f64::from(i) / 500.0;
                let values: Vec<f64> = (0..=500).map(|i| function.apply(x(i))).collect();
                let slack = 1e-9;
                assert!(
                    values.windows(2).all(|w| w[0] <= w[1] + slack) || values.windows(2).all(|w| w[0] >= w[1] - slack),
                    "{function:?} between {piece:?}"
                );
                assert!(values.iter().all(|&v| v >= least - slack && v <= greatest + slack), "{function:?}");
            }
        }
    }

    #[test]
    fn functions_are_convex_or_concave_between_inflections() {
        for function in ALL {
            let (mut lo, mut hi) = (-9.0, 9.0);
            if function.undefined_at(lo, hi).is_some() {
                (lo, hi) = (1e-3, 1.0);
            }
            let mut ends = vec![lo];
            ends.extend(function.inflections(lo, hi));
            ends.push(hi);
            for piece in ends.windows(2) {
                let x = |i: u32| piece[0] + (piece[1] - piece[0]) * f64::from(i) / 200.0;
                let values: Vec<f64> = (0..=200).map(|i| function.apply(x(i))).collect();
                let bends: Vec<f64> = values.windows(3).map(|w| w[0] - 2.0 * w[1] + w[2]).collect();
                let slack = 1e-12 * values.iter().fold(1.0, |m: f64, v| m.max(v.abs()));
                assert!(
                    bends.iter().all(|&b| b >= -slack) || bends.iter().all(|&b| b <= slack),
                    "{function:?} between {piece:?}"
                );
            }
        }
    }

    #[test]
    fn poles_and_edges_are_found() {
        assert_eq!(Function::Ln.undefined_at(0.0, 1.0), Some(0.0));
        assert_eq!(Function::Tan.undefined_at(-1.5, 1.5), None);
        assert_eq!(Function::Tan.undefined_at(1.5, 1.6), Some(FRAC_PI_2));
        assert_eq!(Function::Asin.undefined_at(-1.0, 1.1), Some(1.1));
        assert_eq!(Function::Power { exponent: -1.0 }.undefined_at(-1.0, 1.0), Some(0.0));
        assert_eq!(Function::Power { exponent: 0.5 }.undefined_at(-1.0, 1.0), Some(-1.0));
    }
}
