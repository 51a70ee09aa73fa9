//! The configuration as a whole: sources, defaults, and what bad values get.

use std::path::Path;
use std::time::Duration;

use super::*;

fn from(text: &str) -> Result<(Config, Raw), ConfigError> {
    let mut raw = Raw::default();
    raw.read_file(Path::new("fleet.conf"), text)?;
    Ok((Config::from_raw(&raw)?, raw))
}

fn config(text: &str) -> Config {
    from(text).unwrap_or_else(|e| panic!("{text}: {e}")).0
}

#[test]
fn an_empty_file_gives_the_documented_defaults() {
    let config = config("");
    assert_eq!(config.etcd.servers, ["http://127.0.0.1:2379", "http://127.0.0.1:4001"]);
    assert!(!config.etcd.configured);
    assert_eq!(config.etcd.key_prefix, "/_coreos.com/fleet/");
    assert_eq!(config.etcd.request_timeout, Duration::from_secs(1));
    assert_eq!(config.agent_ttl, Duration::from_secs(10));
    assert_eq!(config.units_directory, Path::new("/run/fleet/units"));
    assert_eq!(config.token_limit, 100);
    assert_eq!(config.engine_brake_hold, Duration::from_secs(300));
    assert_eq!(config.machine_retention, Duration::from_secs(7 * 86_400));
    assert_eq!(config.on_stop, OnStop::Drain);
    assert_eq!(config.peer_listen.to_string(), "0.0.0.0:49154");
    assert!(!config.registry.embedded && config.registry.listen.is_local());
    assert!(config.listen.is_empty() && config.metadata.is_empty() && config.public_ip.is_none());
}

#[test]
fn values_are_read_as_fleet_did() {
    let config = config(
        "ETCD_SERVERS=[\"http://a:2379\", \"http://b:2379\"]\n\
         metadata=\" zone = eu , disk=ssd,zone=us, opts=a=b \"\n\
         agent_ttl=\"1m30s\"\n\
         public_ip=192.0.2.7 # the second card\n\
         disable_engine=T\n\
         verbosity=1\n\
         listen=/run/other.sock,127.0.0.1:49153\n\
         capacity=memory=2G,cpu=200%\n",
    );
    assert_eq!(config.etcd.servers, ["http://a:2379", "http://b:2379"]);
    assert!(config.etcd.configured && config.disable_engine && config.verbose);
    let metadata: Vec<_> = config.metadata.iter().map(|(k, v)| format!("{k}={v}")).collect();
    assert_eq!(metadata, ["disk=ssd", "opts=a=b", "zone=us"]);
    assert_eq!(config.agent_ttl, Duration::from_secs(90));
    assert_eq!(config.public_ip.as_deref(), Some("192.0.2.7"));
    assert_eq!(config.listen.len(), 2);
    assert_eq!(config.capacity.memory, Some(2 << 30));
    assert_eq!(config.capacity.cpu_millis, Some(2000));
}

#[test]
fn a_value_that_means_nothing_names_its_place_and_what_was_expected() {
    for (text, words) in [
        ("agent_ttl=10", "fleet.conf:1: agent_ttl=10: expected a duration with its unit"),
        ("\nagent_ttl=10 parsecs", "fleet.conf:2: agent_ttl=10 parsecs"),
        ("agent_ttl=0.1s", "from 1s to 1h"),
        ("agent_ttl=", "agent_ttl=: expected"),
        ("verbosity=loud", "verbosity=loud: expected a number"),
        ("token_limit=0", "from 1 to 65535"),
        ("token_limit=70000", "from 1 to 65535"),
        ("disable_engine=yes", "expected true or false"),
        ("verify_units=maybe", "expected true or false"),
        ("etcd_servers=", "expected a list of endpoints"),
        ("etcd_servers=ftp://a", "expected a list of endpoints"),
        ("etcd_request_timeout=-1", "seconds above zero"),
        ("etcd_request_timeout=1e400", "seconds above zero"),
        ("engine_reconcile_interval=0", "seconds above zero"),
        ("etcd_key_prefix=/", "expected a key"),
        ("etcd_keyfile=/k", "belong together"),
        ("metadata=zone", "`zone` is none"),
        ("public_ip=a, b", "one address"),
        ("units_directory=units", "an absolute path"),
        ("registry=yes", "embedded or etcd"),
        ("registry=embedded\netcd_servers=http://a:1", "contradict each other"),
        ("registry_join=http://192.0.2.1:2379", "does not begin with fleet://"),
        ("registry_join=/etc/fleet/token\netcd_servers=http://a:1", "contradict each other"),
        ("registry_join=/etc/fleet/token\nregistry=embedded", "contradict each other"),
        ("registry_listen=nowhere", "a path such as"),
        ("registry_quota=lots", "fleet.conf:1: registry_quota=lots: expected bytes from 16M on, such as 2G"),
        ("registry_quota=0", "bytes from 16M on"),
        ("peer_listen=x", "an address such as"),
        ("listen=x", "a path such as"),
        ("capacity=memory=lots", "such as memory=2G"),
        ("capacity=cpu=2", "such as memory=2G"),
        ("capacity_reserve=cpu=2", "fleet.conf:1: capacity_reserve=cpu=2: expected memory in bytes"),
        (
            "capacity=memory=1G\ncapacity_reserve=memory=2G",
            "capacity_reserve=memory=2G (fleet.conf:2) keeps back more memory than capacity=memory=1G (fleet.conf:1) has",
        ),
        ("capacity=cpu=50%\ncapacity_reserve=cpu=51%", "keeps back more cpu"),
        ("engine_brake_hold=5", "a duration with its unit"),
        ("on_stop=explode", "drain or keep"),
        ("what is this", "fleet.conf:1: expected key=value"),
    ] {
        let error = from(text).expect_err(text).to_string();
        assert!(error.contains(words), "{text}: {error}");
    }
}

