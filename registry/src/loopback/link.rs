//! What lies between one client and the store.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::memory::{Memory, WatcherId};
use crate::step::{CallId, Mono, StoreEffect, StoreEvent, WatchId};
use crate::store::{ErrorKind, Request, StoreError, WatchItem, WatchRequest};

/// Whether the store can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connection {
    /// It can.
    Up,
    /// Connections are refused: calls fail at once without effect, and watches break.
    Refused,
    /// Nothing passes, and nothing says so: calls time out without effect, and watches fall silent.
    Silent,
    /// Requests pass and take effect, answers do not: calls time out, and watches fall silent.
    Deaf,
}

/// How long things are under way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Delays {
    /// From the sending of a request until it takes effect.
    pub request: Duration,
    /// From then until its answer is there.
    pub answer: Duration,
    /// From a change until a watch tells of it.
    pub watch: Duration,
}

/// What befalls one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// The connection is refused: no effect, and an error at once.
    Refuse,
    /// The request is lost: no effect, and a time-out.
    LoseRequest,
    /// The answer is lost: it takes effect, and times out.
    LoseAnswer,
    /// The answer comes twice.
    Repeat,
    /// It takes this long on top, out and back.
    Delay {
        /// On its way out.
        request: Duration,
        /// On its way back.
        answer: Duration,
    },
}

/// One client's way to the store. Everything happens in the order of time, and at one time in the order of asking.
#[derive(Debug, Clone)]
pub struct Link {
    /// How long things are under way from now on.
    pub delays: Delays,
    timeout: Duration,
    connection: Connection,
    faults: VecDeque<Fault>,
    requests: BTreeMap<(Mono, u64), Outgoing>,
    events: BTreeMap<(Mono, u64), StoreEvent>,
    watches: BTreeMap<WatchId, Watching>,
    count: u64,
}

#[derive(Debug, Clone)]
struct Outgoing {
    id: CallId,
    request: Request,
    /// When its answer is there; none when it is not waited for.
    answered: Option<Mono>,
    repeat: bool,
}

#[derive(Debug, Clone, Copy)]
struct Watching {
    watcher: WatcherId,
    /// When its last item arrives: none overtakes it.
    last: Mono,
}

impl Link {
    /// A link that does its work. A call without an answer fails with [`ErrorKind::Unknown`] after `timeout`.
    #[must_use]
    pub fn new(timeout: Duration) -> Self {
        Self {
            delays: Delays::default(),
            timeout,
            connection: Connection::Up,
            faults: VecDeque::new(),
            requests: BTreeMap::new(),
            events: BTreeMap::new(),
            watches: BTreeMap::new(),
            count: 0,
        }
    }

    /// Changes how long an answer is waited for from now on.
    pub fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    /// Lets this befall the next call that nothing else is meant to befall.
    pub fn inject(&mut self, fault: Fault) {
        self.faults.push_back(fault);
    }

    /// What was injected and has not befallen a call yet never will.
    pub fn clear_faults(&mut self) {
        self.faults.clear();
    }

    /// Changes what the connection does from now on.
    pub fn connect(&mut self, memory: &mut Memory, now: Mono, connection: Connection) {
        self.connection = connection;
        if connection == Connection::Refused {
            self.break_watches(memory, now);
        }
    }

    /// Breaks all watches; what they had not told yet is lost.
    pub fn break_watches(&mut self, memory: &mut Memory, now: Mono) {
        self.events.retain(|_, event| !matches!(event, StoreEvent::Watch { item: Ok(_), .. }));
        for (id, Watching { watcher, .. }) in std::mem::take(&mut self.watches) {
            memory.cancel_watch(watcher);
            let item = Err(StoreError::new(ErrorKind::Unavailable, "the connection broke"));
            self.deliver(now, StoreEvent::Watch { id, item });
        }
    }

    /// Forgets everything, as when the client dies. Requests that are under way take effect all the same.
    pub fn abandon(&mut self, memory: &mut Memory) {
        for Watching { watcher, .. } in std::mem::take(&mut self.watches).into_values() {
            memory.cancel_watch(watcher);
        }
        self.events.clear();
        self.faults.clear();
        self.requests.values_mut().for_each(|outgoing| outgoing.answered = None);
    }

    /// Lets every watch say how far it is, as etcd does now and then.
    pub fn progress(&mut self, memory: &mut Memory, now: Mono) {
        self.read_watches(memory, now);
        if self.connection == Connection::Up {
            let header = memory.header();
            for id in self.watches.keys().copied().collect::<Vec<_>>() {
                self.deliver_item(now, id, Ok(WatchItem::Progress { header }));
            }
        }
    }

    /// The store's names of the watches that are open: when one of them has news, the link is to be polled.
    pub fn watchers(&self) -> impl Iterator<Item = WatcherId> {
        self.watches.values().map(|watching| watching.watcher)
    }

