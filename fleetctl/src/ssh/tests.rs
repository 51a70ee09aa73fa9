//! What ssh is asked for.

use super::*;

fn ssh() -> Ssh {
    Ssh {
        tunnel: None,
        username: None,
        timeout: Duration::from_secs(10),
        strict: None,
        known_hosts: None,
        former_known_hosts: None,
    }
}

fn host(text: &str) -> Host {
    Host::parse(text).unwrap()
}

fn words(words: Vec<OsString>) -> String {
    words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

fn session(ssh: &Ssh, target: &str, command: Option<&str>) -> String {
    let session = Session { command: command.map(str::to_owned), forward_agent: false };
    words(ssh.session(&host(target), &session, |_| true))
}

#[test]
fn the_persons_configuration_decides_what_no_flag_says() {
    assert_eq!(session(&ssh(), "192.0.2.2", None), "ssh -o ConnectTimeout=10 -- 192.0.2.2");
    assert_eq!(session(&ssh(), "m1:2222", Some("ls -l")), "ssh -o ConnectTimeout=10 -p 2222 -- m1 ls -l");
}

#[test]
fn a_host_that_no_configuration_names_a_user_for_is_fleets() {
    let plain = words(ssh().session(&host("m1"), &Session::default(), |_| false));
    assert_eq!(plain, "ssh -o ConnectTimeout=10 -l core -- m1");
    let at = words(ssh().session(&host("me@m1"), &Session::default(), |_| false));
    assert_eq!(at, "ssh -o ConnectTimeout=10 -- me@m1");
    let named = Ssh { username: Some("root".into()), ..ssh() };
    let named = words(named.session(&host("m1"), &Session::default(), |_| false));
    assert_eq!(named, "ssh -o ConnectTimeout=10 -l root -- m1");
}

#[test]
fn flags_become_options() {
    let case = |change: &dyn Fn(&mut Ssh)| {
        let mut ssh = ssh();
        change(&mut ssh);
        session(&ssh, "m1", None)
    };
    let cases = [
        (case(&|ssh| ssh.timeout = Duration::from_millis(1500)), "ssh -o ConnectTimeout=2 -- m1"),
        (case(&|ssh| ssh.strict = Some(true)), "ssh -o ConnectTimeout=10 -o StrictHostKeyChecking=ask -- m1"),
        (
            case(&|ssh| {
                ssh.strict = Some(false);
                ssh.known_hosts = Some("/k".into());
            }),
            "ssh -o ConnectTimeout=10 -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
             -o GlobalKnownHostsFile=/dev/null -o LogLevel=ERROR -- m1",
        ),
        (
            case(&|ssh| ssh.known_hosts = Some("~/k".into())),
            "ssh -o ConnectTimeout=10 -o UserKnownHostsFile=\"~/k\" -- m1",
        ),
        (
            case(&|ssh| ssh.former_known_hosts = Some(Ssh::former_known_hosts("/home/a"))),
            "ssh -o ConnectTimeout=10 \
             -o UserKnownHostsFile=~/.ssh/known_hosts ~/.ssh/known_hosts2 \"/home/a/.fleetctl/known_hosts\" -- m1",
        ),
    ];
    for (asked, expected) in cases {
        assert_eq!(asked, expected);
    }
    let agent = Session { command: None, forward_agent: true };
    assert_eq!(words(ssh().session(&host("m1"), &agent, |_| true)), "ssh -o ConnectTimeout=10 -A -- m1");
}

#[test]
fn a_tunnel_is_a_second_ssh_with_the_same_options() {
    let ssh = Ssh { tunnel: Some(host("bastion:2222")), username: Some("o'neil%h".into()), ..ssh() };
    assert_eq!(
        session(&ssh, "192.0.2.2", Some("date")),
        "ssh -o ConnectTimeout=10 -l o'neil%h -o ProxyCommand=ssh -o ConnectTimeout=10 -l 'o'\\''neil%%h' -p 2222 \
         -W '[%h]:%p' bastion -- 192.0.2.2 date"
    );
    // Whoever asks for the tunnel's own host is there already.
    assert!(!session(&ssh, "bastion:2222", None).contains("ProxyCommand"));
}

#[test]
fn a_tunnel_carries_the_api() {
    let ssh = Ssh { tunnel: Some(host("bastion")), ..ssh() };
    let carrier = |endpoint: &str| {
        let tunnel = ssh.carrier(&endpoint.parse().unwrap(), |_| true).unwrap();
        (words(tunnel.command), tunnel.through)
    };
    let (command, through) = carrier("unix:///var/run/fleet.sock");
    assert_eq!(command, "ssh -o ConnectTimeout=10 -T -- bastion fleetctl fd-forward /var/run/fleet.sock");
    assert_eq!(through, "ssh bastion");
    assert!(carrier("unix:///a b").0.ends_with("fleetctl fd-forward '/a b'"));
    assert_eq!(carrier("http://m1:49153").0, "ssh -o ConnectTimeout=10 -W [m1]:49153 -- bastion");
    assert_eq!(self::ssh().carrier(&"http://m1:1".parse().unwrap(), |_| true), None);
}

#[test]
fn hosts_are_read_as_fleet_read_them() {
    let parsed = |text: &str| Host::parse(text).map(|host| (host.name, host.port));
    let cases = [
        ("m1", Some(("m1", None))),
        ("m1:2222", Some(("m1", Some(2222)))),
        ("core@m1", Some(("core@m1", None))),
        ("[2001:db8::1]:22", Some(("2001:db8::1", Some(22)))),
        ("2001:db8::1", Some(("2001:db8::1", None))),
        ("m1:", Some(("m1", None))),
        ("m1:x", None),
        ("m1:99999", None),
        ("-oProxyCommand=x", None),
        ("a b", None),
        ("", None),
    ];
    for (text, expected) in cases {
        assert_eq!(parsed(text), expected.map(|(name, port)| (name.to_owned(), port)), "{text:?}");
    }
}
