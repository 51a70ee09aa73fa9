//! Properties that hold for every input, not only for the tables.

use fleet_units::{Glob, Requirements, UnitFile, UnitName, UnitOption};
use proptest::prelude::*;

/// What unit files are made of, and what troubles their parsers.
const PIECES: &[&str] = &[
    "[Unit]",
    "[Service]",
    "[X-Fleet]",
    "[",
    "]",
    "=",
    "\\",
    "\\\\",
    "\\\n",
    "\n",
    "\n\n",
    "\r",
    "\r\n",
    "\\\r\n",
    " ",
    "\t",
    "\u{b}",
    "\u{a0}",
    "\u{85}",
    "\u{feff}",
    "#",
    ";",
    "# c\n",
    "a",
    "b=1",
    "ExecStart=/bin/true",
    "Conflicts=",
    "MachineOf=",
    "MachineMetadata=",
    "MachineID=",
    "Global=",
    "k=v",
    "%i",
    "%n",
    "%",
    "\"",
    "*",
    "?",
    "^",
    "-",
    "é",
    "a.service",
];

fn noisy_text() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(PIECES), 0..40).prop_map(|pieces| pieces.concat())
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => noisy_text().prop_map(|text| format!("[Service]\n{text}")),
        2 => noisy_text(),
        1 => any::<String>(),
    ]
}

fn valid_name() -> impl Strategy<Value = String> {
    let kind = prop::sample::select(vec!["service", "timer", "path", "socket", "target"]);
    ("[A-Za-z0-9:_.\\\\-][A-Za-z0-9:_.\\\\@-]{0,40}", kind).prop_map(|(stem, kind)| format!("{stem}.{kind}"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..Default::default() })]

    /// What fleet stores and prints reads as what was submitted.
    #[test]
    fn canonical_text_is_a_fixed_point(text in any_text()) {
        if let Ok(file) = UnitFile::parse(&text) {
            let canonical = file.canonical();
            let again = UnitFile::parse(&canonical).expect("canonical text is readable");
            prop_assert_eq!(again.options(), file.options());
            prop_assert_eq!(again.canonical(), canonical);
            prop_assert_eq!(again.hash(), file.hash());
        }
    }

    /// Errors point into the file.
    #[test]
    fn errors_name_a_line_of_the_file(text in any_text()) {
        if let Err(error) = UnitFile::parse(&text) {
            let lines = text.split(['\n', '\r']).count();
            prop_assert!((1..=lines).contains(&error.line), "{} of {}", error, lines);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        match (UnitFile::from_bytes(&bytes), std::str::from_utf8(&bytes)) {
            (read, Ok(text)) => prop_assert_eq!(read, UnitFile::parse(text)),
            (read, Err(_)) => prop_assert!(read.is_err()),
        }
    }

    /// Comments and blank lines are never content.
    #[test]
    fn comments_do_not_change_the_hash(text in noisy_text(), comment in "[#;][a-z ]{0,9}\\\\?") {
        let commented = |text: &str| format!("{comment}\n\n[Service]\n{comment}\n{text}");
        let plain = UnitFile::parse(&format!("[Service]\n{text}"));
        match (plain, UnitFile::parse(&commented(&text))) {
            (Ok(plain), Ok(commented)) => prop_assert_eq!(plain.hash(), commented.hash()),
            (plain, commented) => prop_assert_eq!(plain.is_err(), commented.is_err()),
        }
    }

    /// What API v1 takes apart, it can put together.
    #[test]
    fn options_come_back_as_the_same_file(text in any_text()) {
        if let Ok(file) = UnitFile::parse(&text) {
            let made = UnitFile::from_options(file.options().to_vec());
            prop_assert_eq!(made, Ok(file));
        }
    }

    /// Options from anywhere are refused, or read back one for one.
    #[test]
    fn made_files_hold_exactly_the_options_given(
        parts in prop::collection::vec((noisy_text(), noisy_text(), noisy_text()), 0..4),
    ) {
        let options: Vec<_> = parts
            .into_iter()
            .map(|(section, name, value)| UnitOption { section, name, value })
            .collect();
        if let Ok(file) = UnitFile::from_options(options.clone()) {
            prop_assert_eq!(file.options().len(), options.len());
            for given in &options {
                let found = file.options().iter().any(|read| {
                    read.section == given.section
                        && read.name == given.name.trim()
                        && read.joined() == given.joined()
                });
                prop_assert!(found, "{given:?} is lost");
            }
        }
    }

    #[test]
    fn valid_names_come_back(text in valid_name()) {
        let name = UnitName::parse(&text).expect("a valid name");
        prop_assert_eq!(name.to_string(), &*text);
        prop_assert_eq!(format!("{}.{}", name.stem(), name.unit_type()), &*text);
        if let Some(instance) = name.instance() {
            prop_assert_eq!(format!("{}@{instance}", name.prefix()), name.stem());
        }
        if let Some(template) = name.template() {
            prop_assert!(template.is_template());
            prop_assert_eq!(UnitName::parse(template.as_str()), Ok(template.clone()));
        }
        prop_assert_eq!(UnitName::mangle(&text), text);
    }

    #[test]
    fn any_name_is_accepted_or_refused(text in any::<String>()) {
        if let Ok(name) = UnitName::parse(&text) {
            prop_assert_eq!(name.as_str(), &*text);
        }
        let mangled = UnitName::mangle(&text);
        prop_assert_eq!(UnitName::mangle(&mangled), mangled);
    }

    #[test]
    fn any_section_is_read_or_refused(text in noisy_text(), name in valid_name()) {
        let name = UnitName::parse(&name).expect("a valid name");
        let file = UnitFile::parse(&format!("[X-Fleet]\n{text}"));
        if let Ok(Ok(wanted)) = file.map(|file| Requirements::parse(&file, &name)) {
            let _ = wanted.validate();
            prop_assert!(wanted.conflicts.iter().all(Glob::is_valid));
        }
    }

    #[test]
    fn globs_agree_with_a_naive_matcher(
        pattern in "[ab*?\\[\\]^\\\\-]{0,9}",
        name in "[ab^\\]-]{0,9}",
    ) {
        let (glob, naive) = (Glob::new(&pattern), naive::Pattern::new(&pattern));
        prop_assert_eq!(glob.is_valid(), naive.is_valid());
        prop_assert_eq!(glob.matches(&name), naive.matches(&name));
        if glob.matches(&name) {
            prop_assert!(name.starts_with(glob.literal_prefix()));
        }
    }

    #[test]
    fn stars_stop_at_slashes(pattern in "[a/*?]{0,9}", name in "[ab/]{0,9}") {
        let naive = naive::Pattern::new(&pattern);
        prop_assert_eq!(Glob::new(&pattern).matches(&name), naive.matches(&name));
    }
}

