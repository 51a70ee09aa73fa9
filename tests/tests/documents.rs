//! Documents that no longer hold are bugs: what SPECIFICATION.md and ARCHITECTURE.md claim about the code is looked up in it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace is above").to_owned()
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("cannot read {}: {e}", path.display()))
}

/// All sources of the workspace in one.
fn sources() -> String {
    fn collect(dir: &Path, all: &mut String) {
        let entries = fs::read_dir(dir).unwrap_or_else(|e| panic!("cannot read {}: {e}", dir.display()));
        for entry in entries.map(|entry| entry.expect("a folder can be read")) {
            let path = entry.path();
            if path.is_dir() {
                collect(&path, all);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                all.push_str(&fs::read_to_string(&path).expect("a source can be read"));
            }
        }
    }
    let mut all = String::new();
    for member in members() {
        for folder in ["src", "tests"] {
            let dir = root().join(&member).join(folder);
            if dir.is_dir() {
                collect(&dir, &mut all);
            }
        }
    }
    all
}

fn members() -> Vec<String> {
    let manifest = read("Cargo.toml");
    let line = manifest.lines().find(|line| line.starts_with("members")).expect("a workspace has members");
    line.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// What stands between backticks in the last column of a document's tables.
fn enforcers(document: &str) -> Vec<String> {
    let rows = document.lines().filter_map(|line| line.strip_prefix('|')?.strip_suffix('|'));
    let cells = rows.filter_map(|row| row.rsplit('|').next());
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
}

/// Holds a document to what it names: tests that are there, and files that exist. Says how many it names.
fn held(document: &str, sources: &str) -> usize {
    let words = enforcers(&read(document)).into_iter().filter(|word| {
        let is_test = word.matches('_').count() >= 2 && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        let is_file = !is_test && word.contains('/') && !word.contains(['<', ' ']);
        if is_test {
            assert!(sources.contains(&format!("fn {word}(")), "{document} names `{word}`, which is no test");
        } else if is_file {
            assert!(root().join(word).exists(), "{document} names `{word}`, which is not there");
        }
        is_test || is_file
    });
    words.count()
}

/// A reader would believe in a promise that nothing enforces any more.
#[test]
fn every_test_and_file_that_the_promises_name_is_there() {
    let sources = sources();
    for document in ["SPECIFICATION.md", "docs/guarantees.md", "docs/compatibility.md"] {
        let named = held(document, &sources);
        assert!(named > 20, "{document} names only {named} tests and files: is it read rightly?");
    }
}

/// An operator would trust a sentence that was never tried: each guarantee names a test.
#[test]
fn every_guarantee_names_its_test() {
    let document = read("docs/guarantees.md");
    let rows = document.lines().filter(|line| line.starts_with("| **"));
    let mut guarantees = 0;
    for row in rows {
        guarantees += 1;
        let test = row.trim_end_matches('|').rsplit('|').next().unwrap_or_default();
        assert!(test.contains('`'), "no test is named in: {row}");
    }
    assert!(guarantees > 20, "docs/guarantees.md has only {guarantees} guarantees: is it read rightly?");
}

/// Who comes from CoreOS fleet would trust a row that was never tried: each says what it is, and names a test.
#[test]
fn every_row_of_the_compatibility_tables_names_its_test() {
    let document = read("docs/compatibility.md");
    let is_rule = |row: &&str| row.trim_matches(['|', '-']).is_empty() || row.ends_with("| test |");
    let mut rows = 0;
    for row in document.lines().filter(|line| line.starts_with('|') && !is_rule(line)) {
        rows += 1;
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [_, verdict, _, test] = cells.as_slice() else { panic!("a row needs four cells: {row}") };
        assert!(["same", "mended", "gone"].contains(verdict), "{verdict:?} is no verdict: {row}");
        assert!(test.contains('`'), "no test is named in: {row}");
    }
    assert!(rows > 15, "docs/compatibility.md has only {rows} rows: is it read rightly?");
}

/// The next engineer would trust a boundary that is gone: crates depend downward only.
#[test]
fn crates_depend_on_what_the_architecture_allows() {
    let allowed: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("units", [].as_slice()),
        ("registry", &["units"]),
        ("engine", &["units", "registry"]),
        ("agent", &["units", "registry"]),
        ("api", &["units"]),
        ("fleetd", &["units", "registry", "engine", "agent", "api"]),
        ("fleetctl", &["units", "api", "engine"]),
        ("tests", &["units", "registry", "engine", "agent", "api"]),
        ("fuzz/targets", &["units", "registry", "agent", "api"]),
    ]);
    for member in members() {
        let manifest = read(format!("{member}/Cargo.toml"));
        let uses = manifest.lines().filter_map(|line| line.strip_prefix("fleet-")?.split(['.', ' ']).next());
        for used in uses {
            let may = allowed.get(member.as_str()).unwrap_or_else(|| panic!("{member} is not in ARCHITECTURE.md"));
            assert!(may.contains(&used), "{member} depends on {used}, which ARCHITECTURE.md does not allow");
        }
    }
}

/// Every file says what it is for, and none holds more than one can keep in mind.
#[test]
fn files_are_small_and_open_with_what_they_are_for() {
    fn check(dir: &Path) {
        for entry in fs::read_dir(dir).expect("a folder can be read").map(|entry| entry.expect("it has entries")) {
            let path = entry.path();
            if path.is_dir() {
                check(&path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a source can be read");
                // A module's tests, in a file beside it, are for what it is for.
                let opens = text.starts_with("//!") || path.ends_with("tests.rs");
                assert!(opens, "{} does not open with what it is for", path.display());
                assert!(text.lines().count() <= 1000, "{} is too long", path.display());
            }
        }
    }
    for member in members() {
        check(&root().join(member).join("src"));
    }
}
