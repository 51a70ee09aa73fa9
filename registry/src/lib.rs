//! What a fleet cluster remembers.
//!
//! Bottom up: [`store`] is the contract of an etcd v3 store (requests, answers, watches), [`record`] the values that
//! fleet keeps in one, [`key`] where each lives, [`step`] the shape of every state machine in fleet and of what it
//! asks of the store.

pub mod key;
pub mod memory;
pub mod record;
pub mod step;
pub mod store;

pub use key::{Key, Layout};
pub use step::{CallId, Mono, Now, Owner, StateMachine, StoreEffect, StoreEvent, WatchId};
pub use store::Store;
