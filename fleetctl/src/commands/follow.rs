//! Following a watch through interruptions of the connection: fleetd may be away for a while, as it is while it is
//! upgraded, and a person who waits hears of it once.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use fleet_api::v2::WatchLine;
use fleet_api::{ApiError, Client};
use futures::Stream;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep};

use super::words;
use crate::error::CommandError;
use crate::output::Output;

/// How often a person hears what is waited for, if it has changed.
const PROGRESS: Duration = Duration::from_secs(1);
/// How long fleetd may be away.
const AWAY: Duration = Duration::from_secs(30);
/// How often it is tried again.
const RETRY: Duration = Duration::from_millis(300);
/// How many units a person hears of at once.
pub(super) const SHOWN: usize = 5;

/// What a watch tells.
pub(super) trait Lines: Stream<Item = Result<WatchLine, ApiError>> {}
impl<S: Stream<Item = Result<WatchLine, ApiError>>> Lines for S {}

/// Something that is followed until it is over.
pub(super) trait Followed {
    /// What it is called where it cannot go on: "Error waiting for units".
    const DOING: &'static str;

    /// Whether nothing is left to follow.
    fn is_over(&self) -> bool;

    /// The units to watch; none are all.
    fn names(&self) -> &[String];

    /// Reads one watch until it breaks, ends, or nothing is left to follow.
    async fn read(&mut self, lines: impl Lines) -> Result<Result<(), ApiError>, CommandError>;

    /// Where a person hears of it.
    fn output(&mut self) -> &mut Output;
}

/// Follows something until it is over, watch after watch.
pub(super) async fn follow<F: Followed>(followed: &mut F, client: &Client) -> Result<(), CommandError> {
    let mut last_word = Instant::now();
    let mut is_away = false;
    while !followed.is_over() {
        let read = match client.watch_units(followed.names()).await {
            Ok(lines) => {
                let begin = Instant::now();
                let read = followed.read(lines).await?;
                // A watch that broke at once said nothing.
                if Instant::now() > begin + RETRY {
                    last_word = Instant::now();
                    is_away = false;
                }
                read
            }
            Err(error) => Err(error),
        };
        let Err(error) = read else {
            // A watch that ends though there is more to see is begun again, but not over and over.
            if !followed.is_over() {
                sleep(RETRY).await;
            }
            continue;
        };
        if !is_passing(&error) || Instant::now() > last_word + AWAY {
            return Err(CommandError::doing(F::DOING)(error));
        }
        if !std::mem::replace(&mut is_away, true) {
            writeln!(followed.output().err()?, "{error}; trying again")?;
        }
        sleep(RETRY).await;
    }
    Ok(())
}

/// When to say what is waited for.
pub(super) async fn progress() -> Interval {
    let mut progress = interval(PROGRESS);
    progress.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick comes at once, when nobody has had to wait yet.
    progress.tick().await;
    progress
}

/// What was last said of each unit that is waited for.
#[derive(Default)]
pub(super) struct Said(BTreeMap<String, String>);

impl Said {
    /// What there is to say of units, each with what it is at: of a few of them, where that has changed.
    fn news<A: AsRef<str>>(&mut self, pending: impl Iterator<Item = (impl AsRef<str>, A)>) -> Vec<String> {
        let mut rest = 0;
        let mut lines = Vec::new();
        for (index, (name, at)) in pending.enumerate() {
            let (name, at) = (name.as_ref(), at.as_ref());
            if index >= SHOWN {
                rest += 1;
            } else if self.0.get(name).map(String::as_str) != Some(at) {
                lines.push(words::waiting(name, at));
                self.0.insert(name.to_owned(), at.to_owned());
            }
        }
        if rest > 0 && !lines.is_empty() {
            lines.push(format!("… and for {rest} more"));
        }
        lines
    }

    /// Says it.
    pub(super) fn say<A: AsRef<str>>(
        &mut self,
        pending: impl Iterator<Item = (impl AsRef<str>, A)>,
        output: &mut Output,
    ) -> Result<(), CommandError> {
        for line in self.news(pending) {
            writeln!(output.err()?, "{line}")?;
        }
        Ok(())
    }
}

/// Whether it may be over in a moment: fleetd restarts, or its registry does.
fn is_passing(error: &ApiError) -> bool {
    match error {
        ApiError::Unreachable { .. } | ApiError::TimedOut { .. } | ApiError::Broken { .. } => true,
        ApiError::Refused { status, .. } => *status == 503,
        ApiError::BadAnswer { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A person who waits for a minute would read the same line sixty times.
    #[test]
    fn what_has_not_changed_is_said_once() {
        let mut said = Said::default();
        let pending = |at: &'static str| (0..7).map(move |n| (format!("u{n}"), if n == 1 { at } else { "starting" }));
        let lines = said.news(pending("starting"));
        assert_eq!((lines.len(), lines[SHOWN].as_str()), (SHOWN + 1, "… and for 2 more"));
        assert_eq!(said.news(pending("starting")), [""; 0]);
        let lines = said.news(pending("loading"));
        assert_eq!(lines, [words::waiting("u1", "loading").as_str(), "… and for 2 more"]);
    }
}
