//! When a machine's absence is taken as its loss (invariant 5).
//!
//! A machine whose record is gone is *held* at first: nothing moves. It is *lost* when this fleetd's own session proves
//! that the store was there all the time, or when a whole lease has passed since the first read after a gap. And when
//! too many are absent at once the brake goes on, and none is lost until it goes off.

mod census;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fleet_registry::planted::{self, Fault};
use fleet_registry::record::{BrakeRecord, FORMAT, Versioned};
use fleet_registry::{Evidence, Mono, Now, SessionEvent};
use fleet_units::MachineId;

use census::Census;

use crate::stop_bound::Lost;

/// While others are doubtful they are counted again this often in a lease.
const RECOUNT: u32 = 20;

/// What is known of one machine's presence.
#[derive(Debug, Clone)]
struct Sighting {
    /// Since when it is known at all.
    known_since: Mono,
    /// Its record was written over with what cannot be read: that hangs on no lease, so its end is no lease's end.
    is_garbled: bool,
    state: State,
}

impl Sighting {
    fn new(known_since: Mono, state: State) -> Self {
        Self { known_since, is_garbled: false, state }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Present,
    /// Absent since then, and not taken as lost.
    Held {
        since: Mono,
        wall: u64,
    },
    /// Absent since then, and lost. `weighs` is false for one that the brake does not count any more.
    Lost {
        since: Mono,
        wall: u64,
        weighs: bool,
    },
}

/// What came of looking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// These are lost.
    Lost(Vec<MachineId>),
    /// The brake goes on, or more machines were lost under it.
    BrakeOn(BrakeRecord),
    /// It goes off.
    BrakeOff {
        /// Why.
        why: String,
    },
}

/// The brake, while it is on.
#[derive(Debug, Clone)]
struct Brake {
    record: BrakeRecord,
    /// Since when this fleetd knows of it.
    since: Mono,
    /// Since when so many are back that it would not go on any more.
    eased: Option<Mono>,
}

/// Who is there, and what is made of it.
#[derive(Debug, Clone)]
pub(crate) struct Absence {
    ttl: Duration,
    /// How long the brake holds; zero is for ever.
    hold: Duration,
    evidence: Evidence,
    /// After a restored store, or a record that was put right by hand: absences count from here.
    outage_end: Option<Mono>,
    machines: BTreeMap<MachineId, Sighting>,
    /// Those of them that are not present, so that whoever asks after each change need not look at the others.
    away: BTreeSet<MachineId>,
    /// The last linearizable read that succeeded: when it was sent, and when its answer came.
    read: Option<(Mono, Mono)>,
    brake: Option<Brake>,
    /// What stands in the registry as the brake cannot be read: it counts as on.
    is_brake_unreadable: bool,
    census: Census,
}

impl Absence {
    pub(crate) fn new(ttl: Duration, hold: Duration) -> Self {
        Self {
            ttl,
            hold,
            evidence: Evidence::new(),
            outage_end: None,
            machines: BTreeMap::new(),
            away: BTreeSet::new(),
            read: None,
            brake: None,
            is_brake_unreadable: false,
            census: Census::None,
        }
    }

    /// Takes in what the session said.
    pub(crate) fn session(&mut self, event: &SessionEvent) {
        if let SessionEvent::Started { ttl, .. } | SessionEvent::Acknowledged { ttl, .. } = event {
            self.ttl = *ttl;
        }
        self.evidence.observe(event);
    }

    /// The store was restored: what is absent may come back.
    pub(crate) fn restored(&mut self, now: Now) {
        self.outage_end = Some(now.mono);
        self.read = None;
        for sighting in self.machines.values_mut() {
            if let State::Lost { since, wall, .. } = sighting.state {
                sighting.state = State::Held { since, wall };
            }
        }
    }

    /// Forgets who was there, before all is read anew.
    pub(crate) fn forget_all(&mut self) {
        self.machines.clear();
        self.away.clear();
        self.brake = None;
        self.census = Census::None;
    }

    /// A machine is there.
    pub(crate) fn present(&mut self, now: Now, id: &MachineId) {
        let sighting = self.machines.entry(id.clone()).or_insert_with(|| Sighting::new(now.mono, State::Present));
        sighting.state = State::Present;
        sighting.is_garbled = false;
        self.away.remove(id);
    }

