use std::{sync::Arc, time::Duration};

use papaya::HashMap;

use super::{Authenticator, Call};
use crate::{
    domain::{refusal::Refusal, time::Timestamp},
    index::Signatory,
    signing::{
        Kid,
        token::{Claims, Token},
    },
};

/// The longest that a token may be good, RFC 7523 style of Google's: an hour.
const MAX_LIFETIME: i64 = 3600;
/// How far ahead a caller's clock may be.
const MAX_AHEAD: Duration = Duration::from_secs(60);
/// How many tokens are remembered. Only tokens of our own accounts ever are.
const MAX_KEPT: usize = 10_000;

/// *These bytes verify under this kid*: true for ever, so there is nothing to purge. Who
/// the kid belongs to and what they may do is looked up on each use.
#[derive(Debug, Default)]
pub(super) struct TokenMemory(HashMap<Box<[u8]>, Arc<Verified>, foldhash::quality::RandomState>);

#[derive(Debug)]
struct Verified {
    kid: Kid,
    claims: Claims,
}

impl TokenMemory {
    fn get(&self, token: &[u8]) -> Option<Arc<Verified>> {
        self.0.pin().get(token).cloned()
    }

    fn keep(&self, token: &[u8], verified: Arc<Verified>, now: Timestamp) {
        let kept = self.0.pin();
        if kept.len() >= MAX_KEPT {
            kept.retain(|_, verified| verified.claims.exp > now.seconds());
        }
        if kept.len() >= MAX_KEPT {
            kept.clear();
        }
        kept.insert(token.into(), verified);
    }
}

impl Authenticator {
    /// Who signed this token, if it is good here and now. What only a holder of the key may
    /// learn is told behind the signature.
    pub(super) async fn check_token(&self, call: Call<'_>, bytes: &[u8]) -> Result<(Kid, Arc<Signatory>), Refusal> {
        if let Some(verified) = self.tokens.get(bytes) {
            self.check_times(&verified.claims)?;
            let signatory = self.index.signatory(&verified.kid).ok_or_else(unknown)?;
            self.check_names(&verified.claims, &signatory)?;
            return Ok((verified.kid.clone(), signatory));
        }
        let parsed = std::str::from_utf8(bytes).ok().and_then(|text| Token::parse(text).ok());
        let Some(Token { kid, claims, signed, signature }) = parsed else {
            return Err(Refusal::TokenInvalid("not a JWT with alg RS256 and a kid, of at most 4096 bytes"));
        };
        self.check_times(&claims)?;
        let known = self.index.signatory(&kid);
        let key = known.as_ref().map(|signatory| Arc::clone(&signatory.public_key));
        match self.verify(call, key, signed.to_owned(), signature).await {
            Err(Refusal::SignatureInvalid) => return Err(unknown()),
            other => other?,
        }
        let signatory = known.ok_or_else(unknown)?;
        self.check_names(&claims, &signatory)?;
        self.tokens.keep(bytes, Arc::new(Verified { kid: kid.clone(), claims }), self.replica.now());
        Ok((kid, signatory))
    }

    fn check_times(&self, claims: &Claims) -> Result<(), Refusal> {
        let now = self.replica.now();
        if claims.exp <= now.seconds() {
            return Err(Refusal::TokenInvalid("the token has expired; sign a new one"));
        }
        if claims.exp.saturating_sub(claims.iat) > MAX_LIFETIME {
            return Err(Refusal::TokenInvalid("the token is good for more than an hour; sign a shorter one"));
        }
        if claims.iat > now.seconds() + MAX_AHEAD.as_secs() as i64 {
            return Err(Refusal::TokenInvalid("the token was issued in the future; set the clock"));
        }
        Ok(())
    }

    fn check_names(&self, claims: &Claims, signatory: &Signatory) -> Result<(), Refusal> {
        if claims.iss != claims.sub || claims.iss != signatory.account.client_email {
            return Err(Refusal::TokenInvalid("iss and sub must both be the client_email of the account"));
        }
        if !claims.aud.names().iter().any(|audience| self.is_meant(audience)) {
            return Err(Refusal::TokenInvalid("aud names none of the audiences of this service"));
        }
        Ok(())
    }

    /// Whether an audience is this service: the configured name, or a configured
    /// `https://host:port`, with or without a slash and one of our services behind it.
    fn is_meant(&self, audience: &str) -> bool {
        let known = &self.settings.token_audiences;
        if audience == self.settings.audience || known.iter().any(|name| name == audience) {
            return true;
        }
        known.iter().filter(|name| name.starts_with("https://")).any(|base| {
            let rest = audience.strip_prefix(base.trim_end_matches('/'));
            rest.is_some_and(|rest| rest == "/" || rest.is_empty() || is_service(rest))
        })
    }
}

fn is_service(path: &str) -> bool {
    super::METHODS.iter().any(|method| method.path.rsplit_once('/').is_some_and(|(service, _)| service == path))
}

/// The same for an unknown kid and a wrong signature.
fn unknown() -> Refusal {
    Refusal::TokenInvalid("the signature does not verify, or the kid is not known here")
}
