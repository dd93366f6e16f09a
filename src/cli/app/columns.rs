use crate::{
    cli::people::{Cell, Column, Shown, detail, rate_limit_word, shrinks, whole, word},
    pb,
};

impl Shown for pb::Application {
    const MESSAGE: &'static str = "Application";
    const MANY: &'static str = "applications";
    const COLUMNS: &'static [Column<Self>] = &[
        whole("application", |app, _| Cell::text(&app.application_id)),
        shrinks("name", |app, _| Cell::text(&app.name)),
        whole("plan", |app, _| plan(app)),
        whole("overlap", |app, _| Cell::span(app.overlap.as_ref())),
        whole("created", |app, look| Cell::time(app.create_time.as_ref(), look)),
        detail("rate limit", |app, _| Cell::list(app.rate_limits.iter().map(rate_limit_word))),
        detail("answers kept for", |app, _| Cell::span(app.max_cache_ttl.as_ref())),
        detail("key prefix", |app, _| Cell::text(&app.key_prefix)),
        detail("notify email", |app, _| Cell::list(&app.notify_emails)),
        detail("leaked keys", |app, _| leaks(app)),
        detail("alerts", |app, _| alerts(app)),
        detail("updated", |app, look| Cell::time(app.update_time.as_ref(), look)),
        detail("etag", |app, _| Cell::text(&app.etag)),
    ];
}

fn plan(app: &pb::Application) -> Cell {
    match app.plan() {
        pb::Plan::Unspecified => Cell::default(),
        plan => Cell::text(&word(plan.as_str_name(), "PLAN_")),
    }
}

fn leaks(app: &pb::Application) -> Cell {
    match app.leak_policy() {
        pb::LeakPolicy::Unspecified => Cell::default(),
        policy => Cell::text(&word(policy.as_str_name(), "LEAK_POLICY_")),
    }
}

fn alerts(app: &pb::Application) -> Cell {
    let Some(alerts) = &app.alert_thresholds else { return Cell::default() };
    let number = |number: i32, text: &str| if number == 0 { String::new() } else { format!("{number} {text}") };
    Cell::list([
        number(alerts.denied_per_minute, "refused calls a minute"),
        number(alerts.volume_factor, "times the busiest hour"),
        if alerts.ignore_new_networks { "not for new networks".to_owned() } else { String::new() },
    ])
}
