//! Smooth functions as quadratic segments, with a proved error.
//!
//! Between two inflections a function is convex or concave. On an interval it then lies between its chord and the lines
//! through two points on either side, continued. Where the quadratic is within the tolerance of both lines, over intervals
//! fine enough, it is within the tolerance of the function. Segments are as long as that proof allows.

use crate::graph::{Function, Interval, MAX_BITS};
use crate::ops::{Piecewise, Segment};

/// Work that one function may take, in evaluations.
const MAX_EVALUATIONS: usize = 1 << 22;
/// Relative tolerances are taken of so much of the function's magnitude.
const MARGIN: f64 = 0.9;
/// The most segments of one function.
const MAX_SEGMENTS: usize = 1 << 14;

/// A function of integers that stands for one of real numbers: `x / 2^input` goes to `y / 2^output`.
pub(super) struct Scaled {
    pub function: Function,
    pub input: i32,
    pub output: i32,
    /// Relative error that is allowed where it is more than one unit of the output.
    pub relative: f64,
}

impl Scaled {
    fn apply(&self, x: i128) -> f64 {
        self.function.apply(x as f64 * (-f64::from(self.input)).exp2()) * f64::from(self.output).exp2()
    }

    /// Allowed distance before the result is rounded, in units of the output.
    fn tolerance(&self, y: f64) -> f64 {
        (y.abs() * self.relative).max(0.5)
    }

    /// Segments over `x`: the value of each is within half a unit of the tolerance, after rounding. `None` if that takes
    /// too many segments.
    pub fn segments(&self, x: Interval) -> Option<Piecewise> {
        let real = |x: i128| x as f64 * (-f64::from(self.input)).exp2();
        let mut stops: Vec<i128> = self
            .function
            .inflections(real(x.lo), real(x.hi))?
            .into_iter()
            .map(|t| (t * f64::from(self.input).exp2()).floor() as i128)
            .filter(|t| (x.lo..x.hi).contains(t))
            .collect();
        stops.push(x.hi);
        let mut search = Search {
            scaled: self,
            shift: (2 * self.input - 2).clamp(2, 64) as u32,
            lowest: x.lo,
            left: MAX_EVALUATIONS,
        };
        let mut segments: Vec<Segment> = vec![];
        let mut start = x.lo;
        while start <= x.hi {
            let (segment, last) = search.longest(start, &stops)?;
            segments.push(segment);
            start = last + 1;
            if segments.len() > MAX_SEGMENTS {
                return None;
            }
        }
        Some(Piecewise { segments, end: x.hi, shift: search.shift })
    }
}

struct Search<'a> {
    scaled: &'a Scaled,
    shift: u32,
    /// The least `x` of the whole range.
    lowest: i128,
    /// Evaluations left.
    left: usize,
}

