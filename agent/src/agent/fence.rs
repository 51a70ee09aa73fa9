//! `OnDisconnect=stop`: the fence that systemd itself keeps, whatever becomes of this process.
//!
//! Units that ask for it run only while `fleet-connected.target` is active. A timer of systemd's takes the target down a
//! moment before the lease can have ended; each acknowledged keep-alive arms the next timer, and only then stops the one
//! before. So a fleetd that is dead, stopped, or cut off does nothing, and that is what stops the units.
//!
//! The order makes it hold across a crash between any two calls: a timer is armed before the target is started, and a
//! unit is started only once the target was seen to be active *after* a timer was armed that has not run out. A call that
//! reaches systemd late is harmless: deadlines are absolute, so a late timer fires at once; a late start of the target is
//! noticed by the time of its answer and taken back before any unit follows; and a late start of a unit is refused by
//! systemd, because its target is not there.

use std::collections::BTreeSet;
use std::time::Duration;

use fleet_registry::planted::{self, Fault};
use fleet_registry::session::SessionEvent;
use fleet_registry::{Mono, Now};
use fleet_units::{Fence, UnitName};

use super::ending::Mode;
use super::{Agent, Local, Standing};
use crate::effect::{Effect, FenceAct, FenceReport, Op, SystemdEffect, SystemdError, UnitReport};
use crate::reconcile::Stage;
use crate::report::Report;

/// The timer fires this long before the lease can end.
const MARGIN: Duration = Duration::from_secs(1);
/// With a shorter lease a single late keep-alive would stop the units: two must have room before the timer fires.
const SHORTEST_LEASE: Duration = Duration::from_secs(3);
/// Before systemd is asked again after it refused something.
const PAUSE: Duration = Duration::from_millis(200);
/// Before it is looked again for what is not installed.
const LONG_PAUSE: Duration = Duration::from_secs(5);

/// How this machine's fence stands.
#[derive(Debug, Default)]
pub(super) struct Keeper {
    /// When the newest acknowledged request that renewed the lease was sent, and for how long it did.
    renewed: Option<(Mono, Duration)>,
    /// Whether it is known what systemd has of the fence.
    looked: bool,
    /// The call under way.
    call: Option<(Op, FenceAct)>,
    /// The highest number of a timer that was seen or given.
    highest: u64,
    /// The newest timer that is armed, and when it fires.
    armed: Option<(u64, Mono)>,
    /// Timers before it that are still there; when the last of them fires, where that is known.
    older: BTreeSet<u64>,
    older_until: Option<Mono>,
    /// The run of the target that was seen to be active after the newest timer was armed.
    connected: Option<String>,
    /// The fence is to fall now: the lease is gone.
    fall: bool,
    /// Everything is to be taken down, because it is not known what state it is in.
    release: bool,
    /// Why no unit can be fenced here.
    trouble: Option<String>,
    /// Nothing is asked before then.
    again: Option<Mono>,
}

impl Keeper {
    /// The run of the target under which units may be started now.
    pub(super) fn connection(&self, now: Now) -> Option<&String> {
        let holds = self.armed.is_some_and(|(_, at)| at > now.mono) && !self.fall && !self.release;
        self.connected.as_ref().filter(|_| holds)
    }

    /// Why no unit can be fenced here.
    pub(super) fn refusal(&self) -> Option<String> {
        let short = self.renewed.filter(|(_, ttl)| *ttl < SHORTEST_LEASE).map(|(_, ttl)| {
            let (least, is) = (SHORTEST_LEASE.as_secs(), ttl.as_secs());
            format!(
                "OnDisconnect=stop needs an agent_ttl of at least {least} s, and it is {is} s: a single late \
                 keep-alive would stop the unit"
            )
        });
        self.trouble.clone().or(short)
    }

    /// Whether systemd is being asked for something.
    pub(super) fn is_busy(&self) -> bool {
        self.call.is_some()
    }

    /// What was known of systemd may not be so any more.
    fn doubt(&mut self) {
        (self.looked, self.connected) = (false, None);
    }

    fn deadline(&self) -> Option<Mono> {
        self.renewed.map(|(sent, ttl)| sent + ttl.saturating_sub(MARGIN))
    }
}

