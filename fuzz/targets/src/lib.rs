//! What must hold of every input to fleet, whatever anyone sends, writes into a file, or puts into the store.
//!
//! Each target takes bytes and panics where a promise breaks. `fuzz/` runs them under libFuzzer (`make fuzz`), which
//! looks for bytes that break one; what is worth keeping of those is in `fuzz/corpus`, and `make test` replays it.
#![forbid(unsafe_code)]

mod api;
mod arguments;
mod config;
mod etcd;
mod http;
mod records;
mod snapshots;
mod units;

/// Breaks a promise by panicking, or does not.
pub type Target = fn(&[u8]);

/// Every target by its name, which is that of its program in `fuzz/` and of its folder in `fuzz/corpus`.
pub const TARGETS: [(&str, Target); 16] = [
    ("unit_file", units::unit_file),
    ("requirements", units::requirements),
    ("names", units::names),
    ("globs", units::globs),
    ("metadata", units::metadata),
    ("config", config::config),
    ("page_tokens", api::page_tokens),
    ("api_v1", api::version_1),
    ("api_v2", api::version_2),
    ("records", records::records),
    ("keys", records::keys),
    ("etcd", etcd::requests),
    ("http", http::api),
    ("peers", http::peers),
    ("arguments", arguments::arguments),
    ("snapshots", snapshots::load_and_save),
];

/// Runs one target by its name.
///
/// # Panics
/// When there is none of that name, and where a promise breaks.
pub fn run(name: &str, data: &[u8]) {
    let (_, target) = TARGETS.iter().find(|(known, _)| *known == name).expect("a target of that name");
    target(data);
}

/// The text that these bytes are, if they are one.
fn text(data: &[u8]) -> Option<&str> {
    std::str::from_utf8(data).ok()
}

/// The parts of a text between lines that hold nothing but `%%`.
fn parts(data: &[u8]) -> Option<Vec<&str>> {
    Some(text(data)?.split("\n%%\n").collect())
}
