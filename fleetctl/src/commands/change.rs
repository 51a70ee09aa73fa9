//! What submit, load, start, stop, unload, and restart have in common: resolve, ask fleetd once, wait.

use std::collections::BTreeMap;
use std::io::{Read, Write};

use fleet_api::Client;
use fleet_api::v2::{Outcome, UnitChange, UnitOutcome, UnitText, UnitView, UnitsAnswer, UnitsRequest};
use fleet_units::{DesiredState, UnitName};

use super::words::{self, Line};
use crate::cli::{Blocking, Submit};
use crate::error::CommandError;
use crate::output::Output;
use crate::resolve::given::{self, Context, Given};
use crate::resolve::{self, Decision, Known, Resolved, Source, pattern};
use crate::wait::{Goal, Target};

/// More than fleetd takes in one request.
const MAX_STDIN: u64 = 64 << 20;
/// What fleet said when a unit could not be made.
const CREATING: &str = "Error creating units";

/// A change of what is wanted of units.
#[derive(Clone, Copy, Debug)]
pub(super) struct Action {
    /// `start`
    pub verb: &'static str,
    /// `Error starting units`
    pub doing: &'static str,
    /// What is asked for.
    pub desired: DesiredState,
    /// What is waited for.
    pub goal: Goal,
    /// Whether it is waited for on every machine of a global unit. When such a unit is started for good nobody can say:
    /// machines come and go.
    pub waits_for_global: bool,
}

/// A change that was asked of fleetd, and what was known before.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub change: UnitChange,
    pub before: Option<UnitView>,
    pub is_global: bool,
}

/// Finds the units that were named, and the text of those that the cluster does not know. Nothing has been changed when
/// this fails.
pub(super) async fn resolve(
    arguments: &Submit,
    replaceable: &[DesiredState],
    client: &Client,
    output: &mut Output,
) -> Result<Vec<Asked>, CommandError> {
    if arguments.sign {
        return Err(super::verify::deprecated());
    }
    let decisions = decide(arguments, replaceable, client).await?;
    let mut texts: BTreeMap<UnitName, UnitText> = BTreeMap::new();
    let mut asked = Vec::new();
    for decision in decisions {
        match decision {
            Decision::Skip(why) => writeln!(output.err()?, "{why}")?,
            Decision::Do(resolved) => {
                for warning in &resolved.warnings {
                    writeln!(output.err()?, "{warning}")?;
                }
                for notice in &resolved.notices {
                    output.note(notice)?;
                }
                asked.push(with_text(*resolved, &mut texts, client).await?);
            }
        }
    }
    Ok(asked)
}

/// Decides about every unit. All that is wrong is said at once.
async fn decide(
    arguments: &Submit,
    replaceable: &[DesiredState],
    client: &Client,
) -> Result<Vec<Decision>, CommandError> {
    let given = given(arguments, replaceable, client).await?;
    let names: Vec<UnitName> = given.iter().map(|given| given.name.clone()).collect();
    let templates = names.iter().filter(|name| name.is_instance()).filter_map(UnitName::template);
    let mut wanted: Vec<UnitName> = names.iter().cloned().chain(templates).collect();
    wanted.sort();
    wanted.dedup();
    let (views, _) =
        super::lookup::named(client, &wanted, "Error creating units: error retrieving units from Registry").await?;
    let views: BTreeMap<&str, &UnitView> = views.iter().map(|view| (view.name.as_str(), view)).collect();
    decide_with(given, &views, arguments.replace.then_some(replaceable))
}

/// Decides about every unit, by what the cluster knows.
pub(super) fn decide_with(
    given: Vec<Given>,
    views: &BTreeMap<&str, &UnitView>,
    replace: Option<&[DesiredState]>,
) -> Result<Vec<Decision>, CommandError> {
    let view = |name: &UnitName| views.get(name.as_str()).copied();
    let decisions = given.into_iter().map(|Given { name, file, template: template_file }| {
        let name = &name;
        let template = name.template().filter(|_| name.is_instance());
        let known = Known { unit: view(name), template: template.as_ref().and_then(view), file, template_file };
        resolve::decide(name, known, replace)
    });
    decisions.collect::<Result<_, _>>().map_err(|error| CommandError::message(format!("{CREATING}: {error}")))
}

