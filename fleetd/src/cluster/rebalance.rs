//! Moves that even out the load, in the words of the API.

use fleet_api::v2::{LoadRange, MoveView, RebalanceAnswer};
use fleet_engine::placement::Evenness;

use super::Handle;

impl Handle {
    /// The fewest moves that even out the load, by the engine's own code. Takes time: see [`Handle::foresee`].
    #[must_use]
    pub fn rebalance(&self, max_moves: usize) -> RebalanceAnswer {
        let status = self.status();
        let found = self.foresee(|outlook| outlook.cluster()).rebalance(max_moves);
        let range = |found: Evenness| LoadRange { least: found.least, most: found.most };
        self.read(|picture| RebalanceAnswer {
            revision: picture.revision.max(status.revision),
            stale: !status.live(),
            moves: found
                .moves
                .iter()
                .map(|made| MoveView {
                    name: made.unit.to_string(),
                    with: made.with.iter().map(ToString::to_string).collect(),
                    group: made.group.clone(),
                    with_groups: made.with_groups.clone(),
                    from: picture.machine_ref(&made.from),
                    to: picture.machine_ref(&made.to),
                    reason: made.why.to_string(),
                })
                .collect(),
            before: range(found.before),
            after: range(found.after),
        })
    }
}
