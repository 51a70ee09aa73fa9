//! What came of the agent's effects on units.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fleet_registry::planted::{self, Fault};
use fleet_registry::record::{ContentKey, ContentRecord, Record};
use fleet_registry::store::{RangeRequest, Request, Response, ResponseBody, StoreError};
use fleet_registry::{Key, Now};
use fleet_units::UnitName;

use super::store::Purpose;
use super::unit::Unit;
use super::{Agent, Local};
use crate::effect::{Effect, Found, Op, SystemdError, UnitReport};
use crate::reconcile::{Action, Outcome, Residue};
use crate::report::Report;

/// Texts asked for at once.
const FETCHES: usize = 32;

impl Agent {
    /// What fleet left on the disk.
    pub(super) fn on_scanned(&mut self, found: Found, out: &mut Vec<Effect>) {
        if self.local != Local::Scanning {
            return;
        }
        (self.cluster, self.memory) = (found.cluster, found.memory);
        let boot_id = &self.config.facts.boot_id;
        self.units = found.units.into_iter().map(|(name, unit)| (name, Unit::found(unit, boot_id))).collect();
        self.local = Local::Listing;
        if self.systemd {
            self.list_all(out);
        }
    }

    /// What systemd makes of units: at adoption, where each of them is.
    pub(super) fn on_listed(
        &mut self,
        now: Now,
        op: Op,
        result: Result<BTreeMap<UnitName, UnitReport>, SystemdError>,
        out: &mut Vec<Effect>,
    ) {
        if self.work.listing != Some(op) {
            return;
        }
        self.work.listing = None;
        let reports = match result {
            Ok(reports) => reports,
            Err(error) => {
                // Asked again when the connection is back; systemd has no other reason not to answer.
                return self.say(Report::SystemdTrouble { why: error.to_string() }, out);
            }
        };
        if self.local == Local::Listing {
            for (name, unit) in &mut self.units {
                unit.adopt(reports.get(name).unwrap_or(&UnitReport::default()));
            }
            self.local = Local::Adopted;
            let orphans = self.units.values().filter(|u| u.held.is_some() && u.cluster.is_none()).count();
            let units = self.units.values().filter(|u| u.held.is_some()).count() - orphans;
            out.push(Effect::Log(Report::Adopted { units, orphans }));
            out.push(Effect::Ready);
            self.begin(now, out);
        }
        self.mark_all();
    }

    pub(super) fn on_linked(
        &mut self,
        now: Now,
        op: Op,
        units: BTreeMap<UnitName, Result<bool, SystemdError>>,
        out: &mut Vec<Effect>,
    ) {
        if self.work.linking == Some(op) {
            self.work.linking = None;
        }
        for (name, result) in units {
            let Some(running) = self.take_running(&name, op) else { continue };
            match result {
                Ok(reload) => {
                    self.look_if_loaded(&name, &running, out);
                    let outcome = if reload { Outcome::MustReload } else { Outcome::Done };
                    self.succeed(now, &name, running, outcome);
                }
                Err(error) => {
                    let passing = matches!(error, SystemdError::Disconnected(_));
                    self.fail(now, &name, &running, format!("cannot be loaded: {error}"), passing, out);
                }
            }
        }
    }

    pub(super) fn on_unlinked(
        &mut self,
        now: Now,
        op: Op,
        units: BTreeMap<UnitName, Result<Residue, SystemdError>>,
        out: &mut Vec<Effect>,
    ) {
        if self.work.unlinking == Some(op) {
            self.work.unlinking = None;
        }
        for (name, result) in units {
            let Some(running) = self.take_running(&name, op) else { continue };
            match result {
                Ok(residue) => self.succeed(now, &name, running, Outcome::Left(residue)),
                Err(error) => self.fail(now, &name, &running, format!("cannot be unloaded: {error}"), true, out),
            }
        }
    }

    pub(super) fn on_reloaded(&mut self, now: Now, op: Op, result: Result<(), SystemdError>, out: &mut Vec<Effect>) {
        let covered: BTreeSet<UnitName> = match self.work.reloading.take_if(|(o, _)| *o == op) {
            Some((_, units)) => units,
            None => return,
        };
        for name in covered {
            let Some(running) = self.take_running(&name, op) else { continue };
            match &result {
                Ok(()) => {
                    self.look_if_loaded(&name, &running, out);
                    self.succeed(now, &name, running, Outcome::Done);
                }
                Err(error) => {
                    self.fail(now, &name, &running, format!("systemd cannot reload: {error}"), true, out);
                }
            }
        }
    }

