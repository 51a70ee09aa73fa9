//! The client against a real socket: what is sent, and what each answer becomes.

use futures::{StreamExt, pin_mut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;
use tokio::task::JoinHandle;

use super::*;

/// Accepts one connection, answers with these bytes, and gives back what was sent.
fn serve_once(dir: &tempfile::TempDir, answer: impl Into<Vec<u8>>) -> (Client, JoinHandle<String>) {
    let (path, answer) = (dir.path().join("fleet.sock"), answer.into());
    let listener = UnixListener::bind(&path).unwrap();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut received = Vec::new();
        while !received.ends_with(b"\r\n\r\n") && !received.ends_with(b"}") {
            let mut buffer = [0; 1024];
            let read = stream.read(&mut buffer).await.unwrap();
            received.extend_from_slice(&buffer[..read]);
        }
        stream.write_all(&answer).await.unwrap();
        String::from_utf8(received).unwrap()
    });
    (Client::new(Endpoint::Unix(path)), server)
}

#[tokio::test]
async fn asks_for_the_named_units() {
    let dir = tempfile::tempdir().unwrap();
    let (client, server) = serve_once(&dir, answer(200, r#"{"revision":3,"units":[]}"#));
    let list = client.units(&["a@1.service", r"b\c.service"]).await.unwrap();
    assert_eq!(list.revision, 3);
    let sent = server.await.unwrap();
    let head = "GET /fleet/v2/units?name=a@1.service&name=b%5Cc.service HTTP/1.1\r\n";
    assert!(sent.starts_with(head), "{sent}");
    assert!(sent.contains("host: localhost\r\n"), "{sent}");
}

/// A whole answer.
fn answer(status: u16, body: &str) -> String {
    format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn refusals_carry_the_servers_words() {
    let cases = [
        (r#"{"error":{"code":503,"message":"no registry yet"}}"#, "no registry yet"),
        (r#"{"error":{"code":503,"message":""}}"#, "fleetd answered 503 Service Unavailable"),
        ("<html>", "fleetd answered 503 Service Unavailable"),
    ];
    for (body, expected) in cases {
        let dir = tempfile::tempdir().unwrap();
        let (client, _server) = serve_once(&dir, answer(503, body));
        let error = client.machines().await.unwrap_err();
        assert_eq!((error.status(), error.to_string().as_str()), (Some(503), expected));
    }
}

#[tokio::test]
async fn a_body_is_sent_as_json() {
    let dir = tempfile::tempdir().unwrap();
    let (client, server) = serve_once(&dir, answer(200, r#"{"revision":9,"units":[]}"#));
    let request = DestroyRequest { names: vec!["a.service".into()] };
    assert_eq!(client.destroy(&request).await.unwrap().revision, 9);
    let sent = server.await.unwrap();
    assert!(sent.contains("content-type: application/json\r\n"), "{sent}");
    assert!(sent.ends_with("\r\n\r\n{\"names\":[\"a.service\"]}"), "{sent}");
}

#[tokio::test]
async fn a_watch_that_ends_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let answer = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n\n{\"type\":\"snapshot\",\"revision\":1,\"units\":[]}\n{\"type\":\"gone\",\"revision\":2,\"name\":\"b\"}\n";
    let (client, _server) = serve_once(&dir, answer);
    let lines = client.watch_units(&["a.service"]).await.unwrap();
    pin_mut!(lines);
    let first = lines.next().await.unwrap().unwrap();
    assert!(matches!(first, WatchLine::Snapshot { revision: 1, .. }), "{first:?}");
    // The line about a unit that nobody asked for is passed over.
    let end = lines.next().await.unwrap().unwrap_err();
    assert!(matches!(end, ApiError::Broken { .. }), "{end:?}");
}

#[tokio::test]
async fn nobody_there_names_the_endpoint() {
    let client = Client::new("unix:///nonexistent/fleet.sock".parse().unwrap());
    let error = client.machines().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot connect to fleetd at unix:///nonexistent/fleet.sock: no such file or directory"
    );
}

#[tokio::test]
async fn a_silent_server_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fleet.sock");
    let _listener = UnixListener::bind(&path).unwrap();
    let client = Client::new(Endpoint::Unix(path)).with_request_timeout(Duration::from_millis(20));
    let error = client.machines().await.unwrap_err();
    assert!(matches!(error, ApiError::TimedOut { .. }), "{error:?}");
}

#[tokio::test]
async fn what_is_no_fleetd_is_told_so() {
    let dir = tempfile::tempdir().unwrap();
    let (client, _server) = serve_once(&dir, "SSH-2.0-OpenSSH_9.2\r\n");
    let error = client.machines().await.unwrap_err();
    assert!(matches!(error, ApiError::Broken { .. }), "{error:?}");
}

#[test]
fn too_many_names_are_filtered_here() {
    let names: Vec<String> = (0..2000).map(|i| format!("unit-{i}.service")).collect();
    assert_eq!(units_path(&names, true), "/fleet/v2/units?watch=true");
    let wanted = Wanted::new(&names);
    assert!(wanted.has("unit-7.service"));
    assert!(!wanted.has("other.service"));
    assert!(Wanted::new::<&str>(&[]).has("other.service"));
}

/// Answers one connection after another with these bytes.
fn serve_each(dir: &tempfile::TempDir, answers: Vec<String>) -> Client {
    let path = dir.path().join("fleet.sock");
    let listener = UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = [0; 4096];
            _ = stream.read(&mut buffer).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    Client::new(Endpoint::Unix(path))
}

fn later(status: u16, seconds: u32) -> String {
    let body = r#"{"error":{"code":0,"message":"busy"}}"#;
    format!("HTTP/1.1 {status} x\r\nretry-after: {seconds}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn a_call_that_is_to_be_made_later_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let list = answer(200, r#"{"revision":9,"units":[]}"#);
    let client = serve_each(&dir, vec![later(503, 0), later(429, 0), list]);
    assert_eq!(client.units::<&str>(&[]).await.unwrap().revision, 9);
}

#[tokio::test]
async fn a_call_that_does_harm_twice_is_made_again_only_if_nothing_was_begun() {
    let dir = tempfile::tempdir().unwrap();
    let done = answer(200, r#"{"revision":9,"units":[]}"#);
    let client = serve_each(&dir, vec![later(429, 0), later(503, 0), done]);
    let error = client.destroy(&DestroyRequest { names: vec!["a.service".into()] }).await.unwrap_err();
    assert_eq!(error.status(), Some(503));
}

#[tokio::test]
async fn what_comes_too_late_is_not_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let client = serve_each(&dir, vec![later(503, 60)]);
    let error = client.machines().await.unwrap_err();
    assert_eq!((error.status(), error.to_string().as_str()), (Some(503), "busy"));
}
