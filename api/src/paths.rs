//! Where each resource lives. The server routes by these, the client asks for these.

use crate::percent;

/// Prefix of API v1.
pub const V1: &str = "/fleet/v1";
/// What API v1 was called before it was stable; both prefixes mean the same.
pub const V1_ALPHA: &str = "/v1-alpha";
/// Prefix of what fleet adds.
pub const V2: &str = "/fleet/v2";

/// Units of API v1; one unit is `V1_UNITS/NAME`.
pub const V1_UNITS: &str = "/fleet/v1/units";
/// Unit states of API v1.
pub const V1_STATE: &str = "/fleet/v1/state";
/// Machines of API v1.
pub const V1_MACHINES: &str = "/fleet/v1/machines";

/// Units of API v2: POST changes many, GET lists or watches.
pub const V2_UNITS: &str = "/fleet/v2/units";
/// POST destroys units.
pub const V2_DESTROY: &str = "/fleet/v2/destroy";
/// Machines of API v2: GET lists, POST takes what operators say of them.
pub const V2_MACHINES: &str = "/fleet/v2/machines";
/// The cluster as a whole.
pub const V2_CLUSTER: &str = "/fleet/v2/cluster";
/// POST releases the brake.
pub const V2_BRAKE: &str = "/fleet/v2/brake";

/// POST says what would come of a change.
pub const V2_PLAN: &str = "/fleet/v2/plan";
/// POST makes a change that was planned.
pub const V2_START_PLANNED: &str = "/fleet/v2/plan/start";
/// POST says which moves would even out the load.
pub const V2_REBALANCE: &str = "/fleet/v2/rebalance";
/// POST asks units to leave machines.
pub const V2_LEAVE: &str = "/fleet/v2/leave";
/// The records that decisions hang on.
pub const V2_SNAPSHOT: &str = "/fleet/v2/snapshot";

/// Which cluster the machine is a member of: GET shows, POST accepts the one whose registry it found.
pub const V2_JOIN: &str = "/fleet/v2/join";
/// GET sends the registry as a snapshot.
pub const V2_REGISTRY_SNAPSHOT: &str = "/fleet/v2/registry/snapshot";
/// PUT takes a part of a snapshot.
pub const V2_REGISTRY_UPLOAD: &str = "/fleet/v2/registry/upload";
/// POST looks at the snapshot that was uploaded, or puts it in the registry's place.
pub const V2_REGISTRY_RESTORE: &str = "/fleet/v2/registry/restore";
/// POST makes a token with which a machine joins the registry.
pub const V2_REGISTRY_TOKENS: &str = "/fleet/v2/registry/tokens";
/// POST stops an orphan.
pub const V2_STOP_ORPHAN: &str = "/fleet/v2/orphans/stop";

/// One unit of API v1.
pub fn v1_unit(name: &str) -> String {
    format!("{V1_UNITS}/{}", percent::encode(name))
}

/// The text of a unit, as submitted.
pub fn v2_text(name: &str) -> String {
    format!("{V2_UNITS}/{}/text", percent::encode(name))
}

/// What `systemctl status` says of a unit on its machine.
pub fn v2_status(name: &str) -> String {
    format!("{V2_UNITS}/{}/status", percent::encode(name))
}

/// Why a unit is where it is, or nowhere.
pub fn v2_explain(name: &str) -> String {
    format!("{V2_UNITS}/{}/explain", percent::encode(name))
}

/// The journal of a unit on its machine.
pub fn v2_journal(name: &str) -> String {
    format!("{V2_UNITS}/{}/journal", percent::encode(name))
}

/// POST deletes what is left of a machine.
pub fn v2_forget(id: &str) -> String {
    format!("{V2_MACHINES}/{}/forget", percent::encode(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_encoded() {
        assert_eq!(v1_unit("a@1.service"), "/fleet/v1/units/a@1.service");
        assert_eq!(v2_text(r"a\x2d.mount"), "/fleet/v2/units/a%5Cx2d.mount/text");
        assert_eq!(v2_status("a/b"), "/fleet/v2/units/a%2Fb/status");
        assert_eq!(v2_explain("a@1.service"), "/fleet/v2/units/a@1.service/explain");
        assert_eq!(v2_forget("a/b"), "/fleet/v2/machines/a%2Fb/forget");
    }
}
