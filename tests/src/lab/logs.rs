//! What a failing test shows of its machines.

use std::fs;

use super::client::Lab;
use super::command::Output;

/// How many lines of each machine's journal.
const JOURNAL_LINES: &str = "60";

/// How many lines of each console.
const CONSOLE_LINES: usize = 30;

impl Lab {
    /// Prints the last log lines of every machine and daemon on standard error.
    pub fn dump_logs(&self) {
        for node in self.nodes() {
            let log = node.exec(["journalctl", "--no-pager", "-n", JOURNAL_LINES, "-o", "short-precise"]);
            let failed = node.exec(["systemctl", "--no-pager", "--no-legend", "--failed"]);
            eprintln!("---- {}: journal", node.name());
            match log.and_then(Output::ok) {
                Ok(log) => eprint!("{log}"),
                Err(e) => eprintln!("{e:#}"),
            }
            if let Ok(failed) = failed.and_then(Output::ok)
                && !failed.is_empty()
            {
                eprint!("---- {}: failed units\n{failed}", node.name());
            }
        }
        self.dump_consoles();
    }

    /// A machine's console is of use when its journal cannot be read; a daemon has no other.
    fn dump_consoles(&self) {
        let Ok(entries) = fs::read_dir(self.dir()) else { return };
        for entry in entries.filter_map(Result::ok) {
            let path = entry.path();
            if path.extension().is_none_or(|extension| extension != "console") {
                continue;
            }
            let text = fs::read(&path).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            let lines: Vec<&str> = text.lines().collect();
            eprintln!("---- {}", entry.file_name().display());
            for line in &lines[lines.len().saturating_sub(CONSOLE_LINES)..] {
                eprintln!("{line}");
            }
        }
    }
}
