//! What this machine is: identity, boot, capacity, address.

mod capacity;
mod network;

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use fleet_units::MachineId;

pub use capacity::{Manager, capacity};
pub use network::default_address;

/// Why a fact could not be found out.
#[derive(Debug, thiserror::Error)]
pub enum FactError {
    /// A file that should be there cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// `/etc/machine-id` holds no id.
    #[error("{path} holds no machine id ({why}): run `systemd-machine-id-setup`")]
    MachineId {
        /// Where it was looked for.
        path: String,
        /// Why.
        why: String,
    },
    /// The kernel does not say.
    #[error("the hostname cannot be read: {0}")]
    Hostname(io::Error),
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> FactError {
    move |source| FactError::File { path: path.display().to_string(), source }
}

fn read(path: &Path) -> Result<String, FactError> {
    fs::read_to_string(path).map(|text| text.trim().to_owned()).map_err(at(path))
}

/// This machine's id, from a file such as `/etc/machine-id`.
///
/// # Errors
/// When the file cannot be read or holds no id.
pub fn machine_id(path: &Path) -> Result<MachineId, FactError> {
    let text = read(path)?;
    MachineId::parse(&text)
        .map_err(|error| FactError::MachineId { path: path.display().to_string(), why: error.to_string() })
}

/// Which boot this is.
///
/// # Errors
/// When the kernel does not say.
pub fn boot_id() -> Result<String, FactError> {
    read(Path::new("/proc/sys/kernel/random/boot_id"))
}

/// The machine's name.
///
/// # Errors
/// When the kernel does not say.
pub fn hostname() -> Result<String, FactError> {
    let name = nix::unistd::gethostname().map_err(|errno| FactError::Hostname(errno.into()))?;
    Ok(name.to_string_lossy().into_owned())
}

/// The nonce of this boot's fleetd, made by the first one and read by all that follow: it tells a restarted fleetd from
/// another machine with the same id. `directory` must not outlive a boot, as `/run/fleet`.
///
/// # Errors
/// When it can be neither read nor written.
pub fn instance(directory: &Path) -> Result<String, FactError> {
    let path = directory.join("instance");
    fs::create_dir_all(directory).map_err(at(directory))?;
    let nonce = read(Path::new("/proc/sys/kernel/random/uuid"))?;
    // Written aside and linked, so that of two fleetds that start at once both read the same whole nonce.
    let temporary = directory.join(format!(".instance.{nonce}"));
    let write = || {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(nonce.as_bytes())?;
        let linked = fs::hard_link(&temporary, &path);
        fs::remove_file(&temporary)?;
        match linked {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        }
    };
    if !path.exists() {
        write().map_err(at(&path))?;
    }
    read(&path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_is_made_once() {
        let directory = tempfile::tempdir().unwrap();
        let first = instance(directory.path()).unwrap();
        assert!(!first.is_empty());
        assert_eq!(instance(directory.path()).unwrap(), first);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left behind");
        let other = tempfile::tempdir().unwrap();
        assert_ne!(instance(other.path()).unwrap(), first);
    }

    #[test]
    fn instances_made_at_once_agree() {
        let directory = tempfile::tempdir().unwrap();
        let made: Vec<String> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| instance(directory.path()).unwrap())).collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert!(made.iter().all(|nonce| *nonce == made[0]), "{made:?}");
    }

    #[test]
    fn a_machine_id_is_trimmed_and_checked() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("machine-id");
        assert!(machine_id(&path).unwrap_err().to_string().contains("machine-id"));
        fs::write(&path, "\n").unwrap();
        assert!(machine_id(&path).unwrap_err().to_string().contains("systemd-machine-id-setup"));
        fs::write(&path, "4b1d7f5a3c9e4d0f8a6b2c1d0e9f8a7b\n").unwrap();
        assert_eq!(machine_id(&path).unwrap().short(), "4b1d7f5a");
    }

    #[test]
    fn this_machine_has_facts() {
        assert_eq!(boot_id().unwrap().len(), 36);
        assert!(!hostname().unwrap().is_empty());
    }
}
