//! π as sqrt(8·Σ 1/(2k+1)²), in slices: the workload that `procession`'s
//! command line, examples and benchmarks cut up and gather again.
//!
//! The plain loop loses the ninth digit at 1e8 terms, because one running
//! double stops growing. Here a slice is summed in blocks on vectors, blocks
//! are added in twice the precision, and so are slices: the value is that of
//! the exact partial sum to the last bit or two, whatever the cut.
//!
//! # Examples
//! ```
//! use procession_pi::{exact, pi_from, slices, sum};
//! let n = 100_000_000;
//! let total = slices(n, 10).map(|slice| sum(slice)).sum();
//! assert_eq!(pi_from(total), exact(n).to_f64());
//! assert_eq!(format!("{:.14}", pi_from(total)), "3.14159265040669");
//! ```
#![deny(unsafe_code)]

mod double_double;
mod kernel;

pub use double_double::DoubleDouble;
pub use kernel::Kernel;

use std::ops::Range;

/// Most terms: the centres of the kernel stay exact, and its denominators
/// finite, well beyond.
pub const MAX_TERMS: u64 = 1_000_000_000_000_000;

/// Terms at the front that are summed one by one in twice the precision: what
/// remains is so small that its rounding errors do not reach the value.
const HEAD: u64 = 512;

/// Steps of the vector loop between additions in twice the precision.
const BLOCK_STEPS: u64 = 4096;

/// Cuts `terms` terms into `workers` slices whose lengths differ by one at
/// most; some are empty when there are more workers than terms.
///
/// # Panics
/// If there is no worker.
///
/// # Examples
/// ```
/// let lengths: Vec<u64> = procession_pi::slices(10, 4).map(|s| s.end - s.start).collect();
/// assert_eq!(lengths, [3, 3, 2, 2]);
/// ```
pub fn slices(terms: u64, workers: usize) -> impl Iterator<Item = Range<u64>> {
    let workers = workers as u64;
    let (each, longer) = (terms / workers, terms % workers);
    let start = move |worker: u64| each * worker + worker.min(longer);
    (0..workers).map(move |worker| start(worker)..start(worker + 1))
}

/// Σ 1/(2k+1)² for k in the slice, with the fastest kernel there is.
///
/// # Examples
/// ```
/// assert_eq!(procession_pi::sum(0..1).to_f64(), 1.0);
/// assert_eq!(procession_pi::sum(5..5).to_f64(), 0.0);
/// ```
#[must_use]
pub fn sum(slice: Range<u64>) -> DoubleDouble {
    sum_with(Kernel::detect(), slice)
}

/// Computes [`sum`] with a given kernel.
///
/// # Panics
/// If the slice ends beyond [`MAX_TERMS`].
#[must_use]
pub fn sum_with(kernel: Kernel, slice: Range<u64>) -> DoubleDouble {
    assert!(slice.end <= MAX_TERMS, "terms beyond {MAX_TERMS}");
    let mut total = DoubleDouble::default();
    let mut next = slice.start;
    while next < slice.end.min(HEAD) {
        total = total + precise_term(next);
        next += 1;
    }
    while next < slice.end {
        let steps = ((slice.end - next) / kernel.stride()).min(BLOCK_STEPS);
        if steps == 0 {
            break;
        }
        total = total + DoubleDouble::from(kernel.sum(next, steps));
        next += steps * kernel.stride();
    }
    // Fewer terms than one step takes, smallest first.
    let rest = (next..slice.end).rev().map(|k| {
        let odd = (2 * k + 1) as f64;
        1.0 / (odd * odd)
    });
    total + DoubleDouble::from(rest.sum::<f64>())
}

fn precise_term(k: u64) -> DoubleDouble {
    let odd = DoubleDouble::from((2 * k + 1) as f64);
    DoubleDouble::from(1.0) / (odd * odd)
}

/// Computes π from the whole sum, rounded once.
#[must_use]
pub fn pi_from(sum: DoubleDouble) -> f64 {
    (DoubleDouble::from(8.0) * sum).sqrt().to_f64()
}

