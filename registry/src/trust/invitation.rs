//! What a machine needs to join: where the registry is, how to know it, and a secret that is good for one machine.

use std::fmt;
use std::str::FromStr;

const SCHEME: &str = "fleet://";

/// A token as it is handed to a machine, in one line: `fleet://HOST:PORT/FINGERPRINT/ID.SECRET`.
#[derive(Clone, PartialEq, Eq)]
pub struct Invitation {
    /// Where the registry is: `HOST:PORT`.
    pub address: String,
    /// The fingerprint of its authority.
    pub authority: String,
    /// Names the token. No secret.
    pub id: String,
    /// Proves that whoever has it was invited.
    pub secret: String,
}

/// A text that is no invitation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("that is no token ({0}): expected the whole line that `fleetctl registry token` prints")]
pub struct BadInvitation(&'static str);

impl FromStr for Invitation {
    type Err = BadInvitation;

    fn from_str(text: &str) -> Result<Self, BadInvitation> {
        let rest = text.trim().strip_prefix(SCHEME).ok_or(BadInvitation("it does not begin with fleet://"))?;
        let mut parts = rest.split('/');
        let (Some(address), Some(authority), Some(token), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(BadInvitation("it has not three parts"));
        };
        let is_address = address.rsplit_once(':').is_some_and(|(host, port)| {
            !host.is_empty() && !host.contains(char::is_whitespace) && port.parse::<u16>().is_ok()
        });
        if !is_address {
            return Err(BadInvitation("its address is not HOST:PORT"));
        }
        if !(authority.len() == 64 && is_hex(authority)) {
            return Err(BadInvitation("its fingerprint is not 64 hexadecimal digits"));
        }
        match token.split_once('.') {
            Some((id, secret)) if is_hex(id) && is_hex(secret) => Ok(Self {
                address: address.to_owned(),
                authority: authority.to_ascii_lowercase(),
                id: id.to_owned(),
                secret: secret.to_owned(),
            }),
            _ => Err(BadInvitation("its secret is not whole")),
        }
    }
}

fn is_hex(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

impl Invitation {
    /// With the secret, for whoever is to join.
    #[must_use]
    pub fn reveal(&self) -> String {
        format!("{SCHEME}{}/{}/{}.{}", self.address, self.authority, self.id, self.secret)
    }
}

impl fmt::Debug for Invitation {
    /// Leaves the secret out, so that it never reaches a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}/{}/{}.(not shown)", self.address, self.authority, self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_says_everything_and_logs_do_not_tell_the_secret() {
        let invitation = Invitation {
            address: "[2001:db8::1]:2379".to_owned(),
            authority: "ab".repeat(32),
            id: "0011".to_owned(),
            secret: "5ec3e7".to_owned(),
        };
        assert_eq!(invitation.reveal().parse(), Ok(invitation.clone()));
        assert_eq!(format!(" {}\n", invitation.reveal()).parse(), Ok(invitation.clone()));
        assert!(!format!("{invitation:?}").contains("5ec3e7"));
        // fleet.conf begins a comment at these.
        assert!(!invitation.reveal().contains(['#', ';', ' ']));
    }

    #[test]
    fn half_a_token_is_named_as_such() {
        let fingerprint = "0".repeat(64);
        for (text, why) in [
            ("http://192.0.2.1:2379", "begin with fleet://"),
            ("fleet://192.0.2.1:2379", "three parts"),
            (&format!("fleet://192.0.2.1/{fingerprint}/1.2"), "HOST:PORT"),
            ("fleet://192.0.2.1:2379/00/1.2", "64 hexadecimal digits"),
            (&format!("fleet://192.0.2.1:2379/{fingerprint}/1"), "secret is not whole"),
            (&format!("fleet://192.0.2.1:2379/{fingerprint}/1.2/3"), "three parts"),
        ] {
            let error = text.parse::<Invitation>().unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
