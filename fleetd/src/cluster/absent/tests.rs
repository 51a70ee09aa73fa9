//! How long a machine that is gone may still be stopping what must not run twice, as one fleetd sees it.

use std::collections::BTreeMap;
use std::time::Duration;

use fleet_registry::Layout;
use fleet_registry::mirror::KvChange;
use fleet_registry::record::{
    Assignment, ContentRecord, Extra, FORMAT, MachineRecord, Record, ScheduleRecord, StateRecord, Target, UnitRecord,
};
use fleet_registry::store::KeyValue;
use fleet_units::DesiredState;

use super::*;

/// Its bound is 4 × 2 s + 1 s, to which come the clocks' parts.
const QUICK: &str = "[Service]\nExecStart=/bin/a\nTimeoutStopSec=2\n[X-Fleet]\nOnDisconnect=stop\n";
/// Its bound is 4 × 20 s + 1 s.
const SLOW: &str = "[Service]\nExecStart=/bin/a\nTimeoutStopSec=20\n[X-Fleet]\nOnDisconnect=stop\n";
const KEPT: &str = "[Service]\nExecStart=/bin/a\n";

struct Scene {
    picture: Picture,
    now: Instant,
    revision: i64,
}

impl Scene {
    /// Machines m1 and m2 are there.
    fn new() -> Self {
        let mut scene = Self { picture: Picture::new(Layout::default()), now: Instant::now(), revision: 0 };
        scene.picture.absent.followed(scene.now);
        scene.machine("m1");
        scene.machine("m2");
        scene
    }

    fn change(&mut self, key: &Key, value: Option<Vec<u8>>) {
        self.revision += 1;
        let key: bytes::Bytes = Layout::default().encode(key);
        let new = value.map(|value| KeyValue {
            key: key.clone(),
            value: value.into(),
            create_revision: self.revision,
            mod_revision: self.revision,
            version: 1,
            lease: 0,
        });
        self.picture.apply(self.now, self.revision, &[KvChange { key, new }]);
    }

    fn put<R: Record>(&mut self, key: &Key, record: &R) {
        self.change(key, Some(record.encode().to_vec()));
    }

    fn machine(&mut self, id: &str) {
        let record = MachineRecord { hostname: id.into(), ..MachineRecord::new(machine(id)) };
        self.put(&Key::Machine(machine(id)), &record);
    }

    fn text(&mut self, text: &str) -> ContentKey {
        let record = ContentRecord { v: FORMAT, text: text.into(), drop_ins: BTreeMap::new(), extra: Extra::new() };
        let key = record.key();
        self.put(&Key::Content(key.clone()), &record);
        key
    }

    fn unit(&mut self, name: &str, text: &str) -> ContentKey {
        let content = self.text(text);
        let record = UnitRecord {
            v: FORMAT,
            content: content.clone(),
            desired: DesiredState::Launched,
            avoids: None,
            restarts: 0,
            hash: UnitFile::parse(text).unwrap().hash(),
            changed: 0,
            changed_by: String::new(),
            extra: Extra::new(),
        };
        self.put(&Key::Unit(unit(name)), &record);
        content
    }

    fn schedule(&mut self, id: &str, units: &[(&str, &ContentKey)], leaving: &[&str]) {
        let given = |content: &ContentKey| Assignment {
            uid: 1,
            content: content.clone(),
            target: Target::Launched,
            restarts: 0,
            extra: Extra::new(),
        };
        let record = ScheduleRecord {
            v: FORMAT,
            generation: 7,
            units: units.iter().map(|(name, content)| (unit(name), given(content))).collect(),
            leaving: leaving.iter().map(|name| (unit(name), 7)).collect(),
            extra: Extra::new(),
        };
        self.put(&Key::Schedule(machine(id)), &record);
    }

    fn report(&mut self, id: &str, name: &str, content: &ContentKey, stop_bound_ms: Option<u64>) {
        let record = StateRecord {
            v: FORMAT,
            uid: 1,
            content: content.clone(),
            restarts: 0,
            reached: Some(Target::Launched),
            load: "loaded".into(),
            active: "active".into(),
            sub: "running".into(),
            result: "success".into(),
            since: 5,
            n_restarts: 0,
            main_pid: 42,
            stop_bound_ms,
            error: String::new(),
            extra: Extra::new(),
        };
        self.put(&Key::State(machine(id), unit(name)), &record);
    }

    /// A machine's lease ends.
    fn lose(&mut self, id: &str) {
        self.change(&Key::Machine(machine(id)), None);
    }

    fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    /// What m1 may still be stopping, and for how many seconds at least.
    fn still(&self) -> Option<(String, u64)> {
        let still = self.picture.still_stopping(&machine("m1"), self.now)?;
        Some((still.unit.to_string(), (still.until - self.now).as_secs()))
    }
}

fn machine(id: &str) -> MachineId {
    MachineId::parse(id).unwrap()
}

fn unit(name: &str) -> UnitName {
    UnitName::parse(name).unwrap()
}

fn db(seconds: u64) -> Option<(String, u64)> {
    Some(("db.service".to_owned(), seconds))
}

#[test]
fn a_machine_may_be_stopping_for_as_long_as_its_unit_says() {
    let mut scene = Scene::new();
    let (quick, kept) = (scene.unit("db.service", QUICK), scene.unit("web.service", KEPT));
    scene.schedule("m1", &[("db.service", &quick), ("web.service", &kept)], &[]);
    scene.pass(100);
    assert_eq!(scene.still(), None, "it is there");
    scene.lose("m1");
    // 9 s, a thousandth of them, and 3.6 s for the longest lease.
    assert_eq!(scene.still(), db(12));
    scene.pass(12);
    assert_eq!(scene.still(), db(0));
    scene.pass(1);
    assert_eq!(scene.still(), None);
    scene.machine("m1");
    scene.lose("m1");
    assert_eq!(scene.still(), db(12), "it came back and went once more");
}

#[test]
fn it_counts_from_the_last_look_that_missed_nothing() {
    let mut scene = Scene::new();
    let quick = scene.unit("db.service", QUICK);
    scene.schedule("m1", &[("db.service", &quick)], &[]);
    scene.lose("m1");
    scene.pass(100);
    assert_eq!(scene.still(), None);
    // It may have been back while nobody looked.
    scene.picture.absent.followed(scene.now);
    assert_eq!(scene.still(), db(12));
}

#[test]
fn the_longest_of_a_units_texts_counts() {
    let mut scene = Scene::new();
    let (slow, quick) = (scene.text(SLOW), scene.unit("db.service", QUICK));
    scene.schedule("m1", &[("db.service", &slow)], &[]);
    scene.lose("m1");
    assert_eq!(scene.still(), db(84), "the text that the machine was given");
    scene.schedule("m1", &[("db.service", &quick)], &[]);
    assert_eq!(scene.still(), db(12));
    scene.report("m1", "db.service", &slow, None);
    assert_eq!(scene.still(), db(84), "the text that the machine said it holds");
    scene.report("m1", "db.service", &quick, Some(50_000));
    assert_eq!(scene.still(), db(53), "what the machine's systemd made of it");
}

#[test]
fn a_unit_that_was_taken_away_counts_until_it_is_given_back_or_runs_elsewhere() {
    let mut scene = Scene::new();
    let quick = scene.unit("db.service", QUICK);
    scene.schedule("m1", &[], &["db.service"]);
    scene.lose("m1");
    assert_eq!(scene.still(), db(12));
    scene.schedule("m2", &[("db.service", &quick)], &[]);
    assert_eq!(scene.still(), None);

    scene.schedule("m2", &[], &[]);
    // Destroyed and not taken away yet, or its schedule was deleted by hand: the machine said that it runs.
    scene.change(&Key::Unit(unit("db.service")), None);
    scene.change(&Key::Schedule(machine("m1")), None);
    assert_eq!(scene.still(), None);
    scene.report("m1", "db.service", &quick, None);
    assert_eq!(scene.still(), db(12));
}

#[test]
fn a_schedule_that_cannot_be_read_may_list_what_runs_nowhere_else() {
    let mut scene = Scene::new();
    let quick = scene.unit("db.service", QUICK);
    scene.change(&Key::Schedule(machine("m1")), Some(b"{".to_vec()));
    scene.lose("m1");
    assert_eq!(scene.still(), db(12));
    scene.schedule("m2", &[("db.service", &quick)], &[]);
    assert_eq!(scene.still(), None);
}

/// It runs on every machine: nothing starts elsewhere for want of this one.
#[test]
fn what_runs_everywhere_holds_nobody_back() {
    let mut scene = Scene::new();
    let global = scene.unit("db.service", &format!("{QUICK}Global=true\n"));
    scene.schedule("m1", &[("db.service", &global)], &[]);
    scene.lose("m1");
    assert_eq!(scene.still(), None);
}
