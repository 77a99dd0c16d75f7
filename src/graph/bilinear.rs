//! Bounds of products of matrices whose factors are sums of normalised elements, such as the scores of an attention.
//!
//! With `l_d = a_d u + ..` and `r_d = b_d v + ..`, of vectors `u` and `v` of norm one at most, the sum of `l_d r_d` over `d` is
//! `u' M v + ..` with `M = sum a_d' b_d`: at most the greatest singular value of `M`. With the Gram matrices `G` of the `a_d` and `H` of the
//! `b_d` its square is the greatest eigenvalue of `G H`. None of these is negative, so that the trace of the `p`th power is at least the `p`th power
//! of the greatest, and at most that times the number of `d`.

use std::collections::HashMap;

use crate::ops::Product;

/// Squarings of `G H`: `p` is two to this power.
const SQUARINGS: i32 = 5;

/// What bounds are widened by, for the roundings of all squarings together.
const MARGIN: f64 = 1e-6;

/// What is added to eigenvalues, relative to the factors' squares: for the roundings of what cancels.
const ROUNDING: f64 = 1e-9;

/// By rows; all are square.
type Matrix = Vec<Vec<f64>>;

/// A vector, or an element of one: what it is divided by, or what is divided.
type Key = (usize, usize);

/// An element of a vector, and where it is divided: of two quotients with the same operands, each may be rounded in its own way.
type Element = (Key, Key);

/// A number that is a sum of elements of a vector of norm one at most, each with a factor, and `bias`, up to `slack`.
pub struct Combination {
    /// The vector; `None` for a constant.
    vector: Option<Key>,
    /// In the order of the elements, each of which is there once.
    terms: Vec<(Element, f64)>,
    bias: f64,
    slack: f64,
}

impl Combination {
    /// `terms` are vectors, elements and factors. `None` if there are two vectors, or one element twice.
    pub fn new(terms: impl IntoIterator<Item = (Key, Element, f64)>, bias: f64, slack: f64) -> Option<Self> {
        let mut vector = None;
        let mut own = vec![];
        for (of, element, factor) in terms {
            if *vector.get_or_insert(of) != of {
                return None;
            }
            own.push((element, factor));
        }
        own.sort_unstable_by_key(|term| term.0);
        distinct(own.iter().map(|term| term.0)).then_some(Self { vector, terms: own, bias, slack })
    }
}

/// Whether no two elements in their order, each there once, are of one number.
fn distinct(elements: impl Iterator<Item = Element> + Clone) -> bool {
    elements.clone().zip(elements.skip(1)).all(|(one, next)| one.0 != next.0)
}

/// A number as the product of `terms` with a vector of norm one at most, and `bias`, up to `slack`.
struct Entry {
    terms: Vec<f64>,
    bias: f64,
    slack: f64,
}

impl Entry {
    /// The greatest magnitude.
    fn greatest(&self) -> f64 {
        dot(&self.terms, &self.terms).sqrt() + self.bias.abs() + self.slack
    }

    fn bits(&self) -> impl Iterator<Item = u64> + '_ {
        self.terms.iter().chain([&self.bias, &self.slack]).map(|v| v.to_bits())
    }
}

/// A row of the left matrix, or a column of the right one, whose entries are of one vector. All have as many terms, one for each of its
/// elements that any of them has.
type Line = Vec<Entry>;

/// `None` if the numbers are of several vectors, or of several quotients of one element.
fn line(combinations: &[Combination]) -> Option<Line> {
    let mut vectors = combinations.iter().filter_map(|combination| combination.vector);
    let first = vectors.next();
    if vectors.any(|other| Some(other) != first) {
        return None;
    }
    let mut elements: Vec<Element> = combinations.iter().flat_map(|c| c.terms.iter().map(|term| term.0)).collect();
    elements.sort_unstable();
    elements.dedup();
    if !distinct(elements.iter().copied()) {
        return None;
    }
    let entry = |combination: &Combination| {
        let mut own = combination.terms.iter().peekable();
        let term = |element: &Element| own.next_if(|term| term.0 == *element).map_or(0.0, |term| term.1);
        Entry { terms: elements.iter().map(term).collect(), bias: combination.bias, slack: combination.slack }
    };
    Some(combinations.iter().map(entry).collect())
}

/// Lines, of which many are the same.
#[derive(Default)]
struct Lines {
    known: HashMap<Vec<u64>, usize>,
    lines: Vec<Line>,
}

