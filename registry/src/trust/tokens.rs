//! The tokens that were handed out. Of a secret only its hash is kept.
//!
//! The file is read anew for each change and written before anything is said of it: a token that was used once stays
//! used, whatever happens to this process. A machine whose answer got lost may ask again with the same key.

use std::path::PathBuf;
use std::sync::PoisonError;
use std::time::Duration;

use fleet_units::MachineId;
use serde::{Deserialize, Serialize};

use super::authority::Authority;
use super::certificate::fingerprint;
use super::invitation::Invitation;
use super::{TrustError, files, shown, wall_seconds};

const FILE: &str = "tokens.json";
const ID_BYTES: usize = 6;
const SECRET_BYTES: usize = 16;

/// A token that can no longer be used is remembered for this long, so that whoever tries is told why.
const REMEMBERED: u64 = 30 * 24 * 3600;

/// What a token is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenRequest {
    /// For how long.
    pub ttl: Duration,
    /// For how many machines.
    pub uses: u32,
}

impl Default for TokenRequest {
    fn default() -> Self {
        Self { ttl: Duration::from_secs(3600), uses: 1 }
    }
}

/// A token that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// What is handed to the machine.
    pub invitation: Invitation,
    /// Until when it is good, in seconds since 1970.
    pub expires: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Token {
    id: String,
    /// SHA-256 of the secret.
    hash: String,
    expires: u64,
    uses: u32,
    #[serde(default)]
    used: Vec<Use>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Use {
    machine: String,
    at: u64,
    /// SHA-256 of its public key: with the same one it is answered again.
    key: String,
}

impl Authority {
    /// Makes a token for the registry at an address.
    ///
    /// # Errors
    /// When it cannot be kept.
    pub fn make_token(&self, address: &str, request: TokenRequest) -> Result<Made, TrustError> {
        let (id, secret) = (random(ID_BYTES)?, random(SECRET_BYTES)?);
        let expires = wall_seconds().saturating_add(request.ttl.as_secs());
        let hash = fingerprint(secret.as_bytes());
        let token = Token { id: id.clone(), hash, expires, uses: request.uses.max(1), used: Vec::new() };
        self.change_tokens(|tokens| tokens.push(token))?;
        let invitation = Invitation { address: address.to_owned(), authority: self.fingerprint(), id, secret };
        Ok(Made { invitation, expires })
    }

    /// Takes a token from a machine that has this public key; the inner error says why it is refused.
    pub(super) fn redeem(
        &self,
        id: &str,
        secret: &str,
        machine: &MachineId,
        key: &[u8],
    ) -> Result<Result<(), String>, TrustError> {
        let now = wall_seconds();
        let (hash, key) = (fingerprint(secret.as_bytes()), fingerprint(key));
        self.change_tokens(|tokens| {
            let Some(token) = tokens.iter_mut().find(|token| token.id == id && token.hash == hash) else {
                return Err("this registry knows no such token: it was made by another one, or is not whole".to_owned());
            };
            if token.used.iter().any(|used| used.key == key && used.machine == machine.as_str()) {
                return Ok(());
            }
            if let Some(last) = token.used.last().filter(|_| token.used.len() >= token.uses as usize) {
                return Err(format!(
                    "this token was used up, the last time by machine {} at {}: make another with `fleetctl registry \
                     token`; if that was not you, somebody else has joined with it",
                    last.machine,
                    shown(last.at)
                ));
            }
            if now > token.expires {
                return Err(format!(
                    "this token was good until {}, and the registry's clock says {}: make another with `fleetctl \
                     registry token`",
                    shown(token.expires),
                    shown(now)
                ));
            }
            token.used.push(Use { machine: machine.to_string(), at: now, key });
            Ok(())
        })
    }

    fn change_tokens<T>(&self, change: impl FnOnce(&mut Vec<Token>) -> T) -> Result<T, TrustError> {
        let _one_at_a_time = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let path: PathBuf = self.directory().join(FILE);
        let damaged = |why: serde_json::Error| TrustError::Damaged {
            path: path.clone(),
            what: "the registry's tokens",
            why: why.to_string(),
            advice: "or remove it: tokens that were not used yet are void then",
        };
        let mut tokens: Vec<Token> = match files::read(&path)? {
            Some(text) => serde_json::from_slice(&text).map_err(damaged)?,
            None => Vec::new(),
        };
        let before = serde_json::to_vec(&tokens).map_err(damaged)?;
        let now = wall_seconds();
        tokens.retain(|token| now < token.expires.saturating_add(REMEMBERED));
        let outcome = change(&mut tokens);
        let after = serde_json::to_vec(&tokens).map_err(damaged)?;
        if after != before {
            files::write(&path, &after)?;
        }
        Ok(outcome)
    }
}

/// So many bytes of the kernel's randomness, in hexadecimal.
fn random(bytes: usize) -> Result<String, TrustError> {
    use std::io::Read;
    let mut buffer = vec![0; bytes];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut buffer))
        .map_err(|source| TrustError::Io { what: "read", path: "/dev/urandom".into(), source })?;
    Ok(buffer.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::Lifetimes;

    #[test]
    fn a_token_is_good_once_and_its_secret_is_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::open(dir.path(), Lifetimes::default()).unwrap();
        let Made { invitation, .. } = authority.make_token("192.0.2.1:2379", TokenRequest::default()).unwrap();
        let kept = std::fs::read_to_string(dir.path().join("trust/tokens.json")).unwrap();
        assert!(kept.contains(&invitation.id) && !kept.contains(&invitation.secret), "{kept}");
        let redeem = |authority: &Authority, secret: &str, machine: &str, key: &[u8]| {
            authority.redeem(&invitation.id, secret, &MachineId::parse(machine).unwrap(), key).unwrap()
        };
        assert!(redeem(&authority, "00", "a", b"a").unwrap_err().contains("no such token"));
        redeem(&authority, &invitation.secret, "a", b"a").unwrap();

        // Another start of the registry knows as much.
        let authority = Authority::open(dir.path(), Lifetimes::default()).unwrap();
        let stolen = redeem(&authority, &invitation.secret, "b", b"b").unwrap_err();
        assert!(stolen.contains("used up") && stolen.contains("machine a"), "{stolen}");
        // The machine whose answer got lost asks again; nobody else can ask with its key.
        redeem(&authority, &invitation.secret, "a", b"a").unwrap();
        assert!(redeem(&authority, &invitation.secret, "a", b"another key").is_err());
    }

    #[test]
    fn a_token_is_good_for_so_many_machines_and_so_long() {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::open(dir.path(), Lifetimes::default()).unwrap();
        let redeem = |made: &Made, machine: &str| {
            let machine = MachineId::parse(machine).unwrap();
            let Invitation { id, secret, .. } = &made.invitation;
            authority.redeem(id, secret, &machine, machine.as_str().as_bytes()).unwrap()
        };
        let request = TokenRequest { uses: 2, ..TokenRequest::default() };
        let two = authority.make_token("192.0.2.1:2379", request).unwrap();
        assert_eq!([redeem(&two, "a"), redeem(&two, "b")], [Ok(()), Ok(())]);
        assert!(redeem(&two, "c").unwrap_err().contains("used up"));

        let old = authority.make_token("192.0.2.1:2379", TokenRequest::default()).unwrap();
        authority
            .change_tokens(|tokens| tokens.iter_mut().for_each(|token| token.expires = wall_seconds() - 60))
            .unwrap();
        let expired = redeem(&old, "a").unwrap_err();
        assert!(expired.contains("was good until"), "{expired}");
    }

    #[test]
    fn tokens_that_cannot_be_read_are_not_taken_for_none() {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::open(dir.path(), Lifetimes::default()).unwrap();
        std::fs::write(dir.path().join("trust/tokens.json"), "[{").unwrap();
        let error = authority.make_token("192.0.2.1:2379", TokenRequest::default()).unwrap_err();
        assert!(error.to_string().contains("tokens.json"), "{error}");
    }
}
