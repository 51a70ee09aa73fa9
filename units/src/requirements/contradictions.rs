//! Options that contradict each other, and values that make no sense where they are.

use crate::Glob;

use super::{OnFailure, Peer, RequirementError, Requirements};

impl Requirements {
    /// Refuses options that contradict each other.
    pub fn validate(&self) -> Result<(), RequirementError> {
        self.validate_peers()?;
        self.validate_specifiers()?;
        if let Some((one, two)) = self.metadata.contradiction() {
            return Err(RequirementError::MetadataConflict(one, two));
        }
        let machine_id = ("MachineID", self.machine_id.is_some());
        let peers = ("Peers", !self.machine_of.is_empty());
        let conflicts = ("Conflicts", !self.conflicts.is_empty());
        let replaces = ("Replaces", !self.replaces.is_empty());
        let global = ("Global", self.global);
        let prefer = ("PreferMetadata", !self.prefer.is_empty());
        let spread = ("SpreadBy", self.spread_by.is_some());
        let max = ("MaxPerMachine", self.max_per_machine.is_some());
        let group = ("SpreadGroup", self.spread_group.is_some());
        let moves = ("OnFailure=move", self.on_failure == OnFailure::Move);
        let contradictions = [
            (machine_id, peers),
            (machine_id, conflicts),
            (machine_id, global),
            (machine_id, replaces),
            (global, peers),
            (global, replaces),
            // It is on every machine that suits it; whom should it displace?
            (global, ("Preempt", self.preempt)),
            (conflicts, replaces),
            // It would have no other place to go to.
            (moves, machine_id),
            (moves, global),
            (moves, ("MachineOf", peers.1)),
            // There is nothing to choose from.
            (prefer, machine_id),
            (prefer, global),
            (spread, machine_id),
            (spread, global),
            (max, machine_id),
            (max, global),
            (group, global),
        ];
        match contradictions.iter().find(|((_, a), (_, b))| *a && *b) {
            Some(((a, _), (b, _))) => Err(RequirementError::Contradiction(a, b)),
            None => Ok(()),
        }
    }

    /// Refuses to have a unit beside one that it cannot be beside. What a pattern stands for is not known here.
    fn validate_peers(&self) -> Result<(), RequirementError> {
        for peer in self.machine_of.iter().filter_map(Peer::unit) {
            let matching = |globs: &[Glob]| {
                let glob = globs.iter().find(|glob| glob.matches(peer.as_str()))?;
                Some((peer.to_string(), glob.to_string()))
            };
            if let Some((peer, pattern)) = matching(&self.conflicts) {
                return Err(RequirementError::PeerConflicts { peer, pattern });
            }
            if let Some((peer, pattern)) = matching(&self.replaces) {
                return Err(RequirementError::PeerReplaced { peer, pattern });
            }
        }
        Ok(())
    }

    /// `%H` and `%m` were never replaced: here they would name no machine, no
    /// unit, and no group that there is.
    fn validate_specifiers(&self) -> Result<(), RequirementError> {
        let globs = |globs: &'static str, list: &[Glob]| -> Vec<(&'static str, String)> {
            list.iter().map(|glob| (globs, glob.to_string())).collect()
        };
        let mut values = globs("Conflicts", &self.conflicts);
        values.extend(globs("Replaces", &self.replaces));
        for (option, peers) in self.peer_options() {
            values.extend(peers.iter().map(|peer| (option, peer.to_string())));
        }
        let single =
            [("MachineID", &self.machine_id), ("SpreadBy", &self.spread_by), ("SpreadGroup", &self.spread_group)];
        values.extend(single.into_iter().filter_map(|(option, value)| Some((option, value.clone()?))));
        for (option, value) in values {
            if let Some(specifier) = ["%H", "%m"].into_iter().find(|specifier| value.contains(specifier)) {
                return Err(RequirementError::OfMachine { option, value, specifier });
            }
        }
        Ok(())
    }
}
