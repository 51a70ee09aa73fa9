//! Drives state machines against the memory store, synchronously, in virtual time: for tests and the simulator.
//!
//! A [`Link`] is what lies between one client and a store that many may share. It can be cut, slow, or lossy, before or
//! after a request takes effect. A [`Loopback`] is a store with one link, for tests of a single machine.
//!
//! ```
//! use std::time::Duration;
//! use fleet_registry::loopback::Loopback;
//! use fleet_registry::store::{RangeRequest, Request};
//! use fleet_registry::{CallId, Owner, StoreEffect, StoreEvent};
//!
//! let mut store = Loopback::new(1);
//! let now = Duration::from_secs(100);
//! let id = CallId { owner: Owner::Engine, seq: 1 };
//! store.perform(now, StoreEffect::Call { id, request: Request::Range(RangeRequest::key("key")) });
//! let events = store.poll(now);
//! assert!(matches!(&events[..], [StoreEvent::Answer { result: Ok(_), .. }]));
//! ```

mod link;

pub use link::{Connection, Delays, Fault, Link};

use crate::memory::Memory;
use crate::shell::DEFAULT_REQUEST_TIMEOUT;
use crate::step::{Mono, StoreEffect, StoreEvent};
use crate::store::{Operation, PutRequest, Request, Response, StoreError, TxnRequest};

/// A store of one's own, at the other end of a link.
#[derive(Debug, Clone)]
pub struct Loopback {
    /// The store.
    pub memory: Memory,
    /// The link to it.
    pub link: Link,
}

impl Loopback {
    /// An empty store at the end of a link that does its work; answers time out after a second.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { memory: Memory::new(seed), link: Link::new(DEFAULT_REQUEST_TIMEOUT) }
    }

    /// Carries out an effect.
    pub fn perform(&mut self, now: Mono, effect: StoreEffect) {
        self.link.perform(&mut self.memory, now, effect);
    }

    /// What has come back by now, in order.
    pub fn poll(&mut self, now: Mono) -> Vec<StoreEvent> {
        self.link.poll(&mut self.memory, now)
    }

    /// When something comes back, or a lease runs out, if nothing else happens before.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Mono> {
        [self.link.next_deadline(), self.memory.next_deadline()].into_iter().flatten().min()
    }

    /// Cuts the link: connections are refused, and watches break.
    pub fn down(&mut self, now: Mono) {
        self.link.connect(&mut self.memory, now, Connection::Refused);
    }

    /// Mends it.
    pub fn up(&mut self, now: Mono) {
        self.link.connect(&mut self.memory, now, Connection::Up);
    }

    /// Makes a request as somebody else would, past the link.
    ///
    /// # Errors
    /// The store's.
    pub fn call(&mut self, now: Mono, request: Request) -> Result<Response, StoreError> {
        self.memory.apply(now, request)
    }

    /// Writes a key as somebody else would.
    ///
    /// # Errors
    /// The store's.
    pub fn put(&mut self, now: Mono, put: PutRequest) -> Result<Response, StoreError> {
        self.call(now, Request::Txn(TxnRequest { success: vec![Operation::Put(put)], ..TxnRequest::default() }))
    }

    /// Forgets all history but the present.
    ///
    /// # Errors
    /// When that was done at this revision before.
    pub fn compact(&mut self, now: Mono) -> Result<Response, StoreError> {
        let revision = self.memory.header().revision;
        self.call(now, Request::Compact { revision, physical: true })
    }

    /// Puts another store in place of this one: a restored backup, or a different cluster. Watches break.
    pub fn replace(&mut self, now: Mono, memory: Memory) {
        self.link.break_watches(&mut self.memory, now);
        self.memory = memory;
    }
}

#[cfg(test)]
mod tests;