/// The name of the target.
fn target() -> UnitName {
    UnitName::parse(Fence::TARGET).expect("it is a unit's name")
}

impl Agent {
    /// Takes in what the session said.
    pub(super) fn fence_session(&mut self, event: &SessionEvent) {
        match *event {
            SessionEvent::Acknowledged { ttl, received, .. } if planted::is(Fault::FenceFromReceipt) => {
                self.fence.renewed = Some((received, ttl));
            }
            SessionEvent::Started { ttl, sent, .. } | SessionEvent::Acknowledged { ttl, sent, .. } => {
                self.fence.renewed = Some((sent, ttl));
            }
            SessionEvent::Lost { .. } => {
                self.fence.renewed = None;
                self.fence_falls();
            }
        }
    }

    /// This machine's record or lease is gone: what it ran may run elsewhere soon.
    pub(super) fn fence_falls(&mut self) {
        self.fence.fall = self.fence.armed.is_some() || !self.fence.older.is_empty() || self.fence.is_busy();
        self.fence.doubt();
    }

    /// systemd can be called, or cannot any more.
    pub(super) fn fence_unknown(&mut self) {
        self.fence.doubt();
        self.fence.again = None;
    }

    /// Whether this is about the target; its state is no unit's.
    pub(super) fn fence_changed(&mut self, unit: &UnitName, report: &UnitReport) -> bool {
        if unit.as_str() != Fence::TARGET {
            return false;
        }
        let other = !report.invocation.is_empty() && self.fence.connected.as_ref() != Some(&report.invocation);
        if self.fence.connected.is_some() && (report.active != "active" || other) {
            self.fence.doubt();
        }
        true
    }

    /// Whether systemd can be asked for something.
    fn fence_is_free(&self) -> bool {
        let works = matches!(self.mode, Mode::Running | Mode::Leaving);
        works && self.systemd && self.local == Local::Adopted && !self.fence.is_busy()
    }

    /// When something is to be tried again.
    pub(super) fn fence_wakeup(&self) -> Option<Mono> {
        self.fence.again.filter(|_| self.fence_is_free())
    }

    /// Asks systemd for the next thing, if there is any.
    pub(super) fn drive_fence(&mut self, now: Now, out: &mut Vec<Effect>) {
        if !self.fence_is_free() {
            return;
        }
        if self.fence.again.is_some_and(|at| at > now.mono) {
            return;
        }
        if self.fence.again.take().is_some() && self.fence.trouble.is_some() {
            self.fence.looked = false;
        }
        let Some(act) = self.next_fence_act(now) else { return };
        if act == FenceAct::Look {
            out.push(Effect::Systemd(SystemdEffect::Watch(vec![target()])));
        }
        if planted::is(Fault::FenceNotArmed) && matches!(act, FenceAct::Arm { .. }) {
            return self.fence_done(now, act, FenceReport::default(), out);
        }
        let op = self.work.op();
        self.fence.call = Some((op, act.clone()));
        out.push(Effect::Systemd(SystemdEffect::Fence { op, act }));
    }

    fn next_fence_act(&mut self, now: Now) -> Option<FenceAct> {
        let fenced = || self.units.values().filter(|unit| unit.fence.is_some() && unit.held.is_some());
        let own = fenced().any(|unit| unit.is_own(self.cluster.as_ref()));
        let fence = &mut self.fence;
        if fence.release {
            return Some(FenceAct::Release);
        }
        if fence.fall {
            fence.highest += 1;
            return Some(FenceAct::Arm { number: fence.highest, deadline: Mono::ZERO });
        }
        if !own {
            // What is another cluster's falls by itself.
            return (fence.looked && fenced().next().is_none()).then_some(FenceAct::Release);
        }
        if !fence.looked {
            return Some(FenceAct::Look);
        }
        let deadline = fence.deadline().filter(|at| *at > now.mono && self.standing == Standing::Present)?;
        if fence.refusal().is_some() {
            return None;
        }
        if fence.armed.is_none_or(|(_, at)| at < deadline) {
            fence.highest += 1;
            return Some(FenceAct::Arm { number: fence.highest, deadline });
        }
        if !fence.older.is_empty() {
            return Some(FenceAct::Disarm { numbers: fence.older.clone() });
        }
        fence.connected.is_none().then_some(FenceAct::Connect)
    }

