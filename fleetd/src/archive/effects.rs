//! What a restored registry makes of what runs: pure, from the records of now and those of the backup.
//!
//! It follows what agents and engine do with a registry that was restored. A unit that no record knows, or that is another
//! unit than the record's, is left alone as an orphan; where a unit of that name is to run on the same machine, that takes
//! its place. What the backup knows runs where the backup has it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fleet_api::v2::{MachineRef, RestoreEffect, RestoreEffectKind};
use fleet_registry::memory::{Memory, Saved};
use fleet_registry::mirror::KvChange;
use fleet_registry::record::{Assignment, Target};
use fleet_registry::store::{RangeRequest, Request, ResponseBody};
use fleet_registry::view::View;
use fleet_registry::{Contents, Layout};
use fleet_units::{MachineId, UnitName};

/// What a snapshot holds of a cluster.
pub(super) fn view_of(saved: &Saved, layout: Layout) -> View {
    let mut memory = Memory::restore(Duration::ZERO, saved.clone(), 0);
    let request = Request::Range(RangeRequest::prefix(layout.root().to_owned()));
    let mut view = View::new(layout, Contents::Digest);
    if let Ok(ResponseBody::Range(range)) = memory.apply(Duration::ZERO, request).map(|response| response.body) {
        for kv in range.kvs {
            view.apply(&KvChange { key: kv.key.clone(), new: Some(kv) });
        }
    }
    view
}

/// Where each unit runs by decision.
type Running<'a> = BTreeMap<&'a UnitName, BTreeMap<&'a MachineId, &'a Assignment>>;

fn running(view: &View) -> Running<'_> {
    let mut running = Running::new();
    for (id, schedule) in &view.schedules {
        let launched = schedule.value.units.iter().filter(|(_, given)| given.target == Target::Launched);
        for (name, given) in launched {
            running.entry(name).or_default().insert(id, given);
        }
    }
    running
}

/// What becomes of each unit that runs, or will.
pub(super) fn effects(present: &View, backup: &View) -> Vec<RestoreEffect> {
    let machine = |id: &MachineId| {
        let known = present.machines.get(id).or_else(|| backup.machines.get(id));
        let address = known.and_then(|machine| machine.value.address.clone()).unwrap_or_default();
        MachineRef { id: id.to_string(), address }
    };
    let mut effects = Vec::new();
    let mut add = |kind, unit: &UnitName, from: Option<&MachineId>, to: Option<&MachineId>| {
        let (from, to) = (from.map(machine), to.map(machine));
        effects.push(RestoreEffect { kind, unit: unit.to_string(), from, to });
    };
    let (now, then) = (running(present), running(backup));
    let none = BTreeMap::new();
    let names: BTreeSet<&UnitName> = now.keys().chain(then.keys()).copied().collect();
    for name in names {
        let (here, there) = (now.get(name).unwrap_or(&none), then.get(name).unwrap_or(&none));
        // Which unit of that name the backup means.
        let known = backup.units.get(name).map(|unit| unit.create_revision);
        let mut leaves = Vec::new();
        for (id, given) in here {
            match there.get(id) {
                Some(then) if then.uid == given.uid && then.content == given.content => {}
                Some(_) => add(RestoreEffectKind::Replace, name, Some(id), Some(id)),
                None if known == Some(given.uid) => leaves.push(*id),
                None => add(RestoreEffectKind::Orphan, name, Some(id), None),
            }
        }
        let mut comes = there.keys().filter(|id| !here.contains_key(*id)).copied();
        for from in leaves {
            match comes.next() {
                Some(to) => add(RestoreEffectKind::Move, name, Some(from), Some(to)),
                None => add(RestoreEffectKind::Stop, name, Some(from), None),
            }
        }
        comes.for_each(|to| add(RestoreEffectKind::Start, name, None, Some(to)));
    }
    effects.sort();
    effects
}

#[cfg(test)]
mod tests {
    use fleet_registry::Key;
    use fleet_registry::record::{ContentKey, Extra, FORMAT, Record, ScheduleRecord, UnitRecord};
    use fleet_registry::store::KeyValue;
    use fleet_units::{DesiredState, UnitFile};

    use super::*;

    /// Units with uid and text.
    type Given<'a> = &'a [(&'a str, i64, &'a str)];

