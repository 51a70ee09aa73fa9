//! What a command line of a unit file does: enough of it for the units that stories are made of.
//!
//! A story's unit is one text for the real systemd and for the simulated one. Understood are `/bin/true`, `/bin/false`,
//! `/bin/sleep SPAN`, and `/bin/sh -c '…'` of such commands with `exit N`, `trap "" TERM` and `systemd-notify --ready`,
//! parted by `;`. Whatever else a command line says runs until it is stopped.

use std::time::Duration;

/// What one command does once it runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Script {
    /// After how long it ends by itself, and how; it never does where this is none.
    pub(super) ends: Option<(Duration, Exit)>,
    /// After how long it says that it is ready.
    pub(super) ready: Option<Duration>,
    /// Whether it lives on when it is told to end.
    pub(super) ignores_term: bool,
    /// Whether its failure counts for nothing (`-` in front of it).
    pub(super) may_fail: bool,
    /// Whether it waits for a process of its own.
    pub(super) children: bool,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    Code(u8),
    /// By the signal that asks a process to end, which is as good as a success.
    Terminated,
    /// By another signal.
    Killed,
}

/// The exit code of a program that is not there.
const NO_PROGRAM: Exit = Exit::Code(203);

impl Script {
    /// Reads a command line; none where systemd would refuse the unit for it.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let bare = line.trim_start_matches(['-', '@', ':', '+', '!']);
        let program = bare.split_whitespace().next()?;
        if program.contains('/') && !program.starts_with('/') {
            return None;
        }
        let may_fail = line[..line.len() - bare.len()].contains('-');
        let rest = bare[program.len()..].trim();
        let name = program.rsplit('/').next().unwrap_or(program);
        let mut script = match name {
            "sh" => {
                let text = rest.trim_start_matches("-c").trim().trim_matches('\'');
                Self { children: text.contains("sleep") && !text.contains("exec"), ..Self::shell(text) }
            }
            "nonexistent" => Self { ends: Some((Duration::ZERO, NO_PROGRAM)), ..Self::default() },
            _ => Self::shell(&format!("{name} {rest}")),
        };
        script.may_fail = may_fail;
        Some(script)
    }

    fn shell(text: &str) -> Self {
        let mut script = Self::default();
        let mut at = Duration::ZERO;
        for command in text.split(';') {
            let words: Vec<&str> = command.split_whitespace().filter(|word| *word != "exec").collect();
            match words[..] {
                ["sleep", span] => match span_of(span) {
                    Some(span) => at += span,
                    None => return script,
                },
                ["true"] | ["echo", ..] => {}
                ["false"] => {
                    script.ends = Some((at, Exit::Code(1)));
                    return script;
                }
                ["exit", code] => {
                    script.ends = Some((at, Exit::Code(code.parse().unwrap_or(1))));
                    return script;
                }
                ["trap", _, "TERM"] => script.ignores_term = true,
                ["systemd-notify", "--ready"] => script.ready = Some(at),
                _ => return script,
            }
        }
        script.ends = Some((at, Exit::Code(0)));
        script
    }
}

/// A span of time as systemd and `sleep` write it; none for one without an end.
pub(super) fn span_of(text: &str) -> Option<Duration> {
    let at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let factor = match unit.trim() {
        "" | "s" | "sec" => 1.0,
        "ms" => 0.001,
        "us" => 0.000_001,
        "min" => 60.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(number.parse::<f64>().ok()? * factor).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(line: &str) -> Option<(u64, Exit)> {
        let script = Script::parse(line).expect("a command");
        script.ends.map(|(after, exit)| (u64::try_from(after.as_millis()).unwrap(), exit))
    }

    #[test]
    fn commands_end_when_and_as_they_say() {
        assert_eq!(ends("/bin/true"), Some((0, Exit::Code(0))));
        assert_eq!(ends("-/bin/false"), Some((0, Exit::Code(1))));
        assert_eq!(ends("/bin/sleep 0.25"), Some((250, Exit::Code(0))));
        assert_eq!(ends("/bin/sleep infinity"), None);
        assert_eq!(ends("/bin/sh -c 'sleep 0.3; exit 7'"), Some((300, Exit::Code(7))));
        assert_eq!(ends("/bin/sh -c 'trap \"\" TERM; exec sleep infinity'"), None);
        assert_eq!(ends("/usr/bin/web --port 80"), None);
        assert_eq!(ends("/nonexistent"), Some((0, NO_PROGRAM)));
        assert_eq!(Script::parse("not/absolute"), None);
    }

    #[test]
    fn a_script_says_when_it_is_ready_and_what_it_ignores() {
        let script = Script::parse("/bin/sh -c 'trap \"\" TERM; sleep 0.2; systemd-notify --ready; sleep infinity'");
        let script = script.expect("a command");
        assert_eq!((script.ready, script.ignores_term, script.ends), (Some(Duration::from_millis(200)), true, None));
    }
}
