//! Room for what is written: etcd's NOSPACE alarm, and the quota that raises it.
//!
//! A full disk raises it until a write gets through again. The quota raises it until a person has made room and disarmed
//! it, as etcd's does; meanwhile what takes no room goes on: reads, deletions, compaction, keep-alives.

use crate::store::{ErrorKind, Operation, Request, StoreError, TxnRequest};

/// Why there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// The disk is full. Each write finds out anew.
    Disk,
    /// The quota is used up, or somebody raised the alarm.
    Quota,
}

/// What is known of the room.
#[derive(Debug)]
pub(super) struct Space {
    quota: u64,
    alarm: Option<Cause>,
}

impl Space {
    pub(super) fn new(quota: u64) -> Self {
        Self { quota, alarm: None }
    }

    /// Whether the alarm is on.
    pub(super) fn is_alarmed(&self) -> bool {
        self.alarm.is_some()
    }

    /// Refuses what takes room where there is none; the file takes so many bytes now.
    pub(super) fn admit(&mut self, request: &Request, taken: u64) -> Result<(), StoreError> {
        let wanted = match request {
            Request::Txn(txn) => size(txn),
            Request::LeaseGrant { .. } => LEASE_BYTES,
            _ => 0,
        };
        if wanted == 0 {
            return Ok(());
        }
        if self.alarm != Some(Cause::Quota) && taken.saturating_add(wanted) > self.quota {
            tracing::error!(
                "the registry's file has reached its quota of {} bytes: writes are refused until there is room (delete, \
                 etcdctl compaction and defrag) and the alarm is disarmed (etcdctl alarm disarm)",
                self.quota
            );
            self.alarm = Some(Cause::Quota);
        }
        match self.alarm {
            Some(Cause::Quota) => Err(exceeded()),
            _ => Ok(()),
        }
    }

    /// The disk did not take a write for want of room.
    pub(super) fn disk_is_full(&mut self) {
        self.alarm.get_or_insert(Cause::Disk);
    }

    /// The disk took a write.
    pub(super) fn written(&mut self) {
        if self.alarm == Some(Cause::Disk) {
            self.alarm = None;
        }
    }

    /// Somebody wants it on.
    pub(super) fn raise(&mut self) {
        self.alarm = Some(Cause::Quota);
    }

    /// Somebody wants it off. Returns whether it was on.
    pub(super) fn disarm(&mut self) -> bool {
        self.alarm.take().is_some()
    }
}

/// What etcd says when there is no room.
pub(super) fn exceeded() -> StoreError {
    StoreError::new(ErrorKind::NoSpace, "etcdserver: mvcc: database space exceeded")
}

/// About what a lease takes.
const LEASE_BYTES: u64 = 64;
/// What a key takes beside its name and value, about.
const OVERHEAD_BYTES: u64 = 256;

/// What the larger branch of a transaction writes.
fn size(txn: &TxnRequest) -> u64 {
    let branch = |operations: &[Operation]| {
        let sizes = operations.iter().map(|operation| match operation {
            Operation::Put(put) => OVERHEAD_BYTES + (put.key.len() + put.value.len()) as u64,
            Operation::Txn(txn) => size(txn),
            Operation::Range(_) | Operation::Delete(_) => 0,
        });
        sizes.sum::<u64>()
    };
    branch(&txn.success).max(branch(&txn.failure))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{DeleteRequest, PutRequest};

    fn request(operation: Operation) -> Request {
        Request::Txn(TxnRequest { success: vec![operation], ..TxnRequest::default() })
    }

    /// A registry that fills up has to be emptied: what makes room goes through, and nobody is let in by a moment's luck.
    #[test]
    fn the_quota_holds_until_it_is_disarmed() {
        let mut space = Space::new(1000);
        let put = request(Operation::Put(PutRequest::new("a", "1")));
        let nested = request(Operation::Txn(TxnRequest {
            failure: vec![Operation::Put(PutRequest::new("a", "1"))],
            ..TxnRequest::default()
        }));
        space.admit(&put, 100).unwrap();
        assert_eq!(space.admit(&put, 999).unwrap_err().kind, ErrorKind::NoSpace);
        for request in [&put, &nested, &Request::LeaseGrant { ttl: 1, id: 0 }] {
            assert!(space.admit(request, 0).is_err(), "{request:?}");
        }
        let delete = request(Operation::Delete(DeleteRequest { key: "a".into(), ..DeleteRequest::default() }));
        for request in [delete, Request::Compact { revision: 1, physical: false }, Request::LeaseKeepAlive { id: 1 }] {
            space.admit(&request, 2000).unwrap();
        }
        space.written();
        assert!(space.is_alarmed(), "a deletion gets through and says nothing of the room");
        assert!(space.disarm() && !space.disarm());
        space.admit(&put, 100).unwrap();
    }

    /// A disk that has room again is written to again, and nobody has to know etcd's tools for it.
    #[test]
    fn a_disk_that_was_full_is_tried_again() {
        let mut space = Space::new(1000);
        space.disk_is_full();
        assert!(space.is_alarmed());
        space.admit(&request(Operation::Put(PutRequest::new("a", "1"))), 100).unwrap();
        space.written();
        assert!(!space.is_alarmed());
    }
}
