//! An embedded registry in a process of its own, which can be killed or frozen.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use fleet_registry::embedded::{Embedded, EmbeddedConfig, Listen};
use fleet_registry::store::{RangeRequest, Request, Store};

use crate::harness::{connect, until};

const DIR: &str = "FLEET_TEST_REGISTRY_DIR";
const ADDRESS: &str = "FLEET_TEST_REGISTRY_ADDRESS";

/// The other tests start this very test in a process of its own, with a directory and an address; alone it shows that
/// a registry serves until it is closed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serves_until_closed() {
    let given = std::env::var(DIR).ok().zip(std::env::var(ADDRESS).ok());
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (path, address) = match &given {
        Some((path, address)) => (Path::new(path), address.as_str()),
        None => (dir.path(), "127.0.0.1:0"),
    };
    let registry = Embedded::open(path, EmbeddedConfig::default()).expect("the registry opens");
    let address: Listen = address.parse().expect("an address");
    let server = registry.serve(&address).await.expect("the address is free");
    if given.is_none() {
        let store = connect(&server.address().to_string());
        store.call(Request::Range(RangeRequest::key("a"))).await.expect("an answer");
        registry.close().await;
        store.call(Request::Range(RangeRequest::key("a"))).await.expect_err("it is closed");
    }
    registry.closed().await;
}

/// A registry's process; it is killed with this value.
pub(crate) struct RegistryProcess {
    pub(crate) endpoint: String,
    child: Child,
}

impl RegistryProcess {
    /// Starts one and waits until it answers.
    pub(crate) async fn start(dir: &Path, port: u16) -> Self {
        let executable = std::env::current_exe().expect("this test's own executable");
        // A write past a file size limit is to fail, not to kill.
        let child = Command::new("sh")
            .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
            .arg(executable)
            .args(["--exact", "process::serves_until_closed", "--nocapture"])
            .env(DIR, dir)
            .env(ADDRESS, format!("127.0.0.1:{port}"))
            .stdout(Stdio::null())
            .spawn()
            .expect("a process");
        let process = Self { endpoint: format!("http://127.0.0.1:{port}"), child };
        let store = connect(&process.endpoint);
        until("the registry answers", || async { store.call(Request::Range(RangeRequest::key("a"))).await.is_ok() })
            .await;
        process
    }

    /// Limits the size of its file, as a full disk would; `None` gives it room again.
    pub(crate) fn limit_file(&self, bytes: Option<u64>) {
        let limit = bytes.map_or("unlimited".to_owned(), |bytes| bytes.to_string());
        let pid = self.child.id().to_string();
        // The soft limit alone, so that it can be raised again.
        let status = Command::new("prlimit").args(["--pid", &pid, &format!("--fsize={limit}:")]).status();
        assert!(status.is_ok_and(|status| status.success()), "prlimit");
    }

    /// Kills it as a crash would, and waits for its end.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("the process is there");
        self.child.wait().expect("it ends");
    }

    /// Stops it in its tracks, or lets it go on.
    pub(crate) fn freeze(&self, frozen: bool) {
        let signal = if frozen { "-STOP" } else { "-CONT" };
        let status = Command::new("kill").args([signal, &self.child.id().to_string()]).status();
        assert!(status.is_ok_and(|status| status.success()), "kill {signal}");
    }
}

impl Drop for RegistryProcess {
    fn drop(&mut self) {
        // It may have been killed already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
