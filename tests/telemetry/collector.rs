//! An OpenTelemetry collector that keeps what it is sent.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::{
            ExportLogsServiceRequest, ExportLogsServiceResponse,
            logs_service_server::{LogsService, LogsServiceServer},
        },
        metrics::v1::{
            ExportMetricsServiceRequest, ExportMetricsServiceResponse,
            metrics_service_server::{MetricsService, MetricsServiceServer},
        },
        trace::v1::{
            ExportTraceServiceRequest, ExportTraceServiceResponse,
            trace_service_server::{TraceService, TraceServiceServer},
        },
    },
    common::v1::{AnyValue, KeyValue, any_value::Value},
    logs::v1::LogRecord,
    metrics::v1::{AggregationTemporality, metric::Data, number_data_point::Value as Number},
    trace::v1::{Span, status::StatusCode},
};
use tokio::sync::{
    mpsc::{Receiver, Sender, channel},
    oneshot,
};
use tonic::{
    Request, Response, Status,
    transport::{Server, ServerTlsConfig, server::TcpIncoming},
};

/// A span, and what its resource and scope say.
#[derive(Debug)]
pub(crate) struct Exported {
    pub(crate) span: Span,
    pub(crate) scope: String,
    pub(crate) schema: String,
    resource: Vec<KeyValue>,
}

impl Exported {
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        text_of(&self.span.attributes, name)
    }

    pub(crate) fn attribute(&self, name: &str) -> String {
        self.get(name).unwrap_or_else(|| panic!("no {name} in {:?}", self.span.attributes))
    }

    pub(crate) fn resource(&self, name: &str) -> String {
        text_of(&self.resource, name).expect("in the resource")
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.span.status.as_ref().map_or(StatusCode::Unset, |status| status.code())
    }
}

/// A counter as it was at one export.
#[derive(Debug, Clone)]
pub(crate) struct Counter {
    pub(crate) name: String,
    pub(crate) unit: String,
    pub(crate) scope: String,
    pub(crate) service: String,
    pub(crate) is_cumulative_and_monotonic: bool,
    /// By `rpc.method` and `error.type`, which are all its attributes.
    pub(crate) points: BTreeMap<(String, String), u64>,
}

fn text_of(attributes: &[KeyValue], name: &str) -> Option<String> {
    match &attributes.iter().find(|attribute| attribute.key == name)?.value {
        Some(AnyValue { value: Some(Value::StringValue(text)) }) => Some(text.clone()),
        Some(AnyValue { value: Some(Value::IntValue(number)) }) => Some(number.to_string()),
        other => panic!("{name} is {other:?}"),
    }
}

/// A signal, and what an export of it said in `x-tenant`.
pub(crate) type Tenant = (&'static str, Option<String>);

/// Runs on a thread of its own, because a flush blocks the thread of the test.
pub(crate) struct Collector {
    address: SocketAddr,
    scheme: &'static str,
    received: Receiver<Exported>,
    counters: Arc<Mutex<Vec<Counter>>>,
    lines: Arc<Mutex<Vec<Line>>>,
    tenants: Arc<Mutex<Vec<Tenant>>>,
    stop: oneshot::Sender<()>,
    thread: thread::JoinHandle<()>,
}

impl Collector {
    pub(crate) fn start() -> Self {
        Self::listen(None)
    }

    pub(crate) fn start_tls(tls: ServerTlsConfig) -> Self {
        Self::listen(Some(tls))
    }

    fn listen(tls: Option<ServerTlsConfig>) -> Self {
        let scheme = if tls.is_some() { "https" } else { "http" };
        let (sender, received) = channel(1_000);
        let counters = Arc::<Mutex<Vec<Counter>>>::default();
        let counted = Count(Arc::clone(&counters));
        let lines = Arc::<Mutex<Vec<Line>>>::default();
        let read = Lines(Arc::clone(&lines));
        let tenants = Arc::<Mutex<Vec<Tenant>>>::default();
        let told = Arc::clone(&tenants);
        let noted = move |signal: &'static str| {
            let told = Arc::clone(&told);
            move |request: Request<()>| {
                let tenant = request.metadata().get("x-tenant").and_then(|value| value.to_str().ok());
                told.lock().expect("tenants").push((signal, tenant.map(str::to_owned)));
                Ok(request)
            }
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let (bound, address) = mpsc::channel();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
            runtime.block_on(async {
                let incoming = TcpIncoming::bind("127.0.0.1:0".parse().expect("address")).expect("port");
                bound.send(incoming.local_addr().expect("address")).expect("the test waits");
                let mut server = Server::builder();
                if let Some(tls) = tls {
                    server = server.tls_config(tls).expect("TLS");
                }
                let serve = server
                    .add_service(TraceServiceServer::with_interceptor(Keep(sender), noted("traces")))
                    .add_service(MetricsServiceServer::with_interceptor(counted, noted("metrics")))
                    .add_service(LogsServiceServer::with_interceptor(read, noted("logs")));
                tokio::select! {
                    served = serve.serve_with_incoming(incoming) => served.expect("serve"),
                    _ = stopped => {}
                }
            });
        });
        Self { address: address.recv().expect("bound"), scheme, received, counters, lines, tenants, stop, thread }
    }

    pub(crate) fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    pub(crate) async fn next(&mut self) -> Exported {
        let received = tokio::time::timeout(Duration::from_secs(30), self.received.recv()).await;
        received.expect("a span within 30 s").expect("the collector runs")
    }

    /// Every counter of every export until now.
    pub(crate) fn counters(&self) -> Vec<Counter> {
        self.counters.lock().expect("counters").clone()
    }

    /// Every log line until now.
    pub(crate) fn lines(&self) -> Vec<Line> {
        self.lines.lock().expect("lines").clone()
    }

    /// What each export until now said in `x-tenant`.
    pub(crate) fn tenants(&self) -> Vec<Tenant> {
        self.tenants.lock().expect("tenants").clone()
    }

    /// Everything not seen yet. To be called after the exporter has shut down.
    pub(crate) fn finish(mut self) -> Vec<Exported> {
        drop(self.stop);
        self.thread.join().expect("the collector does not panic");
        std::iter::from_fn(|| self.received.try_recv().ok()).collect()
    }
}

