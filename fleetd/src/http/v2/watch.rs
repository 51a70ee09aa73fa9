//! The stream of changes: a snapshot, then a line for each unit about which there is something new.
//!
//! A line shows a unit as it is when the line is written, so a reader that takes its time gets fewer lines, not older
//! ones. One that falls a thousand notices behind is told so, and cut off.

use std::collections::{BTreeSet, VecDeque};
use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use fleet_api::v2::{NDJSON, WatchLine};
use fleet_units::UnitName;
use futures::stream;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::cluster::{Handle, Notice, Picture};

/// After this long without a line, a blank one shows that the stream lives.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Answers with the stream.
pub(super) fn stream(handle: Handle, wanted: Option<BTreeSet<UnitName>>) -> Response {
    let mut watch =
        Watch { handle, wanted, known: BTreeSet::new(), notices: None, lines: VecDeque::new(), ended: false };
    watch.begin();
    let lines = stream::unfold(watch, |mut watch| async move {
        let line = watch.next().await?;
        Some((Ok::<Bytes, Infallible>(line), watch))
    });
    ([(header::CONTENT_TYPE, NDJSON)], Body::from_stream(lines)).into_response()
}

struct Watch {
    handle: Handle,
    /// None: all units.
    wanted: Option<BTreeSet<UnitName>>,
    /// Units that the reader was told of.
    known: BTreeSet<UnitName>,
    notices: Option<Receiver<Notice>>,
    lines: VecDeque<Bytes>,
    ended: bool,
}

impl Watch {
    /// Puts the snapshot in front, and listens for what comes after it.
    fn begin(&mut self) {
        let status = self.handle.status();
        let stale = !status.live();
        let ((revision, names, units), notices) = self.handle.read_and_follow(|picture| {
            let names: BTreeSet<UnitName> =
                picture.unit_names().into_iter().filter(|name| is_wanted(self.wanted.as_ref(), name)).collect();
            let units = names.iter().filter_map(|name| picture.unit(name, stale)).collect();
            (picture.revision.max(status.revision), names, units)
        });
        self.known = names;
        self.notices = Some(notices);
        self.push(&WatchLine::Snapshot { revision, units });
        if let Some(why) = status.failing.filter(|_| stale) {
            self.push(&WatchLine::Stale { why });
        }
    }

    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Some(line);
            }
            if self.ended {
                return None;
            }
            let notices = self.notices.as_mut()?;
            match tokio::time::timeout(KEEP_ALIVE, notices.recv()).await {
                Err(_) => return Some(Bytes::from_static(b"\n")),
                Ok(Ok(notice)) => self.take(notice),
                Ok(Err(RecvError::Lagged(missed))) => {
                    let why = format!("you read too slowly: {missed} changes were missed; watch again");
                    self.push(&WatchLine::Stale { why });
                    self.ended = true;
                }
                Ok(Err(RecvError::Closed)) => return None,
            }
        }
    }

    fn take(&mut self, notice: Notice) {
        match notice {
            Notice::Units { revision, names } => {
                let stale = !self.handle.status().live();
                let names: Vec<&UnitName> = names.iter().filter(|name| is_wanted(self.wanted.as_ref(), name)).collect();
                let seen: Vec<_> =
                    self.handle.read(|picture: &Picture| names.iter().map(|name| picture.unit(name, stale)).collect());
                for (name, unit) in names.into_iter().zip(seen) {
                    match unit {
                        Some(unit) => {
                            self.known.insert(name.clone());
                            self.push(&WatchLine::Unit { revision, unit: Box::new(unit) });
                        }
                        None if self.known.remove(name) => {
                            self.push(&WatchLine::Gone { revision, name: name.to_string() });
                        }
                        None => {}
                    }
                }
            }
            Notice::Stale { why } => self.push(&WatchLine::Stale { why }),
            Notice::Complete => self.begin(),
        }
    }

    fn push(&mut self, line: &WatchLine) {
        // Lines hold only texts and numbers; one that did not serialise would be skipped, not break the stream.
        if let Ok(mut text) = serde_json::to_vec(line) {
            text.push(b'\n');
            self.lines.push_back(Bytes::from(text));
        }
    }
}

fn is_wanted(wanted: Option<&BTreeSet<UnitName>>, name: &UnitName) -> bool {
    wanted.is_none_or(|wanted| wanted.contains(name))
}
