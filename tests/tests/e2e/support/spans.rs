//! When a unit ran, on whichever machines: from what it writes down itself, in the folder that all machines share, so that
//! no moment is missed and no fault of network or disk is in the way.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use fleet_tests::cluster::Cluster;
use fleet_tests::lab::SHARED;

/// From before a unit's first process to after its last one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    /// By the clock that all machines share, in nanoseconds.
    pub begin: u128,
    /// None while it runs. Where its machine lost its power in the middle of it, when that was off.
    pub end: Option<u128>,
    /// Where.
    pub machine: u8,
    /// systemd's name for this run.
    pub invocation: String,
}

impl Span {
    /// How long it lasted; none while it runs.
    pub(crate) fn length(&self) -> Option<Duration> {
        let nanos = self.end?.checked_sub(self.begin)?;
        u64::try_from(nanos).ok().map(Duration::from_nanos)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { begin, end, machine, invocation } = self;
        write!(f, "machine {machine}: {begin} to {end:?} ({invocation})")
    }
}

/// A service that writes down when it begins and when it has ended, by the clock that all machines share. `more` goes
/// into its section `[Service]`, before what it does.
pub(crate) fn telling(more: &str) -> String {
    let tell = |word: &str| format!("/bin/sh -c 'echo {word} $$(date +%%s%%N) %H $$INVOCATION_ID >> {SHARED}/%n.told'");
    format!(
        "[Service]\nExecStartPre={}\n{more}\nExecStart=/bin/sleep infinity\nExecStopPost={}\n",
        tell("begin"),
        tell("end")
    )
}

/// The clock that all machines share.
pub(crate) fn clock(at: SystemTime) -> u128 {
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos()
}

/// Every span of a [`telling`] unit on all machines, on or off, in order.
pub(crate) fn spans(cluster: &Cluster, unit: &str) -> Result<Vec<Span>> {
    let told = match fs::read_to_string(cluster.lab().shared().join(format!("{unit}.told"))) {
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        told => told.with_context(|| format!("cannot read what {unit} told"))?,
    };
    let mut spans: BTreeMap<&str, Span> = BTreeMap::new();
    for line in told.lines() {
        let (word, at, host, invocation) = match line.split(' ').collect::<Vec<_>>()[..] {
            [word, at, host, invocation] => (word, at, host, invocation),
            _ => bail!("{unit} wrote {line:?}"),
        };
        let at: u128 = at.parse().with_context(|| format!("{unit} wrote {line:?}"))?;
        let machine = host.strip_prefix("node").and_then(|number| number.parse().ok());
        let machine: u8 = machine.with_context(|| format!("{unit} wrote {line:?}"))?;
        match (word, spans.get_mut(invocation)) {
            ("begin", None) => {
                let lost = cluster.lab().offs(machine).into_iter().map(clock).find(|off| *off > at);
                let span = Span { begin: at, end: lost, machine, invocation: invocation.to_owned() };
                spans.insert(invocation, span);
            }
            ("end", Some(span)) => span.end = Some(at),
            // Its start was cancelled before it could tell of it: nothing of it ran.
            ("end", None) => {}
            _ => bail!("{unit} began twice in one run: {told}"),
        }
    }
    let mut spans: Vec<Span> = spans.into_values().collect();
    spans.sort();
    Ok(spans)
}

/// Each two spans of a unit that overlap, and from when to when.
pub(crate) fn overlaps(spans: &[Span]) -> Vec<(&Span, &Span)> {
    let later = |i: usize| spans.get(i + 1..).unwrap_or_default();
    let pairs = spans.iter().enumerate().flat_map(|(i, one)| later(i).iter().map(move |other| (one, other)));
    pairs.filter(|(one, other)| one.end.is_none_or(|end| end >= other.begin)).collect()
}

/// Makes sure that no run of the unit began before the one before it had ended, and that it ran on these machines one
/// after the other.
#[track_caller]
pub(crate) fn assert_never_two(spans: &[Span], machines: &[u8]) {
    let shown: Vec<String> = spans.iter().map(Span::to_string).collect();
    assert!(overlaps(spans).is_empty(), "two at once: {shown:#?}");
    let ran: Vec<u8> = spans.iter().map(|span| span.machine).collect();
    assert_eq!(ran, machines, "{shown:#?}");
}

#[test]
fn two_runs_at_once_are_found_whenever_that_was() {
    let span = |begin, end, machine| Span { begin, end, machine, invocation: format!("{machine}{begin}") };
    let apart = [span(1, Some(4), 1), span(5, Some(6), 2), span(7, None, 1)];
    assert!(overlaps(&apart).is_empty());
    let inside = [span(1, Some(9), 1), span(2, Some(3), 2), span(4, Some(5), 3)];
    assert_eq!(overlaps(&inside).len(), 2, "the first one ran beside both others");
    assert_eq!(overlaps(&[span(1, None, 1), span(8, None, 1)]).len(), 1, "twice on one machine is twice as well");
}
