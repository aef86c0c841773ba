//! The functions between the matrix products, written so that the compiler turns each loop into
//! vector instructions: they are inlined into code compiled for the processor at hand.

/// Partial sums kept apart: floating-point addition may not be reordered by the compiler.
const LANES: usize = 16;

/// Scales a row to mean 0 and variance 1, then by the learned `scale` and `shift`.
#[inline(always)]
pub(super) fn layer_norm(row: &mut [f32], scale: &[f32], shift: &[f32], epsilon: f32) {
    let count = row.len() as f32;
    let mean = sum(row, |x| x) / count;
    let variance = sum(row, |x| (x - mean) * (x - mean)) / count;
    let factor = 1.0 / (variance + epsilon).sqrt();
    for ((x, scale), shift) in row.iter_mut().zip(scale).zip(shift) {
        *x = (*x - mean) * factor * scale + shift;
    }
}

/// Turns scores into shares that sum to 1.
#[inline(always)]
pub(super) fn softmax(row: &mut [f32]) {
    let highest = highest(row);
    for x in row.iter_mut() {
        *x = exp(*x - highest);
    }
    let factor = 1.0 / sum(row, |x| x);
    for x in row.iter_mut() {
        *x *= factor;
    }
}

/// x · Φ(x), exact (by erf), as the model was trained; not the tanh approximation.
#[inline(always)]
pub(super) fn gelu(row: &mut [f32]) {
    for x in row.iter_mut() {
        *x = 0.5 * *x * (1.0 + erf(*x * std::f32::consts::FRAC_1_SQRT_2));
    }
}

#[inline(always)]
fn sum(row: &[f32], term: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0.0; LANES];
    let (chunks, rest) = row.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane += term(*x);
        }
    }
    lanes.iter().sum::<f32>() + rest.iter().map(|x| term(*x)).sum::<f32>()
}

#[inline(always)]
fn highest(row: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (chunks, rest) = row.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane = if *x > *lane { *x } else { *lane };
        }
    }
    lanes.iter().chain(rest).copied().fold(f32::NEG_INFINITY, f32::max)
}

/// e^x for x ≤ 0, within 2e-7 of the value: Cephes' polynomial after taking out powers of two.
#[inline(always)]
fn exp(x: f32) -> f32 {
    const LOWEST: f32 = -87.0;
    // Adding this rounds to a whole number, which then stands in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    const EXPONENT_BIAS: u32 = 127;
    let x = if x < LOWEST { LOWEST } else { x };
    let rounded = x * std::f32::consts::LOG2_E + ROUND;
    let power = rounded - ROUND;
    let r = x - power * LN_2_HIGH - power * LN_2_LOW;
    let mut p = 1.987_569_1e-4;
    for c in [1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        p = p * r + c;
    }
    let mantissa = p * r * r + r + 1.0;
    mantissa * f32::from_bits(rounded.to_bits().wrapping_add(EXPONENT_BIAS) << 23)
}

/// The error function within 4e-7: Eigen's rational approximation on [-4, 4].
#[inline(always)]
fn erf(x: f32) -> f32 {
    const LIMIT: f32 = 4.0;
    let x = if x < -LIMIT { -LIMIT } else { x };
    let x = if x > LIMIT { LIMIT } else { x };
    let square = x * x;
    let mut p = -2.726_142e-10;
    for c in [
        2.770_681_4e-8,
        -2.101_024e-6,
        -5.692_506_4e-5,
        -7.349_906_3e-4,
        -2.954_6e-3,
        -1.609_603_3e-2,
    ] {
        p = p * square + c;
    }
    let mut q = -1.456_607_2e-5;
    for c in [-2.133_740_6e-4, -1.682_827e-3, -7.373_329_2e-3, -1.426_473_9e-2] {
        q = q * square + c;
    }
    x * p / q
}

#[cfg(test)]
mod tests {
    use super::*;

    /// erf by its Taylor series in double precision, exact to far below f32 on [-4, 4].
    fn erf_exact(x: f64) -> f64 {
        let mut term = x;
        let mut total = x;
        for n in 1..200 {
            term *= -x * x / f64::from(n);
            total += term / f64::from(2 * n + 1);
        }
        total * 2.0 / std::f64::consts::PI.sqrt()
    }

    #[test]
    fn erf_and_exp_are_exact_to_single_precision() {
        for i in -4000..=4000 {
            let x = i as f32 / 1000.0;
            let error = (f64::from(erf(x)) - erf_exact(f64::from(x))).abs();
            assert!(error < 4e-7, "erf({x}) is off by {error}");
        }
        for i in 0..=8700 {
            let x = -(i as f32) / 100.0;
            let exact = f64::from(x).exp();
            let error = (f64::from(exp(x)) - exact).abs() / exact;
            assert!(error < 2e-7, "exp({x}) is off by {error} of it");
        }
        assert!(exp(f32::NEG_INFINITY) < 1e-37);
    }

    #[test]
    fn gelu_passes_large_values_and_stops_negative_ones() {
        let mut row = [-20.0, -1.0, 0.0, 1.0, 20.0];
        gelu(&mut row);
        for (x, expected) in row.iter().zip([0.0, -0.158_655_26, 0.0, 0.841_344_7, 20.0]) {
            assert!((x - expected).abs() < 1e-5, "{x} is not {expected}");
        }
    }

    #[test]
    fn softmax_shares_sum_to_one_and_survive_large_scores() {
        let mut row: Vec<f32> = (0..37).map(|i| i as f32 * 10.0).collect();
        softmax(&mut row);
        assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        assert!(row[36] > 0.999 && row.is_sorted());
    }

    #[test]
    fn layer_norm_centres_scales_and_shifts() {
        let mut row: Vec<f32> = (0..40).map(|i| i as f32).collect();
        layer_norm(&mut row, &[2.0; 40], &[1.0; 40], 1e-12);
        let mean = row.iter().sum::<f32>() / 40.0;
        let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / 40.0;
        assert!((mean - 1.0).abs() < 1e-5 && (variance - 4.0).abs() < 1e-4, "{mean} {variance}");
    }
}