    /// A machine is there, by a record that cannot be read.
    pub(crate) fn garbled(&mut self, id: &MachineId) {
        if let Some(sighting) = self.machines.get_mut(id) {
            sighting.is_garbled = true;
        }
    }

    /// A machine that was there before this fleetd looked.
    pub(crate) fn present_before(&mut self, id: &MachineId) {
        self.machines.insert(id.clone(), Sighting::new(Mono::ZERO, State::Present));
        self.away.remove(id);
    }

    /// A machine is there no more. Where somebody removed what could not be read, its fleetd has a lease's time to write
    /// its record again.
    pub(crate) fn gone(&mut self, now: Now, id: &MachineId) {
        let Some(sighting) = self.machines.get_mut(id) else { return };
        if sighting.state == State::Present {
            sighting.state = State::Held { since: now.mono, wall: now.wall };
            self.away.insert(id.clone());
            if sighting.is_garbled {
                self.outage_end = Some(now.mono);
                self.read = None;
            }
        }
    }

    /// A machine is there no more, and said before that it stopped everything: no loss, and nothing to wait for.
    pub(crate) fn left(&mut self, now: Now, id: &MachineId) {
        if let Some(sighting) = self.machines.get_mut(id) {
            sighting.state = State::Lost { since: now.mono, wall: now.wall, weighs: false };
            self.away.insert(id.clone());
        }
    }

    /// A machine that was absent when this fleetd looked first. One that held nothing was lost long ago.
    pub(crate) fn absent_before(&mut self, now: Now, id: &MachineId, holds_units: bool) {
        let (since, wall) = (now.mono, now.wall);
        let state = if holds_units { State::Held { since, wall } } else { State::Lost { since, wall, weighs: false } };
        let sighting = self.machines.entry(id.clone()).or_insert(Sighting::new(Mono::ZERO, state));
        if sighting.state != State::Present {
            self.away.insert(id.clone());
        }
    }

    /// A machine that nobody knows any more.
    pub(crate) fn forget(&mut self, id: &MachineId) {
        if self.machines.get(id).is_some_and(|sighting| sighting.state != State::Present) {
            self.machines.remove(id);
            self.away.remove(id);
        }
    }

    /// A linearizable read succeeded.
    pub(crate) fn read(&mut self, sent: Mono, answered: Mono) {
        self.read = Some((sent, answered));
    }

    /// Whether a machine's absence is taken as its loss.
    pub(crate) fn is_lost(&self, id: &MachineId) -> bool {
        self.lost(id).is_some()
    }

    /// Since when a machine is gone, where its absence is taken as its loss.
    pub(crate) fn lost(&self, id: &MachineId) -> Option<Lost> {
        match self.machines.get(id)?.state {
            State::Lost { since, .. } => Some(Lost { since, ttl: self.ttl }),
            _ => None,
        }
    }

    /// The brake, while it is on.
    pub(crate) fn brake(&self) -> Option<&BrakeRecord> {
        self.brake.as_ref().map(|brake| &brake.record)
    }

    /// What the store has of the brake: of a leader before this one, or released by a person.
    pub(crate) fn brake_found(&mut self, now: Now, found: Option<&Versioned<BrakeRecord>>) {
        match (&mut self.brake, found) {
            (None, Some(found)) => {
                for id in found.value.lost.keys() {
                    if let Some(sighting) = self.machines.get_mut(id)
                        && let State::Lost { since, wall, weighs: true } = sighting.state
                    {
                        sighting.state = State::Held { since, wall };
                    }
                }
                self.brake = Some(Brake { record: found.value.clone(), since: now.mono, eased: None });
            }
            (Some(brake), Some(found)) => {
                brake.record.released |= found.value.released;
                brake.record.extra.clone_from(&found.value.extra);
            }
            (_, None) => {}
        }
    }

    /// Whether what stands in the registry as the brake cannot be read. Nothing moves until it is gone: it may be a newer
    /// version's brake.
    pub(crate) fn brake_is_unreadable(&mut self, is: bool) {
        self.is_brake_unreadable = is;
    }

