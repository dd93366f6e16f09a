//! Everything that Verify and authentication need, in memory: all keys, all service
//! accounts, all applications.
//!
//! Loaded once, then fed by the log in order, by one writer; read without a lock. There
//! is no fill on a miss, so no stale fill and nothing that made-up keys could push out.

mod cached;
mod intern;

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use papaya::HashMap;

use crate::{
    domain::{
        account::{Scope, ServiceAccount},
        application::Application,
        certificate::CertificateName,
        event::{ApplicationChange, Change, Event, KeyChange},
        id::{ApplicationId, Revision, ServiceAccountId},
        key::Key,
        secret::SecretHash,
        verdict::KeyFacts,
    },
    guard::{self, Guard},
    signing::{Kid, PublicKey},
};
use cached::{Tenant, nanos};
use intern::Interner;

/// Whose signature a kid makes.
#[derive(Debug)]
pub struct Signatory {
    pub account: Arc<ServiceAccount>,
    pub public_key: Arc<PublicKey>,
}

/// The table. One writer, the sync loop; any number of readers.
#[derive(Debug, Default)]
pub struct Index {
    /// Keyed: whoever imports keys chooses their hashes.
    keys: HashMap<SecretHash, Arc<KeyFacts>, foldhash::quality::RandomState>,
    signatories: HashMap<Kid, Arc<Signatory>>,
    named: HashMap<CertificateName, Arc<ServiceAccount>>,
    accounts: HashMap<ServiceAccountId, Arc<ServiceAccount>>,
    tenants: HashMap<ApplicationId, Tenant>,
    /// Those with keys whose texts are of another form than ours.
    importers: HashMap<ApplicationId, ()>,
    interner: Mutex<Interner>,
    applied: AtomicI64,
}

/// What an event holds that cannot be applied: the replica must stop serving.
#[derive(Debug, thiserror::Error)]
#[error("event {revision} cannot be applied: {what}")]
pub struct Inapplicable {
    revision: Revision,
    what: &'static str,
}

impl Index {
    /// The last revision that is applied. Read before a look-up, it says what the answer
    /// rests on at least.
    #[must_use]
    pub fn applied(&self) -> Revision {
        Revision::new(self.applied.load(Ordering::Acquire))
    }

    #[must_use]
    pub fn key(&self, hash: &SecretHash) -> Option<Arc<KeyFacts>> {
        self.keys.pin().get(hash).cloned()
    }

    /// The holder of a kid that may sign: its account is not disabled.
    #[must_use]
    pub fn signatory(&self, kid: &Kid) -> Option<Arc<Signatory>> {
        self.signatories.pin().get(kid).filter(|signatory| !signatory.account.disabled).cloned()
    }

    /// Whose client certificates have this name; not disabled.
    #[must_use]
    pub fn named(&self, name: &CertificateName) -> Option<Arc<ServiceAccount>> {
        self.named.pin().get(name).filter(|account| !account.disabled).cloned()
    }

    #[must_use]
    pub fn application(&self, id: ApplicationId) -> Option<Arc<Application>> {
        self.tenants.pin().get(&id).map(|tenant| Arc::clone(&tenant.application))
    }

    #[must_use]
    pub fn account(&self, id: ServiceAccountId) -> Option<Arc<ServiceAccount>> {
        self.accounts.pin().get(&id).cloned()
    }

    /// Whether keys were imported to an application that is asked about, so that a text of another form
    /// than ours may be a key. None is named: any of those in the scope.
    #[must_use]
    pub fn has_imports(&self, scope: &Scope, application: Option<ApplicationId>) -> bool {
        if self.importers.is_empty() {
            return false;
        }
        let importers = self.importers.pin();
        match (application, scope) {
            (Some(id), _) => importers.contains_key(&id),
            (None, Scope::All) => true,
            (None, Scope::Only(ids)) if ids.len() < importers.len() => ids.iter().any(|id| importers.contains_key(id)),
            (None, Scope::Only(ids)) => importers.keys().any(|id| ids.contains(id)),
        }
    }

