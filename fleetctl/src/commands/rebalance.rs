//! `fleetctl rebalance`

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write;

use fleet_api::v2::{LeaveRequest, LeaveUnit, MoveView, RebalanceAnswer, RebalanceRequest, UnitView, WatchLine};
use fleet_api::{ApiError, Client};
use futures::{StreamExt, pin_mut};
use tokio::time::{Duration, Instant};

use super::follow::{Followed, Lines, Said, follow, progress};
use super::lookup;
use crate::cli::{Format, Rebalance};
use crate::error::CommandError;
use crate::fields;
use crate::output::Output;
use crate::table;
use crate::wait::{Moved, Moves, Verdict};

/// After this long a unit that has not left its machine is left there: as a rule no other can take it any more.
const PATIENCE: Duration = Duration::from_secs(30);

/// Evens out how many units machines have, a few moves at a time.
pub async fn run(arguments: &Rebalance, client: &Client, output: &mut Output) -> Result<u8, CommandError> {
    let doing = || CommandError::doing("Error planning a rebalance");
    let request = RebalanceRequest { max_moves: arguments.max_moves };
    let found = client.rebalance(&request).await.map_err(doing())?;
    lookup::warn_if_stale(found.stale, output)?;
    match arguments.output {
        None => output.out().write_all(render(&found).as_bytes())?,
        Some(Format::Json) => {
            writeln!(output.out(), "{}", serde_json::json!(found))?;
            output.is_for_programs();
        }
    }
    output.flush()?;
    if arguments.dry_run || found.moves.is_empty() {
        return Ok(0);
    }
    let units = found.moves.iter().flat_map(|made| std::iter::once(&made.name).chain(&made.with));
    let names = units.cloned().collect::<BTreeSet<String>>().into_iter().collect();
    let mut moving = Moving {
        moves: Moves::new(found.moves, arguments.at_once),
        names,
        client,
        output,
        views: BTreeMap::new(),
        begun: BTreeMap::new(),
        over: Vec::new(),
        said: Said::default(),
        all_made: true,
    };
    tokio::select! {
        result = follow(&mut moving, client) => result?,
        _ = tokio::signal::ctrl_c() => return moving.interrupted(),
    }
    Ok(u8::from(!moving.all_made))
}

/// What is printed before anything moves.
pub fn render(found: &RebalanceAnswer) -> String {
    let mut text = String::new();
    let between = |least: u32, most: u32| match least == most {
        true => format!("{least} units each"),
        false => format!("{least} to {most} units"),
    };
    let before = between(found.before.least, found.before.most);
    if found.moves.is_empty() {
        _ = writeln!(text, "Nothing to move: machines have {before}.");
        return text;
    }
    let mut rows = vec![["UNIT", "FROM", "TO", "WHY"].map(str::to_owned)];
    rows.extend(found.moves.iter().map(|made| {
        let name = match made.with.len() {
            0 => made.name.clone(),
            more => format!("{} +{more}", made.name),
        };
        [name, fields::machine(&made.from, false), fields::machine(&made.to, false), made.reason.clone()]
    }));
    text.push_str(&table::render(&rows));
    let moves = if found.moves.len() == 1 { "1 move".to_owned() } else { format!("{} moves", found.moves.len()) };
    let after = between(found.after.least, found.after.most);
    _ = writeln!(text, "{moves}: machines have {before}, and {after} then.");
    text
}

struct Moving<'a> {
    moves: Moves,
    names: Vec<String>,
    client: &'a Client,
    output: &'a mut Output,
    /// What was last known of each unit.
    views: BTreeMap<String, UnitView>,
    /// When each that is under way was begun.
    begun: BTreeMap<String, Instant>,
    /// Moves that are over, whose wish is still to be taken back.
    over: Vec<MoveView>,
    said: Said,
    all_made: bool,
}

impl Followed for Moving<'_> {
    const DOING: &'static str = "Error waiting for units to move";

    fn is_over(&self) -> bool {
        self.moves.is_over() && self.over.is_empty()
    }

    fn output(&mut self) -> &mut Output {
        self.output
    }

    fn names(&self) -> &[String] {
        &self.names
    }

    async fn read(&mut self, lines: impl Lines) -> Result<Result<(), ApiError>, CommandError> {
        pin_mut!(lines);
        let mut progress = progress().await;
        loop {
            let over = match self.ask_what_is_due().await {
                Ok(over) => over,
                Err(error) => return Ok(Err(error)),
            };
            if !over.is_empty() {
                self.conclude(over)?;
                continue;
            }
            if self.is_over() {
                return Ok(Ok(()));
            }
            tokio::select! {
                line = lines.next() => match line {
                    Some(Ok(line)) => {
                        self.remember(&line);
                        let over = self.moves.observe(&line);
                        self.conclude(over)?;
                    }
                    Some(Err(error)) => return Ok(Err(error)),
                    None => return Ok(Ok(())),
                },
                _ = progress.tick() => {
                    self.give_up()?;
                    self.said.say(self.moves.pending(), self.output)?;
                }
            }
        }
    }
}