    /// When a linearizable read must go out so that absences can be judged.
    pub(crate) fn wants_read(&self, now: Mono) -> bool {
        if self.is_brake_unreadable || self.held().next().is_none() || self.is_trusted(now) {
            return false;
        }
        match self.gap_end(now) {
            Some(end) => self.read.is_none_or(|(sent, _)| sent < end),
            None => false,
        }
    }

    /// When to look again.
    pub(crate) fn wakeup(&self, now: Mono) -> Option<Mono> {
        if self.is_brake_unreadable {
            return None;
        }
        if let Some(brake) = &self.brake {
            let held = (!self.hold.is_zero()).then(|| brake.since + self.hold);
            let eased = brake.eased.map(|since| since + self.ttl);
            return [held, eased].into_iter().flatten().min();
        }
        self.held().next()?;
        if let Census::Done { asked_at, .. } = self.census
            && self.is_proven(now)
        {
            return Some(asked_at + self.ttl / RECOUNT);
        }
        if self.is_proven(now) {
            // The census is under way; its answers wake us by themselves.
            return None;
        }
        // The session's next word changes what is trusted, and wakes us by itself.
        let (sent, answered) = self.read?;
        (self.gap_end(now)? <= sent).then(|| answered + self.ttl)
    }

    /// Whether the others are to be counted before absences are judged: see [`census`].
    pub(crate) fn wants_census(&self, now: Mono) -> bool {
        if self.brake.is_some() || self.is_brake_unreadable || !self.is_proven(now) {
            return false;
        }
        let newest = self.absent().filter_map(|(_, sighting)| match sighting.state {
            State::Held { since, .. } => Some(since),
            _ => None,
        });
        match (newest.max(), &self.census) {
            (None, _) | (_, Census::Asking { .. }) => false,
            (Some(_), Census::None) => true,
            (Some(newest), Census::Done { asked_at, .. }) => {
                *asked_at < newest || now >= *asked_at + self.ttl / RECOUNT
            }
        }
    }

    /// At most so many machines are asked about.
    pub(crate) const CENSUS_SAMPLE: usize = census::SAMPLE;

    /// These calls ask how long leases still live; they stand for so many machines.
    pub(crate) fn census_begins(&mut self, now: Mono, calls: BTreeSet<u64>, others: usize) {
        self.census = Census::begin(now, calls, others);
    }

    /// One of them was answered. False if it is none of them.
    pub(crate) fn census_answered(&mut self, call: u64, left: Option<Duration>) -> bool {
        self.census.answered(call, left, self.ttl)
    }

    /// Those that are not present, by id.
    fn absent(&self) -> impl Iterator<Item = (&MachineId, &Sighting)> {
        self.away.iter().filter_map(|id| Some((id, self.machines.get(id)?)))
    }

    fn held(&self) -> impl Iterator<Item = (&MachineId, u64)> {
        self.absent().filter_map(|(id, sighting)| match sighting.state {
            State::Held { wall, .. } => Some((id, wall)),
            _ => None,
        })
    }

    fn gap_end(&self, now: Mono) -> Option<Mono> {
        Some(self.evidence.last_gap_end(now)?.max(self.outage_end.unwrap_or_default()))
    }

    /// Whether absence is to be taken at its word.
    fn is_trusted(&self, now: Mono) -> bool {
        let restored = self.outage_end.is_some_and(|end| now < end + self.ttl);
        self.evidence.trusted(now) && !restored
    }

    fn is_proven(&self, now: Mono) -> bool {
        if self.is_trusted(now) || planted::is(Fault::NoEvidence) {
            return true;
        }
        let (Some(end), Some((sent, answered))) = (self.gap_end(now), self.read) else { return false };
        sent >= end && now >= answered + self.ttl
    }

