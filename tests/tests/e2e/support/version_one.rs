//! A door to fleetd that leads to API v1 alone, as CoreOS fleet's has it: what lies under `/fleet/v2` is unknown there.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::thread;

use anyhow::{Context, Result};
use fleet_tests::lab::Node;

/// Where the door is, in the machine.
pub(crate) const ENDPOINT: &str = "unix:///run/version-one.sock";

/// What CoreOS fleet's answers where it serves nothing.
const UNKNOWN: &str = "HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: 34\r\n\
    Connection: close\r\n\r\n{\"error\":{\"code\":404,\"message\":\"\"}}";

/// Opens the door on a machine. It is there as long as the machine is.
pub(crate) fn open_version_one(node: Node<'_>) -> Result<()> {
    let listener = UnixListener::bind(node.host_path("/run/version-one.sock")?).context("cannot open a socket")?;
    let fleetd = node.host_path("/run/fleet.sock")?;
    thread::spawn(move || {
        for caller in listener.incoming() {
            let (Ok(caller), fleetd) = (caller, fleetd.clone()) else { return };
            // A caller that goes away has its own reasons.
            thread::spawn(move || drop(serve(caller, fleetd)));
        }
    });
    Ok(())
}

/// One request a connection, as fleetctl makes them.
fn serve(mut caller: UnixStream, fleetd: PathBuf) -> io::Result<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\n") && caller.read(&mut byte)? == 1 {
        head.push(byte[0]);
    }
    if String::from_utf8_lossy(&head).split(' ').nth(1).is_some_and(|path| path.starts_with("/fleet/v2")) {
        return caller.write_all(UNKNOWN.as_bytes());
    }
    let mut upstream = UnixStream::connect(fleetd)?;
    upstream.write_all(&head)?;
    let (mut from, mut to) = (caller.try_clone()?, upstream.try_clone()?);
    thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    io::copy(&mut upstream, &mut caller)?;
    caller.shutdown(Shutdown::Both)
}
