//! Who is at the other end of a connection.

use std::sync::Arc;
use std::time::Duration;

use fleet_units::MachineId;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{CertificateError, Error, RootCertStore};

use super::authority::Authority;
use super::certificate::{Facts, Holder};
use super::tls::provider;
use super::{TrustError, shown};

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// A machine of the cluster, until its certificate runs out.
    Machine {
        /// Which.
        id: MachineId,
        /// In seconds since 1970.
        not_after: u64,
    },
    /// Whoever has the administrators' certificate.
    Administrator {
        /// In seconds since 1970.
        not_after: u64,
    },
    /// It showed no certificate.
    Stranger,
    /// It showed one that does not count, and this is why.
    Refused(String),
}

/// Tells who it is.
#[derive(Debug)]
pub(crate) struct Judge {
    verifier: Arc<dyn ClientCertVerifier>,
}

impl Judge {
    /// Believes this authority alone.
    pub(crate) fn new(authority: &Authority) -> Result<Self, TrustError> {
        let trusting = "trust the registry's own authority";
        let mut roots = RootCertStore::empty();
        roots.add(authority.certificate().clone()).map_err(TrustError::crypto(trusting))?;
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
            .build()
            .map_err(TrustError::crypto(trusting))?;
        Ok(Self { verifier })
    }

    /// Who showed these certificates, whose key it proved to have.
    pub(crate) fn judge(&self, certificates: Option<&[CertificateDer<'_>]>, now: u64) -> Caller {
        let Some([certificate, others @ ..]) = certificates else { return Caller::Stranger };
        let facts = Facts::read(certificate);
        let whose = match &facts {
            Ok(Facts { holder: Some(holder), .. }) => format!("the certificate of {holder}"),
            _ => "this certificate".to_owned(),
        };
        let time = UnixTime::since_unix_epoch(Duration::from_secs(now));
        if let Err(error) = self.verifier.verify_client_cert(certificate, others, time) {
            return Caller::Refused(refusal(&whose, &error));
        }
        match facts {
            Ok(Facts { holder: Some(Holder::Machine(id)), not_after, .. }) => Caller::Machine { id, not_after },
            Ok(Facts { holder: Some(Holder::Administrator), not_after, .. }) => Caller::Administrator { not_after },
            _ => Caller::Refused(format!("{whose} names neither a machine nor an administrator")),
        }
    }
}

fn refusal(whose: &str, error: &Error) -> String {
    match error {
        Error::InvalidCertificate(CertificateError::NotValidYetContext { time, not_before }) => format!(
            "{whose} is not valid yet: it counts from {}, and the registry's clock says {}: one of the two machines' \
             clocks is wrong",
            shown(not_before.as_secs()),
            shown(time.as_secs())
        ),
        Error::InvalidCertificate(CertificateError::ExpiredContext { time, not_after }) => {
            expired(whose, not_after.as_secs(), time.as_secs())
        }
        Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => format!(
            "{whose} was not signed by this registry's authority: it is of another registry, or this one's authority was \
             made anew; join with a token of this one (`fleetctl registry token`)"
        ),
        other => format!("{whose} does not count: {other}"),
    }
}

/// What is said of one that counts no more.
pub(crate) fn expired(whose: &str, not_after: u64, now: u64) -> String {
    format!(
        "{whose} ran out at {}, and the registry's clock says {}: it was not renewed in time; set registry_join= to a new \
         token (`fleetctl registry token`)",
        shown(not_after),
        shown(now)
    )
}
