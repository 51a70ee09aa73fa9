//! Loading: pages at one revision, compared with what was handed over before.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::{KvChange, Mirror, MirrorConfig, MirrorEffect, Phase, because};
use crate::step::Mono;
use crate::store::{ErrorKind, RangeRequest, RangeResponse, Request, Response, ResponseBody, StoreError};

/// A load under way.
#[derive(Debug, Clone)]
pub(super) struct Load {
    /// The revision of the first page, which pins the others; 0 before it.
    revision: i64,
    /// Everything before this key has been handed over.
    from: Bytes,
}

impl Load {
    /// A load that begins with the first page.
    pub(super) fn from(config: &MirrorConfig) -> Self {
        Self { revision: 0, from: config.root.clone() }
    }
}

impl Mirror {
    /// Asks for the next page.
    pub(super) fn ask_page(&mut self, out: &mut Vec<MirrorEffect>) {
        let Phase::Loading { load, .. } = &self.phase else { return };
        let request = Request::Range(RangeRequest {
            key: load.from.clone(),
            range_end: self.config.range_end.clone(),
            revision: load.revision,
            limit: self.config.page,
            ..RangeRequest::default()
        });
        let asked = self.call(request, out);
        if let Phase::Loading { call, .. } = &mut self.phase {
            *call = Some(asked);
        }
    }

    /// Takes in a page.
    pub(super) fn page(&mut self, now: Mono, result: Result<Response, StoreError>, out: &mut Vec<MirrorEffect>) {
        let (header, range) = match result {
            Ok(Response { header, body: ResponseBody::Range(range) }) => (header, range),
            Ok(_) => {
                let error = StoreError::new(ErrorKind::Other, "the store answered something else");
                return self.load_failed(now, &error, out);
            }
            Err(error) => return self.load_failed(now, &error, out),
        };
        if let Err(why) = self.same_store(&header, self.seen) {
            return self.restored(now, why, out);
        }
        let Phase::Loading { load, .. } = &mut self.phase else { return };
        if load.revision == 0 {
            load.revision = header.revision;
        }
        let (from, revision) = (load.from.clone(), load.revision);
        let next = range.more.then(|| range.kvs.last().map(|kv| after(&kv.key))).flatten();
        let changes = self.differences(&from, next.as_ref(), range);
        if !changes.is_empty() {
            out.push(MirrorEffect::Changes { revision, changes });
        }
        match next {
            Some(next) => {
                if let Phase::Loading { load, .. } = &mut self.phase {
                    load.from = next;
                }
                self.ask_page(out);
            }
            None => {
                self.complete(revision, out);
                self.open_watch(now, out);
            }
        }
    }

    /// What a page changes, in key order. The page tells of all keys from `from` up to `next`, or to the end.
    fn differences(&mut self, from: &Bytes, next: Option<&Bytes>, page: RangeResponse) -> Vec<KvChange> {
        let mut changes: Vec<KvChange> = Vec::new();
        let there: BTreeSet<Bytes> = page.kvs.iter().map(|kv| kv.key.clone()).collect();
        let mut gone: Vec<Bytes> = Vec::new();
        self.known.walk(from, |key| {
            let is_told_of = next.is_none_or(|next| *key < next[..]);
            if is_told_of && !there.contains(key) {
                gone.push(Bytes::copy_from_slice(key));
            }
            is_told_of
        });
        for key in gone {
            self.known.remove(&key);
            changes.push(KvChange { key, new: None });
        }
        for kv in page.kvs {
            if self.known.insert(&kv.key, kv.mod_revision) != Some(kv.mod_revision) {
                changes.push(KvChange { key: kv.key.clone(), new: Some(kv) });
            }
        }
        changes.sort_by(|a, b| a.key.cmp(&b.key));
        changes
    }

    fn load_failed(&mut self, now: Mono, error: &StoreError, out: &mut Vec<MirrorEffect>) {
        self.stale(because("loading the registry failed", error), out);
        let again = self.retry_at(now);
        let anew = Load::from(&self.config);
        if let Phase::Loading { load, call, retry } = &mut self.phase {
            *call = None;
            *retry = again;
            // An outage does not unpin the revision; a compaction, and whatever is not understood, does.
            if !error.is_outage() {
                *load = anew;
            }
        }
    }
}

/// The first key behind this one.
fn after(key: &Bytes) -> Bytes {
    let mut next = Vec::with_capacity(key.len() + 1);
    next.extend_from_slice(key);
    next.push(0);
    Bytes::from(next)
}
