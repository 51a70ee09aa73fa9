//! The agent's files: units and notes in one directory, drop-ins where systemd looks for them, and what is remembered
//! across boots.
//!
//! Everything is written to a temporary file first, synced, and renamed, so that a crash leaves the old or the new.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use fleet_registry::record::{ClusterId, ContentKey, ContentRecord};
use fleet_units::UnitName;
use tokio::sync::mpsc::UnboundedSender;

use crate::effect::{DiskEffect, DiskEvent, Event, Found, FoundUnit, Memory};
use crate::note::Note;

/// Where the agent's files are.
#[derive(Debug, Clone)]
pub(crate) struct Paths {
    /// Unit files and notes.
    pub units: PathBuf,
    /// systemd's runtime directory of units, for drop-ins.
    pub runtime: PathBuf,
    /// What is remembered across boots.
    pub state: PathBuf,
}

/// Where [`DiskEffect`]s go to be carried out. The threads end when it is dropped.
#[derive(Debug)]
pub(crate) struct DiskSender {
    units: mpsc::Sender<DiskEffect>,
    state: mpsc::Sender<DiskEffect>,
}

impl DiskSender {
    /// Has an effect carried out.
    pub(crate) fn send(&self, effect: DiskEffect) {
        let thread = match effect {
            DiskEffect::ReadCluster | DiskEffect::WriteCluster(_) | DiskEffect::WriteMemory(_) => &self.state,
            _ => &self.units,
        };
        // The threads end after the sender.
        let _ = thread.send(effect);
    }
}

/// Carries out [`DiskEffect`]s: those of units in order on one thread, those of what is remembered in order on another.
/// Units lie in memory, as a rule, and wait for no disk.
pub(crate) fn spawn(paths: Paths, events: UnboundedSender<Event>) -> io::Result<DiskSender> {
    let thread = |name: &str| {
        let (effects, queue) = mpsc::channel();
        let (disk, events) = (Disk { paths: paths.clone() }, events.clone());
        std::thread::Builder::new().name(name.into()).spawn(move || {
            for effect in queue {
                // Nobody listens any more: what was asked for is done all the same.
                let _ = events.send(Event::Disk(disk.perform(effect)));
            }
        })?;
        Ok::<_, io::Error>(effects)
    };
    Ok(DiskSender { units: thread("fleet-units")?, state: thread("fleet-state")? })
}

struct Disk {
    paths: Paths,
}

/// An error with what it was about.
fn at(path: &Path) -> impl FnOnce(io::Error) -> String {
    move |error| format!("{}: {error}", path.display())
}

impl Disk {
    fn perform(&self, effect: DiskEffect) -> DiskEvent {
        match effect {
            DiskEffect::Scan => DiskEvent::Scanned(self.scan()),
            DiskEffect::ReadCluster => DiskEvent::Cluster(self.read_cluster()),
            DiskEffect::WriteCluster(id) => DiskEvent::ClusterWritten(self.write_cluster(&id)),
            DiskEffect::WriteMemory(memory) => DiskEvent::MemoryWritten(self.write_memory(&memory)),
            DiskEffect::WriteUnit { op, unit, content, note } => {
                let result = self.write_unit(&unit, &content, &note);
                DiskEvent::Unit { op, unit, result }
            }
            DiskEffect::WriteNote { op, unit, note } => {
                let result = self.write_note(&unit, &note);
                DiskEvent::Unit { op, unit, result }
            }
            DiskEffect::RemoveUnit { op, unit, drop_ins } => {
                let result = self.remove_unit(&unit, &drop_ins);
                DiskEvent::Unit { op, unit, result }
            }
        }
    }

    fn unit_path(&self, unit: &UnitName) -> PathBuf {
        self.paths.units.join(unit.as_str())
    }

    fn note_path(&self, unit: &UnitName) -> PathBuf {
        self.paths.units.join(format!(".{unit}.note"))
    }

    fn drop_in_directory(&self, unit: &UnitName) -> PathBuf {
        self.paths.runtime.join(format!("{unit}.d"))
    }

    fn cluster_path(&self) -> PathBuf {
        self.paths.state.join("cluster")
    }

    fn memory_path(&self) -> PathBuf {
        self.paths.state.join("agent.json")
    }

