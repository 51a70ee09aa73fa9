//! The journal of a unit, read by journalctl, which handles every format that journald ever wrote.

use std::io;
use std::process::Stdio;

use bytes::{Bytes, BytesMut};
use fleet_units::UnitName;
use futures::Stream;
use futures::stream;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

/// How much is read at once.
const CHUNK: usize = 16 * 1024;
/// How much of an error message is kept.
const ERROR: u64 = 4 * 1024;

/// Which part of which journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalRequest {
    /// Whose.
    pub unit: UnitName,
    /// Only the last so many lines.
    pub lines: Option<u64>,
    /// Go on with what is written from now on.
    pub follow: bool,
    /// journalctl's output mode; its default if none is given.
    pub output: Option<String>,
    /// Of the user's own systemd.
    pub user: bool,
}

/// Why there is no journal.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Nothing that could be an output mode.
    #[error("{0:?} is no output mode of journalctl")]
    OutputMode(String),
    /// journalctl could not be run.
    #[error("journalctl cannot be run: {0}")]
    Run(#[source] io::Error),
}

/// The journal as journalctl prints it. Dropping the stream ends journalctl.
///
/// Where journalctl fails, what it said of that is the stream's last item.
///
/// # Errors
/// When the request makes no sense, or journalctl cannot be run.
pub fn journal(
    request: &JournalRequest,
) -> Result<impl Stream<Item = io::Result<Bytes>> + Send + 'static, JournalError> {
    let mut child = command(request)?.spawn().map_err(JournalError::Run)?;
    let missing = || JournalError::Run(io::Error::other("it has no output"));
    let out = child.stdout.take().ok_or_else(missing)?;
    let errors = child.stderr.take().ok_or_else(missing)?;
    let reader = Reader { child, out, errors };
    Ok(stream::unfold(Some(reader), |state| async move {
        let mut reader = state?;
        match reader.next().await {
            Ok(Some(bytes)) => Some((Ok(bytes), Some(reader))),
            Ok(None) => reader.end().await.map(|error| (Err(error), None)),
            Err(error) => Some((Err(error), None)),
        }
    }))
}

fn command(request: &JournalRequest) -> Result<Command, JournalError> {
    let mut command = Command::new("journalctl");
    command.arg("--no-pager");
    match request.user {
        true => command.arg(format!("--user-unit={}", request.unit)),
        false => command.arg(format!("--unit={}", request.unit)),
    };
    if let Some(lines) = request.lines {
        command.arg(format!("--lines={lines}"));
    }
    if request.follow {
        command.arg("--follow");
    }
    if let Some(mode) = &request.output {
        if mode.is_empty() || !mode.bytes().all(|b| b.is_ascii_lowercase() || b == b'-') {
            return Err(JournalError::OutputMode(mode.clone()));
        }
        command.arg(format!("--output={mode}"));
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    Ok(command)
}

struct Reader {
    child: Child,
    out: ChildStdout,
    errors: ChildStderr,
}

impl Reader {
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        let mut buffer = BytesMut::with_capacity(CHUNK);
        let read = self.out.read_buf(&mut buffer).await?;
        Ok((read > 0).then(|| buffer.freeze()))
    }

    /// What went wrong, if anything did.
    async fn end(mut self) -> Option<io::Error> {
        let mut message = Vec::new();
        let read = (&mut self.errors).take(ERROR).read_to_end(&mut message).await;
        match (self.child.wait().await, read) {
            (Ok(status), _) if status.success() => None,
            (Ok(status), _) => {
                let message = String::from_utf8_lossy(&message);
                Some(io::Error::other(format!("journalctl failed ({status}): {}", message.trim())))
            }
            (Err(error), _) => Some(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> JournalRequest {
        let unit = UnitName::parse("a.service").unwrap();
        JournalRequest { unit, lines: None, follow: false, output: None, user: false }
    }

    fn arguments(request: &JournalRequest) -> Vec<String> {
        let command = command(request).unwrap();
        command.as_std().get_args().map(|a| a.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn arguments_say_what_was_asked() {
        assert_eq!(arguments(&request()), ["--no-pager", "--unit=a.service"]);
        let all =
            JournalRequest { lines: Some(5), follow: true, output: Some("short-iso".into()), user: true, ..request() };
        let expected = ["--no-pager", "--user-unit=a.service", "--lines=5", "--follow", "--output=short-iso"];
        assert_eq!(arguments(&all), expected);
    }

    #[test]
    fn an_output_mode_is_no_way_to_other_options() {
        for mode in ["", "cat --root=/", "CAT", "a\n", "json;"] {
            let error = command(&JournalRequest { output: Some(mode.into()), ..request() }).unwrap_err();
            assert!(matches!(error, JournalError::OutputMode(_)), "{mode:?}: {error}");
        }
    }
}
