//! What bad input gets: a status and a message, never a broken connection.

use super::Served;

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_after_it_was_read() {
    let served = Served::new().await;
    let large = "x".repeat((32 << 20) + 1);
    for path in ["/fleet/v1/units/a.service", "/fleet/v2/units", "/fleet/v2/destroy", "/nowhere"] {
        let method = if path.contains("v1") { "PUT" } else { "POST" };
        let answer = served.send(method, path, &large).await;
        assert_eq!(answer.status, 413, "{path}");
        assert!(answer.message().contains("larger than"), "{path}");
    }
}

#[tokio::test]
async fn a_unit_that_is_too_large_to_store_is_refused() {
    let served = Served::new().await;
    let answer = served.put_unit("a.service", &format!("/bin/echo {}", "x".repeat(999_990)), "").await;
    assert_eq!(answer.status, 400);
    assert!(answer.message().contains("1000000"), "{}", answer.body);
}

#[tokio::test]
async fn bodies_of_version_2_that_make_no_sense() {
    let served = Served::new().await;
    for path in ["/fleet/v2/units", "/fleet/v2/destroy"] {
        for body in ["", "{", "[]", r#"{"units":7,"names":7}"#, "\u{0}"] {
            let answer = served.send("POST", path, body).await;
            assert_eq!(answer.status, 400, "{path} {body:?}");
            assert!(answer.message().starts_with("unable to decode body: "), "{}", answer.body);
        }
        let answer = served.ask("POST", path, &[("Content-Type", "application/x-www-form-urlencoded")], "a=b").await;
        assert_eq!(answer.status, 415, "{path}");
        assert_eq!(served.ask("DELETE", path, &[], "").await.status, 405, "{path}");
    }
    let answer = served.send("POST", "/fleet/v2/destroy", r#"{"names":["a.service","nonsense"]}"#).await;
    assert_eq!(answer.status, 400);
    let answer = served.send("POST", "/fleet/v2/units", r#"{"units":[{"name":"a.service","desiredState":"x"}]}"#).await;
    assert_eq!(answer.status, 400);
}

#[tokio::test]
async fn queries_and_paths_that_make_no_sense() {
    let served = Served::new().await;
    for (path, status) in [
        ("/fleet/v2/units?watch=maybe", 400),
        ("/fleet/v2/units?name=nonsense", 400),
        ("/fleet/v2/units/%FF/text", 400),
        ("/fleet/v1/units/%FF", 400),
        ("/fleet/v2/units/nonsense/text", 400),
        ("/fleet/v2/units/a.service/text", 404),
        ("/fleet/v2/units/a.service/status", 404),
        ("/fleet/v2/units/a.service/journal", 404),
        ("/fleet/v2/units/a.service/journal?lines=x", 400),
        ("/fleet/v2/units/a.service/journal?follow=2", 400),
        ("/fleet/v2/units/a.service/journal?output=--help;", 400),
        ("/fleet/v2/units/a.service/journal?machine=m9", 404),
        ("/fleet/v2/nowhere", 404),
    ] {
        let answer = served.get(path).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        answer.message();
    }
}
