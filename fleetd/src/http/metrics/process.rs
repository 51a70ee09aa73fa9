//! This process, under the names that every Prometheus client gives.

use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage};
use nix::sys::time::TimeValLike;

use super::text::Text;

/// What the kernel says of this process; what it does not say is left out.
pub(super) fn describe(started: u64, text: &mut Text) {
    if let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) {
        let time = (usage.user_time() + usage.system_time()).num_microseconds();
        let help = "Processor time, in seconds.";
        text.counter("process_cpu_seconds_total", help, [(String::new(), time as f64 / 1e6)]);
    }
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        // Reading the directory holds one itself.
        text.number("process_open_fds", "File descriptors that are open.", open.count().saturating_sub(1) as f64);
    }
    if let Ok((most, _)) = getrlimit(Resource::RLIMIT_NOFILE) {
        text.number("process_max_fds", "File descriptors that may be open.", most as f64);
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    for (field, name, help) in [
        ("VmRSS:", "process_resident_memory_bytes", "Memory in use."),
        ("VmSize:", "process_virtual_memory_bytes", "Address space in use."),
    ] {
        if let Some(kilobytes) = kilobytes(&status, field) {
            text.number(name, help, kilobytes * 1024.0);
        }
    }
    let help = "When the process started, in seconds since 1970.";
    text.number("process_start_time_seconds", help, started as f64 / 1000.0);
}

fn kilobytes(status: &str, field: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}