    /// Carries out an effect.
    pub fn perform(&mut self, memory: &mut Memory, now: Mono, effect: StoreEffect) {
        match effect {
            StoreEffect::Call { id, request } => self.call(now, id, request),
            StoreEffect::Watch { id, request } => self.watch(memory, now, id, request),
            StoreEffect::CancelWatch { id } => {
                if let Some(watching) = self.watches.remove(&id) {
                    memory.cancel_watch(watching.watcher);
                }
            }
        }
        self.requests_due(memory, now);
    }

    /// What has come back by now, in order.
    pub fn poll(&mut self, memory: &mut Memory, now: Mono) -> Vec<StoreEvent> {
        self.requests_due(memory, now);
        memory.expire(now);
        self.read_watches(memory, now);
        let mut due = Vec::new();
        while let Some(entry) = self.events.first_entry().filter(|entry| entry.key().0 <= now) {
            due.push(entry.remove());
        }
        due
    }

    /// When something happens on the link if nobody does anything.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Mono> {
        let first = |key: Option<&(Mono, u64)>| key.map(|(at, _)| *at);
        [first(self.requests.keys().next()), first(self.events.keys().next())].into_iter().flatten().min()
    }

    fn deliver(&mut self, at: Mono, event: StoreEvent) {
        self.count += 1;
        self.events.insert((at, self.count), event);
    }

    fn call(&mut self, now: Mono, id: CallId, request: Request) {
        let fault = self.faults.pop_front().unwrap_or(Fault::None);
        let deadline = now + self.timeout;
        if fault == Fault::Refuse || self.connection == Connection::Refused {
            let error = StoreError::new(ErrorKind::Unavailable, "connection refused");
            return self.deliver(now, StoreEvent::Answer { id, result: Err(error) });
        }
        let (out, back) = match fault {
            Fault::Delay { request, answer } => (request, answer),
            _ => (Duration::ZERO, Duration::ZERO),
        };
        let arrival = now + self.delays.request + out;
        let answer = arrival + self.delays.answer + back;
        let lost = matches!(fault, Fault::LoseRequest | Fault::LoseAnswer)
            || matches!(self.connection, Connection::Silent | Connection::Deaf);
        let answered = (!lost && answer <= deadline).then_some(answer);
        if answered.is_none() {
            self.give_up(deadline, id);
        }
        if fault != Fault::LoseRequest && self.connection != Connection::Silent {
            self.count += 1;
            let outgoing = Outgoing { id, request, answered, repeat: fault == Fault::Repeat };
            self.requests.insert((arrival, self.count), outgoing);
        }
    }

    fn give_up(&mut self, at: Mono, id: CallId) {
        let error = StoreError::new(ErrorKind::Unknown, format!("no answer within {:?}", self.timeout));
        self.deliver(at, StoreEvent::Answer { id, result: Err(error) });
    }

    /// Lets those requests take effect that have reached the store by now.
    fn requests_due(&mut self, memory: &mut Memory, now: Mono) {
        while let Some(entry) = self.requests.first_entry() {
            let (at, _) = *entry.key();
            if at > now {
                return;
            }
            let outgoing = entry.remove();
            let result = memory.apply(at, outgoing.request);
            let Some(answered) = outgoing.answered else { continue };
            let event = StoreEvent::Answer { id: outgoing.id, result };
            if outgoing.repeat {
                self.deliver(answered, event.clone());
            }
            self.deliver(answered, event);
        }
    }

    fn watch(&mut self, memory: &mut Memory, now: Mono, id: WatchId, request: WatchRequest) {
        match self.connection {
            Connection::Up => {
                let (watcher, created) = memory.watch(request);
                if let Some(old) = self.watches.insert(id, Watching { watcher, last: now }) {
                    memory.cancel_watch(old.watcher);
                }
                self.deliver_item(now, id, Ok(created));
            }
            Connection::Refused => {
                let item = Err(StoreError::new(ErrorKind::Unavailable, "connection refused"));
                self.deliver(now, StoreEvent::Watch { id, item });
            }
            Connection::Silent | Connection::Deaf => {}
        }
    }

    fn read_watches(&mut self, memory: &mut Memory, now: Mono) {
        if self.connection != Connection::Up {
            return;
        }
        let watches: Vec<(WatchId, Watching)> = self.watches.iter().map(|(id, watching)| (*id, *watching)).collect();
        for (id, watching) in watches {
            while let Some(item) = memory.poll_watch(watching.watcher) {
                let failed = item.is_err();
                self.deliver_item(now, id, item);
                if failed {
                    self.watches.remove(&id);
                }
            }
        }
    }

    fn deliver_item(&mut self, now: Mono, id: WatchId, item: Result<WatchItem, StoreError>) {
        let mut at = now + self.delays.watch;
        if let Some(watching) = self.watches.get_mut(&id) {
            at = at.max(watching.last);
            watching.last = at;
        }
        self.deliver(at, StoreEvent::Watch { id, item });
    }
}
