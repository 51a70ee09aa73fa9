//! Any story of writes and faults ends in a true copy.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::loopback::{Connection, Delays, Fault};
use crate::memory::Memory;

/// What may happen.
#[derive(Debug, Clone)]
enum Happening {
    Put(u8),
    Delete(u8),
    Both(u8, u8),
    Elsewhere,
    Compact,
    BreakWatches,
    Connect(Connection),
    Fault(Fault),
    Slow(Delays),
    Progress,
    Backup,
    /// The backup is put back; then nothing is written until the mirror has had time to notice.
    Restore,
    OtherCluster,
    Reachable,
    Wait(Duration),
}

fn happening() -> impl Strategy<Value = Happening> {
    let ms = |top: u64| (0..top).prop_map(Duration::from_millis);
    let connection = prop_oneof![
        3 => Just(Connection::Up),
        1 => Just(Connection::Refused),
        1 => Just(Connection::Silent),
        1 => Just(Connection::Deaf),
    ];
    let fault = prop_oneof![
        Just(Fault::Refuse),
        Just(Fault::LoseRequest),
        Just(Fault::LoseAnswer),
        Just(Fault::Repeat),
        (ms(1_500), ms(1_500)).prop_map(|(request, answer)| Fault::Delay { request, answer }),
    ];
    let slow = (ms(300), ms(300), ms(300)).prop_map(|(request, answer, watch)| Delays { request, answer, watch });
    prop_oneof![
        8 => (0_u8..8).prop_map(Happening::Put),
        4 => (0_u8..8).prop_map(Happening::Delete),
        3 => (0_u8..8, 0_u8..8).prop_map(|(put, delete)| Happening::Both(put, delete)),
        2 => Just(Happening::Elsewhere),
        2 => Just(Happening::Compact),
        2 => Just(Happening::BreakWatches),
        4 => connection.prop_map(Happening::Connect),
        4 => fault.prop_map(Happening::Fault),
        2 => slow.prop_map(Happening::Slow),
        1 => Just(Happening::Progress),
        1 => Just(Happening::Backup),
        1 => Just(Happening::Restore),
        1 => Just(Happening::OtherCluster),
        1 => Just(Happening::Reachable),
        8 => ms(3_000).prop_map(Happening::Wait),
    ]
}

/// A key's name, long enough into the alphabet to span pages.
fn name(n: u8) -> String {
    format!("key{n}")
}

struct Story {
    rig: Rig,
    backup: Memory,
    clusters: u64,
}

impl Story {
    fn tell(&mut self, happening: Happening) {
        let now = self.rig.now;
        let store = &mut self.rig.store;
        match happening {
            Happening::Put(n) => self.rig.put(&name(n), "x"),
            Happening::Delete(n) => self.rig.commit(&[], &[&name(n)]),
            Happening::Both(put, delete) if put != delete => {
                self.rig.commit(&[(&name(put), "y")], &[&name(delete)]);
            }
            Happening::Both(..) => {}
            Happening::Elsewhere => {
                store.put(now, PutRequest::new("/elsewhere", "1")).unwrap();
            }
            // Compacting twice at one revision is an error, which changes nothing.
            Happening::Compact => drop(store.compact(now)),
            Happening::BreakWatches => store.link.break_watches(&mut store.memory, now),
            Happening::Connect(connection) => store.link.connect(&mut store.memory, now, connection),
            Happening::Fault(fault) => store.link.inject(fault),
            Happening::Slow(delays) => store.link.delays = delays,
            Happening::Progress => store.link.progress(&mut store.memory, now),
            Happening::Backup => self.backup = store.memory.clone(),
            Happening::Restore => {
                let backup = self.backup.clone();
                store.replace(now, backup);
                self.calm();
            }
            Happening::OtherCluster => {
                self.clusters += 1;
                store.replace(now, Memory::new(1_000 + self.clusters));
                self.backup = store.memory.clone();
                self.calm();
            }
            Happening::Reachable => self.rig.input(MirrorInput::Reachable),
            Happening::Wait(duration) => self.rig.run(duration),
        }
    }

    /// Faults end, and time passes.
    fn calm(&mut self) {
        let now = self.rig.now;
        let store = &mut self.rig.store;
        store.link.delays = Delays::default();
        store.link.clear_faults();
        store.up(now);
        self.rig.run(seconds(60));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn ends_in_a_true_copy(seed: u64, page in 1_i64..5, story in vec(happening(), 0..80)) {
        let mut rig = Rig::new(seed, page);
        rig.input(MirrorInput::Start);
        let backup = rig.store.memory.clone();
        let mut telling = Story { rig, backup, clusters: 0 };
        for happening in story {
            telling.tell(happening);
        }
        telling.calm();
        telling.rig.assert_whole();
    }
}