    #[must_use]
    pub fn key_count(&self) -> usize {
        self.keys.len()
    }

    #[must_use]
    pub fn account_count(&self) -> usize {
        self.accounts.len()
    }

    #[must_use]
    pub fn application_count(&self) -> usize {
        self.tenants.len()
    }

    /// Takes over what was loaded, before the first event.
    pub fn load_keys(&self, keys: Vec<Key>) {
        for key in keys {
            self.put_key(key.hash, key.facts(), key.imported);
        }
    }

    /// Takes over the rest of what was loaded, as of `revision`. Verifiers may answer about an
    /// application by themselves until `cached_until`: they asked another before.
    pub fn load(
        &self,
        revision: Revision,
        applications: Vec<Application>,
        accounts: Vec<ServiceAccount>,
        cached_until: impl Fn(&Application) -> Duration,
    ) -> Result<(), Inapplicable> {
        for application in applications {
            let until = cached_until(&application);
            self.put_application(application, until);
        }
        for account in accounts {
            self.put_account(account).map_err(|what| Inapplicable { revision, what })?;
        }
        self.applied.store(revision.number(), Ordering::Release);
        Ok(())
    }

    /// Applies the next event.
    pub fn apply(&self, event: &Event) -> Result<(), Inapplicable> {
        let inapplicable = |what| Inapplicable { revision: event.revision, what };
        if event.revision != self.applied().next() {
            return Err(inapplicable("it is not the next one"));
        }
        for change in &event.changes {
            match change {
                Change::Key(KeyChange { hash, facts, cause: _, imported }) => {
                    if guard::on(Guard::Sticky) && !facts.revoked && self.key(hash).is_some_and(|known| known.revoked) {
                        return Err(inapplicable("it would take a revocation back"));
                    }
                    self.put_key(*hash, facts.clone(), *imported);
                }
                Change::Application(ApplicationChange { application, .. }) => {
                    self.put_application(application.clone(), Duration::ZERO);
                }
                Change::ServiceAccount(account) => self.put_account(account.clone()).map_err(inapplicable)?,
            }
        }
        self.applied.store(event.revision.number(), Ordering::Release);
        Ok(())
    }

    fn put_key(&self, hash: SecretHash, mut facts: KeyFacts, imported: bool) {
        // Before the key: whoever looks for it must know that there is something to look for.
        if imported && !self.importers.pin().contains_key(&facts.application_id) {
            self.importers.pin().insert(facts.application_id, ());
        }
        self.interner.lock().unwrap_or_else(PoisonError::into_inner).intern(&mut facts);
        self.keys.pin().insert(hash, Arc::new(facts));
    }

    fn put_application(&self, application: Application, cached_until: Duration) {
        let tenants = self.tenants.pin();
        let known = tenants.get(&application.id).map(|tenant| Arc::clone(&tenant.cached_until));
        let cached_until = known.unwrap_or_else(|| Arc::new(AtomicU64::new(nanos(cached_until))));
        tenants.insert(application.id, Tenant { application: Arc::new(application), cached_until });
    }

    fn put_account(&self, account: ServiceAccount) -> Result<(), &'static str> {
        let account = Arc::new(account);
        let signatories = self.signatories.pin();
        for key in &account.keys {
            let public_key = PublicKey::from_pem(&key.public_key_pem).map_err(|_| "a public key does not read")?;
            let signatory = Signatory { account: Arc::clone(&account), public_key: Arc::new(public_key) };
            signatories.insert(key.kid.clone(), Arc::new(signatory));
        }
        let named = self.named.pin();
        for name in &account.certificate_names {
            named.insert(name.clone(), Arc::clone(&account));
        }
        let accounts = self.accounts.pin();
        if let Some(before) = accounts.get(&account.id) {
            for removed in before.certificate_names.difference(&account.certificate_names) {
                named.remove(removed);
            }
            for removed in before.keys.iter().filter(|key| account.key(&key.kid).is_none()) {
                signatories.remove(&removed.kid);
            }
        }
        accounts.insert(account.id, account);
        Ok(())
    }
}
