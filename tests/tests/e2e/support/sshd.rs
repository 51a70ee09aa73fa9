//! Machines that people log in to: OpenSSH's own server, and a key that opens it.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use fleet_tests::cluster::ClusterBuilder;
use fleet_tests::lab::FileSpec;

const UNIT: &str = "\
[Service]
RuntimeDirectory=sshd
ExecStart=/usr/sbin/sshd -D -e -f /etc/lab-sshd/config
Restart=on-failure
";

const CONFIG: &str = "\
HostKey /etc/lab-sshd/host_key
AuthorizedKeysFile /etc/lab-sshd/authorized_keys
PermitRootLogin prohibit-password
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
";

/// Where the machines' key is kept as one that is known, for whoever names this file.
pub(crate) const KNOWN_HOSTS: &str = "/root/known_hosts_of_the_lab";

/// The cluster with sshd on every machine, which all have one key, and a person whose key opens them.
pub(crate) fn with_sshd(builder: ClusterBuilder) -> Result<ClusterBuilder> {
    let keys = tempfile::tempdir().context("cannot make a folder for keys")?;
    let key = |name: &str| -> Result<(String, String)> {
        let path = keys.path().join(name);
        let mut command = Command::new("ssh-keygen");
        command.args(["-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f"]).arg(&path);
        let made = command.status().context("cannot run ssh-keygen: scripts/setup installs it")?;
        ensure!(made.success(), "ssh-keygen failed: {made}");
        Ok((std::fs::read_to_string(&path)?, std::fs::read_to_string(path.with_extension("pub"))?))
    };
    let ((host, host_public), (person, person_public)) = (key("host")?, key("person")?);
    Ok(builder.lab(|lab| {
        let system = "/etc/systemd/system";
        lab.file(FileSpec::contents(format!("{system}/lab-sshd.service"), UNIT))
            .file(FileSpec::link(format!("{system}/multi-user.target.wants/lab-sshd.service"), "../lab-sshd.service"))
            .file(FileSpec::contents("/etc/lab-sshd/config", CONFIG))
            .file(FileSpec::contents("/etc/lab-sshd/host_key", host).mode(0o600))
            .file(FileSpec::contents("/etc/lab-sshd/authorized_keys", person_public))
            .file(FileSpec::contents(KNOWN_HOSTS, format!("192.0.2.* {host_public}")))
            .file(FileSpec::contents("/root/.ssh/id_ed25519", person).mode(0o600))
    }))
}