/// The units that are meant, with what the files here say of them.
async fn given(arguments: &Submit, replaceable: &[DesiredState], client: &Client) -> Result<Vec<Given>, CommandError> {
    let units = match given::asks_for_units(&arguments.units) {
        false => Vec::new(),
        true => {
            let doing = CommandError::doing("Error creating units: error retrieving units from Registry");
            client.units::<&str>(&[]).await.map_err(doing)?.units
        }
    };
    given_with(arguments, replaceable, &units)
}

/// The units that are meant, by the units that the cluster knows.
pub(super) fn given_with(
    arguments: &Submit,
    replaceable: &[DesiredState],
    units: &[UnitView],
) -> Result<Vec<Given>, CommandError> {
    let mut text = Vec::new();
    if arguments.units.iter().any(|argument| argument == given::STDIN) {
        let read = std::io::stdin().lock().take(MAX_STDIN).read_to_end(&mut text);
        read.map_err(|error| CommandError::message(format!("{CREATING}: cannot read standard input: {error}")))?;
    }
    let stdin = std::str::from_utf8(&text)
        .map_err(|error| CommandError::message(format!("{CREATING}: standard input is no text: {error}")))?;
    // Whatever may be done to a unit that is wanted is nothing for a template.
    let templates = replaceable == [DesiredState::Inactive];
    let context = Context { units, stdin, name: arguments.name.as_deref(), templates };
    given::expand(&arguments.units, &context)
}

/// The change that makes the unit, or none of its text where the cluster knows it.
async fn with_text(
    unit: Resolved,
    templates: &mut BTreeMap<UnitName, UnitText>,
    client: &Client,
) -> Result<Asked, CommandError> {
    let mut is_global = unit.view.as_ref().is_some_and(|view| view.global);
    let text = match unit.source {
        Source::Known => None,
        Source::File(file) => {
            is_global = file.is_global;
            Some(UnitText { text: file.text, drop_ins: file.drop_ins })
        }
        Source::Template { name: template, is_global: global } => {
            is_global = global;
            if !templates.contains_key(&template) {
                let doing = format!("{CREATING}: error retrieving Unit({template}) from Registry");
                let text = client.unit_text(template.as_str()).await.map_err(CommandError::doing(doing))?;
                templates.insert(template.clone(), text);
            }
            templates.get(&template).cloned()
        }
    };
    let (text, drop_ins) = text.map(|text| (Some(text.text), text.drop_ins)).unwrap_or_default();
    let name = unit.name.as_str().to_owned();
    let change = UnitChange { name, text, drop_ins, replace: unit.replace, ..UnitChange::default() };
    Ok(Asked { change, before: unit.view, is_global })
}

/// Asks fleetd for all changes in one request, and says what was created and what was refused. The outcomes are in the
/// order of the changes; the flag is whether none was refused.
pub(super) async fn ask(
    asked: &[Asked],
    doing: &str,
    client: &Client,
    output: &mut Output,
) -> Result<(Vec<UnitOutcome>, bool), CommandError> {
    let request = UnitsRequest { units: asked.iter().map(|unit| unit.change.clone()).collect() };
    let answer = client.change_units(&request).await.map_err(CommandError::doing(doing.to_owned()))?;
    tell(answer, doing, output)
}

/// Says what was created and what was refused.
fn tell(answer: UnitsAnswer, doing: &str, output: &mut Output) -> Result<(Vec<UnitOutcome>, bool), CommandError> {
    for unit in &answer.units {
        match words::outcome(unit, doing) {
            Some(Line::Out(line)) => writeln!(output.out(), "{line}")?,
            Some(Line::Err(line)) => writeln!(output.err()?, "{line}")?,
            None => {}
        }
    }
    let all_done = answer.units.iter().all(|unit| unit.outcome != Outcome::Refused);
    output.flush()?;
    Ok((answer.units, all_done))
}

/// Asks fleetd for the changes, and waits until they have come true unless told otherwise. True if they have.
pub(super) async fn carry_out(
    action: Action,
    mut asked: Vec<Asked>,
    blocking: Blocking,
    client: &Client,
    output: &mut Output,
) -> Result<bool, CommandError> {
    for unit in &mut asked {
        unit.change.desired_state = Some(action.desired);
    }
    if asked.is_empty() {
        return Ok(true);
    }
    let outcomes = ask(&asked, action.doing, client, output).await?;
    await_outcomes(action, asked, outcomes, blocking, client, output).await
}

