//! `capacity` and `capacity_reserve`: memory and processor time, in systemd's units.

use fleet_registry::record::Capacity;

use super::value::list;
use super::{ConfigError, Raw};

/// Reads `memory=2G,cpu=200%`, either of the two alone, or nothing.
///
/// # Errors
/// What was expected, and which part is not that.
pub(super) fn resources(text: &str) -> Result<Capacity, String> {
    let expected = |why: String| {
        format!(
            "memory in bytes or with K, M, G or T, and cpu in per cent of one core, such as memory=2G,cpu=200%, or \
             either alone; {why}"
        )
    };
    let mut found = Capacity::default();
    for part in list(text) {
        let Some((key, amount)) = part.split_once('=').map(|(key, amount)| (key.trim(), amount.trim())) else {
            return Err(expected(format!("`{part}` has no `=`")));
        };
        let (slot, amount) = match key {
            "memory" => (&mut found.memory, bytes(amount)),
            "cpu" => (&mut found.cpu_millis, millis(amount)),
            _ => return Err(expected(format!("`{key}` is neither memory nor cpu"))),
        };
        let Some(amount) = amount else { return Err(expected(format!("`{part}` is not that"))) };
        if slot.replace(amount).is_some() {
            return Err(expected(format!("{key} is there twice")));
        }
    }
    Ok(found)
}

/// A reserve has to fit into a capacity that was given: else every unit that asks would wait for no visible reason.
pub(super) fn refuse_excess(raw: &Raw, capacity: &Capacity, reserve: &Capacity) -> Result<(), ConfigError> {
    let exceeds = |reserve: Option<u64>, capacity: Option<u64>| reserve.zip(capacity).is_some_and(|(r, c)| r > c);
    let what = if exceeds(reserve.memory, capacity.memory) {
        "memory"
    } else if exceeds(reserve.cpu_millis, capacity.cpu_millis) {
        "cpu"
    } else {
        return Ok(());
    };
    let ((given, given_at), (kept, kept_at)) = (raw.get("capacity"), raw.get("capacity_reserve"));
    Err(ConfigError::Contradiction(format!(
        "capacity_reserve={kept} ({kept_at}) keeps back more {what} than capacity={given} ({given_at}) has: units that \
         ask for {what} could never be placed here; make the reserve smaller"
    )))
}

/// A size in systemd's units, which count by 1024.
fn bytes(text: &str) -> Option<u64> {
    let (number, shift) = match text.as_bytes().last()? {
        b'K' => (&text[..text.len() - 1], 10),
        b'M' => (&text[..text.len() - 1], 20),
        b'G' => (&text[..text.len() - 1], 30),
        b'T' => (&text[..text.len() - 1], 40),
        _ => (text, 0),
    };
    number.trim().parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// Per cent of one core, in thousandths of it.
fn millis(text: &str) -> Option<u64> {
    text.strip_suffix('%')?.trim().parse::<u64>().ok()?.checked_mul(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(Option<u64>, Option<u64>), String> {
        resources(text).map(|found| (found.memory, found.cpu_millis))
    }

    #[test]
    fn either_part_may_be_alone() {
        assert_eq!(read(""), Ok((None, None)));
        assert_eq!(read("memory=2G,cpu=200%"), Ok((Some(2 << 30), Some(2000))));
        assert_eq!(read(" cpu = 50 % , memory = 512M "), Ok((Some(512 << 20), Some(500))));
        assert_eq!(read("memory=1048576"), Ok((Some(1 << 20), None)));
        assert_eq!(read("memory=0,cpu=0%"), Ok((Some(0), Some(0))));
        assert_eq!(read("memory=1T,"), Ok((Some(1 << 40), None)));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, word) in [
            ("memory=lots", "`memory=lots` is not that"),
            ("memory=", "`memory=` is not that"),
            ("memory=-1G", "`memory=-1G` is not that"),
            ("memory=2GB", "`memory=2GB` is not that"),
            ("memory=99999999999999G", "is not that"),
            ("memory=99999999999999999999", "is not that"),
            ("cpu=2", "`cpu=2` is not that"),
            ("cpu=99999999999999999999%", "is not that"),
            ("gpu=1", "`gpu` is neither memory nor cpu"),
            ("2G", "`2G` has no `=`"),
            ("cpu=1%,cpu=2%", "cpu is there twice"),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.contains(word) && error.contains("such as memory=2G,cpu=200%"), "{text}: {error}");
        }
    }
}
