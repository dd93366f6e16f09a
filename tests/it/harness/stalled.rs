use bytes::{BufMut as _, Bytes, BytesMut};
use h2::{
    RecvStream,
    client::{Builder, SendRequest},
};
use portcullis::pb;
use prost::Message as _;
use tokio::net::TcpStream;
use tonic::Status;

use super::{Persona, Server};

/// One connection of a client that reads only when it is told to. Its streams have room
/// for `window` bytes each.
#[derive(Clone)]
pub(crate) struct SlowClient {
    send: SendRequest<Bytes>,
    authority: String,
}

impl SlowClient {
    pub(crate) async fn connect(server: &Server, window: u32) -> Self {
        let address = server.running().address();
        let tcp = TcpStream::connect(address).await.expect("connect");
        let mut builder = Builder::new();
        // What it leaves unread is what the test is about: its own library must not mind.
        builder.initial_window_size(window).initial_connection_window_size(1 << 24).data_frame_budget(1 << 30);
        let (send, connection) = builder.handshake::<_, Bytes>(tcp).await.expect("HTTP/2");
        tokio::spawn(connection);
        Self { send, authority: address.to_string() }
    }

    /// Opens a watch, and reads nothing of it.
    pub(crate) async fn watch(
        &self,
        server: &Server,
        persona: &Persona,
        request: &pb::WatchRevocationsRequest,
    ) -> SlowWatch {
        let message = request.encode_to_vec();
        let mut body = BytesMut::new();
        body.put_u8(0);
        body.put_u32(u32::try_from(message.len()).expect("small"));
        body.put_slice(&message);
        let head = http::Request::post(format!("http://{}/portcullis.v1.KeyService/WatchRevocations", self.authority))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("authorization", format!("Bearer {}", persona.token(server)))
            .body(())
            .expect("a request");
        let mut send = self.send.clone().ready().await.expect("room for a stream");
        let (answer, mut sent) = send.send_request(head, false).expect("headers");
        sent.send_data(body.freeze(), true).expect("the message");
        let answer = answer.await.expect("an answer");
        assert!(answer.headers().get("grpc-status").is_none(), "{:?}", answer.headers());
        SlowWatch { body: answer.into_body(), unread: BytesMut::new() }
    }
}

/// A watch that is read by hand.
pub(crate) struct SlowWatch {
    body: RecvStream,
    unread: BytesMut,
}

impl SlowWatch {
    /// The next item, or how the stream ended.
    pub(crate) async fn next(&mut self) -> Result<pb::WatchRevocationsResponse, Status> {
        loop {
            if let Some(item) = self.whole() {
                return Ok(item);
            }
            let data = tokio::time::timeout(std::time::Duration::from_secs(15), self.body.data());
            match data.await.expect("silence") {
                Some(data) => {
                    let data = data.expect("data");
                    self.body.flow_control().release_capacity(data.len()).expect("room again");
                    self.unread.extend_from_slice(&data);
                }
                None => {
                    let trailers = self.body.trailers().await.expect("an end").expect("trailers");
                    return Err(Status::from_header_map(&trailers).expect("a status"));
                }
            }
        }
    }

    fn whole(&mut self) -> Option<pb::WatchRevocationsResponse> {
        let length = u32::from_be_bytes(self.unread.get(1..5)?.try_into().expect("four")) as usize;
        if self.unread.len() < 5 + length {
            return None;
        }
        let frame = self.unread.split_to(5 + length);
        Some(pb::WatchRevocationsResponse::decode(&frame[5..]).expect("item"))
    }
}
