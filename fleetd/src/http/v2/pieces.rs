//! Units as a JSON list, piece by piece, so that an answer costs the memory of a piece however large the cluster is and
//! however slowly it is read.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use axum::body::Bytes;
use fleet_units::UnitName;
use serde::Serialize;

use crate::cluster::{Handle, Picture};

/// Bytes after which a piece is sent.
const PIECE: usize = 16 << 10;

/// The pieces that are left. Each shows its units as they are when it is made.
pub(super) struct Pieces {
    handle: Arc<Handle>,
    /// None: all units.
    wanted: Option<Arc<BTreeSet<UnitName>>>,
    stale: bool,
    next: Vec<u8>,
    tail: &'static str,
    after: Option<UnitName>,
    is_first: bool,
    ended: bool,
}

impl Pieces {
    /// `head`, the units with commas between them, and `tail`.
    pub(super) fn new(
        handle: Arc<Handle>,
        wanted: Option<Arc<BTreeSet<UnitName>>>,
        stale: bool,
        head: String,
        tail: &'static str,
    ) -> Self {
        Self { handle, wanted, stale, next: head.into_bytes(), tail, after: None, is_first: true, ended: false }
    }

    /// The next piece.
    pub(super) fn next(&mut self) -> Option<Bytes> {
        if self.ended {
            return None;
        }
        let mut piece = std::mem::take(&mut self.next);
        let handle = Arc::clone(&self.handle);
        handle.read(|picture| {
            while let Some(name) = next_name(self.wanted.as_deref(), picture, self.after.as_ref()) {
                if let Some(unit) = picture.unit(name, self.stale) {
                    if !std::mem::take(&mut self.is_first) {
                        piece.push(b',');
                    }
                    piece.extend_from_slice(&json(&unit));
                }
                self.after = Some(name.clone());
                if piece.len() >= PIECE {
                    return;
                }
            }
            piece.extend_from_slice(self.tail.as_bytes());
            self.ended = true;
        });
        Some(piece.into())
    }

    /// Whether there is nothing more.
    pub(super) fn ended(&self) -> bool {
        self.ended
    }
}

fn next_name<'a>(
    wanted: Option<&'a BTreeSet<UnitName>>,
    picture: &'a Picture,
    after: Option<&UnitName>,
) -> Option<&'a UnitName> {
    match wanted {
        None => picture.next_name(after),
        Some(wanted) => {
            wanted.range::<UnitName, _>((after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded)).next()
        }
    }
}

/// A line of JSON.
pub(super) fn line(value: &impl Serialize) -> Bytes {
    let mut text = json(value);
    text.push(b'\n');
    text.into()
}

/// Texts and numbers always serialise; what did not would be left out, not break the stream.
fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}