impl Lines {
    fn add(&mut self, line: Line) -> usize {
        let len = line.first().map_or(0, |entry| entry.terms.len() as u64);
        let key = [len].into_iter().chain(line.iter().flat_map(Entry::bits)).collect();
        *self.known.entry(key).or_insert_with(|| {
            self.lines.push(line);
            self.lines.len() - 1
        })
    }
}

/// The least and the greatest number that every element of a product may be. `combination` tells what is known of the elements of the concatenated
/// operands; `None` if it is nothing of those of some lines.
pub fn spans(product: &Product, mut combination: impl FnMut(usize) -> Option<Combination>) -> Option<Vec<(f64, f64)>> {
    let Product { batch, rows, inner, columns } = *product;
    let (left_len, mut lines) = (product.left_len(), Lines::default());
    let mut of_places = |places: &mut dyn Iterator<Item = usize>| -> Option<usize> {
        let combinations: Vec<Combination> = places.map(&mut combination).collect::<Option<_>>()?;
        Some(lines.add(line(&combinations)?))
    };
    let left = (0..batch * rows).map(|row| of_places(&mut (row * inner..(row + 1) * inner)));
    let left: Vec<usize> = left.collect::<Option<_>>()?;
    let right = (0..batch * columns).map(|i| {
        let (b, column) = (i / columns, i % columns);
        of_places(&mut (0..inner).map(|k| left_len + (b * inner + k) * columns + column))
    });
    let right: Vec<usize> = right.collect::<Option<_>>()?;
    let mut known: HashMap<(usize, usize), (f64, f64)> = HashMap::new();
    let span = |j: usize| {
        let (row, column) = (j / columns, j % columns);
        let pair = (left[row], right[row / rows * columns + column]);
        *known.entry(pair).or_insert_with(|| of_lines(&lines.lines[pair.0], &lines.lines[pair.1]))
    };
    Some((0..product.output_len()).map(span).collect())
}

fn of_lines(left: &Line, right: &Line) -> (f64, f64) {
    let biases = |line: &Line| line.iter().map(|c| c.bias).collect::<Vec<f64>>();
    let (left_biases, right_biases) = (biases(left), biases(right));
    let centre = dot(&left_biases, &right_biases);
    let slack = left.iter().zip(right).map(|(l, r)| l.slack * r.greatest() + r.slack * l.greatest());
    let reach = greatest_product(left, right) + norm_of_sum(left, &right_biases) + norm_of_sum(right, &left_biases);
    let magnitudes: f64 = left.iter().zip(right).map(|(l, r)| l.greatest() * r.greatest()).sum();
    let reach = (reach + slack.sum::<f64>()) * (1.0 + MARGIN) + magnitudes * MARGIN * MARGIN;
    (centre - reach, centre + reach)
}

/// The norm of the sum of the lines' terms, each times a factor.
fn norm_of_sum(line: &Line, factors: &[f64]) -> f64 {
    let len = line.first().map_or(0, |entry| entry.terms.len());
    let mut sum = vec![0.0; len];
    for (entry, factor) in line.iter().zip(factors) {
        sum.iter_mut().zip(&entry.terms).for_each(|(sum, term)| *sum += factor * term);
    }
    dot(&sum, &sum).sqrt()
}

/// Not less than the greatest singular value of the sum of outer products of the lines' terms.
fn greatest_product(left: &Line, right: &Line) -> f64 {
    let gram = |line: &Line| -> Matrix {
        line.iter().map(|a| line.iter().map(|b| dot(&a.terms, &b.terms)).collect()).collect()
    };
    let (g, h) = (gram(left), gram(right));
    let rounding = ROUNDING * trace(&g) * trace(&h);
    // with G = C C', the eigenvalues of G H are those of C' H C, which is symmetric: its powers are computed well
    let c = root_of(&g);
    let mut power = product(&transposed(&c), &product(&h, &c));
    let mut traces = vec![trace(&power)];
    // what is but rounding has no eigenvalues to speak of
    let squarings = if traces[0] > rounding { SQUARINGS } else { 0 };
    for i in 0..squarings as usize {
        power.iter_mut().flatten().for_each(|v| *v /= traces[i]);
        power = product(&power, &power);
        traces.push(trace(&power));
    }
    // the greatest eigenvalue is at most the trace, and what it is divided by times the root of that of the square
    let greatest = traces.iter().rev().copied().reduce(|greatest, trace| trace * greatest.sqrt()).unwrap_or(0.0);
    (greatest.max(0.0) * (1.0 + MARGIN) + rounding).sqrt()
}

