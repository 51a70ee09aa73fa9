//! What `fleetctl list-unit-files` prints.

mod common;

use common::{list, units, visible};
use fleetctl::commands::list_unit_files::render;
use insta::assert_snapshot;

#[test]
fn by_default() {
    let text = render(&list(None, false, false), units()).unwrap();
    assert_snapshot!(visible(&text), @r"
    UNIT→→HASH→DSTATE→→STATE→→TARGET
    agent.service→436c945→launched→launched(1/2)→global
    held.service→0c37637→launched→inactive→9e8d7c6b.../192.0.2.3
    hello.service→7d4db18→launched→launched→4c2c1ae0.../192.0.2.2
    moved.timer→b98fae6→launched→launched→4c2c1ae0.../192.0.2.2
    web@.service→9b2d83f→inactive→inactive→-
    web@1.service→f91d8f8→launched→inactive→-
    ");
}

#[test]
fn every_column_in_full() {
    let text = render(&list(Some("unit,global,dstate,target,state,hash,desc"), true, false), units()).unwrap();
    assert_snapshot!(visible(&text), @r"
    UNIT→→GLOBAL→DSTATE→→TARGET→→→→→→STATE→→HASH→→→→→→DESC
    agent.service→true→launched→global→→→→→→launched(1/2)→436c9457a1ced6ea7845b77b34f66298eb41faa3→-
    held.service→false→launched→9e8d7c6b5a494837261504f3e2d1c0b9/192.0.2.3→inactive→0c37637821a2cd3daf423a81516bd11f7664b1a6→-
    hello.service→false→launched→4c2c1ae0b51f4d2e8f0e4d1c2b3a4f5e/192.0.2.2→launched→7d4db180a214b97d682902f49d347b1ecf9fc190→Says hello
    moved.timer→false→launched→4c2c1ae0b51f4d2e8f0e4d1c2b3a4f5e/192.0.2.2→launched→b98fae67327a69a586c18b41be323178968890c2→-
    web@.service→false→inactive→-→→→→→→inactive→9b2d83fe8bac5230afa92462953b142fc7992bcc→-
    web@1.service→false→launched→-→→→→→→inactive→f91d8f81e74b050508135dd4698835876cdbae19→-
    ");
}

#[test]
fn the_former_name_of_target() {
    let text = render(&list(Some("unit,tmachine"), false, true), units()).unwrap();
    assert_snapshot!(visible(&text), @r"
    agent.service→global
    held.service→9e8d7c6b.../192.0.2.3
    hello.service→4c2c1ae0.../192.0.2.2
    moved.timer→4c2c1ae0.../192.0.2.2
    web@.service→-
    web@1.service→-
    ");
}
