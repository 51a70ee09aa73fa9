//! Work of one thread on one core, in the CPU time that it takes: on a busy host the same as on one at rest.

use std::hint::black_box;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

/// Does this work on a thread of its own that stays on one core.
pub(crate) fn on_one_core<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            stay_on_one_core().context("cannot keep a thread on one core")?;
            work()
        });
        thread.join().map_err(|_| anyhow!("the measurement panicked"))?
    })
}

/// Of the cores that this process may use, the last one: the first is where the kernel likes to do its own work.
fn stay_on_one_core() -> Result<()> {
    let this = Pid::from_raw(0);
    let allowed = sched_getaffinity(this)?;
    let usable = (0..CpuSet::count()).rev().find(|&cpu| allowed.is_set(cpu).unwrap_or(false));
    let mut one = CpuSet::new();
    one.set(usable.context("no core is allowed")?)?;
    Ok(sched_setaffinity(this, &one)?)
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
