//! Moves at a bounded rate: which may begin, and when one is over.

use std::collections::{BTreeMap, VecDeque};

use fleet_api::v2::{MoveView, UnitView, WatchLine};
use fleet_units::DesiredState;

use super::{Goal, Target, Verdict, judge};

/// Moves under way at once, whatever their groups.
const AT_ONCE: usize = 10;

/// A move that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The move.
    pub made: MoveView,
    /// Not [`Verdict::Pending`].
    pub verdict: Verdict,
}

/// A move that was begun.
#[derive(Debug)]
struct UnderWay {
    made: MoveView,
    /// What is known of the unit, and of those that come along.
    known: BTreeMap<String, Verdict>,
}

impl UnderWay {
    fn new(made: MoveView) -> Self {
        let names = std::iter::once(&made.name).chain(&made.with);
        let known = names.map(|name| (name.clone(), Verdict::Pending("no word of it yet".to_owned()))).collect();
        Self { made, known }
    }

    /// What became of the move: it is over when all are where they should be, or one will never be.
    fn verdict(&self) -> Verdict {
        let of = |is: fn(&Verdict) -> bool| self.known.iter().find(|(_, verdict)| is(verdict));
        if let Some((name, Verdict::Failed { reason, machine })) =
            of(|verdict| matches!(verdict, Verdict::Failed { .. }))
        {
            let reason = self.told_of(name, reason);
            return Verdict::Failed { reason, machine: machine.clone() };
        }
        if let Some((name, Verdict::Pending(at))) = of(|verdict| matches!(verdict, Verdict::Pending(_))) {
            return Verdict::Pending(self.told_of(name, at));
        }
        self.known.get(&self.made.name).cloned().unwrap_or_else(|| Verdict::Pending(String::new()))
    }

    fn told_of(&self, name: &str, words: &str) -> String {
        if name == self.made.name { words.to_owned() } else { format!("{name}, which comes along: {words}") }
    }
}

/// The groups of all that move.
fn groups(made: &MoveView) -> impl Iterator<Item = &String> {
    std::iter::once(&made.group).chain(&made.with_groups)
}

/// Moves to be made.
#[derive(Debug)]
pub struct Moves {
    waiting: VecDeque<MoveView>,
    under_way: BTreeMap<String, UnderWay>,
    /// Of one group.
    at_once: usize,
}

impl Moves {
    /// These moves, of which at most so many of one group are under way at once.
    pub fn new(moves: Vec<MoveView>, at_once: usize) -> Self {
        Self { waiting: moves.into(), under_way: BTreeMap::new(), at_once: at_once.max(1) }
    }

    /// The moves that are to begin now.
    pub fn begin(&mut self) -> Vec<MoveView> {
        let mut begun = Vec::new();
        let mut later = VecDeque::new();
        while let Some(next) = self.waiting.pop_front() {
            if self.under_way.len() >= AT_ONCE || self.is_too_many(&next) {
                later.push_back(next);
                continue;
            }
            self.under_way.insert(next.name.clone(), UnderWay::new(next.clone()));
            begun.push(next);
        }
        self.waiting = later;
        begun
    }

    /// Whether too many of a group would be away with this move. Those that are tied to each other go at once, however
    /// many they are: alone.
    fn is_too_many(&self, next: &MoveView) -> bool {
        groups(next).any(|group| {
            let away = self.under_way.values().flat_map(|other| groups(&other.made)).filter(|other| *other == group);
            let (away, more) = (away.count(), groups(next).filter(|other| *other == group).count());
            away > 0 && away + more > self.at_once
        })
    }

    /// These were not begun after all: they are the next to begin.
    pub fn put_back(&mut self, moves: Vec<MoveView>) {
        for made in moves.into_iter().rev() {
            self.under_way.remove(&made.name);
            self.waiting.push_front(made);
        }
    }

    /// Takes the next line of a watch of these units.
    pub fn observe(&mut self, line: &WatchLine) -> Vec<Moved> {
        match line {
            WatchLine::Snapshot { units, .. } => {
                let names: Vec<String> =
                    self.under_way.values().flat_map(|under_way| under_way.known.keys()).cloned().collect();
                let view = |name: &String| units.iter().find(|unit| unit.name == *name);
                names.iter().filter_map(|name| self.look(name, view(name))).collect()
            }
            WatchLine::Unit { unit, .. } => self.look(&unit.name, Some(unit)).into_iter().collect(),
            WatchLine::Gone { name, .. } => self.look(name, None).into_iter().collect(),
            _ => Vec::new(),
        }
    }

