use clap::Args;

use crate::{
    cli::people::{Changes, Clearable, Moment, Span, label, moment, quota, rate_limit, span},
    pb,
};

/// What a key is made with, and may be changed to.
#[derive(Debug, Args)]
#[command(next_help_heading = "Of the key")]
pub(super) struct KeySettings {
    #[arg(long, value_name = "TEXT")]
    /// What it is for
    description: Option<String>,

    /// What it may do, as tasks:read or tasks:*; may be given several times [default at creation: what you may grant, short of full access]
    #[arg(long = "permission", value_name = "PERMISSION", value_delimiter = ',')]
    permissions: Vec<String>,

    /// When it expires: 2027-01-31 (its beginning in UTC), or a time in RFC 3339 [default: never]
    #[arg(long, value_name = "TIME", value_parser = moment)]
    expires: Option<Moment>,

    /// An address or network that it may be used from; may be given several times
    #[arg(long = "allow-ip", value_name = "CIDR", value_delimiter = ',')]
    ips: Vec<String>,

    /// A web page that may use it, as https://app.example.com or *.example.com; may be given several times
    #[arg(long = "allow-referrer", value_name = "ORIGIN", value_delimiter = ',')]
    referrers: Vec<String>,

    /// What it may be used for, exact or with * at the end; may be given several times
    #[arg(long = "allow-resource", value_name = "NAME", value_delimiter = ',')]
    resources: Vec<String>,

    /// So much in each window: 100/1m, or login=100/1m with a name; may be given several times
    #[arg(long = "rate-limit", value_name = "LIMIT", value_parser = rate_limit, value_delimiter = ',')]
    rate_limits: Vec<pb::RateLimit>,

    /// So much a day or month in UTC: 10000/day, 100000/month
    #[arg(long = "quota", value_name = "QUOTA", value_parser = quota, value_delimiter = ',')]
    quotas: Vec<pb::Quota>,

    /// A label, as team=search; may be given several times
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    labels: Vec<pb::Label>,

    /// Renew it by itself before it expires
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    auto_renew: Option<bool>,

    /// Tell when it is to be rotated: 90d
    #[arg(long, value_name = "DURATION", value_parser = span)]
    rotate_every: Option<Span>,

    /// The kid of a service account's key: rotate by itself, and seal the secret to it
    #[arg(long, value_name = "KID")]
    rotation_recipient: Option<String>,
}

pub(super) const CLEARABLE: Clearable = &[
    ("description", "description"),
    ("permission", "permissions"),
    ("expires", "expire_time"),
    ("allow-ip", "ip_allowlist"),
    ("allow-referrer", "referrer_allowlist"),
    ("allow-resource", "resource_allowlist"),
    ("rate-limit", "rate_limits"),
    ("quota", "quotas"),
    ("label", "labels"),
    ("rotate-every", "rotation_period"),
    ("rotation-recipient", "rotation_recipient_kid"),
];

impl KeySettings {
    /// Puts what was given into `key`, and says what that was.
    pub(super) fn put(self, key: &mut pb::Key) -> Changes {
        let mut changes = Changes::default();
        changes.put("description", &mut key.description, self.description);
        changes.put_all("permissions", &mut key.permissions, self.permissions);
        changes.put("expire_time", &mut key.expire_time, self.expires.map(Some));
        changes.put_all("ip_allowlist", &mut key.ip_allowlist, self.ips);
        changes.put_all("referrer_allowlist", &mut key.referrer_allowlist, self.referrers);
        changes.put_all("resource_allowlist", &mut key.resource_allowlist, self.resources);
        changes.put_all("rate_limits", &mut key.rate_limits, self.rate_limits);
        changes.put_all("quotas", &mut key.quotas, self.quotas);
        changes.put_all("labels", &mut key.labels, self.labels);
        changes.put("auto_renew", &mut key.auto_renew, self.auto_renew);
        changes.put("rotation_period", &mut key.rotation_period, self.rotate_every.map(Some));
        changes.put("rotation_recipient_kid", &mut key.rotation_recipient_kid, self.rotation_recipient);
        changes
    }
}