    fn scan(&self) -> Result<Found, String> {
        let units = &self.paths.units;
        fs::create_dir_all(units).map_err(at(units))?;
        let mut found = BTreeMap::new();
        for entry in fs::read_dir(units).map_err(at(units))? {
            let path = entry.map_err(at(units))?.path();
            let Some(name) = path.file_name().and_then(|n| n.to_str()) else { continue };
            let noted = name.strip_prefix('.').and_then(|n| n.strip_suffix(".note"));
            let Ok(unit) = UnitName::parse(noted.unwrap_or(name)) else { continue };
            let missing =
                || FoundUnit { note: Err("it has no note: fleet did not load it".into()), file: false, content: None };
            let slot = found.entry(unit).or_insert_with(missing);
            match noted {
                Some(_) => slot.note = fs::read(&path).map_err(at(&path)).and_then(|bytes| Note::decode(&bytes)),
                None => slot.file = true,
            }
        }
        for (unit, left) in found.iter_mut().filter(|(_, unit)| unit.note.is_err() && unit.file) {
            // What cannot be read is nobody's: it is shown, and left alone.
            let text = fs::read_to_string(self.unit_path(unit)).ok();
            left.content = text.map(|text| ContentKey::of(&text, &BTreeMap::new()));
        }
        Ok(Found { cluster: self.read_cluster()?, memory: self.read_memory()?, units: found })
    }

    fn read_cluster(&self) -> Result<Option<ClusterId>, String> {
        let path = self.cluster_path();
        match fs::read_to_string(&path) {
            Ok(text) if text.trim().is_empty() => Err(format!("{}: the file is empty", path.display())),
            Ok(text) => Ok(Some(ClusterId(text.trim().to_owned()))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(at(&path)(error)),
        }
    }

    fn read_memory(&self) -> Result<Memory, String> {
        let path = self.memory_path();
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|e| format!("{}: {e}", path.display())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Memory::default()),
            Err(error) => Err(at(&path)(error)),
        }
    }

    fn write_cluster(&self, id: &ClusterId) -> Result<(), String> {
        let (state, memory) = (&self.paths.state, self.memory_path());
        fs::create_dir_all(state).map_err(at(state))?;
        // What was acknowledged of another cluster says nothing about this one.
        remove(&memory).map_err(at(&memory))?;
        replace(&self.cluster_path(), format!("{id}\n").as_bytes())
    }

    fn write_memory(&self, memory: &Memory) -> Result<(), String> {
        let bytes = serde_json::to_vec(memory).map_err(|e| e.to_string())?;
        replace(&self.memory_path(), &bytes)
    }

    fn write_unit(&self, unit: &UnitName, content: &ContentRecord, note: &Note) -> Result<(), String> {
        if let Some(name) = content.drop_ins.keys().find(|name| !is_drop_in_name(name)) {
            return Err(format!("{name:?} is no name for a drop-in: it must end in .conf and contain no slash"));
        }
        fs::create_dir_all(&self.paths.units).map_err(at(&self.paths.units))?;
        self.write_note(unit, note)?;
        if !content.drop_ins.is_empty() {
            let directory = self.drop_in_directory(unit);
            fs::create_dir_all(&directory).map_err(at(&directory))?;
            for (name, text) in &content.drop_ins {
                replace(&directory.join(name), text.as_bytes())?;
            }
        }
        replace(&self.unit_path(unit), content.text.as_bytes())
    }

    fn write_note(&self, unit: &UnitName, note: &Note) -> Result<(), String> {
        let bytes = serde_json::to_vec(note).map_err(|e| e.to_string())?;
        replace(&self.note_path(unit), &bytes)
    }

    fn remove_unit(&self, unit: &UnitName, drop_ins: &[String]) -> Result<(), String> {
        let directory = self.drop_in_directory(unit);
        let own = drop_ins.iter().filter(|name| is_drop_in_name(name)).map(|name| directory.join(name));
        // The note goes last: without it what is left would look like a stranger's.
        for path in own.chain([self.unit_path(unit), self.note_path(unit)]) {
            remove(&path).map_err(at(&path))?;
        }
        if !drop_ins.is_empty() {
            // Someone else's drop-ins may be beside fleet's.
            let _ = fs::remove_dir(&directory);
        }
        Ok(())
    }
}

fn is_drop_in_name(name: &str) -> bool {
    name.ends_with(".conf") && !name.starts_with('.') && !name.contains(['/', '\0'])
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Writes a file so that a crash leaves the old one or the new one.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.tmp"));
    let write = || {
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        match path.parent() {
            Some(directory) => File::open(directory)?.sync_all(),
            None => Ok(()),
        }
    };
    write().map_err(at(path))
}

#[cfg(test)]
mod tests;
