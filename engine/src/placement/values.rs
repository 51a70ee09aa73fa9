//! The values of the machines' metadata, by number, and the machines that have each.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::facts::MachineFacts;
use super::slots::{KeyIx, MachineIx, Slots, ValueIx};

/// What a machine's metadata says, by number.
pub(super) type MachineValues = Vec<(KeyIx, ValueIx)>;

/// All keys. There are few: one that was ever used stays.
#[derive(Debug, Clone, Default)]
pub(super) struct Values {
    keys: Slots<KeyIx, Key>,
}

#[derive(Debug, Clone)]
struct Key {
    text: Arc<str>,
    values: Slots<ValueIx, Value>,
}

#[derive(Debug, Clone)]
struct Value {
    text: Arc<str>,
    machines: BTreeSet<MachineIx>,
}

impl Values {
    /// The number of a key, made if need be.
    pub(super) fn number(&mut self, key: &str) -> KeyIx {
        self.keys.find_or_insert(key, || Key { text: key.into(), values: Slots::default() })
    }

    /// A machine has this metadata from now on.
    pub(super) fn add(&mut self, machine: MachineIx, facts: &MachineFacts) -> MachineValues {
        let mut held = MachineValues::with_capacity(facts.metadata.len());
        for (key, value) in &facts.metadata {
            let number = self.number(key);
            let values = &mut self.keys[number].values;
            let text = || Value { text: value.as_str().into(), machines: BTreeSet::new() };
            let one = values.find_or_insert(value, text);
            values[one].machines.insert(machine);
            held.push((number, one));
        }
        held
    }

    /// It has no longer what it had.
    pub(super) fn remove(&mut self, machine: MachineIx, held: &MachineValues) {
        for &(key, value) in held {
            let values = &mut self.keys[key].values;
            let entry = &mut values[value];
            entry.machines.remove(&machine);
            if entry.machines.is_empty() {
                let text = entry.text.clone();
                values.remove(&text);
            }
        }
    }

    /// A key, as it is written.
    pub(super) fn key(&self, key: KeyIx) -> &Arc<str> {
        &self.keys[key].text
    }

    /// A value that some machine has, as it is written.
    pub(super) fn value(&self, key: KeyIx, value: ValueIx) -> &Arc<str> {
        &self.keys[key].values[value].text
    }

    /// How many values of a key there are.
    pub(super) fn len(&self, key: KeyIx) -> usize {
        self.keys[key].values.len()
    }

    /// The machines that have a value.
    pub(super) fn machines(&self, key: &str, value: &str) -> Option<&BTreeSet<MachineIx>> {
        let values = &self.keys[self.keys.find(key)?].values;
        Some(&values[values.find(value)?].machines)
    }
}
