use proptest::prelude::*;

use super::*;

const TTL: Duration = Duration::from_secs(9);

fn seconds(s: f64) -> Duration {
    Duration::from_secs_f64(s)
}

fn started(sent: f64) -> SessionEvent {
    SessionEvent::Started { lease: 1, ttl: TTL, sent: seconds(sent) }
}

fn acknowledged(sent: f64) -> SessionEvent {
    SessionEvent::Acknowledged { lease: 1, ttl: TTL, sent: seconds(sent), received: seconds(sent + 0.5) }
}

const LOST: SessionEvent = SessionEvent::Lost { lease: 1 };

fn after(events: &[SessionEvent]) -> Evidence {
    let mut evidence = Evidence::new();
    events.iter().for_each(|event| evidence.observe(event));
    evidence
}

#[test]
fn is_trusted_after_one_whole_lease_without_a_gap() {
    let steady: Vec<_> = [started(0.0)].into_iter().chain((1..=4).map(|i| acknowledged(2.7 * f64::from(i)))).collect();
    // With keep-alives acknowledged up to the one sent at 10.8 s.
    for (now, trusted) in [(8.9, false), (9.0, true), (10.8, true), (13.8, true), (13.9, false), (100.0, false)] {
        assert_eq!(after(&steady).trusted(seconds(now)), trusted, "at {now}");
    }
}

#[test]
fn tables() {
    type Row = (&'static str, Vec<SessionEvent>, f64, bool, Option<f64>);
    let rows: Vec<Row> = vec![
        ("nothing", vec![], 100.0, false, None),
        ("just started", vec![started(50.0)], 51.0, false, Some(50.0)),
        ("started, and silent since", vec![started(50.0)], 60.0, false, None),
        (
            "a gap of exactly a third",
            vec![started(0.0), acknowledged(3.0), acknowledged(6.0), acknowledged(9.0)],
            9.0,
            true,
            Some(0.0),
        ),
        (
            "a gap above a third",
            vec![started(0.0), acknowledged(3.0), acknowledged(6.1), acknowledged(9.0)],
            10.0,
            false,
            Some(6.1),
        ),
        (
            "one lease after the gap",
            vec![started(0.0), acknowledged(5.0), acknowledged(8.0), acknowledged(11.0), acknowledged(14.0)],
            14.5,
            true,
            Some(5.0),
        ),
        (
            "a lost lease, even if a new one follows at once",
            vec![started(0.0), acknowledged(3.0), acknowledged(6.0), acknowledged(9.0), LOST, started(9.5)],
            10.0,
            false,
            Some(9.5),
        ),
        ("a lost lease", vec![started(0.0), acknowledged(3.0), LOST], 3.5, false, None),
        (
            "an old acknowledgement is no news",
            vec![started(0.0), acknowledged(3.0), acknowledged(1.0)],
            6.0,
            false,
            Some(0.0),
        ),
    ];
    for (what, events, now, trusted, gap_end) in rows {
        let evidence = after(&events);
        assert_eq!(evidence.trusted(seconds(now)), trusted, "{what}");
        assert_eq!(evidence.last_gap_end(seconds(now)), gap_end.map(seconds), "{what}");
    }
}

#[test]
fn a_lease_of_another_length_begins_anew() {
    let mut evidence = after(&[started(0.0), acknowledged(3.0), acknowledged(6.0), acknowledged(9.0)]);
    let longer = Duration::from_secs(30);
    evidence.observe(&SessionEvent::Acknowledged {
        lease: 1,
        ttl: longer,
        sent: seconds(10.0),
        received: seconds(10.0),
    });
    assert!(!evidence.trusted(seconds(11.0)));
}

proptest! {
    /// Against the definition: in the last whole lease up to now, no two acknowledged sendings that follow each other,
    /// and nothing from the last one to now, lie further apart than a third.
    #[test]
    fn means_what_it_says(steps in proptest::collection::vec(1_u64..4_500, 0..30), wait in 0_u64..4_500) {
        let mut sendings = vec![0];
        for step in steps {
            sendings.push(sendings.last().unwrap() + step);
        }
        let now = sendings.last().unwrap() + wait;
        let mut events = vec![started(0.0)];
        events.extend(sendings[1..].iter().map(|ms| acknowledged(Duration::from_millis(*ms).as_secs_f64())));
        let evidence = after(&events);

        let ttl = 9_000;
        let times: Vec<u64> = sendings.iter().copied().chain([now]).collect();
        let covered = now >= ttl;
        let gap = times.windows(2).any(|pair| pair[1] - pair[0] > ttl / 3 && pair[1] + ttl > now);
        prop_assert_eq!(evidence.trusted(Duration::from_millis(now)), covered && !gap);
    }
}
