//! Patterns of unit names: `Conflicts=`, `Replaces=`, and wherever else units are named by them.
//!
//! The dialect is that of Go's `path.Match`, which CoreOS fleet used: `*` and
//! `?` match anything but `/`, `[a-z]` and `[^a-z]` match one character of a
//! class, `\` takes the next character literally, and a pattern matches a whole
//! name or nothing. A malformed pattern matches nothing at all.

use std::fmt;
use std::str::Chars;

use serde::{Deserialize, Serialize};

/// A pattern of unit names.
///
/// Matching takes time proportional to pattern times name at worst: it never
/// backtracks over more than the last `*`.
///
/// ```
/// use fleet_units::Glob;
///
/// let glob = Glob::new("web@*.service");
/// assert!(glob.matches("web@1.service"));
/// assert!(!glob.matches("db@1.service"));
/// assert_eq!(glob.literal_prefix(), "web@");
/// assert!(!Glob::new("web[").is_valid());
/// ```
#[derive(Clone, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Glob {
    pattern: Box<str>,
    literal_prefix: Box<str>,
    /// What follows that prefix; none where the pattern is malformed.
    tokens: Option<Box<[Token]>>,
}

#[derive(Clone, Debug)]
enum Token {
    Literal(char),
    /// `?`
    AnyOne,
    /// `*`
    AnyRun,
    /// `[…]`
    Class(Box<Class>),
}

#[derive(Clone, Debug)]
struct Class {
    negated: bool,
    ranges: Vec<(char, char)>,
}

impl Token {
    fn matches(&self, c: char) -> bool {
        match self {
            Self::Literal(literal) => *literal == c,
            Self::AnyOne | Self::AnyRun => c != '/',
            Self::Class(class) => class.ranges.iter().any(|&(low, high)| (low..=high).contains(&c)) != class.negated,
        }
    }
}

impl Glob {
    /// Reads a pattern. A malformed one is kept, and matches nothing.
    pub fn new(pattern: &str) -> Self {
        let tokens = tokenize(pattern);
        let literals = tokens.iter().flatten().map_while(|token| match token {
            Token::Literal(c) => Some(*c),
            _ => None,
        });
        let literal_prefix: String = literals.collect();
        let count = literal_prefix.chars().count();
        let tokens = tokens.map(|tokens| tokens.into_iter().skip(count).collect());
        Self { pattern: pattern.into(), literal_prefix: literal_prefix.into(), tokens }
    }

    /// Whether the pattern matches the whole of `name`.
    pub fn matches(&self, name: &str) -> bool {
        let Some(tokens) = &self.tokens else {
            return false;
        };
        let Some(rest) = name.strip_prefix(&*self.literal_prefix) else {
            return false;
        };
        // Where to resume when what follows the last `*` does not match: the
        // token after it, and the text from which it takes one more character.
        let mut resume: Option<(usize, &str)> = None;
        let (mut at, mut rest) = (0, rest);
        loop {
            let mut tail = rest.chars();
            match (tokens.get(at), tail.next()) {
                (None, None) => return true,
                (Some(Token::AnyRun), _) => {
                    at += 1;
                    resume = Some((at, rest));
                    continue;
                }
                (Some(token), Some(c)) if token.matches(c) => {
                    at += 1;
                    rest = tail.as_str();
                    continue;
                }
                _ => {}
            }
            let Some((after, from)) = resume else {
                return false;
            };
            let mut from = from.chars();
            match from.next() {
                Some(c) if Token::AnyRun.matches(c) => {
                    at = after;
                    rest = from.as_str();
                    resume = Some((after, rest));
                }
                _ => return false,
            }
        }
    }

    /// Whether the pattern is well-formed.
    pub fn is_valid(&self) -> bool {
        self.tokens.is_some()
    }

    /// Whether the pattern matches one name only, which is then its
    /// [`Glob::literal_prefix`].
    pub fn is_literal(&self) -> bool {
        self.tokens.as_ref().is_some_and(|tokens| tokens.is_empty())
    }

    /// What every matching name begins with, for indexes.
    pub fn literal_prefix(&self) -> &str {
        &self.literal_prefix
    }

    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.pattern
    }
}

fn tokenize(pattern: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        tokens.push(match c {
            // A run of stars is one, or it would cost without saying more.
            '*' if matches!(tokens.last(), Some(Token::AnyRun)) => continue,
            '*' => Token::AnyRun,
            '?' => Token::AnyOne,
            '[' => tokenize_class(&mut chars)?,
            '\\' => Token::Literal(chars.next()?),
            c => Token::Literal(c),
        });
    }
    Some(tokens)
}

/// Reads a class after its `[`. It has at least one range, and `-` and `]`
/// stand for themselves only when escaped.
fn tokenize_class(chars: &mut Chars<'_>) -> Option<Token> {
    let negated = take(chars, '^');
    let mut ranges = Vec::new();
    while ranges.is_empty() || !take(chars, ']') {
        let low = class_char(chars)?;
        let high = if take(chars, '-') { class_char(chars)? } else { low };
        ranges.push((low, high));
    }
    Some(Token::Class(Box::new(Class { negated, ranges })))
}

/// Takes the next character if it is the wanted one.
fn take(chars: &mut Chars<'_>, wanted: char) -> bool {
    let found = chars.as_str().starts_with(wanted);
    if found {
        chars.next();
    }
    found
}

fn class_char(chars: &mut Chars<'_>) -> Option<char> {
    match chars.next()? {
        '-' | ']' => None,
        '\\' => chars.next(),
        c => Some(c),
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Glob({:?})", self.as_str())
    }
}

impl PartialEq for Glob {
    fn eq(&self, other: &Self) -> bool {
        self.pattern == other.pattern
    }
}

impl Eq for Glob {}

impl PartialOrd for Glob {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Glob {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.pattern.cmp(&other.pattern)
    }
}

impl std::hash::Hash for Glob {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.pattern.hash(state);
    }
}

impl From<&str> for Glob {
    fn from(pattern: &str) -> Self {
        Self::new(pattern)
    }
}

impl From<String> for Glob {
    fn from(pattern: String) -> Self {
        Self::new(&pattern)
    }
}

impl From<Glob> for String {
    fn from(glob: Glob) -> Self {
        glob.pattern.into()
    }
}

#[cfg(test)]
mod tests;
