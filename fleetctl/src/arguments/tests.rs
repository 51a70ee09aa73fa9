//! What was typed, and what clap is given.

use clap::CommandFactory;

use super::normalise;
use crate::cli::Cli;

fn normalised(line: &str) -> String {
    let arguments = line.split_whitespace().map(Into::into);
    let normalised = normalise(arguments, &Cli::command());
    normalised.iter().map(|argument| argument.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[test]
fn both_styles_mean_the_same() {
    let cases = [
        ("fleetctl start -no-block a", "fleetctl start --no-block a"),
        ("fleetctl start --no-block a", "fleetctl start --no-block a"),
        ("fleetctl start -block-attempts=3 a", "fleetctl start --block-attempts=3 a"),
        ("fleetctl start -block-attempts 3 a", "fleetctl start --block-attempts 3 a"),
        ("fleetctl list-units -l", "fleetctl list-units -l"),
        ("fleetctl list-units --l", "fleetctl list-units -l"),
        ("fleetctl list-units -full=true", "fleetctl list-units --full"),
        ("fleetctl list-units --full=false", "fleetctl list-units"),
        ("fleetctl list-units -l=true --fields=unit", "fleetctl list-units -l --fields=unit"),
        ("fleetctl journal --f -n 5 a", "fleetctl journal -f -n 5 a"),
        ("fleetctl journal -lines=5 a", "fleetctl journal --lines=5 a"),
        ("fleetctl -endpoint http://m1 help", "fleetctl --endpoint http://m1 help"),
        ("fleetctl -etcd-keyfile=x version", "fleetctl --etcd-keyfile=x version"),
        ("fleetctl --strict-host-key-checking=false version", "fleetctl version"),
        ("fleetctl -help", "fleetctl --help"),
        ("fleetctl journal -fn5 -n20 a", "fleetctl journal -fn5 -n20 a"),
        ("fleetctl start -nonsense a", "fleetctl start --nonsense a"),
    ];
    for (typed, expected) in cases {
        assert_eq!(normalised(typed), expected);
    }
}

#[test]
fn what_is_not_known_stays() {
    for line in [
        "fleetctl start --nonsense=1 a",
        "fleetctl list-units --full=maybe",
        "fleetctl start -- -no-block",
        "fleetctl start -",
        "-full",
        "",
    ] {
        assert_eq!(normalised(line), line);
    }
}
