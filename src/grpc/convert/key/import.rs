use std::collections::HashMap;

use super::{
    super::{
        common::{note, parse, permissions, timestamp},
        limit,
    },
    environment, kind, labels, rules,
};
use crate::{
    domain::{
        id::Revision,
        key::{KeyToImport, MAX_IMPORTED},
        refusal::{Refusal, Violations},
        restriction::Restrictions,
        secret::SecretHash,
        text::Name,
    },
    grpc::unpack,
    keys::{ImportKeys, Imported, ImportedKey},
    pb,
};

/// Where it ends to be told what is wrong.
const MOST_WRONG: usize = 100;
const NO_HASH: &str = "must be 32 bytes, the SHA-256 of the key's whole text; a salted, keyed or slow hash (HMAC, bcrypt, \
                       scrypt, Argon2) cannot be taken over, since nobody can look for a text by it";

pub(in crate::grpc) fn import(request: &pb::ImportKeysRequest) -> Result<ImportKeys, Refusal> {
    let mut v = Violations::default();
    let application_id = parse(&request.application_id, "application_id", &mut v);
    let create_request = unpack::create_request(&request.request_id, "ImportKeys", request, &mut v);
    let keys = match request.keys.len() {
        1..=MAX_IMPORTED => keys(&request.keys, &mut v),
        found => {
            v.add("keys", format!("has {found}; 1 to {MAX_IMPORTED} are imported at once"));
            Vec::new()
        }
    };
    let application_id = v.settle_with(application_id)?;
    Ok(ImportKeys { application_id, keys, dry_run: request.dry_run, request: create_request })
}

fn keys(wishes: &[pb::KeyToImport], v: &mut Violations) -> Vec<KeyToImport> {
    let mut keys = Vec::with_capacity(wishes.len());
    let mut seen = HashMap::with_capacity(wishes.len());
    for (at, wish) in wishes.iter().enumerate() {
        if v.len() >= MOST_WRONG {
            break;
        }
        let mut wrong = Violations::default();
        if let Some(first) = seen.insert(&wish.secret_sha256, at) {
            wrong.add("secret_sha256", format!("is that of keys[{first}], too"));
        }
        keys.extend(key(wish, &mut wrong));
        v.append_under(&format!("keys[{at}]."), wrong);
    }
    keys
}

fn key(wish: &pb::KeyToImport, v: &mut Violations) -> Option<KeyToImport> {
    let hash = <[u8; 32]>::try_from(wish.secret_sha256.as_slice()).ok().filter(|hash| *hash != [0; 32]);
    let hash = v.check("secret_sha256", hash.ok_or(NO_HASH)).map(SecretHash::from_bytes);
    if let Some(hash) = &hash {
        v.check("prefix", KeyToImport::check_prefix(&wish.prefix, hash));
    }
    let name = v.check("name", Name::parse(&wish.name));
    let key = KeyToImport {
        hash: hash.unwrap_or(SecretHash::from_bytes([0; 32])),
        prefix: wish.prefix.clone(),
        name: name?,
        description: note(&wish.description, "description", v),
        kind: kind(wish.r#type, v),
        environment: environment(wish.environment, v),
        permissions: permissions(&wish.permissions, "permissions", v),
        expire_time: wish.expire_time.and_then(|time| timestamp(time, "expire_time", v)),
        restrictions: Restrictions {
            ip_ranges: rules(&wish.ip_allowlist, "ip_allowlist", v),
            referrers: rules(&wish.referrer_allowlist, "referrer_allowlist", v),
            resources: rules(&wish.resource_allowlist, "resource_allowlist", v),
        },
        limits: limit::limits(&wish.rate_limits, &wish.quotas, v),
        labels: labels(&wish.labels, "labels", v),
        disabled: wish.disabled,
    };
    hash.map(|_| key)
}

pub(in crate::grpc) fn to_imported(imported: &Imported, revision: Revision) -> pb::ImportKeysResponse {
    let Imported(keys) = imported;
    let told = |key: &ImportedKey| match key {
        ImportedKey::New(id) => {
            pb::ImportedKey { key_id: id.map_or_else(String::new, |id| id.to_string()), existed: false }
        }
        ImportedKey::Existed(id) => pb::ImportedKey { key_id: id.to_string(), existed: true },
    };
    let existing = keys.iter().filter(|key| matches!(key, ImportedKey::Existed(_))).count();
    let count = |keys: usize| i32::try_from(keys).unwrap_or(i32::MAX);
    pb::ImportKeysResponse {
        keys: keys.iter().map(told).collect(),
        imported_count: count(keys.len() - existing),
        existing_count: count(existing),
        revision: revision.number(),
    }
}
