//! systemd's signals, read on a connection of their own.
//!
//! A stream of signals that nobody drains blocks its whole connection, calls included. So this one makes no calls after
//! its set-up, and a task of its own reads it into an unbounded channel.

use std::collections::HashMap;
use std::num::NonZeroUsize;

use fleet_units::UnitName;
use futures::StreamExt;
use tokio::sync::mpsc::UnboundedSender;
use zbus::message::Type;
use zbus::wire::{OwnedObjectPath, Variant};
use zbus::{Connection, MatchRule, Message, MessageStream};

use super::names::{UNITS, unit_of};
use crate::effect::UnitReport;

const SYSTEMD: &str = "org.freedesktop.systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const UNIT: &str = "org.freedesktop.systemd1.Unit";

/// What a signal says.
#[derive(Debug)]
pub(super) enum Signal {
    /// A job ended.
    JobRemoved { job: String, result: String },
    /// A unit's properties changed.
    Unit { unit: UnitName, change: Change },
    /// systemd has read its files anew, or it is another systemd now: whatever was known may be out of date.
    Reloaded,
    /// The connection has ended.
    Ended,
}

/// The properties that the agent cares for, as far as a signal carried them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    active: Option<String>,
    sub: Option<String>,
    since: Option<u64>,
    invocation: Option<String>,
    result: Option<String>,
    main_pid: Option<u32>,
    n_restarts: Option<u32>,
    /// Whether this is the last of the signals that speak of one change: systemd sends the type's own properties first.
    pub complete: bool,
}

impl Change {
    /// Brings a report up to date.
    pub(super) fn apply(self, report: &mut UnitReport) {
        let idle = |state: &str| matches!(state, "inactive" | "failed");
        let begins = idle(&report.active) && self.active.as_deref().is_some_and(|active| !idle(active));
        if report.load.is_empty() || begins {
            // A unit whose state changes is loaded, and one that begins to run is so whatever was wrong with a text that
            // it had before; signals never carry it.
            report.load = "loaded".into();
        }
        // A stop goes through several states, and began with the first of them.
        let stops = |active: &str| active == "deactivating";
        if !(stops(&report.active) && self.active.as_deref().is_none_or(stops)) || report.since == 0 {
            set(&mut report.since, self.since);
        }
        set(&mut report.active, self.active);
        set(&mut report.sub, self.sub);
        set(&mut report.invocation, self.invocation);
        set(&mut report.result, self.result);
        set(&mut report.main_pid, self.main_pid);
        set(&mut report.n_restarts, self.n_restarts);
    }
}

fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

/// Subscribes on this connection and reads it until it ends.
pub(super) async fn listen(connection: &Connection, signals: UnboundedSender<Signal>) -> zbus::Result<()> {
    let mut stream = MessageStream::from(connection);
    stream.set_max_queued(NonZeroUsize::new(4096).unwrap_or(NonZeroUsize::MIN));
    tokio::spawn(async move {
        while let Some(message) = stream.next().await {
            let Ok(message) = message else { break };
            if let Some(signal) = parse(&message)
                && signals.send(signal).is_err()
            {
                return;
            }
        }
        let _ = signals.send(Signal::Ended);
    });
    let systemd = || MatchRule::builder().msg_type(Type::Signal).sender(SYSTEMD);
    let rules = [
        systemd().interface(MANAGER).member("JobRemoved"),
        systemd().interface(MANAGER).member("Reloading"),
        systemd().interface("org.freedesktop.DBus.Properties").member("PropertiesChanged").path_namespace(UNITS),
        MatchRule::builder().msg_type(Type::Signal).member("NameOwnerChanged").add_arg(SYSTEMD),
    ];
    for rule in rules {
        let rule = rule.build()?.to_string();
        let bus = Some("org.freedesktop.DBus");
        connection.call_method(bus, "/org/freedesktop/DBus", bus, "AddMatch", &rule).await?;
    }
    super::manager::ManagerProxy::new(connection).await?.subscribe().await
}

fn parse(message: &Message) -> Option<Signal> {
    if message.message_type() != Type::Signal {
        return None;
    }
    let header = message.header();
    match header.member()?.as_str() {
        "PropertiesChanged" => {
            let unit = unit_of(header.path()?.as_str())?;
            let body = message.body();
            let (interface, changed, _): (&str, HashMap<&str, Variant<'_>>, Vec<&str>) = body.deserialize().ok()?;
            let change = change(&changed, interface == UNIT);
            Some(Signal::Unit { unit, change })
        }
        "JobRemoved" => {
            let body = message.body();
            let (_, job, _, result): (u32, OwnedObjectPath, &str, String) = body.deserialize().ok()?;
            Some(Signal::JobRemoved { job: job.to_string(), result })
        }
        "Reloading" => {
            let active: bool = message.body().deserialize().ok()?;
            (!active).then_some(Signal::Reloaded)
        }
        "NameOwnerChanged" => {
            let body = message.body();
            let (name, _, new): (&str, &str, &str) = body.deserialize().ok()?;
            // It comes back under another connection when it has executed itself anew; its subscribers come along.
            (name == SYSTEMD && !new.is_empty()).then_some(Signal::Reloaded)
        }
        _ => None,
    }
}

fn change(properties: &HashMap<&str, Variant<'_>>, complete: bool) -> Change {
    let text = |name| properties.get(name).and_then(|v| v.downcast_ref::<&str>().ok()).map(str::to_owned);
    let number = |name| properties.get(name).and_then(|v| v.downcast_ref::<u32>().ok());
    Change {
        active: text("ActiveState"),
        sub: text("SubState"),
        since: properties.get("StateChangeTimestamp").and_then(|v| v.downcast_ref::<u64>().ok()).map(|us| us / 1000),
        invocation: properties.get("InvocationID").and_then(invocation),
        result: text("Result"),
        main_pid: number("MainPID"),
        n_restarts: number("NRestarts"),
        complete,
    }
}

/// An invocation id in hexadecimal, as people know it.
pub(super) fn invocation(value: &Variant<'_>) -> Option<String> {
    let Variant::Array(array) = value else { return None };
    array.iter().map(|byte| byte.downcast_ref::<u8>().ok().map(|b| format!("{b:02x}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// People are told until when a stop may take: that must not move on with each of its states.
    #[test]
    fn a_stop_begins_once() {
        let signal = |active: Option<&str>, sub: &str, since| Change {
            active: active.map(str::to_owned),
            sub: Some(sub.to_owned()),
            since: Some(since),
            ..Change::default()
        };
        let mut report = UnitReport { load: "loaded".into(), ..UnitReport::default() };
        let steps = [
            (signal(Some("active"), "running", 10), 10),
            (signal(Some("deactivating"), "stop", 20), 20),
            (signal(Some("deactivating"), "stop-sigterm", 30), 20),
            (signal(None, "stop-sigkill", 40), 20),
            (signal(Some("failed"), "failed", 50), 50),
            (signal(Some("failed"), "failed", 60), 60),
        ];
        for (change, since) in steps {
            let said = format!("{change:?}");
            change.apply(&mut report);
            assert_eq!(report.since, since, "{said}");
        }
    }
}
