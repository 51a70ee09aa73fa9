//! What a unit is: names, unit files, and fleet's `[X-Fleet]` options.
//!
//! This crate is pure. It does no I/O, reads no clock, and keeps no global
//! state: text goes in, typed values or errors that name a line come out.
//! Everything else in fleet builds on it.
//!
//! | module | holds |
//! |---|---|
//! | `name` | [`UnitName`], its parts, and fleet's rules for valid names |
//! | `file` | [`UnitFile`], the parser, canonical text |
//! | `drop_ins` | [`UnitFiles`], a unit file with its drop-ins |
//! | `hash` | [`UnitHash`], fleet's SHA-1 of the canonical text |
//! | `requirements` | [`Requirements`], the typed `[X-Fleet]` section |
//! | `fence` | [`Fence`], `OnDisconnect=stop`: the bound on stopping, and what would void it |
//! | `metadata` | [`MetadataConstraints`], `MachineMetadata=` and `PreferMetadata=` |
//! | `glob` | [`Glob`], the patterns of unit names |
//! | `specifier` | `%n`, `%N`, `%p`, `%i`, `%j`, `%H`, `%m`, and `%%` |
//! | `size` | amounts of memory and of processor time: `512M`, `50%` |
//! | `timespan` | spans of time, as systemd writes them |
//! | `state` | [`DesiredState`] |
//! | `machine_id` | [`MachineId`] |
#![forbid(unsafe_code)]

mod drop_ins;
mod fence;
mod file;
mod glob;
mod hash;
mod machine_id;
mod metadata;
mod name;
mod requirements;
mod size;
mod specifier;
mod state;
mod timespan;

pub use drop_ins::{UnitFiles, UnitFilesError, is_drop_in_name};
pub use fence::{Fence, FenceError, OnDisconnect};
pub use file::{MAX_LINE_BYTES, ParseError, ParseErrorKind, UnitFile, UnitOption};
pub use glob::Glob;
pub use hash::{HashError, UnitHash};
pub use machine_id::{MachineId, MachineIdError};
pub use metadata::{
    Comparison, MachineTraits, MetadataConstraints, MetadataError, MetadataPredicate, MetadataProblem, MetadataTest,
    MetadataValues,
};
pub use name::{NameError, UnitName};
pub use requirements::{OnFailure, Peer, RequirementError, Requirements};
pub use size::{format_bytes, format_cpu, parse_bytes, parse_cpu};
pub use specifier::expand_specifiers;
pub use state::{DesiredState, DesiredStateError};
