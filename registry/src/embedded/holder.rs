//! Who holds a TCP port, as far as /proc tells.

use std::fs;

/// `etcd (process 4711)`, or words for somebody unknown.
pub(super) fn of_port(port: u16) -> String {
    let unknown = || "another process".to_owned();
    let Some(inode) = ["/proc/net/tcp", "/proc/net/tcp6"].iter().find_map(|table| listener(table, port)) else {
        return unknown();
    };
    let socket = format!("socket:[{inode}]");
    let Ok(processes) = fs::read_dir("/proc") else { return unknown() };
    for process in processes.flatten() {
        let Ok(id) = process.file_name().to_string_lossy().parse::<u32>() else { continue };
        // Those of other users cannot be read, and processes come and go.
        let Ok(files) = fs::read_dir(process.path().join("fd")) else { continue };
        let holds = |file: fs::DirEntry| fs::read_link(file.path()).is_ok_and(|to| to.as_os_str() == socket.as_str());
        if files.flatten().any(holds) {
            let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return format!("{} (process {id})", name.trim());
        }
    }
    unknown()
}

/// The inode of the socket that listens on a port, from the kernel's table.
fn listener(table: &str, port: u16) -> Option<u64> {
    const LISTENING: &str = "0A";
    let suffix = format!(":{port:04X}");
    let text = fs::read_to_string(table).ok()?;
    text.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let matches = fields.get(1)?.ends_with(&suffix) && *fields.get(3)? == LISTENING;
        if matches { fields.get(9)?.parse().ok() } else { None }
    })
}
