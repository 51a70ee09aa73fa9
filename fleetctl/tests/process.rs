//! The process as a script sees it: exit codes, and what goes to which stream.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::process::{Command, Output, Stdio};

/// A `fleetctl` that knows nothing of this machine's fleet.
fn fleetctl(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleetctl"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("FLEETCTL_")) {
        command.env_remove(name);
    }
    command.env("FLEETCTL_ENDPOINT", "unix:///nonexistent/fleet.sock").args(arguments);
    command
}

fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = fleetctl(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn help_and_version_go_to_stdout() {
    for arguments in [&["help"][..], &["--help"], &["-h"], &["-help"], &[], &["help", "start"], &["start", "--help"]] {
        let (code, stdout, stderr) = run(arguments);
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{arguments:?}");
        assert!(stdout.starts_with("NAME:\n\tfleetctl"), "{arguments:?}: {stdout}");
    }
    let version = format!("fleetctl version {}\n", env!("CARGO_PKG_VERSION"));
    for arguments in [&["version"][..], &["--version"], &["-v"], &["-version"], &["--endpoint=nonsense", "version"]] {
        assert_eq!(run(arguments), (Some(0), version.clone(), String::new()), "{arguments:?}");
    }
}

#[test]
fn errors_go_to_stderr() {
    let cases: [(&[&str], i32, &str); 14] = [
        (&["nonsense"], 2, "fleetctl: unknown subcommand: \"nonsense\""),
        (&["start", "--nonsense"], 2, "error: unexpected argument '--nonsense'"),
        (&["list-units"], 1, "Error retrieving list of units from repository: cannot connect to fleetd at unix:///non"),
        (&["list-machines"], 1, "Error retrieving list of active machines from fleet API: cannot connect to fleetd"),
        (&["list-units", "--fields=nonsense"], 1, "Invalid key in output format: \"nonsense\""),
        (&["cat"], 1, "One unit file must be provided"),
        (&["journal", "a", "b"], 1, "One unit file must be provided."),
        (&["start", "a b"], 1, "invalid unit name \"a b\": invalid character ' ' in unit name"),
        (&["start"], 0, "No units given"),
        (&["start", "--sign", "a"], 2, "WARNING: The signed/verified units feature is DEPRECATED and cannot be used."),
        (&["verify", "a"], 2, "WARNING: The signed/verified units feature is DEPRECATED and cannot be used."),
        (&["fd-forward"], 1, "Provide a single argument"),
        (&["fd-forward", "/nonexistent"], 1, "Failed dialing remote address: /nonexistent"),
        (&["ssh", "--machine=a", "--unit=b"], 1, "Both machine and unit flags provided, please specify only one."),
    ];
    for (arguments, expected, words) in cases {
        let (code, stdout, stderr) = run(arguments);
        assert_eq!((code, stdout.as_str()), (Some(expected), ""), "{arguments:?}: {stderr}");
        assert!(stderr.starts_with(words), "{arguments:?}: {stderr}");
    }
}

#[test]
fn a_bad_file_is_refused_before_fleetd_is_asked() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bad.service");
    std::fs::write(&path, "[Service]\nExecStart\n").unwrap();
    let (code, stdout, stderr) = run(&["submit", &path.to_string_lossy()]);
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert!(stderr.starts_with(&format!("Error creating units: {}: line 2: ", path.display())), "{stderr}");
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let mut child = fleetctl(&["help"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!((child.wait().unwrap().code(), stderr.as_str()), (Some(0), ""));
}

/// The other end of a tunnel: what is written arrives, its end too, and what is answered after that comes back.
#[test]
fn a_socket_is_joined_to_standard_input_and_output() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("fleet.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let server = std::thread::spawn(move || {
        let (mut caller, _) = listener.accept().unwrap();
        let mut asked = String::new();
        caller.read_to_string(&mut asked).unwrap();
        caller.write_all(format!("you said {asked}").as_bytes()).unwrap();
    });
    let mut command = fleetctl(&["fd-forward", &path.to_string_lossy()]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"hello").unwrap();
    let output = child.wait_with_output().unwrap();
    server.join().unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(0), b"you said hello".as_slice()));
}
