//! Numbers of twice the precision: an unevaluated sum of two doubles.
//!
//! # References
//! T. J. Dekker, "A floating-point technique for extending the available
//! precision", Numerische Mathematik 18 (1971); Y. Hida, X. S. Li, D. H.
//! Bailey, "Algorithms for quad-double precision floating point arithmetic",
//! ARITH-15 (2001).

use std::ops::{Add, Div, Mul, Neg, Sub};

/// `high + low`, where `low` is at most half a unit in the last place of
/// `high`: about 32 decimal digits.
///
/// # Examples
/// ```
/// use procession_pi::DoubleDouble;
/// let third = DoubleDouble::from(1.0) / DoubleDouble::from(3.0);
/// let error = third * DoubleDouble::from(3.0) - DoubleDouble::from(1.0);
/// assert!(error.to_f64().abs() < 1e-31);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DoubleDouble {
    high: f64,
    low: f64,
}

/// The exact sum of two doubles, rounded sum first.
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let b_part = sum - a;
    (sum, (a - (sum - b_part)) + (b - b_part))
}

impl DoubleDouble {
    /// π to 32 digits.
    pub const PI: DoubleDouble = DoubleDouble {
        high: std::f64::consts::PI,
        low: 1.224_646_799_147_353_2e-16,
    };

    /// Makes a number from both parts, in any order of size.
    #[must_use]
    pub fn new(a: f64, b: f64) -> DoubleDouble {
        let (high, low) = two_sum(a, b);
        DoubleDouble { high, low }
    }

    /// Returns the larger part: the number rounded to a double.
    #[must_use]
    pub fn to_f64(self) -> f64 {
        self.high
    }

    /// Returns what rounding to a double loses.
    #[must_use]
    pub fn low(self) -> f64 {
        self.low
    }

    /// Returns the square root, by one Newton step from that of the larger part.
    #[must_use]
    pub fn sqrt(self) -> DoubleDouble {
        if self.high <= 0.0 {
            return DoubleDouble::default();
        }
        let guess = DoubleDouble::from(self.high.sqrt());
        let error = self - guess * guess;
        guess + DoubleDouble::from(error.high / (2.0 * guess.high))
    }

    /// Returns both parts, little-endian, the larger one first.
    #[must_use]
    pub fn to_le_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.high.to_le_bytes());
        bytes[8..].copy_from_slice(&self.low.to_le_bytes());
        bytes
    }

    /// Makes a number from the bytes of [`to_le_bytes`](DoubleDouble::to_le_bytes); `None` for
    /// another number of bytes.
    #[must_use]
    pub fn from_le_bytes(bytes: &[u8]) -> Option<DoubleDouble> {
        let (high, low) = bytes.split_at_checked(8)?;
        let part = |bytes: &[u8]| bytes.try_into().ok().map(f64::from_le_bytes);
        Some(DoubleDouble {
            high: part(high)?,
            low: part(low)?,
        })
    }
}

impl From<f64> for DoubleDouble {
    fn from(high: f64) -> DoubleDouble {
        DoubleDouble { high, low: 0.0 }
    }
}

impl Add for DoubleDouble {
    type Output = DoubleDouble;

    fn add(self, other: DoubleDouble) -> DoubleDouble {
        let (high, carry) = two_sum(self.high, other.high);
        let (low, rest) = two_sum(self.low, other.low);
        let (high, carry) = two_sum(high, carry + low);
        DoubleDouble::new(high, carry + rest)
    }
}

impl Neg for DoubleDouble {
    type Output = DoubleDouble;

    fn neg(self) -> DoubleDouble {
        DoubleDouble {
            high: -self.high,
            low: -self.low,
        }
    }
}

impl Sub for DoubleDouble {
    type Output = DoubleDouble;

    fn sub(self, other: DoubleDouble) -> DoubleDouble {
        self + -other
    }
}

impl Mul for DoubleDouble {
    type Output = DoubleDouble;

    fn mul(self, other: DoubleDouble) -> DoubleDouble {
        let product = self.high * other.high;
        let error = self.high.mul_add(other.high, -product);
        DoubleDouble::new(
            product,
            error + (self.high * other.low + self.low * other.high),
        )
    }
}

impl Div for DoubleDouble {
    type Output = DoubleDouble;

    fn div(self, other: DoubleDouble) -> DoubleDouble {
        let first = self.high / other.high;
        let rest = self - other * DoubleDouble::from(first);
        let second = rest.high / other.high;
        let rest = rest - other * DoubleDouble::from(second);
        DoubleDouble::new(first, second) + DoubleDouble::from(rest.high / other.high)
    }
}

impl std::iter::Sum for DoubleDouble {
    fn sum<I: Iterator<Item = DoubleDouble>>(numbers: I) -> DoubleDouble {
        numbers.fold(DoubleDouble::default(), Add::add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_product_divided_gives_the_factor_back(a in 1e-3..1e3_f64, b in 1e-3..1e3_f64) {
            let (a, b) = (DoubleDouble::from(a), DoubleDouble::from(b));
            let error = (a * b / b - a).to_f64() / a.to_f64();
            prop_assert!(error.abs() < 1e-30, "{error:e}");
        }

        #[test]
        fn a_root_squared_gives_the_number_back(a in 1e-6..1e6_f64) {
            let a = DoubleDouble::from(a);
            let error = (a.sqrt() * a.sqrt() - a).to_f64() / a.to_f64();
            prop_assert!(error.abs() < 1e-30, "{error:e}");
        }

        #[test]
        fn bytes_read_back(high in any::<f64>(), low in any::<f64>()) {
            let number = DoubleDouble { high, low };
            let back = DoubleDouble::from_le_bytes(&number.to_le_bytes()).unwrap();
            prop_assert_eq!(back.high.to_bits(), high.to_bits());
            prop_assert_eq!(back.low.to_bits(), low.to_bits());
        }
    }

    #[test]
    fn other_lengths_are_no_number() {
        for length in [0, 8, 15, 17] {
            assert_eq!(DoubleDouble::from_le_bytes(&vec![0; length]), None);
        }
    }
}
