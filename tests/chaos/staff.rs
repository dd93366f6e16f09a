//! Service accounts that come and go: no call by one passes after its key was removed, or it was
//! disabled.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use portcullis::{
    client::{Account, Credentials},
    pb,
    signing::PrivateKey,
};
use prost::Message;
use tokio::task::JoinSet;
use tonic::{Code, Status};

use crate::{
    book::{Book, outcome_of},
    caller::{self, Caller},
    dice::Dice,
    fleet::Fleet,
    history::{Outcome, Verdict, What},
};

const WITHIN: Duration = Duration::from_secs(8);
/// With which the book's names of accounts begin.
pub(crate) const ACCOUNT: &str = "account ";

/// One who is hired, and whose calls are to end at some moment.
#[derive(Debug)]
pub(crate) struct Employee {
    /// By which the book knows it.
    pub(crate) id: Arc<str>,
    account: String,
    kid: String,
    caller: Arc<Caller>,
}

/// Everybody who was ever hired, and how many were dismissed for certain.
#[derive(Debug, Default)]
pub(crate) struct Staff {
    hired: Mutex<Vec<Arc<Employee>>>,
    dismissed: AtomicUsize,
}

/// What a call is proven by, and who looks.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    VerifyByToken,
    ListByToken,
    ListSigned,
    /// Looked at in the database as well.
    CreateSigned,
}

pub(crate) const KINDS: [Kind; 4] = [Kind::VerifyByToken, Kind::ListByToken, Kind::ListSigned, Kind::CreateSigned];

impl Employee {
    /// An account with a key, which all replicas know.
    pub(crate) async fn hire(fleet: &Fleet, at: usize) -> Result<Arc<Self>, Status> {
        let key = tokio::task::spawn_blocking(|| PrivateKey::generate().expect("entropy")).await.expect("a key");
        let account = pb::ServiceAccount {
            name: "employee".to_owned(),
            roles: vec![pb::Role::Viewer.into(), pb::Role::Editor.into(), pb::Role::Verifier.into()],
            all_applications: true,
            grantable_permissions: vec!["tasks:*".to_owned()],
            ..Default::default()
        };
        let request = pb::CreateServiceAccountRequest { service_account: Some(account), ..Default::default() };
        let made: pb::CreateServiceAccountResponse =
            call(fleet, at, "ServiceAccountService/CreateServiceAccount", &request).await?;
        let made = made.service_account.expect("account");
        let request = pb::AddServiceAccountKeyRequest {
            service_account_id: made.service_account_id.clone(),
            public_key_pem: key.public().to_pem().to_owned(),
            ..Default::default()
        };
        let added: pb::AddServiceAccountKeyResponse =
            call(fleet, at, "ServiceAccountService/AddServiceAccountKey", &request).await?;
        let account = Account {
            client_id: made.service_account_id.clone(),
            client_email: made.client_email,
            audience: "portcullis".to_owned(),
            endpoint: None,
        };
        Ok(Arc::new(Self {
            id: Arc::from(format!("{ACCOUNT}{}", made.service_account_id)),
            account: made.service_account_id,
            kid: added.kid,
            caller: Caller::of(Credentials::new(account, key)),
        }))
    }

    /// Its key is removed, or it is disabled.
    pub(crate) async fn dismiss(&self, fleet: &Fleet, at: usize, disable: bool) -> Result<(), Status> {
        if disable {
            let request =
                pb::DisableServiceAccountRequest { service_account_id: self.account.clone(), ..Default::default() };
            let method = "ServiceAccountService/DisableServiceAccount";
            return call::<pb::DisableServiceAccountResponse>(fleet, at, method, &request).await.map(drop);
        }
        let request = pb::RemoveServiceAccountKeyRequest {
            service_account_id: self.account.clone(),
            kid: self.kid.clone(),
            ..Default::default()
        };
        let method = "ServiceAccountService/RemoveServiceAccountKey";
        call::<pb::RemoveServiceAccountKeyResponse>(fleet, at, method, &request).await.map(drop)
    }

    /// Whether its call passes. An error says neither.
    pub(crate) async fn passes(&self, fleet: &Fleet, at: usize, kind: Kind) -> Result<bool, Status> {
        let client = fleet.clients[at].by(&self.caller);
        let list =
            pb::ListKeysRequest { application_id: fleet.application.clone(), page_size: 1, ..Default::default() };
        let within = Duration::from_secs(3);
        let answer = match kind {
            Kind::VerifyByToken => {
                let request = caller::verify("sk_live_nobody");
                client.by_token::<pb::VerifyKeyResponse>("KeyService/VerifyKey", &request, within).await.map(drop)
            }
            Kind::ListByToken => {
                client.by_token::<pb::ListKeysResponse>("KeyService/ListKeys", &list, within).await.map(drop)
            }
            Kind::ListSigned => {
                client.signed::<pb::ListKeysResponse>("KeyService/ListKeys", &list, within).await.map(drop)
            }
            Kind::CreateSigned => {
                let request = caller::create(&fleet.application, "of an employee");
                client.signed::<pb::CreateKeyResponse>("KeyService/CreateKey", &request, WITHIN).await.map(drop)
            }
        };
        match answer {
            Ok(()) => Ok(true),
            Err(status) if is_nobody(&status) => Ok(false),
            Err(status) => Err(status),
        }
    }
}