#[test]
fn what_contradicts_only_when_used_is_accepted_when_not() {
    assert!(config("registry=embedded\nregistry_listen=0.0.0.0:2379").registry.has_authority());
    assert!(
        !config("registry=embedded\nregistry_listen=0.0.0.0:2379\nregistry_insecure=true").registry.has_authority()
    );
    assert!(!config("registry_listen=0.0.0.0:2379").registry.embedded);
    assert!(config("registry=embedded\nregistry_listen=/run/registry.sock").registry.listen.is_local());
    assert!(config("registry=embedded\nregistry_listen=[::1]:2379").registry.listen.is_local());
}

/// Who shows a configuration to others, or sends one in with a bug, would give the cluster away with it.
#[test]
fn a_token_is_read_and_not_shown() {
    let token = format!("fleet://192.0.2.1:2379/{}/0011.5ec3e7", "ab".repeat(32));
    let (config, raw) = from(&format!("registry_join={token}")).unwrap();
    let Some(JoinWith::Token(invitation)) = &config.registry.join else { panic!("{:?}", config.registry) };
    assert_eq!(invitation.reveal(), token);
    for text in
        [describe(&raw), format!("{config:?}"), from(&format!("registry_join={token}/x")).unwrap_err().to_string()]
    {
        assert!(!text.contains("5ec3e7"), "{text}");
    }
    let JoinWith::File(path) = from("registry_join=/etc/fleet/token").unwrap().0.registry.join.unwrap() else {
        panic!("no file");
    };
    assert_eq!(path, Path::new("/etc/fleet/token"));
}

#[test]
fn unknown_keys_are_named_with_the_nearest_known() {
    let (_, raw) = from("etcd_server=http://a:1\nfrobnicate=1\n[section]\nagent_ttl=bad\n").unwrap();
    let warnings = raw.warnings.join("\n");
    assert!(warnings.contains("fleet.conf:1: unknown option etcd_server; did you mean etcd_servers?"), "{warnings}");
    assert!(raw.warnings.iter().any(|w| w == "fleet.conf:2: unknown option frobnicate"), "{warnings}");
    assert!(warnings.contains("ignoring section [section]"), "{warnings}");
}

#[test]
fn the_environment_overrides_the_file_and_flags_override_both() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("fleet.conf");
    std::fs::write(&path, "agent_ttl=20s\npublic_ip=192.0.2.1\ntoken_limit=7\nverify_units=true\n").unwrap();
    let environment = [("FLEET_AGENT_TTL", "30s"), ("FLEET_PUBLIC_IP", ""), ("FLEET_METADATE", "a=b"), ("HOME", "/")]
        .map(|(k, v)| (k.to_owned(), v.to_owned()));
    let (config, raw) = load(
        Sources { file: Some(&path), flags: vec![("token_limit", "9".to_owned())], ..Sources::default() },
        environment,
    )
    .unwrap();
    assert_eq!(config.agent_ttl, Duration::from_secs(30));
    assert_eq!(config.public_ip, None, "set and empty counts as set");
    assert_eq!(config.token_limit, 9);
    let warnings = raw.warnings.join("\n");
    assert!(warnings.contains("FLEET_METADATE; did you mean metadata?"), "{warnings}");
    assert!(warnings.contains("verify_units has no effect"), "{warnings}");

    let shown = describe(&raw);
    assert!(shown.contains("agent_ttl=30s  # environment FLEET_AGENT_TTL"), "{shown}");
    assert!(shown.contains("token_limit=9  # command line"), "{shown}");
}

#[test]
fn a_file_that_was_asked_for_must_be_there() {
    let sources = Sources { file: Some(Path::new("/nonexistent/fleet.conf")), ..Sources::default() };
    let error = load(sources, []).unwrap_err().to_string();
    assert!(error.contains("/nonexistent/fleet.conf"), "{error}");
}

#[test]
fn check_prints_what_reads_back_the_same_and_hides_the_password() {
    let (before, raw) = from("etcd_password=secret\netcd_username=root\nmetadata=\"a=b, c=d\"\n").unwrap();
    let shown = describe(&raw);
    assert!(!shown.contains("secret"), "{shown}");
    let mut after = config(&shown);
    after.etcd.password = "secret".into();
    after.etcd.configured = false;
    after.etcd.servers.clone_from(&before.etcd.servers);
    assert_eq!(after, before);
}

#[test]
fn durations_are_gos() {
    for (text, millis) in
        [("10s", 10_000), ("1m30s", 90_000), ("1.5h", 5_400_000), ("300ms", 300), ("1h2m3s4ms", 3_723_004), ("0", 0)]
    {
        assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
    }
    for text in ["", "10", "s", "10 s", "1w", "-1s", "1.2.3s", "99999999999999999999h"] {
        assert!(parse_duration(text).is_err(), "{text}");
    }
}