/// The exact value of sqrt(8·Σ 1/(2k+1)²), k < `terms`, to some 30 digits, by
/// a way that shares nothing with [`sum`]: π² less eight times the tail, whose
/// asymptotic series (that of the trigamma function at n + ½) is
/// 1/4n − 1/48n³ + 7/960n⁵ − 31/5376n⁷ + 127/15360n⁹ − …
///
/// # References
/// NIST Digital Library of Mathematical Functions, 5.15.8 and 5.11.8
#[must_use]
pub fn exact(terms: u64) -> DoubleDouble {
    // Below this the series is not precise enough, and the sum is short.
    if terms < 1000 {
        let sum: DoubleDouble = (0..terms).rev().map(precise_term).sum();
        return (DoubleDouble::from(8.0) * sum).sqrt();
    }
    let one = DoubleDouble::from(1.0);
    let n = DoubleDouble::from(terms as f64);
    let square = one / (n * n);
    let coefficient = |a: f64, b: f64| DoubleDouble::from(a) / DoubleDouble::from(b);
    let series = coefficient(1.0, 4.0)
        + square
            * (coefficient(-1.0, 48.0)
                + square
                    * (coefficient(7.0, 960.0)
                        + square
                            * (coefficient(-31.0, 5376.0) + square * coefficient(127.0, 15360.0))));
    let tail = series / n;
    let pi = DoubleDouble::PI;
    (pi * pi - DoubleDouble::from(8.0) * tail).sqrt()
}

/// How far `value` is from the exact value for `terms` terms, in units of the
/// last place of a double near π (2⁻⁵¹).
///
/// # Examples
/// ```
/// use procession_pi::{error_ulp, exact};
/// assert!(error_ulp(exact(1000).to_f64(), 1000).abs() <= 0.5);
/// assert_eq!(error_ulp(exact(1000).to_f64() + 4.0 * f64::EPSILON, 1000).round(), 2.0);
/// ```
#[must_use]
pub fn error_ulp(value: f64, terms: u64) -> f64 {
    let ulp = 2.0 * f64::EPSILON;
    (DoubleDouble::from(value) - exact(terms)).to_f64() / ulp
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_exact_value_is_that_of_the_reference() {
        // 3.141592621758804458826 and 3.141592650406694375012, computed
        // elsewhere with 40 digits.
        for (terms, high, low) in [
            (10_000_000, 3.141592621758804, 0.000_000_000_000_000_458_826),
            (
                100_000_000,
                3.141592650406694,
                0.000_000_000_000_000_375_012,
            ),
        ] {
            let reference = DoubleDouble::from(high) + DoubleDouble::from(low);
            // The decimal literals carry 16 digits exactly only up to their
            // own rounding, so compare to a third of a unit.
            let difference = (exact(terms) - reference).to_f64() / (2.0 * f64::EPSILON);
            assert!(difference.abs() < 0.6, "{terms}: {difference}");
        }
    }

    #[test]
    fn series_and_sum_agree_where_they_meet() {
        for terms in [1000, 1001, 5000, 100_000] {
            let sum: DoubleDouble = (0..terms).rev().map(precise_term).sum();
            let summed = (DoubleDouble::from(8.0) * sum).sqrt();
            let difference = (exact(terms) - summed).to_f64();
            assert!(difference.abs() < 1e-28, "{terms}: {difference:e}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn any_cut_with_any_kernel_is_within_an_ulp(
            terms in prop_oneof![1..2000_u64, 1..3_000_000_u64],
            workers in 1..70_usize,
        ) {
            for kernel in Kernel::available() {
                let total = slices(terms, workers).map(|slice| sum_with(kernel, slice)).sum();
                let error = error_ulp(pi_from(total), terms);
                prop_assert!(error.abs() <= 1.0, "{kernel:?}: {error} ulp");
            }
        }

        #[test]
        fn slices_are_gapless_and_even(terms in 0..MAX_TERMS, workers in 1..5000_usize) {
            let cut: Vec<_> = slices(terms, workers).collect();
            prop_assert_eq!(cut.len(), workers);
            prop_assert_eq!((cut[0].start, cut[workers - 1].end), (0, terms));
            prop_assert!(cut.windows(2).all(|pair| pair[0].end == pair[1].start));
            let lengths = cut.iter().map(|slice| slice.end - slice.start);
            prop_assert!(lengths.clone().max().unwrap() - lengths.min().unwrap() <= 1);
        }
    }

    #[test]
    fn slices_far_out_stay_finite_and_positive() {
        for kernel in Kernel::available() {
            let far = sum_with(kernel, MAX_TERMS - 100_000..MAX_TERMS).to_f64();
            let expected = 100_000.0 / (4.0 * (MAX_TERMS as f64) * (MAX_TERMS as f64));
            assert!((far / expected - 1.0).abs() < 1e-6, "{kernel:?}: {far:e}");
        }
    }
}
