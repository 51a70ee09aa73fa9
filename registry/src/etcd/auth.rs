//! User name and password become a token, which goes with every request and runs out now and then.

use std::sync::{Mutex, PoisonError};

use etcd_client::proto::{PbAuthenticateRequest, PbAuthenticateResponse};
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

use super::config::Credentials;

/// Who we are to etcd.
#[derive(Debug)]
pub(super) struct Auth {
    credentials: Option<Credentials>,
    token: Mutex<Token>,
    /// One login at a time.
    login: tokio::sync::Mutex<()>,
}

#[derive(Debug, Clone)]
enum Token {
    /// Not asked for yet, or no longer good.
    Wanted,
    /// This etcd does not ask who we are.
    NotNeeded,
    Held(MetadataValue<Ascii>),
}

impl Auth {
    pub(super) fn new(credentials: Option<Credentials>) -> Self {
        let token = if credentials.is_some() { Token::Wanted } else { Token::NotNeeded };
        Self { credentials, token: Mutex::new(token), login: tokio::sync::Mutex::default() }
    }

    /// Puts the token on a request, after logging in if need be.
    pub(super) async fn sign<M>(&self, grpc: &mut Grpc<Channel>, request: &mut Request<M>) -> Result<(), Status> {
        let token = match (self.current(), &self.credentials) {
            (Token::Wanted, Some(credentials)) => {
                let _one_at_a_time = self.login.lock().await;
                match self.current() {
                    Token::Wanted => self.log_in(grpc, credentials).await?,
                    token => token,
                }
            }
            (token, _) => token,
        };
        if let Token::Held(token) = token {
            request.metadata_mut().insert("token", token);
        }
        Ok(())
    }

    /// Whether a status says that the token is no longer good; it is asked for again then.
    pub(super) fn refused(&self, status: &Status) -> bool {
        let text = status.message();
        let about_token = status.code() == Code::Unauthenticated
            || text.contains("invalid auth token")
            || text.contains("revision of auth store is old")
            || text.contains("user name is empty");
        about_token && self.forget()
    }

    /// Forgets the token. Returns whether asking again may help.
    pub(super) fn forget(&self) -> bool {
        if self.credentials.is_some() {
            self.set(Token::Wanted);
        }
        self.credentials.is_some()
    }

    async fn log_in(&self, grpc: &mut Grpc<Channel>, credentials: &Credentials) -> Result<Token, Status> {
        let request = PbAuthenticateRequest { name: credentials.user.clone(), password: credentials.password.clone() };
        let path = PathAndQuery::from_static("/etcdserverpb.Auth/Authenticate");
        grpc.ready().await.map_err(|e| Status::from_error(Box::new(e)))?;
        let codec = ProstCodec::<_, PbAuthenticateResponse>::default();
        let token = match grpc.unary(Request::new(request), path, codec).await {
            Ok(response) => {
                let token = response.into_inner().token.parse();
                Token::Held(token.map_err(|_| Status::internal("etcd's token cannot be sent back"))?)
            }
            // A password for an etcd that asks for none does no harm.
            Err(status) if status.message().contains("authentication is not enabled") => Token::NotNeeded,
            Err(status) => return Err(status),
        };
        self.set(token.clone());
        Ok(token)
    }

    fn current(&self) -> Token {
        self.token.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, token: Token) {
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = token;
    }
}
