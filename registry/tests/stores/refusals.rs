//! What the embedded registry refuses to open or to listen on, and what it says.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use fleet_registry::embedded::{Embedded, EmbeddedConfig, EmbeddedError, Listen};

use crate::durability::Served;

fn open_error(dir: &Path) -> EmbeddedError {
    Embedded::open(dir, EmbeddedConfig::default()).expect_err("it must not open")
}

/// A closed registry with something in it, and its file.
async fn filled(dir: &Path) -> PathBuf {
    let served = Served::open(dir, EmbeddedConfig::default()).await;
    for n in 0..200 {
        served.subject.put(&format!("key/{n:03}"), &"some value that can be found in the file ".repeat(10)).await;
    }
    served.close().await;
    dir.join("registry.redb")
}

#[tokio::test]
async fn a_second_process_is_told_who_has_it() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let served = Served::open(dir.path(), EmbeddedConfig::default()).await;
    let text = open_error(dir.path()).to_string();
    assert!(text.contains(&format!("process {}", std::process::id())), "{text}");
    assert!(text.contains(&dir.path().display().to_string()), "{text}");
    served.close().await;
    let again = Served::open(dir.path(), EmbeddedConfig::default()).await;
    again.close().await;
}

#[tokio::test]
async fn a_lost_file_is_not_an_empty_registry() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = filled(dir.path()).await;
    fs::remove_file(&file).expect("the file is there");
    let text = open_error(dir.path()).to_string();
    assert!(text.contains(&file.display().to_string()) && text.contains("cluster-id"), "{text}");
    assert!(!file.exists(), "nothing was made");
}

#[tokio::test]
async fn an_emptied_or_cut_file_is_refused() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = filled(dir.path()).await;
    let whole = fs::read(&file).expect("the file");
    for length in [0, 1, 100, 4096, whole.len() / 2, whole.len() - 4096] {
        fs::write(&file, &whole[..length]).expect("a shorter file");
        let error = open_error(dir.path());
        assert!(matches!(error, EmbeddedError::Damaged { .. }), "cut at {length}: {error}");
        assert!(error.to_string().contains(&file.display().to_string()), "{error}");
        assert_eq!(fs::read(&file).expect("the file").len(), length, "it is left as it was found");
    }
    fs::write(&file, &whole).expect("the whole file");
    Served::open(dir.path(), EmbeddedConfig::default()).await.close().await;
}

#[tokio::test]
async fn a_changed_value_is_refused() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = filled(dir.path()).await;
    let mut bytes = fs::read(&file).expect("the file");
    let needle = b"can be found in the file";
    let at = bytes.windows(needle.len()).position(|window| window == needle).expect("a value in the file");
    bytes[at] = b'C';
    fs::write(&file, &bytes).expect("a changed file");
    // The change may lie in a page that is free: then nothing is lost, and nothing is refused.
    match Embedded::open(dir.path(), EmbeddedConfig::default()) {
        Err(error) => assert!(matches!(error, EmbeddedError::Damaged { .. }), "{error}"),
        Ok(registry) => {
            registry.close().await;
            let count = bytes.windows(needle.len()).filter(|window| window == needle).count();
            assert!(count >= 200 * 10, "every live value is whole");
        }
    }
    // Every copy changed: one of them is live.
    for at in 0..bytes.len() - needle.len() {
        if bytes[at..].starts_with(needle) {
            bytes[at] = b'C';
        }
    }
    fs::write(&file, &bytes).expect("a changed file");
    let error = open_error(dir.path());
    let EmbeddedError::Damaged { at: Some(at), .. } = &error else { panic!("{error}") };
    let row = &bytes[usize::try_from(*at).expect("a place in the file")..][..400];
    assert!(row.windows(needle.len()).any(|window| window == b"Can be found in the file"), "{error} names its place");
    let text = error.to_string();
    assert!(text.contains(&format!("registry.redb is damaged at byte {at} (row 0 of revision ")), "{text}");
    assert!(text.contains("its checksum is wrong") && text.contains("fleetd registry restore --replace"), "{text}");
}

/// A page of zeroes, as a drive that forgot it gives back.
#[tokio::test]
async fn a_lost_page_is_refused_with_its_place() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = filled(dir.path()).await;
    let whole = fs::read(&file).expect("the file");
    let mut refused = 0;
    for page in (4096..whole.len()).step_by(16 * 4096) {
        let mut bytes = whole.clone();
        bytes[page..page + 4096].fill(0);
        fs::write(&file, &bytes).expect("a changed file");
        match Embedded::open(dir.path(), EmbeddedConfig::default()) {
            // The page was free, or lies behind all that is kept.
            Ok(registry) => registry.close().await,
            Err(error) => {
                refused += 1;
                assert!(error.to_string().contains(&format!("{} is damaged at byte ", file.display())), "{error}");
            }
        }
    }
    assert!(refused > 0, "some page is not free");
}

#[tokio::test]
async fn a_file_that_is_none_is_refused() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("registry.redb");
    fs::write(&file, "not a registry, but long enough to look like something ".repeat(1000)).expect("a file");
    let error = open_error(dir.path());
    assert!(matches!(error, EmbeddedError::Damaged { .. }), "{error}");
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_named() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("file");
    fs::write(&path, "").expect("a file");
    let text = open_error(&path.join("registry")).to_string();
    assert!(text.contains(&path.display().to_string()), "{text}");
}

#[tokio::test]
async fn a_taken_port_names_its_holder() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let served = Served::open(dir.path(), EmbeddedConfig::default()).await;
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its number");
    let error = served.registry.serve(&Listen::Tcp(address)).await.expect_err("it is taken").to_string();
    assert!(error.contains(&address.to_string()), "{error}");
    assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
    served.close().await;
}

#[test]
fn bad_addresses_are_explained() {
    for text in ["", "127.0.0.1", "unix://relative", "http://", "no such host:1"] {
        let error = text.parse::<Listen>().expect_err(text).to_string();
        assert!(error.contains(&format!("{text:?}")) && error.contains("HOST:PORT"), "{error}");
    }
}
