//! Clients that are too many, too slow, or mad: each gets an answer or the end of its connection, and none gets in the
//! way of another.

use std::time::Duration;

use fleet_api::v2::{UnitChange, UnitsRequest};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::{Answered, Served};
use crate::http::Limits;

const LIMIT: Duration = Duration::from_secs(20);
const TEXT: &str = "[Service]\nExecStart=/bin/true\n";

/// Limits that are soon reached.
fn tight() -> Limits {
    Limits {
        head: Duration::from_millis(200),
        pause: Duration::from_millis(200),
        stall: Duration::from_millis(200),
        ..Limits::default()
    }
}

impl Served {
    /// A connection that has sent this.
    async fn connect(&self, sent: &str) -> UnixStream {
        let mut stream = UnixStream::connect(&self.path).await.unwrap();
        stream.write_all(sent.as_bytes()).await.unwrap();
        stream
    }

    /// Waits until so many connections are left.
    async fn until_inside(&self, expected: usize) {
        let mut inside = self.door.inside();
        let reached = inside.wait_for(|inside| *inside == expected);
        tokio::time::timeout(LIMIT, reached).await.expect("connections stay").unwrap();
    }

    async fn submit(&self, name: &str, text: &str) -> Answered {
        let text = Some(text.to_owned());
        let request = UnitsRequest { units: vec![UnitChange { name: name.to_owned(), text, ..UnitChange::default() }] };
        self.send("POST", "/fleet/v2/units", &serde_json::to_string(&request).unwrap()).await
    }
}

/// All that comes until the other end closes.
async fn rest(mut stream: UnixStream) -> String {
    let mut bytes = Vec::new();
    // A connection that is reset has ended, too.
    _ = tokio::time::timeout(LIMIT, stream.read_to_end(&mut bytes)).await.expect("it is never closed");
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn half_a_request_does_not_hold_a_connection_for_ever() {
    let served = Served::with(tight()).await;
    let silent = served.connect("").await;
    let half_head = served.connect("GET /fleet/v2/units HTTP/1.1\r\nHost: fl").await;
    let idle = served.connect("GET /fleet/v2/machines HTTP/1.1\r\nHost: fleet\r\n\r\n").await;
    let head =
        "POST /fleet/v2/units HTTP/1.1\r\nHost: fleet\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n";
    let half_body = served.connect(&format!("{head}{{\"units\"")).await;
    assert_eq!(served.get("/fleet/v2/units").await.status, 200, "others are served meanwhile");

    assert_eq!(rest(silent).await, "");
    assert_eq!(rest(half_head).await, "");
    let idle = rest(idle).await;
    assert!(idle.starts_with("HTTP/1.1 200"), "{idle}");
    let half_body = rest(half_body).await;
    assert!(half_body.starts_with("HTTP/1.1 408"), "{half_body}");
    served.until_inside(0).await;
}

#[tokio::test]
async fn who_does_not_read_is_let_go_and_costs_nothing_meanwhile() {
    let served = Served::with(tight()).await;
    let text = format!("[Unit]\nDescription={}\n{TEXT}", "x".repeat(8_000));
    for n in 0..100 {
        assert_eq!(served.submit(&format!("u{n}.service"), &text).await.status, 200);
    }
    let mut idle = Vec::new();
    for query in ["", "?watch=true"] {
        for _ in 0..20 {
            idle.push(served.connect(&format!("GET /fleet/v2/units{query} HTTP/1.1\r\nHost: fleet\r\n\r\n")).await);
        }
    }
    let list = served.get("/fleet/v2/units").await;
    assert_eq!(list.json()["units"].as_array().unwrap().len(), 100, "others are served meanwhile");
    served.until_inside(0).await;
    drop(idle);
}

#[tokio::test]
async fn clients_that_are_gone_without_a_word_are_forgotten() {
    let served = Served::new().await;
    for sent in ["", "GET /fl", "GET /fleet/v2/units?watch=true HTTP/1.1\r\nHost: fleet\r\n\r\n"] {
        for _ in 0..10 {
            drop(served.connect(sent).await);
        }
    }
    served.until_inside(0).await;
}

#[tokio::test]
async fn garbage_ends_a_connection_and_nothing_else() {
    let served = Served::new().await;
    let good = "GET /fleet/v2/machines HTTP/1.1\r\nHost: fleet\r\n\r\n";
    let answer = rest(served.connect(&format!("{good}{good}\x01\x02 nonsense\r\n\r\n{good}")).await).await;
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 2, "what came before it is answered: {answer}");
    assert_eq!(answer.matches("HTTP/1.1 400").count(), 1, "{answer}");
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(100_000));
    let mut stream = UnixStream::connect(&served.path).await.unwrap();
    // It may be refused before it has been sent.
    _ = stream.write_all(long.as_bytes()).await;
    let answer = rest(stream).await;
    assert!(answer.starts_with("HTTP/1.1 4") || answer.is_empty(), "{answer}");
    assert_eq!(served.get("/fleet/v2/units").await.status, 200);
}

