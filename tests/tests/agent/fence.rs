//! Units with `OnDisconnect=stop`: fenced by systemd, whatever becomes of fleetd between any two of its steps.

use fleet_registry::loopback::Connection;
use fleet_registry::record::Target;

use crate::world::{TTL, World};

const SINGLE: &str = "[Service]\nExecStart=/bin/sleep inf\nTimeoutStopSec=1\n[X-Fleet]\nOnDisconnect=stop\n";
const KEPT: &str = "[Service]\nExecStart=/bin/sleep inf\n";

fn running() -> World {
    let mut w = World::present();
    w.give("single.service", 5, SINGLE, Target::Launched);
    w.give("kept.service", 6, KEPT, Target::Launched);
    w.publish();
    w.until("both run", |w| w.is_active("single.service") && w.is_active("kept.service"));
    w
}

fn cut(w: &mut World, connection: Connection) {
    w.store.link.connect(&mut w.store.memory, w.now, connection);
}

#[test]
fn it_is_stopped_before_the_lease_can_end_and_started_again_once_the_registry_is_back() {
    let mut w = running();
    let kept = w.systemd.pid(&crate::world::unit("kept.service"));
    cut(&mut w, Connection::Silent);
    let begin = w.now;
    w.until("it is stopped", |w| !w.is_active("single.service"));
    assert!(w.now < begin + TTL, "it ran until {:?} after the cut", w.now - begin);
    w.run(TTL * 3);
    assert!(!w.is_active("single.service"));
    cut(&mut w, Connection::Up);
    w.until("it runs again", |w| w.is_active("single.service"));
    w.run(TTL * 3);
    assert!(w.is_active("single.service"));
    assert_eq!(w.systemd.pid(&crate::world::unit("kept.service")), kept, "the other was touched");
}

#[test]
fn a_cut_shorter_than_the_lease_touches_nothing() {
    let mut w = running();
    let pid = w.systemd.pid(&crate::world::unit("single.service"));
    cut(&mut w, Connection::Silent);
    w.run(TTL / 2);
    cut(&mut w, Connection::Up);
    w.run(TTL * 2);
    assert_eq!(w.systemd.pid(&crate::world::unit("single.service")), pid);
}

#[test]
fn a_fleetd_that_dies_between_any_two_steps_leaves_no_unit_unfenced() {
    for steps in 0..120 {
        let mut w = World::present();
        w.give("single.service", 5, SINGLE, Target::Launched);
        w.publish();
        w.dies_after = Some(steps);
        let limit = w.now + TTL;
        w.until("it has died, or lives on", |w| w.dies_after == Some(0) || w.now > limit);
        // Neither it nor the next one reaches the registry from here on.
        cut(&mut w, Connection::Refused);
        w.run(TTL + TTL / 10);
        assert!(!w.is_active("single.service"), "it runs unfenced after a death at step {steps}");
        cut(&mut w, Connection::Up);
        w.until("it runs again", |w| w.is_active("single.service"));
        w.run(TTL * 2);
        assert!(w.is_active("single.service"), "it is not fenced well after a death at step {steps}");
    }
}

#[test]
fn a_fleetd_that_dies_while_it_comes_back_finds_what_was_stopped() {
    for steps in 0..60 {
        let mut w = running();
        cut(&mut w, Connection::Refused);
        w.until("it is stopped", |w| !w.is_active("single.service"));
        w.run(TTL);
        cut(&mut w, Connection::Up);
        w.dies_after = Some(steps);
        w.until("it runs again", |w| w.dies_after.is_none_or(|left| left > 0) && w.is_active("single.service"));
        w.run(TTL * 2);
        assert!(w.is_active("single.service"), "a death at step {steps}");
    }
}

#[test]
fn timers_are_armed_for_such_units_alone_and_cleared_away_after_them() {
    let mut w = World::present();
    w.give("kept.service", 6, KEPT, Target::Launched);
    w.publish();
    w.run(TTL * 3);
    assert_eq!(w.systemd.arms(), 0);
    w.give("single.service", 5, SINGLE, Target::Launched);
    w.publish();
    w.until("it runs", |w| w.is_active("single.service"));
    let before = w.systemd.arms();
    w.run(TTL * 3);
    let armed = w.systemd.arms() - before;
    assert!((9..=12).contains(&armed), "one for each keep-alive, and {armed} were armed in three leases");
    assert!(w.systemd.timers() <= 2, "{} timers are left", w.systemd.timers());
    w.take("single.service");
    w.publish();
    w.until("it is gone, and its fence", |w| !w.is_active("single.service") && w.systemd.timers() == 0);
}
