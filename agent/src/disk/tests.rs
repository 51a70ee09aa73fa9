use std::sync::Arc;

use fleet_registry::record::{ContentKey, FORMAT, Target};

use super::*;

struct Fixture {
    disk: Disk,
    _directory: tempfile::TempDir,
}

fn fixture() -> Fixture {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let paths = Paths { units: at("units"), runtime: at("runtime"), state: at("state") };
    Fixture { disk: Disk { paths }, _directory: directory }
}

fn unit(name: &str) -> UnitName {
    UnitName::parse(name).unwrap()
}

fn content(drop_ins: &[(&str, &str)]) -> ContentRecord {
    let drop_ins = drop_ins.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    ContentRecord { v: FORMAT, text: "[Service]\nExecStart=/bin/true\n".into(), drop_ins, extra: Default::default() }
}

fn note() -> Note {
    Note::new(ClusterId("c".into()), "boot".into(), 7, ContentKey("k".into()))
}

#[test]
fn what_was_written_is_found_again() {
    let f = fixture();
    let (name, mut note) = (unit("a.service"), note());
    f.disk.write_unit(&name, &content(&[]), &note).unwrap();
    note.reached = Some(Target::Launched);
    f.disk.write_note(&name, &note).unwrap();
    f.disk.write_cluster(&ClusterId("c".into())).unwrap();
    f.disk.write_memory(&Memory { acknowledged: 4, revision: 9 }).unwrap();

    let found = f.disk.scan().unwrap();
    assert_eq!(found.cluster, Some(ClusterId("c".into())));
    assert_eq!(found.memory, Memory { acknowledged: 4, revision: 9 });
    assert_eq!(found.units, BTreeMap::from([(name, FoundUnit { note: Ok(note), file: true, content: None })]));
}

#[test]
fn removing_leaves_nothing_but_other_peoples_drop_ins() {
    let f = fixture();
    let name = unit("a.service");
    f.disk.write_unit(&name, &content(&[("10-env.conf", "[Service]\n")]), &note()).unwrap();
    let directory = f.disk.drop_in_directory(&name);
    fs::write(directory.join("50-other.conf"), "").unwrap();
    f.disk.remove_unit(&name, &["10-env.conf".into()]).unwrap();
    assert!(f.disk.scan().unwrap().units.is_empty());
    assert!(!directory.join("10-env.conf").exists());
    assert!(directory.join("50-other.conf").exists());
    // Once more, as after a crash half-way.
    f.disk.remove_unit(&name, &["10-env.conf".into()]).unwrap();
}

#[test]
fn a_drop_in_cannot_be_written_elsewhere() {
    let f = fixture();
    for name in ["../x.conf", "/etc/x.conf", ".x.conf", "x"] {
        let error = f.disk.write_unit(&unit("a.service"), &content(&[(name, "")]), &note()).unwrap_err();
        assert!(error.contains("no name for a drop-in"), "{name}: {error}");
    }
    assert!(f.disk.scan().unwrap().units.is_empty(), "nothing is written of a refused unit");
}

#[test]
fn a_file_without_a_note_and_a_damaged_note_are_strangers() {
    let f = fixture();
    f.disk.scan().unwrap();
    fs::write(f.disk.unit_path(&unit("a.service")), "").unwrap();
    fs::write(f.disk.note_path(&unit("b.service")), "{").unwrap();
    let found = f.disk.scan().unwrap();
    assert!(found.units[&unit("a.service")].note.is_err());
    assert!(found.units[&unit("b.service")].note.is_err());
}

#[test]
fn another_cluster_starts_with_nothing_acknowledged() {
    let f = fixture();
    f.disk.write_cluster(&ClusterId("one".into())).unwrap();
    f.disk.write_memory(&Memory { acknowledged: 4, revision: 9 }).unwrap();
    f.disk.write_cluster(&ClusterId("two".into())).unwrap();
    assert_eq!(f.disk.scan().unwrap().memory, Memory::default());
}

#[test]
fn an_empty_or_damaged_memory_is_an_error_not_a_new_beginning() {
    let f = fixture();
    f.disk.write_cluster(&ClusterId("one".into())).unwrap();
    fs::write(f.disk.cluster_path(), "\n").unwrap();
    assert!(f.disk.scan().unwrap_err().contains("empty"));
    fs::write(f.disk.cluster_path(), "one\n").unwrap();
    fs::write(f.disk.memory_path(), "").unwrap();
    assert!(f.disk.scan().unwrap_err().contains("agent.json"));
}

#[tokio::test]
async fn effects_are_carried_out_in_order() {
    let f = fixture();
    let (events, mut rx) = tokio::sync::mpsc::unbounded_channel();
    let effects = spawn(f.disk.paths.clone(), events).unwrap();
    let (unit, note) = (unit("a.service"), note());
    let content = Arc::new(content(&[]));
    effects.send(DiskEffect::Scan);
    effects.send(DiskEffect::WriteUnit { op: 1, unit: unit.clone(), content, note: note.clone() });
    effects.send(DiskEffect::RemoveUnit { op: 2, unit: unit.clone(), drop_ins: Vec::new() });
    effects.send(DiskEffect::Scan);
    let nothing = Event::Disk(DiskEvent::Scanned(Ok(Found::default())));
    let done = |op| Event::Disk(DiskEvent::Unit { op, unit: unit.clone(), result: Ok(()) });
    for expected in [nothing.clone(), done(1), done(2), nothing] {
        assert_eq!(rx.recv().await.unwrap(), expected);
    }
}