/// Whether it says that nobody proves to be the account: nothing else does.
fn is_nobody(status: &Status) -> bool {
    let reason = caller::reason(status);
    status.code() == Code::Unauthenticated && ["SIGNATURE_INVALID", "TOKEN_INVALID"].contains(&reason.as_str())
}

async fn call<A: Message + Default>(
    fleet: &Fleet,
    at: usize,
    method: &str,
    request: &impl Message,
) -> Result<A, Status> {
    fleet.clients[at].signed(method, request, WITHIN).await
}

impl Staff {
    /// Hires, lets work, dismisses, and sees whether anybody lets in who was dismissed.
    pub(crate) async fn run(self: Arc<Self>, fleet: Arc<Fleet>, book: Arc<Book>, mut dice: Dice) {
        let all = fleet.replicas.len();
        while !book.is_calm() {
            let sent = book.now();
            let employee = match Employee::hire(&fleet, dice.below(all)).await {
                Ok(employee) => employee,
                Err(status) => {
                    book.failed("Hire", &status);
                    tokio::time::sleep(dice.millis(50, 300)).await;
                    continue;
                }
            };
            book.write(&employee.id, sent, What::Create(Outcome::Ok));
            self.hired.lock().expect("lock").push(Arc::clone(&employee));
            work_everywhere(&fleet, &book, &employee).await;
            let disable = dice.below(2) == 0;
            for _ in 0..20 {
                let (at, sent) = (dice.below(all), book.now());
                let answer = employee.dismiss(&fleet, at, disable).await;
                let outcome = answer.as_ref().map_or_else(outcome_of, |()| Outcome::Everywhere);
                book.write(&employee.id, sent, What::Revoke(outcome));
                let is_done = answer.inspect_err(|status| book.failed("Dismiss", status)).is_ok();
                self.dismissed.fetch_add(usize::from(is_done), Ordering::SeqCst);
                if is_done || book.is_calm() {
                    break;
                }
                tokio::time::sleep(dice.millis(10, 300)).await;
            }
            work_everywhere(&fleet, &book, &employee).await;
        }
    }

    /// The newest of them try again and again.
    pub(crate) async fn insist(self: Arc<Self>, fleet: Arc<Fleet>, book: Arc<Book>, mut dice: Dice) {
        while !book.is_over() {
            let employee = {
                let staff = self.hired.lock().expect("lock");
                let n = dice.below(4);
                staff.len().checked_sub(1 + n).map(|at| Arc::clone(&staff[at]))
            };
            if let Some(employee) = employee {
                let (at, kind) = (dice.below(fleet.replicas.len()), dice.one_of(&KINDS));
                work(&fleet, &book, &employee, at, kind).await;
            }
            tokio::time::sleep(dice.millis(10, 60)).await;
        }
    }

    /// Says how many were hired.
    pub(crate) fn count(&self) -> usize {
        self.hired.lock().expect("lock").len()
    }

    pub(crate) fn dismissed(&self) -> usize {
        self.dismissed.load(Ordering::SeqCst)
    }
}

/// By each kind of proof at each replica, all at once.
async fn work_everywhere(fleet: &Arc<Fleet>, book: &Arc<Book>, employee: &Arc<Employee>) {
    let mut calls = JoinSet::new();
    for at in 0..fleet.replicas.len() {
        for kind in KINDS {
            let (fleet, book, employee) = (Arc::clone(fleet), Arc::clone(book), Arc::clone(employee));
            calls.spawn(async move { work(&fleet, &book, &employee, at, kind).await });
        }
    }
    calls.join_all().await;
}

async fn work(fleet: &Fleet, book: &Book, employee: &Employee, at: usize, kind: Kind) {
    let (sent, run) = (book.now(), fleet.replicas[at].run());
    match employee.passes(fleet, at, kind).await {
        Ok(passes) => {
            let process = match kind {
                // It may be refused by the database, and a moment later taken by an index that lags.
                Kind::CreateSigned => book.unsure(at),
                _ => book.process(fleet, at, run),
            };
            let verdict = if passes { Verdict::Valid } else { Verdict::Revoked };
            book.write(&employee.id, sent, What::Verify(process, verdict));
        }
        Err(status) => book.failed("Work", &status),
    }
}
