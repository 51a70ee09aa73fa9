use proptest::prelude::*;

use super::*;
use crate::loopback::{Connection, Fault, Loopback};
use crate::store::Header;

const TTL: Duration = Duration::from_secs(10);
const LEASE: i64 = 7;

fn seconds(s: f64) -> Duration {
    Duration::from_secs_f64(s)
}

fn at(mono: Mono) -> Now {
    Now { mono, wall: 0 }
}

fn new_session() -> Session {
    Session::new(SessionConfig { ttl: TTL, seed: 1 })
}

/// The calls among some effects.
fn calls(effects: &[SessionEffect]) -> Vec<(CallId, Request)> {
    let call = |effect: &SessionEffect| match effect {
        SessionEffect::Store(StoreEffect::Call { id, request }) => Some((*id, request.clone())),
        _ => None,
    };
    effects.iter().filter_map(call).collect()
}

fn events(effects: &[SessionEffect]) -> Vec<SessionEvent> {
    let event = |effect: &SessionEffect| match effect {
        SessionEffect::Event(event) => Some(event.clone()),
        _ => None,
    };
    effects.iter().filter_map(event).collect()
}

fn answer(session: &mut Session, now: Mono, id: CallId, result: Result<ResponseBody, ErrorKind>) -> Vec<SessionEffect> {
    let result = result
        .map(|body| Response { header: Header::default(), body })
        .map_err(|kind| StoreError::new(kind, "for the test"));
    session.step(at(now), SessionInput::Store(StoreEvent::Answer { id, result }))
}

fn granted() -> Result<ResponseBody, ErrorKind> {
    Ok(ResponseBody::LeaseGrant { id: LEASE, ttl: 10 })
}

fn kept_alive(ttl: i64) -> Result<ResponseBody, ErrorKind> {
    Ok(ResponseBody::LeaseKeepAlive { id: LEASE, ttl })
}

/// A session whose lease was asked for at `sent` and granted half a second later.
fn live(sent: Mono) -> Session {
    let mut session = new_session();
    let effects = session.step(at(sent), SessionInput::Start);
    let [(id, Request::LeaseGrant { ttl: 10, id: 0 })] = calls(&effects)[..] else { panic!("{effects:?}") };
    let effects = answer(&mut session, sent + seconds(0.5), id, granted());
    assert_eq!(events(&effects), [SessionEvent::Started { lease: LEASE, ttl: TTL, sent }]);
    session
}

/// Wakes the session when it wants to be, and returns the keep-alive that it sends.
fn keep_alive(session: &mut Session) -> (Mono, CallId) {
    let now = session.wakeup().expect("a live session has a next keep-alive");
    let effects = session.step(at(now), SessionInput::Tick);
    let [(id, Request::LeaseKeepAlive { id: LEASE })] = calls(&effects)[..] else { panic!("{effects:?}") };
    (now, id)
}

#[test]
fn keep_alives_are_counted_from_sending() {
    let mut session = live(seconds(100.0));
    for round in 1..=5 {
        let (sent, id) = keep_alive(&mut session);
        assert_eq!(sent, seconds(100.0 + 3.0 * f64::from(round)));
        let received = sent + seconds(0.7);
        let effects = answer(&mut session, received, id, kept_alive(10));
        assert_eq!(events(&effects), [SessionEvent::Acknowledged { lease: LEASE, ttl: TTL, sent, received }]);
        assert_eq!(calls(&effects), []);
    }
}

#[test]
fn an_unanswered_keep_alive_is_tried_again_within_a_sixth_until_the_lease_has_run_out() {
    let mut session = live(seconds(100.0));
    let (mut last, _) = keep_alive(&mut session);
    loop {
        let now = session.wakeup().unwrap();
        let effects = session.step(at(now), SessionInput::Tick);
        if now == seconds(110.0) {
            assert_eq!(events(&effects), [SessionEvent::Lost { lease: LEASE }]);
            assert!(matches!(calls(&effects)[..], [(_, Request::LeaseGrant { .. })]), "a new one is asked for");
            assert_eq!(session.lease(), None);
            return;
        }
        assert!(now - last <= TTL / 6 && now < seconds(110.0), "next one {last:?} → {now:?}");
        assert!(matches!(calls(&effects)[..], [(_, Request::LeaseKeepAlive { .. })]));
        last = now;
    }
}

#[test]
fn a_failed_keep_alive_is_not_a_lost_lease() {
    for kind in [ErrorKind::Unavailable, ErrorKind::Unknown, ErrorKind::PermissionDenied, ErrorKind::Other] {
        let mut session = live(seconds(0.0));
        let (sent, id) = keep_alive(&mut session);
        assert_eq!(answer(&mut session, sent, id, Err(kind)), []);
        assert_eq!(session.lease(), Some(LEASE));
        let again = session.wakeup().unwrap();
        assert!(sent < again && again <= sent + TTL / 6);
    }
}

