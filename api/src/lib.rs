//! What fleet's clients and fleetd say to each other.
//!
//! | module | holds |
//! |---|---|
//! | [`paths`] | where each resource lives |
//! | [`v1`] | the resources of CoreOS fleet's API v1 |
//! | [`v2`] | what fleet adds under `/fleet/v2/` |
//! | [`entity`] | the one form of every error answer |
//! | [`endpoint`] | where a fleetd listens |
//! | [`client`] | [`Client`], one method a call |
//! | [`error`] | [`ApiError`], what can go wrong with a call |
#![forbid(unsafe_code)]

pub mod client;
pub mod endpoint;
pub mod entity;
pub mod error;
pub mod paths;
pub mod v1;
pub mod v2;

mod percent;

pub use client::Client;
pub use endpoint::{DEFAULT_ENDPOINT, Endpoint, EndpointError};
pub use entity::ErrorEntity;
pub use error::ApiError;
