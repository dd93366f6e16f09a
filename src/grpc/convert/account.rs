use std::collections::BTreeSet;

use super::{
    application::set_by_server,
    common::{parse, permissions, texts, to_timestamp},
    mask::Mask,
};
use crate::{
    accounts::{NewServiceAccount, UpdateServiceAccount},
    domain::{
        account::{AccountKey, MAX_SCOPE, Role, Scope, ServiceAccount, ServiceAccountPatch},
        certificate::{CertificateName, MAX_CERTIFICATE_NAMES},
        id::ApplicationId,
        refusal::{Refusal, Violations},
        text::Name,
    },
    grpc::unpack,
    pb,
};

const UPDATABLE: &[&str] = &[
    "name",
    "roles",
    "all_applications",
    "application_ids",
    "grantable_permissions",
    "client_certificate_names",
    "disabled",
];

pub(in crate::grpc) fn new_account(request: &pb::CreateServiceAccountRequest) -> Result<NewServiceAccount, Refusal> {
    let mut v = Violations::default();
    let create = unpack::create_request(&request.request_id, "CreateServiceAccount", request, &mut v);
    let Some(wish) = &request.service_account else {
        v.add("service_account", "is required");
        return Err(Refusal::FieldInvalid(v));
    };
    set_by_server(&wish.service_account_id, "service_account.service_account_id", &mut v);
    set_by_server(&wish.client_email, "service_account.client_email", &mut v);
    set_by_server(&wish.etag, "service_account.etag", &mut v);
    if !wish.keys.is_empty() {
        v.add("service_account.keys", "are added with AddServiceAccountKey, once the account is there");
    }
    let roles = roles(&wish.roles, &mut v);
    let scope = scope(wish, &mut v);
    let grantable = permissions(&wish.grantable_permissions, "service_account.grantable_permissions", &mut v);
    let certificate_names = certificate_names(&wish.client_certificate_names, &mut v);
    let name = v.check("service_account.name", Name::parse(&wish.name));
    let name = v.settle_with(name)?;
    let disabled = wish.disabled;
    Ok(NewServiceAccount { name, roles, scope, grantable, certificate_names, disabled, request: create })
}

pub(in crate::grpc) fn update(request: pb::UpdateServiceAccountRequest) -> Result<UpdateServiceAccount, Refusal> {
    let mut v = Violations::default();
    let mask = Mask::read(request.update_mask, UPDATABLE, &mut v);
    let Some(wish) = request.service_account else {
        v.add("service_account", "is required");
        return Err(Refusal::FieldInvalid(v));
    };
    // The scope is one thing in two fields: naming either sets both.
    let ids = mask.pick("application_ids", !wish.application_ids.is_empty(), || ());
    let names_scope = ids.or_else(|| mask.pick("all_applications", wish.all_applications, || ())).is_some();
    let patch = ServiceAccountPatch {
        name: mask
            .pick("name", !wish.name.is_empty(), || v.check("service_account.name", Name::parse(&wish.name)))
            .flatten(),
        roles: mask.pick("roles", !wish.roles.is_empty(), || roles(&wish.roles, &mut v)),
        scope: names_scope.then(|| scope(&wish, &mut v)),
        grantable: mask.pick("grantable_permissions", !wish.grantable_permissions.is_empty(), || {
            permissions(&wish.grantable_permissions, "service_account.grantable_permissions", &mut v)
        }),
        certificate_names: mask.pick("client_certificate_names", !wish.client_certificate_names.is_empty(), || {
            certificate_names(&wish.client_certificate_names, &mut v)
        }),
        disabled: mask.pick("disabled", wish.disabled, || wish.disabled),
    };
    let id = parse(&wish.service_account_id, "service_account.service_account_id", &mut v);
    let service_account_id = v.settle_with(id)?;
    Ok(UpdateServiceAccount { service_account_id, patch, etag: wish.etag })
}

fn roles(numbers: &[i32], violations: &mut Violations) -> BTreeSet<Role> {
    let mut roles = BTreeSet::new();
    for (at, number) in numbers.iter().take(16).enumerate() {
        match pb::Role::try_from(*number) {
            Ok(pb::Role::Admin) => roles.insert(Role::Admin),
            Ok(pb::Role::Viewer) => roles.insert(Role::Viewer),
            Ok(pb::Role::Editor) => roles.insert(Role::Editor),
            Ok(pb::Role::Verifier) => roles.insert(Role::Verifier),
            Ok(pb::Role::Watcher) => roles.insert(Role::Watcher),
            Ok(pb::Role::Unspecified) | Err(_) => {
                violations.add(format!("service_account.roles[{at}]"), "is not a role");
                false
            }
        };
    }
    if numbers.len() > 16 {
        violations.add("service_account.roles", "there are not so many");
    }
    roles
}

fn scope(wish: &pb::ServiceAccount, violations: &mut Violations) -> Scope {
    let field = "service_account.application_ids";
    if wish.all_applications {
        if !wish.application_ids.is_empty() {
            violations.add(field, "name none with all_applications");
        }
        return Scope::All;
    }
    if wish.application_ids.len() > MAX_SCOPE {
        violations.add(field, format!("has {}; at most {MAX_SCOPE} are allowed", wish.application_ids.len()));
        return Scope::Only(BTreeSet::new());
    }
    let read = |(at, text): (usize, &String)| parse::<ApplicationId>(text, &format!("{field}[{at}]"), violations);
    Scope::Only(wish.application_ids.iter().enumerate().filter_map(read).collect())
}

/// Naming one twice is naming it once.
fn certificate_names(texts: &[String], violations: &mut Violations) -> BTreeSet<CertificateName> {
    let field = "service_account.client_certificate_names";
    if texts.len() > MAX_CERTIFICATE_NAMES {
        violations.add(field, format!("has {}; at most {MAX_CERTIFICATE_NAMES} are allowed", texts.len()));
        return BTreeSet::new();
    }
    let read = |(at, text): (usize, &String)| parse::<CertificateName>(text, &format!("{field}[{at}]"), violations);
    texts.iter().enumerate().filter_map(read).collect()
}

pub(in crate::grpc) fn to_account(account: &ServiceAccount) -> pb::ServiceAccount {
    let (all_applications, application_ids) = match &account.scope {
        Scope::All => (true, Vec::new()),
        Scope::Only(ids) => (false, texts(ids)),
    };
    pb::ServiceAccount {
        service_account_id: account.id.to_string(),
        name: account.name.to_string(),
        client_email: account.client_email.clone(),
        roles: account.roles.iter().map(|role| to_role(*role).into()).collect(),
        all_applications,
        application_ids,
        grantable_permissions: texts(&account.grantable),
        keys: account.keys.iter().map(to_account_key).collect(),
        disabled: account.disabled,
        revision: account.revision.number(),
        etag: account.revision.etag(),
        create_time: Some(to_timestamp(account.create_time)),
        update_time: Some(to_timestamp(account.update_time)),
        client_certificate_names: texts(&account.certificate_names),
    }
}

fn to_account_key(key: &AccountKey) -> pb::ServiceAccountKey {
    pb::ServiceAccountKey {
        kid: key.kid.to_string(),
        public_key_pem: key.public_key_pem.clone(),
        create_time: Some(to_timestamp(key.create_time)),
    }
}

fn to_role(role: Role) -> pb::Role {
    match role {
        Role::Admin => pb::Role::Admin,
        Role::Viewer => pb::Role::Viewer,
        Role::Editor => pb::Role::Editor,
        Role::Verifier => pb::Role::Verifier,
        Role::Watcher => pb::Role::Watcher,
    }
}
