//! Ochiai: how suspicious an element is by which tests ran it.
//!
//! e_f / √((e_f + n_f)(e_f + e_p)); Abreu, Zoeteweij and van Gemund, "On the Accuracy of
//! Spectrum-based Fault Localization" (2007).

/// How many tests of each outcome ran an element.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spectrum {
    /// Failing tests that ran it.
    pub failing: u32,
    /// Passing tests that ran it.
    pub passing: u32,
}

/// Returns the suspicion of an element, 0 to 1, when `all_failing` tests fail; 0 when none of those
/// ran it.
pub fn ochiai(ran: Spectrum, all_failing: u32) -> f64 {
    if ran.failing == 0 {
        return 0.0;
    }
    let failing = f64::from(ran.failing);
    let all = f64::from(all_failing.max(ran.failing));
    failing / (all * (failing + f64::from(ran.passing))).sqrt()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// By e_f, n_f and e_p, as the formula has them.
    fn of(failing: u32, not_run: u32, passing: u32) -> f64 {
        ochiai(Spectrum { failing, passing }, failing + not_run)
    }

    #[test]
    fn the_worked_examples_come_out() {
        for ((failing, not_run, passing), expected) in [
            ((1, 0, 0), 1.0),
            ((1, 0, 3), 0.5),
            ((2, 1, 2), 0.577_350),
            ((0, 1, 5), 0.0),
            ((0, 0, 0), 0.0),
        ] {
            let found = of(failing, not_run, passing);
            assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
        }
    }

    proptest! {
        #[test]
        fn it_lies_between_0_and_1_and_grows_with_failing_tests(
            failing in 0_u32..1000, all in 1_u32..1000, passing in 0_u32..1000,
        ) {
            let all = all.max(failing + 1);
            let less = ochiai(Spectrum { failing, passing }, all);
            let more = ochiai(Spectrum { failing: failing + 1, passing }, all);
            prop_assert!((0.0..=1.0).contains(&less) && (0.0..=1.0).contains(&more));
            prop_assert!(more > less);
        }
    }
}
