//! A person with a shell on one machine, in a folder with unit files.

use std::time::Duration;

use anyhow::Result;
use fleet_tests::cluster::Cluster;
use fleet_tests::lab::{Node, Output, Streaming};

/// The folder in which the person types.
const HOME: &str = "/root";

/// Longer than any command may take.
const COMMAND_LIMIT: Duration = Duration::from_secs(90);

/// A person at a machine.
#[derive(Clone, Copy)]
pub(crate) struct Person<'a> {
    node: Node<'a>,
}

impl<'a> Person<'a> {
    /// Who sits at this machine.
    pub(crate) fn at(cluster: &'a Cluster, machine: u8) -> Self {
        Self { node: cluster.node(machine) }
    }

    /// Saves a file in the person's folder.
    pub(crate) fn save(self, name: &str, text: impl Into<Vec<u8>>) -> Result<()> {
        self.node.write_file(format!("{HOME}/{name}"), text)
    }

    /// Types `fleetctl` and these words, and gives back all that came of it.
    pub(crate) fn types(self, words: &str) -> Result<Output> {
        self.node.exec_with(typed(words), Vec::new(), COMMAND_LIMIT)
    }

    /// What `fleetctl` with these words prints; an error unless it ends well.
    pub(crate) fn fleetctl(self, words: &str) -> Result<String> {
        self.types(words)?.ok()
    }

    /// What `fleetctl` with these words says on standard error; an error unless it ends with this code.
    pub(crate) fn refused(self, code: i32, words: &str) -> Result<String> {
        self.types(words)?.refused(code)
    }

    /// Types `fleetctl` and these words, and lets it run.
    pub(crate) fn follows(self, words: &str) -> Result<Streaming> {
        self.node.spawn(typed(words))
    }
}

fn typed(words: &str) -> Vec<&str> {
    let shell = ["env", "--chdir", HOME, "fleetctl"];
    shell.into_iter().chain(words.split_whitespace()).collect()
}