/// Waits until what fleetd agreed to has come true, unless told otherwise. True if it has.
async fn await_outcomes(
    action: Action,
    asked: Vec<Asked>,
    (outcomes, all_done): (Vec<UnitOutcome>, bool),
    blocking: Blocking,
    client: &Client,
    output: &mut Output,
) -> Result<bool, CommandError> {
    let mut targets = Vec::new();
    for (outcome, asked) in outcomes.into_iter().zip(asked) {
        let Some(uid) = outcome.uid.filter(|_| outcome.outcome != Outcome::Refused) else { continue };
        let waits = !blocking.no_block && (!asked.is_global || action.waits_for_global);
        if asked.is_global || !waits {
            writeln!(output.out(), "{}", words::triggered(&outcome.name, action.verb, asked.is_global))?;
        }
        if waits {
            let before = asked.before.filter(|_| outcome.outcome != Outcome::Unchanged);
            targets.push(Target { name: outcome.name, uid, before });
        }
    }
    output.flush()?;
    let all_reached = super::waiting::wait(action.goal, targets, blocking, client, output).await?;
    Ok(all_done && all_reached)
}

/// Says what became of a change that was planned, and waits as [`carry_out`] does.
pub(super) async fn carried_out(
    action: Action,
    asked: Vec<Asked>,
    answer: UnitsAnswer,
    blocking: Blocking,
    client: &Client,
    output: &mut Output,
) -> Result<bool, CommandError> {
    let outcomes = tell(answer, action.doing, output)?;
    await_outcomes(action, asked, outcomes, blocking, client, output).await
}

/// Asks for less of units that the cluster knows, waits, and says in fleet's words how it went. That there are none is no
/// failure, as in fleet: what is not there is stopped.
pub(super) async fn end(
    action: Action,
    participle: &str,
    known: Vec<UnitView>,
    blocking: Blocking,
    client: &Client,
    output: &mut Output,
) -> Result<u8, CommandError> {
    if known.is_empty() {
        return Ok(0);
    }
    let names = known.iter().map(|unit| unit.name.clone()).collect::<Vec<_>>().join(" ");
    let asked = known.into_iter().map(of_known).collect();
    let done = carry_out(action, asked, blocking, client, output).await?;
    match done {
        true => writeln!(output.err()?, "Successfully {participle} units [{names}].")?,
        false => writeln!(output.err()?, "Failed to {} units [{names}].", action.verb)?,
    }
    Ok(u8::from(!done))
}

/// A template has no process of its own. Refused before anything is created.
pub(super) fn refuse_templates(asked: &[Asked], doing: &str) -> Result<(), CommandError> {
    let is_template = |name: &str| UnitName::parse(name).is_ok_and(|name| name.is_template());
    match asked.iter().map(|unit| &unit.change.name).find(|name| is_template(name)) {
        Some(name) => Err(CommandError::with_hint(
            format!("{doing}: cannot activate template {name:?}"),
            "Name an instance of it, with something between \"@\" and the dot.",
        )),
        None => Ok(()),
    }
}

/// Says that no unit was named. That is no failure, as in fleet.
pub(super) fn none_given(output: &mut Output) -> Result<u8, CommandError> {
    writeln!(output.err()?, "No units given")?;
    Ok(0)
}

/// The units that were named and that the cluster knows. The others are named on stderr; the flag is whether there were
/// none.
pub(super) async fn known(
    arguments: &[String],
    client: &Client,
    output: &mut Output,
) -> Result<(Vec<UnitView>, bool), CommandError> {
    let names = super::lookup::expand(arguments, client).await?;
    let (known, unknown) = super::lookup::named(client, &names, "Error retrieving units from Registry").await?;
    let unmatched = arguments.iter().filter(|argument| pattern::is_pattern(argument) && known.is_empty());
    let unknown: Vec<&str> = unknown.iter().map(UnitName::as_str).chain(unmatched.map(String::as_str)).collect();
    if !unknown.is_empty() {
        writeln!(output.err()?, "Units not found in registry: {}", unknown.join(" "))?;
    }
    Ok((known, unknown.is_empty()))
}

/// A change of a unit that the cluster knows.
pub(super) fn of_known(view: UnitView) -> Asked {
    let change = UnitChange { name: view.name.clone(), ..UnitChange::default() };
    Asked { change, is_global: view.global, before: Some(view) }
}
