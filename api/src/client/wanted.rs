//! Which units a call is about.

use std::collections::BTreeSet;

use crate::v2::WatchLine;
use crate::{paths, percent};

/// Names are left out of a query longer than this; the answer is then filtered here.
const MAX_QUERY: usize = 16_384;

/// Where the named units are asked for: without names if they make too long a query, since the answer is filtered.
pub(super) fn units_path<S: AsRef<str>>(names: &[S], watch: bool) -> String {
    let mut query: Vec<String> = names.iter().map(|name| format!("name={}", percent::encode(name.as_ref()))).collect();
    if query.iter().map(String::len).sum::<usize>() > MAX_QUERY {
        query.clear();
    }
    if watch {
        query.push("watch=true".to_owned());
    }
    match query.is_empty() {
        true => paths::V2_UNITS.to_owned(),
        false => format!("{}?{}", paths::V2_UNITS, query.join("&")),
    }
}

/// The names that were asked for; none means all.
pub(super) struct Wanted(pub(super) BTreeSet<String>);

impl Wanted {
    pub(super) fn new<S: AsRef<str>>(names: &[S]) -> Self {
        Self(names.iter().map(|name| name.as_ref().to_owned()).collect())
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.is_empty() || self.0.contains(name)
    }

    /// The line without units that nobody asked for.
    pub(super) fn part_of(&self, line: WatchLine) -> Option<WatchLine> {
        match line {
            WatchLine::Snapshot { revision, mut units } => {
                units.retain(|unit| self.has(&unit.name));
                Some(WatchLine::Snapshot { revision, units })
            }
            WatchLine::Unit { ref unit, .. } => self.has(&unit.name).then_some(line),
            WatchLine::Gone { ref name, .. } => self.has(name).then_some(line),
            WatchLine::Stale { .. } => Some(line),
            WatchLine::Other => None,
        }
    }
}
