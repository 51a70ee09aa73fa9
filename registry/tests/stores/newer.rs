//! An etcd 3.5, as far as it can be had: what holds with the etcd that is installed holds with it.

use std::io::Write;
use std::path::Path;
use std::process::Command;

/// The tests that a real etcd takes part in, save the random steps (`side_by_side`): those are told as 3.4 tells them, and
/// 3.5 reckons hashes otherwise and reports a watch's progress at other times.
const WITH_ETCD: [&str; 7] = [
    "conformance::etcd::",
    "failover::passwords_and_tokens",
    "failover::an_idle_watch",
    "failover::certificates",
    "snapshots::",
    "etcdctl::",
    "quota::",
];
/// There are more of them than this.
const MANY: usize = 55;

/// Runs this program's own tests again with the programs of `scripts/etcd-3.5` in the place of those that are installed.
#[test]
fn etcd_3_5_answers_alike() {
    let target = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../target"));
    let programs = target.join("etcd-3.5/usr/bin");
    if !programs.join("etcd").is_file() {
        let why = std::fs::read_to_string(target.join("etcd-3.5.absent"))
            .unwrap_or_else(|_| panic!("there is no etcd in {}: run scripts/setup", programs.display()));
        // Standard error itself: what is printed would be seen only if the test failed.
        writeln!(std::io::stderr(), "NOT TESTED with etcd 3.5: {}", why.trim()).expect("standard error");
        return;
    }
    let path = std::env::var_os("PATH").expect("a PATH");
    let path = std::env::join_paths([programs].into_iter().chain(std::env::split_paths(&path))).expect("a PATH");
    let tests = Command::new(std::env::current_exe().expect("this program"))
        .args(WITH_ETCD)
        // They wait more than they work.
        .arg("--test-threads=4")
        .env("PATH", path)
        .output()
        .expect("the tests");
    let said = String::from_utf8_lossy(&tests.stdout);
    assert!(tests.status.success(), "{said}\n{}", String::from_utf8_lossy(&tests.stderr));
    let passed = said.lines().filter(|line| line.ends_with("... ok")).count();
    assert!(passed > MANY, "{said}");
}