    /// Takes what is known already of a unit whose move has just begun.
    pub fn know(&mut self, view: &UnitView) -> Option<Moved> {
        self.look(&view.name, Some(view))
    }

    fn look(&mut self, name: &str, view: Option<&UnitView>) -> Option<Moved> {
        let under_way = self.under_way.values_mut().find(|under_way| under_way.known.contains_key(name))?;
        under_way.known.insert(name.to_owned(), arrived(&under_way.made, view));
        let verdict = under_way.verdict();
        if matches!(verdict, Verdict::Pending(_)) {
            return None;
        }
        let lead = under_way.made.name.clone();
        self.under_way.remove(&lead).map(|UnderWay { made, .. }| Moved { made, verdict })
    }

    /// Gives up a move whose unit has not left, which `is_there` tells of the machine that it is to leave.
    pub fn give_up(&mut self, name: &str, is_there: impl Fn(&str) -> bool) -> Option<MoveView> {
        let under_way = self.under_way.get(name).filter(|under_way| is_there(&under_way.made.from.id))?;
        let made = under_way.made.clone();
        self.under_way.remove(name);
        Some(made)
    }

    /// Begins none of those that wait.
    pub fn stop(&mut self) {
        self.waiting.clear();
    }

    /// What is under way, and what it is at.
    pub fn pending(&self) -> impl Iterator<Item = (&str, String)> {
        self.under_way.iter().filter_map(|(name, under_way)| match under_way.verdict() {
            Verdict::Pending(at) => Some((name.as_str(), at)),
            _ => None,
        })
    }

    /// How many have not begun.
    pub fn left(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none is left to begin or to end.
    pub fn is_over(&self) -> bool {
        self.waiting.is_empty() && self.under_way.is_empty()
    }
}

/// Whether a unit has left its machine, and is where it should be as it should be.
fn arrived(made: &MoveView, view: Option<&UnitView>) -> Verdict {
    let Some(view) = view else {
        return Verdict::Failed { reason: "it was destroyed meanwhile".to_owned(), machine: None };
    };
    let here = view.machine.as_ref();
    if here.is_none_or(|machine| machine.id == made.from.id) {
        let note = view.note.as_ref().filter(|_| here.is_none()).map(|note| note.reason.clone());
        return Verdict::Pending(note.unwrap_or_else(|| "leaving its machine".to_owned()));
    }
    let goal = match view.desired_state {
        Some(DesiredState::Launched) => Goal::Launched,
        Some(DesiredState::Loaded) => Goal::Loaded,
        _ => return Verdict::Failed { reason: "nobody wants it to run any more".to_owned(), machine: None },
    };
    let target = Target { name: view.name.clone(), uid: view.uid, before: None };
    judge(goal, &target, Some(view), false)
}

#[cfg(test)]
mod tests {
    use fleet_api::v2::{MachineRef, Reached, StateView};

    use super::*;

    fn machine(id: &str) -> MachineRef {
        MachineRef { id: id.to_owned(), address: String::new() }
    }

    fn to_make(name: &str, group: &str) -> MoveView {
        let (from, to) = (machine("m1"), machine("m2"));
        let (name, group) = (name.to_owned(), group.to_owned());
        MoveView { name, with: Vec::new(), group, with_groups: Vec::new(), from, to, reason: String::new() }
    }

    fn with(name: &str, group: &str, along: &[(&str, &str)]) -> MoveView {
        let each = |of: fn(&(&str, &str)) -> String| along.iter().map(of).collect();
        MoveView {
            with: each(|(name, _)| (*name).to_owned()),
            with_groups: each(|(_, group)| (*group).to_owned()),
            ..to_make(name, group)
        }
    }

    fn view(name: &str, at: Option<&str>, active: &str) -> WatchLine {
        let mut unit: UnitView = serde_json::from_value(serde_json::json!({"name": name, "uid": 7})).unwrap();
        unit.desired_state = Some(DesiredState::Launched);
        unit.machine = at.map(machine);
        unit.states = vec![StateView {
            machine: machine(at.unwrap_or("m1")),
            uid: 7,
            active: active.to_owned(),
            load: "loaded".to_owned(),
            reached: Some(Reached::Launched),
            since: 5,
            ..StateView::default()
        }];
        WatchLine::Unit { revision: 1, unit: Box::new(unit) }
    }

