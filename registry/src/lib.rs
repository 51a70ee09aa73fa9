//! What a fleet cluster remembers.
//!
//! Bottom up: [`store`] is the contract of an etcd v3 store (requests, answers, watches), [`record`] the values that
//! fleet keeps in one, [`key`] where each lives, [`step`] the shape of every state machine in fleet and of what it
//! asks of the store.
//!
//! On top of these stand the machines that every fleetd runs: [`session`] keeps one lease alive, [`mirror`] keeps a copy
//! of the keys, [`view`] makes records of it. [`shell`] runs them for real, [`loopback`] in virtual time.
//! [`snapshot`] makes a file of a whole store, and a store of such a file.

mod crc32;
pub mod embedded;
pub mod etcd;
pub mod jitter;
pub mod key;
pub mod loopback;
pub mod memory;
pub mod mirror;
pub mod planted;
pub mod record;
pub mod session;
pub mod shell;
pub mod snapshot;
pub mod step;
pub mod store;
pub mod trust;
pub mod view;
mod wire;

pub use jitter::Jitter;
pub use key::{Key, Layout};
pub use mirror::{KvChange, Mirror, MirrorConfig, MirrorEffect, MirrorInput};
pub use session::{Evidence, Session, SessionConfig, SessionEffect, SessionEvent, SessionInput};
pub use step::{CallId, Mono, Now, Owner, StateMachine, StoreEffect, StoreEvent, WatchId};
pub use store::Store;
pub use view::{Change, Contents, Few, Unreadable, View};
