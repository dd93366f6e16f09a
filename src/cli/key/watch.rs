mod archive;
mod follow;
mod tail;
mod to;

use std::{num::NonZeroU64, path::PathBuf, process::ExitCode};

use clap::{Args, builder::NonEmptyStringValueParser};

use crate::{
    cli::{
        args::block_on,
        failure::Failure,
        out::Out,
        people::{Printed, ServiceArgs},
    },
    pb,
};
use archive::Archive;
use follow::Follow;
use to::To;

/// Follow what stops being good
///
/// Prints each revocation on a line as it comes: its time, its cause, the key and the revision.
/// Goes on by itself where the stream ends or the server is away for a while: nothing is missed
/// meanwhile. Ends at ctrl-C, and after --max-messages. With --archive it prints nothing and keeps
/// a file that `portcullis confirm-restore` takes after a restore.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  portcullis key watch
  portcullis key watch --app app_1 --json | while read -r item; do echo \"$item\"; done
  portcullis key watch --archive revocations.jsonl --credentials archive.json")]
pub(super) struct Watch {
    /// Only of this application; may be given several times [default: all that you see]
    #[arg(long = "app", value_name = "APP", value_delimiter = ',')]
    apps: Vec<String>,

    /// Go on behind the item that this resume_token came with [default: from now]
    // An empty one would begin anew, and what was told meanwhile would be missed.
    #[arg(long, value_name = "TOKEN", value_parser = NonEmptyStringValueParser::new())]
    resume: Option<String>,

    /// Print bookmarks too: all up to their revision is told
    #[arg(long)]
    bookmarks: bool,

    /// Keep what is told of all applications, bookmarks too, as JSON in this file: it is made where there is none,
    /// and gone on with behind its last whole line where there is one
    #[arg(long, value_name = "FILE", conflicts_with_all = ["apps", "resume", "bookmarks", "json"])]
    archive: Option<PathBuf>,

    /// End after so many
    #[arg(long, value_name = "N")]
    max_messages: Option<NonZeroU64>,

    #[command(flatten)]
    printed: Printed,

    #[command(flatten)]
    service: ServiceArgs,
}

impl Watch {
    pub(super) fn run(self, out: Out) -> Result<ExitCode, Failure> {
        let (resume_token, to) = match self.archive {
            Some(path) => {
                let (archive, token) = Archive::open(path)?;
                (token, To::Archive(archive))
            }
            None => {
                let (look, json) = (self.printed.look()?, self.printed.json());
                (self.resume.unwrap_or_default(), To::Output { out, look, json, bookmarks: self.bookmarks })
            }
        };
        let request = pb::WatchRevocationsRequest { application_ids: self.apps, resume_token };
        let mut follow = Follow::new(request, to, self.max_messages.map(NonZeroU64::get));
        let service = self.service;
        let ended = block_on(async {
            let session = service.connect().await?;
            tokio::select! {
                ended = follow.run(&session) => ended,
                Ok(()) = tokio::signal::ctrl_c() => Ok(()),
            }
        });
        ended.and(follow.end())?;
        Ok(ExitCode::SUCCESS)
    }
}