    fn names(moves: &[MoveView]) -> Vec<&str> {
        moves.iter().map(|made| made.name.as_str()).collect()
    }

    /// A service would be down because all its instances moved at once.
    #[test]
    fn of_one_group_as_many_are_away_as_may_be() {
        let all = [("a1", "a"), ("a2", "a"), ("b1", "b"), ("a3", "a")];
        let all = || all.iter().map(|(name, group)| to_make(name, group)).collect();
        let mut moves = Moves::new(all(), 1);
        assert_eq!(names(&moves.begin()), ["a1", "b1"]);
        assert_eq!(names(&moves.begin()), [""; 0]);
        // Still there, on its way, starting: away all the while.
        for (at, active) in [(Some("m1"), "active"), (None, "deactivating"), (Some("m2"), "activating")] {
            assert_eq!(moves.observe(&view("a1", at, active)), []);
            assert_eq!(names(&moves.begin()), [""; 0], "{at:?}");
        }
        let over = moves.observe(&view("a1", Some("m2"), "active"));
        assert!(matches!(&over[..], [Moved { verdict: Verdict::Reached { .. }, .. }]), "{over:?}");
        assert_eq!(names(&moves.begin()), ["a2"]);
        assert_eq!((moves.left(), moves.is_over()), (1, false));
        assert_eq!(names(&Moves::new(all(), 2).begin()), ["a1", "a2", "b1"]);
        let many = (0..40).map(|n| to_make(&format!("u{n}"), &format!("u{n}"))).collect();
        assert_eq!(Moves::new(many, 1).begin().len(), AT_ONCE);
    }

    /// The databases of a service would be down at once, since each came along with another unit.
    #[test]
    fn those_that_come_along_are_away_too() {
        let all = || vec![with("web1", "web", &[("db1", "db")]), to_make("db2", "db"), with("c1", "c", &[("c2", "c")])];
        let mut moves = Moves::new(all(), 1);
        assert_eq!(names(&moves.begin()), ["web1", "c1"]);
        assert_eq!(moves.observe(&view("web1", Some("m2"), "active")), []);
        assert_eq!(names(&moves.begin()), [""; 0], "its database is not there yet");
        let at: Vec<String> = moves.pending().map(|(_, at)| at).collect();
        assert!(at.contains(&"db1, which comes along: no word of it yet".to_owned()), "{at:?}");
        let over = moves.observe(&view("db1", Some("m2"), "active"));
        assert!(
            matches!(&over[..], [Moved { made, verdict: Verdict::Reached { .. } }] if made.name == "web1"),
            "{over:?}"
        );
        assert_eq!(names(&moves.begin()), ["db2"]);
        let over = moves.observe(&view("c2", Some("m2"), "failed"));
        let [Moved { verdict: Verdict::Failed { reason, .. }, .. }] = &over[..] else { panic!("{over:?}") };
        assert!(reason.starts_with("c2, which comes along: "), "{reason}");
    }

    /// fleetd was away when a move was to begin: nobody would begin it any more, nor give it up.
    #[test]
    fn what_could_not_be_asked_for_begins_again() {
        let mut moves = Moves::new(["a", "b", "c"].map(|name| to_make(name, "g")).into(), 2);
        let begun = moves.begin();
        assert_eq!(names(&begun), ["a", "b"]);
        moves.put_back(begun);
        assert_eq!((moves.left(), moves.pending().count()), (3, 0));
        assert_eq!(names(&moves.begin()), ["a", "b"]);
    }

    #[test]
    fn what_goes_wrong_ends_a_move() {
        let mut moves = Moves::new(["a", "b", "c"].map(|name| to_make(name, name)).into(), 1);
        moves.begin();
        let over = moves.observe(&view("a", Some("m2"), "failed"));
        assert!(matches!(&over[..], [Moved { verdict: Verdict::Failed { .. }, .. }]), "{over:?}");
        let over = moves.observe(&WatchLine::Gone { revision: 2, name: "b".into() });
        assert!(matches!(&over[..], [Moved { verdict: Verdict::Failed { .. }, .. }]), "{over:?}");
        assert_eq!(moves.give_up("c", |_| false), None);
        assert_eq!(moves.give_up("c", |from| from == "m1").map(|made| made.name), Some("c".to_owned()));
        assert!(moves.is_over());
    }
}
