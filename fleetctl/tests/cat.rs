//! What `fleetctl cat` prints.

use std::collections::BTreeMap;

use fleet_api::v2::UnitText;
use fleetctl::commands::cat::render;

#[test]
fn the_text_byte_for_byte() {
    for text in ["# Mine.\n\n[Service]\r\nExecStart = /bin/true\n", "[Service]\nExecStart=/bin/true", ""] {
        assert_eq!(render(&UnitText { text: text.into(), drop_ins: BTreeMap::new() }), text);
    }
}

#[test]
fn drop_ins_below_the_names_of_their_files() {
    let drop_ins = BTreeMap::from([("10-a.conf".to_owned(), "[Service]\nNice=1\n".to_owned())]);
    let text = render(&UnitText { text: "[Service]\nExecStart=/bin/true".into(), drop_ins });
    insta::assert_snapshot!(text, @r"
    [Service]
    ExecStart=/bin/true

    # 10-a.conf
    [Service]
    Nice=1
    ");
}
