//! What machines and the registry say to each other about certificates. Beside etcd's services, on the same port.

/// The service.
pub(crate) const SERVICE: &str = "fleet.registry.v1.Membership";
/// Exchanges a token for a certificate: the one method for those who have none.
pub(crate) const JOIN: &str = "/fleet.registry.v1.Membership/Join";
/// Exchanges a certificate for the next one.
pub(crate) const RENEW: &str = "/fleet.registry.v1.Membership/Renew";

/// `Join`
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct JoinRequest {
    /// Names the token.
    #[prost(string, tag = "1")]
    pub(crate) token: String,
    /// Its secret.
    #[prost(string, tag = "2")]
    pub(crate) secret: String,
    /// The machine's id.
    #[prost(string, tag = "3")]
    pub(crate) machine: String,
    /// A PKCS #10 request, in DER.
    #[prost(bytes = "vec", tag = "4")]
    pub(crate) request: Vec<u8>,
}

/// `Renew`
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct RenewRequest {
    /// A PKCS #10 request, in DER.
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) request: Vec<u8>,
}

/// The answer to both.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Certified {
    /// The machine's certificate, in PEM.
    #[prost(string, tag = "1")]
    pub(crate) certificate: String,
    /// The authority's, in PEM.
    #[prost(string, tag = "2")]
    pub(crate) authority: String,
}
