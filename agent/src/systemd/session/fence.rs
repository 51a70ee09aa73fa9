//! The fence's calls within a session: those that queue a job are answered when the job has ended.

use super::{Done, Session};
use crate::effect::{FenceAct, FenceReport, Op, SystemdEffect, SystemdError, SystemdEvent};

impl Session<'_> {
    /// Whether an effect that is not answered yet is about the fence.
    pub(super) fn is_fence(&self, op: Op) -> bool {
        matches!(self.open.get(&op), Some(SystemdEffect::Fence { .. }))
    }

    /// Makes the calls of one act.
    pub(super) fn ask_for_fence(&self, op: Op, act: FenceAct) {
        let wakes = self.wakes;
        self.spawn(move |calls| async move {
            match act {
                FenceAct::Look => Done::Fence(op, calls.look_at_fence().await),
                FenceAct::Arm { number, deadline } => Done::Queued(op, calls.arm(number, deadline, wakes).await),
                FenceAct::Disarm { numbers } => Done::Fence(op, calls.disarm(numbers).await),
                FenceAct::Connect => match calls.connect().await {
                    Ok(Ok(path)) => Done::Queued(op, Ok(path)),
                    Ok(Err(report)) => Done::Fence(op, Ok(report)),
                    Err(error) => Done::Fence(op, Err(error)),
                },
                FenceAct::Release => match calls.disconnect().await {
                    Ok(Some(path)) => Done::Queued(op, Ok(path)),
                    Ok(None) => Done::Fence(op, calls.clear_fence().await),
                    Err(error) => Done::Fence(op, Err(error)),
                },
            }
        });
    }

    pub(super) fn fence_done(&mut self, op: Op, result: Result<FenceReport, SystemdError>) {
        self.open.remove(&op);
        self.send(SystemdEvent::Fence { op, result });
    }

    /// The job of an act has ended.
    pub(super) fn fence_job_ended(&mut self, op: Op, result: &str) {
        let Some(SystemdEffect::Fence { act, .. }) = self.open.get(&op) else { return };
        match act {
            FenceAct::Arm { number, deadline } if result != "done" && self.wakes => {
                // Containers and users' systemds may not wake the machine: then it sleeps on, and so do the units.
                self.wakes = false;
                let (number, deadline) = (*number, *deadline);
                self.spawn(move |calls| async move {
                    calls.forget_timer(number).await;
                    Done::Queued(op, calls.arm(number, deadline, false).await)
                });
            }
            FenceAct::Connect if result == "done" => self.spawn(move |calls| async move {
                let report = calls.run_of_target().await;
                Done::Fence(op, report.map(|connected| FenceReport { connected, ..FenceReport::default() }))
            }),
            FenceAct::Release if result == "done" => {
                self.spawn(move |calls| async move { Done::Fence(op, calls.clear_fence().await) });
            }
            _ if result == "done" => self.fence_done(op, Ok(FenceReport::default())),
            act => {
                let why = match act {
                    FenceAct::Arm { .. } => "a timer cannot be armed",
                    FenceAct::Connect => "fleet-connected.target cannot be started",
                    _ => "fleet-connected.target cannot be stopped",
                };
                let error = SystemdError::Refused(format!("{why}: its job ended with \"{result}\""));
                self.fence_done(op, Err(error));
            }
        }
    }
}
