//! The real `fleetd` on sockets that systemd's own tool passes.

mod common;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use common::LIMIT;

/// Ends what the test started.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It may have ended.
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

fn get(mut stream: impl Read + Write) -> std::io::Result<String> {
    write!(stream, "GET /fleet/v1/discovery HTTP/1.1\r\nHost: fleet\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Whoever added sockets to fleet.socket by drop-ins, as fleet's documents showed, would lose all but one.
#[test]
fn every_socket_that_systemd_passes_is_served() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let shown = path.display();
    let config = format!(
        "etcd_servers=http://127.0.0.1:1\nstate_directory={shown}/state\nunits_directory={shown}/units\n\
         peer_listen=127.0.0.1:0\n"
    );
    std::fs::write(path.join("fleet.conf"), config).unwrap();
    let sockets = ["a.sock", "b.sock"].map(|name| path.join(name));
    // Free a moment ago; nobody else asks for ports by number here.
    let ports = [TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap()];
    let addresses = ports.map(|listener| listener.local_addr().unwrap().to_string());
    let log = std::fs::File::create(path.join("log")).unwrap();
    let mut activate = Command::new("systemd-socket-activate");
    for address in sockets.iter().map(|socket| socket.display().to_string()).chain(addresses.clone()) {
        activate.args(["-l", &address]);
    }
    activate.arg("-E").arg(format!("RUNTIME_DIRECTORY={shown}/run")).arg(env!("CARGO_BIN_EXE_fleetd"));
    activate.arg("--config").arg(path.join("fleet.conf"));
    let child = activate.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
    let _ended = Ended(child);

    let begun = Instant::now();
    let asked = |ask: &dyn Fn() -> std::io::Result<String>| loop {
        match ask() {
            Ok(answer) => {
                assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
                assert!(answer.contains("discovery#restDescription"), "{answer}");
                return;
            }
            Err(error) => {
                let log = std::fs::read_to_string(path.join("log")).unwrap();
                assert!(begun.elapsed() < LIMIT, "{error}: {log}");
                std::thread::yield_now();
            }
        }
    };
    for socket in &sockets {
        asked(&|| get(UnixStream::connect(socket)?));
    }
    for address in &addresses {
        asked(&|| get(TcpStream::connect(address)?));
    }
}
