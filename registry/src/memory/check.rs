//! What etcd refuses before it looks at any key.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::errors;
use super::range::KeyRange;
use crate::store::{DeleteRequest, Operation, PutRequest, RangeRequest, StoreError, TxnRequest};

/// Operations in a branch, and compares, that a transaction may hold (etcd's `--max-txn-ops`).
const MAX_TXN_OPERATIONS: usize = 128;

/// Bytes that a write may take (etcd's `--max-request-bytes`).
const MAX_REQUEST_BYTES: usize = 1536 * 1024;

/// What the encoding adds to an operation's keys and values, roughly.
const OPERATION_OVERHEAD: usize = 16;

pub(super) fn range(request: &RangeRequest) -> Result<(), StoreError> {
    key(&request.key)
}

/// Checks a transaction from its shape alone.
pub(super) fn txn(request: &TxnRequest) -> Result<(), StoreError> {
    txn_shape(request, MAX_TXN_OPERATIONS)?;
    overlaps(&request.success)?;
    overlaps(&request.failure)?;
    if !read_only(request) && txn_size(request) > MAX_REQUEST_BYTES {
        return Err(errors::request_too_large());
    }
    Ok(())
}

fn key(key: &Bytes) -> Result<(), StoreError> {
    if key.is_empty() { Err(errors::empty_key()) } else { Ok(()) }
}

fn txn_shape(request: &TxnRequest, limit: usize) -> Result<(), StoreError> {
    let longest = request.compare.len().max(request.success.len()).max(request.failure.len());
    if longest > limit {
        return Err(errors::too_many_operations());
    }
    for compare in &request.compare {
        key(&compare.key)?;
    }
    for operation in request.success.iter().chain(&request.failure) {
        match operation {
            Operation::Range(r) => range(r)?,
            Operation::Put(p) => put(p)?,
            Operation::Delete(DeleteRequest { key: k, .. }) => key(k)?,
            Operation::Txn(t) => txn_shape(t, limit - longest)?,
        }
    }
    Ok(())
}

fn put(request: &PutRequest) -> Result<(), StoreError> {
    key(&request.key)?;
    if request.ignore_value && !request.value.is_empty() {
        return Err(errors::value_provided());
    }
    if request.ignore_lease && request.lease != 0 {
        return Err(errors::lease_provided());
    }
    Ok(())
}

fn read_only(request: &TxnRequest) -> bool {
    request.success.iter().chain(&request.failure).all(|operation| match operation {
        Operation::Range(_) => true,
        Operation::Put(_) | Operation::Delete(_) => false,
        Operation::Txn(t) => read_only(t),
    })
}

fn txn_size(request: &TxnRequest) -> usize {
    let compares = request.compare.iter().map(|c| {
        let value = match &c.target {
            crate::store::CompareTarget::Value(v) => v.len(),
            _ => 0,
        };
        c.key.len() + c.range_end.len() + value + OPERATION_OVERHEAD
    });
    let operations = request.success.iter().chain(&request.failure).map(|operation| {
        OPERATION_OVERHEAD
            + match operation {
                Operation::Range(r) => r.key.len() + r.range_end.len(),
                Operation::Put(p) => p.key.len() + p.value.len(),
                Operation::Delete(d) => d.key.len() + d.range_end.len(),
                Operation::Txn(t) => txn_size(t),
            }
    });
    compares.chain(operations).sum()
}

/// The keys that a list of operations puts and deletes.
#[derive(Default)]
struct Touched {
    puts: BTreeSet<Bytes>,
    deletes: Vec<KeyRange>,
}

impl Touched {
    fn put(&mut self, key: &Bytes) -> Result<(), StoreError> {
        if self.deleted(key) || !self.puts.insert(key.clone()) {
            return Err(errors::duplicate_key());
        }
        Ok(())
    }

    fn deleted(&self, key: &Bytes) -> bool {
        self.deletes.iter().any(|range| range.contains(key))
    }
}

/// No key is put twice, or both put and deleted, in what can be done together. The order is etcd's: this level's
/// deletions, then the transactions within, then this level's puts.
fn overlaps(operations: &[Operation]) -> Result<Touched, StoreError> {
    let mut touched = Touched::default();
    for operation in operations {
        if let Operation::Delete(d) = operation {
            let range = KeyRange::new(&d.key, &d.range_end);
            // etcd overlooks ranges without an end here, and carries them out in order.
            if !range.is_open() {
                touched.deletes.push(range);
            }
        }
    }
    for operation in operations {
        let Operation::Txn(inner) = operation else { continue };
        let success = overlaps(&inner.success)?;
        let failure = overlaps(&inner.failure)?;
        for key in &success.puts {
            touched.put(key)?;
        }
        for key in &failure.puts {
            // Only one of the branches is done, so that both may put the same key.
            if touched.deleted(key) || (!touched.puts.insert(key.clone()) && !success.puts.contains(key)) {
                return Err(errors::duplicate_key());
            }
        }
        touched.deletes.extend(success.deletes);
        touched.deletes.extend(failure.deletes);
    }
    for operation in operations {
        if let Operation::Put(p) = operation {
            touched.put(&p.key)?;
        }
    }
    Ok(touched)
}
