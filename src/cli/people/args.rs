use std::time::Duration;

use clap::Args;
use uuid::Uuid;

use super::{Look, Session, look::Color};
use crate::{
    cli::{
        args::{ConnectionArgs, duration},
        failure::Failure,
    },
    client::{Client, request_id},
};

/// Who calls, and whom.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub(in crate::cli) struct ServiceArgs {
    #[command(flatten)]
    connection: ConnectionArgs,

    /// How long to wait for an answer, at each attempt
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    timeout: Duration,
}

impl ServiceArgs {
    pub(in crate::cli) async fn connect(self) -> Result<Session, Failure> {
        let credentials = self.connection.credentials.read()?;
        let endpoint = self.connection.endpoint.or_of(Some(&credentials))?;
        let channel = self.connection.tls.connect(&endpoint).await?;
        Ok(Session::new(Client::new(channel, Some(credentials)), endpoint, self.timeout))
    }
}

/// The application that a key is of.
#[derive(Debug, Args)]
pub(in crate::cli) struct AppArgs {
    /// The id of the application
    #[arg(long, value_name = "APP", env = "PORTCULLIS_APP")]
    app: Option<String>,
}

impl AppArgs {
    pub(in crate::cli) fn id(self) -> Result<String, Failure> {
        required_app(self.app)
    }

    /// Where it may be left out.
    pub(in crate::cli) fn id_if_given(self) -> Option<String> {
        self.app
    }
}

pub(in crate::cli) fn required_app(app: Option<String>) -> Result<String, Failure> {
    app.filter(|app| !app.is_empty()).ok_or_else(|| {
        Failure::usage("no application: give --app APP, or set PORTCULLIS_APP; `portcullis app list` shows them")
    })
}

/// How to print.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(in crate::cli) struct Printed {
    /// Print JSON, with the names of the protos, for programs
    #[arg(long)]
    json: bool,

    /// When to colour
    #[arg(
        long,
        value_enum,
        value_name = "WHEN",
        default_value_t,
        hide_possible_values = true,
        help = "When to colour: auto (on a terminal, unless NO_COLOR is set), always or never"
    )]
    color: Color,
}

impl Printed {
    pub(in crate::cli) fn json(&self) -> bool {
        self.json
    }

    pub(in crate::cli) fn look(&self) -> Result<Look, Failure> {
        Look::of_stdout(self.color)
    }
}

/// What makes a repeat safe.
#[derive(Debug, Args)]
pub(in crate::cli) struct Retry {
    /// Goes on with an attempt whose answer was lost: with its UUID, nothing is made twice [default: a new one]
    #[arg(long, value_name = "UUID")]
    request_id: Option<Uuid>,
}

impl Retry {
    pub(in crate::cli) fn id(&self) -> Result<String, Failure> {
        match self.request_id {
            Some(id) => Ok(id.to_string()),
            None => request_id().map(|id| id.to_string()).map_err(|e| Failure::Failed(e.to_string())),
        }
    }
}
