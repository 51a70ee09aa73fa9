//! The lab's network: one bridge, no way out.
//!
//! Addresses are those of TEST-NET-1, which nobody has: 192.0.2.i for machine i, the last
//! ones for the lab itself and for the daemons beside the machines.

use std::net::Ipv4Addr;

use anyhow::Result;

use super::command::run;

/// The bridge that every machine is plugged into.
pub(crate) const BRIDGE: &str = "br0";

/// A bridge that is given no address of its own takes that of one of its ports, and another one when that port's machine
/// goes: for seconds, nobody would reach etcd any more.
const BRIDGE_ADDRESS: &str = "02:00:c0:00:02:fe";

/// Addresses of the lab's own end of the bridge: its own, and one for each etcd member.
const LAB_ADDRESSES: [u8; 4] = [254, 253, 252, 251];

pub(crate) fn address(host: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, host)
}

/// The lab's end of a machine's cable; nspawn names it so.
pub(crate) fn port(machine: &str) -> String {
    format!("vb-{machine}")
}

/// Makes the bridge. Spanning trees and their delays have no place in a network of one.
pub(crate) fn create() -> Result<()> {
    run(["ip", "link", "set", "lo", "up"])?;
    run(["ip", "link", "add", BRIDGE, "address", BRIDGE_ADDRESS, "type", "bridge", "forward_delay", "0"])?;
    for host in LAB_ADDRESSES {
        let address = format!("{}/24", address(host));
        run(["ip", "address", "add", &address, "dev", BRIDGE])?;
    }
    run(["ip", "link", "set", BRIDGE, "up"])
}

/// What a machine does to its own end of the cable, for `ip -batch`.
pub(crate) fn machine_setup(number: u8) -> String {
    format!("link set lo up\naddress add {}/24 dev host0\nlink set host0 up\n", address(number))
}