/// The pattern language by recursion over its text: slow, and plainly right.
mod naive {
    pub(crate) struct Pattern(Vec<char>);

    impl Pattern {
        pub(crate) fn new(text: &str) -> Self {
            Self(text.chars().collect())
        }

        pub(crate) fn is_valid(&self) -> bool {
            let mut rest = self.0.as_slice();
            while !rest.is_empty() {
                match one(rest, 'x') {
                    Some((_, after)) => rest = after,
                    None => return false,
                }
            }
            true
        }

        pub(crate) fn matches(&self, name: &str) -> bool {
            self.is_valid() && run(&self.0, &name.chars().collect::<Vec<_>>())
        }
    }

    fn run(pattern: &[char], name: &[char]) -> bool {
        match (pattern, name) {
            ([], _) => name.is_empty(),
            (['*', after @ ..], _) => {
                run(after, name) || (!name.is_empty() && name[0] != '/' && run(pattern, &name[1..]))
            }
            (_, []) => false,
            (_, [c, name @ ..]) => one(pattern, *c).is_some_and(|(matched, after)| matched && run(after, name)),
        }
    }

    /// Whether the first item of a pattern matches a character, and what
    /// follows the item.
    fn one(pattern: &[char], c: char) -> Option<(bool, &[char])> {
        match pattern {
            [] => None,
            ['*' | '?', after @ ..] => Some((c != '/', after)),
            ['\\', literal, after @ ..] => Some((*literal == c, after)),
            ['\\'] => None,
            ['[', '^', class @ ..] => ranges(class, c, true).map(|(matched, after)| (!matched, after)),
            ['[', class @ ..] => ranges(class, c, true),
            [literal, after @ ..] => Some((*literal == c, after)),
        }
    }

    fn ranges(class: &[char], c: char, first: bool) -> Option<(bool, &[char])> {
        if let (false, [']', after @ ..]) = (first, class) {
            return Some((false, after));
        }
        let (low, after) = bound(class)?;
        let (high, after) = match after {
            ['-', after @ ..] => bound(after)?,
            _ => (low, after),
        };
        let (matched, after) = ranges(after, c, false)?;
        Some((matched || (low <= c && c <= high), after))
    }

    fn bound(class: &[char]) -> Option<(char, &[char])> {
        match class {
            [] | ['-' | ']', ..] | ['\\'] => None,
            ['\\', c, after @ ..] | [c, after @ ..] => Some((*c, after)),
        }
    }
}
