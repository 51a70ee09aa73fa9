//! Waiting for a condition, with a limit: what tests do instead of sleeping.

use std::thread;
use std::time::{Duration, Instant};

const INTERVAL: Duration = Duration::from_millis(5);
const LONGEST_INTERVAL: Duration = Duration::from_millis(50);

/// Asks until the answer is `Ok`, or gives back the last reason once `limit` has passed.
pub fn poll<T>(limit: Duration, mut condition: impl FnMut() -> Result<T, String>) -> Result<T, String> {
    let end = Instant::now() + limit;
    let mut interval = INTERVAL;
    loop {
        match condition() {
            Ok(value) => return Ok(value),
            Err(reason) if Instant::now() >= end => {
                return Err(format!("{reason} (waited {limit:?})"));
            }
            Err(_) => thread::sleep(interval),
        }
        // Short at first, so that a quick thing is seen quickly; then easier on the machine.
        interval = (interval * 2).min(LONGEST_INTERVAL);
    }
}

/// Asks until the answer is `Ok`, and panics with the last reason once `limit` has passed.
#[track_caller]
pub fn wait_for<T>(limit: Duration, condition: impl FnMut() -> Result<T, String>) -> T {
    match poll(limit, condition) {
        Ok(value) => value,
        Err(reason) => panic!("waited in vain: {reason}"),
    }
}

/// Asks again and again for as long as `span`, and gives back the first reason that is not `Ok`: for what must stay as it
/// is while something goes on.
pub fn holds(span: Duration, mut condition: impl FnMut() -> Result<(), String>) -> Result<(), String> {
    let begin = Instant::now();
    while begin.elapsed() < span {
        condition().map_err(|reason| format!("{reason} (after {:?})", begin.elapsed()))?;
        thread::sleep(LONGEST_INTERVAL.min(span.saturating_sub(begin.elapsed())));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_comes_back_as_soon_as_there_is_one() {
        let mut left = 3;
        let answer = wait_for(Duration::from_secs(60), || {
            left -= 1;
            if left == 0 { Ok("done") } else { Err(format!("{left} left")) }
        });
        assert_eq!(answer, "done");
    }

    #[test]
    fn the_last_reason_is_told() {
        let mut asked = 0;
        let reason = poll::<()>(Duration::from_millis(20), || {
            asked += 1;
            Err(format!("asked {asked} times"))
        });
        assert!(reason.unwrap_err().starts_with(&format!("asked {asked} times")));
    }

    #[test]
    fn what_does_not_hold_is_told_at_once() {
        let mut asked = 0;
        let reason = holds(Duration::from_secs(60), || {
            asked += 1;
            if asked < 3 { Ok(()) } else { Err("it broke".to_owned()) }
        });
        assert!(reason.unwrap_err().starts_with("it broke (after "));
        assert_eq!(holds(Duration::from_millis(1), || Ok(())), Ok(()));
    }
}
