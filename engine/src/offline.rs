//! A cluster that is only a file: what there is in it, and what it would do.

use std::collections::BTreeMap;

use fleet_registry::View;
use fleet_units::{DesiredState, MachineId, Requirements, UnitFiles, UnitHash, UnitName};

use crate::leader::{Outlook, Wanted};
use crate::placement::{Forecast, Supposition};
use crate::snapshot::Snapshot;

/// A cluster in a file.
#[derive(Debug)]
pub struct Offline {
    view: View,
    outlook: Outlook,
}

/// A unit of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfflineUnit {
    /// Its name.
    pub name: UnitName,
    /// Which unit of that name.
    pub uid: i64,
    /// CoreOS fleet's hash of its text.
    pub hash: UnitHash,
    /// What people want of it.
    pub desired: DesiredState,
    /// Whether it runs on every machine that fits.
    pub is_global: bool,
}

/// A machine of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfflineMachine {
    /// Its id.
    pub id: MachineId,
    /// Where people reach it; empty where that is not known.
    pub address: String,
    /// Its name, for people; empty where that is not known.
    pub hostname: String,
    /// Whether it was there.
    pub is_present: bool,
}

impl Offline {
    /// The cluster in a file.
    #[must_use]
    pub fn open(snapshot: &Snapshot) -> Self {
        let view = snapshot.view();
        let outlook = Outlook::load(&view);
        Self { view, outlook }
    }

    /// Its units, by name.
    #[must_use]
    pub fn units(&self) -> Vec<OfflineUnit> {
        let units = self.view.units.iter().map(|(name, record)| OfflineUnit {
            name: name.clone(),
            uid: record.create_revision,
            hash: record.value.hash,
            desired: record.value.desired,
            is_global: self.requirements(name).is_some_and(|wanted| wanted.global),
        });
        units.collect()
    }

    /// Its machines, by id.
    #[must_use]
    pub fn machines(&self) -> Vec<OfflineMachine> {
        let present = self.view.machines.iter().map(|(id, machine)| OfflineMachine {
            id: id.clone(),
            address: machine.value.address.clone().unwrap_or_default(),
            hostname: machine.value.hostname.clone(),
            is_present: true,
        });
        let absent = self.view.schedules.keys().filter(|id| !self.view.machines.contains_key(*id));
        let absent = absent.map(|id| OfflineMachine {
            id: id.clone(),
            address: String::new(),
            hostname: String::new(),
            is_present: false,
        });
        let mut machines: Vec<OfflineMachine> = present.chain(absent).collect();
        machines.sort_by(|a, b| a.id.cmp(&b.id));
        machines
    }

    /// Where people reach a machine; empty where that is not known.
    #[must_use]
    pub fn address(&self, id: &MachineId) -> String {
        self.view.machines.get(id).and_then(|machine| machine.value.address.clone()).unwrap_or_default()
    }

    /// A unit's text and its drop-ins, where they are there.
    #[must_use]
    pub fn text(&self, name: &UnitName) -> Option<(String, BTreeMap<String, String>)> {
        let content = &self.view.units.get(name)?.value.content;
        let text = self.view.contents.get(content)?.value.as_deref()?;
        Some((text.text.clone(), text.drop_ins.clone()))
    }

    fn requirements(&self, name: &UnitName) -> Option<Requirements> {
        let (text, drop_ins) = self.text(name)?;
        Requirements::parse(&UnitFiles::parse(&text, &drop_ins).ok()?.merged(), name).ok()
    }

    /// The facts of a unit as a person would have it.
    ///
    /// # Errors
    /// When there is no such unit and no text of it, or when its text cannot be used.
    pub fn suppose(&self, wanted: &Wanted) -> Result<Supposition, String> {
        self.outlook.suppose(&self.view, wanted)
    }

    /// What would come of a change.
    #[must_use]
    pub fn what_if(&self, change: &[Supposition]) -> Forecast {
        self.outlook.cluster().what_if(change)
    }
}
