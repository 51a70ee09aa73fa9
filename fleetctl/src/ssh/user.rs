//! Who logs in, as the person's configuration of ssh has it.

use std::process::{Command, Stdio};

use super::Host;

/// Whether the configuration says who logs in to this host. Where it says nothing, ssh takes the person's own name, which
/// is what it takes without any configuration too.
pub fn is_configured(host: &Host) -> bool {
    let configured = user_of(&["-G", "--", &host.name]);
    let plain = user_of(&["-F", "none", "-G", "--", &host.name]);
    configured.is_some() && configured != plain
}

fn user_of(arguments: &[&str]) -> Option<String> {
    let output = Command::new("ssh").args(arguments).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().find_map(|line| line.strip_prefix("user ")).map(str::to_owned)
}
