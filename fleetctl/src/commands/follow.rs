//! Following a watch through interruptions of the connection: fleetd may be away for a while, as it is while it is
//! upgraded, and a person who waits hears of it once.

use std::io::Write;
use std::time::Duration;

use fleet_api::v2::WatchLine;
use fleet_api::{ApiError, Client};
use futures::Stream;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep};

use crate::error::CommandError;
use crate::output::Output;

/// How often a person hears what is waited for, if it has changed.
const PROGRESS: Duration = Duration::from_secs(1);
/// How long fleetd may be away.
const AWAY: Duration = Duration::from_secs(30);
/// How often it is tried again.
const RETRY: Duration = Duration::from_millis(300);

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
        let Err(error) = read else { continue };
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

/// Whether it may be over in a moment: fleetd restarts, or its registry does.
fn is_passing(error: &ApiError) -> bool {
    match error {
        ApiError::Unreachable { .. } | ApiError::TimedOut { .. } | ApiError::Broken { .. } => true,
        ApiError::Refused { status, .. } => *status == 503,
        ApiError::BadAnswer { .. } => false,
    }
}
