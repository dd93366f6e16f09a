use std::collections::BTreeSet;

use sea_orm::prelude::Json;

use super::{Word as _, corrupt, list, name, parse, texts};
use crate::{
    domain::{
        account::{AccountKey, Role, Scope, ServiceAccount},
        id::Revision,
        time::Timestamp,
    },
    store::{
        Error,
        entity::{service_account, service_account_key},
    },
};

pub(in crate::store) fn account(
    row: service_account::Model,
    keys: Vec<service_account_key::Model>,
) -> Result<ServiceAccount, Error> {
    let roles: Vec<String> = serde_json::from_value(row.roles).map_err(|error| corrupt("roles", error))?;
    let scope = match row.all_applications {
        true => Scope::All,
        false => Scope::Only(list(row.application_ids, "application id")?.into_iter().collect()),
    };
    let key = |key: service_account_key::Model| -> Result<AccountKey, Error> {
        Ok(AccountKey {
            kid: parse(&key.kid, "kid")?,
            public_key_pem: key.public_key_pem,
            create_time: Timestamp::from_micros(key.create_time),
        })
    };
    Ok(ServiceAccount {
        id: parse(&row.service_account_id, "service account id")?,
        name: name(&row.name)?,
        client_email: row.client_email,
        roles: roles.iter().map(|role| Role::read(role)).collect::<Result<BTreeSet<_>, _>>()?,
        scope,
        grantable: list(row.grantable_permissions, "permission")?,
        keys: keys.into_iter().map(key).collect::<Result<_, _>>()?,
        certificate_names: list(row.client_certificate_names, "name of certificates")?.into_iter().collect(),
        disabled: row.disabled,
        create_time: Timestamp::from_micros(row.create_time),
        update_time: Timestamp::from_micros(row.update_time),
        revision: Revision::new(row.revision),
    })
}

pub(in crate::store) fn account_rows(
    account: &ServiceAccount,
) -> (service_account::Model, Vec<service_account_key::Model>) {
    let (all_applications, application_ids) = match &account.scope {
        Scope::All => (true, Json::Array(Vec::new())),
        Scope::Only(ids) => (false, texts(ids)),
    };
    let row = service_account::Model {
        service_account_id: account.id.to_string(),
        name: account.name.to_string(),
        client_email: account.client_email.clone(),
        roles: Json::from(account.roles.iter().map(|role| role.word()).collect::<Vec<_>>()),
        all_applications,
        application_ids,
        grantable_permissions: texts(&account.grantable),
        disabled: account.disabled,
        create_time: account.create_time.micros(),
        update_time: account.update_time.micros(),
        revision: account.revision.number(),
        client_certificate_names: texts(&account.certificate_names),
    };
    let key = |key: &AccountKey| service_account_key::Model {
        kid: key.kid.to_string(),
        service_account_id: account.id.to_string(),
        public_key_pem: key.public_key_pem.clone(),
        create_time: key.create_time.micros(),
    };
    (row, account.keys.iter().map(key).collect())
}
