//! Calls that fleetd wants to be made again later: it says after how many seconds (`Retry-After`), when it has no room
//! for a request, or no registry to ask.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hyper::HeaderMap;
use hyper::header::RETRY_AFTER;
use tokio::time::{Instant, sleep, timeout_at};

use super::Client;
use crate::ApiError;

/// The longest pause between two attempts that is grown into.
const LONGEST: Duration = Duration::from_secs(5);
/// Attempts of many clients are spread over so many milliseconds, so that they don't come all at once again.
const SPREAD_MS: u64 = 500;
/// More of the same are being handled than are taken: nothing was begun of this one.
const NOT_BEGUN: u16 = 429;

/// Whether a call that was refused may be made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeat {
    /// Making it twice is the same as making it once.
    Safe,
    /// Only where it is sure that the first one did nothing.
    IfNotBegun,
}

/// A call that failed, and after which time fleetd wants it to be made again.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) error: ApiError,
    pub(super) after: Option<Duration>,
}

impl From<ApiError> for Failed {
    fn from(error: ApiError) -> Self {
        Self { error, after: None }
    }
}

/// What the header says; a date is none of fleetd's.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

impl Client {
    /// Makes a call until it is answered, within the time that an answer may take. When that is over, the last refusal is
    /// the answer.
    pub(super) async fn again<T, F>(&self, repeat: Repeat, call: impl Fn() -> F) -> Result<T, ApiError>
    where
        F: Future<Output = Result<T, Failed>>,
    {
        let deadline = Instant::now() + self.request_timeout;
        let mut attempts = 0;
        let mut refused = None;
        loop {
            let failed = match timeout_at(deadline, call()).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(failed)) => failed,
                Err(_) => {
                    let limit = self.request_timeout;
                    let timed_out = || ApiError::TimedOut { endpoint: self.place(), limit };
                    return Err(refused.unwrap_or_else(timed_out));
                }
            };
            let may_repeat = repeat == Repeat::Safe || failed.error.status() == Some(NOT_BEGUN);
            let Some(after) = failed.after.filter(|_| may_repeat) else { return Err(failed.error) };
            attempts += 1;
            let pause = after.max(after.saturating_mul(attempts).min(LONGEST)) + spread();
            if Instant::now() + pause >= deadline {
                return Err(failed.error);
            }
            if let Some(waiter) = self.waiter.filter(|_| attempts == 1) {
                waiter(&failed.error.to_string());
            }
            self.observe(|| format!("again in {} ms: {}", pause.as_millis(), failed.error));
            refused = Some(failed.error);
            sleep(pause).await;
        }
    }
}

/// Some time that differs from one client to the next.
fn spread() -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Duration::from_millis(u64::from(now.subsec_micros()) % SPREAD_MS)
}
