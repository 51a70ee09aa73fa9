//! Running programs: on the host, and in the namespaces of the lab and its machines.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::requirements::search_path;

/// What a program printed, and how it ended.
#[derive(Clone, Debug)]
pub struct Output {
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
    /// How it ended.
    pub status: ExitStatus,
    command: String,
}

impl Output {
    /// Whether it ended well.
    pub fn success(&self) -> bool {
        self.status.success()
    }

    /// Its standard output, or an error with all that it printed when it did not end well.
    pub fn ok(self) -> Result<String> {
        if self.success() {
            return Ok(self.stdout);
        }
        bail!("`{}` failed ({})\n{}{}", self.command, self.status, self.stdout, self.stderr)
    }

    /// Its standard error where it ended with this exit code, which is not zero; else an error with all that it printed.
    pub fn refused(self, code: i32) -> Result<String> {
        if self.status.code() == Some(code) {
            return Ok(self.stderr);
        }
        let (status, stdout, stderr) = (self.status, self.stdout, self.stderr);
        bail!("`{}` was to end with {code} ({status})\n{stdout}{stderr}", self.command)
    }
}

/// Runs a program of the host, for its effect.
pub(crate) fn run<const N: usize>(argv: [&str; N]) -> Result<()> {
    let output = Command::new(argv[0])
        .args(&argv[1..])
        .env("PATH", search_path())
        .output()
        .with_context(|| format!("cannot run {}", argv[0]))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`{}` failed ({}): {}", argv.join(" "), output.status, said.trim());
    }
    Ok(())
}

/// Which namespaces of a process to enter.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Enter {
    /// A machine's: all of them.
    Machine,
    /// The lab's: all but the cgroup one, of which it has none.
    Lab,
}

/// A command that runs in the namespaces of the process `leader`.
///
/// It is killed when the `nsenter` that waits for it is, so that nothing is left running when
/// a test gives up on it; and it sees none of the test's own environment.
pub(crate) fn enter<S: AsRef<OsStr>>(leader: u32, namespaces: Enter, argv: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new("nsenter");
    command.args(["-t", &leader.to_string()]);
    command.args(match namespaces {
        Enter::Machine => &["-m", "-u", "-i", "-n", "-p", "-C"][..],
        Enter::Lab => &["-m", "-n", "-p"][..],
    });
    command.args(["--", "setpriv", "--pdeathsig", "KILL", "--"]);
    command.args(argv);
    command.env_clear().envs([("PATH", search_path()), ("HOME", "/root"), ("LANG", "C.UTF-8")]);
    // For people at a terminal.
    command.envs(env::var_os("TERM").map(|term| ("TERM", term)));
    command
}

/// The words of a command, the way into a namespace left out, for messages.
fn words(command: &Command) -> String {
    let args: Vec<&OsStr> = command.get_args().collect();
    let start = args.iter().rposition(|arg| *arg == "--").map_or(0, |at| at + 1);
    let shown: Vec<String> = args[start..].iter().map(|a| a.to_string_lossy().into()).collect();
    shown.join(" ")
}

/// Runs a command to its end with `input` on its standard input, and kills it after `limit`.
pub(crate) fn run_with_limit(mut command: Command, input: Vec<u8>, limit: Duration) -> Result<Output> {
    let shown = words(&command);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run `{shown}`"))?;
    if let Some(mut stdin) = child.stdin.take() {
        thread::spawn(move || {
            // A program may end without having read it all.
            let _ = stdin.write_all(&input);
        });
    }
    let stdout = collect(child.stdout.take());
    let stderr = collect(child.stderr.take());
    let end = Instant::now() + limit;
    // Standard error closes with the command, so its end is waited for without polling.
    let stderr = stderr.recv_timeout(limit);
    let stdout = stdout.recv_timeout(end.saturating_duration_since(Instant::now()));
    let (Ok(stdout), Ok(stderr)) = (stdout, stderr) else {
        let _ = child.kill();
        let _ = child.wait();
        bail!("`{shown}` did not end within {limit:?}");
    };
    let status = child.wait().with_context(|| format!("cannot wait for `{shown}`"))?;
    Ok(Output { stdout, stderr, status, command: shown })
}

/// Reads a pipe to its end in a thread, so that a full pipe blocks nobody.
fn collect(pipe: Option<impl Read + Send + 'static>) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes);
        }
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receiver
}

/// A program that runs while the test goes on; it is killed when this is dropped.
#[derive(Debug)]
pub struct Streaming {
    child: Child,
    lines: mpsc::Receiver<io::Result<String>>,
    command: String,
}

impl Streaming {
    pub(crate) fn start(mut command: Command) -> Result<Self> {
        let shown = words(&command);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run `{shown}`"))?;
        let (sender, lines) = mpsc::channel();
        if let Some(stdout) = child.stdout.take() {
            thread::spawn(move || send_lines(stdout, &sender));
        }
        Ok(Self { child, lines, command: shown })
    }

    /// The next line that it prints, or an error when none comes within `limit`.
    pub fn next_line(&self, limit: Duration) -> Result<String> {
        match self.lines.recv_timeout(limit) {
            Ok(line) => line.with_context(|| format!("cannot read from `{}`", self.command)),
            Err(mpsc::RecvTimeoutError::Timeout) => {
                bail!("`{}` printed no line within {limit:?}", self.command)
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => bail!("`{}` has ended", self.command),
        }
    }

    /// Kills it.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill().with_context(|| format!("cannot kill `{}`", self.command))
    }

    /// How it ended, or `None` while it runs.
    pub fn try_wait(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }
}

impl Drop for Streaming {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn send_lines(stdout: ChildStdout, lines: &mpsc::Sender<io::Result<String>>) {
    for line in BufReader::new(stdout).lines() {
        if lines.send(line).is_err() {
            return;
        }
    }
}

/// The words of a command as a caller may give them.
pub(crate) fn argv<I, S>(words: I) -> Vec<OsString>
where
    I: IntoIterator<Item = S>,
    S: AsRef<OsStr>,
{
    words.into_iter().map(|word| word.as_ref().to_owned()).collect()
}
