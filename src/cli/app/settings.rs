use clap::Args;

use crate::{
    cli::people::{Changes, Clearable, Leaks, PlanWord, Span, rate_limit, some_time},
    pb,
};

/// What an application is made with, and may be changed to.
#[derive(Debug, Args)]
#[command(next_help_heading = "Of the application")]
pub(super) struct AppSettings {
    /// The limits that each of its keys has [default: none]
    #[arg(long, value_enum, value_name = "PLAN")]
    plan: Option<PlanWord>,

    /// With the plan enterprise, its own: 100/1m, or login=100/1m with a name; may be given several times
    #[arg(long = "rate-limit", value_name = "LIMIT", value_parser = rate_limit, value_delimiter = ',')]
    rate_limits: Vec<pb::RateLimit>,

    /// How long a rotated key stays good beside its successor [default at creation: 48h]
    #[arg(long, value_name = "DURATION", value_parser = some_time)]
    overlap: Option<Span>,

    /// How long a verifier may keep a VALID: 0s to 60s [default at creation: 0s]
    #[arg(long, value_name = "DURATION", value_parser = some_time)]
    max_cache_ttl: Option<Span>,

    /// The first part of new keys' texts: acme of acme_sk_live_…
    #[arg(long, value_name = "TEXT")]
    key_prefix: Option<String>,

    /// Who is written to when something happens to a key; may be given several times
    #[arg(long = "notify-email", value_name = "ADDRESS", value_delimiter = ',')]
    notify_emails: Vec<String>,

    /// What is done with a key that was found where it does not belong [default at creation: alert]
    #[arg(long, value_enum, value_name = "POLICY")]
    leaks: Option<Leaks>,

    /// So many refused calls of a key within a minute are suspicious
    #[arg(long, value_name = "N")]
    alert_denied_per_minute: Option<i32>,

    /// So many times the calls of its busiest hour are suspicious
    #[arg(long, value_name = "N")]
    alert_volume_factor: Option<i32>,

    /// A key's first call from another network is not suspicious
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    alert_ignore_new_networks: Option<bool>,
}

pub(super) const CLEARABLE: Clearable = &[
    ("plan", "plan"),
    ("rate-limit", "rate_limits"),
    ("key-prefix", "key_prefix"),
    ("notify-email", "notify_emails"),
    ("alerts", "alert_thresholds"),
];

impl AppSettings {
    /// Puts what was given into `app`, and says what that was.
    pub(super) fn put(self, app: &mut pb::Application) -> Changes {
        let alerts = self.alerts();
        let mut changes = Changes::default();
        changes.put("plan", &mut app.plan, self.plan.map(i32::from));
        changes.put_all("rate_limits", &mut app.rate_limits, self.rate_limits);
        changes.put("overlap", &mut app.overlap, self.overlap.map(Some));
        changes.put("max_cache_ttl", &mut app.max_cache_ttl, self.max_cache_ttl.map(Some));
        changes.put("key_prefix", &mut app.key_prefix, self.key_prefix);
        changes.put_all("notify_emails", &mut app.notify_emails, self.notify_emails);
        changes.put("leak_policy", &mut app.leak_policy, self.leaks.map(i32::from));
        changes.put("alert_thresholds", &mut app.alert_thresholds, alerts.map(Some));
        changes
    }

    /// All of them together, as the service keeps them.
    fn alerts(&self) -> Option<pb::AlertThresholds> {
        let Self {
            alert_denied_per_minute: denied,
            alert_volume_factor: volume,
            alert_ignore_new_networks: ignore,
            ..
        } = self;
        let any = denied.is_some() || volume.is_some() || ignore.is_some();
        any.then(|| pb::AlertThresholds {
            denied_per_minute: denied.unwrap_or_default(),
            volume_factor: volume.unwrap_or_default(),
            ignore_new_networks: ignore.unwrap_or_default(),
        })
    }
}