#[test]
fn a_lease_that_the_store_does_not_know_is_lost_at_once() {
    for gone in [kept_alive(0), kept_alive(-1), Err(ErrorKind::LeaseNotFound)] {
        let mut session = live(seconds(0.0));
        let (sent, id) = keep_alive(&mut session);
        let effects = answer(&mut session, sent, id, gone);
        assert_eq!(events(&effects), [SessionEvent::Lost { lease: LEASE }]);
        assert_eq!(calls(&effects).len(), 1);
    }
}

#[test]
fn an_acknowledgement_that_was_overtaken_tells_nothing_new() {
    let mut session = live(seconds(0.0));
    let (_, first) = keep_alive(&mut session);
    let (second_sent, second) = keep_alive(&mut session);
    let received = second_sent + seconds(0.1);
    assert_eq!(events(&answer(&mut session, received, second, kept_alive(10))).len(), 1);
    assert_eq!(answer(&mut session, received, first, kept_alive(10)), []);
    assert_eq!(session.wakeup(), Some(second_sent + seconds(3.0)));
}

#[test]
fn an_acknowledgement_found_after_a_long_sleep_counts_if_it_is_young_enough() {
    // The process is held up from 3 s to 12 s; the answer lay there all the time.
    let mut session = live(seconds(0.0));
    let (sent, id) = keep_alive(&mut session);
    let effects = answer(&mut session, seconds(12.0), id, kept_alive(10));
    assert!(matches!(events(&effects)[..], [SessionEvent::Acknowledged { sent: s, .. }] if s == sent));
    assert_eq!(calls(&effects).len(), 1, "the next one is overdue");
    // Held up until 14 s, it is as good as none.
    let mut session = live(seconds(0.0));
    let (_, id) = keep_alive(&mut session);
    let effects = answer(&mut session, seconds(14.0), id, kept_alive(10));
    assert_eq!(events(&effects).last(), Some(&SessionEvent::Lost { lease: LEASE }));
}

#[test]
fn a_grant_is_retried_jittered_within_a_sixth() {
    let mut session = new_session();
    let mut effects = session.step(at(seconds(0.0)), SessionInput::Start);
    let mut now = seconds(0.0);
    let mut waits = Vec::new();
    for _ in 0..5 {
        let (id, _) = calls(&effects)[0];
        assert_eq!(answer(&mut session, now, id, Err(ErrorKind::Unavailable)), []);
        let next = session.wakeup().unwrap();
        waits.push(next - now);
        now = next;
        effects = session.step(at(now), SessionInput::Tick);
    }
    assert!(waits.iter().all(|w| (TTL / 8..=TTL / 6).contains(w)), "{waits:?}");
    assert!(waits.windows(2).any(|w| w[0] != w[1]), "{waits:?}");
}

#[test]
fn a_grant_that_arrives_after_its_own_lease_has_run_out_does_not_count() {
    let mut session = new_session();
    let effects = session.step(at(seconds(0.0)), SessionInput::Start);
    let (id, _) = calls(&effects)[0];
    assert_eq!(answer(&mut session, seconds(10.0), id, granted()), []);
    assert_eq!(session.lease(), None);
    assert!(session.wakeup().is_some());
}

#[test]
fn stopping_revokes() {
    let mut session = live(seconds(0.0));
    let effects = session.step(at(seconds(1.0)), SessionInput::Stop);
    let [(id, Request::LeaseRevoke { id: LEASE })] = calls(&effects)[..] else { panic!("{effects:?}") };
    assert_eq!(answer(&mut session, seconds(1.0), id, Ok(ResponseBody::LeaseRevoke)), [SessionEffect::Ended]);
    assert_eq!(session.wakeup(), None);
}

#[test]
fn stopping_gives_up_on_a_store_that_does_not_answer() {
    let mut session = live(seconds(0.0));
    let mut effects = session.step(at(seconds(1.0)), SessionInput::Stop);
    for attempt in 1..=REVOCATIONS {
        let [(id, Request::LeaseRevoke { .. })] = calls(&effects)[..] else { panic!("{attempt}: {effects:?}") };
        let now = session.wakeup().unwrap().min(seconds(1.0 + f64::from(attempt)));
        effects = answer(&mut session, now, id, Err(ErrorKind::Unknown));
        if attempt == REVOCATIONS {
            assert_eq!(effects, [SessionEffect::Ended]);
        } else {
            let retry = session.wakeup().unwrap();
            effects = session.step(at(retry), SessionInput::Tick);
        }
    }
}

