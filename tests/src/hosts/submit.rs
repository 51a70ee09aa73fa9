//! Records of units and machines as fleetd's API and agents write them, and their way into a store.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use fleet_registry::record::{ContentRecord, FORMAT, Record, UnitRecord};
use fleet_registry::store::{Operation, PutRequest, Request, ResponseBody, Store, TxnRequest};
use fleet_registry::{Key, Layout};
use fleet_units::{DesiredState, UnitFile, UnitName};
use futures::{StreamExt, TryStreamExt, stream};

/// Operations a transaction: etcd takes 128.
const OPERATIONS: usize = 100;

/// The operation that writes a record.
pub fn put(layout: &Layout, key: &Key, record: &impl Record) -> Operation {
    Operation::Put(PutRequest::new(layout.encode(key), record.encode()))
}

/// A unit with this text that is to run, as the API writes it: with its text, whether that is there already or not.
pub fn started(layout: &Layout, name: &UnitName, text: &str) -> Result<[Operation; 2]> {
    let hash = UnitFile::parse(text).with_context(|| format!("{name} is no unit file"))?.hash();
    let text = text.to_owned();
    let content = ContentRecord { v: FORMAT, text, drop_ins: BTreeMap::new(), extra: BTreeMap::new() };
    let unit = UnitRecord {
        v: FORMAT,
        content: content.key(),
        hash,
        desired: DesiredState::Launched,
        avoids: None,
        restarts: 0,
        changed: 0,
        changed_by: String::new(),
        extra: BTreeMap::new(),
    };
    let key = Key::Content(content.key());
    Ok([put(layout, &key, &content), put(layout, &Key::Unit(name.clone()), &unit)])
}

/// Writes all of these, with so many transactions under way at once.
pub async fn write(store: &dyn Store, operations: Vec<Operation>, at_once: usize) -> Result<()> {
    let chunks: Vec<Vec<Operation>> = operations.chunks(OPERATIONS).map(distinct).collect();
    let transactions = chunks.into_iter().map(|success| async move {
        let request = Request::Txn(TxnRequest { success, ..TxnRequest::default() });
        let answer = store.call(request).await.context("cannot write to the registry")?;
        ensure!(matches!(answer.body, ResponseBody::Txn(txn) if txn.succeeded), "the registry did not write");
        Ok(())
    });
    stream::iter(transactions).buffer_unordered(at_once).try_collect().await
}

/// etcd takes a key once in a transaction: units of one template have one text.
fn distinct(chunk: &[Operation]) -> Vec<Operation> {
    let mut last = BTreeMap::new();
    for (n, operation) in chunk.iter().enumerate() {
        if let Operation::Put(put) = operation {
            last.insert(put.key.clone(), n);
        }
    }
    let is_last = |n: &usize| matches!(&chunk[*n], Operation::Put(put) if last[&put.key] == *n);
    (0..chunk.len()).filter(is_last).map(|n| chunk[n].clone()).collect()
}
