//! Watch streams, as the writer sees them: where to send, and what is held back while a client is slow.
//!
//! A stream takes a handful of deliveries at a time. A client that does not read them holds up nothing but its own
//! watchers, which stay where they are in the store's history.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::memory::{Memory, WatcherId};
use crate::store::{Header, StoreError, WatchItem, WatchRequest};

/// Deliveries that wait in a stream until its client reads them.
pub(super) const STREAM_DEPTH: usize = 8;

/// What is said of no watch in particular, or of all of a stream's.
pub(super) const NO_WATCH: i64 = -1;

/// Names a stream.
pub(super) type StreamId = u64;

/// What a watch stream carries to its client.
#[derive(Debug)]
pub(super) struct Delivery {
    /// The client's name for the watch, or [`NO_WATCH`].
    pub(super) watch: i64,
    pub(super) what: Delivered,
}

#[derive(Debug)]
pub(super) enum Delivered {
    Item(WatchItem),
    /// The watch was not opened.
    Refused {
        header: Header,
        why: &'static str,
    },
    /// The watch ended: by request, or because of an error.
    Canceled {
        header: Header,
        error: Option<StoreError>,
    },
}

/// The sending end of a stream.
#[derive(Debug)]
struct Stream {
    sender: mpsc::Sender<Delivery>,
    /// Set when there was no room: the reader asks to go on once there is.
    blocked: Arc<AtomicBool>,
    watches: BTreeMap<i64, Watch>,
    /// Answers to requests, which must not get lost when there is no room.
    answers: VecDeque<Delivery>,
    next_watch: i64,
    /// The client asked how far its watches are before they were as far as the store.
    progress_wanted: bool,
}

#[derive(Debug)]
struct Watch {
    /// `None` once it has failed: its name stays taken until the client cancels it, as in etcd.
    watcher: Option<WatcherId>,
    progress: bool,
    /// Nothing was sent since the last progress.
    idle: bool,
}

/// All streams.
#[derive(Debug, Default)]
pub(super) struct Streams {
    streams: BTreeMap<StreamId, Stream>,
    /// Whose watcher it is.
    watchers: BTreeMap<WatcherId, (StreamId, i64)>,
}

impl Streams {
    pub(super) fn open(&mut self, id: StreamId, sender: mpsc::Sender<Delivery>, blocked: Arc<AtomicBool>) {
        let stream = Stream {
            sender,
            blocked,
            watches: BTreeMap::new(),
            answers: VecDeque::new(),
            next_watch: 0,
            progress_wanted: false,
        };
        self.streams.insert(id, stream);
    }

    /// Ends a stream with all of its watches.
    pub(super) fn close(&mut self, memory: &mut Memory, id: StreamId) {
        let Some(stream) = self.streams.remove(&id) else { return };
        for watcher in stream.watches.values().filter_map(|watch| watch.watcher) {
            memory.cancel_watch(watcher);
            self.watchers.remove(&watcher);
        }
    }

    /// Opens a watch on a stream; a name of 0 lets the stream choose one, as etcd does.
    pub(super) fn create(&mut self, memory: &mut Memory, id: StreamId, name: i64, request: WatchRequest) {
        let header = memory.header();
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let why = if request.is_empty() {
            Some("mvcc: watcher range is empty")
        } else if name != 0 && stream.watches.contains_key(&name) {
            Some("mvcc: duplicate watch ID provided on the WatchStream")
        } else {
            None
        };
        if let Some(why) = why {
            stream.answers.push_back(Delivery { watch: NO_WATCH, what: Delivered::Refused { header, why } });
            return self.deliver_stream(memory, id);
        }
        let name = if name == 0 { stream.free_name() } else { name };
        let progress = request.progress_notify;
        let (watcher, created) = memory.watch(request);
        stream.watches.insert(name, Watch { watcher: Some(watcher), progress, idle: true });
        stream.answers.push_back(Delivery { watch: name, what: Delivered::Item(created) });
        self.watchers.insert(watcher, (id, name));
        self.deliver_stream(memory, id);
    }

    /// Ends one watch, and says so.
    pub(super) fn cancel(&mut self, memory: &mut Memory, id: StreamId, name: i64) {
        let header = memory.header();
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let Some(watch) = stream.watches.remove(&name) else { return };
        if let Some(watcher) = watch.watcher {
            memory.cancel_watch(watcher);
            self.watchers.remove(&watcher);
        }
        stream.answers.push_back(Delivery { watch: name, what: Delivered::Canceled { header, error: None } });
        self.deliver_stream(memory, id);
    }

