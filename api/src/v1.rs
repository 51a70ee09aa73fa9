//! The resources of CoreOS fleet's API v1.
//!
//! Fields stand in alphabetical order and empty ones are left out, as fleet wrote them. A `null` reads as an absent
//! field.

mod machine;
mod page_token;
mod state;
mod unit;

pub use machine::{Machine, MachinePage};
pub use page_token::{PageToken, PageTokenError};
pub use state::{UnitState, UnitStatePage};
pub use unit::{Unit, UnitOption, UnitPage};

use serde::{Deserialize, Deserializer};

/// Reads `null` as the empty value.
fn or_empty<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