/// `C` with `G = C C'`, lower triangular, for a positive semidefinite `G` (Cholesky); where nothing but roundings is left, zeros.
fn root_of(g: &Matrix) -> Matrix {
    let least = ROUNDING * MARGIN * trace(g);
    let mut c = vec![vec![0.0; g.len()]; g.len()];
    for j in 0..g.len() {
        let rest = g[j][j] - dot(&c[j][..j], &c[j][..j]);
        if rest <= least {
            continue;
        }
        let root = rest.sqrt();
        for i in j..g.len() {
            c[i][j] = (g[i][j] - dot(&c[i][..j], &c[j][..j])) / root;
        }
    }
    c
}

fn trace(a: &Matrix) -> f64 {
    a.iter().enumerate().map(|(i, row)| row[i]).sum()
}

fn transposed(a: &Matrix) -> Matrix {
    (0..a.len()).map(|j| a.iter().map(|row| row[j]).collect()).collect()
}

fn product(a: &Matrix, b: &Matrix) -> Matrix {
    let entry = |row: &Vec<f64>, j: usize| row.iter().zip(b).map(|(x, b)| x * b[j]).sum();
    a.iter().map(|row| (0..b.len()).map(|j| entry(row, j)).collect()).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::circuit::testing::Draw;

    fn some(draw: &mut Draw, inner: usize, len: usize, bias: f64, slack: f64) -> Line {
        let mut number = || draw.integer(-1000, 1000) as f64 / 1000.0;
        let mut terms = || (0..len).map(|_| number()).collect::<Vec<f64>>();
        (0..inner).map(|_| Entry { terms: terms(), bias, slack }).collect()
    }

    fn unit(draw: &mut Draw, len: usize) -> Vec<f64> {
        let v: Vec<f64> = (0..len).map(|_| draw.integer(-1000, 1000) as f64).collect();
        let norm = dot(&v, &v).sqrt().max(1.0);
        v.iter().map(|v| v / norm).collect()
    }

    /// `u' M` for the sum `M` of outer products, of norm one.
    fn improved(from: &Line, to: &Line, u: &[f64]) -> Vec<f64> {
        let mut sum = vec![0.0; to[0].terms.len()];
        for (l, r) in from.iter().zip(to) {
            let factor = dot(&l.terms, u);
            sum.iter_mut().zip(&r.terms).for_each(|(sum, term)| *sum += factor * term);
        }
        let norm = dot(&sum, &sum).sqrt().max(1e-300);
        sum.iter().map(|v| v / norm).collect()
    }

    #[test]
    fn the_bound_is_close_to_the_greatest_product() {
        let mut draw = Draw::new(5);
        for (inner, len) in [(1, 1), (1, 9), (4, 3), (8, 20), (16, 64)] {
            for _ in 0..20 {
                let (left, right) = (some(&mut draw, inner, len, 0.0, 0.0), some(&mut draw, inner, len, 0.0, 0.0));
                let mut u = unit(&mut draw, len);
                let mut v = unit(&mut draw, len);
                for _ in 0..300 {
                    v = improved(&left, &right, &u);
                    u = improved(&right, &left, &v);
                }
                let found: f64 = left.iter().zip(&right).map(|(l, r)| dot(&l.terms, &u) * dot(&r.terms, &v)).sum();
                let (lo, hi) = of_lines(&left, &right);
                assert!(found <= hi && lo == -hi, "{found} {hi}");
                let most = (inner.min(len) as f64).powf(1.0 / 2f64.powi(SQUARINGS + 1)) * 1.001;
                assert!(hi <= found * most + 1e-3, "{inner} {len}: {found} {hi}");
            }
        }
    }

    #[test]
    fn the_bound_grows_with_its_factors() {
        let mut draw = Draw::new(8);
        let (left, right) = (some(&mut draw, 8, 20, 0.0, 0.0), some(&mut draw, 8, 20, 0.0, 0.0));
        let scaled = |line: &Line, factor: f64| -> Line {
            let entry = |entry: &Entry| Entry {
                terms: entry.terms.iter().map(|t| t * factor).collect(),
                bias: 0.0,
                slack: 0.0,
            };
            line.iter().map(entry).collect()
        };
        let (_, hi) = of_lines(&left, &right);
        for factor in [1e-6, 1e3, 1e9] {
            let (_, scaled) = of_lines(&scaled(&left, factor), &scaled(&right, 3.0));
            assert!((scaled / (hi * factor * 3.0) - 1.0).abs() < 1e-6, "{factor}: {scaled} {hi}");
        }
    }

    #[test]
    fn products_of_anything_are_within_their_span() {
        let mut draw = Draw::new(6);
        let product = Product { batch: 2, rows: 2, inner: 3, columns: 2 };
        for _ in 0..50 {
            let mut lines: Vec<Line> = (0..4).map(|i| some(&mut draw, 3, 5, f64::from(i) - 1.5, 0.1)).collect();
            lines.iter_mut().flatten().for_each(|entry| entry.terms[draw.index(5)] = 0.0);
            // element k of row i or column i of a batch: lines differ between left and right and between batches
            let of = |at: usize| match at.checked_sub(12) {
                None => &lines[at / 6][at % 3],
                Some(right) => &lines[2 + right / 6][right % 6 / 2],
            };
            let element = |i: usize| ((7, i), (8, i));
            // the vector of a row or a column; zeros are left out
            let vector = |at: usize| match at.checked_sub(12) {
                None => (1, at / 3),
                Some(right) => (2, right / 6 * 2 + right % 2),
            };
            let combination = |at: usize| {
                let terms = of(at).terms.iter().enumerate().filter(|term| *term.1 != 0.0);
                Combination::new(terms.map(|(i, &term)| (vector(at), element(i), term)), of(at).bias, of(at).slack)
            };
            let spans = spans(&product, combination).unwrap();
            let units: Vec<Vec<f64>> = (0..8).map(|_| unit(&mut draw, 5)).collect();
            for (j, &(lo, hi)) in spans.iter().enumerate() {
                let (row, column) = (j / 2, j % 2);
                let value: f64 = product
                    .terms(j)
                    .map(|(a, b)| {
                        let of_unit = |at: usize, u: &[f64], slack: f64| dot(&of(at).terms, u) + of(at).bias + slack;
                        of_unit(a, &units[row], 0.1) * of_unit(b, &units[4 + row / 2 * 2 + column], -0.1)
                    })
                    .sum();
                assert!((lo..=hi).contains(&value), "{value} outside {lo}..{hi}");
            }
        }
        assert!(spans(&product, |at| if at == 13 { None } else { Combination::new([], 1.0, 0.0) }).is_none());
    }

    /// Entries lack different elements of their vector.
    #[test]
    fn elements_are_told_apart() {
        let product = Product { batch: 1, rows: 1, inner: 2, columns: 1 };
        let vector = (0, 0);
        let element = |i: usize| ((0, i), (1, i));
        let single = |i: usize| Combination::new([(vector, element(i), 3.0)], 0.0, 0.0);
        // u0 v0 + u1 v1, and u0 v0 + u0 v1
        let both = spans(&product, |at| single(at % 2)).unwrap()[0];
        let one = spans(&product, |at| single(if at < 2 { 0 } else { at % 2 })).unwrap()[0];
        assert!((both.1 - 9.0 * 2f64.powf(1.0 / 64.0)).abs() < 1e-3, "{both:?}");
        assert!((one.1 - 9.0 * 2f64.sqrt()).abs() < 1e-3, "{one:?}");
        // of two vectors in one line nothing is said
        assert!(spans(&product, |at| Combination::new([((at, 0), element(at), 1.0)], 0.0, 0.0)).is_none());
        // nor of two quotients of one element
        assert!(spans(&product, |at| Combination::new([(vector, ((0, 0), (1, at)), 1.0)], 0.0, 0.0)).is_none());
        assert!(Combination::new([(vector, element(1), 1.0), (vector, element(1), 1.0)], 0.0, 0.0).is_none());
        assert!(Combination::new([(vector, element(1), 1.0), ((0, 1), element(2), 1.0)], 0.0, 0.0).is_none());
    }

    /// Products of what has no direction in common are zero, whatever cancels in them.
    #[test]
    fn what_cancels_is_bounded() {
        let entry = |terms: &[f64]| Entry { terms: terms.into(), bias: 0.0, slack: 0.0 };
        let left = vec![entry(&[1e9, 1e9]), entry(&[1e9, 1e9])];
        let right = vec![entry(&[1e9, -1e9]), entry(&[-1e9, 1e9])];
        let (lo, hi) = of_lines(&left, &right);
        assert!(lo == -hi && hi < 1e-4 * 4e18, "{hi}");
    }
}
