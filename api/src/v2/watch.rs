//! The lines of a watch.

use serde::{Deserialize, Serialize};

use super::UnitView;

/// One line of `GET /fleet/v2/units?watch=true`. The first is a snapshot; another may follow after the server had to
/// load everything anew, and replaces all that was known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum WatchLine {
    /// All units that are watched.
    Snapshot {
        /// The store's revision that this shows.
        revision: i64,
        /// The units, sorted by name.
        units: Vec<UnitView>,
    },
    /// A unit is new, or something about it changed.
    Unit {
        /// The store's revision that this shows.
        revision: i64,
        /// The unit as it is now.
        unit: Box<UnitView>,
    },
    /// A unit was destroyed, and no machine has it any more.
    Gone {
        /// The store's revision that this shows.
        revision: i64,
        /// The unit.
        name: String,
    },
    /// The server has lost touch with the store; what it said may be old until the next line.
    Stale {
        /// In its words.
        why: String,
    },
    /// A line that this version does not know, to be passed over.
    #[serde(other)]
    Other,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_apart_by_type() {
        let cases = [
            (r#"{"type":"snapshot","revision":1,"units":[]}"#, WatchLine::Snapshot { revision: 1, units: Vec::new() }),
            (
                r#"{"type":"gone","revision":2,"name":"a.service"}"#,
                WatchLine::Gone { revision: 2, name: "a.service".into() },
            ),
            (r#"{"type":"stale","why":"no answer"}"#, WatchLine::Stale { why: "no answer".into() }),
        ];
        for (json, line) in cases {
            assert_eq!(serde_json::from_str::<WatchLine>(json).unwrap(), line);
            assert_eq!(serde_json::to_string(&line).unwrap(), json);
        }
    }

    #[test]
    fn lines_of_newer_versions_are_borne() {
        let line: WatchLine = serde_json::from_str(r#"{"type":"weather","sun":true}"#).unwrap();
        assert_eq!(line, WatchLine::Other);
    }
}
