//! The shape of fleet's state machines, and what they ask of the store.
//!
//! Session, mirror, election, engine, and agent do no I/O: `step` takes the time and an event and returns effects. A
//! small shell carries the effects out and feeds back what came of them, so that tests and the simulator drive the very
//! code that runs in production, and a crash can fall between any two effects.

use std::time::Duration;

use crate::store::{Request, Response, StoreError, WatchItem, WatchRequest};

/// Monotonic time, CLOCK_BOOTTIME since boot: it goes on while the machine sleeps, as leases do.
pub type Mono = Duration;

/// The time, as a state machine sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// For decisions.
    pub mono: Mono,
    /// Milliseconds since the Unix epoch: for records that people read.
    pub wall: u64,
}

/// A state machine without I/O.
pub trait StateMachine {
    /// What happens to it.
    type Event;
    /// What it wants done, in this order.
    type Effect;

    /// Takes one event.
    fn step(&mut self, now: Now, event: Self::Event) -> Vec<Self::Effect>;

    /// When it wants to be stepped with its tick event if nothing else happens before.
    fn wakeup(&self) -> Option<Mono>;
}

/// Which machine inside one fleetd asked, so that a parent can route an answer to its child.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owner {
    /// Lease and presence evidence.
    Session,
    /// A mirror.
    Mirror,
    /// Leader election.
    Election,
    /// The engine's writes.
    Engine,
    /// The agent.
    Agent,
}

/// Names a store call; the answer carries it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId {
    /// Who asked.
    pub owner: Owner,
    /// Its own count.
    pub seq: u64,
}

/// Names a watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WatchId {
    /// Who watches.
    pub owner: Owner,
    /// Its own count.
    pub seq: u64,
}

/// What a state machine wants of the store.
#[derive(Debug, Clone, PartialEq)]
pub enum StoreEffect {
    /// Make this request; exactly one [`StoreEvent::Answer`] follows, an error after the time-out at the latest.
    Call {
        /// Carried back by the answer.
        id: CallId,
        /// The request.
        request: Request,
    },
    /// Open this watch; [`StoreEvent::Watch`] follows for each item, an error ends it. Never resumed by the shell.
    Watch {
        /// Carried back by each item.
        id: WatchId,
        /// What to watch.
        request: WatchRequest,
    },
    /// Close it; items already under way may still arrive.
    CancelWatch {
        /// Which.
        id: WatchId,
    },
}

/// What comes back from the store.
#[derive(Debug, Clone, PartialEq)]
pub enum StoreEvent {
    /// The answer to a call.
    Answer {
        /// Which call.
        id: CallId,
        /// Its outcome. An error with [`StoreError::outcome_unknown`] may have taken effect.
        result: Result<Response, StoreError>,
    },
    /// An item of a watch.
    Watch {
        /// Which watch.
        id: WatchId,
        /// The item; an error is its last.
        item: Result<WatchItem, StoreError>,
    },
}

impl StoreEvent {
    /// Whose call or watch this belongs to.
    #[must_use]
    pub fn owner(&self) -> Owner {
        match self {
            Self::Answer { id, .. } => id.owner,
            Self::Watch { id, .. } => id.owner,
        }
    }
}
