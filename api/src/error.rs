//! What can go wrong with a call.

use std::io;
use std::time::Duration;

/// Why a call has no answer. Messages are fragments; the caller adds what it was about, and a hint.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// Nothing answers at the endpoint: there is no such socket, nobody listens, or it may not be used.
    #[error("cannot connect to fleetd at {endpoint}: {}", reason_of(.source))]
    Unreachable {
        /// The endpoint.
        endpoint: String,
        /// What the system said.
        source: io::Error,
    },
    /// Something is connected, but does not answer in time.
    #[error("no answer from {endpoint} within {} s", .limit.as_secs_f64())]
    TimedOut {
        /// The endpoint.
        endpoint: String,
        /// How long was waited.
        limit: Duration,
    },
    /// The connection ended before the answer did: fleetd stopped, or whatever listens does not speak HTTP.
    #[error("the connection to {endpoint} broke: {reason}")]
    Broken {
        /// The endpoint.
        endpoint: String,
        /// What happened.
        reason: String,
    },
    /// fleetd answered that it will not.
    #[error("{message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The server's words, or the status in words where it gave none.
        message: String,
    },
    /// What answers is no fleetd, or one of another version.
    #[error("{endpoint} gave an answer that makes no sense: {reason}")]
    BadAnswer {
        /// The endpoint.
        endpoint: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl ApiError {
    /// How the message of [`ApiError::Refused`] begins where the server gave no words.
    pub(crate) const WORDLESS: &'static str = "fleetd answered ";

    /// The HTTP status that the server refused with.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Whether the server knows nothing of what it was asked for, not even that it is absent: CoreOS fleet's has no words
    /// for paths that it does not serve.
    pub(crate) fn is_unknown_path(&self) -> bool {
        matches!(self, Self::Refused { status: 404, message } if message.starts_with(Self::WORDLESS))
    }

    /// Whether the server said that there is no such thing.
    pub fn is_not_found(&self) -> bool {
        self.status() == Some(404)
    }
}

/// The system's words in lower case and without the error number: `no such file or directory`.
fn reason_of(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split_once(" (os error").map_or(text.as_str(), |(words, _)| words);
    let mut characters = text.chars();
    match characters.next() {
        Some(first) => first.to_lowercase().chain(characters).collect(),
        None => "unknown reason".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_fragments() {
        let error = ApiError::Unreachable {
            endpoint: "unix:///run/fleet.sock".into(),
            source: io::Error::from_raw_os_error(2),
        };
        assert_eq!(error.to_string(), "cannot connect to fleetd at unix:///run/fleet.sock: no such file or directory");
        let error = ApiError::TimedOut { endpoint: "http://m1:80".into(), limit: Duration::from_millis(1500) };
        assert_eq!(error.to_string(), "no answer from http://m1:80 within 1.5 s");
    }
}
