//! The address that other machines and people know this one by.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;

/// The first usable address of the interface that the default route goes out of; without such a route, of any.
/// IPv4 before IPv6.
#[must_use]
pub fn default_address() -> Option<IpAddr> {
    let route = fs::read_to_string("/proc/net/route").ok().and_then(|text| default_interface(&text));
    let addresses = addresses();
    let on_route = addresses.iter().filter(|(interface, _)| route.as_ref() == Some(interface));
    on_route.chain(&addresses).map(|(_, address)| *address).next()
}

/// Interfaces and their usable addresses, IPv4 first, in the kernel's order.
fn addresses() -> Vec<(String, IpAddr)> {
    let Ok(interfaces) = getifaddrs() else { return Vec::new() };
    let mut found: Vec<(String, IpAddr)> = interfaces
        .filter(|i| i.flags.contains(InterfaceFlags::IFF_UP) && !i.flags.contains(InterfaceFlags::IFF_LOOPBACK))
        .filter_map(|i| {
            let address = i.address?;
            let ip = match (address.as_sockaddr_in(), address.as_sockaddr_in6()) {
                (Some(v4), _) => IpAddr::V4(v4.ip()),
                (_, Some(v6)) => IpAddr::V6(v6.ip()),
                _ => return None,
            };
            is_usable(ip).then_some((i.interface_name, ip))
        })
        .collect();
    found.sort_by_key(|(_, address)| address.is_ipv6());
    found
}

fn is_usable(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            !(v4.is_loopback()
                || v4.is_link_local()
                || v4.is_unspecified()
                || v4.is_multicast()
                || v4 == Ipv4Addr::BROADCAST)
        }
        IpAddr::V6(v6) => !(v6.is_loopback() || v6.is_unicast_link_local() || v6.is_unspecified() || v6.is_multicast()),
    }
}

/// The interface of the default route with the lowest metric, from `/proc/net/route`.
fn default_interface(routes: &str) -> Option<String> {
    let route = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [interface, destination, _, flags, _, _, metric, mask, ..] = fields[..] else { return None };
        let up = u32::from_str_radix(flags, 16).ok()? & 1 != 0;
        let default = destination == "00000000" && mask == "00000000";
        (up && default).then_some((metric.parse::<u32>().ok()?, interface.to_owned()))
    };
    routes.lines().skip(1).filter_map(route).min().map(|(_, interface)| interface)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n";

    #[test]
    fn the_lowest_metric_wins_and_only_defaults_that_are_up_count() {
        let routes = format!(
            "{HEADER}wlan0\t00000000\t0100A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\n\
             eth0\t00000000\t0100A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
             down0\t00000000\t0100A8C0\t0002\t0\t0\t1\t00000000\t0\t0\t0\n\
             eth1\t0000A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
        );
        assert_eq!(default_interface(&routes).as_deref(), Some("eth0"));
    }

    #[test]
    fn without_a_default_route_there_is_no_such_interface() {
        assert_eq!(default_interface(HEADER), None);
        assert_eq!(default_interface(""), None);
        assert_eq!(default_interface("garbage\nmore garbage\n"), None);
    }

    #[test]
    fn addresses_that_lead_nowhere_are_not_usable() {
        for address in ["127.0.0.1", "169.254.1.1", "0.0.0.0", "::1", "fe80::1", "ff02::1", "255.255.255.255"] {
            assert!(!is_usable(address.parse().unwrap()), "{address}");
        }
        for address in ["192.0.2.1", "10.0.0.1", "2001:db8::1", "fd00::1"] {
            assert!(is_usable(address.parse().unwrap()), "{address}");
        }
    }
}
