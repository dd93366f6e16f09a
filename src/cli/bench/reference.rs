use std::process::ExitCode;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use clap::Args;
use futures_util::stream::Empty;
use prost::Message as _;
use tonic::{
    Request, Response, Status,
    transport::{Server, server::TcpIncoming},
};

use super::{
    super::{failure::Failure, out::Out, serve::block_on},
    child,
};
use crate::{
    pb::{self, key_service_server::KeyService},
    telemetry,
};

/// An empty service: the floor that no service of these messages on this library gets below
#[derive(Debug, Args)]
pub(super) struct Reference {
    /// What it answers, in base64
    #[arg(value_parser = answer)]
    answer: pb::VerifyKeyResponse,

    // As the subject: without a subscriber, tracing hands every span of h2 to the log crate.
    #[command(flatten)]
    telemetry: telemetry::Settings,
}

fn answer(base64: &str) -> Result<pb::VerifyKeyResponse, String> {
    let bytes = BASE64_STANDARD.decode(base64).map_err(|error| error.to_string())?;
    pb::VerifyKeyResponse::decode(bytes.as_slice()).map_err(|error| error.to_string())
}

impl Reference {
    pub(super) fn run(self, out: Out) -> Result<ExitCode, Failure> {
        let telemetry = telemetry::init(&self.telemetry).map_err(Failure::usage)?;
        block_on(async {
            let incoming = TcpIncoming::bind(([127, 0, 0, 1], 0).into()).map_err(Failure::failed)?;
            // As the subject: without it every answer waits.
            let incoming = incoming.with_nodelay(Some(true));
            let address = incoming.local_addr().map_err(Failure::failed)?;
            let end = child::obey(out, &format!("http://{address}"))?;
            let service = pb::key_service_server::KeyServiceServer::new(self);
            Server::builder()
                .add_service(service)
                .serve_with_incoming_shutdown(incoming, end)
                .await
                .map_err(Failure::failed)
        })?;
        telemetry.shutdown();
        Ok(ExitCode::SUCCESS)
    }
}

/// VerifyKey answers, and the methods named do not.
macro_rules! only_verify {
    ($($name:ident: $request:ty => $response:ty),* $(,)?) => {
        #[tonic::async_trait]
        impl KeyService for Reference {
            async fn verify_key(
                &self,
                _: Request<pb::VerifyKeyRequest>,
            ) -> Result<Response<pb::VerifyKeyResponse>, Status> {
                Ok(Response::new(self.answer.clone()))
            }

            $(async fn $name(&self, _: Request<$request>) -> Result<Response<$response>, Status> {
                Err(not_here())
            })*

            type WatchRevocationsStream = Nothing;
        }
    };
}

type Nothing = Empty<Result<pb::WatchRevocationsResponse, Status>>;

fn not_here() -> Status {
    Status::unimplemented("only VerifyKey is measured")
}

only_verify! {
    create_key: pb::CreateKeyRequest => pb::CreateKeyResponse,
    import_keys: pb::ImportKeysRequest => pb::ImportKeysResponse,
    list_keys: pb::ListKeysRequest => pb::ListKeysResponse,
    get_key: pb::GetKeyRequest => pb::GetKeyResponse,
    report_leaked_key: pb::ReportLeakedKeyRequest => pb::ReportLeakedKeyResponse,
    update_key: pb::UpdateKeyRequest => pb::UpdateKeyResponse,
    rotate_key: pb::RotateKeyRequest => pb::RotateKeyResponse,
    revoke_key: pb::RevokeKeyRequest => pb::RevokeKeyResponse,
    get_rate_limit: pb::GetRateLimitRequest => pb::GetRateLimitResponse,
    get_key_usage: pb::GetKeyUsageRequest => pb::GetKeyUsageResponse,
    get_sealed_secret: pb::GetSealedSecretRequest => pb::GetSealedSecretResponse,
    watch_revocations: pb::WatchRevocationsRequest => Nothing,
}
