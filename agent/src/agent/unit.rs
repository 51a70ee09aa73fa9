//! One unit of this machine: what is wanted of it, what is held, and what is being done.

use fleet_registry::Mono;
use fleet_registry::planted::{self, Fault};
use fleet_registry::record::{Assignment, ClusterId, ContentKey, Target};

use crate::effect::{FoundUnit, Op, UnitReport};
use crate::note::Note;
use crate::reconcile::{Action, Held, Stage};

/// The uid of what another than fleetd left on this machine.
pub(super) const LEFT: i64 = 0;

/// An action under way.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Running {
    /// Pairs with the answer; `None` while it waits for its batch.
    pub op: Option<Op>,
    pub action: Action,
    /// What was wanted when it began.
    pub aim: Option<Assignment>,
}

/// One unit of this machine.
#[derive(Debug, Clone, Default)]
pub(super) struct Unit {
    /// What the schedule wants of it.
    pub wanted: Option<Assignment>,
    pub held: Option<Held>,
    /// Whether its file was there when fleetd started.
    pub file: bool,
    /// Whether its file has an `[Install]` section to carry out.
    pub enable: bool,
    /// Whether systemd calls it active before its program has shown any sign of life.
    pub blind: bool,
    /// Whose it is: the cluster of its note. Of an orphan, none.
    pub cluster: Option<ClusterId>,
    /// With `OnDisconnect=stop`: the run of the target that it was started under, or empty.
    pub fence: Option<String>,
    /// File names of its drop-ins on disk.
    pub drop_ins: Vec<String>,
    pub running: Option<Running>,
    /// Tried in vain: not tried again until something else is wanted.
    pub refused: Option<Assignment>,
    /// Failed for a reason that may pass: tried again then.
    pub retry_at: Option<Mono>,
    pub failures: u32,
    /// Whether a reload was already tried because systemd did not know the unit.
    pub reloaded: bool,
    /// What went wrong with the unit itself, until a step with it succeeds.
    pub error: String,
    /// What went wrong with its note, until one can be written.
    pub note_error: String,
    pub report: Option<UnitReport>,
    /// It is an orphan, and a person wants it stopped.
    pub condemned: bool,
    /// The schedule does not list it, or another of its name: it is on its way out for that.
    pub unlisted: bool,
}

impl Unit {
    /// What was found on disk, before systemd was asked.
    pub(super) fn found(found: FoundUnit, boot_id: &str) -> Self {
        match found.note {
            Ok(note) => {
                let stage = match note.reached {
                    // Nothing of another boot runs, and its links are gone.
                    _ if note.boot_id != boot_id => Stage::Written,
                    Some(Target::Launched) => Stage::Launched,
                    Some(Target::Loaded) => Stage::Loaded,
                    None => Stage::Written,
                };
                let (uid, mut content, restarts) = (note.uid, note.content, note.restarts);
                if planted::is(Fault::AdoptionRestarts) {
                    content = ContentKey("".into());
                }
                Self {
                    held: Some(Held { uid, content, restarts, stage, starting: note.starting, noted: true }),
                    file: found.file,
                    cluster: (!note.orphan).then_some(note.cluster),
                    drop_ins: note.drop_ins,
                    fence: note.fence,
                    error: note.error,
                    ..Self::default()
                }
            }
            Err(why) => Self {
                held: Some(Held {
                    uid: LEFT,
                    content: found.content.unwrap_or(ContentKey("".into())),
                    restarts: 0,
                    stage: Stage::Launched,
                    starting: true,
                    noted: true,
                }),
                error: why,
                ..Self::default()
            },
        }
    }

    /// Something else is wanted: what went wrong before says nothing about it.
    pub(super) fn new_attempt(&mut self) {
        (self.refused, self.retry_at, self.failures) = (None, None, 0);
        self.error.clear();
        self.note_error.clear();
    }

    /// What people should know of it, if anything is wrong.
    pub(super) fn trouble(&self) -> &str {
        if self.error.is_empty() { &self.note_error } else { &self.error }
    }

    /// Whether it is of this cluster. What is not is an orphan.
    pub(super) fn is_own(&self, cluster: Option<&ClusterId>) -> bool {
        let same = self.cluster.as_ref() == cluster || planted::is(Fault::OrphansAreOwn);
        self.held.is_some() && self.cluster.is_some() && same
    }

    /// Sets the stage straight by what systemd says at adoption.
    pub(super) fn adopt(&mut self, report: &UnitReport) {
        let file = self.file;
        let Some(held) = &mut self.held else { return };
        let unknown = matches!(report.load.as_str(), "not-found" | "");
        let fresh = held.reached().is_none();
        match (unknown, fresh) {
            // It was being loaded or unloaded when fleetd died, and systemd may have it in memory without a link; or its
            // link was lost. Linking again touches no process.
            (false, true) | (true, false) if file => held.stage = Stage::Written,
            (false, true) => held.stage = Stage::Stale,
            (true, _) if !file && !report.may_run() => self.held = None,
            _ => {}
        }
    }

    /// The note that says what is held.
    pub(super) fn note(&self, held: &Held, cluster: ClusterId, boot_id: String) -> Note {
        let mut note = Note::new(cluster, boot_id, held.uid, held.content.clone());
        note.restarts = held.restarts;
        note.reached = held.reached();
        note.starting = held.starting;
        note.drop_ins = self.drop_ins.clone();
        note.fence.clone_from(&self.fence);
        note.invocation = self.report.as_ref().map(|r| r.invocation.clone()).unwrap_or_default();
        note.error = self.error.clone();
        note
    }
}
