//! Whether the registry can be reached: told in the log when it changes, and asked when fleetd ends.

use std::sync::Arc;
use std::time::Duration;

use fleet_registry::session::SessionEvent;
use fleet_registry::store::{RangeRequest, Request};
use fleet_registry::{Key, Layout, Store};
use sd_notify::NotifyState;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::config::{Config, DEFAULT_PATH, ListenAddress};

/// What is known of the registry.
#[derive(Clone)]
pub(super) struct Reach {
    lease: watch::Receiver<Option<Acknowledged>>,
}

#[derive(Debug, Clone, Copy)]
struct Acknowledged {
    at: Instant,
    ttl: Duration,
    /// How long the answer took.
    latency: Option<Duration>,
}

impl Reach {
    /// Whether this fleetd has a lease that was acknowledged within its time to live.
    pub(super) fn in_touch(&self) -> bool {
        self.lease.borrow().is_some_and(|lease| lease.at.elapsed() < lease.ttl)
    }

    /// Whether it was heard of so lately that what is known of the cluster is what is. Before the first lease there is
    /// nothing to go by.
    pub(super) fn is_fresh(&self) -> bool {
        self.lease.borrow().is_none_or(|lease| lease.at.elapsed() < lease.ttl / 2)
    }
}

impl Reach {
    /// How long the last keep-alive took to be answered, and how long ago that was.
    pub(super) fn last_answer(&self) -> Option<(Duration, Duration)> {
        let lease = *self.lease.borrow();
        lease.and_then(|lease| Some((lease.latency?, lease.at.elapsed())))
    }
}

/// Follows the session, and says in the log when the registry comes or goes.
pub(super) fn follow(
    mut session: UnboundedReceiver<SessionEvent>,
    store: Arc<dyn Store>,
    layout: &Layout,
    timeout: Duration,
    advice: String,
) -> Reach {
    let (known, lease) = watch::channel(None);
    let probe = Request::Range(RangeRequest::key(layout.encode(&Key::Cluster)));
    tokio::spawn(async move {
        let mut absent_since = Some(Instant::now());
        // A registry that needs a moment to answer for the first time is no news.
        // Told once an outage, however long it lasts: the status that systemctl shows goes on saying it.
        let mut tell_at = Some(Instant::now() + timeout.saturating_mul(2));
        loop {
            let event = tokio::select! {
                event = session.recv() => event,
                () = tokio::time::sleep_until(tell_at.unwrap_or_else(Instant::now)), if tell_at.is_some() => {
                    tell_at = None;
                    show("the registry cannot be reached; units go on as they are");
                    let why = match tokio::time::timeout(timeout, store.call(probe.clone())).await {
                        Ok(Ok(_)) => "it answers, but grants no lease".to_owned(),
                        Ok(Err(error)) => error.to_string(),
                        Err(_) => format!("no answer within {} s", timeout.as_secs_f64()),
                    };
                    tracing::error!(
                        "the registry cannot be reached ({why}): units go on as they are, and it is tried again all the \
                         time; {advice}"
                    );
                    continue;
                }
            };
            match event {
                Some(SessionEvent::Started { ttl, .. }) => {
                    tell_at = None;
                    if let Some(since) = absent_since.take() {
                        tracing::info!("the registry answers, after {} ms", since.elapsed().as_millis());
                        show("in touch with the registry");
                    }
                    known.send_replace(Some(Acknowledged { at: Instant::now(), ttl, latency: None }));
                }
                Some(SessionEvent::Acknowledged { ttl, sent, received, .. }) => {
                    let latency = Some(received.saturating_sub(sent));
                    known.send_replace(Some(Acknowledged { at: Instant::now(), ttl, latency }));
                }
                Some(SessionEvent::Lost { .. }) => {
                    tracing::warn!("this machine's lease is lost: the registry did not answer for its whole length");
                    show("the registry cannot be reached; units go on as they are");
                    absent_since = Some(Instant::now());
                    tell_at = Some(Instant::now() + timeout);
                    known.send_modify(|lease| {
                        if let Some(lease) = lease {
                            lease.ttl = Duration::ZERO;
                        }
                    });
                }
                None => return,
            }
        }
    });
    Reach { lease }
}

/// Has `systemctl status` say it.
fn show(status: &str) {
    // Without systemd above there is nobody to show it.
    _ = sd_notify::notify(&[NotifyState::Status(status)]);
}

/// What a person can do when the registry does not answer.
pub(super) fn advice(config: &Config) -> String {
    let etcd = &config.etcd;
    if config.registry.embedded {
        return format!("the registry runs inside this fleetd, at {}", config.registry.listen);
    }
    let servers = etcd.servers.join(",");
    let papers = super::registry::papers_directory(&config.state_directory);
    if !etcd.configured && (config.registry.join.is_some() || papers.exists()) {
        return format!(
            "this machine reaches the registry with what it got for its token ({}): check that the machine that carries \
             the registry is up",
            papers.display()
        );
    }
    if etcd.configured {
        return format!("check that etcd runs at {servers}, or correct etcd_servers");
    }
    format!(
        "no registry is configured, so fleet's default {servers} is tried: set registry_join= in {DEFAULT_PATH} to a \
         token of the cluster to join (`fleetctl registry token` there), or etcd_servers= to its etcd, or registry=embedded to make this machine the \
         registry of a new one"
    )
}

/// Whoever can write to the registry is root on every machine.
pub(super) fn warn_of_plain_text(endpoints: &[String]) {
    for endpoint in endpoints {
        let Some(host) = endpoint.strip_prefix("http://") else { continue };
        // A name that does not resolve yet is spoken of when it is tried.
        let local = host.starts_with("localhost") || ListenAddress::parse(host).is_ok_and(|a| a.is_local());
        if !local {
            tracing::warn!(
                "etcd at {endpoint} is spoken to in plain text: whoever can write to it is root on every machine; \
                 use https with etcd_cafile, etcd_certfile, and etcd_keyfile"
            );
        }
    }
}
