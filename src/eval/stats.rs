//! What counts of resolved instances show. Pure.

/// z of a two-sided interval of 95 %.
const Z: f64 = 1.959_964;

/// Returns the 95 % interval of a share, both ends 0 to 1; of nothing 0 and 1.
///
/// Wilson, "Probable Inference, the Law of Succession, and Statistical Inference" (1927).
pub fn wilson(successes: u32, all: u32) -> (f64, f64) {
    if all == 0 {
        return (0.0, 1.0);
    }
    let n = f64::from(all);
    let p = f64::from(successes.min(all)) / n;
    let square = Z * Z;
    let middle = p + square / (2.0 * n);
    let half = Z * (p * (1.0 - p) / n + square / (4.0 * n * n)).sqrt();
    let scale = 1.0 + square / n;
    (((middle - half) / scale).max(0.0), ((middle + half) / scale).min(1.0))
}

/// Returns the two-sided p of the exact test of McNemar: how likely a split of the instances that
/// only one side resolved is at least as uneven, were both sides equally good.
///
/// McNemar, "Note on the Sampling Error of the Difference Between Correlated Proportions" (1947),
/// exact by the binomial distribution with 1/2.
pub fn mcnemar(only_a: u32, only_b: u32) -> f64 {
    let n = only_a + only_b;
    let less = only_a.min(only_b);
    if n == 0 {
        return 1.0;
    }
    // In logarithms, for the coefficients of large n overflow.
    let mut term = -f64::from(n) * 2.0_f64.ln();
    let mut tail = term.exp();
    for k in 1..=less {
        term += (f64::from(n - k + 1) / f64::from(k)).ln();
        tail += term.exp();
    }
    (2.0 * tail).min(1.0)
}

/// Returns the least difference of two shares, 0 to 1, that is significant at 5 % in a paired
/// comparison of so many instances, where this share of them is resolved by one side only.
///
/// The normal approximation for paired proportions: z √(discordant / n).
pub fn detectable(all: u32, discordant: f64) -> f64 {
    if all == 0 {
        return 1.0;
    }
    (Z * (discordant.clamp(0.0, 1.0) / f64::from(all)).sqrt()).min(1.0)
}

/// Returns the chance that at least one of k samples is good, drawn without replacement from n of
/// which c are: 1 - C(n-c, k) / C(n, k).
///
/// Chen et al., "Evaluating Large Language Models Trained on Code" (2021).
pub fn pass_at(k: u32, samples: u32, good: u32) -> f64 {
    let (good, k) = (good.min(samples), k.min(samples));
    if k == 0 {
        return 0.0;
    }
    if samples - good < k {
        return 1.0;
    }
    let miss = (samples - good + 1..=samples).map(|n| 1.0 - f64::from(k) / f64::from(n));
    1.0 - miss.product::<f64>()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 5e-4, "{found} is not {expected}");
    }

    #[test]
    fn known_values_come_out() {
        let (low, high) = wilson(16, 20);
        near(low, 0.5840);
        near(high, 0.9193);
        near(wilson(0, 20).1, 0.1611);
        assert_eq!(wilson(0, 0), (0.0, 1.0));
        near(mcnemar(1, 9), 0.0215);
        near(mcnemar(5, 5), 1.0);
        near(mcnemar(0, 5), 0.0625);
        near(mcnemar(0, 0), 1.0);
        assert!(mcnemar(0, 3000) < 1e-300 && mcnemar(1500, 1500) > 0.99);
        near(detectable(500, 0.15), 0.0339);
        near(pass_at(1, 10, 3), 0.3);
        near(pass_at(5, 10, 3), 0.9167);
        near(pass_at(3, 3, 0), 0.0);
    }

    proptest! {
        #[test]
        fn shares_stay_shares(a in 0_u32..500, b in 0_u32..500, k in 0_u32..20) {
            let (low, high) = wilson(a, a + b);
            prop_assert!((0.0..=1.0).contains(&low) && low <= high && high <= 1.0);
            prop_assert!((0.0..=1.0).contains(&mcnemar(a, b)));
            prop_assert!((mcnemar(a, b) - mcnemar(b, a)).abs() < 1e-12);
            prop_assert!((0.0..=1.0).contains(&pass_at(k, a + b, a)));
        }
    }
}