    /// Judges who is absent.
    pub(crate) fn judge(&mut self, now: Now) -> Option<Verdict> {
        if self.is_brake_unreadable {
            return None;
        }
        if self.brake.is_some() {
            return self.judge_brake(now);
        }
        if self.held().next().is_none() || !self.is_proven(now.mono) {
            return None;
        }
        let lost = self.lost_within_one_lease();
        let present = self
            .machines
            .values()
            .filter(|sighting| sighting.state == State::Present && sighting.known_since + self.ttl <= now.mono);
        let before = lost.len() + present.count();
        let Census::Done { doubtful, .. } = self.census else { return None };
        if too_many(lost.len(), before) {
            let record = BrakeRecord {
                v: FORMAT,
                lost,
                present_before: u32::try_from(before).unwrap_or(u32::MAX),
                since: now.wall,
                released: false,
                extra: BTreeMap::new(),
            };
            self.brake = Some(Brake { record: record.clone(), since: now.mono, eased: None });
            return Some(Verdict::BrakeOn(record));
        }
        // If those that are doubtful will be lost too, the brake comes before the first move.
        if too_many(lost.len() + doubtful, before) {
            return None;
        }
        self.census = Census::None;
        Some(Verdict::Lost(self.lose_all(true)))
    }

    /// The most machines that were lost within one lease, of which at least one is not taken as lost yet.
    fn lost_within_one_lease(&self) -> BTreeMap<MachineId, u64> {
        let weighing: Vec<(&MachineId, Mono, u64, bool)> = self
            .absent()
            .filter_map(|(id, sighting)| match sighting.state {
                State::Held { since, wall } => Some((id, since, wall, true)),
                State::Lost { since, wall, weighs: true } => Some((id, since, wall, false)),
                _ => None,
            })
            .collect();
        let until = |end: Mono| {
            let within = move |since: Mono| since <= end && end < since + self.ttl;
            weighing.iter().filter(move |lost| within(lost.1)).map(|&(id, _, wall, _)| (id.clone(), wall))
        };
        let ends = weighing.iter().filter(|lost| lost.3).map(|lost| lost.1);
        ends.map(|end| until(end).collect::<BTreeMap<_, _>>()).max_by_key(BTreeMap::len).unwrap_or_default()
    }

    /// Whether the brake goes off, or takes in more machines.
    fn judge_brake(&mut self, now: Now) -> Option<Verdict> {
        let brake = self.brake.as_ref()?;
        let absent: BTreeMap<MachineId, u64> = self
            .absent()
            .filter_map(|(id, sighting)| match sighting.state {
                State::Held { wall, .. } => Some((id.clone(), wall)),
                State::Lost { wall, weighs: true, .. } if brake.record.lost.contains_key(id) => {
                    Some((id.clone(), wall))
                }
                _ => None,
            })
            .collect();
        let brake = self.brake.as_mut()?;
        // Where some come back the others are given a lease to do so too.
        let eased = !too_many(absent.len(), brake.record.present_before as usize);
        brake.eased = eased.then(|| brake.eased.unwrap_or(now.mono));
        let why = if brake.record.released {
            "a person released it"
        } else if absent.is_empty() || brake.eased.is_some_and(|since| now.mono >= since + self.ttl) {
            "machines came back"
        } else if !self.hold.is_zero() && now.mono >= brake.since + self.hold {
            "it held for engine_brake_hold"
        } else if absent.keys().any(|id| !brake.record.lost.contains_key(id)) {
            brake.record.lost.extend(absent);
            return Some(Verdict::BrakeOn(brake.record.clone()));
        } else {
            return None;
        };
        let came_back = why == "machines came back";
        self.brake = None;
        if !came_back {
            // What is absent now is lost, and weighs no more: else the brake would be on again at once.
            self.lose_all(false);
        }
        Some(Verdict::BrakeOff { why: why.to_owned() })
    }

    fn lose_all(&mut self, weighs: bool) -> Vec<MachineId> {
        let mut lost = Vec::new();
        for id in &self.away {
            let Some(sighting) = self.machines.get_mut(id) else { continue };
            match sighting.state {
                State::Held { since, wall } => {
                    sighting.state = State::Lost { since, wall, weighs };
                    lost.push(id.clone());
                }
                State::Lost { since, wall, .. } if !weighs => sighting.state = State::Lost { since, wall, weighs },
                _ => {}
            }
        }
        lost
    }
}

/// Whether so many lost at once are more likely a fault of the network than of the machines.
pub(crate) fn too_many(lost: usize, present_before: usize) -> bool {
    lost >= 2 && lost * 2 > present_before && !planted::is(Fault::NoBrake)
}
