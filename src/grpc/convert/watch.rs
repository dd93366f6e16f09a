use super::common::{parse, to_timestamp};
use crate::{
    domain::{
        event::{Cause, Revocation},
        refusal::{Refusal, Violations},
    },
    pb,
    watch::{Item, Told, WatchRequest},
};

const MAX_APPLICATIONS: usize = 100;

pub(in crate::grpc) fn watch(request: pb::WatchRevocationsRequest) -> Result<WatchRequest, Refusal> {
    let mut v = Violations::default();
    if request.application_ids.len() > MAX_APPLICATIONS {
        let what = format!("has {}; at most {MAX_APPLICATIONS} are allowed", request.application_ids.len());
        return Err(Refusal::FieldInvalid(Violations::one("application_ids", what)));
    }
    let ids = request.application_ids.iter().enumerate();
    let applications = ids.filter_map(|(at, id)| parse(id, &format!("application_ids[{at}]"), &mut v)).collect();
    v.settle()?;
    Ok(WatchRequest { applications, resume_token: request.resume_token })
}

pub(in crate::grpc) fn to_item(item: Item) -> pb::WatchRevocationsResponse {
    let told = match item.told {
        Told::Revocation(revocation) => pb::watch_revocations_response::Item::Revocation(to_revocation(&revocation)),
        Told::Bookmark { revision, time, begins, all_applications } => {
            let (revision, time) = (revision.number(), Some(to_timestamp(time)));
            pb::watch_revocations_response::Item::Bookmark(pb::Bookmark { revision, time, begins, all_applications })
        }
    };
    pb::WatchRevocationsResponse { item: Some(told), resume_token: item.resume_token }
}

fn to_revocation(revocation: &Revocation) -> pb::Revocation {
    let cause = match revocation.cause {
        Cause::Revoked => pb::RevocationCause::Revoked,
        Cause::Disabled => pb::RevocationCause::Disabled,
        Cause::Expired => pb::RevocationCause::Expired,
        Cause::Narrowed => pb::RevocationCause::Narrowed,
        Cause::Rotated => pb::RevocationCause::Rotated,
        Cause::HistoryFork => pb::RevocationCause::HistoryFork,
    };
    pb::Revocation {
        revision: revocation.revision.number(),
        time: Some(to_timestamp(revocation.time)),
        key_id: revocation.key.map_or_else(String::new, |(id, _)| id.to_string()),
        application_id: revocation.application_id.to_string(),
        secret_sha256: revocation.key.map_or_else(Vec::new, |(_, hash)| hash.as_bytes().to_vec()),
        cause: cause.into(),
    }
}
