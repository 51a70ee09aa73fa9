//! What a machine's certificate is good for.
//!
//! A machine writes its own records and nobody else's: `machines/<id>`, `applied/<id>`, and `states/<id>/…`. It may
//! lead, and it serves the API, so that it writes schedules, notes, units, and all else below the cluster's prefix. The
//! one thing that it may do to another's records is what a leader does to those of a machine that is gone: delete what
//! it left, in a transaction that compares that it is absent.

use fleet_units::MachineId;

use crate::store::{Compare, CompareOp, CompareTarget, DeleteRequest, Operation, TxnRequest, prefix_end};

/// Sections whose records have the machine's id in their key, and that machine for their writer.
const OWN: [&str; 3] = ["machines/", "applied/", "states/"];
/// Of these, those that outlive a machine, and that others may clear away.
const LEFT_BEHIND: [&str; 2] = ["applied/", "states/"];

/// Whether a machine may do this; otherwise why not. `root` is the prefix of the cluster's keys.
pub(super) fn check(machine: &MachineId, root: &str, txn: &TxnRequest) -> Result<(), String> {
    Writer { machine, root }.check(txn, &[])
}

/// The machine whose record of presence this key is.
pub(super) fn presence<'k>(root: &str, key: &'k [u8]) -> Option<&'k str> {
    std::str::from_utf8(key).ok()?.strip_prefix(root)?.strip_prefix("machines/")
}

struct Writer<'a> {
    machine: &'a MachineId,
    root: &'a str,
}

impl Writer<'_> {
    fn check(&self, txn: &TxnRequest, absent: &[&str]) -> Result<(), String> {
        let compared = txn.compare.iter().filter_map(|compare| self.absent(compare));
        let within: Vec<&str> = absent.iter().copied().chain(compared).collect();
        for (operations, absent) in [(&txn.success, within.as_slice()), (&txn.failure, absent)] {
            for operation in operations {
                match operation {
                    Operation::Range(_) => {}
                    Operation::Put(put) => self.put(&put.key)?,
                    Operation::Delete(delete) => self.delete(delete, absent)?,
                    Operation::Txn(txn) => self.check(txn, absent)?,
                }
            }
        }
        Ok(())
    }

    /// The machine that is absent where this compare holds.
    fn absent<'c>(&self, compare: &'c Compare) -> Option<&'c str> {
        let is_absence = compare.op == CompareOp::Equal && compare.target == CompareTarget::Create(0);
        (is_absence && compare.range_end.is_empty()).then(|| presence(self.root, &compare.key)).flatten()
    }

    fn put(&self, key: &[u8]) -> Result<(), String> {
        match self.owner(key)? {
            Some(owner) if owner != self.machine.as_str() => Err(self.not_its_own(owner)),
            _ => Ok(()),
        }
    }

    fn delete(&self, delete: &DeleteRequest, absent: &[&str]) -> Result<(), String> {
        let (key, end) = (delete.key.as_ref(), delete.range_end.as_ref());
        if end.is_empty() {
            return match self.owner(key)? {
                Some(owner) if owner != self.machine.as_str() && !self.is_left_behind(key, owner, absent) => {
                    Err(self.not_its_own(owner))
                }
                _ => Ok(()),
            };
        }
        let mine = |section: &str, id: &str| format!("{}{section}{id}/", self.root);
        let whole = absent.iter().copied().chain([self.machine.as_str()]).map(|id| mine("states/", id));
        if whole.into_iter().any(|prefix| within(key, end, prefix.as_bytes())) {
            return Ok(());
        }
        if !within(key, end, self.root.as_bytes()) {
            return Err(self.outside(key));
        }
        let touched = OWN.iter().find(|section| {
            let prefix = format!("{}{section}", self.root);
            key < prefix_end(prefix.as_bytes()).as_ref() && end > prefix.as_bytes()
        });
        match touched {
            Some(section) => Err(format!(
                "the certificate of machine {} may not delete a range that other machines' records under {section} are in",
                self.machine
            )),
            None => Ok(()),
        }
    }

    /// Whose record it is, if it is a machine's.
    fn owner<'k>(&self, key: &'k [u8]) -> Result<Option<&'k str>, String> {
        let tail = std::str::from_utf8(key).ok().and_then(|key| key.strip_prefix(self.root));
        let tail = tail.ok_or_else(|| self.outside(key))?;
        let rest = OWN.iter().find_map(|section| tail.strip_prefix(section));
        Ok(rest.map(|rest| rest.split('/').next().unwrap_or_default()))
    }

    fn is_left_behind(&self, key: &[u8], owner: &str, absent: &[&str]) -> bool {
        let section = |section: &&str| key.starts_with(format!("{}{section}", self.root).as_bytes());
        absent.contains(&owner) && LEFT_BEHIND.iter().any(section)
    }

    fn not_its_own(&self, owner: &str) -> String {
        format!("the certificate of machine {} may not write the records of machine {owner}", self.machine)
    }

    fn outside(&self, key: &[u8]) -> String {
        format!(
            "the certificate of machine {} may write below {} alone, and {:?} is not: use the administrators' certificate",
            self.machine,
            self.root,
            String::from_utf8_lossy(key)
        )
    }
}