/// A log record, and the target of its line.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) target: String,
    pub(crate) record: LogRecord,
}

impl Line {
    pub(crate) fn text(&self) -> String {
        match self.record.body.as_ref().and_then(|body| body.value.as_ref()) {
            Some(Value::StringValue(text)) => text.clone(),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<String> {
        text_of(&self.record.attributes, name)
    }
}

struct Lines(Arc<Mutex<Vec<Line>>>);

#[tonic::async_trait]
impl LogsService for Lines {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        for of_scope in request.into_inner().resource_logs.into_iter().flat_map(|logs| logs.scope_logs) {
            let target = of_scope.scope.expect("a scope").name;
            let line = |record| Line { target: target.clone(), record };
            self.0.lock().expect("lines").extend(of_scope.log_records.into_iter().map(line));
        }
        Ok(Response::new(ExportLogsServiceResponse::default()))
    }
}

struct Keep(Sender<Exported>);

#[tonic::async_trait]
impl TraceService for Keep {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        for resource_spans in request.into_inner().resource_spans {
            let resource = resource_spans.resource.expect("a resource").attributes;
            for scope_spans in resource_spans.scope_spans {
                let scope = scope_spans.scope.expect("a scope").name;
                for span in scope_spans.spans {
                    let (scope, schema, resource) = (scope.clone(), scope_spans.schema_url.clone(), resource.clone());
                    self.0.send(Exported { span, scope, schema, resource }).await.expect("the test waits");
                }
            }
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

struct Count(Arc<Mutex<Vec<Counter>>>);

#[tonic::async_trait]
impl MetricsService for Count {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        for of_resource in request.into_inner().resource_metrics {
            let service = text_of(&of_resource.resource.expect("a resource").attributes, "service.name");
            let service = service.expect("in the resource");
            for of_scope in of_resource.scope_metrics {
                let scope = of_scope.scope.expect("a scope").name;
                // The one that is counted by these tests; the others are read as Prometheus reads them.
                for metric in of_scope.metrics.into_iter().filter(|metric| metric.name == "portcullis.refused_calls") {
                    let Some(Data::Sum(sum)) = metric.data else { panic!("not a counter: {metric:?}") };
                    let temporality = AggregationTemporality::Cumulative;
                    let point = |point: opentelemetry_proto::tonic::metrics::v1::NumberDataPoint| {
                        assert_eq!(point.attributes.len(), 2, "{point:?}");
                        let text = |name| text_of(&point.attributes, name).expect(name);
                        let Some(Number::AsInt(count)) = point.value else { panic!("not whole: {point:?}") };
                        ((text("rpc.method"), text("error.type")), u64::try_from(count).expect("a count"))
                    };
                    self.0.lock().expect("counters").push(Counter {
                        name: metric.name,
                        unit: metric.unit,
                        scope: scope.clone(),
                        service: service.clone(),
                        is_cumulative_and_monotonic: sum.is_monotonic
                            && sum.aggregation_temporality == i32::from(temporality),
                        points: sum.data_points.into_iter().map(point).collect(),
                    });
                }
            }
        }
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}
