use std::time::Duration;

use envoy_types::pb::envoy::service::auth::v3::authorization_server::AuthorizationServer;
use tokio::sync::watch;
use tonic::server::NamedService;
use tonic_health::{ServingStatus, server::HealthReporter};

use super::{
    application_service::ApplicationApi, audit_service::AuditApi, envoy::EnvoyApi, key_service::KeyApi,
    service_account_service::ServiceAccountApi,
};
use crate::{
    pb::{
        application_service_server::ApplicationServiceServer, audit_service_server::AuditServiceServer,
        key_service_server::KeyServiceServer, service_account_service_server::ServiceAccountServiceServer,
    },
    replica::Replica,
};

/// The services by name: SERVING inside the lease, NOT_SERVING outside it and once the
/// server drains. The empty name is the process itself: a replica that lost its database
/// must be left alone, not restarted.
pub(super) async fn report(reporter: HealthReporter, replica: Replica, mut draining: watch::Receiver<bool>) {
    const LOOK_EVERY: Duration = Duration::from_millis(250);
    const SERVICES: [&str; 5] = [
        <KeyServiceServer<KeyApi> as NamedService>::NAME,
        <ApplicationServiceServer<ApplicationApi> as NamedService>::NAME,
        <AuditServiceServer<AuditApi> as NamedService>::NAME,
        <ServiceAccountServiceServer<ServiceAccountApi> as NamedService>::NAME,
        <AuthorizationServer<EnvoyApi> as NamedService>::NAME,
    ];
    let mut told = None;
    loop {
        let drains = *draining.borrow_and_update();
        let serves = replica.is_fresh() && !drains;
        if told != Some(serves) {
            let status = if serves { ServingStatus::Serving } else { ServingStatus::NotServing };
            for service in SERVICES {
                reporter.set_service_status(service, status).await;
            }
            told = Some(serves);
        }
        if drains {
            return;
        }
        tokio::select! {
            changed = draining.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}
