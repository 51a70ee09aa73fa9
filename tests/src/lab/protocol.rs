//! What is said to the lab process: one JSON object a line, one request a connection, on a
//! unix socket in the lab's folder.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

/// What the lab process says of the lab that it has made, machines still off. It is in the
/// lab's folder too.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Hello {
    /// The lab's name, which is the name of its folders.
    pub(crate) name: String,
    /// The number of machines.
    pub(crate) machines: u8,
}

/// The only line that the lab process prints on its standard output: what it has made, or why
/// there is no lab.
pub(crate) type FirstWord = Result<Hello, String>;

/// A request to the lab process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Request {
    /// Outlive whoever started the lab.
    Stay,
    /// Boot these machines, all at once, and answer when all are booted.
    Boot(Vec<u8>),
    /// Kill a machine as a power cut would, and answer when nothing of it runs any more.
    PowerOff(u8),
    /// Answer when a machine that is shutting down has done so.
    AwaitOff(u8),
    /// Start a program in the lab's network, beside the machines.
    StartDaemon {
        /// Its name for later requests.
        name: String,
        /// The program and its arguments.
        command: Vec<String>,
    },
    /// Send a signal to such a program; after SIGKILL, answer when it has ended.
    SignalDaemon {
        /// The name that it was started under.
        name: String,
        /// The signal's number.
        signal: i32,
    },
}

/// The lab process's answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Response {
    /// It is done.
    Done,
    /// It failed, for this reason.
    Failed(String),
}

/// Sends one request to the lab process and waits for the answer.
pub(crate) fn call(socket: &Path, request: &Request) -> anyhow::Result<()> {
    let mut stream =
        UnixStream::connect(socket).with_context(|| format!("cannot reach the lab process at {}", socket.display()))?;
    serde_json::to_writer(&mut stream, request)?;
    stream.write_all(b"\n")?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    if line.is_empty() {
        bail!("the lab process ended while it was asked for {request:?}");
    }
    match serde_json::from_str(&line)? {
        Response::Done => Ok(()),
        Response::Failed(reason) => bail!(reason),
    }
}
