//! What operators say: of machines, of the brake, and of machines that will not come back.

use std::collections::BTreeMap;

use fleet_registry::Key;
use fleet_registry::record::{BrakeRecord, Extra, FORMAT, OperatorRecord, UnitRecord, WallMillis};
use fleet_registry::store::{Compare, DeleteRequest, Operation, OperationResponse, StoreError, TxnRequest, prefix_end};
use fleet_units::{MachineId, UnitName};

use super::Writer;

/// What became of a machine that was to be forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forgotten {
    /// Its records are gone, at this revision.
    Gone(i64),
    /// There are none.
    Unknown,
    /// It is present, and says itself what becomes of it.
    Present,
}

impl Writer {
    /// Changes what operators say of a machine. Gives the revision that shows it, and whether that was news.
    ///
    /// # Errors
    /// When the store cannot be reached, or the record cannot be read.
    pub async fn operate(
        &self,
        machine: &MachineId,
        change: impl Fn(&mut OperatorRecord),
    ) -> Result<(i64, bool), StoreError> {
        let change = |old: Option<OperatorRecord>| {
            let unsaid = || OperatorRecord {
                v: FORMAT,
                metadata: BTreeMap::new(),
                cordoned: false,
                draining: false,
                extra: Extra::new(),
            };
            let mut new = old.clone().unwrap_or_else(unsaid);
            change(&mut new);
            (new != old.unwrap_or_else(unsaid)).then_some(new)
        };
        let (revision, _, changed) = self.rewrite(&Key::Operator(machine.clone()), change).await?;
        Ok((revision, changed))
    }

    /// Asks a unit to leave a machine, or ends that. Gives the revision that shows it, whether there is such a unit, and
    /// whether that was news.
    ///
    /// # Errors
    /// When the store cannot be reached, or the record cannot be read.
    pub async fn avoid(
        &self,
        unit: &UnitName,
        machine: Option<&MachineId>,
        now: WallMillis,
        by: &str,
    ) -> Result<(i64, bool, bool), StoreError> {
        let change = |old: Option<UnitRecord>| {
            let old = old.filter(|old| old.avoids.as_ref() != machine)?;
            Some(UnitRecord { avoids: machine.cloned(), changed: now, changed_by: by.to_owned(), ..old })
        };
        let (revision, found, changed) = self.rewrite(&Key::Unit(unit.clone()), change).await?;
        Ok((revision, found.is_some(), changed))
    }

    /// Releases the brake: the leader, which put it on, takes it off. Gives the brake as it was found.
    ///
    /// # Errors
    /// When the store cannot be reached, or the record cannot be read.
    pub async fn release_brake(&self) -> Result<(i64, Option<BrakeRecord>), StoreError> {
        let release =
            |old: Option<BrakeRecord>| old.filter(|old| !old.released).map(|old| BrakeRecord { released: true, ..old });
        let (revision, found, _) = self.rewrite(&Key::Brake, release).await?;
        Ok((revision, found))
    }

    /// Deletes all records of a machine that is not present: that it is absent is compared in the same transaction, so
    /// that one which comes back at that moment loses nothing.
    ///
    /// # Errors
    /// When the store cannot be reached.
    pub async fn forget(&self, machine: &MachineId) -> Result<Forgotten, StoreError> {
        let layout = &self.layout;
        let one = |key: Key| DeleteRequest { key: layout.encode(&key), ..DeleteRequest::default() };
        let states = layout.states_of(machine);
        let deletes = [
            one(Key::Schedule(machine.clone())),
            one(Key::Applied(machine.clone())),
            one(Key::Operator(machine.clone())),
            DeleteRequest { range_end: prefix_end(&states), key: states, prev_kv: false },
        ];
        let request = TxnRequest {
            compare: vec![Compare::absent(layout.encode(&Key::Machine(machine.clone())))],
            success: deletes.into_iter().map(Operation::Delete).collect(),
            failure: Vec::new(),
        };
        let (revision, response, unsure) = self.call_again(request).await?;
        if !response.succeeded {
            return Ok(Forgotten::Present);
        }
        let deleted = |response: &OperationResponse| matches!(response, OperationResponse::Delete(d) if d.deleted > 0);
        // After an answer that never came, absent means that the first attempt did it.
        match unsure || response.responses.iter().any(deleted) {
            true => Ok(Forgotten::Gone(revision)),
            false => Ok(Forgotten::Unknown),
        }
    }
}
