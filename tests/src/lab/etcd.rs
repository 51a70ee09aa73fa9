//! A real etcd in the lab's network, beside the machines, as Debian packages it.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use nix::sys::signal::Signal;

use super::client::Lab;
use super::command::{Output, argv};
use super::network;
use super::protocol::Request;
use super::requirements::is_installed;
use super::wait::poll;

/// A cluster of three elects its leader within two seconds; a slow disk may take longer.
const READY_LIMIT: Duration = Duration::from_secs(30);

/// Members lie at the end of the network: 192.0.2.251 to 253.
const FIRST_ADDRESS: u8 = 251;

/// Where a member keeps its data, in its own folder.
const DATA: &str = "data";

/// Debian's etcdctl speaks version 2 unless told otherwise.
const ETCDCTL: [&str; 3] = ["env", "ETCDCTL_API=3", "etcdctl"];

/// A running etcd. It lives as long as its lab.
#[derive(Clone, Copy, Debug)]
pub struct Etcd<'a> {
    lab: &'a Lab,
    members: u8,
    quota: Option<u64>,
}

impl<'a> Etcd<'a> {
    /// Starts all members and waits until the cluster answers.
    pub(crate) fn start(lab: &'a Lab, members: u8) -> Result<Self> {
        for (program, package) in [("etcd", "etcd-server"), ("etcdctl", "etcd-client")] {
            if !is_installed(program) {
                bail!("{program} is missing: install the Debian package {package}");
            }
        }
        if members != 1 && members != 3 {
            bail!("etcd has one or three members in a lab, not {members}");
        }
        let etcd = Self::of(lab, members);
        etcd.start_members()?;
        Ok(etcd)
    }

    /// The etcd that runs in this lab already.
    pub(crate) fn of(lab: &'a Lab, members: u8) -> Self {
        Self { lab, members, quota: None }
    }

    /// Waits until the cluster has a leader and commits.
    pub fn wait_ready(self, limit: Duration) -> Result<()> {
        poll(limit, || {
            self.etcdctl(["endpoint", "health", "--command-timeout=1s"])
                .and_then(Output::ok)
                .map(drop)
                .map_err(|e| format!("{e:#}"))
        })
        .map_err(|reason| anyhow!("etcd does not answer: {reason}"))
    }

    /// Members that are started from now on take so many bytes and no more, as though their disks were full then.
    pub fn with_quota(self, bytes: u64) -> Self {
        Self { quota: Some(bytes), ..self }
    }

    /// Starts a member that was killed, with the data that it had.
    pub fn start_member(self, member: u8) -> Result<()> {
        let address = self.address(member)?;
        let client = format!("http://{address}:2379");
        let peer = format!("http://{address}:2380");
        let name = name(member);
        let flags = [
            ("name", name.as_str()),
            ("data-dir", DATA),
            ("listen-client-urls", &client),
            ("advertise-client-urls", &client),
            ("listen-peer-urls", &peer),
            ("initial-advertise-peer-urls", &peer),
            ("initial-cluster", &self.initial_cluster()?),
            ("initial-cluster-token", self.lab.name()),
            // As a CoreOS fleet needs it, whose tree is apart from all that version 3 holds.
            ("enable-v2", "true"),
            ("logger", "zap"),
            ("log-level", "warn"),
        ];
        let command = std::iter::once("etcd".to_owned())
            .chain(flags.iter().map(|(flag, value)| format!("--{flag}={value}")))
            .chain(self.quota.map(|bytes| format!("--quota-backend-bytes={bytes}")))
            .collect();
        self.lab.request(&Request::StartDaemon { name: name.clone(), command })
    }

    fn initial_cluster(self) -> Result<String> {
        let one = |member| Ok(format!("{}=http://{}:2380", name(member), self.address(member)?));
        Ok((1..=self.members).map(one).collect::<Result<Vec<_>>>()?.join(","))
    }

    /// Saves what the cluster holds, as an operator's backup does; [`Etcd::restore`] takes it by the same name.
    pub fn save_snapshot(self, snapshot: &str) -> Result<()> {
        let endpoint = format!("--endpoints=http://{}:2379", self.address(1)?);
        let file = self.snapshot(snapshot);
        self.lab.net_exec(argv(ETCDCTL).into_iter().chain(argv([&endpoint, "snapshot", "save", &file])))?.ok()?;
        Ok(())
    }

