//! The inner loop: blocks of terms on vectors, one division for eight terms.
//!
//! Around an even centre c, the eight odd numbers c ± 1, c ± 3, c ± 5, c ± 7
//! give, with t = c²,
//!
//! ```text
//!   1/(c−j)² + 1/(c+j)²  =  2 (t + j²) / (t − j²)²        for j = 1, 3, 5, 7
//! ```
//!
//! and four such fractions are joined over one denominator. Denominators stay
//! below 1e308 while c < 2⁵³.
//!
//! # Safety
//!
//! `unsafe` here is the call of a function compiled for a processor feature,
//! after asking whether the processor has it.
#![allow(unsafe_code)]

/// Terms that one step of the vector loop takes off.
const TERMS_PER_LANE: u64 = 8;

/// Which instructions compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kernel {
    /// Whatever the compilation target has (SSE2, NEON).
    Portable,
    /// 256-bit vectors with fused multiply-add.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// 512-bit vectors.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Kernel {
    /// Returns the fastest kernel that this processor supports.
    ///
    /// # Cost
    /// The first call in a process executes CPUID, which a virtual machine
    /// traps: ask before forking workers.
    #[must_use]
    pub fn detect() -> Kernel {
        *Kernel::available().last().unwrap_or(&Kernel::Portable)
    }

    /// Returns all kernels that this processor supports, slowest first.
    #[must_use]
    pub fn available() -> Vec<Kernel> {
        #[allow(unused_mut, reason = "only x86-64 adds to it")]
        let mut kernels = vec![Kernel::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                kernels.push(Kernel::Avx2);
            }
            if is_x86_feature_detected!("avx512f") {
                kernels.push(Kernel::Avx512);
            }
        }
        kernels
    }

    /// Terms that one step takes.
    pub(crate) fn stride(self) -> u64 {
        TERMS_PER_LANE * self.lanes()
    }

    fn lanes(self) -> u64 {
        match self {
            Kernel::Portable => 8,
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2 => 16,
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx512 => 32,
        }
    }

    /// Σ 1/(2k+1)² over `steps` steps of [`stride`](Kernel::stride) terms from
    /// k = `start`.
    pub(crate) fn sum(self, start: u64, steps: u64) -> f64 {
        match self {
            Kernel::Portable => portable(start, steps),
            // SAFETY: `available` found AVX2 and FMA before it named this.
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2 => unsafe { avx2(start, steps) },
            // SAFETY: `available` found AVX-512F before it named this.
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx512 => unsafe { avx512(start, steps) },
        }
    }
}

/// Centre of the first lane: the eight odd numbers from 2·start + 1.
fn first_centre(start: u64) -> f64 {
    (2 * start + 8) as f64
}

/// Sixteen units lie between the centres of neighbouring lanes.
const CENTRE_STEP: f64 = 16.0;

macro_rules! body {
    ($lanes:expr, $fused:expr, $start:expr, $steps:expr) => {{
        const LANES: usize = $lanes;
        let first = first_centre($start);
        let mut centre: [f64; LANES] =
            std::array::from_fn(|lane| first + CENTRE_STEP * lane as f64);
        let mut sum = [0.0; LANES];
        for _ in 0..$steps {
            for lane in 0..LANES {
                let c = centre[lane];
                let t = c * c;
                let numerator = |j: f64| t + j;
                let root = |j: f64| t - j;
                let (n1, n3, n5, n7) = (
                    numerator(1.0),
                    numerator(9.0),
                    numerator(25.0),
                    numerator(49.0),
                );
                let (r1, r3, r5, r7) = (root(1.0), root(9.0), root(25.0), root(49.0));
                let (d1, d3, d5, d7) = (r1 * r1, r3 * r3, r5 * r5, r7 * r7);
                let mul_add = |a: f64, b: f64, c: f64| {
                    if $fused { a.mul_add(b, c) } else { a * b + c }
                };
                let (n13, d13) = (mul_add(n1, d3, n3 * d1), d1 * d3);
                let (n57, d57) = (mul_add(n5, d7, n7 * d5), d5 * d7);
                sum[lane] += mul_add(n13, d57, n57 * d13) / (d13 * d57);
                centre[lane] = c + CENTRE_STEP * LANES as f64;
            }
        }
        // The factor 2 of every numerator.
        2.0 * sum.iter().sum::<f64>()
    }};
}

fn portable(start: u64, steps: u64) -> f64 {
    body!(8, cfg!(target_arch = "aarch64"), start, steps)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2(start: u64, steps: u64) -> f64 {
    body!(16, true, start, steps)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,fma")]
fn avx512(start: u64, steps: u64) -> f64 {
    body!(32, true, start, steps)
}
