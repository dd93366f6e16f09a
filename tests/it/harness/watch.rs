use std::time::Duration;

use portcullis::pb::{self, watch_revocations_response::Item};
use prost::Message as _;
use tonic::{Status, Streaming, transport::Channel};

use super::{Headers, Persona, Server, call};

/// All that the caller may see, from a token on; from now without one.
pub(crate) fn from(resume_token: &str) -> pb::WatchRevocationsRequest {
    pb::WatchRevocationsRequest { resume_token: resume_token.to_owned(), ..Default::default() }
}

/// One application, from now.
pub(crate) fn only(application_id: &str) -> pb::WatchRevocationsRequest {
    pb::WatchRevocationsRequest { application_ids: vec![application_id.to_owned()], ..Default::default() }
}

impl Server {
    /// Watches as `persona`.
    pub(crate) async fn watch(
        &self,
        persona: &Persona,
        request: &pb::WatchRevocationsRequest,
    ) -> Result<Watch, Status> {
        let headers = Headers::bearer(&persona.token(self));
        Ok(Watch(call::stream(self, "KeyService/WatchRevocations", request, &headers).await?))
    }

    /// Watches as whoever the connection is.
    pub(crate) async fn watch_over(
        &self,
        channel: Channel,
        request: &pb::WatchRevocationsRequest,
    ) -> Result<Watch, Status> {
        let nothing = Headers(Vec::new());
        Ok(Watch(call::stream_over(channel, "KeyService/WatchRevocations", request, &nothing).await?))
    }
}

/// An open watch.
#[derive(Debug)]
pub(crate) struct Watch(Streaming<bytes::Bytes>);

impl Watch {
    /// The next item; `None` at a clean end. Fails the test after 15 seconds of silence.
    pub(crate) async fn next(&mut self) -> Result<Option<pb::WatchRevocationsResponse>, Status> {
        let item = tokio::time::timeout(Duration::from_secs(15), self.0.message()).await.expect("silence");
        Ok(item?.map(|bytes| pb::WatchRevocationsResponse::decode(bytes).expect("item")))
    }

    /// The next revocation, bookmarks passed over.
    pub(crate) async fn revocation(&mut self) -> (pb::Revocation, String) {
        loop {
            let item = self.next().await.expect("a living stream").expect("not ended");
            if let Some(pb::watch_revocations_response::Item::Revocation(revocation)) = item.item {
                return (revocation, item.resume_token);
            }
        }
    }

    /// The next bookmark, which must come before any revocation.
    pub(crate) async fn bookmark(&mut self) -> (pb::Bookmark, String) {
        let item = self.next().await.expect("a living stream").expect("not ended");
        match item.item {
            Some(pb::watch_revocations_response::Item::Bookmark(bookmark)) => (bookmark, item.resume_token),
            other => panic!("a bookmark, not {other:?}"),
        }
    }

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
