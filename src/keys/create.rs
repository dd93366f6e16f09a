use std::time::Duration;

use super::{Keys, must_be_ahead, must_grant, recipient_must_see};
use crate::{
    domain::{
        act::Act,
        id::{ApplicationId, KeyId, Revision},
        key::{Key, KeyEnvironment, KeyType, inherited},
        limit::Limits,
        lineage::Lineage,
        notice::{Notice, What},
        permission::Permission,
        refusal::{Refusal, Violations},
        restriction::Restrictions,
        secret::PlainKey,
        text::{Label, Name, Note},
        time::Timestamp,
        upkeep::{RotationPolicy, Upkeep},
    },
    replica::Patience,
    signing::Kid,
    store::{CreateRequest, Error, Tx},
};

/// A key to be made.
#[derive(Debug, Clone)]
pub struct NewKey {
    pub application_id: ApplicationId,
    pub name: Name,
    pub description: Note,
    pub kind: KeyType,
    pub environment: KeyEnvironment,
    /// None: what the maker may grant, short of full access.
    pub permissions: Vec<Permission>,
    pub expiration: Option<Expiration>,
    pub restrictions: Restrictions,
    pub limits: Limits,
    pub labels: Vec<Label>,
    pub auto_renew: bool,
    pub rotation_period: Option<Duration>,
    /// Only with a period.
    pub rotation_recipient: Option<Kid>,
    pub request: Option<CreateRequest>,
}

/// When a key ends.
#[derive(Debug, Clone, Copy)]
pub enum Expiration {
    At(Timestamp),
    After(Duration),
}

impl Expiration {
    /// The moment, which must be ahead.
    pub(super) fn time(self, now: Timestamp) -> Result<Timestamp, Refusal> {
        let time = match self {
            Self::At(at) => at,
            Self::After(ttl) => now
                .checked_add(ttl)
                .ok_or_else(|| Refusal::FieldInvalid(Violations::one("ttl", "reaches past the year 9999")))?,
        };
        must_be_ahead("expire_time", Some(time), now)?;
        Ok(time)
    }
}

/// A key that was made, and the only copy of its text.
#[derive(Debug)]
pub struct Created {
    pub key: Key,
    pub secret: PlainKey,
}

impl Keys {
    /// Makes a key.
    pub async fn create(&self, act: Act, new: NewKey, patience: Patience) -> Result<(Created, Revision), Refusal> {
        let material = self.entropy.key_material().map_err(Error::from)?;
        let entropy = self.entropy.clone();
        let committed = self
            .store
            .write(act, async move |tx| {
                let actor = tx.actor_in(new.application_id)?;
                if let Some(made) = tx.made_before(new.request.as_ref()).await? {
                    let id: KeyId = made.parse().map_err(|_| Refusal::Internal)?;
                    return Err(Refusal::SecretAlreadyReturned(id));
                }
                let application = tx.application(new.application_id).await?;
                must_grant(actor, &new.permissions)?;
                let id = KeyId::new(entropy.uuid(tx.now()).map_err(Error::from)?);
                let secret = PlainKey::make(application.key_prefix.as_ref(), new.kind, new.environment, material);
                let request = new.request;
                let key = key_of(id, new, &secret, &tx)?;
                key.must_be_coherent("")?;
                recipient_must_see(&key, "", &tx).await?;
                key.must_be_within(&application.plan, "")?;
                tx.save_key(None, key.clone(), None);
                tx.notify(Notice::of(&key, What::Created));
                tx.made(request, id);
                Ok(Created { key, secret })
            })
            .await?;
        let (mut created, revision) = self.replica.confirm(committed, patience).await?;
        created.key.revision = revision;
        Ok((created, revision))
    }
}

fn key_of(id: KeyId, new: NewKey, secret: &PlainKey, tx: &Tx) -> Result<Key, Refusal> {
    let actor = tx.actor()?;
    let expire_time = new.expiration.map(|expiration| expiration.time(tx.now())).transpose()?;
    let permissions = if new.permissions.is_empty() { inherited(&actor.grantable) } else { new.permissions };
    Ok(Key {
        id,
        application_id: new.application_id,
        name: new.name,
        description: new.description,
        kind: new.kind,
        environment: new.environment,
        prefix: secret.shown(),
        hash: secret.hash(),
        imported: false,
        permissions,
        restrictions: new.restrictions,
        limits: new.limits,
        labels: new.labels,
        disabled: false,
        create_time: tx.now(),
        update_time: tx.now(),
        expire_time,
        expired: false,
        revoked: None,
        lineage: Lineage::first(id),
        upkeep: Upkeep {
            auto_renew: new.auto_renew,
            lifetime: expire_time.map(|at| at.since(tx.now())),
            rotation: new.rotation_period.map(|period| RotationPolicy::begin(period, new.rotation_recipient, tx.now())),
        },
        created_by: actor.id,
        revision: Revision::default(),
    })
}
