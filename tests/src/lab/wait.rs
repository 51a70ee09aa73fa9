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
}
