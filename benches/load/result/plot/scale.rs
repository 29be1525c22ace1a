//! Scales: where a value stands on an axis, and which values are written on it.

/// From values to pixels.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    logarithmic: bool,
}

impl Scale {
    /// From zero to a round value above `most`.
    #[must_use]
    pub fn linear(most: f64, from: f64, to: f64) -> Self {
        let most = if most > 0.0 { most } else { 1.0 };
        Self { low: 0.0, high: most, from, to, logarithmic: false }
    }

    /// From just below `least` to just above `most`, both above zero; equal steps are equal factors.
    #[must_use]
    pub fn logarithmic(least: f64, most: f64, from: f64, to: f64) -> Self {
        let least = if least > 0.0 { least } else { 1.0 };
        let most = most.max(least * 1.001);
        Self { low: least.ln(), high: most.ln(), from, to, logarithmic: true }
    }

    /// Where a value stands; what is outside stands at the end.
    #[must_use]
    pub fn at(&self, value: f64) -> f64 {
        let value = if self.logarithmic { value.max(f64::MIN_POSITIVE).ln() } else { value };
        let share = ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0);
        self.from + share * (self.to - self.from)
    }

    /// Round values on the axis, about `count` of them on a linear one.
    #[must_use]
    pub fn ticks(&self, count: usize) -> Vec<f64> {
        if self.logarithmic {
            return self.log_ticks();
        }
        let step = round_step((self.high - self.low) / count.max(1) as f64);
        (0..).map(|n| f64::from(n) * step).take_while(|value| *value <= self.high * 1.0001).collect()
    }

    /// 1, 2, 5 of every decade; where that is too much, 1 alone; where it is too little, equal steps.
    fn log_ticks(&self) -> Vec<f64> {
        let (least, most) = (self.low.exp(), self.high.exp());
        let fits = |value: &f64| *value >= least * 0.999 && *value <= most * 1.001;
        let decades = |of: &[f64]| -> Vec<f64> {
            let first = least.log10().floor() as i32;
            let last = most.log10().ceil() as i32;
            (first..=last).flat_map(|n| of.iter().map(move |step| step * 10f64.powi(n))).filter(fits).collect()
        };
        let (some, few) = (decades(&STEPS[..3]), decades(&STEPS[..1]));
        match () {
            () if some.len() < 3 => even_ticks(least, most),
            () if some.len() <= 9 => some,
            () => few,
        }
    }
}

const STEPS: [f64; 4] = [1.0, 2.0, 5.0, 10.0];

/// The round number at or above this.
fn round_step(rough: f64) -> f64 {
    let decade = 10f64.powf(rough.log10().floor());
    STEPS.iter().map(|step| step * decade).find(|step| *step >= rough).unwrap_or(rough)
}

/// About four multiples of a round number within.
fn even_ticks(least: f64, most: f64) -> Vec<f64> {
    let step = round_step((most - least) / 5.0);
    let first = (least / step).ceil() as i64;
    (first..).map(|n| n as f64 * step).take_while(|value| *value <= most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_where_they_belong() {
        let scale = Scale::linear(10.0, 100.0, 200.0);
        assert_eq!((scale.at(0.0), scale.at(5.0), scale.at(99.0)), (100.0, 150.0, 200.0));
        let scale = Scale::logarithmic(1.0, 100.0, 200.0, 0.0);
        assert!((scale.at(10.0) - 100.0).abs() < 1e-9);
        assert_eq!(scale.at(0.0), 200.0);
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(Scale::linear(9.0, 0.0, 1.0).ticks(5), [0.0, 2.0, 4.0, 6.0, 8.0]);
        assert_eq!(Scale::logarithmic(1.0, 10.0, 0.0, 1.0).ticks(5), [1.0, 2.0, 5.0, 10.0]);
        assert_eq!(Scale::logarithmic(1.0, 1e4, 0.0, 1.0).ticks(5), [1.0, 10.0, 100.0, 1e3, 1e4]);
        let near_one = Scale::logarithmic(0.93, 1.06, 0.0, 1.0).ticks(5);
        assert!(near_one.len() == 3 && (near_one[1] - 1.0).abs() < 1e-9, "{near_one:?}");
        assert!(Scale::linear(0.0, 0.0, 1.0).ticks(5).len() > 1, "nothing measured is drawn too");
    }
}
