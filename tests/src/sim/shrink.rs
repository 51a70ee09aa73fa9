//! Makes a story that fails as short as it can be while it still fails in the same way.

use super::story::{Outcome, Story};

/// Tellings that may be spent on it.
const BUDGET: u32 = 400;
/// Steps that may be spent on it, so that it ends even where every telling is long: some ten seconds.
const STEPS: u64 = 2_000_000;

/// What kind of failure it is: its words without names and numbers.
fn class(outcome: &Outcome) -> Option<String> {
    let numberless = |word: &&str| !word.contains(|c: char| c.is_ascii_digit());
    let words = |what: &String| what.split_whitespace().filter(numberless).take(6).collect::<Vec<_>>().join(" ");
    outcome.violation.as_ref().map(words)
}

struct Shrinker {
    best: Story,
    outcome: Outcome,
    left: u32,
    steps: u64,
}

impl Shrinker {
    /// Takes this story if it fails as the best one does.
    fn try_story(&mut self, story: Story) -> bool {
        if self.left == 0 || self.steps == 0 {
            return false;
        }
        self.left -= 1;
        let outcome = story.tell();
        self.steps = self.steps.saturating_sub(outcome.steps);
        let same = class(&outcome) == class(&self.outcome);
        if same {
            (self.best, self.outcome) = (story, outcome);
        }
        same
    }

    /// The smallest number that still fails in place of the story's own.
    fn fewer(&mut self, now: usize, set: impl Fn(&mut Story, usize)) {
        for count in [1, 2, 3, 4, 5, 7, 10, 15, 20, 30].into_iter().filter(|count| *count < now) {
            let mut story = self.best.clone();
            set(&mut story, count);
            if self.try_story(story) {
                return;
            }
        }
    }

    /// Leaves out what can be left out, in ever smaller pieces.
    fn less(&mut self) {
        let mut size = self.best.steps().len().div_ceil(2);
        while size > 0 {
            let mut at = 0;
            while let keep = self.best.keep.clone().unwrap_or_default()
                && at < keep.len()
            {
                let rest = keep.iter().enumerate().filter(|(n, _)| *n < at || *n >= at + size);
                let keep = Some(rest.map(|(_, step)| *step).collect());
                if !self.try_story(Story { keep, ..self.best.clone() }) {
                    at += size;
                }
            }
            size = if size == 1 { 0 } else { size.div_ceil(2) };
        }
    }
}

/// The shortest story found that fails as this one does, with its outcome.
#[must_use]
pub fn shrink(story: &Story, outcome: Outcome) -> (Story, Outcome) {
    let keep = Some(story.steps().into_iter().map(|(n, _)| n).collect());
    let mut shrinker = Shrinker { best: Story { keep, ..story.clone() }, outcome, left: BUDGET, steps: STEPS };
    shrinker.less();
    let (machines, units) = (shrinker.best.machines, shrinker.best.units);
    shrinker.fewer(machines, |story, count| story.machines = count);
    shrinker.fewer(units, |story, count| story.units = count);
    shrinker.less();
    (shrinker.best, shrinker.outcome)
}
