//! Who calls, proven: by a signature over the exact message bytes, by a signed token, or by a
//! client certificate, which proves what a token does.
//!
//! The only maker of [`Caller`] and, for callers, of [`Act`]. Looks every account up in the
//! index on each use, so there is nothing to purge when one goes.
//!
//! Architecture invariant: knows HTTP headers and paths, but neither gRPC codes nor
//! protobuf; `grpc/gate.rs` feeds it and translates its refusals.

mod caller;
mod checks;
mod limit;
mod method;
mod nonce;
mod signed;
mod syntax;
mod token;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use http::HeaderMap;

pub use caller::Caller;
pub use method::{Credential, METHODS, Method, is_health, is_open};
pub use syntax::{Presented, SignedHeaders};

use crate::{
    domain::{
        act::{Act, Nonce, Signer, Subject},
        certificate::ClientCertificate,
        refusal::Refusal,
        time::Timestamp,
    },
    guard::{self, Guard},
    index::Index,
    replica::Replica,
    signing::{PublicKey, PublicKeyRefused},
    store::Store,
};
use caller::Proof;
use checks::Checks;
use limit::SignedCallLimit;
use nonce::NonceMemory;
use token::TokenMemory;

/// What the operator chose.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Which deployment this is: the second line of every signed text.
    pub audience: String,
    /// What tokens may name beside it: names, or `https://host:port` of this service.
    pub token_audiences: Vec<String>,
    /// Signed calls of one account in a second.
    pub signed_calls_per_second: u32,
    /// Signatures that are checked in a second.
    pub checks_per_second: u32,
    /// Those of one address; 0: addresses are not told apart.
    pub checks_per_address: u32,
}

/// Proves calls.
#[derive(Debug)]
pub struct Authenticator {
    index: Arc<Index>,
    replica: Replica,
    store: Store,
    settings: Settings,
    limit: SignedCallLimit,
    nonces: NonceMemory,
    tokens: TokenMemory,
    checks: Checks,
    /// Whose signatures nobody makes: an unknown kid costs and answers as a wrong signature.
    decoy: Arc<PublicKey>,
    started: Timestamp,
}

/// A call as it came in.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    pub method: &'static Method,
    pub request_id: &'a str,
    pub peer: Option<SocketAddr>,
    /// Reads what a mutation's message names. Asked only behind its signature.
    pub subject: fn(&Method, &[u8]) -> Subject,
}

/// Timestamps of signed requests may be this far from the server's time.
pub const WINDOW: Duration = Duration::from_secs(300);
/// A nonce is remembered until its timestamp is this old. A call dated 300 s ahead is
/// good for 600 s, so counting from its arrival would be too short.
const NONCE_KEPT: Duration = Duration::from_secs(360);
/// Where nonces are kept in memory only, calls may be dated so many seconds ahead at most.
const AHEAD: i64 = 2;

impl Authenticator {
    pub fn new(
        index: Arc<Index>,
        replica: Replica,
        store: Store,
        settings: Settings,
    ) -> Result<Self, PublicKeyRefused> {
        Ok(Self {
            decoy: Arc::new(PublicKey::from_pem(include_str!("auth/decoy.pem"))?),
            limit: SignedCallLimit::new(settings.signed_calls_per_second),
            nonces: NonceMemory::default(),
            tokens: TokenMemory::default(),
            checks: Checks::new(settings.checks_per_second, settings.checks_per_address),
            started: replica.now(),
            index,
            replica,
            store,
            settings,
        })
    }

    /// Nothing may be said about anybody outside the lease.
    pub async fn fresh(&self) -> Result<(), Refusal> {
        self.replica.fresh().await
    }

