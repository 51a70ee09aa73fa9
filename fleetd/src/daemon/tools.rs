//! systemd's own tools, through the agent.

use std::io;

use fleet_agent::journal::{self, journal};
use fleet_agent::status::status;
use fleet_units::UnitName;
use futures::StreamExt;
use futures::future::BoxFuture;

use crate::local::{JournalRequest, JournalStream, UnitTools};

/// journalctl and systemctl of this machine.
pub(super) struct Systemd {
    /// Of the user's systemd.
    pub(super) user: bool,
}

impl UnitTools for Systemd {
    fn journal(&self, name: &UnitName, request: &JournalRequest) -> JournalStream {
        let request = journal::JournalRequest {
            unit: name.clone(),
            lines: Some(request.lines),
            follow: request.follow,
            output: Some(request.output.clone()),
            user: self.user,
        };
        match journal(&request) {
            Ok(stream) => stream.boxed(),
            Err(error) => futures::stream::once(async move { Err(io::Error::other(error)) }).boxed(),
        }
    }

    fn status<'a>(&'a self, name: &'a UnitName) -> BoxFuture<'a, io::Result<(String, i32)>> {
        Box::pin(async move { status(name, self.user).await.map(|status| (status.output, status.exit_code)) })
    }
}
