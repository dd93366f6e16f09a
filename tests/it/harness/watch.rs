use portcullis::pb::{self, watch_revocations_response::Item};
use tonic::Status;

use super::server::Watch;

/// All that the caller may see, from a token on; from now without one.
pub(crate) fn from(resume_token: &str) -> pb::WatchRevocationsRequest {
    pb::WatchRevocationsRequest { resume_token: resume_token.to_owned(), ..Default::default() }
}

/// One application, from now.
pub(crate) fn only(application_id: &str) -> pb::WatchRevocationsRequest {
    pb::WatchRevocationsRequest { application_ids: vec![application_id.to_owned()], ..Default::default() }
}

impl Watch {
    /// What is told up to the first bookmark at `revision` or behind it, which must come
    /// within 500 items.
    pub(crate) async fn up_to(&mut self, revision: i64) -> Vec<pb::Revocation> {
        let mut told = Vec::new();
        for _ in 0..500 {
            let item = self.next().await.expect("a living stream").expect("not ended");
            match item.item.expect("an item") {
                Item::Revocation(revocation) => told.push(revocation),
                Item::Bookmark(bookmark) if bookmark.revision >= revision => return told,
                Item::Bookmark(_) => {}
            }
        }
        panic!("500 items, and no bookmark at {revision}");
    }

    /// Everything to the end of the stream, and how it ended. Fails after 200 items.
    pub(crate) async fn rest(&mut self) -> (Vec<Item>, Result<(), Status>) {
        let mut items = Vec::new();
        while items.len() < 200 {
            match self.next().await {
                Ok(Some(item)) => items.push(item.item.expect("an item")),
                Ok(None) => return (items, Ok(())),
                Err(status) => return (items, Err(status)),
            }
        }
        panic!("200 items, and no end of the stream");
    }
}