#[test]
fn stopping_while_a_lease_is_asked_for_leaves_none_behind() {
    let mut store = Loopback::new(1);
    let mut rig = Rig::new(&mut store, 1);
    rig.input(SessionInput::Start);
    rig.input(SessionInput::Stop);
    rig.run(seconds(5.0));
    assert!(rig.ended);
    assert_eq!(store.memory.next_deadline(), None, "no lease is left");
}

/// A session at the end of a link.
struct Rig<'a> {
    session: Session,
    store: &'a mut Loopback,
    now: Mono,
    told: Vec<(Mono, SessionEvent)>,
    calls: Vec<Mono>,
    ended: bool,
}

impl<'a> Rig<'a> {
    fn new(store: &'a mut Loopback, seed: u64) -> Self {
        let session = Session::new(SessionConfig { ttl: TTL, seed });
        Self { session, store, now: Mono::ZERO, told: Vec::new(), calls: Vec::new(), ended: false }
    }

    fn input(&mut self, input: SessionInput) {
        for effect in self.session.step(at(self.now), input) {
            match effect {
                SessionEffect::Store(effect) => {
                    self.calls.push(self.now);
                    self.store.perform(self.now, effect);
                }
                SessionEffect::Event(event) => self.told.push((self.now, event)),
                SessionEffect::Ended => self.ended = true,
            }
        }
    }

    /// Lets time pass until `until`.
    fn run(&mut self, until: Mono) {
        loop {
            for event in self.store.poll(self.now) {
                self.input(SessionInput::Store(event));
            }
            let next = [self.store.link.next_deadline(), self.session.wakeup()].into_iter().flatten().min();
            match next {
                Some(next) if next <= until => {
                    self.now = self.now.max(next);
                    if self.session.wakeup().is_some_and(|w| w <= self.now) {
                        self.input(SessionInput::Tick);
                    }
                }
                _ => {
                    self.now = until;
                    return;
                }
            }
        }
    }

    fn lost(&self) -> usize {
        self.told.iter().filter(|(_, event)| matches!(event, SessionEvent::Lost { .. })).count()
    }
}

#[test]
fn at_rest_one_keep_alive_goes_out_each_third_of_a_lease_and_nothing_else() {
    let mut store = Loopback::new(1);
    let mut rig = Rig::new(&mut store, 1);
    rig.input(SessionInput::Start);
    rig.run(seconds(300.0));
    assert_eq!(rig.calls.len(), 101, "the grant, and one each 3 s");
    assert_eq!(rig.lost(), 0);
}

#[test]
fn an_outage_of_half_a_lease_costs_no_lease_and_a_longer_one_ends_in_a_new_one() {
    for (outage, lost) in [(5.0, 0), (30.0, 1)] {
        for connection in [Connection::Refused, Connection::Silent] {
            let mut store = Loopback::new(1);
            let mut rig = Rig::new(&mut store, 1);
            rig.input(SessionInput::Start);
            rig.run(seconds(20.0));
            rig.store.link.connect(&mut rig.store.memory, rig.now, connection);
            rig.run(seconds(20.0 + outage));
            assert_eq!(rig.lost(), lost, "{outage} s {connection:?}");
            let now = rig.now;
            rig.store.up(now);
            rig.run(now + seconds(4.0));
            assert!(rig.session.lease().is_some(), "back within a sixth of a lease, and a time-out");
            assert_eq!(rig.store.memory.header().revision, 1, "leases are no revisions");
        }
    }
}

proptest! {
    /// The session never believes in a lease that the store has ended, whatever happens to requests and answers.
    #[test]
    fn never_outlives_its_lease(seed: u64, faults in proptest::collection::vec(fault(), 0..60)) {
        let mut store = Loopback::new(seed);
        for fault in faults {
            store.link.inject(fault);
        }
        let mut rig = Rig::new(&mut store, seed);
        rig.input(SessionInput::Start);
        for step in 1..=400 {
            rig.run(seconds(0.25) * step);
            if let Some(lease) = rig.session.lease() {
                let now = rig.now;
                let request = Request::LeaseTimeToLive { id: lease, keys: false };
                let response = rig.store.call(now, request).unwrap();
                let ResponseBody::LeaseTimeToLive(status) = response.body else { panic!("{response:?}") };
                prop_assert!(status.ttl >= 0, "at {now:?} lease {lease} is gone");
            }
        }
    }
}

fn fault() -> impl Strategy<Value = Fault> {
    let delay = (0_u64..900, 0_u64..900).prop_map(|(request, answer)| Fault::Delay {
        request: Duration::from_millis(request),
        answer: Duration::from_millis(answer),
    });
    prop_oneof![
        Just(Fault::None),
        Just(Fault::Refuse),
        Just(Fault::LoseRequest),
        Just(Fault::LoseAnswer),
        Just(Fault::Repeat),
        delay
    ]
}
