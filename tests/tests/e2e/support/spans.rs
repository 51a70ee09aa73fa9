//! When a unit ran, on whichever machines: from what it writes to their disks itself.

use std::fmt;

use anyhow::{Context, Result, bail};
use fleet_tests::cluster::Cluster;

/// From before a unit's first process to after its last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    begin: u128,
    /// None while it runs.
    end: Option<u128>,
    machine: u8,
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "machine {}: {} to {:?}", self.machine, self.begin, self.end)
    }
}

/// A service that writes down when it begins and when it has ended, by the clock that all machines share. `more` goes
/// into its section `[Service]`, before what it does.
pub(crate) fn telling(more: &str) -> String {
    let tell = |word: &str| format!("/bin/sh -c 'echo {word} $$(date +%%s%%N) >> /var/log/%n'");
    format!(
        "[Service]\nExecStartPre={}\n{more}\nExecStart=/bin/sleep infinity\nExecStopPost={}\n",
        tell("begin"),
        tell("end")
    )
}

/// Every span of a [`telling`] unit on all machines, on or off, in order.
pub(crate) fn spans(cluster: &Cluster, unit: &str) -> Result<Vec<Span>> {
    let mut spans = Vec::new();
    for node in cluster.nodes() {
        // Where it never ran there is no file.
        let told = node.read_file(format!("/var/log/{unit}")).unwrap_or_default();
        for line in told.lines() {
            let (word, at) = line.split_once(' ').with_context(|| format!("{unit} wrote {line:?}"))?;
            let at = at.parse().with_context(|| format!("{unit} wrote {line:?}"))?;
            match (word, spans.last_mut()) {
                ("begin", _) => spans.push(Span { begin: at, end: None, machine: node.number() }),
                ("end", Some(span)) if span.end.is_none() && span.machine == node.number() => span.end = Some(at),
                _ => bail!("{unit} ended on machine {} without having begun: {told}", node.number()),
            }
        }
    }
    spans.sort();
    Ok(spans)
}

/// Makes sure that no run of the unit began before the one before it had ended, and that it ran on these machines one
/// after the other.
#[track_caller]
pub(crate) fn assert_never_two(spans: &[Span], machines: &[u8]) {
    let shown: Vec<String> = spans.iter().map(Span::to_string).collect();
    for pair in spans.windows(2) {
        assert!(pair[0].end.is_some_and(|end| end < pair[1].begin), "two at once: {shown:#?}");
    }
    let ran: Vec<u8> = spans.iter().map(|span| span.machine).collect();
    assert_eq!(ran, machines, "{shown:#?}");
}
