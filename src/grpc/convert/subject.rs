//! What a mutation names, for the audit of one that is refused: who reads the log asks who
//! tried to change this key, too.

use prost::Message;

use crate::{
    auth::Method,
    domain::{
        act::Subject,
        id::{ApplicationId, KeyId, ServiceAccountId, WebhookId},
    },
    pb,
};

/// Nothing for a message that does not read, and for what is not an id: the log is not where
/// strangers' texts are kept.
pub(in crate::grpc) fn subject(method: &Method, message: &[u8]) -> Subject {
    let name = method.name().strip_prefix("portcullis.v1.").unwrap_or_default();
    match name {
        "ApplicationService/UpdateApplication" => of(message, |update: pb::UpdateApplicationRequest| {
            let id = update.application.unwrap_or_default().application_id;
            (application(&id), id_of::<ApplicationId>(&id))
        }),
        "KeyService/CreateKey" => {
            of(message, |create: pb::CreateKeyRequest| (application(&create.application_id), None))
        }
        "KeyService/ImportKeys" => of(message, |import: pb::ImportKeysRequest| {
            (application(&import.application_id), id_of::<ApplicationId>(&import.application_id))
        }),
        "KeyService/RevokeKey" => of(message, |revoke: pb::RevokeKeyRequest| {
            (application(&revoke.application_id), id_of::<KeyId>(&revoke.key_id))
        }),
        "KeyService/RotateKey" => of(message, |rotate: pb::RotateKeyRequest| {
            (application(&rotate.application_id), id_of::<KeyId>(&rotate.key_id))
        }),
        "KeyService/GetSealedSecret" => of(message, |get: pb::GetSealedSecretRequest| {
            (application(&get.application_id), id_of::<KeyId>(&get.key_id))
        }),
        "KeyService/UpdateKey" => of(message, |update: pb::UpdateKeyRequest| {
            let key = update.key.unwrap_or_default();
            (application(&key.application_id), id_of::<KeyId>(&key.key_id))
        }),
        "ServiceAccountService/AddServiceAccountKey" => {
            of(message, |add: pb::AddServiceAccountKeyRequest| account(&add.service_account_id))
        }
        "ServiceAccountService/DisableServiceAccount" => {
            of(message, |disable: pb::DisableServiceAccountRequest| account(&disable.service_account_id))
        }
        "ServiceAccountService/RemoveServiceAccountKey" => {
            of(message, |remove: pb::RemoveServiceAccountKeyRequest| account(&remove.service_account_id))
        }
        "ServiceAccountService/UpdateServiceAccount" => of(message, |update: pb::UpdateServiceAccountRequest| {
            account(&update.service_account.unwrap_or_default().service_account_id)
        }),
        "WebhookService/CreateWebhook" => of(message, |create: pb::CreateWebhookRequest| {
            (application(&create.webhook.unwrap_or_default().application_id), None)
        }),
        "WebhookService/UpdateWebhook" => of(message, |update: pb::UpdateWebhookRequest| {
            let hook = update.webhook.unwrap_or_default();
            webhook(&hook.application_id, &hook.webhook_id)
        }),
        "WebhookService/DeleteWebhook" => {
            of(message, |delete: pb::DeleteWebhookRequest| webhook(&delete.application_id, &delete.webhook_id))
        }
        "WebhookService/TestWebhook" => {
            of(message, |test: pb::TestWebhookRequest| webhook(&test.application_id, &test.webhook_id))
        }
        "WebhookService/RotateWebhookSecret" => {
            of(message, |rotate: pb::RotateWebhookSecretRequest| webhook(&rotate.application_id, &rotate.webhook_id))
        }
        // What is to be made has no name yet, and is of no application; what leaked is a secret.
        _ => Subject::default(),
    }
}

type Named = (Option<ApplicationId>, Option<String>);

fn of<M: Message + Default>(message: &[u8], read: impl FnOnce(M) -> Named) -> Subject {
    let (application_id, resource) = M::decode(message).map(read).unwrap_or_default();
    Subject { application_id, resource }
}

fn application(text: &str) -> Option<ApplicationId> {
    text.parse().ok()
}

fn account(id: &str) -> Named {
    (None, id_of::<ServiceAccountId>(id))
}

fn webhook(application_id: &str, id: &str) -> Named {
    (application(application_id), id_of::<WebhookId>(id))
}

/// The id, if it is one of this kind.
fn id_of<T: std::str::FromStr + ToString>(text: &str) -> Option<String> {
    text.parse::<T>().ok().map(|id| id.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::METHODS;

    /// Those that name nothing that is there already, or only by a secret.
    const NAMELESS: [&str; 3] = [
        "ApplicationService/CreateApplication",
        "KeyService/ReportLeakedKey",
        "ServiceAccountService/CreateServiceAccount",
    ];

    /// A string or a message in field `number`.
    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        let mut field = vec![number << 3 | 2, u8::try_from(bytes.len()).expect("short")];
        field.extend(bytes);
        field
    }

    /// Red for a new mutation, until it is said above what its request names. Ids of each kind
    /// are put into the first fields of the request and of the message in its first field.
    #[test]
    fn every_mutation_says_what_it_names() {
        let ids = ["app_0000000000000000000001", "key_0000000000000000000002", "sa_0000000000000000000003"];
        for method in METHODS.iter().filter(|method| method.is_mutation()) {
            let named = ids.iter().flat_map(|first| {
                ids.iter().flat_map(move |second| {
                    let flat = [field(1, first.as_bytes()), field(2, second.as_bytes())].concat();
                    let nested = field(1, &[field(1, second.as_bytes()), field(2, first.as_bytes())].concat());
                    [nested, flat, field(1, first.as_bytes())]
                })
            });
            let names = named.map(|message| subject(method, &message)).any(|subject| subject != Subject::default());
            let nameless = NAMELESS.iter().any(|name| method.path.ends_with(name));
            assert_eq!(names, !nameless, "{}: see `subject`", method.path);
        }
    }

    #[test]
    fn what_is_no_id_is_not_kept() {
        let revoke = Method::find("/portcullis.v1.KeyService/RevokeKey").expect("a mutation");
        for bad in ["key_?", "sk_live_secret", "app_0000000000000000000001", ""] {
            let message = pb::RevokeKeyRequest { key_id: bad.to_owned(), ..Default::default() }.encode_to_vec();
            assert_eq!(subject(revoke, &message), Subject::default(), "{bad}");
        }
        assert_eq!(subject(revoke, b"\xff"), Subject::default());
    }
}