    /// What came of a call.
    pub(super) fn on_fence(
        &mut self,
        now: Now,
        op: Op,
        result: Result<FenceReport, SystemdError>,
        out: &mut Vec<Effect>,
    ) {
        let Some((_, act)) = self.fence.call.take_if(|(own, _)| *own == op) else { return };
        match result {
            Ok(report) => self.fence_done(now, act, report, out),
            Err(error) => self.fence_failed(now, &act, &error, out),
        }
    }

    fn fence_done(&mut self, now: Now, act: FenceAct, report: FenceReport, out: &mut Vec<Effect>) {
        let fence = &mut self.fence;
        match act {
            FenceAct::Look => {
                fence.looked = true;
                fence.highest = fence.highest.max(report.highest);
                fence.older = report.timers;
                (fence.armed, fence.older_until, fence.connected) = (None, None, None);
                // It fell, or is up without a timer that would take it down.
                fence.release = report.fired || (report.connected.is_some() && fence.older.is_empty());
                self.fence_trouble(now, None, out);
            }
            FenceAct::Arm { number, deadline } => {
                if let Some((before, at)) = fence.armed.replace((number, deadline)) {
                    fence.older.insert(before);
                    fence.older_until = Some(at);
                }
                if deadline == Mono::ZERO {
                    fence.fall = false;
                    fence.doubt();
                }
            }
            FenceAct::Disarm { numbers } => {
                fence.older.retain(|number| !numbers.contains(number));
                // The last one may have fired before it was stopped.
                if fence.older_until.take().is_some_and(|at| at <= now.mono) {
                    fence.doubt();
                }
            }
            FenceAct::Connect => {
                let in_time = fence.armed.is_some_and(|(_, at)| at > now.mono);
                match report.connected {
                    Some(run) if in_time && !report.fired && !fence.fall => {
                        fence.connected = Some(run);
                        out.push(Effect::Log(Report::Fenced));
                    }
                    _ => fence.release = true,
                }
            }
            FenceAct::Release => {
                fence.doubt();
                (fence.release, fence.fall, fence.armed, fence.older_until) = (false, false, None, None);
                fence.older.clear();
            }
        }
        self.mark_fenced();
    }

    /// A unit that was started under an earlier run of the target was stopped with it: it is to start again.
    pub(super) fn unfence(&mut self, now: Now, name: &UnitName) {
        let Some(run) = self.fence.connection(now) else { return };
        let Some(unit) = self.units.get_mut(name) else { return };
        let before = unit.running.is_none() && unit.fence.as_ref().is_some_and(|before| before != run);
        if let Some(held) = unit.held.as_mut().filter(|held| before && held.stage == Stage::Launched) {
            (held.stage, held.starting) = (Stage::Loaded, true);
            unit.new_attempt();
        }
    }

    fn fence_failed(&mut self, now: Now, act: &FenceAct, error: &SystemdError, out: &mut Vec<Effect>) {
        self.fence.again = Some(now.mono + PAUSE);
        match error {
            // Looked at anew when the connection is back; a timer may have been armed.
            SystemdError::Disconnected(_) => self.fence.doubt(),
            error if *act == FenceAct::Look => self.fence_trouble(now, Some(error.to_string()), out),
            error => {
                self.say(Report::FenceTrouble { why: error.to_string() }, out);
                self.fence.doubt();
            }
        }
        self.mark_fenced();
    }

    fn fence_trouble(&mut self, now: Now, trouble: Option<String>, out: &mut Vec<Effect>) {
        if let Some(why) = &trouble {
            self.fence.again = Some(now.mono + LONG_PAUSE);
            self.say(Report::FenceTrouble { why: why.clone() }, out);
        } else if self.fence.trouble.is_some() {
            for unit in self.units.values_mut().filter(|unit| unit.fence.is_some()) {
                unit.new_attempt();
            }
        }
        self.fence.trouble = trouble;
    }

    /// Fenced units are looked at again.
    fn mark_fenced(&mut self) {
        let fenced = self.units.iter().filter(|(_, unit)| unit.fence.is_some());
        self.work.dirty.extend(fenced.map(|(name, _)| name.clone()));
    }
}
