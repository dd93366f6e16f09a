use std::process::ExitCode;

use clap::Args;

use crate::{
    chain::hex,
    cli::{
        args::block_on,
        failure::Failure,
        out::Out,
        people::{
            Cell, Column, Moment, PageArgs, Printed, ServiceArgs, Shown, Tint, detail, list, moment, number, shrinks,
            whole,
        },
    },
    pb,
};

/// List what was done and what was refused, and by whom
///
/// Prints a table, newest first, or with --json a line of JSON each, with all fields of each
/// event.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  portcullis audit list --limit 20
  portcullis audit list --resource key_1 --json
  portcullis audit list --refused --since 2027-01-31")]
pub(super) struct List {
    /// Only of this application
    #[arg(long, value_name = "APP", default_value = "", hide_default_value = true)]
    app: String,

    /// Only of this key, application or service account
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    resource: String,

    /// Only what this service account signed
    #[arg(long, value_name = "ACCOUNT", default_value = "", hide_default_value = true)]
    account: String,

    /// Only calls of this method, as KeyService/RevokeKey
    #[arg(long, value_name = "METHOD", default_value = "", hide_default_value = true)]
    method: String,

    /// Only with this outcome: OK, or a reason such as GRANT_EXCEEDED
    #[arg(long, value_name = "OUTCOME", default_value = "", hide_default_value = true)]
    outcome: String,

    /// Only what was refused
    #[arg(long)]
    refused: bool,

    /// Only from then on: 2027-01-31 (its beginning in UTC), or a time in RFC 3339
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Moment>,

    /// Only before then
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Moment>,

    /// The oldest first
    #[arg(long)]
    oldest_first: bool,

    #[command(flatten)]
    pages: PageArgs,

    #[command(flatten)]
    printed: Printed,

    #[command(flatten)]
    service: ServiceArgs,
}

impl List {
    pub(super) fn run(self, mut out: Out) -> Result<ExitCode, Failure> {
        let order = if self.oldest_first { pb::AuditOrder::OldestFirst } else { pb::AuditOrder::NewestFirst };
        let request = pb::ListAuditEventsRequest {
            application_id: self.app,
            resource_id: self.resource,
            service_account_id: self.account,
            method: self.method,
            outcome: self.outcome,
            refused_only: self.refused,
            start_time: self.since,
            end_time: self.until,
            order: order.into(),
            ..Default::default()
        };
        block_on(async { list(&self.service.connect().await?, request, self.pages, &self.printed, &mut out).await })?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Shown for pb::AuditEvent {
    const MESSAGE: &'static str = "AuditEvent";
    const MANY: &'static str = "events";
    const COLUMNS: &'static [Column<Self>] = &[
        number("event", |event, _| Cell::number(event.seq)),
        whole("time", |event, look| Cell::time(event.time.as_ref(), look)),
        whole("what", |event, _| Cell::text(event.method.trim_start_matches("portcullis.v1."))),
        whole("outcome", |event, _| outcome(event)),
        whole("of", |event, _| Cell::text(event.resource_id())),
        whole("by", |event, _| Cell::text(event.service_account_id())),
        shrinks("application", |event, _| Cell::text(event.application_id())),
        detail("hash", |event, _| Cell::text(&hex(&event.hash))),
    ];
}

fn outcome(event: &pb::AuditEvent) -> Cell {
    Cell::text(&event.outcome).tinted(if event.outcome == "OK" { Tint::Good } else { Tint::Bad })
}
