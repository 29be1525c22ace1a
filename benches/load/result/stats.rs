//! What rounds say: medians, how sure they are, and whether two runs differ by more than noise.
//!
//! Medians throughout: the time of a round has a long tail upwards, whenever something else had the core for a while, and the
//! median of ten such rounds moves by a percent from run to run where their mean moves by four. Ratios are compared by their
//! logarithms, so that twice and half are equally far from one.

use serde::Serialize;

/// The middle value; of an even number the mean of both.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    median_of(&mut sorted)
}

fn median_of(values: &mut [f64]) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        n if n % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

/// A median and the interval that holds the true one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// The median of the rounds.
    pub median: f64,
    /// The interval's lower end.
    pub low: f64,
    /// The interval's upper end.
    pub high: f64,
    /// How probably the interval holds the median of all rounds that could have been measured.
    pub coverage: f64,
}

impl Spread {
    /// The median of these rounds with the narrowest interval between two of them that holds the true median with this
    /// confidence. It is exact, whatever the distribution is: the true median lies outside the k-th value from either end
    /// exactly when fewer than k of n tosses of a coin come up heads. Where even the smallest and the largest do not reach
    /// the confidence, it is those, and `coverage` says what they reach: 0.75 of three rounds.
    ///
    /// `None`: there is no round.
    #[must_use]
    pub fn of(rounds: &[f64], confidence: f64) -> Option<Self> {
        let mut sorted = rounds.to_vec();
        let median = median_of(&mut sorted)?;
        let n = sorted.len();
        let reaches = |k: &usize| coverage(n, *k) >= confidence;
        let k = (0..n.div_ceil(2)).rev().find(reaches).unwrap_or(0);
        Some(Self { median, low: sorted[k], high: sorted[n - 1 - k], coverage: coverage(n, k) })
    }
}

/// How probably the true median lies between the values that have `k` others outside them on their side, of `n`.
fn coverage(n: usize, k: usize) -> f64 {
    let mut of_so_many_heads = 0.5f64.powi(i32::try_from(n).unwrap_or(i32::MAX));
    let mut outside = 0.0;
    for heads in 0..=k {
        outside += of_so_many_heads;
        of_so_many_heads *= (n - heads) as f64 / (heads + 1) as f64;
    }
    (1.0 - 2.0 * outside).max(0.0)
}

/// How far two runs are apart.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Difference {
    /// The second run as a multiple of the first: the median of every round of the one over every round of the other.
    pub ratio: f64,
    /// The lower end of the interval that holds the true ratio.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

/// Rounds that a run needs before it is compared: of fewer, no order of theirs is improbable enough.
pub const ROUNDS_MIN: usize = 5;
/// Rounds that a run has at the most: the exact distribution costs the third power of them.
pub const ROUNDS_MAX: usize = 50;
/// What is noise in any case: the same program started anew, with other addresses and another order of its connections in
/// memory, moves by so much however many rounds there are.
pub const NOISE_MIN: f64 = 1.03;

/// Compares the rounds of two runs by the rank-sum test of Wilcoxon, Mann and Whitney, which asks for no distribution and
/// minds no outlier. The ratio is the estimate of Hodges and Lehmann that goes with it, and the interval holds all ratios that
/// the test does not refuse at the level `alpha`; its distribution is counted out, not approximated.
///
/// `None`: one of them has fewer than [`ROUNDS_MIN`] rounds or more than [`ROUNDS_MAX`], a value that is not above zero, or
/// there are too few for this level.
#[must_use]
pub fn difference(first: &[f64], second: &[f64], alpha: f64) -> Option<Difference> {
    let rounds = ROUNDS_MIN..=ROUNDS_MAX;
    let positive = |value: &f64| value.is_finite() && *value > 0.0;
    let fit = |run: &[f64]| rounds.contains(&run.len()) && run.iter().all(positive);
    if !fit(first) || !fit(second) {
        return None;
    }
    let mut ratios: Vec<f64> = second.iter().flat_map(|b| first.iter().map(move |a| b / a)).collect();
    let ratio = median_of(&mut ratios)?;
    let outside = outside_of_interval(first.len(), second.len(), alpha)?;
    Some(Difference { ratio, low: ratios[outside], high: ratios[ratios.len() - 1 - outside] })
}

/// How many of the ordered ratios stand outside the interval on each side. `None`: not even all of them reach the level.
fn outside_of_interval(n: usize, m: usize, alpha: f64) -> Option<usize> {
    let ways = ways_by_rank_sum(n, m);
    let all: f64 = ways.iter().sum();
    let mut tail = 0.0;
    let below = ways.iter().take_while(|ways| {
        tail += **ways;
        2.0 * tail / all <= alpha
    });
    below.count().checked_sub(1)
}

