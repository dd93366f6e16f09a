use clap::Args;

use crate::{
    cli::people::{Changes, Clearable, RoleWord},
    pb,
};

/// What an account may do.
#[derive(Debug, Args)]
#[command(next_help_heading = "Of the account")]
pub(super) struct AccountSettings {
    /// What it may do; may be given several times
    #[arg(long = "role", value_enum, value_name = "ROLE", value_delimiter = ',')]
    roles: Vec<RoleWord>,

    /// An application that it may act in; may be given several times [default at creation: none]
    #[arg(long = "app", value_name = "APP", value_delimiter = ',')]
    apps: Vec<String>,

    /// It may act in every application, also in those that come later
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    all_apps: Option<bool>,

    /// A permission that keys which it makes may hold; may be given several times
    #[arg(long = "grantable", value_name = "PERMISSION", value_delimiter = ',')]
    grantable: Vec<String>,

    /// A name in a client certificate by which the account is known over TLS, such as
    /// spiffe://example.com/gateway or gateway.example.com; may be given several times
    #[arg(long = "certificate-name", value_name = "NAME")]
    certificate_names: Vec<String>,
}

pub(super) const CLEARABLE: Clearable = &[
    ("role", "roles"),
    ("app", "application_ids"),
    ("grantable", "grantable_permissions"),
    ("certificate-name", "client_certificate_names"),
];

impl AccountSettings {
    /// Puts what was given into `account`, and says what that was.
    pub(super) fn put(self, account: &mut pb::ServiceAccount) -> Changes {
        let mut changes = Changes::default();
        changes.put_all("roles", &mut account.roles, self.roles.into_iter().map(i32::from).collect());
        changes.put_all("application_ids", &mut account.application_ids, self.apps);
        changes.put("all_applications", &mut account.all_applications, self.all_apps);
        changes.put_all("grantable_permissions", &mut account.grantable_permissions, self.grantable);
        changes.put_all("client_certificate_names", &mut account.client_certificate_names, self.certificate_names);
        changes
    }
}
