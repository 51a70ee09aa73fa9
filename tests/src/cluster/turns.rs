//! Few clusters are at work at a time, however many tests run: machines that share two cores with many others are slow.

use std::sync::{Condvar, Mutex, PoisonError};

/// So many are at work in one process.
const AT_WORK: u32 = 2;

static FREE: Mutex<u32> = Mutex::new(AT_WORK);
static GIVEN_BACK: Condvar = Condvar::new();

/// A cluster's turn, given back with this value.
#[derive(Debug)]
pub(super) struct Turn;

impl Turn {
    /// Waits for one.
    pub(super) fn take() -> Self {
        take();
        Self
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        give_back();
    }
}

/// Lets another cluster work in the place of the calling test's, which has little to do meanwhile.
pub fn at_rest<T>(wait: impl FnOnce() -> T) -> T {
    struct Rest;
    impl Drop for Rest {
        fn drop(&mut self) {
            take();
        }
    }
    give_back();
    let _rest = Rest;
    wait()
}

fn take() {
    let free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut free = GIVEN_BACK.wait_while(free, |free| *free == 0).unwrap_or_else(PoisonError::into_inner);
    *free -= 1;
}

fn give_back() {
    *FREE.lock().unwrap_or_else(PoisonError::into_inner) += 1;
    GIVEN_BACK.notify_one();
}