    /// The loss of all members with their data, and a new cluster from a snapshot in their place. `token` tells etcd's
    /// clusters apart; another one makes another id of etcd's cluster.
    pub fn restore(self, snapshot: &str, token: &str) -> Result<()> {
        let file = self.snapshot(snapshot);
        self.lose_data()?;
        for member in 1..=self.members {
            let flags = [
                format!("--name={}", name(member)),
                format!("--data-dir={}", self.data_dir(member).display()),
                format!("--initial-cluster={}", self.initial_cluster()?),
                format!("--initial-cluster-token={token}"),
                format!("--initial-advertise-peer-urls=http://{}:2380", self.address(member)?),
            ];
            let restore = argv(ETCDCTL).into_iter().chain(argv(["snapshot", "restore", &file])).chain(argv(flags));
            self.lab.net_exec(restore)?.ok()?;
        }
        self.start_members()
    }

    /// The loss of all members with their data, and a new and empty cluster in their place.
    pub fn begin_anew(self) -> Result<()> {
        self.lose_data()?;
        self.start_members()
    }

    fn lose_data(self) -> Result<()> {
        for member in 1..=self.members {
            self.kill(member)?;
            let dir = self.data_dir(member);
            fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()))?;
        }
        Ok(())
    }

    fn start_members(self) -> Result<()> {
        for member in 1..=self.members {
            self.start_member(member)?;
        }
        self.wait_ready(READY_LIMIT)
    }

    fn data_dir(self, member: u8) -> PathBuf {
        self.lab.layout().daemon_data(&name(member)).join(DATA)
    }

    fn snapshot(self, snapshot: &str) -> String {
        self.lab.dir().join(format!("{snapshot}.snapshot")).display().to_string()
    }

    /// Kills a member; its data stays.
    pub fn kill(self, member: u8) -> Result<()> {
        self.signal(member, Signal::SIGKILL)
    }

    /// Stops a member from doing anything, without its knowing.
    pub fn pause(self, member: u8) -> Result<()> {
        self.signal(member, Signal::SIGSTOP)
    }

    /// Ends [`Etcd::pause`].
    pub fn resume(self, member: u8) -> Result<()> {
        self.signal(member, Signal::SIGCONT)
    }

    fn signal(self, member: u8, signal: Signal) -> Result<()> {
        self.lab.request(&Request::SignalDaemon { name: name(member), signal: signal as i32 })
    }

    /// The member that leads.
    pub fn leader(self) -> Result<u8> {
        let status = self.etcdctl(["endpoint", "status", "--write-out=json"])?.ok()?;
        let all: Vec<serde_json::Value> = serde_json::from_str(&status).context("etcdctl's status is no JSON")?;
        let leads = |one: &serde_json::Value| one["Status"]["leader"] == one["Status"]["header"]["member_id"];
        let leader = all.iter().find(|one| leads(one)).context("no member leads")?;
        let urls = self.client_urls();
        let at =
            urls.iter().position(|url| leader["Endpoint"] == url.as_str()).context("a member that is none leads")?;
        Ok(at as u8 + 1)
    }

    /// The number of members.
    pub fn members(self) -> u8 {
        self.members
    }

    /// Where each member serves clients.
    pub fn client_urls(self) -> Vec<String> {
        Self::urls(self.members)
    }

    /// Where the members of an etcd of this size serve clients, running or not.
    pub(crate) fn urls(members: u8) -> Vec<String> {
        (0..members).map(|i| format!("http://{}:2379", network::address(FIRST_ADDRESS + i))).collect()
    }

    /// Runs etcdctl against all members.
    pub fn etcdctl<'s>(self, args: impl IntoIterator<Item = &'s str>) -> Result<Output> {
        let endpoints = format!("--endpoints={}", self.client_urls().join(","));
        self.lab.net_exec(argv(ETCDCTL).into_iter().chain(argv([endpoints])).chain(argv(args)))
    }

    fn address(self, member: u8) -> Result<String> {
        let offset = member.checked_sub(1).filter(|_| member <= self.members);
        let offset = offset.with_context(|| format!("etcd has no member {member}"))?;
        Ok(network::address(FIRST_ADDRESS + offset).to_string())
    }
}

fn name(member: u8) -> String {
    format!("etcd{member}")
}