#[tokio::test]
async fn who_comes_when_all_places_are_taken_is_told_to_come_again() {
    let served = Served::with(Limits { connections: 3, connections_of_one: 2, ..Limits::default() }).await;
    let first = served.connect("").await;
    let second = served.connect("").await;
    served.until_inside(2).await;
    let answer = served.get("/fleet/v2/units").await;
    assert_eq!((answer.status, answer.headers["retry-after"].to_str().unwrap()), (429, "1"));
    assert!(answer.message().contains("holds 2 connections"), "{}", answer.body);
    assert_eq!(answer.headers["server"], concat!("fleetd/", env!("CARGO_PKG_VERSION")));
    drop(first);
    served.until_inside(1).await;
    assert_eq!(served.get("/fleet/v2/units").await.status, 200);
    drop(second);

    let served = Served::with(Limits { connections: 1, ..Limits::default() }).await;
    let held = served.connect("").await;
    served.until_inside(1).await;
    let answer = served.get("/fleet/v2/units").await;
    assert_eq!((answer.status, answer.headers["retry-after"].to_str().unwrap()), (503, "1"));
    // fleetctl waits for its turn.
    let client = served.client();
    let (list, ()) = tokio::join!(client.units::<&str>(&[]), async { drop(held) });
    assert!(list.unwrap().units.is_empty());
}

#[tokio::test]
async fn writes_that_are_too_many_are_told_to_come_again_and_the_others_are_made() {
    let served = Served::with(Limits { writes: 1, waiting: 1, ..Limits::default() }).await;
    assert_eq!(served.submit("a.service", TEXT).await.status, 200);
    served.store.up.send_replace(false);
    let (served, names) = (&served, ["b.service", "c.service", "d.service", "e.service"]);
    let mut writes: FuturesUnordered<_> =
        names.into_iter().map(|name| async move { (name, served.submit(name, TEXT).await) }).collect();
    for _ in 0..2 {
        let (name, answer) = writes.next().await.unwrap();
        assert_eq!((answer.status, answer.headers["retry-after"].to_str().unwrap()), (429, "1"), "{name}");
    }
    // The registry is back while the one that is under way has patience with it; the other waits for its turn.
    served.store.up.send_replace(true);
    let mut expected = vec!["a.service"];
    while let Some((name, answer)) = writes.next().await {
        assert_eq!(answer.status, 200, "{name}: {}", answer.body);
        expected.push(name);
    }
    expected.sort_unstable();
    let list = served.get("/fleet/v2/units").await.json();
    let listed: Vec<_> = list["units"].as_array().unwrap().iter().map(|unit| unit["name"].as_str().unwrap()).collect();
    assert_eq!(listed, expected, "what was answered was made, and nothing else");
}

#[tokio::test]
async fn large_bodies_share_what_room_there_is() {
    let served = Served::with(Limits { bytes: 1 << 20, ..Limits::default() }).await;
    let half = "x".repeat(900_000);
    let head =
        "POST /fleet/v2/units HTTP/1.1\r\nHost: fleet\r\nConnection: close\r\nContent-Type: application/json\r\n";
    let mut holder = served.connect(&format!("{head}Content-Length: 900001\r\n\r\n{half}")).await;
    // What it has sent is taken in before others are looked at: a second one finds no room.
    let answer = loop {
        let answer = served.send("POST", "/fleet/v2/units", &half).await;
        if answer.status != 400 {
            break answer;
        }
    };
    assert_eq!((answer.status, answer.headers["retry-after"].to_str().unwrap()), (503, "1"), "{}", answer.body);
    assert_eq!(served.submit("a.service", TEXT).await.status, 200, "small ones need no room");
    holder.write_all(b"x").await.unwrap();
    let answer = rest(holder).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "it is read, and means nothing: {answer}");
    assert_eq!(served.send("POST", "/fleet/v2/units", &half).await.status, 400, "there is room again");
}
