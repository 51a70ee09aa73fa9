//! The next version of fleetd, as far as the registry sees it: it writes more into each record than this version knows.

use std::sync::Arc;

use fleet_registry::Store;
use fleet_registry::store::{Answer, Operation, Request, TxnRequest, WatchRequest, WatchStream};
use serde_json::{Value, json};

/// What the next version calls itself.
pub const VERSION: &str = "3.0.0-next";

/// The field that it adds to a record, and to each part of one that has fields of its own.
pub const FIELD: &str = "next_version";

/// Parts of records whose keys are not fields, but names that somebody gave.
const MAPS: [&str; 4] = ["metadata", "drop_ins", "leaving", "lost"];

/// The same of maps whose values have fields again.
const MAPS_OF_PARTS: [&str; 1] = ["units"];

/// A store to which the next version writes.
pub fn over(store: Arc<dyn Store>) -> Arc<dyn Store> {
    Arc::new(Next(store))
}

struct Next(Arc<dyn Store>);

impl Store for Next {
    fn call(&self, request: Request) -> Answer<'_> {
        self.0.call(match request {
            Request::Txn(txn) => Request::Txn(dress_all(txn)),
            other => other,
        })
    }

    fn watch(&self, request: WatchRequest) -> WatchStream {
        self.0.watch(request)
    }
}

fn dress_all(mut txn: TxnRequest) -> TxnRequest {
    for operation in txn.success.iter_mut().chain(&mut txn.failure) {
        match operation {
            Operation::Put(put) => {
                if let Ok(mut record) = serde_json::from_slice(&put.value) {
                    dress(&mut record);
                    put.value = record.to_string().into();
                }
            }
            Operation::Txn(within) => *within = dress_all(std::mem::take(within)),
            Operation::Range(_) | Operation::Delete(_) => {}
        }
    }
    txn
}

fn dress(part: &mut Value) {
    let Value::Object(fields) = part else { return };
    for (name, value) in fields.iter_mut().filter(|(name, _)| !MAPS.contains(&name.as_str())) {
        match value {
            Value::Object(parts) if MAPS_OF_PARTS.contains(&name.as_str()) => parts.values_mut().for_each(dress),
            value => dress(value),
        }
    }
    if let Some(version) = fields.get_mut("version") {
        *version = json!(VERSION);
    }
    fields.insert(FIELD.to_owned(), json!({"says": ["more", {"than": "known"}]}));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_with_fields_of_its_own_has_one_more() {
        let mut record = json!({"v": 1, "version": "2", "units": {"a": {"uid": 1}}, "metadata": {"a": "b"}});
        dress(&mut record);
        assert_eq!(record["version"], VERSION);
        assert_eq!(record["metadata"], json!({"a": "b"}));
        assert!(record[FIELD].is_object() && record["units"]["a"][FIELD].is_object(), "{record}");
        assert_eq!(record["units"].as_object().map(|units| units.len()), Some(1));
    }
}