/// In how many ways the rounds of two runs can be ordered so that the sum of the first one's ranks is the smallest possible
/// one, one more, and so on.
fn ways_by_rank_sum(n: usize, m: usize) -> Vec<f64> {
    // ways[k][u]: of choosing k of the ranks so far with a sum that is u above the smallest possible one.
    let most = n * m;
    let mut ways = vec![vec![0.0; most + 1]; n + 1];
    ways[0][0] = 1.0;
    for rank in 0..n + m {
        for chosen in (0..n.min(rank + 1)).rev() {
            // As the (chosen + 1)-th smallest, this rank stands so many above the smallest possible.
            let above = rank - chosen;
            for u in (above..=most.min(above * (chosen + 1))).rev() {
                ways[chosen + 1][u] += ways[chosen][u - above];
            }
        }
    }
    ways.swap_remove(n)
}

impl Difference {
    /// Whether the runs are farther apart than noise: the interval leaves no difference out, and it is more than
    /// `NOISE_MIN`.
    #[must_use]
    pub fn is_real(&self) -> bool {
        (self.low > 1.0 || self.high < 1.0) && self.ratio.max(1.0 / self.ratio) > NOISE_MIN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    #[test]
    fn an_interval_is_between_rounds_and_says_how_sure_it_is() {
        let of = |n: u32| Spread::of(&(1..=n).map(f64::from).collect::<Vec<_>>(), 0.95).unwrap();
        assert_eq!(of(3), Spread { median: 2.0, low: 1.0, high: 3.0, coverage: 0.75 });
        assert_eq!(of(5).coverage, 0.9375);
        assert_eq!(of(6), Spread { median: 3.5, low: 1.0, high: 6.0, coverage: 0.96875 });
        let ten = of(10);
        assert_eq!((ten.low, ten.high), (2.0, 9.0));
        assert!((ten.coverage - 0.978_515_625).abs() < 1e-12, "from the binomial distribution: {}", ten.coverage);
        assert_eq!(of(1), Spread { median: 1.0, low: 1.0, high: 1.0, coverage: 0.0 });
        assert_eq!(Spread::of(&[], 0.95), None);
    }

    #[test]
    fn rank_sums_are_counted_out() {
        assert_eq!(ways_by_rank_sum(2, 2), [1.0, 1.0, 2.0, 1.0, 1.0]);
        assert_eq!(ways_by_rank_sum(3, 1), [1.0; 4]);
        assert_eq!(ways_by_rank_sum(10, 10).iter().sum::<f64>(), 184_756.0);
        // From the tables: U at 5 % is 2 of 5 and 5 rounds, and 23 of 10 and 10.
        assert_eq!(outside_of_interval(5, 5, 0.05), Some(2));
        assert_eq!(outside_of_interval(10, 10, 0.05), Some(23));
        assert_eq!(outside_of_interval(5, 5, 0.001), None);
    }

    #[test]
    fn a_difference_is_symmetric() {
        let first = [1.0, 1.02, 0.99, 1.3, 1.01, 0.98];
        let second = first.map(|value| value * 1.4);
        let up = difference(&first, &second, 0.05).unwrap();
        let down = difference(&second, &first, 0.05).unwrap();
        assert!(up.is_real() && down.is_real());
        assert!((up.ratio * down.ratio - 1.0).abs() < 1e-9 && (up.ratio - 1.4).abs() < 1e-9, "{up:?}");
        assert!(!difference(&first, &first, 0.05).unwrap().is_real());
    }

    #[test]
    fn a_small_difference_is_noise_however_clear() {
        let first = [1.0, 1.000_1, 0.999_9, 1.000_2, 0.999_8];
        assert!(!difference(&first, &first.map(|value| value * 1.02), 0.05).unwrap().is_real());
        assert!(difference(&first, &first.map(|value| value * 1.04), 0.05).unwrap().is_real());
    }

    #[test]
    fn few_rounds_and_senseless_ones_are_not_compared() {
        let some = [1.0; 5];
        assert_eq!(difference(&some, &[1.0; 4], 0.05), None);
        assert_eq!(difference(&some, &[1.0; 51], 0.05), None);
        assert_eq!(difference(&[0.0; 5], &some, 0.05), None);
        assert_eq!(difference(&some, &[f64::NAN; 5], 0.05), None);
        assert_eq!(difference(&some, &some, 0.05), Some(Difference { ratio: 1.0, low: 1.0, high: 1.0 }));
    }
}
