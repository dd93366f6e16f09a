//! Metrics to the collector, each so often and once at the end.

use std::{sync::mpsc, time::Duration};

use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, metrics_service_client::MetricsServiceClient,
};
use opentelemetry_sdk::{
    Resource,
    error::{OTelSdkError, OTelSdkResult},
};
use tokio::{sync::oneshot, task::JoinHandle};
use tonic::{Request, transport::Channel};

use super::{export::FLUSH_TIMEOUT, failures::Failures, headers::OtlpHeaders, metrics::Otlp};
use crate::meters::{self, Signal};

/// For one export. One that is under way when the process ends and the last one fit into its flush.
const EXPORT_TIMEOUT: Duration = Duration::from_millis(FLUSH_TIMEOUT.as_millis() as u64 / 2);

/// The loop that sends them.
#[derive(Debug)]
pub(super) struct Push {
    stop: oneshot::Sender<mpsc::SyncSender<OTelSdkResult>>,
    _task: JoinHandle<()>,
}

struct Exporter {
    client: MetricsServiceClient<Channel>,
    headers: OtlpHeaders,
    otlp: Otlp,
    failures: Failures,
}

impl Push {
    /// Starts it on the runtime that is entered.
    pub(super) fn start(channel: Channel, headers: OtlpHeaders, resource: &Resource, interval: Duration) -> Self {
        let (stop, stopped) = oneshot::channel();
        let (otlp, failures) = (Otlp::new(resource), Failures::new(Signal::Metrics));
        let exporter = Exporter { client: MetricsServiceClient::new(channel), headers, otlp, failures };
        Self { stop, _task: tokio::spawn(exporter.run(interval, stopped)) }
    }

    /// Sends them once more, and waits no longer than this. Called from a thread that may block.
    pub(super) fn stop(self, within: Duration) -> OTelSdkResult {
        let (tell, told) = mpsc::sync_channel(1);
        if self.stop.send(tell).is_err() {
            return Err(OTelSdkError::AlreadyShutdown);
        }
        told.recv_timeout(within).unwrap_or(Err(OTelSdkError::Timeout(within)))
    }
}

impl Exporter {
    async fn run(mut self, interval: Duration, mut stopped: oneshot::Receiver<mpsc::SyncSender<OTelSdkResult>>) {
        loop {
            tokio::select! {
                told = &mut stopped => {
                    let result = self.export().await;
                    if let Ok(tell) = told {
                        let _ = tell.send(result); // whoever waited may have given up
                    }
                    return;
                }
                () = tokio::time::sleep(interval) => {
                    let result = self.export().await;
                    self.failures.note(&result, u64::from(result.is_err()));
                }
            }
        }
    }

    async fn export(&mut self) -> OTelSdkResult {
        let mut request =
            Request::new(ExportMetricsServiceRequest { resource_metrics: vec![self.otlp.say(meters::read())] });
        self.headers.apply(request.metadata_mut());
        match tokio::time::timeout(EXPORT_TIMEOUT, self.client.export(request)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(status)) => Err(OTelSdkError::InternalFailure(format!("{}: {}", status.code(), status.message()))),
            Err(_) => Err(OTelSdkError::Timeout(EXPORT_TIMEOUT)),
        }
    }
}
