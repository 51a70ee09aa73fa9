//! How many requests etcd has been sent, by its own count.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::lab::{Etcd, Lab};

/// Longer than etcd ever takes for it.
const LIMIT: Duration = Duration::from_secs(10);

/// Requests since etcd was started, by method; every message on a stream counts as one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Requests(BTreeMap<String, f64>);

impl Requests {
    /// Asks the first member.
    pub(crate) fn now(lab: &Lab, etcd: Etcd<'_>) -> Result<Self> {
        let url = etcd.client_urls().into_iter().next().context("there is no etcd")?;
        let address = url.strip_prefix("http://").unwrap_or(&url).to_owned();
        let text = lab.in_network(|| get(&address))?.with_context(|| format!("cannot read {url}/metrics"))?;
        Self::parse(&text).with_context(|| format!("{url}/metrics has no line of requests"))
    }

    /// Asks an etcd that serves clients here: `127.0.0.1:PORT`.
    pub(crate) fn of(address: &str) -> Result<Self> {
        let text = get(address).with_context(|| format!("cannot read {address}/metrics"))?;
        Self::parse(&text).with_context(|| format!("{address}/metrics has no line of requests"))
    }

    /// How many of those since an earlier look may have written something. An agent and an engine read in other ways.
    pub(crate) fn writes_since(&self, earlier: &Self) -> f64 {
        let count = |requests: &Self, method: &str| requests.0.get(method).copied().unwrap_or_default();
        ["Txn", "Put", "DeleteRange"].map(|method| count(self, method) - count(earlier, method)).iter().sum()
    }

    fn parse(metrics: &str) -> Option<Self> {
        let mut methods = BTreeMap::new();
        for line in metrics.lines() {
            let Some((name, rest)) = line.split_once('{') else { continue };
            let Some((labels, count)) = rest.rsplit_once("} ") else { continue };
            let counted = match name {
                // One for each call that was answered, whatever the answer.
                "grpc_server_handled_total" => label(labels, "grpc_type") == Some("unary"),
                "grpc_server_msg_received_total" => label(labels, "grpc_type") != Some("unary"),
                _ => false,
            };
            if let (true, Some(method), Ok(count)) =
                (counted, label(labels, "grpc_method"), count.trim().parse::<f64>())
            {
                *methods.entry(method.to_owned()).or_default() += count;
            }
        }
        (!methods.is_empty()).then_some(Self(methods))
    }

    /// What has come since an earlier look, a second, by method; methods without any are left out.
    pub(crate) fn since(&self, earlier: &Self, span: Duration) -> BTreeMap<String, f64> {
        let before = |method: &str| earlier.0.get(method).copied().unwrap_or_default();
        let rates =
            self.0.iter().map(|(method, count)| (method.clone(), (count - before(method)) / span.as_secs_f64()));
        rates.filter(|(_, rate)| *rate > 0.0).collect()
    }
}

fn label<'l>(labels: &'l str, name: &str) -> Option<&'l str> {
    let pairs = labels.split(',').filter_map(|pair| pair.split_once('='));
    pairs.filter(|(key, _)| *key == name).map(|(_, value)| value.trim_matches('"')).next()
}

fn get(address: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(LIMIT))?;
    // HTTP/1.0, so that the answer comes in one piece and ends with the connection.
    stream.write_all(format!("GET /metrics HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.lines().next().is_some_and(|status| status.contains(" 200 ")) => Ok(body.to_owned()),
        _ => bail!("the answer is {:?}", answer.lines().next().unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = r#"# TYPE grpc_server_handled_total counter
grpc_server_handled_total{grpc_code="OK",grpc_method="Txn",grpc_service="etcdserverpb.KV",grpc_type="unary"} 10
grpc_server_handled_total{grpc_code="Unavailable",grpc_method="Txn",grpc_service="etcdserverpb.KV",grpc_type="unary"} 2
grpc_server_handled_total{grpc_code="OK",grpc_method="Watch",grpc_service="etcdserverpb.Watch",grpc_type="bidi_stream"} 99
grpc_server_msg_received_total{grpc_method="Txn",grpc_service="etcdserverpb.KV",grpc_type="unary"} 12
grpc_server_msg_received_total{grpc_method="LeaseKeepAlive",grpc_service="etcdserverpb.Lease",grpc_type="bidi_stream"} 5
"#;

    #[test]
    fn calls_and_messages_on_streams_are_counted_once() {
        let requests = Requests::parse(BEFORE).unwrap();
        assert_eq!(requests.0, [("LeaseKeepAlive".to_owned(), 5.0), ("Txn".to_owned(), 12.0)].into());
        assert_eq!(Requests::parse("process_cpu_seconds_total 1\n"), None);
    }

    #[test]
    fn only_what_has_come_since_counts() {
        let after = Requests::parse(&BEFORE.replace("} 5\n", "} 20\n")).unwrap();
        let rates = after.since(&Requests::parse(BEFORE).unwrap(), Duration::from_secs(10));
        assert_eq!(rates, [("LeaseKeepAlive".to_owned(), 1.5)].into());
        let later = Requests::parse(&BEFORE.replace("} 10\n", "} 17\n")).unwrap();
        assert_eq!((later.writes_since(&after), after.writes_since(&after)), (7.0, 0.0));
    }
}
