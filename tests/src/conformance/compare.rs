//! Where two observations differ.

use super::observation::{IDLE, Observation, Seen};

/// A state that lasts this long cannot be missed; shorter ones may be, since signals are taken together.
const LASTING_MS: u64 = 150;

/// Says where what was observed on the booted machine differs from what the simulated one does.
///
/// # Errors
/// When they differ, in words.
pub fn compare(booted: &Observation, simulated: &Observation) -> Result<(), String> {
    let mut differences = Vec::new();
    if booted.in_vain != simulated.in_vain {
        differences.push(format!("in vain:\n  booted    {:?}\n  simulated {:?}", booted.in_vain, simulated.in_vain));
    }
    for (step, answer) in &booted.answers {
        let other = simulated.answers.get(step);
        let kept = other.is_some_and(|other| is_kept_longer(answer, other));
        if other != Some(answer) && !kept {
            differences.push(format!("answer to step {step}:\n  booted    {answer}\n  simulated {other:?}"));
        }
    }
    for (step, units) in &booted.settled {
        let other = simulated.settled.get(step);
        for (unit, snapshot) in units {
            let other = other.and_then(|units| units.get(unit));
            if other != Some(snapshot) {
                let text = format!("{unit} at step {step}:\n  booted    {snapshot:?}\n  simulated {other:?}");
                differences.push(text);
            }
        }
    }
    for (unit, seen) in &simulated.seen {
        let none = Vec::new();
        let real = booted.seen.get(unit).unwrap_or(&none);
        if !matches(real, seen) {
            differences.push(format!("states of {unit}:\n  booted    {}\n  simulated {}", words(real), words(seen)));
        }
    }
    if differences.is_empty() { Ok(()) } else { Err(differences.join("\n")) }
}

/// Whether the answers differ only in how long systemd keeps an idle unit in memory.
fn is_kept_longer(booted: &str, simulated: &str) -> bool {
    let linked = (format!("linked{IDLE}, reload true"), format!("linked{IDLE}, reload false"));
    let unlinked = (format!("unlinked{IDLE}, left Inactive"), format!("unlinked{IDLE}, left Gone"));
    [linked, unlinked].iter().any(|(kept, gone)| booted == kept && simulated == gone)
}

fn words(seen: &[Seen]) -> String {
    let word = |s: &Seen| match s.lasted_ms {
        u64::MAX => s.state.clone(),
        lasted => format!("{} ({lasted} ms)", s.state),
    };
    seen.iter().map(word).collect::<Vec<_>>().join(" | ")
}

/// Whether the states seen are those simulated, but for short ones that were missed.
fn matches(seen: &[Seen], simulated: &[Seen]) -> bool {
    // From behind: whether what is left of the one matches what is left of the other.
    let mut rest = vec![false; seen.len() + 1];
    rest[seen.len()] = true;
    for state in simulated.iter().rev() {
        let may_be_missed = state.lasted_ms < LASTING_MS;
        let mut next = vec![false; seen.len() + 1];
        for i in 0..=seen.len() {
            let taken = seen.get(i).is_some_and(|s| s.state == state.state) && rest[i + 1];
            // What lay between it and the same state before may have been missed.
            let same_as_before = i > 0 && seen[i - 1].state == state.state && rest[i];
            next[i] = taken || same_as_before || (may_be_missed && rest[i]);
        }
        rest = next;
    }
    rest[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn states(list: &[(&str, u64)]) -> Vec<Seen> {
        list.iter().map(|(state, lasted_ms)| Seen { state: (*state).to_owned(), lasted_ms: *lasted_ms }).collect()
    }

    #[test]
    fn only_short_states_may_be_missed() {
        let simulated = states(&[("starts", 5), ("runs", 900), ("stops", 5), ("dead", u64::MAX)]);
        assert!(matches(&states(&[("runs", 1), ("dead", 1)]), &simulated));
        assert!(matches(&states(&[("starts", 1), ("runs", 1), ("stops", 1), ("dead", 1)]), &simulated));
        assert!(!matches(&states(&[("starts", 1), ("dead", 1)]), &simulated), "it ran");
        assert!(!matches(&states(&[("runs", 1), ("dead", 1), ("runs", 1)]), &simulated), "it ran twice");
        assert!(!matches(&states(&[("runs", 1)]), &simulated), "it ended");
        let again = states(&[("runs", 900), ("stops", 5), ("runs", u64::MAX)]);
        assert!(matches(&states(&[("runs", 1)]), &again));
        let again = states(&[("runs", 900), ("stops", 400), ("runs", u64::MAX)]);
        assert!(!matches(&states(&[("runs", 1)]), &again), "it took its time to stop");
    }
}
