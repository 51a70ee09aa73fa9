//! What operators say of machines, of the brake, and of machines that will not come back.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::BrakeView;

/// `POST /fleet/v2/machines`: what operators say of machines from now on. A machine need not be present.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OperateRequest {
    /// The machines.
    pub machines: Vec<MachineChange>,
}

/// What is said of one machine; what is absent stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MachineChange {
    /// Its full id.
    pub id: String,
    /// Whether it is given nothing new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cordoned: Option<bool>,
    /// Whether it is given nothing new, and what it has moves away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draining: Option<bool>,
    /// Metadata that overrides its configuration's; `null` removes a key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, Option<String>>,
}

/// What became of an [`OperateRequest`], in the order of its machines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OperateAnswer {
    /// The store's revision at which all of it can be seen.
    pub revision: i64,
    /// One for each machine.
    pub machines: Vec<MachineChanged>,
}

/// What became of one machine's change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MachineChanged {
    /// The machine.
    pub id: String,
    /// Whether that was news.
    pub changed: bool,
}

/// `POST /fleet/v2/brake`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BrakeRequest {
    /// Machines that are absent are lost indeed: what they ran is to run elsewhere.
    pub release: bool,
}

/// What became of a [`BrakeRequest`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BrakeAnswer {
    /// The store's revision at which it can be seen.
    pub revision: i64,
    /// The brake as it was found; absent where it was not on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brake: Option<BrakeView>,
}

/// What became of `POST /fleet/v2/machines/ID/forget`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ForgetAnswer {
    /// The store's revision at which the machine's records are gone.
    pub revision: i64,
}
