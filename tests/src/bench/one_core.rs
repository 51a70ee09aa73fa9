//! Work of one thread on one core, in the CPU time that it takes: on a busy host the same as on one at rest.

use std::hint::black_box;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

/// Does this work on one core; the thread may use any other afterwards.
pub(crate) fn on_one_core<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    let this = Pid::from_raw(0);
    let allowed = sched_getaffinity(this).context("cannot tell which cores may be used")?;
    // The first core is where the kernel likes to do its own work.
    let usable = (0..CpuSet::count()).rev().find(|&cpu| allowed.is_set(cpu).unwrap_or(false));
    let mut one = CpuSet::new();
    one.set(usable.context("no core is allowed")?)?;
    sched_setaffinity(this, &one).context("cannot stay on one core")?;
    let done = work();
    sched_setaffinity(this, &allowed).context("cannot use all cores again")?;
    done
}

/// What this thread's work took, and what came of it.
pub(crate) fn cpu_time<T>(work: impl FnOnce() -> T) -> Result<(Duration, T)> {
    let now = || clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).context("cannot read a thread's CPU time");
    let before = now()?;
    let result = black_box(work());
    let after = now()?;
    Ok((Duration::from(after) - Duration::from(before), result))
}

/// The same in milliseconds.
pub(crate) fn cpu_millis<T>(work: impl FnOnce() -> T) -> Result<(f64, T)> {
    let (took, result) = cpu_time(work)?;
    Ok((took.as_secs_f64() * 1e3, result))
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn waiting_is_no_work() {
        let (took, ()) = on_one_core(|| cpu_time(|| thread::sleep(Duration::from_millis(50)))).unwrap();
        assert!(took < Duration::from_millis(40), "{took:?}");
        let sum = || (0..1_000_000_u64).map(black_box).sum::<u64>();
        let (took, _) = on_one_core(|| cpu_time(sum)).unwrap();
        assert!(took > Duration::ZERO);
    }
}