    /// What a call came with, read strictly.
    pub fn read<'a>(&self, headers: &'a HeaderMap) -> Result<Presented<'a>, Refusal> {
        Presented::read(headers, || self.replica.now())
    }

    /// Whether a call names a key that an account has. It is not proven by it.
    pub fn knows(&self, headers: &SignedHeaders<'_>) -> bool {
        self.index.signatory(&headers.kid).is_some()
    }

    /// Proves a call by a token.
    pub async fn by_token(&self, call: Call<'_>, token: &[u8]) -> Result<Caller, Refusal> {
        if call.method.credential != Credential::SignedRequestOrToken {
            return Err(Refusal::SignatureMissing { token: false });
        }
        self.fresh().await?;
        let (kid, signatory) = self.check_token(call, token).await?;
        Caller::new(call.method, Arc::clone(&signatory.account), Proof::Key(kid))
    }

    /// Proves a call by the certificate of its connection, where a token would do. The certificate was
    /// checked when the connection was made: what may have changed since is asked again.
    pub async fn by_certificate(&self, call: Call<'_>, certificate: &ClientCertificate) -> Result<Caller, Refusal> {
        if call.method.credential != Credential::SignedRequestOrToken {
            return Err(Refusal::SignatureMissing { token: false });
        }
        self.fresh().await?;
        if certificate.end_time <= self.replica.now() {
            return Err(Refusal::TokenInvalid("the client certificate has ended; connect anew with a newer one"));
        }
        let mut holders = certificate.names.iter().filter_map(|name| Some((name, self.index.named(name)?)));
        let (name, account) = holders.next().ok_or(Refusal::TokenInvalid(
            "no service account that may call has a name of the client certificate among its client_certificate_names",
        ))?;
        if holders.any(|(_, other)| other.id != account.id) {
            return Err(Refusal::TokenInvalid("the names of the client certificate are of several service accounts"));
        }
        Caller::new(call.method, account, Proof::Certificate(name.clone(), certificate.end_time))
    }

    /// Proves a call by the signature over its message, and says what it may write with
    /// if it is a mutation.
    pub async fn by_signature(
        &self,
        call: Call<'_>,
        headers: &SignedHeaders<'_>,
        message: &[u8],
    ) -> Result<(Caller, Option<Act>), Refusal> {
        // Again: the message may have taken its time, and the index must be fresh now.
        self.fresh().await?;
        let known = self.index.signatory(&headers.kid);
        let key = known.as_ref().map(|signatory| Arc::clone(&signatory.public_key));
        self.check_signature(call, headers, message, key).await?;
        let signatory = known.ok_or(Refusal::SignatureInvalid)?;
        let account = Arc::clone(&signatory.account);
        self.limit.spend(account.id, self.replica.boottime())?;
        let nonce = headers.nonce();
        let act = if call.method.credential == Credential::SignedRequest {
            let signer = Signer { account_id: account.id, kid: headers.kid.clone(), nonce, roles: call.method.roles };
            Some(Act {
                signer: Some(signer),
                method: call.method.name(),
                request_id: call.request_id.into(),
                peer: call.peer.map_or_else(String::new, |address| address.to_string()),
                subject: (call.subject)(call.method, message),
            })
        } else {
            self.spend(nonce, call.method, headers).await?;
            None
        };
        match Caller::new(call.method, account, Proof::Key(headers.kid.clone())) {
            Ok(caller) => Ok((caller, act)),
            Err(refusal) => {
                if let Some(act) = act {
                    self.record_refusal(act, "ROLE_MISSING").await?;
                }
                Err(refusal)
            }
        }
    }

    /// Notes that a proven mutation was refused before it reached the store.
    pub async fn record_refusal(&self, act: Act, reason: &'static str) -> Result<(), Refusal> {
        Ok(self.store.record_refusal(act, reason).await?)
    }

    /// Spends the nonce of a call that writes nothing.
    async fn spend(&self, nonce: Nonce, method: &Method, headers: &SignedHeaders<'_>) -> Result<(), Refusal> {
        if !guard::on(Guard::Nonce) {
            return Ok(());
        }
        let fresh = if method.nonce_in_memory {
            let (begun, now) = (self.started.seconds(), self.replica.now().seconds());
            let dated = headers.time.seconds();
            if guard::on(Guard::Window) && (dated <= begun + AHEAD || dated > now + AHEAD) {
                // What is dated up to AHEAD after this memory began may have been used before
                // it; what is dated further ahead could outlive a restart.
                let hint = "this method takes a signed request from 2 seconds after the server's start on, dated at most \
                            2 seconds ahead; sign it anew, or use a token";
                return Err(Refusal::TimestampOutOfWindow { server_time: self.replica.now(), hint });
            }
            self.nonces.spend(nonce, self.replica.now())?
        } else {
            self.store.spend_nonce(nonce).await?
        };
        if fresh { Ok(()) } else { Err(Refusal::NonceReused) }
    }
}