impl Moving<'_> {
    fn remember(&mut self, line: &WatchLine) {
        match line {
            WatchLine::Snapshot { units, .. } => {
                self.views = units.iter().map(|unit| (unit.name.clone(), unit.clone())).collect();
            }
            WatchLine::Unit { unit, .. } => _ = self.views.insert(unit.name.clone(), (**unit).clone()),
            WatchLine::Gone { name, .. } => _ = self.views.remove(name),
            _ => {}
        }
    }

    /// Takes back the wishes of moves that are over, and begins those that may begin. What fleetd does not hear of now it
    /// hears of once it is back. Answers the moves that have been made meanwhile, as when their machine was lost.
    async fn ask_what_is_due(&mut self) -> Result<Vec<Moved>, ApiError> {
        self.ask(&self.over, false).await?;
        self.over.clear();
        let begun = self.moves.begin();
        if let Err(error) = self.ask(&begun, true).await {
            self.moves.put_back(begun);
            return Err(error);
        }
        self.begun.extend(begun.iter().map(|made| (made.name.clone(), Instant::now())));
        let units = begun.iter().flat_map(|made| std::iter::once(&made.name).chain(&made.with));
        Ok(units.filter_map(|name| self.moves.know(self.views.get(name)?)).collect())
    }

    /// Asks units to leave the machine that they are on, or ends that.
    async fn ask(&self, moves: &[MoveView], leave: bool) -> Result<(), ApiError> {
        if moves.is_empty() {
            return Ok(());
        }
        let unit =
            |made: &MoveView| LeaveUnit { name: made.name.clone(), machine: leave.then(|| made.from.id.clone()) };
        self.client.leave(&LeaveRequest { units: moves.iter().map(unit).collect() }).await.map(drop)
    }

    /// Says what became of moves. After one that failed no other is begun.
    fn conclude(&mut self, over: Vec<Moved>) -> Result<(), CommandError> {
        for Moved { made, verdict } in over {
            match verdict {
                Verdict::Reached { machine, .. } => {
                    let at = fields::machine(machine.as_ref().unwrap_or(&made.to), false);
                    self.output.note(&format!("Unit {} moved to {at}", made.name))?;
                }
                Verdict::Failed { reason, .. } => {
                    self.all_made = false;
                    let left = self.moves.left();
                    self.moves.stop();
                    let rest = if left > 0 { format!("; {left} moves are not begun") } else { String::new() };
                    writeln!(self.output.err()?, "Error moving unit {}: {reason}{rest}", made.name)?;
                }
                Verdict::Pending(_) => {}
            }
            self.end(made);
        }
        Ok(self.output.flush()?)
    }

    /// Lets units stay that have not left by now.
    fn give_up(&mut self) -> Result<(), CommandError> {
        let late = self.begun.iter().filter(|(_, begun)| begun.elapsed() > PATIENCE).map(|(name, _)| name.clone());
        let late: Vec<String> = late.collect();
        for name in late {
            let at = self.views.get(&name).and_then(|view| view.machine.as_ref());
            let is_there = |from: &str| at.is_some_and(|at| at.id == from);
            let Some(made) = self.moves.give_up(&name, is_there) else { continue };
            self.all_made = false;
            writeln!(
                self.output.err()?,
                "Unit {name} stays where it is: no other machine took it within {} s",
                PATIENCE.as_secs()
            )?;
            self.end(made);
        }
        Ok(())
    }

    fn end(&mut self, made: MoveView) {
        self.begun.remove(&made.name);
        self.over.push(made);
    }

    fn interrupted(self) -> Result<u8, CommandError> {
        for (name, at) in self.moves.pending() {
            writeln!(self.output.err()?, "Interrupted; unit {name} goes on moving: {at}")?;
        }
        writeln!(self.output.err()?, "{} moves were not begun.", self.moves.left())?;
        Err(CommandError::Said(130))
    }
}
