//! A drive whose power can be cut: what was not synced is lost, torn, or there before what was written earlier.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::StorageBackend;

/// What a drive writes at once.
const SECTOR_BYTES: usize = 512;

/// What was done to a drive.
#[derive(Debug, Clone)]
enum Event {
    Write(usize, Vec<u8>),
    Length(usize),
    Sync,
}

#[derive(Debug, Default)]
struct State {
    bytes: Vec<u8>,
    events: Vec<Event>,
    lies: bool,
}

/// A file in memory that remembers everything that was done to it.
#[derive(Debug, Clone, Default)]
pub(super) struct Drive {
    state: Arc<Mutex<State>>,
}

impl Drive {
    /// From now on it says that it has synced, and has not.
    pub(super) fn lie(&self) {
        self.state().lies = true;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How much was done to it.
    pub(super) fn events(&self) -> usize {
        self.state().events.len()
    }

    /// The drive as it is found when power went after so many events.
    pub(super) fn after_power_loss(&self, events: usize, random: &mut Random) -> Self {
        let state = self.state();
        let done = &state.events[..events];
        let synced = done.iter().rposition(|event| matches!(event, Event::Sync)).unwrap_or_default();
        let mut bytes = Vec::new();
        for event in &done[..synced] {
            apply(&mut bytes, event, |_| true);
        }
        // Sector by sector, in no order: some arrive, of some writes all, of some none.
        for event in &done[synced..] {
            match random.below(4) {
                0 => {}
                1 => apply(&mut bytes, event, |_| true),
                _ => apply(&mut bytes, event, |_| random.below(2) == 0),
            }
        }
        Self { state: Arc::new(Mutex::new(State { bytes, ..State::default() })) }
    }
}

/// Does again what was done, as far as it arrived.
fn apply(bytes: &mut Vec<u8>, event: &Event, mut arrives: impl FnMut(usize) -> bool) {
    match event {
        Event::Write(offset, data) => {
            if bytes.len() < offset + data.len() {
                bytes.resize(offset + data.len(), 0);
            }
            for (sector, part) in data.chunks(SECTOR_BYTES).enumerate() {
                if arrives(sector) {
                    let at = offset + sector * SECTOR_BYTES;
                    bytes[at..at + part.len()].copy_from_slice(part);
                }
            }
        }
        Event::Length(length) if arrives(0) => bytes.resize(*length, 0),
        Event::Length(_) | Event::Sync => {}
    }
}

fn position(offset: u64) -> io::Result<usize> {
    usize::try_from(offset).map_err(io::Error::other)
}

impl StorageBackend for Drive {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state().bytes.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let start = position(offset)?;
        let state = self.state();
        let found = state.bytes.get(start..start + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(found);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let event = Event::Length(position(length)?);
        let mut state = self.state();
        apply(&mut state.bytes, &event, |_| true);
        state.events.push(event);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.state();
        if !state.lies {
            state.events.push(Event::Sync);
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let event = Event::Write(position(offset)?, data.to_vec());
        let mut state = self.state();
        apply(&mut state.bytes, &event, |_| true);
        state.events.push(event);
        Ok(())
    }
}

/// A sequence of numbers that follows from its seed.
#[derive(Debug)]
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % limit
    }
}
