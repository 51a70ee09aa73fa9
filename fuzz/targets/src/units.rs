//! Unit files, names, patterns, and what a unit asks of machines.

use std::collections::BTreeMap;

use fleet_units::{Glob, MachineTraits, MetadataConstraints, Requirements, UnitFile, UnitName, expand_specifiers};

/// A unit file: read again from its canonical text it is the same, hash included.
pub(crate) fn unit_file(data: &[u8]) {
    let Ok(file) = UnitFile::from_bytes(data) else { return };
    let canonical = file.canonical();
    let again = UnitFile::parse(&canonical).expect("what fleet writes, fleet reads");
    assert_eq!(again.options(), file.options());
    assert_eq!(again.canonical(), canonical);
    assert_eq!(again.hash(), file.hash());
    let rebuilt = UnitFile::from_options(file.options().to_vec()).expect("options that were read can be written");
    assert_eq!(rebuilt.hash(), file.hash());
    for option in file.options() {
        let values = file.values(&option.section, &option.name);
        assert!(values.count() > 0 || option.value.is_empty() || file.options().len() > 1);
        _ = (file.list(&option.section, &option.name), file.last(&option.section, &option.name), option.joined());
    }
    for name in ["a.service", "a@.service", "a@b.timer", "a.scope"] {
        _ = file.validate_for(&UnitName::parse(name).expect("a name"));
    }
}

/// `[X-Fleet]`: what a unit asks for is the same each time it is read, from its canonical text too.
pub(crate) fn requirements(data: &[u8]) {
    let Some(parts) = super::parts(data) else { return };
    let (name, body) = match parts[..] {
        [name, body, ..] => (UnitName::parse(name).ok(), body),
        [body] => (None, body),
        [] => return,
    };
    let name = name.unwrap_or_else(|| UnitName::parse("web@1.service").expect("a name"));
    let Ok(file) = UnitFile::parse(&format!("[X-Fleet]\n{body}")) else { return };
    let Ok(wanted) = Requirements::parse(&file, &name) else { return };
    let again = UnitFile::parse(&file.canonical()).expect("what fleet writes, fleet reads");
    assert_eq!(Requirements::parse(&again, &name).as_ref(), Ok(&wanted));
    assert_eq!(wanted.validate(), wanted.clone().validate());
    _ = wanted.warnings().count();
    for glob in wanted.conflicts.iter().chain(&wanted.replaces) {
        _ = glob.matches(name.as_str());
    }
}

/// Names: what was read is written the same, and its parts make it up.
pub(crate) fn names(data: &[u8]) {
    let Some(text) = super::text(data) else { return };
    let mangled = UnitName::mangle(text);
    let Ok(name) = UnitName::parse(text) else {
        _ = UnitName::parse(&mangled);
        return;
    };
    assert_eq!(name.as_str(), text);
    assert_eq!(UnitName::parse(name.as_str()).as_ref(), Ok(&name));
    assert_eq!(format!("{}.{}", name.stem(), name.unit_type()), text);
    assert!(!(name.is_template() && name.is_instance()));
    if let Some(instance) = name.instance().filter(|_| name.is_instance()) {
        assert_eq!(format!("{}@{instance}.{}", name.prefix(), name.unit_type()), text);
        let template = name.template().expect("an instance has a template");
        assert!(template.is_template());
        assert_eq!(template.as_str(), format!("{}@.{}", name.prefix(), name.unit_type()));
    }
    assert_eq!(expand_specifiers("%n", &name), text);
    assert_eq!(expand_specifiers("%N.%%", &name), format!("{}.%", name.stem()));
    _ = expand_specifiers(text, &name);
    // It becomes a file name and a part of a key.
    assert!(!text.contains(['/', '\0', '\n']) && text != "." && text != "..");
}

