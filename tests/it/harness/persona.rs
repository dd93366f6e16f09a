use std::sync::{Arc, OnceLock};

use portcullis::{
    pb,
    signing::{DEFAULT_AUDIENCE, PrivateKey, token},
};

use super::{Server, call};

/// A caller: an account and one of its keys.
#[derive(Debug, Clone)]
pub(crate) struct Persona {
    pub(crate) account_id: String,
    pub(crate) email: String,
    pub(crate) key: Arc<PrivateKey>,
}

/// Key pairs are dear to make: the tests share these, by number.
pub(crate) fn test_key(number: usize) -> Arc<PrivateKey> {
    static KEYS: [OnceLock<Arc<PrivateKey>>; 8] = [const { OnceLock::new() }; 8];
    Arc::clone(KEYS[number].get_or_init(|| Arc::new(PrivateKey::generate().expect("entropy"))))
}

impl Persona {
    pub(crate) fn kid(&self) -> String {
        self.key.public().kid().to_string()
    }

    /// A token as of the server's time.
    pub(crate) fn token(&self, server: &Server) -> String {
        server.token_of(self)
    }

    pub(crate) fn token_with(&self, server: &Server, change: impl FnOnce(&mut token::Claims)) -> String {
        let iat = server.now().seconds();
        let mut claims = token::Claims {
            iss: self.email.clone(),
            sub: self.email.clone(),
            aud: token::Audience::One(DEFAULT_AUDIENCE.to_owned()),
            iat,
            exp: iat + 3600,
        };
        change(&mut claims);
        token::sign(&self.key, &claims).expect("sign")
    }

    /// Another account, made by this one: its name is its role, its key is `key`.
    pub(crate) async fn hire(&self, server: &Server, key: usize, account: pb::ServiceAccount) -> Self {
        let request = pb::CreateServiceAccountRequest { service_account: Some(account), ..Default::default() };
        let made: pb::CreateServiceAccountResponse =
            call::signed(server, self, "ServiceAccountService/CreateServiceAccount", &request).await.expect("account");
        let account = made.service_account.expect("account");
        let key = test_key(key);
        let request = pb::AddServiceAccountKeyRequest {
            service_account_id: account.service_account_id.clone(),
            public_key_pem: key.public().to_pem().to_owned(),
            ..Default::default()
        };
        let _: pb::AddServiceAccountKeyResponse =
            call::signed(server, self, "ServiceAccountService/AddServiceAccountKey", &request).await.expect("key");
        Self { account_id: account.service_account_id, email: account.client_email, key }
    }

    /// One with a single role, in all applications, that may grant `grantable`.
    pub(crate) async fn hire_role(&self, server: &Server, key: usize, role: pb::Role, grantable: &[&str]) -> Self {
        let account = pb::ServiceAccount {
            name: format!("{role:?}"),
            roles: vec![role.into()],
            all_applications: true,
            grantable_permissions: grantable.iter().map(ToString::to_string).collect(),
            ..Default::default()
        };
        self.hire(server, key, account).await
    }
}
