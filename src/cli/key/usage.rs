use std::process::ExitCode;

use clap::Args;
use prost_types::Timestamp;

use super::named::KeyArgs;
use crate::{
    cli::{
        args::block_on,
        failure::Failure,
        out::{Out, note},
        people::{
            AppArgs, Cell, Column, Look, Printed, ServiceArgs, Shown, Span, Step, details, moment, number, shrinks,
            span, table, whole, word,
        },
    },
    client::unix_seconds,
    pb,
};

/// How much a key, or an application, was used
///
/// Prints the calls of each hour or day in which there were some, and their sum. Of a key, the
/// calls of the keys that it was rotated from and to as well, and whether the old one may end.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  portcullis key usage key_1 --since 7d --step day
  portcullis key usage --app app_1
  portcullis key usage key_1 --json | jq .rotation.safe_to_end")]
pub(super) struct Usage {
    /// The id of the key, key_…, or its name [default: all keys of the application]
    #[arg(value_name = "KEY")]
    key: Option<String>,

    /// From then on: 7d (before now), or 2027-01-31 [default: 24 hours, or with --step day 30 days]
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<Since>,

    /// Until then: 2027-01-31, or a time in RFC 3339 [default: now]
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Timestamp>,

    /// What is counted together [default: hour]
    #[arg(long, value_enum, value_name = "STEP")]
    step: Option<Step>,

    #[command(flatten)]
    app: AppArgs,

    #[command(flatten)]
    printed: Printed,

    #[command(flatten)]
    service: ServiceArgs,
}

#[derive(Debug, Clone, Copy)]
enum Since {
    Ago(Span),
    At(Timestamp),
}

fn since(text: &str) -> Result<Since, String> {
    span(text)
        .map(Since::Ago)
        .or_else(|_| moment(text).map(Since::At))
        .map_err(|_| "write it as 7d, as 2027-01-31 (its beginning in UTC), or as 2027-01-31T12:00:00Z".to_owned())
}

impl Since {
    fn time(self) -> Result<Timestamp, Failure> {
        match self {
            Self::At(time) => Ok(time),
            Self::Ago(span) => {
                let now = unix_seconds().map_err(|e| Failure::Failed(e.to_string()))?;
                Ok(Timestamp { seconds: now.saturating_sub(span.seconds), nanos: 0 })
            }
        }
    }
}

impl Usage {
    pub(super) fn run(self, mut out: Out) -> Result<ExitCode, Failure> {
        let Self { key, since, until, step, app, printed, service } = self;
        let (start_time, step) = (since.map(Since::time).transpose()?, step.map_or(0, i32::from));
        let answer = block_on(async {
            let (application_id, key_id, session) = match key {
                None => (app.id()?, String::new(), service.connect().await?),
                Some(key) => {
                    let key = KeyArgs::new(key, app);
                    key.check()?;
                    let session = service.connect().await?;
                    let named = key.find(&session).await?;
                    (named.application_id, named.key_id, session)
                }
            };
            let request = pb::GetKeyUsageRequest { application_id, key_id, start_time, end_time: until, step };
            session.read::<_, pb::GetKeyUsageResponse>("KeyService/GetKeyUsage", &request).await
        })?;
        if printed.json() {
            out.line(&answer.json()?)?;
        } else {
            print(&answer.message, printed.look()?, &mut out)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn print(usage: &pb::GetKeyUsageResponse, look: Look, out: &mut Out) -> Result<(), Failure> {
    rows(&usage.points, look, out)?;
    if usage.points.is_empty() {
        note("there were no calls");
    }
    out.line(&details(usage, &look))?;
    if usage.by_key.len() > 1 {
        rows(&usage.by_key, look, out)?;
    }
    if let Some(pb::Rotation { old_key_id, new_key_id, safe_to_end, .. }) = &usage.rotation {
        let missed = if *safe_to_end { "nobody will miss it" } else { "it is still in use" };
        note(&format!("{old_key_id} was rotated to {new_key_id}: {missed}"));
    }
    Ok(())
}

fn rows<T: Shown>(rows: &[T], look: Look, out: &mut Out) -> Result<(), Failure> {
    if rows.is_empty() {
        return Ok(());
    }
    let table = table(rows, look);
    out.line(&table.head())?;
    rows.iter().try_for_each(|row| out.line(&table.row(row)))
}

fn denied_by(denied: &[pb::DeniedBy]) -> Cell {
    Cell::list(denied.iter().map(|by| format!("{} {}", word(by.verdict().as_str_name(), "VERDICT_"), by.requests)))
}

fn rate(rate: f64) -> Cell {
    Cell::text(&format!("{:.1} %", rate * 100.0))
}

impl Shown for pb::UsagePoint {
    const MESSAGE: &'static str = "UsagePoint";
    const MANY: &'static str = "points";
    const COLUMNS: &'static [Column<Self>] = &[
        whole("from", |point, _| Cell::text(&point.start_time.map(|time| time.to_string()).unwrap_or_default())),
        number("calls", |point, _| Cell::number(point.requests)),
        number("refused", |point, _| Cell::number(point.denied)),
        number("rate", |point, _| rate(point.error_rate)),
        shrinks("refused by", |point, _| denied_by(&point.denied_by)),
    ];
}

impl Shown for pb::GetKeyUsageResponse {
    const MESSAGE: &'static str = "GetKeyUsageResponse";
    const MANY: &'static str = "usages";
    const COLUMNS: &'static [Column<Self>] = &[
        number("calls", |usage, _| Cell::number(usage.requests)),
        number("refused", |usage, _| Cell::number(usage.denied)),
        number("rate", |usage, _| rate(usage.error_rate)),
        shrinks("refused by", |usage, _| denied_by(&usage.denied_by)),
        whole("last used", |usage, look| Cell::time(usage.last_used_time.as_ref(), look)),
    ];
}

impl Shown for pb::KeyShare {
    const MESSAGE: &'static str = "KeyShare";
    const MANY: &'static str = "shares";
    const COLUMNS: &'static [Column<Self>] = &[
        whole("key", |share, _| Cell::text(&share.key_id)),
        number("calls", |share, _| Cell::number(share.requests)),
        number("refused", |share, _| Cell::number(share.denied)),
        whole("last used", |share, look| Cell::time(share.last_used_time.as_ref(), look)),
    ];
}
