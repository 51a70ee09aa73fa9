//! What fleet adds under `/fleet/v2/`: many units in one request, one stream of changes, journal and status without ssh.
//!
//! | call | request | answer |
//! |---|---|---|
//! | `POST /fleet/v2/units` | [`UnitsRequest`] | [`UnitsAnswer`] |
//! | `POST /fleet/v2/destroy` | [`DestroyRequest`] | [`DestroyAnswer`] |
//! | `GET /fleet/v2/units?name=A&name=B` | – | [`UnitList`] |
//! | `GET /fleet/v2/units?name=A&watch=true` | – | one [`WatchLine`] a line, blank lines as keep-alives |
//! | `GET /fleet/v2/units/NAME/text` | – | [`UnitText`] |
//! | `GET /fleet/v2/units/NAME/status?machine=ID` | – | [`UnitStatus`] |
//! | `GET /fleet/v2/units/NAME/explain` | – | [`Explanation`] |
//! | `GET /fleet/v2/units/NAME/journal?lines=N&follow=true&output=MODE&machine=ID` | – | text, chunk by chunk |
//! | `GET /fleet/v2/machines` | – | [`MachineList`] |
//! | `POST /fleet/v2/machines` | [`OperateRequest`] | [`OperateAnswer`] |
//! | `POST /fleet/v2/machines/ID/forget` | – | [`ForgetAnswer`]; 409 while the machine is present |
//! | `GET /fleet/v2/cluster` | – | [`ClusterStatus`] |
//! | `POST /fleet/v2/brake` | [`BrakeRequest`] | [`BrakeAnswer`] |
//! | `POST /fleet/v2/plan` | [`PlanRequest`] | [`PlanAnswer`]; nothing is changed |
//! | `POST /fleet/v2/plan/start` | [`PlannedRequest`] | [`UnitsAnswer`]; 409 where it comes to something else by now |
//! | `POST /fleet/v2/rebalance` | [`RebalanceRequest`] | [`RebalanceAnswer`]; nothing is changed |
//! | `POST /fleet/v2/leave` | [`LeaveRequest`] | [`LeaveAnswer`] |
//! | `GET /fleet/v2/snapshot` | – | the records that decisions hang on, for `fleetctl plan --snapshot` |
//! | `GET /fleet/v2/join` | – | [`Membership`] |
//! | `POST /fleet/v2/join` | [`JoinRequest`] | [`Membership`]; 409 where that is not the registry that is there |
//! | `GET /fleet/v2/registry/snapshot` | – | the registry as `etcdctl snapshot save` would save it |
//! | `PUT /fleet/v2/registry/upload?offset=N` | a part of a snapshot | [`UploadAnswer`] |
//! | `POST /fleet/v2/registry/restore` | [`RestoreRequest`] | [`RestoreAnswer`]; 409 where that was not uploaded, or cannot be |
//! | `POST /fleet/v2/registry/tokens` | [`TokenRequest`] | [`TokenAnswer`]; 409 where the registry is not, or takes none |
//! | `POST /fleet/v2/orphans/stop` | [`OrphanRequest`] | `{}` |
//!
//! Any of them may be answered by 503 or 429 with `Retry-After`: then it may be asked again.

mod archive;
mod change;
mod cluster;
mod explain;
mod machine;
mod membership;
mod operate;
mod plan;
mod rebalance;
mod token;
mod view;
mod watch;

pub use archive::{RegistryContent, RestoreAnswer, RestoreEffect, RestoreEffectKind, RestoreRequest, UploadAnswer};
pub use change::{
    DestroyAnswer, DestroyOutcome, DestroyRequest, Destroyed, Outcome, UnitChange, UnitOutcome, UnitsAnswer,
    UnitsRequest,
};
pub use cluster::{
    BrakeView, ClusterStatus, LeaderView, LostMachine, Orphan, RegistryView, Stopping, UnitTrouble, UnreadableRecord,
};
pub use explain::{AbleMachine, DecisionKind, Explanation, PlacedAnew, RejectionView, RemedyView};
pub use machine::{MachineList, MachineRef, MachineView, Resources};
pub use membership::{ForeignRegistry, JoinRequest, Membership, OrphanRequest};
pub use operate::{
    BrakeAnswer, BrakeRequest, ForgetAnswer, MachineChange, MachineChanged, OperateAnswer, OperateRequest,
};
pub use plan::{FateKind, PlanAnswer, PlanRequest, PlannedRequest, RefusedUnit, SupposedMachine, UnitFate};
pub use rebalance::{
    LeaveAnswer, LeaveOutcome, LeaveRequest, LeaveUnit, LoadRange, MoveView, RebalanceAnswer, RebalanceRequest,
};
pub use token::{TokenAnswer, TokenRequest};
pub use view::{NoteKind, NoteView, Reached, StateView, UnitList, UnitStatus, UnitText, UnitView};
pub use watch::WatchLine;

/// The media type of a watch.
pub const NDJSON: &str = "application/x-ndjson";

/// For `skip_serializing_if`.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}

/// For `skip_serializing_if`.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(value: &u32) -> bool {
    *value == 0
}
