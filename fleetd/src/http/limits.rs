//! What the API bears: how many clients, for how long, and how much of theirs at once.
//!
//! Every limit ends in an answer that says so, with a time after which to try again, or, where a client leaves no room
//! for one, in the end of its connection. None of them lets one client's trouble become another's.

use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// File descriptors that are not for clients: the registry, systemd, the journal, other fleetds, files.
const OWN_DESCRIPTORS: u64 = 512;
/// How many a process has where the kernel does not say.
const FEW_DESCRIPTORS: u64 = 1_024;

/// The limits of one fleetd's API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once, of all sockets together.
    pub connections: usize,
    /// How many of them one user or one address may hold, so that others still get in.
    pub connections_of_one: usize,
    /// How long the head of a request may take, and how long a connection may be silent between two requests.
    pub head: Duration,
    /// How long a client may pause while it sends a body.
    pub pause: Duration,
    /// How long a body may take in all.
    pub body: Duration,
    /// How long a client may read nothing while there is something for it. A unix socket tells of what is read only
    /// when three quarters of its buffer are.
    pub stall: Duration,
    /// Bytes of large bodies, both ways, that are held at once.
    pub bytes: usize,
    /// Writes to the registry under way at once.
    pub writes: usize,
    /// Writes that may wait for their turn.
    pub waiting: usize,
    /// How long one may wait.
    pub turn: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4_096,
            connections_of_one: 3_072,
            head: Duration::from_secs(15),
            pause: Duration::from_secs(30),
            body: Duration::from_secs(120),
            stall: Duration::from_secs(120),
            bytes: 96 << 20,
            writes: 64,
            waiting: 1_024,
            turn: Duration::from_secs(10),
        }
    }
}

impl Limits {
    /// The defaults, or fewer connections where the kernel does not give this process as many file descriptors. Raises
    /// what it gives as far as it can be raised.
    #[must_use]
    pub fn of_this_process() -> Self {
        let descriptors = raise_descriptors().unwrap_or(FEW_DESCRIPTORS);
        let room = usize::try_from(descriptors.saturating_sub(OWN_DESCRIPTORS)).unwrap_or(usize::MAX);
        let whole = Self::default();
        let connections = whole.connections.min(room.max(64));
        Self { connections, connections_of_one: whole.connections_of_one.min(connections / 4 * 3), ..whole }
    }
}

/// Takes as many file descriptors as are needed and may be had; gives how many that are.
fn raise_descriptors() -> nix::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let wanted = (Limits::default().connections as u64 + OWN_DESCRIPTORS).min(hard);
    if soft >= wanted {
        return Ok(soft);
    }
    setrlimit(Resource::RLIMIT_NOFILE, wanted, hard)?;
    Ok(wanted)
}
