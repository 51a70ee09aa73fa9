//! The stream of changes: a snapshot, then a line for each unit about which there is something new.
//!
//! Nothing is prepared that is not about to be read: a line shows a unit as it is when the line is written, so a reader
//! that takes its time gets fewer lines, not older ones, and costs no memory. One that falls behind by more changes than
//! are kept is given a new snapshot.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use fleet_api::v2::{NDJSON, WatchLine};
use fleet_units::UnitName;
use futures::stream;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::pieces::{Pieces, line};
use crate::cluster::{Handle, Notice};

/// After this long without a line, a blank one shows that the stream lives.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// Bytes of lines that are written before they are sent.
const PIECE: usize = 16 << 10;

/// Answers with the stream.
pub(super) fn stream(handle: Handle, wanted: Option<BTreeSet<UnitName>>) -> Response {
    let mut watch =
        Watch { handle: Arc::new(handle), wanted: wanted.map(Arc::new), notices: None, told: Told::Nothing };
    watch.begin();
    let lines = stream::unfold(watch, |mut watch| async move {
        let line = watch.next().await?;
        Some((Ok::<Bytes, Infallible>(line), watch))
    });
    ([(header::CONTENT_TYPE, NDJSON)], Body::from_stream(lines)).into_response()
}

struct Watch {
    handle: Arc<Handle>,
    /// None: all units.
    wanted: Option<Arc<BTreeSet<UnitName>>>,
    notices: Option<Receiver<Notice>>,
    told: Told,
}

/// What is being told.
enum Told {
    /// All is told.
    Nothing,
    /// The snapshot, and then why it may be old.
    Snapshot(Pieces, Option<String>),
    /// What is new about these units, after the last that was told of.
    Units { revision: i64, names: Arc<BTreeSet<UnitName>>, after: Option<UnitName> },
}

impl Watch {
    /// Begins a snapshot, and listens for what comes after it.
    fn begin(&mut self) {
        let status = self.handle.status();
        let stale = !status.live();
        let (revision, notices) = self.handle.read_and_follow(|picture| picture.revision.max(status.revision));
        self.notices = Some(notices);
        let head = format!("{{\"type\":\"snapshot\",\"revision\":{revision},\"units\":[");
        let pieces = Pieces::new(Arc::clone(&self.handle), self.wanted.clone(), stale, head, "]}\n");
        self.told = Told::Snapshot(pieces, status.failing.filter(|_| stale));
    }

    async fn next(&mut self) -> Option<Bytes> {
        loop {
            match &mut self.told {
                Told::Snapshot(pieces, failing) => {
                    if let Some(piece) = pieces.next() {
                        return Some(piece);
                    }
                    let failing = failing.take();
                    self.told = Told::Nothing;
                    if let Some(why) = failing {
                        return Some(line(&WatchLine::Stale { why }));
                    }
                }
                Told::Units { .. } => match self.units() {
                    lines if lines.is_empty() => self.told = Told::Nothing,
                    lines => return Some(lines),
                },
                Told::Nothing => {
                    let notices = self.notices.as_mut()?;
                    match tokio::time::timeout(KEEP_ALIVE, notices.recv()).await {
                        Err(_) => return Some(Bytes::from_static(b"\n")),
                        Ok(Ok(Notice::Units { revision, names })) => {
                            self.told = Told::Units { revision, names, after: None };
                        }
                        Ok(Ok(Notice::Stale { why })) => return Some(line(&WatchLine::Stale { why })),
                        Ok(Ok(Notice::Complete) | Err(RecvError::Lagged(_))) => self.begin(),
                        Ok(Err(RecvError::Closed)) => return None,
                    }
                }
            }
        }
    }

    /// The next lines about units that changed; empty when all are told of.
    fn units(&mut self) -> Bytes {
        let Told::Units { revision, names, after } = &mut self.told else { return Bytes::new() };
        let stale = !self.handle.status().live();
        let wanted = self.wanted.as_deref();
        let mut lines = Vec::new();
        self.handle.read(|picture| {
            let from = after.take().map_or(Bound::Unbounded, Bound::Excluded);
            let rest = names.range::<UnitName, _>((from, Bound::Unbounded));
            for name in rest.filter(|name| wanted.is_none_or(|wanted| wanted.contains(*name))) {
                let told = match picture.unit(name, stale) {
                    Some(unit) => WatchLine::Unit { revision: *revision, unit: Box::new(unit) },
                    None => WatchLine::Gone { revision: *revision, name: name.to_string() },
                };
                lines.extend_from_slice(&line(&told));
                if lines.len() >= PIECE {
                    *after = Some(name.clone());
                    return;
                }
            }
            *names = Arc::default();
        });
        lines.into()
    }
}
