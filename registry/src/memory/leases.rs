//! Leases and the keys that hang on them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;

use super::errors;
use crate::step::Mono;
use crate::store::{LeaseStatus, StoreError};

/// The longest time to live that etcd grants.
pub(crate) const MAX_TTL: i64 = 9_000_000_000;

/// The shortest: etcd's own with its default election time-out.
const MIN_TTL: i64 = 2;

#[derive(Debug, Clone)]
struct Lease {
    ttl: i64,
    deadline: Mono,
    keys: BTreeSet<Bytes>,
}

/// All leases.
#[derive(Debug, Clone, Default)]
pub(super) struct Leases {
    leases: BTreeMap<i64, Lease>,
    by_deadline: BTreeSet<(Mono, i64)>,
    /// State of the sequence that ids are drawn from.
    seed: u64,
}

impl Leases {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    pub(super) fn grant(&mut self, now: Mono, id: i64, ttl: i64) -> Result<(i64, i64), StoreError> {
        if ttl > MAX_TTL {
            return Err(errors::lease_ttl_too_large());
        }
        let id = if id == 0 { self.free_id() } else { id };
        if self.leases.contains_key(&id) {
            return Err(errors::lease_exists());
        }
        let ttl = ttl.max(MIN_TTL);
        self.insert(now, id, ttl);
        Ok((id, ttl))
    }

    /// Takes a lease up again with its whole time to live, as after a restart.
    pub(super) fn insert(&mut self, now: Mono, id: i64, ttl: i64) {
        let deadline = deadline(now, ttl);
        self.by_deadline.insert((deadline, id));
        self.leases.insert(id, Lease { ttl, deadline, keys: BTreeSet::new() });
    }

    /// Renews a lease. Returns its time to live, or `None` if there is no such lease.
    pub(super) fn keep_alive(&mut self, now: Mono, id: i64) -> Option<i64> {
        let lease = self.leases.get_mut(&id)?;
        self.by_deadline.remove(&(lease.deadline, id));
        lease.deadline = deadline(now, lease.ttl);
        self.by_deadline.insert((lease.deadline, id));
        Some(lease.ttl)
    }

    /// Ends a lease. Returns the keys that hung on it.
    pub(super) fn remove(&mut self, id: i64) -> Result<BTreeSet<Bytes>, StoreError> {
        let lease = self.leases.remove(&id).ok_or_else(errors::lease_not_found)?;
        self.by_deadline.remove(&(lease.deadline, id));
        Ok(lease.keys)
    }

    pub(super) fn contains(&self, id: i64) -> bool {
        self.leases.contains_key(&id)
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = i64> {
        self.leases.keys().copied()
    }

    /// The leases as they run out, which is the order in which etcd lists them.
    pub(super) fn by_deadline(&self) -> impl Iterator<Item = i64> {
        self.by_deadline.iter().map(|(_, id)| *id)
    }

    /// Leases with their times to live.
    pub(super) fn granted(&self) -> impl Iterator<Item = (i64, i64)> {
        self.leases.iter().map(|(id, lease)| (*id, lease.ttl))
    }

    pub(super) fn status(&self, now: Mono, id: i64, keys: bool) -> LeaseStatus {
        let Some(lease) = self.leases.get(&id) else {
            return LeaseStatus { id, ttl: -1, ..LeaseStatus::default() };
        };
        let left = lease.deadline.saturating_sub(now).as_secs();
        LeaseStatus {
            id,
            ttl: i64::try_from(left).unwrap_or(i64::MAX),
            granted_ttl: lease.ttl,
            keys: if keys { lease.keys.iter().cloned().collect() } else { Vec::new() },
        }
    }

    /// Moves a key from one lease to another; 0 is none.
    pub(super) fn move_key(&mut self, key: &[u8], from: i64, to: i64) {
        if from == to {
            return;
        }
        if let Some(lease) = self.leases.get_mut(&from) {
            lease.keys.remove(key);
        }
        if let Some(lease) = self.leases.get_mut(&to) {
            lease.keys.insert(Bytes::copy_from_slice(key));
        }
    }

    /// The lease that runs out first, and when.
    pub(super) fn first(&self) -> Option<(Mono, i64)> {
        self.by_deadline.first().copied()
    }

    fn free_id(&mut self) -> i64 {
        loop {
            // The high bit stays clear, as in etcd's ids; 0 means no lease.
            let id = (next_random(&mut self.seed) >> 1).cast_signed();
            if id != 0 && !self.leases.contains_key(&id) {
                return id;
            }
        }
    }
}

fn deadline(now: Mono, ttl: i64) -> Mono {
    now.saturating_add(Duration::from_secs(ttl.unsigned_abs()))
}

/// The next number of a SplitMix64 sequence.
pub(super) fn next_random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
