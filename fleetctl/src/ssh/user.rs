//! Who logs in, as the person's configuration of ssh has it.

use std::io::Write;
use std::process::{Command, Stdio};

use super::{FORMER_USER, Host};

/// The person's configuration and the machine's, and below them fleet's user: of several values ssh takes the first.
const LAYERS: &str = "Include ~/.ssh/config\nInclude /etc/ssh/ssh_config\nHost *\n  User ";

/// Whether the configuration says who logs in to this host.
pub fn is_configured(host: &Host) -> bool {
    user_of(host).is_some_and(|user| user != FORMER_USER)
}

/// Who logs in to this host, where fleet's user does unless the configuration says otherwise.
fn user_of(host: &Host) -> Option<String> {
    let mut command = Command::new("ssh");
    command.args(["-F", "/dev/stdin", "-G", "--", &host.name]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
    child.stdin.take()?.write_all(format!("{LAYERS}{FORMER_USER}\n").as_bytes()).ok()?;
    let output = child.wait_with_output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().find_map(|line| line.strip_prefix("user ")).map(str::to_owned)
}
