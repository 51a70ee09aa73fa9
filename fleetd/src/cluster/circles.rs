//! Whether units that are submitted would close a circle with those that there are.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use fleet_engine::placement::refuse_circles;
use fleet_units::{Requirements, UnitName};

use super::{Change, Picture, Senseless};

impl Change {
    /// Whether it can close a circle.
    #[must_use]
    pub fn names_others(&self) -> bool {
        self.text.as_ref().is_some_and(|text| {
            let wanted = &text.requirements;
            !wanted.after.is_empty() || !wanted.requires.is_empty() || !wanted.machine_of.is_empty()
        })
    }
}

impl Picture {
    /// For each of these changes, why it must not be made beside the others and what there is: it would close a circle.
    #[must_use]
    pub fn refuse_circles(&self, changes: &[&Change]) -> Vec<Option<Senseless>> {
        let texts = changes.iter().filter_map(|change| Some((&change.name, &change.text.as_ref()?.requirements)));
        let texts: BTreeMap<&UnitName, &Requirements> = texts.collect();
        let units = |prefix: &str| -> Vec<UnitName> {
            let begins = |name: &&UnitName| name.as_str().starts_with(prefix);
            let known = self.view.units.range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
            let known = known.map(|(name, _)| name).take_while(begins);
            let mut found: Vec<UnitName> = known.chain(texts.keys().copied().filter(begins)).cloned().collect();
            found.sort();
            found.dedup();
            found
        };
        // Each is asked for by every change that leads to it.
        let read: RefCell<BTreeMap<UnitName, Option<Arc<Requirements>>>> = RefCell::default();
        let requirements = |name: &UnitName| {
            if let Some(known) = read.borrow().get(name) {
                return known.clone();
            }
            let submitted = texts.get(name).map(|wanted| (*wanted).clone());
            let found = submitted.or_else(|| self.requirements(name)).map(Arc::new);
            read.borrow_mut().insert(name.clone(), found.clone());
            found
        };
        let judge = |change: &&Change| {
            let names_others = change.names_others();
            let refused = names_others.then(|| refuse_circles(&change.name, units, requirements).err()).flatten()?;
            Some(Senseless(refused.to_string()))
        };
        changes.iter().map(judge).collect()
    }
}
