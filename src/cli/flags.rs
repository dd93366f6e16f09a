//! By which flag a field of a request is set, so that what is wrong with it is told in the words of
//! the command line.

/// Of the requests that the commands for people make, by the field's name without the message that
/// it stands in (`key.`, `application.`, `service_account.`) and without what is in it.
const FLAGS: &[(&str, &str)] = &[
    ("alert_thresholds", "--alert-…"),
    ("all_applications", "--all-apps"),
    ("application_id", "--app"),
    ("application_ids", "--app"),
    ("auto_renew", "--auto-renew"),
    ("client_certificate_names", "--certificate-name"),
    ("client_ip", "--ip"),
    ("comment", "--comment"),
    ("cost", "--cost"),
    ("description", "--description"),
    ("end_time", "--until"),
    ("environment", "--environment"),
    ("etag", "--etag"),
    ("expire_time", "--expires"),
    ("grantable_permissions", "--grantable"),
    ("ip_allowlist", "--allow-ip"),
    ("key_id", "KEY"),
    ("key_prefix", "--key-prefix"),
    ("kid", "KID"),
    ("labels", "--label"),
    ("leak_policy", "--leaks"),
    ("max_cache_ttl", "--max-cache-ttl"),
    ("method", "--method"),
    ("name", "--name"),
    ("name_prefix", "--name-prefix"),
    ("notify_emails", "--notify-email"),
    ("outcome", "--outcome"),
    ("overlap", "--overlap"),
    ("overlap_end_time", "--overlap-end"),
    ("permissions", "--permission"),
    ("plan", "--plan"),
    ("public_key_pem", "--public-key"),
    ("quotas", "--quota"),
    ("rate_limits", "--rate-limit"),
    ("reason", "--reason"),
    ("referrer", "--referrer"),
    ("referrer_allowlist", "--allow-referrer"),
    ("request_id", "--request-id"),
    ("required_permissions", "--permission"),
    ("resource", "--resource"),
    ("resource_allowlist", "--allow-resource"),
    ("resource_id", "--resource"),
    ("resume_token", "--resume"),
    ("roles", "--role"),
    ("rotation_period", "--rotate-every"),
    ("rotation_recipient_kid", "--rotation-recipient"),
    ("secret", "the secret"),
    ("service_account_id", "ACCOUNT"),
    ("start_time", "--since"),
    ("step", "--step"),
    ("ttl", "--ttl"),
    ("type", "--type"),
    ("wait", "--wait"),
];

/// `--label` of `key.labels[3].value`.
pub(super) fn flag(field: &str) -> Option<&'static str> {
    let inner = ["key.", "application.", "service_account."].iter().find_map(|outer| field.strip_prefix(outer));
    let name = inner.unwrap_or(field).split(['.', '[']).next().unwrap_or_default();
    FLAGS.iter().find(|(known, _)| *known == name).map(|(_, flag)| *flag)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::CommandFactory as _;

    use super::*;
    use crate::{cli::Cli, client::Schema};

    /// What no flag sets: the pages are the program's business, and so is what an update changes.
    const OWN: &[&str] = &[
        "after_seq",
        "dry_run",
        "min_revision",
        "order",
        "page_size",
        "page_token",
        "refused_only",
        "show_revoked",
        "unused_only",
        "update_mask",
    ];
    /// Of the things: what only the service says.
    const OUTPUT: &[&str] = &[
        "client_email",
        "create_time",
        "created_by",
        "disabled",
        "keys",
        "last_used_time",
        "next_rotation_time",
        "prefix",
        "revision",
        "revoke_comment",
        "revoke_reason",
        "revoke_time",
        "rotated_from",
        "rotated_to",
        "state",
        "unused",
        "update_time",
        "usage",
    ];
    const METHODS: &[&str] = &[
        "KeyService/CreateKey",
        "KeyService/ListKeys",
        "KeyService/GetKey",
        "KeyService/UpdateKey",
        "KeyService/RotateKey",
        "KeyService/RevokeKey",
        "KeyService/VerifyKey",
        "KeyService/GetKeyUsage",
        "KeyService/WatchRevocations",
        "ApplicationService/CreateApplication",
        "ApplicationService/ListApplications",
        "ApplicationService/GetApplication",
        "ApplicationService/UpdateApplication",
        "ServiceAccountService/CreateServiceAccount",
        "ServiceAccountService/ListServiceAccounts",
        "ServiceAccountService/GetServiceAccount",
        "ServiceAccountService/UpdateServiceAccount",
        "ServiceAccountService/DisableServiceAccount",
        "ServiceAccountService/AddServiceAccountKey",
        "ServiceAccountService/RemoveServiceAccountKey",
        "AuditService/ListAuditEvents",
    ];

    #[test]
    fn every_field_that_a_command_sets_has_a_flag_that_exists() {
        let schema = Schema::new();
        let mut without = BTreeSet::new();
        for method in METHODS {
            for field in schema.method(method).expect(method).input().fields() {
                let inner = field
                    .kind()
                    .as_message()
                    .filter(|_| ["key", "application", "service_account"].contains(&field.name()))
                    .cloned();
                let fields = inner.map_or(vec![field.clone()], |inner| inner.fields().collect());
                without.extend(fields.iter().map(|field| field.name().to_owned()).filter(|name| flag(name).is_none()));
            }
        }
        let known: BTreeSet<_> = OWN.iter().chain(OUTPUT).map(|name| (*name).to_owned()).collect();
        assert_eq!(without, known);

        let mut exist = BTreeSet::new();
        for group in Cli::command().get_subcommands() {
            let flags = group
                .get_subcommands()
                .flat_map(|command| command.get_arguments().filter_map(|argument| argument.get_long()));
            exist.extend(flags.map(|flag| format!("--{flag}")));
        }
        for (_, flag) in FLAGS.iter().filter(|(_, flag)| flag.starts_with("--") && !flag.ends_with('…')) {
            assert!(exist.contains(*flag), "{flag}");
        }
    }

    #[test]
    fn a_field_is_found_wherever_it_stands() {
        for (field, said) in [
            ("name", Some("--name")),
            ("key.labels[3].value", Some("--label")),
            ("application.rate_limits[0].window", Some("--rate-limit")),
            ("service_account.roles[1]", Some("--role")),
            ("webhook.url", None),
        ] {
            assert_eq!(flag(field), said, "{field}");
        }
    }
}
