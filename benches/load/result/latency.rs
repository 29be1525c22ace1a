//! Latencies of a turn and of all turns.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Nanoseconds at which so many in a hundred had arrived.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Percentiles {
    /// Half of them.
    pub p50: u64,
    /// Nine of ten.
    pub p90: u64,
    /// 99 of a hundred.
    pub p99: u64,
    /// 999 of a thousand.
    pub p999: u64,
    /// All.
    pub max: u64,
}

/// A distribution of latencies.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Copies.
    pub count: u64,
    /// Nanoseconds.
    pub mean_ns: f64,
    /// Nanoseconds.
    pub deviation_ns: f64,
    /// Nanoseconds.
    pub max_ns: u64,
    /// Steps, finer towards the end: quantile, nanoseconds, and how many took no longer.
    pub steps: Vec<(f64, u64, u64)>,
}

impl Percentiles {
    /// Those of a histogram.
    #[must_use]
    pub fn of(histogram: &Histogram<u64>) -> Self {
        let at = |quantile| histogram.value_at_quantile(quantile);
        Self { p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999), max: histogram.max() }
    }
}

impl Latency {
    /// Steps per halving of what is left to one.
    const STEPS_PER_HALF: u32 = 5;
    /// Quantiles that summaries tell.
    const TOLD: [f64; 4] = [0.5, 0.9, 0.99, 0.999];

    /// That of a histogram.
    #[must_use]
    pub fn of(histogram: &Histogram<u64>) -> Self {
        let mut count = 0;
        let step = |step: hdrhistogram::iterators::IterationValue<u64>| {
            count += step.count_since_last_iteration();
            (step.quantile_iterated_to(), step.value_iterated_to(), count)
        };
        let mut steps: Vec<_> = histogram.iter_quantiles(Self::STEPS_PER_HALF).map(step).collect();
        if !histogram.is_empty() {
            Self::TOLD.into_iter().for_each(|quantile| Self::add_step(&mut steps, histogram, quantile));
        }
        Self {
            count: histogram.len(),
            mean_ns: histogram.mean(),
            deviation_ns: histogram.stdev(),
            max_ns: histogram.max(),
            steps,
        }
    }

    /// Has a quantile among the steps, which would lie between two of them otherwise.
    fn add_step(steps: &mut Vec<(f64, u64, u64)>, histogram: &Histogram<u64>, quantile: f64) {
        let at = steps.partition_point(|(reached, ..)| *reached < quantile);
        if steps.get(at).is_none_or(|(reached, ..)| *reached > quantile) {
            let ns = histogram.value_at_quantile(quantile);
            steps.insert(at, (quantile, ns, histogram.count_between(0, ns)));
        }
    }

    /// Nanoseconds within which that share had arrived.
    #[must_use]
    pub fn at(&self, quantile: f64) -> u64 {
        self.steps.iter().find(|(reached, ..)| *reached >= quantile).map_or(self.max_ns, |(_, ns, _)| *ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_of_all_rounds_is_what_the_histogram_says() {
        let mut histogram = crate::result::outcome::Measured::nothing().latency;
        (1..=10_000u64).for_each(|us| histogram.saturating_record(us * 1000));
        let latency = Latency::of(&histogram);
        let Percentiles { p50, p90, p99, p999, max } = Percentiles::of(&histogram);
        assert_eq!([0.5, 0.9, 0.99, 0.999].map(|quantile| latency.at(quantile)), [p50, p90, p99, p999]);
        assert_eq!((latency.at(1.0), latency.max_ns), (max, max));
        assert!(latency.steps.is_sorted_by(|a, b| a.0 <= b.0 && a.1 <= b.1 && a.2 <= b.2), "{:?}", latency.steps);
        assert!(p99.abs_diff(9_900_000) < 10_000, "three figures of it: {p99}");
        assert_eq!(Latency::of(&crate::result::outcome::Measured::nothing().latency).at(0.99), 0);
    }
}
