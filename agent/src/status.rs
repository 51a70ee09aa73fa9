//! What `systemctl status` says of a unit.

use std::io;
use std::process::Stdio;

use fleet_units::UnitName;
use tokio::process::Command;

/// What systemctl said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitStatus {
    /// Its output, errors included.
    pub output: String,
    /// Its exit code: 0 for an active unit, 3 for an inactive one, 4 for an unknown one.
    pub exit_code: i32,
}

/// Asks systemctl for a unit's status.
///
/// # Errors
/// When systemctl cannot be run.
pub async fn status(unit: &UnitName, user: bool) -> io::Result<UnitStatus> {
    let mut command = Command::new("systemctl");
    if user {
        command.arg("--user");
    }
    command.args(["status", "-l", "--no-pager", "--", unit.as_str()]).stdin(Stdio::null()).kill_on_drop(true);
    let done = command.output().await?;
    let mut output = String::from_utf8_lossy(&done.stdout).into_owned();
    output.push_str(&String::from_utf8_lossy(&done.stderr));
    // Killed by a signal: as a shell would say it.
    Ok(UnitStatus { output, exit_code: done.status.code().unwrap_or(128) })
}
