//! What `OnDisconnect=stop` promises, and which texts are refused because it could not.

use super::*;

fn fence_of(texts: &[&str]) -> Result<Option<Fence>, String> {
    let files: Vec<UnitFile> = texts.iter().map(|text| UnitFile::parse(text).expect("a readable file")).collect();
    Fence::of(&files).map_err(|error| error.to_string())
}

fn service(lines: &str) -> Result<Option<Fence>, String> {
    fence_of(&[&format!("[Service]\nExecStart=/bin/true\n{lines}\n[X-Fleet]\nOnDisconnect=stop\n")])
}

fn bound(lines: &str) -> u64 {
    let fence = service(lines).unwrap_or_else(|error| panic!("{lines:?}: {error}"));
    fence.expect("a fence").stop_bound().as_millis() as u64
}

#[test]
fn a_unit_is_kept_unless_it_asks_for_more() {
    for section in ["", "[X-Fleet]\nOnDisconnect=keep\n", "[X-Fleet]\nOnDisconnect=stop\nOnDisconnect=\n"] {
        let text = format!("[Service]\nExecStart=/bin/true\nTimeoutStopSec=infinity\n{section}");
        assert_eq!(fence_of(&[&text]), Ok(None), "{section:?}");
    }
}

#[test]
fn the_bound_counts_every_stage_of_stopping() {
    let cases = [
        ("", (4 * 90 + 1) * 1000),
        ("TimeoutStopSec=5", 21_000),
        ("TimeoutSec=5", 21_000),
        ("TimeoutStopSec=5\nTimeoutSec=7", 29_000),
        ("TimeoutSec=7\nTimeoutStopSec=500ms", 3_000),
        ("TimeoutStopSec=5\nTimeoutAbortSec=10", 41_000),
        ("TimeoutStopSec=1\nExecStop=/bin/a\nExecStop=/bin/b ; /bin/c\nExecStopPost=/bin/d", 9_000),
        ("TimeoutStopSec=1\nExecStop=/bin/a\nExecStop=\nExecStopPost=/bin/d", 6_000),
    ];
    for (lines, expected) in cases {
        assert_eq!(bound(lines), expected, "{lines:?}");
    }
}

#[test]
fn what_would_make_the_bound_infinite_or_void_is_refused() {
    let cases = [
        ("TimeoutStopSec=infinity", "TimeoutStopSec=infinity sets none"),
        ("TimeoutStopSec=0", "TimeoutStopSec=0 sets none"),
        ("TimeoutSec=infinity", "TimeoutSec=infinity sets none"),
        ("TimeoutStopSec=5\nTimeoutSec=0", "TimeoutSec=0 sets none"),
        ("TimeoutAbortSec=infinity", "TimeoutAbortSec=infinity sets none"),
        ("TimeoutStopSec=soon", "what TimeoutStopSec=\"soon\" means"),
        ("SendSIGKILL=no", "SendSIGKILL=no"),
        ("SendSIGKILL=off", "SendSIGKILL=off"),
        ("SendSIGKILL=perhaps", "SendSIGKILL=\"perhaps\" means"),
        ("KillMode=process", "KillMode=process"),
        ("KillMode=none", "KillMode=none"),
        ("FinalKillSignal=SIGTERM", "FinalKillSignal=SIGTERM"),
        ("TimeoutStopFailureMode=abort", "TimeoutStopFailureMode=abort"),
        ("[Unit]\nRefuseManualStop=yes", "RefuseManualStop=yes"),
        ("[Unit]\nJobTimeoutSec=5", "JobTimeoutSec=5"),
    ];
    for (lines, expected) in cases {
        let error = service(lines).expect_err(lines);
        assert!(error.starts_with("OnDisconnect=stop ") && error.contains(expected), "{lines:?}: {error}");
    }
    let fine = "SendSIGKILL=yes\nKillMode=mixed\nFinalKillSignal=SIGKILL\nTimeoutStartSec=infinity\nRestart=always\n\
                Type=oneshot\nRemainAfterExit=yes\n[Unit]\nJobTimeoutSec=infinity\nRefuseManualStop=no";
    assert!(service(fine).expect("a fine unit").is_some());
}

#[test]
fn drop_ins_have_the_last_word() {
    let text = "[Service]\nExecStart=/bin/true\nTimeoutStopSec=5\n";
    let asks = "[X-Fleet]\nOnDisconnect=stop\n";
    let bound = |drop_in: &str| fence_of(&[text, asks, drop_in]).map(|fence| fence.expect("a fence").stop_bound());
    assert_eq!(bound("[Service]\nTimeoutStopSec=2\n"), Ok(Duration::from_secs(9)));
    assert!(bound("[Service]\nTimeoutStopSec=infinity\n").unwrap_err().contains("sets none"));
    assert!(bound("[Service]\nKillMode=process\n").unwrap_err().contains("KillMode=process"));
    assert_eq!(fence_of(&[text, asks, "[X-Fleet]\nOnDisconnect=keep\n"]), Ok(None));
    assert!(fence_of(&[text, "[X-Fleet]\nOnDisconnect=halt\n"]).unwrap_err().contains("expected keep or stop"));
}

#[test]
fn only_services_can_be_fenced() {
    let fence = service("").unwrap().unwrap();
    for (name, fine) in [("a.service", true), ("a@.service", true), ("a@1.service", true), ("a.socket", false)] {
        assert_eq!(fence.check_name(&UnitName::parse(name).unwrap()).is_ok(), fine, "{name}");
    }
    let error = fence.check_name(&UnitName::parse("a.mount").unwrap()).unwrap_err().to_string();
    assert!(error.contains("for services, not for a mount"), "{error}");
}

#[test]
fn the_drop_in_sets_the_time_out_that_the_bound_counts() {
    let fence = service("").unwrap().unwrap();
    let drop_in = UnitFile::parse(&fence.drop_in()).unwrap();
    assert_eq!(drop_in.last("Unit", "Requisite").as_deref(), Some(Fence::TARGET));
    assert_eq!(drop_in.last("Unit", "After").as_deref(), Some(Fence::TARGET));
    let text = "[X-Fleet]\nOnDisconnect=stop\n[Service]\nExecStart=/bin/true\n";
    let with = Fence::of([&UnitFile::parse(text).unwrap(), &drop_in]).unwrap().unwrap();
    assert_eq!(with.stop_bound(), fence.stop_bound());
}
