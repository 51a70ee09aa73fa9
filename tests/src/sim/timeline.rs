//! What happened, for people: the last lines of a story.

use std::collections::VecDeque;
use std::collections::hash_map::DefaultHasher;
use std::fmt::{Arguments, Write};
use std::hash::{Hash, Hasher};

use fleet_registry::Mono;

/// How many lines are kept.
const KEPT: usize = 400;

/// The last lines of a story, and a digest of all of them.
#[derive(Debug)]
pub(super) struct Timeline {
    lines: VecDeque<String>,
    digest: DefaultHasher,
    dropped: usize,
}

impl Timeline {
    pub(super) fn new() -> Self {
        Self { lines: VecDeque::with_capacity(KEPT), digest: DefaultHasher::new(), dropped: 0 }
    }

    /// Adds a line.
    pub(super) fn push(&mut self, now: Mono, who: &str, what: Arguments<'_>) {
        // The longest-lived line gives its room to the newest.
        let mut line = match self.lines.len() {
            KEPT => {
                self.dropped += 1;
                self.lines.pop_front().unwrap_or_default()
            }
            _ => String::new(),
        };
        line.clear();
        let _ = write!(line, "{:>9.3} {who:<9} {what}", now.as_secs_f64());
        line.hash(&mut self.digest);
        self.lines.push_back(line);
    }

    /// The same for two stories only if they are the same to the letter.
    pub(super) fn digest(&self) -> u64 {
        self.digest.finish()
    }

    /// The last lines, oldest first.
    pub(super) fn render(&self) -> String {
        let mut text = match self.dropped {
            0 => String::new(),
            n => format!("({n} earlier lines)\n"),
        };
        for line in &self.lines {
            text.push_str(line);
            text.push('\n');
        }
        text
    }
}
