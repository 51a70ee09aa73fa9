//! Carries out transactions, in etcd's order: all compares first, then every check, then the operations.

use bytes::Bytes;

use super::core::Memory;
use super::range::KeyRange;
use super::version::Version;
use super::{errors, read};
use crate::store::{
    Compare, CompareOp, CompareTarget, DeleteRequest, DeleteResponse, Operation, OperationResponse, PutRequest,
    PutResponse, StoreError, TxnRequest, TxnResponse,
};

/// Which branch is taken, and the same for the transactions within it, in order.
struct Path {
    succeeded: bool,
    inner: Vec<Path>,
}

impl Path {
    fn branch<'a>(&self, request: &'a TxnRequest) -> &'a [Operation] {
        if self.succeeded { &request.success } else { &request.failure }
    }
}

impl Memory {
    pub(super) fn txn(&mut self, request: &TxnRequest) -> Result<TxnResponse, StoreError> {
        let path = self.path(request);
        self.check_puts(request, &path)?;
        self.check_ranges(request, &path)?;
        let response = self.carry_out(request, &path)?;
        self.commit();
        Ok(response)
    }

    fn path(&self, request: &TxnRequest) -> Path {
        let succeeded = request.compare.iter().all(|compare| self.holds(compare));
        let mut path = Path { succeeded, inner: Vec::new() };
        path.inner = inner_txns(path.branch(request)).map(|inner| self.path(inner)).collect();
        path
    }

    fn holds(&self, compare: &Compare) -> bool {
        let range = KeyRange::new(&compare.key, &compare.range_end);
        let mut found = self.mvcc.scan(&range, 0).peekable();
        if found.peek().is_none() {
            // An absent key has no value that could be compared.
            return !matches!(compare.target, CompareTarget::Value(_))
                && compares(compare, &Version::deletion(0, 0, &[]));
        }
        found.all(|version| compares(compare, version))
    }

    fn check_puts(&self, request: &TxnRequest, path: &Path) -> Result<(), StoreError> {
        let mut inner = path.inner.iter();
        for operation in path.branch(request) {
            match operation {
                Operation::Put(put) => {
                    if (put.ignore_value || put.ignore_lease) && self.mvcc.get(&put.key).is_none() {
                        return Err(errors::key_not_found());
                    }
                    if put.lease != 0 && !self.leases.contains(put.lease) {
                        return Err(errors::lease_not_found());
                    }
                }
                Operation::Txn(txn) => {
                    if let Some(path) = inner.next() {
                        self.check_puts(txn, path)?;
                    }
                }
                Operation::Range(_) | Operation::Delete(_) => {}
            }
        }
        Ok(())
    }

    fn check_ranges(&self, request: &TxnRequest, path: &Path) -> Result<(), StoreError> {
        let mut inner = path.inner.iter();
        for operation in path.branch(request) {
            match operation {
                Operation::Range(range) => self.mvcc.check_revision(range.revision)?,
                Operation::Txn(txn) => {
                    if let Some(path) = inner.next() {
                        self.check_ranges(txn, path)?;
                    }
                }
                Operation::Put(_) | Operation::Delete(_) => {}
            }
        }
        Ok(())
    }

    fn carry_out(&mut self, request: &TxnRequest, path: &Path) -> Result<TxnResponse, StoreError> {
        let branch = path.branch(request);
        let mut inner = path.inner.iter();
        let mut responses = Vec::with_capacity(branch.len());
        for operation in branch {
            responses.push(match operation {
                Operation::Range(range) => OperationResponse::Range(read::range(&self.mvcc, range)?),
                Operation::Put(put) => OperationResponse::Put(self.put(put)),
                Operation::Delete(delete) => OperationResponse::Delete(self.delete(delete)),
                Operation::Txn(txn) => match inner.next() {
                    Some(path) => OperationResponse::Txn(self.carry_out(txn, path)?),
                    None => continue,
                },
            });
        }
        Ok(TxnResponse { succeeded: path.succeeded, responses })
    }

    fn put(&mut self, request: &PutRequest) -> PutResponse {
        let (mut value, mut lease) = (request.value.clone(), request.lease);
        if let Some(current) = self.mvcc.get(&request.key) {
            if request.ignore_value {
                value = Bytes::copy_from_slice(current.value());
            }
            if request.ignore_lease {
                lease = current.lease();
            }
        }
        let previous = self.mvcc.put(&request.key, &value, lease);
        self.leases.move_key(&request.key, previous.as_ref().map_or(0, Version::lease), lease);
        PutResponse { prev_kv: previous.filter(|_| request.prev_kv).map(|previous| previous.key_value()) }
    }

    fn delete(&mut self, request: &DeleteRequest) -> DeleteResponse {
        let range = KeyRange::new(&request.key, &request.range_end);
        let keys: Vec<_> = self.mvcc.scan(&range, 0).map(|version| Box::<[u8]>::from(version.key())).collect();
        let mut response = DeleteResponse::default();
        for key in keys {
            let Some(previous) = self.delete_key(&key) else { continue };
            response.deleted += 1;
            if request.prev_kv {
                response.prev_kvs.push(previous.key_value());
            }
        }
        response
    }
}

fn inner_txns(operations: &[Operation]) -> impl Iterator<Item = &TxnRequest> {
    operations.iter().filter_map(|operation| match operation {
        Operation::Txn(txn) => Some(txn),
        _ => None,
    })
}

fn compares(compare: &Compare, there: &Version) -> bool {
    let numbers = there.numbers();
    let ordering = match &compare.target {
        CompareTarget::Version(v) => numbers.version.cmp(v),
        CompareTarget::Create(v) => numbers.create_revision.cmp(v),
        CompareTarget::Mod(v) => numbers.mod_revision.cmp(v),
        CompareTarget::Value(v) => there.value().cmp(v),
        CompareTarget::Lease(v) => numbers.lease.cmp(v),
    };
    match compare.op {
        CompareOp::Equal => ordering.is_eq(),
        CompareOp::Greater => ordering.is_gt(),
        CompareOp::Less => ordering.is_lt(),
        CompareOp::NotEqual => ordering.is_ne(),
    }
}
