//! A real fleetd of its own, without a systemd below it.

// Each test file uses its own part of this.
#![allow(dead_code)]

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// How long a condition may take to come true.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);
/// How often it is looked at.
const POLL: Duration = Duration::from_millis(5);

pub(crate) fn fleetd() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleetd"));
    // Nothing of the environment of the tests counts.
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("FLEET_")) {
        command.env_remove(name);
    }
    command.env_remove("NOTIFY_SOCKET").env_remove("LISTEN_FDS").env_remove("JOURNAL_STREAM");
    command
}

pub(crate) fn output(command: &mut Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.code().unwrap_or(-1), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// A fleetd of its own in a directory of its own.
pub(crate) struct Running {
    pub(crate) child: Child,
    pub(crate) directory: tempfile::TempDir,
}

impl Running {
    pub(crate) fn start(options: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().display().to_string();
        let config = format!(
            "{options}\nlisten={path}/fleet.sock\nstate_directory={path}/state\nunits_directory={path}/units\n\
             registry_dir={path}/registry\npeer_listen=127.0.0.1:0\netcd_request_timeout=0.2\n"
        );
        std::fs::write(directory.path().join("fleet.conf"), config.replace("DIR", &path)).unwrap();
        let child = command_in(directory.path()).spawn().unwrap();
        Self { child, directory }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.path().join("fleet.sock")
    }

    pub(crate) fn wait_for_socket(&mut self) {
        let begun = Instant::now();
        while UnixStream::connect(self.socket()).is_err() {
            assert!(self.child.try_wait().unwrap().is_none(), "it ended: {}", self.log());
            assert!(begun.elapsed() < LIMIT, "no socket: {}", self.log());
            std::thread::sleep(POLL);
        }
    }

    /// Lines of a file of its own under /proc.
    pub(crate) fn proc(&self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).unwrap()
    }

    /// A number of /proc/PID/status: kilobytes, or threads.
    pub(crate) fn status(&self, field: &str) -> usize {
        let status = self.proc("status");
        let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// File descriptors that it holds.
    pub(crate) fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }

    /// Waits until it holds no more file descriptors than these.
    pub(crate) fn wait_for_descriptors(&self, most: usize) {
        let begun = Instant::now();
        while self.descriptors() > most {
            assert!(begun.elapsed() < LIMIT, "{} file descriptors, not {most}: {}", self.descriptors(), self.log());
            std::thread::sleep(POLL);
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// What it printed so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap()
    }

    pub(crate) fn wait_for_log(&mut self, words: &str) {
        let begun = Instant::now();
        while !self.log().contains(words) {
            assert!(begun.elapsed() < LIMIT, "no {words:?} in: {}", self.log());
            assert!(self.child.try_wait().unwrap().is_none(), "it ended: {}", self.log());
            std::thread::sleep(POLL);
        }
    }

    pub(crate) fn get(&self, path: &str) -> String {
        use std::io::Write;
        let mut stream = UnixStream::connect(self.socket()).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: fleet\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    pub(crate) fn end(&mut self) -> i32 {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            assert!(begun.elapsed() < LIMIT, "it does not end: {}", self.log());
            std::thread::sleep(POLL);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

pub(crate) fn command_in(directory: &Path) -> Command {
    let log = std::fs::File::options().create(true).append(true).open(directory.join("log")).unwrap();
    let mut command = fleetd();
    command
        .arg("--config")
        .arg(directory.join("fleet.conf"))
        .env("RUNTIME_DIRECTORY", directory.join("run"))
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log);
    command
}
