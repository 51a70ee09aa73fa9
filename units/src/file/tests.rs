//! What files mean, what they hash to, and what is refused.

mod errors;
mod options;
mod systemd;

use super::*;

fn parse(text: &str) -> UnitFile {
    UnitFile::parse(text).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

/// Content hashes that the original CoreOS fleet computed.
#[test]
fn canonical_text_and_hash_agree_with_fleet() {
    const TRUE: &str = "[Service]\nExecStart=/bin/true\n";
    const TRUE_HASH: &str = "86943ac9f3754cb90f8dd38bf6da7b0cad074592";
    const CONTINUED: &str = "[Service]\nExecStart=/bin/sh -c \\\n  foo \\\n  bar\nRestart=always\n";
    const RESET: &str = "[Service]\nExecStart=\nExecStart=/bin/true # not comment\n";
    const BLANK: &str = "[Service]\nExecStart=/bin/a \\\n\nRestart=no\n";
    const CASE: &str = "[Service]\nEnvironment=A=b=c\nenvironment=lower\n";
    const SPACED: &str = "[ Service ]\nExecStart=/bin/a\n";
    let vectors = [
        ("", "", "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
        (TRUE, TRUE, TRUE_HASH),
        (TRUE.trim_end(), TRUE, TRUE_HASH),
        ("[Service]\r\nExecStart=/bin/true\r\n", TRUE, TRUE_HASH),
        ("[Unit]\n[Service]\nExecStart=/bin/true\n", TRUE, TRUE_HASH),
        ("Description=x\n[Service]\nExecStart=/bin/true\n", TRUE, TRUE_HASH),
        (
            "# c\n[Unit]\n\nDescription = a b  \n; x\n[Service]\nExecStart=/bin/true\n[Unit]\nAfter=x\n",
            "[Unit]\nDescription=a b\nAfter=x\n\n[Service]\nExecStart=/bin/true\n",
            "8bc3b961b24254cdb8399caf68e5cf1f5aa03959",
        ),
        (CONTINUED, CONTINUED, "4568add2251416676d87627f97b8a8868249f7b5"),
        (RESET, RESET, "14d74620faa7396d5d48307bb78d21d527608c01"),
        (BLANK, BLANK, "6e11e9fa2f940ba9709ba39b5daa26f1da3cb843"),
        (CASE, CASE, "91ee3a89b970e0843cde034d5472cceb6ca9bd10"),
        (SPACED, SPACED, "1152be0bb0bf1d2a963969da3feaa63a6e68368d"),
    ];
    for (input, canonical, hash) in vectors {
        let file = parse(input);
        assert_eq!(file.canonical(), canonical, "{input:?}");
        assert_eq!(file.hash().to_string(), hash, "{input:?}");
        assert_eq!(parse(canonical), file, "{input:?}");
    }
}

#[test]
fn sections_are_merged_in_the_order_of_their_first_option() {
    let file = parse("[A]\n[B]\nx=1\n[A]\ny=2\n[B]\nx=3\n[C]\n");
    assert_eq!(file.sections().collect::<Vec<_>>(), ["B", "A"]);
    assert_eq!(file.canonical(), "[B]\nx=1\nx=3\n\n[A]\ny=2\n");
}

#[test]
fn lists_reset_and_singles_take_the_last() {
    let file = parse("[S]\nx=1\nx=\nx= 2 \\\n  3\nx=4\ny=5\ny=\n[T]\nx=6\n");
    assert_eq!(file.values("S", "x").collect::<Vec<_>>(), ["1", "", "2 \\\n  3", "4"]);
    assert_eq!(file.list("S", "x"), ["2  3", "4"]);
    assert_eq!(file.list("S", "y"), Vec::<String>::new());
    assert_eq!(file.last("S", "x").as_deref(), Some("4"));
    assert_eq!(file.last("S", "y"), None);
    assert_eq!(file.last("S", "z"), None);
}

#[test]
fn comments_in_a_continued_value_are_no_content() {
    let with = parse("[Service]\nExecStart=/bin/a \\\n# why\n  ; and how \\\n  b\nType=simple\n");
    let without = parse("[Service]\nExecStart=/bin/a \\\n  b\nType=simple\n");
    assert_eq!(with, without);
    assert_eq!(with.hash(), without.hash());
}

#[test]
fn a_final_newline_never_matters() {
    for text in ["[S]\nx=1", "[S]\nx=a \\", "[S]\nx=", "[S]\nx=\\", "[S]"] {
        assert_eq!(parse(text), parse(&format!("{text}\n")), "{text:?}");
    }
}

#[test]
fn a_backslash_that_does_not_continue_never_begins_to() {
    let file = parse("[S]\nx=a \\ \ny=b\n");
    assert_eq!(file.list("S", "x"), ["a \\"]);
    assert_eq!(file.list("S", "y"), ["b"]);
    assert_eq!(parse(&file.canonical()), file);
}

#[test]
fn many_sections_take_little_time() {
    // Quadratic work would take minutes here.
    let text: String = (0..100_000).map(|n| format!("[{n}]\nx=\n")).collect();
    assert_eq!(parse(&text).sections().count(), 100_000);
}
