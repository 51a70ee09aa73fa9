//! Watching: changes in order, and the way back after a watch broke.

use super::{CHECKS, CREATION, KvChange, Mirror, MirrorEffect, Phase, because};
use crate::step::{Mono, StoreEffect, WatchId};
use crate::store::{
    ErrorKind, Event, EventKind, Header, Operation, OperationResponse, RangeRequest, Request, Response, ResponseBody,
    SortOrder, SortTarget, StoreError, TxnRequest, WatchItem, WatchRequest,
};

/// A watch under way.
#[derive(Debug, Clone)]
pub(super) struct Watch {
    /// Its name.
    pub(super) seq: u64,
    /// When it is given up unless it is there; none once it is.
    pub(super) created_by: Option<Mono>,
    /// The next comparison of what was handed over with what the store holds.
    pub(super) check: Check,
    /// While a check found something missing: the revision at which it looked. What it saw has arrived when the watch
    /// gets there.
    target: Option<i64>,
    /// Checks in a row that found something missing.
    misses: u32,
}

/// A linearizable read that tells whether anything is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Check {
    /// To be made then.
    Due(Mono),
    /// Under way.
    Asked {
        /// The name of its call.
        call: u64,
        /// Highest revision seen when it was sent.
        floor: i64,
    },
}

impl Watch {
    pub(super) fn wakeup(&self) -> Option<Mono> {
        let check = match self.check {
            Check::Due(at) => Some(at),
            Check::Asked { .. } => None,
        };
        [self.created_by, check].into_iter().flatten().min()
    }
}

/// After so many checks that found something missing the watch is not believed to deliver it.
const MISSES: u32 = 8;

impl Mirror {
    /// Watches from the revision after the last one handed over.
    pub(super) fn open_watch(&mut self, now: Mono, out: &mut Vec<MirrorEffect>) {
        let id = WatchId { owner: self.config.owner, seq: self.name() };
        let request = WatchRequest {
            key: self.config.root.clone(),
            range_end: self.config.range_end.clone(),
            start_revision: self.revision + 1,
            progress_notify: true,
            ..WatchRequest::default()
        };
        out.push(MirrorEffect::Store(StoreEffect::Watch { id, request }));
        self.phase = Phase::Watching(Watch {
            seq: id.seq,
            created_by: Some(now + CREATION),
            check: self.next_check(now),
            target: None,
            misses: 0,
        });
    }

    /// Takes in what the watch delivers.
    pub(super) fn watched(&mut self, now: Mono, item: Result<WatchItem, StoreError>, out: &mut Vec<MirrorEffect>) {
        let item = match item {
            Ok(item) => item,
            Err(error) => return self.watch_failed(now, &error, out),
        };
        let (WatchItem::Created { header } | WatchItem::Events { header, .. } | WatchItem::Progress { header }) = &item;
        let header = *header;
        if let Err(why) = self.same_cluster(&header) {
            return self.restored(now, why, out);
        }
        if let Phase::Watching(watch) = &mut self.phase {
            watch.created_by = None;
        }
        match item {
            WatchItem::Created { .. } => self.watch_created(now, &header, out),
            WatchItem::Events { events, .. } => self.events(now, events, out),
            WatchItem::Progress { .. } => self.progress(now, &header, out),
        }
    }

    /// Even a watch that seems well is compared with the store now and then.
    fn next_check(&mut self, now: Mono) -> Check {
        Check::Due(now + self.jitter.between(CHECKS.0, CHECKS.1))
    }

    /// The watch has delivered everything up to this revision.
    fn caught_up(&mut self, now: Mono, revision: i64, out: &mut Vec<MirrorEffect>) {
        if !self.complete {
            self.check_passed(now);
        }
        self.complete(revision, out);
    }

    /// The next check is minutes away.
    fn check_passed(&mut self, now: Mono) {
        let check = self.next_check(now);
        if let Phase::Watching(watch) = &mut self.phase {
            (watch.check, watch.target, watch.misses) = (check, None, 0);
        }
    }

    /// The first watch after a load misses nothing. One that was opened again may have to catch up.
    fn watch_created(&mut self, now: Mono, header: &Header, out: &mut Vec<MirrorEffect>) {
        if header.revision == self.revision {
            if !self.complete {
                self.caught_up(now, header.revision, out);
            }
        } else if !self.complete || header.revision < self.revision {
            self.ask_check(out);
        }
    }

    /// Nothing is missing up to the header's revision, unless that lies behind what is known: then either the member
    /// lags, or the store was restored.
    fn progress(&mut self, now: Mono, header: &Header, out: &mut Vec<MirrorEffect>) {
        if header.revision >= self.revision {
            self.seen = self.seen.max(header.revision);
            self.caught_up(now, header.revision, out);
        } else if let Phase::Watching(Watch { check: Check::Due(_), .. }) = self.phase {
            self.ask_check(out);
        }
    }