    pub(super) fn on_job(
        &mut self,
        now: Now,
        op: Op,
        name: &UnitName,
        result: Result<(), SystemdError>,
        report: Option<UnitReport>,
        out: &mut Vec<Effect>,
    ) {
        if let (Some(unit), Some(report)) = (self.units.get_mut(name), report) {
            unit.report = Some(report);
        }
        let Some(running) = self.take_running(name, op) else { return };
        let builds = running.action.builds();
        self.prove(name, now.mono, Some(running.action));
        match result {
            Ok(()) => self.succeed(now, name, running, Outcome::Done),
            // What systemd does not know does not run.
            Err(SystemdError::NoSuchUnit) if !builds => self.succeed(now, name, running, Outcome::Done),
            Err(SystemdError::NoSuchUnit) if self.reload_first(name) => {}
            Err(error @ SystemdError::Disconnected(_)) => {
                self.fail(now, name, &running, error.to_string(), true, out);
            }
            // It was tried: whether it is tried again is for people to say.
            Err(error) if builds => {
                let why = format!("cannot be started: {error}");
                if self.units.get(name).is_some_and(|u| u.report.is_none()) {
                    self.look(name, out);
                }
                self.succeed(now, name, running.clone(), Outcome::Done);
                self.fail(now, name, &running, why, false, out);
            }
            Err(error) => self.fail(now, name, &running, format!("cannot be stopped: {error}"), true, out),
        }
        self.publish_now(name, now.mono);
    }

    pub(super) fn on_changed(&mut self, now: Now, name: &UnitName, report: UnitReport) {
        let Some(unit) = self.units.get_mut(name) else { return };
        if unit.report.as_ref() != Some(&report) {
            unit.report = Some(report);
            if unit.wanted.is_some() && unit.held.is_some() && !unit.is_own(self.cluster.as_ref()) {
                // An orphan that has ended is not in the way any more.
                self.work.dirty.insert(name.clone());
            }
            let doing = unit.running.as_ref().map(|running| running.action);
            self.prove(name, now.mono, doing);
            self.publish_soon(name, now.mono);
        }
    }

    pub(super) fn on_unit_disk(
        &mut self,
        now: Now,
        op: Op,
        name: &UnitName,
        result: Result<(), String>,
        out: &mut Vec<Effect>,
    ) {
        self.on_orphan_noted(op, &result, out);
        let Some(running) = self.take_running(name, op) else { return };
        match result {
            Err(why) if !planted::is(Fault::DiskErrorIgnored) => self.fail(now, name, &running, why, true, out),
            _ => self.succeed(now, name, running, Outcome::Done),
        }
    }

    /// Asks for a text, unless it is on its way already.
    pub(super) fn fetch(&mut self, name: &UnitName, key: &ContentKey, out: &mut Vec<Effect>) {
        let known = self.work.fetches.contains_key(key);
        self.work.fetches.entry(key.clone()).or_default().waiting.insert(name.clone());
        if !known {
            self.work.fetch_queue.push_back(key.clone());
            self.ask(out);
        }
    }

    fn ask(&mut self, out: &mut Vec<Effect>) {
        while self.work.fetching < FETCHES
            && let Some(key) = self.work.fetch_queue.pop_front()
        {
            self.work.fetching += 1;
            let request = Request::Range(RangeRequest::key(self.config.layout.encode(&Key::Content(key.clone()))));
            self.call(Purpose::Content(key), request, out);
        }
    }

    /// A unit no longer waits for a text; nobody does: it is dropped.
    pub(super) fn unwait(&mut self, name: &UnitName, key: &ContentKey) {
        if let Some(fetch) = self.work.fetches.get_mut(key) {
            fetch.waiting.remove(name);
            if fetch.waiting.is_empty() {
                self.work.fetches.remove(key);
            }
        }
    }

    pub(super) fn on_content(
        &mut self,
        now: Now,
        key: &ContentKey,
        result: Result<Response, StoreError>,
        out: &mut Vec<Effect>,
    ) {
        self.work.fetching -= 1;
        self.ask(out);
        let Some(fetch) = self.work.fetches.get_mut(key) else { return };
        match read_content(key, result) {
            Ok(content) => {
                fetch.content = Some(Arc::new(content));
                let waiting = fetch.waiting.clone();
                // Those that want something else by now do not take it.
                for name in &waiting {
                    if self.units.get(name).and_then(|u| u.wanted.as_ref()).is_none_or(|w| w.content != *key) {
                        self.unwait(name, key);
                    }
                }
                self.work.dirty.extend(waiting);
            }
            Err(why) => {
                let waiting = self.work.fetches.remove(key).map(|f| f.waiting).unwrap_or_default();
                for name in waiting {
                    let Some(unit) = self.units.get(&name) else { continue };
                    let running = super::unit::Running { op: None, action: Action::Write, aim: unit.wanted.clone() };
                    self.fail(now, &name, &running, why.clone(), true, out);
                }
            }
        }
    }
}

fn read_content(key: &ContentKey, result: Result<Response, StoreError>) -> Result<ContentRecord, String> {
    let response = result.map_err(|e| format!("its text cannot be fetched: {e}"))?;
    let ResponseBody::Range(range) = response.body else {
        return Err("its text cannot be fetched: the store answered something else than was asked".into());
    };
    let kv = range.kvs.first().ok_or("its text is not in the store")?;
    let content = ContentRecord::decode(&kv.value).map_err(|e| format!("its text cannot be used: {e}"))?;
    if content.key() != *key {
        return Err("its text is damaged in the store: it does not have the hash that names it".into());
    }
    Ok(content)
}
