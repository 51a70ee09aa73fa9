//! The two ways to end: leave the cluster with all units stopped, or let go and leave them running.

use super::{Agent, Standing};
use crate::effect::Effect;
use crate::report::Report;

/// What the agent is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Its work.
    Running,
    /// Stopping everything, because a person stopped this fleetd for good or the machine shuts down.
    Leaving,
    /// Letting go: nothing is begun any more.
    Detaching,
    /// [`Effect::Left`] was said.
    Ended,
}

impl Agent {
    pub(super) fn leave(&mut self, out: &mut Vec<Effect>) {
        if self.mode != Mode::Running {
            return;
        }
        if !self.standing.registered() || !self.systemd {
            // Nothing can be given back: what runs is kept, and the lease runs out.
            out.push(Effect::Log(Report::LeavingAlone));
            self.mode = Mode::Detaching;
            return;
        }
        let units = self.units.values().filter(|u| u.is_own(self.cluster.as_ref())).count();
        out.push(Effect::Log(Report::Leaving { units }));
        self.mode = Mode::Leaving;
        // The engine takes the units off its schedule; each is given elsewhere once it is acknowledged to be gone.
        self.rewrite_presence(self.standing != Standing::Present, out);
        self.mark_all();
    }

    pub(super) fn end_if_done(&mut self, out: &mut Vec<Effect>) {
        let done = match self.mode {
            Mode::Running | Mode::Ended => false,
            // Acknowledgements and the deletions of states are waited for while there is someone to take them.
            Mode::Leaving => {
                !self.units.values().any(|u| u.is_own(self.cluster.as_ref()))
                    && self.remembering.is_none()
                    && !self.fence.is_busy()
                    && (!self.standing.registered() || self.publisher.idle())
            }
            // A note under way is about something that happened already.
            Mode::Detaching => self.remembering.is_none() && !self.units.values().any(|u| u.on_disk()),
        };
        if done {
            self.mode = Mode::Ended;
            self.cancel_watches(out);
            out.push(Effect::Left);
        }
    }
}
