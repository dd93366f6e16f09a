use bytes::Bytes;
use tonic::{Code, Status};

use super::archive::Archive;
use crate::{
    cli::{
        failure::{Failure, Refused},
        flags::flag,
        out::Out,
        people::{Look, Session, line},
    },
    pb::{WatchRevocationsResponse, watch_revocations_response::Item},
};

/// Where items go.
pub(super) enum To {
    Output { out: Out, look: Look, json: bool, bookmarks: bool },
    Archive(Archive),
}

impl To {
    /// Answers whether it is wanted.
    pub(super) fn put(
        &mut self,
        session: &Session,
        item: &WatchRevocationsResponse,
        bytes: Bytes,
    ) -> Result<bool, Failure> {
        if item.item.is_none() {
            let what = "an item is of a kind that is not known here: is the server of a newer version?";
            return Err(Failure::Failed(what.to_owned()));
        }
        let is_bookmark = matches!(item.item, Some(Item::Bookmark(_)));
        let json = |bytes| session.json("WatchRevocationsResponse", bytes);
        match self {
            Self::Output { bookmarks: false, .. } if is_bookmark => return Ok(false),
            Self::Output { out, look, json: false, .. } => out.line(&line(item, look))?,
            Self::Output { out, .. } => out.line(&json(bytes)?)?,
            Self::Archive(archive) => archive.put(item, &json(bytes)?)?,
        }
        Ok(true)
    }

    pub(super) fn end(&mut self) -> Result<(), Failure> {
        match self {
            Self::Output { .. } => Ok(()),
            Self::Archive(archive) => archive.sync(),
        }
    }

    /// In the terms of who gave the token.
    pub(super) fn refused(&self, status: Status) -> Failure {
        let refused = match self {
            Self::Output { .. } => Refused { status, flag, note: None },
            Self::Archive(archive) => {
                let note = (status.code() == Code::OutOfRange).then(|| archive.ends_here());
                Refused { status, flag: of_archive, note }
            }
        };
        Failure::Refused(Box::new(refused))
    }
}

fn of_archive(field: &str) -> Option<&'static str> {
    if field == "resume_token" { Some("the last line of --archive") } else { flag(field) }
}
