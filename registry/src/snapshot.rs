//! Snapshots: a whole store as one file in the form of etcd's own, so that each side's tools take the other's.
//!
//! [`SnapshotFile`] makes of a store what `etcdctl snapshot save` makes of an etcd: the database as a bbolt file, with a
//! SHA-256 over it at its end. [`load`] reads such a file, or the database of an etcd that has stopped. Revisions are
//! kept either way: a key's create revision, which is a unit's `uid`, is the same on the other side.

mod bolt;
mod error;
mod load;
mod row;
mod save;

pub use bolt::Source;
pub use error::SnapshotError;
pub use load::{Loaded, load};
pub use save::SnapshotFile;

pub(crate) use row::{encode, name};

#[cfg(test)]
mod tests;
