//! The `fleet.conf` of each machine of a cluster.

use std::collections::BTreeMap;

use crate::lab::node_ip;

use super::builder::Registry;

/// The machine that carries the embedded registry.
pub(crate) const REGISTRY_MACHINE: u8 = 1;

/// Where machines that join find their token.
pub(crate) const TOKEN_FILE: &str = "/etc/fleet/token";

/// Options of `fleet.conf`, by name.
pub(crate) type Options = BTreeMap<String, String>;

/// What one machine needs to be part of the cluster, before a test's own options.
pub(crate) fn basics(registry: Registry, machine: u8) -> Options {
    let mut options = Options::new();
    let mut set = |name: &str, value: String| options.insert(name.to_owned(), value);
    // There is no default route in a lab, whose address would be the machine's.
    set("public_ip", node_ip(machine).to_string());
    let registry_address = format!("{}:2379", node_ip(REGISTRY_MACHINE));
    match registry {
        Registry::Embedded | Registry::Joined if machine == REGISTRY_MACHINE => {
            set("registry", "embedded".to_owned());
            set("registry_listen", registry_address);
            if registry == Registry::Embedded {
                set("registry_insecure", "true".to_owned());
            }
        }
        Registry::Joined => {
            set("registry_join", TOKEN_FILE.to_owned());
        }
        Registry::Embedded => {
            set("etcd_servers", format!("http://{registry_address}"));
        }
        Registry::Etcd(members) => {
            set("etcd_servers", crate::lab::Etcd::urls(members).join(","));
        }
    }
    options
}

/// The text of the file.
pub(crate) fn render(options: &Options) -> String {
    options.iter().map(|(name, value)| format!("{name}={value}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_machine_carries_the_registry_and_the_others_use_it() {
        assert_eq!(
            render(&basics(Registry::Embedded, 1)),
            "public_ip=192.0.2.1\nregistry=embedded\nregistry_insecure=true\nregistry_listen=192.0.2.1:2379\n"
        );
        assert_eq!(render(&basics(Registry::Joined, 2)), "public_ip=192.0.2.2\nregistry_join=/etc/fleet/token\n");
        assert_eq!(render(&basics(Registry::Embedded, 2)), "etcd_servers=http://192.0.2.1:2379\npublic_ip=192.0.2.2\n");
    }

    #[test]
    fn with_etcd_all_machines_use_all_members() {
        let servers = "http://192.0.2.251:2379,http://192.0.2.252:2379,http://192.0.2.253:2379";
        assert_eq!(render(&basics(Registry::Etcd(3), 1)), format!("etcd_servers={servers}\npublic_ip=192.0.2.1\n"));
    }
}