/// Whether a range holds keys with this prefix alone.
fn within(key: &[u8], end: &[u8], prefix: &[u8]) -> bool {
    key >= prefix && end != [0] && end <= prefix_end(prefix).as_ref()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{PutRequest, RangeRequest};
    use crate::{Key, Layout};

    fn machine() -> MachineId {
        MachineId::parse("me").unwrap()
    }

    fn all(success: Vec<Operation>) -> TxnRequest {
        TxnRequest { success, ..TxnRequest::default() }
    }

    fn put(key: &str) -> TxnRequest {
        all(vec![Operation::Put(PutRequest::new(key.to_owned(), "1"))])
    }

    fn delete(key: &str, range_end: &[u8]) -> TxnRequest {
        let range_end = range_end.to_vec().into();
        all(vec![Operation::Delete(DeleteRequest { key: key.to_owned().into(), range_end, prev_kv: false })])
    }

    fn said(txn: &TxnRequest) -> Result<(), String> {
        check(&machine(), "/r/v3/", txn)
    }

    #[test]
    fn a_machine_writes_its_own_records_and_what_any_machine_may() {
        for key in [
            "machines/me",
            "applied/me",
            "states/me/a.service",
            "schedule/other",
            "notes/a.service",
            "units/a.service",
            "contents/0",
            "operator/other",
            "engine/leader",
            "cluster",
        ] {
            said(&put(&format!("/r/v3/{key}"))).unwrap();
            said(&delete(&format!("/r/v3/{key}"), b"")).unwrap();
        }
        said(&delete("/r/v3/states/me/", b"/r/v3/states/me0")).unwrap();
        said(&delete("/r/v3/units/", b"/r/v3/units0")).unwrap();
        said(&all(vec![Operation::Range(RangeRequest::key("/anything"))])).unwrap();
    }

    #[test]
    fn another_machines_records_are_refused_however_they_are_wrapped() {
        for key in
            ["machines/other", "applied/other", "states/other/a.service", "states/me2/a.service", "machines/me/x/../"]
        {
            let key = format!("/r/v3/{key}");
            let inner = put(&key);
            let nested =
                all(vec![Operation::Txn(TxnRequest { failure: inner.success.clone(), ..TxnRequest::default() })]);
            if !key.contains("/me/") {
                for txn in [inner, nested, delete(&key, b"")] {
                    let error = said(&txn).unwrap_err();
                    assert!(error.contains("may not write the records of machine"), "{error}");
                }
            }
        }
        for (key, end) in [
            ("/r/v3/machines/me", "/r/v3/machines/zz"),
            ("/r/v3/states/me/", "/r/v3/states/other/"),
            ("/r/v3/a", "/r/v3/z"),
            ("/r/v3/", "/r/v30"),
            ("/r/v3/states/", "/r/v3/states0"),
            ("/r/v3/applied/me", "/r/v3/applied/me\u{1}"),
        ] {
            assert!(said(&delete(key, end.as_bytes())).is_err(), "{key} to {end}");
        }
    }

    #[test]
    fn nothing_is_written_outside_the_clusters_keys() {
        for txn in [put("/r/v4/x"), put("foo"), delete("/r/v3/units/", &[0]), delete("/", b"/r/v3/units/a")] {
            let error = said(&txn).unwrap_err();
            assert!(error.contains("may write below /r/v3/"), "{error}");
        }
    }

    #[test]
    fn what_a_lost_machine_left_may_be_cleared_away_and_only_where_it_is_lost() {
        let layout = Layout::new("/r");
        let other = MachineId::parse("other").unwrap();
        let states = layout.states_of(&other);
        let clear = |compare: Vec<Compare>| TxnRequest {
            compare,
            success: vec![
                Operation::Delete(DeleteRequest {
                    key: layout.encode(&Key::Applied(other.clone())),
                    ..Default::default()
                }),
                Operation::Delete(DeleteRequest {
                    range_end: prefix_end(&states),
                    key: states.clone(),
                    prev_kv: false,
                }),
            ],
            failure: Vec::new(),
        };
        let absent = |id: &MachineId| Compare::absent(layout.encode(&Key::Machine(id.clone())));
        said(&clear(vec![absent(&other)])).unwrap();
        assert!(said(&clear(Vec::new())).is_err(), "without the compare");
        assert!(said(&clear(vec![absent(&machine())])).is_err(), "with another machine's");
        let failure = clear(Vec::new()).success;
        assert!(said(&TxnRequest { compare: vec![absent(&other)], failure, ..Default::default() }).is_err());
        let mut alive = delete("/r/v3/machines/other", b"");
        alive.compare = vec![absent(&other)];
        assert!(said(&alive).is_err(), "a record of presence goes with its lease alone");
    }
}