impl Search<'_> {
    /// The longest segment from `start` that is found, and its last `x`.
    fn longest(&mut self, start: i128, stops: &[i128]) -> Option<(Segment, i128)> {
        let end = *stops.last()?;
        let mut best = (self.fit(start, start, stops)?, start);
        let (mut width, mut failed) = (1i128, None);
        while best.1 < end {
            let last = start.saturating_add(width).min(end);
            match self.fit(start, last, stops) {
                Some(segment) => best = (segment, last),
                None => {
                    failed = Some(last);
                    break;
                }
            }
            width = width.saturating_mul(2);
        }
        let mut failed = failed.unwrap_or(best.1);
        // a few bits of the width are enough
        while failed - best.1 > 1 + (best.1 - start) / 32 {
            let middle = best.1 + (failed - best.1) / 2;
            match self.fit(start, middle, stops) {
                Some(segment) => best = (segment, middle),
                None => failed = middle,
            }
        }
        (self.left > 0).then_some(best)
    }

    /// The quadratic through the function at three points of `[first, last]`, if it is proved to be close.
    fn fit(&mut self, first: i128, last: i128, stops: &[i128]) -> Option<Segment> {
        let width = last - first;
        let unit = f64::from(self.shift).exp2();
        // the nodes of Chebyshev's polynomial of degree three, as integers
        let node = |cosine: f64| first + (width as f64 * (1.0 + cosine) / 2.0).round() as i128;
        let mut nodes = [node(-0.866_025_403_8), node(0.0), node(0.866_025_403_8)].to_vec();
        nodes.dedup();
        let points: Vec<(f64, f64)> = nodes.iter().map(|&x| ((x - first) as f64, self.scaled.apply(x))).collect();
        let slope = |a: (f64, f64), b: (f64, f64)| (b.1 - a.1) / (b.0 - a.0);
        let [c0, c1, c2] = match points[..] {
            [a] => [a.1, 0.0, 0.0],
            [a, b] => [a.1 - slope(a, b) * a.0, slope(a, b), 0.0],
            [a, b, c] => {
                let c2 = (slope(b, c) - slope(a, b)) / (c.0 - a.0);
                // rounded at once, so that the other coefficients make up for it
                let c2 = (c2 * unit).round() / unit;
                let slope = slope(a, c) - c2 * (a.0 + c.0);
                let mean = points.iter().map(|p| p.1 - slope * p.0 - c2 * p.0 * p.0);
                let (least, greatest) =
                    mean.fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), v| (lo.min(v), hi.max(v)));
                [(least + greatest) / 2.0, slope, c2]
            }
            _ => return None,
        };
        let limit = f64::from(MAX_BITS as i32 - 2).exp2();
        let magnitude = c0.abs() + width as f64 * (c1.abs() + width as f64 * c2.abs());
        if !magnitude.is_finite() || magnitude * unit >= limit {
            return None;
        }
        let [c0, c1, c2] = [c0, c1, c2].map(|c| (c * unit).round() as i128);
        let half = 1i128 << (self.shift - 1);
        let close = self.prove(first, last, [c0, c1, c2], stops);
        close.then_some(Segment { start: first, coefficients: [c0 + half, c1, c2] })
    }

    /// Whether the quadratic is within the tolerance of the function at every integer from `first` to `last`.
    fn prove(&mut self, first: i128, last: i128, coefficients: [i128; 3], stops: &[i128]) -> bool {
        let unit = f64::from(self.shift).exp2();
        let quadratic = Quadratic { start: first, coefficients: coefficients.map(|c| c as f64 / unit) };
        // each piece from one inflection to the next, from that of `first` on
        let own = stops.partition_point(|&stop| stop < first);
        let mut from = own.checked_sub(1).map_or(self.lowest, |before| stops[before] + 1);
        for &stop in &stops[own..] {
            if from > last {
                break;
            }
            if !self.prove_piece(&quadratic, (from.max(first), stop.min(last)), (from, stop)) {
                return false;
            }
            from = stop + 1;
        }
        true
    }

    /// [`Self::prove`] on `range`, a part of `piece`, on which the function is convex or concave.
    fn prove_piece(&mut self, quadratic: &Quadratic, range: (i128, i128), piece: (i128, i128)) -> bool {
        let scaled = self.scaled;
        let point = |x: i128| (x as f64, scaled.apply(x));
        let mut cells = vec![range];
        while let Some((a, b)) = cells.pop() {
            let Some(left) = self.left.checked_sub(1) else { return false };
            self.left = left;
            let (start, end) = (point(a), point(b));
            let close = |(x, f): (f64, f64)| (f - quadratic.apply(x)).abs() <= scaled.tolerance(MARGIN * f);
            if !close(start) || !close(end) {
                return false;
            }
            if b - a <= 1 {
                continue;
            }
            // Without a zero inside, the function dips below its ends by no more than the distance of the lines, which is at
            // most twice the tolerance if this passes: far less than the margin.
            let least = if start.1 * end.1 > 0.0 { start.1.abs().min(end.1.abs()) } else { 0.0 };
            let tolerance = scaled.tolerance(MARGIN * least);
            let middle = a + (b - a) / 2;
            let before = (piece.0 < a).then(|| (point(piece.0.max(a - (b - a))), start));
            let after = (piece.1 > b).then(|| (end, point(piece.1.min(b + (b - a)))));
            let (x, y, m) = (a as f64, b as f64, middle as f64);
            let near = |line: (Point, Point), x: f64, y: f64| quadratic.distance(line, x, y) <= tolerance;
            let outer = match (before, after) {
                (Some(before), Some(after)) => near(before, x, m) && near(after, m, y),
                (Some(line), None) | (None, Some(line)) => near(line, x, y),
                (None, None) => false,
            };
            if !(outer && near((start, end), x, y)) {
                cells.push((a, middle));
                cells.push((middle, b));
            }
        }
        true
    }
}