    /// A registry of units by uid and of machines with the units that they run, each with its uid and text.
    fn view(units: &[(&str, i64)], schedules: &[(&str, Given<'_>)]) -> View {
        let layout = Layout::default();
        let mut view = View::new(layout.clone(), Contents::Digest);
        let mut put = |key: Key, value: Vec<u8>, create_revision| {
            let kv = KeyValue { key: layout.encode(&key), value: value.into(), create_revision, ..KeyValue::default() };
            view.apply(&KvChange { key: kv.key.clone(), new: Some(kv) }).expect("a change");
        };
        for (name, uid) in units {
            let file = UnitFile::parse("[Service]\nExecStart=/bin/true\n").unwrap();
            let record = UnitRecord {
                v: FORMAT,
                content: ContentKey("text".into()),
                hash: file.hash(),
                desired: DesiredState::Launched,
                avoids: None,
                restarts: 0,
                changed: 0,
                changed_by: String::new(),
                extra: Extra::default(),
            };
            put(Key::Unit(UnitName::parse(name).unwrap()), record.encode().to_vec(), *uid);
        }
        for (id, given) in schedules {
            let assignment = |uid: &i64, text: &str| Assignment {
                uid: *uid,
                content: ContentKey(text.into()),
                target: Target::Launched,
                restarts: 0,
                extra: Extra::default(),
            };
            let units = given.iter().map(|(name, uid, text)| (UnitName::parse(name).unwrap(), assignment(uid, text)));
            let record = ScheduleRecord {
                v: FORMAT,
                generation: 1,
                units: units.collect(),
                leaving: BTreeMap::new(),
                extra: Extra::default(),
            };
            put(Key::Schedule(MachineId::parse(id).unwrap()), record.encode().to_vec(), 1);
        }
        view
    }

    fn told(present: &View, backup: &View) -> Vec<String> {
        let id = |machine: &Option<MachineRef>| machine.as_ref().map_or("-".to_owned(), |machine| machine.id.clone());
        let tell = |effect: RestoreEffect| {
            format!("{:?} {} {} {}", effect.kind, effect.unit, id(&effect.from), id(&effect.to))
        };
        effects(present, backup).into_iter().map(tell).collect()
    }

    #[test]
    fn what_each_unit_comes_to() {
        let present = view(
            &[
                ("stays.service", 1),
                ("moved.service", 2),
                ("edited.service", 3),
                ("later.service", 9),
                ("started.service", 5),
            ],
            &[
                ("m1", &[("stays.service", 1, "a"), ("edited.service", 3, "new"), ("later.service", 9, "a")]),
                ("m2", &[("moved.service", 2, "a"), ("started.service", 5, "a"), ("again.service", 8, "a")]),
            ],
        );
        let backup = view(
            &[
                ("stays.service", 1),
                ("moved.service", 2),
                ("edited.service", 3),
                ("gone.service", 4),
                ("started.service", 5),
                ("again.service", 6),
            ],
            &[
                (
                    "m1",
                    &[
                        ("stays.service", 1, "a"),
                        ("moved.service", 2, "a"),
                        ("edited.service", 3, "old"),
                        ("gone.service", 4, "a"),
                    ],
                ),
                ("m2", &[("again.service", 6, "a")]),
            ],
        );
        assert_eq!(
            told(&present, &backup),
            [
                "Stop started.service m2 -",
                "Start gone.service - m1",
                "Move moved.service m2 m1",
                "Replace again.service m2 m2",
                "Replace edited.service m1 m1",
                "Orphan later.service m1 -",
            ]
        );
        assert!(told(&present, &present).is_empty(), "its own backup changes nothing");
    }

    #[test]
    fn a_unit_on_every_machine_is_looked_at_machine_by_machine() {
        let present = view(&[("g.service", 1)], &[("m1", &[("g.service", 1, "a")]), ("m2", &[("g.service", 1, "a")])]);
        let backup = view(&[("g.service", 1)], &[("m1", &[("g.service", 1, "a")]), ("m3", &[("g.service", 1, "a")])]);
        assert_eq!(told(&present, &backup), ["Move g.service m2 m3"]);
        assert_eq!(told(&view(&[], &[]), &backup), ["Start g.service - m1", "Start g.service - m3"]);
    }
}
