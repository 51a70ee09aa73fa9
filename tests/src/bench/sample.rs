//! Medians and percentiles of what was measured.

/// Figures of one kind, in the order of size.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    sorted: Vec<f64>,
}

impl Sample {
    /// The middle one, or the mean of the middle two; NaN of none.
    pub(crate) fn median(&self) -> f64 {
        let (low, high) = (self.sorted.len().saturating_sub(1) / 2, self.sorted.len() / 2);
        match (self.sorted.get(low), self.sorted.get(high)) {
            (Some(a), Some(b)) => (a + b) / 2.0,
            _ => f64::NAN,
        }
    }

    /// The smallest one that 95 of 100 do not exceed; NaN of none.
    pub(crate) fn p95(&self) -> f64 {
        self.percentile(95)
    }

    /// The smallest one that 99 of 100 do not exceed; NaN of none.
    pub(crate) fn p99(&self) -> f64 {
        self.percentile(99)
    }

    fn percentile(&self, percent: usize) -> f64 {
        let rank = (self.sorted.len() * percent).div_ceil(100);
        self.sorted.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
    }

    /// The smallest one; NaN of none.
    pub(crate) fn min(&self) -> f64 {
        self.sorted.first().copied().unwrap_or(f64::NAN)
    }

    /// The largest one; NaN of none.
    pub(crate) fn max(&self) -> f64 {
        self.sorted.last().copied().unwrap_or(f64::NAN)
    }
}

impl FromIterator<f64> for Sample {
    fn from_iter<I: IntoIterator<Item = f64>>(figures: I) -> Self {
        let mut sorted: Vec<f64> = figures.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        Self { sorted }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_few_and_of_many() {
        let median = |figures: &[f64]| figures.iter().copied().collect::<Sample>().median();
        assert_eq!(median(&[3.0]), 3.0);
        assert_eq!(median(&[4.0, 1.0]), 2.5);
        assert_eq!(median(&[9.0, 1.0, 5.0]), 5.0);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn percentiles_leave_5_and_1_of_100_above() {
        let hundred: Sample = (1..=100).rev().map(f64::from).collect();
        assert_eq!((hundred.min(), hundred.p95(), hundred.p99(), hundred.max()), (1.0, 95.0, 99.0, 100.0));
        assert_eq!([7.0].into_iter().collect::<Sample>().p95(), 7.0);
    }
}
