//! Whose lease is whose: a machine that could end another's lease would make it a lost one, and one that could renew it
//! would hide its loss.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use fleet_units::MachineId;
use tonic::Status;

use super::rules::presence;
use super::{Service, mismatched};
use crate::store::{Request, ResponseBody};

/// Past so many, those of leases that are gone are dropped.
const MANY: usize = 4096;

/// The leases that machines were granted since the start.
#[derive(Debug, Default)]
pub(super) struct LeaseOwners {
    known: Mutex<BTreeMap<i64, MachineId>>,
}

impl LeaseOwners {
    fn get(&self, lease: i64) -> Option<MachineId> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&lease).cloned()
    }

    fn set(&self, lease: i64, owner: MachineId) -> usize {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(lease, owner);
        known.len()
    }

    fn retain(&self, alive: &[i64]) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).retain(|lease, _| alive.contains(lease));
    }
}

impl Service {
    /// Remembers that a machine was granted a lease.
    pub(super) async fn granted(&self, lease: i64, machine: Option<&MachineId>) -> Result<(), Status> {
        let Some(machine) = machine else { return Ok(()) };
        if self.lease_owners.set(lease, machine.clone()) >= MANY
            && let (_, ResponseBody::Leases(alive)) = self.call(Request::Leases).await?
        {
            self.lease_owners.retain(&alive);
        }
        Ok(())
    }

    /// Refuses a machine what another's lease is asked for. One that was granted before the last start belongs to the
    /// machine whose record of presence hangs on it, or to the first that asks where there is none.
    pub(super) async fn own_lease(&self, lease: i64, machine: Option<&MachineId>) -> Result<(), Status> {
        let Some(machine) = machine else { return Ok(()) };
        let owner = match self.lease_owners.get(lease) {
            Some(owner) => owner,
            None => {
                let keys = match self.call(Request::LeaseTimeToLive { id: lease, keys: true }).await? {
                    // There is none: what is asked for will be answered so.
                    (_, ResponseBody::LeaseTimeToLive(status)) if status.ttl < 0 => return Ok(()),
                    (_, ResponseBody::LeaseTimeToLive(status)) => status.keys,
                    (_, body) => return Err(mismatched(&body)),
                };
                let present = keys.iter().filter_map(|key| presence(&self.root, key));
                // Another's, if any of them is another's.
                let owner = present.max_by_key(|id| *id != machine.as_str());
                let owner = owner.and_then(|id| MachineId::parse(id).ok()).unwrap_or_else(|| machine.clone());
                self.lease_owners.set(lease, owner.clone());
                owner
            }
        };
        if owner == *machine {
            return Ok(());
        }
        Err(Status::permission_denied(format!(
            "the certificate of machine {machine} may not end or renew the lease of machine {owner}"
        )))
    }
}
