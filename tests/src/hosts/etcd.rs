//! An etcd of its own on this machine's loopback, without a lab around it.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use fleet_registry::etcd::{EtcdConfig, EtcdStore};
use fleet_registry::store::{RangeRequest, Request, Store};
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

/// It is there within a second; a busy machine may take longer.
const READY: Duration = Duration::from_secs(30);

/// Between two looks whether it is there.
const PAUSE: Duration = Duration::from_millis(20);

/// A running etcd of Debian's package. It ends with this value, and its data goes with it.
#[derive(Debug)]
pub struct OwnEtcd {
    address: String,
    child: Child,
    _data: TempDir,
}

impl OwnEtcd {
    /// Starts one, and waits until it answers.
    pub async fn start() -> Result<Self> {
        Self::start_in(&std::env::temp_dir()).await
    }

    /// Starts one with its data somewhere below a folder, and waits until it answers.
    pub async fn start_in(folder: &Path) -> Result<Self> {
        let data = TempDir::new_in(folder).context("no folder for etcd's data")?;
        let (address, peer) = (free_address()?, free_address()?);
        let (client, peer) = (format!("http://{address}"), format!("http://{peer}"));
        let child = Command::new("etcd")
            .args(["--name=own", "--logger=zap", "--log-level=error"])
            .arg(format!("--data-dir={}", data.path().join("data").display()))
            .args([format!("--listen-client-urls={client}"), format!("--advertise-client-urls={client}")])
            .args([format!("--listen-peer-urls={peer}"), format!("--initial-advertise-peer-urls={peer}")])
            .arg(format!("--initial-cluster=own={peer}"))
            .env("ETCD_UNSUPPORTED_ARCH", std::env::consts::ARCH)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start etcd: install the Debian package etcd-server")?;
        let etcd = Self { address, child, _data: data };
        let store = etcd.connect()?;
        let begun = Instant::now();
        while let Err(error) = store.call(Request::Range(RangeRequest::key("a"))).await {
            if begun.elapsed() > READY {
                bail!("etcd does not answer: {error}");
            }
            sleep(PAUSE).await;
        }
        Ok(etcd)
    }

    /// A client with a connection of its own, and the time-outs of a fleetd.
    pub fn connect(&self) -> Result<EtcdStore> {
        connect(&self.url())
    }

    /// Where it serves clients, as [`connect`] takes it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it serves clients: `127.0.0.1:PORT`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The number of its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The CPU time that it has used so far.
    pub fn cpu_time(&self) -> Result<Duration> {
        let clock = clock_getcpuclockid(Pid::from_raw(i32::try_from(self.child.id())?)).context("etcd has ended")?;
        Ok(clock_gettime(clock).context("cannot read etcd's CPU time")?.into())
    }
}

/// A client of the store at this URL, with a connection of its own, and the time-outs of a fleetd. The connection belongs to
/// the runtime on which this is called.
pub fn connect(url: &str) -> Result<EtcdStore> {
    Ok(EtcdStore::connect(EtcdConfig { endpoints: vec![url.to_owned()], ..EtcdConfig::default() })?)
}

impl Drop for OwnEtcd {
    fn drop(&mut self) {
        // One that has ended by itself is gone as well.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// An address of loopback where nobody listens.
pub fn free_address() -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").context("no free port")?;
    Ok(listener.local_addr()?.to_string())
}
