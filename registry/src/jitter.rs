//! Randomness for state machines: seeded, so that the same seed gives the same story.

use std::time::Duration;

/// A small seeded generator (SplitMix64) for spreading retries. Not for secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jitter {
    state: u64,
}

impl Jitter {
    /// A generator that always gives the same numbers for this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A duration from `low` to `high`, both included, evenly spread in microseconds.
    pub fn between(&mut self, low: Duration, high: Duration) -> Duration {
        let micros = u64::try_from(high.saturating_sub(low).as_micros()).unwrap_or(u64::MAX);
        // The bias of the remainder is below 2^-20 for any span that fits a day.
        let offset = self.bits() % micros.saturating_add(1);
        low.saturating_add(Duration::from_micros(offset))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_within_its_bounds_and_reaches_both() {
        let mut jitter = Jitter::new(7);
        let (low, high) = (Duration::from_micros(10), Duration::from_micros(13));
        let drawn: Vec<_> = (0..200).map(|_| jitter.between(low, high)).collect();
        assert!(drawn.iter().all(|d| (low..=high).contains(d)));
        assert!(drawn.contains(&low) && drawn.contains(&high));
    }

    #[test]
    fn the_same_seed_gives_the_same_numbers() {
        let draw = |seed| {
            let mut jitter = Jitter::new(seed);
            (0..10).map(|_| jitter.bits()).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn an_empty_span_gives_its_start() {
        let at = Duration::from_secs(3);
        assert_eq!(Jitter::new(0).between(at, at), at);
        assert_eq!(Jitter::new(0).between(at, Duration::ZERO), at);
    }
}