type Point = (f64, f64);

/// `c0 + c1 t + c2 t^2` with `t = x - start`.
struct Quadratic {
    start: i128,
    coefficients: [f64; 3],
}

impl Quadratic {
    fn apply(&self, x: f64) -> f64 {
        let ([c0, c1, c2], t) = (self.coefficients, x - self.start as f64);
        c0 + t * (c1 + t * c2)
    }

    /// The greatest distance from the line through two points, for arguments from `a` to `b`.
    fn distance(&self, (p, q): (Point, Point), a: f64, b: f64) -> f64 {
        let slope = (q.1 - p.1) / (q.0 - p.0);
        let [_, c1, c2] = self.coefficients;
        // where the quadratic is as steep as the line
        let parallel = if c2 == 0.0 { a } else { self.start as f64 + (slope - c1) / (2.0 * c2) };
        let apart = |x: f64| (self.apply(x) - (p.1 + slope * (x - p.0))).abs();
        apart(a).max(apart(b)).max(apart(parallel.clamp(a, b)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Op;

    #[test]
    fn every_integer_is_within_the_tolerance() {
        let cases = [
            (Function::Exp, -12.0, 3.0),
            (Function::Sigmoid, -9.0, 9.0),
            (Function::Tanh, -4.0, 5.0),
            (Function::Sin, -7.0, 7.0),
            (Function::Ln, 0.01, 20.0),
            (Function::Gelu, -5.0, 5.0),
            (Function::Elu { gamma: 1.05, alpha: 1.67, beta: 1.0 }, -5.0, 5.0),
            (Function::Power { exponent: -0.5 }, 0.1, 3.0),
            (Function::HardSwish, -5.0, 5.0),
        ];
        for (function, lo, hi) in cases {
            for (input, output) in [(8, 8), (12, 11), (11, 14)] {
                let scaled = Scaled { function, input, output, relative: 2f64.powi(-output) };
                let real = f64::from(input).exp2();
                let x = Interval::new((lo * real) as i128 + 1, (hi * real) as i128).unwrap();
                let piecewise = scaled.segments(x).unwrap();
                let count = piecewise.segments.len();
                assert!(count <= 120, "{function:?}: {count} segments");
                let op = Op::Piecewise(piecewise);
                assert!(op.accepts(1));
                let inputs: Vec<i128> = (x.lo..=x.hi).collect();
                for (&x, y) in inputs.iter().zip(op.eval(&[&inputs])) {
                    let exact = scaled.apply(x);
                    let error = (y as f64 - exact).abs();
                    assert!(error <= 0.501 + scaled.tolerance(exact), "{function:?} at {x}: {y}, not {exact}");
                }
            }
        }
    }

    #[test]
    fn flat_tails_take_one_segment() {
        let scaled = Scaled { function: Function::Sigmoid, input: 12, output: 12, relative: 0.0 };
        let narrow = scaled.segments(Interval::new(-16 << 12, 16 << 12).unwrap()).unwrap();
        let wide = scaled.segments(Interval::new(-(1 << 40), 1 << 40).unwrap()).unwrap();
        let counts = (narrow.segments.len(), wide.segments.len());
        assert!(counts.1 <= counts.0 + 6, "{counts:?}");
    }
}
