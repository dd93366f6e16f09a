use crate::{
    cli::people::{Cell, Column, Look, Shown, Tint, detail, shrinks, whole, word},
    pb,
};

impl Shown for pb::ServiceAccount {
    const MESSAGE: &'static str = "ServiceAccount";
    const MANY: &'static str = "service accounts";
    const COLUMNS: &'static [Column<Self>] = &[
        whole("account", |account, _| Cell::text(&account.service_account_id)),
        shrinks("name", |account, _| Cell::text(&account.name)),
        whole("state", |account, _| state(account)),
        shrinks("roles", |account, _| Cell::list(account.roles().map(|role| word(role.as_str_name(), "ROLE_")))),
        shrinks("applications", |account, _| applications(account)),
        detail("email", |account, _| Cell::text(&account.client_email)),
        detail("grantable", |account, _| Cell::list(&account.grantable_permissions)),
        detail("certificates", |account, _| Cell::list(&account.client_certificate_names)),
        detail("keys", |account, look| Cell::list(account.keys.iter().map(|key| kid(key, look)))),
        detail("created", |account, look| Cell::time(account.create_time.as_ref(), look)),
        detail("updated", |account, look| Cell::time(account.update_time.as_ref(), look)),
        detail("etag", |account, _| Cell::text(&account.etag)),
    ];
}

fn state(account: &pb::ServiceAccount) -> Cell {
    if account.disabled { Cell::text("disabled").tinted(Tint::Bad) } else { Cell::text("active").tinted(Tint::Good) }
}

fn applications(account: &pb::ServiceAccount) -> Cell {
    if account.all_applications { Cell::text("all") } else { Cell::list(&account.application_ids) }
}

fn kid(key: &pb::ServiceAccountKey, look: &Look) -> String {
    format!("{}, made {}", key.kid, Cell::time(key.create_time.as_ref(), look).brief())
}
