//! What a change of one unit comes to. Pure: the unit as it is and as it is asked for go in, a decision comes out.

use fleet_api::v2::{Outcome, UnitChange};
use fleet_registry::record::{ContentKey, ContentRecord, Extra, FORMAT, Record, UnitRecord, Versioned, WallMillis};
use fleet_units::{DesiredState, Fence, FenceError, Requirements, UnitFiles, UnitHash, UnitName};

/// A change of one unit whose parts make sense.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The unit.
    pub name: UnitName,
    /// Its text, where one was given.
    pub text: Option<Text>,
    /// What people want of it, where that was said.
    pub desired: Option<DesiredState>,
    /// Take the given text even if the unit has another.
    pub replace: bool,
    /// Restart it where it is launched.
    pub restart: bool,
}

/// A text that was given, ready to be stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Text {
    /// As stored.
    pub record: ContentRecord,
    /// Its key.
    pub key: ContentKey,
    /// How many bytes it takes to store.
    pub bytes: usize,
    /// CoreOS fleet's hash of the unit file.
    pub hash: UnitHash,
    /// What it asks of the cluster.
    pub requirements: Requirements,
    /// What the person should hear about it.
    pub warnings: Vec<String>,
}

/// The unit as the store has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Existing {
    /// Its record.
    pub unit: Versioned<UnitRecord>,
    /// Its text; read only where the decision depends on it.
    pub content: Option<ContentRecord>,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Write this record, and the given text beside it where `text` says so.
    Write {
        /// The record.
        record: UnitRecord,
        /// Whether the text goes with it.
        text: bool,
        /// What to answer.
        outcome: Outcome,
    },
    /// Nothing, and this is why.
    Nothing {
        /// What to answer.
        outcome: Outcome,
        /// What to say.
        message: Option<String>,
    },
    /// The stored text is needed to decide.
    NeedsContent,
}

/// Why a change makes no sense whatever the store holds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Senseless(pub String);

/// Refuses to start or load what has no instance.
///
/// # Errors
/// When the unit is a template and would be.
pub fn check_template(name: &UnitName, desired: Option<DesiredState>) -> Result<(), Senseless> {
    match desired {
        Some(desired) if desired > DesiredState::Inactive && name.is_template() => {
            Err(Senseless(format!("cannot activate template {:?}", name.as_str())))
        }
        _ => Ok(()),
    }
}

impl Text {
    /// Checks a unit file and its drop-ins for a unit of this name.
    ///
    /// # Errors
    /// When systemd could not load it, when its options contradict each other, or when it is too large.
    pub fn check(
        name: &UnitName,
        text: String,
        drop_ins: std::collections::BTreeMap<String, String>,
    ) -> Result<Self, Senseless> {
        let files = UnitFiles::parse(&text, &drop_ins).map_err(|e| Senseless(e.to_string()))?;
        files.file().validate_for(name).map_err(|e| Senseless(e.to_string()))?;
        let requirements = Requirements::parse(&files.merged(), name).map_err(|e| Senseless(e.to_string()))?;
        requirements.validate_for(name).map_err(|e| Senseless(e.to_string()))?;
        if let Some(fence) = Fence::of(files.all()).map_err(|e| Senseless(e.to_string()))? {
            fence.check_name(name).map_err(|e| Senseless(e.to_string()))?;
            if drop_ins.contains_key(Fence::DROP_IN) {
                return Err(Senseless(FenceError::DropIn.to_string()));
            }
        }
        let record = ContentRecord { v: FORMAT, text, drop_ins, extra: Extra::new() };
        let size = record.encode().len();
        if size > ContentRecord::MAX_BYTES {
            return Err(Senseless(format!(
                "the unit takes {size} bytes to store, more than the {} that are accepted",
                ContentRecord::MAX_BYTES
            )));
        }
        Ok(Self {
            key: record.key(),
            record,
            bytes: size,
            hash: files.file().hash(),
            warnings: requirements.warnings().collect(),
            requirements,
        })
    }
}

impl Change {
    /// Checks what a client asked for.
    ///
    /// # Errors
    /// When the name, the text, or their combination makes no sense.
    pub fn check(change: UnitChange) -> Result<Self, Senseless> {
        let name = UnitName::parse(&change.name).map_err(|e| Senseless(e.to_string()))?;
        check_template(&name, change.desired_state)?;
        if change.text.is_none() && (change.replace || !change.drop_ins.is_empty()) {
            return Err(Senseless("drop-ins and replace make sense only beside a text".to_owned()));
        }
        let text = change.text.map(|text| Text::check(&name, text, change.drop_ins)).transpose()?;
        Ok(Self { name, text, desired: change.desired_state, replace: change.replace, restart: change.restart })
    }

    /// Decides what the change comes to, given the unit as it is.
    #[must_use]
    pub fn decide(&self, existing: Option<&Existing>, now: WallMillis, by: &str) -> Decision {
        match existing {
            None => self.create(now, by),
            Some(existing) => self.update(existing, now, by),
        }
    }

    fn create(&self, now: WallMillis, by: &str) -> Decision {
        let Some(text) = &self.text else {
            let message = Some("unit does not exist".to_owned());
            return Decision::Nothing { outcome: Outcome::Refused, message };
        };
        let record = UnitRecord {
            v: FORMAT,
            content: text.key.clone(),
            hash: text.hash,
            desired: self.desired.unwrap_or(DesiredState::Inactive),
            avoids: None,
            restarts: 0,
            changed: now,
            changed_by: by.to_owned(),
            extra: Extra::new(),
        };
        Decision::Write { record, text: true, outcome: Outcome::Created }
    }

    fn update(&self, existing: &Existing, now: WallMillis, by: &str) -> Decision {
        let old = &existing.unit.value;
        let same_text = match &self.text {
            None => true,
            Some(text) if text.key == old.content => true,
            Some(text) if text.hash != old.hash => false,
            // Comments don't count, drop-ins do.
            Some(text) => match &existing.content {
                Some(content) => content.drop_ins == text.record.drop_ins,
                None => return Decision::NeedsContent,
            },
        };
        let mut record = old.clone();
        let mut outcome = if same_text { Outcome::Unchanged } else { Outcome::Differs };
        let mut message = None;
        let mut write_text = false;
        if let Some(text) = self.text.as_ref().filter(|_| !same_text && self.replace) {
            record.content = text.key.clone();
            record.hash = text.hash;
            write_text = true;
            outcome = Outcome::Replaced;
        }
        if let Some(desired) = self.desired {
            record.desired = desired;
        }
        if self.restart {
            match (old.desired, record.desired) {
                (DesiredState::Launched, DesiredState::Launched) => record.restarts = old.restarts.saturating_add(1),
                // It is started anyway.
                (_, DesiredState::Launched) => {}
                _ => message = Some("it is not launched, so there is nothing to restart".to_owned()),
            }
        }
        if record == *old {
            return Decision::Nothing { outcome, message };
        }
        if outcome == Outcome::Unchanged {
            outcome = Outcome::Changed;
        }
        record.avoids = None;
        record.changed = now;
        by.clone_into(&mut record.changed_by);
        Decision::Write { record, text: write_text, outcome }
    }
}

#[cfg(test)]
mod tests;