    /// Tells a client how far all of its watches are, once they are as far as the store.
    pub(super) fn progress(&mut self, memory: &mut Memory, id: StreamId) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.progress_wanted = true;
        }
        self.deliver_stream(memory, id);
    }

    /// Tells idle watchers that asked for it how far they are.
    pub(super) fn notify_progress(&mut self, memory: &mut Memory) {
        let header = memory.header();
        let ids: Vec<StreamId> = self.streams.keys().copied().collect();
        for id in ids {
            let Some(stream) = self.streams.get_mut(&id) else { continue };
            let level = stream.is_level(memory);
            for (name, watch) in &mut stream.watches {
                if watch.progress && watch.idle && level && watch.watcher.is_some() {
                    let what = Delivered::Item(WatchItem::Progress { header });
                    stream.answers.push_back(Delivery { watch: *name, what });
                }
                watch.idle = true;
            }
            self.deliver_stream(memory, id);
        }
    }

    /// Sends out what has happened since this was last called.
    pub(super) fn deliver(&mut self, memory: &mut Memory) {
        for watcher in memory.take_woken() {
            if let Some(&(id, name)) = self.watchers.get(&watcher) {
                self.deliver_watch(memory, id, name);
            }
        }
    }

    /// Goes on with a stream that has room again.
    pub(super) fn deliver_stream(&mut self, memory: &mut Memory, id: StreamId) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        if !stream.flush() {
            return;
        }
        let names: Vec<i64> = stream.watches.keys().copied().collect();
        for name in names {
            self.deliver_watch(memory, id, name);
        }
        let header = memory.header();
        if let Some(stream) = self.streams.get_mut(&id)
            && stream.progress_wanted
            && stream.is_level(memory)
        {
            stream.progress_wanted = false;
            stream
                .answers
                .push_back(Delivery { watch: NO_WATCH, what: Delivered::Item(WatchItem::Progress { header }) });
            // Where there is no room it goes with what the reader resumes.
            stream.flush();
        }
    }

    fn deliver_watch(&mut self, memory: &mut Memory, id: StreamId, name: i64) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        while let Some(watch) = stream.watches.get_mut(&name)
            && let Some(watcher) = watch.watcher
        {
            // Answers go first: a watch's creation comes before its events.
            if !stream.answers.is_empty() {
                return;
            }
            let sender = stream.sender.clone();
            let Some(permit) = reserve(&sender, &stream.blocked) else { return };
            let Some(item) = memory.poll_watch(watcher) else { return };
            watch.idle = false;
            let what = match item {
                Ok(item) => Delivered::Item(item),
                Err(error) => {
                    self.watchers.remove(&watcher);
                    watch.watcher = None;
                    Delivered::Canceled { header: memory.header(), error: Some(error) }
                }
            };
            permit.send(Delivery { watch: name, what });
        }
    }
}

impl Stream {
    /// Sends the answers that wait. Returns whether all are gone.
    fn flush(&mut self) -> bool {
        while !self.answers.is_empty() {
            let sender = self.sender.clone();
            let Some(permit) = reserve(&sender, &self.blocked) else { return false };
            if let Some(answer) = self.answers.pop_front() {
                permit.send(answer);
            }
        }
        true
    }

    /// Whether everything was sent that there is.
    fn is_level(&self, memory: &Memory) -> bool {
        self.answers.is_empty()
            && self.watches.values().filter_map(|watch| watch.watcher).all(|watcher| memory.is_level(watcher))
    }

    fn free_name(&mut self) -> i64 {
        loop {
            let name = self.next_watch;
            self.next_watch += 1;
            if !self.watches.contains_key(&name) {
                return name;
            }
        }
    }
}

/// Room for one delivery. Where there is none the reader is asked to say when there is.
fn reserve<'a>(sender: &'a mpsc::Sender<Delivery>, blocked: &AtomicBool) -> Option<mpsc::Permit<'a, Delivery>> {
    match sender.try_reserve() {
        Ok(permit) => return Some(permit),
        Err(TrySendError::Closed(())) => return None,
        Err(TrySendError::Full(())) => blocked.store(true, Ordering::SeqCst),
    }
    // The reader may have made room before it could see the flag.
    sender.try_reserve().ok()
}
