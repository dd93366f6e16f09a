use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::task::JoinSet;
use tonic::transport::Channel;

use super::{super::failure::Failure, asked::Asked, child::Server};
use crate::{
    client::{Tls, connect},
    pb::{self, Verdict, key_service_client::KeyServiceClient},
};

/// A server and its callers: each asks again as soon as it is answered.
pub(super) struct Load {
    server: Server,
    connections: Vec<KeyServiceClient<Channel>>,
    callers: usize,
    asked: Arc<Asked>,
}

/// What a while of calls took.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measured {
    pub(super) calls: u64,
    pub(super) cpu: Duration,
}

impl Measured {
    /// CPU time of the server per call, in microseconds.
    pub(super) fn us(self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.calls as f64
    }
}

impl Load {
    pub(super) async fn connect(
        server: Server,
        connections: usize,
        callers: usize,
        asked: Arc<Asked>,
    ) -> Result<Self, Failure> {
        let mut clients = Vec::with_capacity(connections);
        for _ in 0..connections {
            let channel = connect(server.endpoint(), &Tls::default()).await.map_err(Failure::failed)?;
            clients.push(KeyServiceClient::new(channel));
        }
        Ok(Self { server, connections: clients, callers, asked })
    }

    /// Calls for so long. The first answer that is not VALID ends it.
    pub(super) async fn measure(&mut self, time: Duration) -> Result<Measured, Failure> {
        let over = Arc::new(AtomicBool::new(false));
        let before = self.server.cpu_time()?;
        let mut callers = JoinSet::new();
        for connection in &self.connections {
            for _ in 0..self.callers {
                callers.spawn(call(connection.clone(), Arc::clone(&self.asked), Arc::clone(&over)));
            }
        }
        tokio::time::sleep(time).await;
        over.store(true, Ordering::Relaxed);
        let mut calls = 0;
        while let Some(made) = callers.join_next().await {
            calls += made.map_err(Failure::failed)??;
        }
        Ok(Measured { calls, cpu: self.server.cpu_time()?.saturating_sub(before) })
    }
}

/// At least one call, and how many it was.
async fn call(mut client: KeyServiceClient<Channel>, asked: Arc<Asked>, over: Arc<AtomicBool>) -> Result<u64, Failure> {
    let mut calls = 0;
    loop {
        let answer = client.verify_key(asked.request()).await.map_err(Failure::Status)?;
        must_be_valid(answer.get_ref())?;
        calls += 1;
        if over.load(Ordering::Relaxed) {
            return Ok(calls);
        }
    }
}

/// Anything else costs another work than the one that is measured.
pub(super) fn must_be_valid(answer: &pb::VerifyKeyResponse) -> Result<(), Failure> {
    match answer.verdict() {
        Verdict::Valid => Ok(()),
        other => Err(Failure::Failed(format!("nothing was measured: a call was answered {}", other.as_str_name()))),
    }
}