    fn events(&mut self, now: Mono, events: Vec<Event>, out: &mut Vec<MirrorEffect>) {
        let handed_over = self.revision;
        let mut changes: Vec<KvChange> = Vec::new();
        for event in events.into_iter().filter(|event| event.kv.mod_revision > handed_over) {
            let revision = event.kv.mod_revision;
            if revision > self.revision {
                self.hand_over(&mut changes, out);
                self.revision = revision;
            }
            changes.extend(self.change(event));
        }
        self.hand_over(&mut changes, out);
        self.seen = self.seen.max(self.revision);
        let Phase::Watching(watch) = &self.phase else { return };
        if watch.target.is_some_and(|target| self.revision >= target) {
            self.check_passed(now);
            self.complete(self.revision, out);
        } else if self.complete && self.revision > handed_over {
            self.complete(self.revision, out);
        }
    }

    fn hand_over(&self, changes: &mut Vec<KvChange>, out: &mut Vec<MirrorEffect>) {
        if !changes.is_empty() {
            out.push(MirrorEffect::Changes { revision: self.revision, changes: std::mem::take(changes) });
        }
    }

    fn change(&mut self, event: Event) -> Option<KvChange> {
        let key = event.kv.key.clone();
        match event.kind {
            EventKind::Put => {
                self.known.insert(&key, event.kv.mod_revision);
                Some(KvChange { key, new: Some(event.kv) })
            }
            EventKind::Delete => {
                self.known.remove(&key)?;
                Some(KvChange { key, new: None })
            }
        }
    }

    /// Asks, in one linearizable read, how many keys there are and which was written last.
    pub(super) fn ask_check(&mut self, out: &mut Vec<MirrorEffect>) {
        let range = RangeRequest {
            key: self.config.root.clone(),
            range_end: self.config.range_end.clone(),
            ..RangeRequest::default()
        };
        let count = RangeRequest { count_only: true, ..range.clone() };
        let newest = RangeRequest {
            limit: 1,
            keys_only: true,
            sort_order: SortOrder::Descend,
            sort_target: SortTarget::Mod,
            ..range
        };
        let request = Request::Txn(TxnRequest {
            success: vec![Operation::Range(count), Operation::Range(newest)],
            ..TxnRequest::default()
        });
        let asked = self.call(request, out);
        let floor = self.seen;
        if let Phase::Watching(watch) = &mut self.phase {
            watch.check = Check::Asked { call: asked, floor };
        }
    }

    /// Takes in the answer to the check.
    ///
    /// When no key was written after what was handed over, and as many keys are there, then nothing that counts is
    /// missing: a key that was deleted would be short, and one that took its place would be newer.
    pub(super) fn checked(
        &mut self,
        now: Mono,
        floor: i64,
        result: Result<Response, StoreError>,
        out: &mut Vec<MirrorEffect>,
    ) {
        let (header, count, newest) = match result.map(|response| (response.header, count_and_newest(response.body))) {
            Ok((header, Some((count, newest)))) => (header, count, newest),
            Ok((_, None)) => return self.check_again(now),
            Err(error) => {
                self.stale(because("comparing with the registry failed", &error), out);
                return self.check_again(now);
            }
        };
        if let Err(why) = self.same_store(&header, floor) {
            return self.restored(now, why, out);
        }
        let same = newest <= self.revision && i64::try_from(self.known.len()) == Ok(count);
        if same || header.revision <= self.revision {
            self.check_passed(now);
            return self.complete(header.revision, out);
        }
        let Phase::Watching(watch) = &mut self.phase else { return };
        watch.target.get_or_insert(header.revision);
        watch.misses += 1;
        if watch.misses < MISSES {
            return self.check_again(now);
        }
        self.cancel_watch(out);
        self.stale("the watch does not deliver what the registry holds".to_owned(), out);
        self.load_later(now);
    }

    fn check_again(&mut self, now: Mono) {
        let at = self.retry_at(now);
        if let Phase::Watching(watch) = &mut self.phase {
            watch.check = Check::Due(at);
        }
    }

    fn watch_failed(&mut self, now: Mono, error: &StoreError, out: &mut Vec<MirrorEffect>) {
        self.stale(because("watching the registry failed", error), out);
        if error.kind == ErrorKind::Compacted {
            self.load_later(now);
        } else {
            self.phase = Phase::Broken { retry: self.retry_at(now) };
        }
    }

    pub(super) fn watch_overdue(&mut self, now: Mono, out: &mut Vec<MirrorEffect>) {
        self.cancel_watch(out);
        self.stale(format!("the registry did not open a watch within {CREATION:?}"), out);
        self.phase = Phase::Broken { retry: self.retry_at(now) };
    }
}

fn count_and_newest(body: ResponseBody) -> Option<(i64, i64)> {
    let ResponseBody::Txn(txn) = body else { return None };
    match txn.responses.as_slice() {
        [OperationResponse::Range(count), OperationResponse::Range(newest)] => {
            Some((count.count, newest.kvs.first().map_or(0, |kv| kv.mod_revision)))
        }
        _ => None,
    }
}