/// Patterns: what matches is what matches by the book, and in time.
pub(crate) fn globs(data: &[u8]) {
    let Some(parts) = super::parts(data) else { return };
    let (Some(pattern), Some(name)) = (parts.first(), parts.get(1)) else { return };
    let glob = Glob::new(pattern);
    let matches = glob.matches(name);
    assert_eq!(glob.as_str(), *pattern);
    if matches {
        assert!(glob.is_valid() && name.starts_with(glob.literal_prefix()));
        assert!(!glob.is_literal() || *name == glob.literal_prefix());
    }
    if pattern.len() <= 64 && name.len() <= 64 {
        let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
        let by_the_book = well_formed(&pattern) && book(&pattern, &name, &mut BTreeMap::new());
        assert_eq!(matches, by_the_book, "{pattern:?} {name:?}");
    }
}

/// Whether the whole of a pattern can be read: one that cannot matches nothing, wherever its flaw is.
fn well_formed(pattern: &[char]) -> bool {
    let mut rest = pattern;
    while !rest.is_empty() {
        match element(rest, None) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    true
}

/// Go's `path.Match` as its manual has it, by trying everything.
fn book(pattern: &[char], name: &[char], seen: &mut BTreeMap<(usize, usize), bool>) -> bool {
    let at = (pattern.len(), name.len());
    if let Some(&known) = seen.get(&at) {
        return known;
    }
    let matches = match pattern {
        [] => name.is_empty(),
        ['*', rest @ ..] => {
            book(rest, name, seen) || name.first().is_some_and(|c| *c != '/') && book(pattern, &name[1..], seen)
        }
        _ => match (name, element(pattern, name.first().copied())) {
            ([_, tail @ ..], Some((true, rest))) => book(rest, tail, seen),
            _ => false,
        },
    };
    seen.insert(at, matches);
    matches
}

/// Whether the first element of a pattern takes a character, and what follows it; none where it is malformed.
fn element(pattern: &[char], c: Option<char>) -> Option<(bool, &[char])> {
    match pattern {
        ['*', rest @ ..] => Some((false, rest)),
        ['?', rest @ ..] => Some((c.is_some_and(|c| c != '/'), rest)),
        ['\\', literal, rest @ ..] => Some((c == Some(*literal), rest)),
        ['\\'] | [] => None,
        ['[', inside @ ..] => {
            let (negated, mut rest) = match inside {
                ['^', rest @ ..] => (true, rest),
                _ => (false, inside),
            };
            let (mut hit, mut first) = (false, true);
            loop {
                if let [']', after @ ..] = rest
                    && !first
                {
                    return Some((c.is_some() && hit != negated, after));
                }
                first = false;
                let (low, after) = member(rest)?;
                let (high, after) = match after {
                    ['-', after @ ..] => member(after)?,
                    _ => (low, after),
                };
                hit |= c.is_some_and(|c| low <= c && c <= high);
                rest = after;
            }
        }
        [literal, rest @ ..] => Some((c == Some(*literal), rest)),
    }
}

fn member(class: &[char]) -> Option<(char, &[char])> {
    match class {
        ['-' | ']', ..] | [] => None,
        ['\\', c, rest @ ..] => Some((*c, rest)),
        ['\\'] => None,
        [c, rest @ ..] => Some((*c, rest)),
    }
}

/// `MachineMetadata=` against a machine's metadata: it matches exactly where nothing is unmet.
pub(crate) fn metadata(data: &[u8]) {
    let Some(parts) = super::parts(data) else { return };
    let machine: BTreeMap<String, String> = parts
        .get(1)
        .into_iter()
        .flat_map(|part| part.lines())
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    let Ok(wanted) = MetadataConstraints::parse(parts[0].lines().map(str::to_owned)) else { return };
    let traits = MachineTraits { metadata: &machine, hostname: "node", id: "beef" };
    assert_eq!(wanted.matches(&traits), wanted.first_unmet(&traits).is_none());
    assert_eq!(wanted.matches(&traits), wanted.unmet(&traits) == 0);
    for demand in wanted.iter() {
        assert!(!demand.to_string().is_empty() && !demand.complaint().is_empty());
        if let Some(values) = demand.any_of() {
            let has = machine.get(&demand.key).is_some_and(|value| values.contains(value));
            assert_eq!(demand.matches(&traits), has);
        }
    }
    assert_eq!(wanted.is_empty(), wanted.iter().count() == 0);
    if wanted.is_empty() {
        assert!(wanted.matches(&MachineTraits::of(&BTreeMap::new())));
    }
}
