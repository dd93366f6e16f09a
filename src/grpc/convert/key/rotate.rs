use super::{
    super::{
        common::{parse, timestamp, ttl},
        upkeep,
    },
    to_key,
};
use crate::{
    domain::{
        id::Revision,
        refusal::{Refusal, Violations},
        time::Timestamp,
    },
    grpc::unpack,
    keys::{Expiration, RotateKey, Rotated},
    pb::{self, rotate_key_request},
};

pub(in crate::grpc) fn rotate(request: &pb::RotateKeyRequest) -> Result<RotateKey, Refusal> {
    let mut v = Violations::default();
    let overlap = upkeep::overlap(request.overlap, "overlap", &mut v);
    let expiration = match request.expiration {
        None => None,
        Some(rotate_key_request::Expiration::ExpireTime(time)) => {
            timestamp(time, "expire_time", &mut v).map(Expiration::At)
        }
        Some(rotate_key_request::Expiration::Ttl(time)) => ttl(time, &mut v).map(Expiration::After),
    };
    let application_id = parse(&request.application_id, "application_id", &mut v);
    let key_id = parse(&request.key_id, "key_id", &mut v);
    let etag = request.etag.clone();
    let request = unpack::create_request(&request.request_id, "RotateKey", request, &mut v);
    let (application_id, key_id) = v.settle_with(application_id.zip(key_id))?;
    Ok(RotateKey { application_id, key_id, overlap, expiration, etag, request })
}

pub(in crate::grpc) fn to_rotated(rotated: &Rotated, revision: Revision, now: Timestamp) -> pb::RotateKeyResponse {
    let Rotated { key, secret, old } = rotated;
    pb::RotateKeyResponse {
        key: Some(to_key(key, now)),
        secret: secret.reveal(),
        revision: revision.number(),
        rotated_key: Some(to_key(old, now)),
    }
}
