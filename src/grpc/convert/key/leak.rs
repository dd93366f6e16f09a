use super::super::{common::note, verify::presented};
use crate::{
    domain::{
        leak::without_secrets,
        refusal::{Refusal, Violations},
    },
    keys::ReportLeaked,
    pb,
};

/// The text may stand among blanks, as it was copied, and in its source, where it must not stay.
pub(in crate::grpc) fn report_leaked(request: &pb::ReportLeakedKeyRequest) -> Result<ReportLeaked, Refusal> {
    let mut v = Violations::default();
    let secret = request.secret.trim();
    if secret.is_empty() {
        v.add("secret", "is required: the text as it was found");
    }
    // What hides a secret makes no text longer, so what is short enough stays so.
    let source = note(&request.source, "source", &mut v);
    let source = note(&without_secrets(&source, secret), "source", &mut v);
    v.settle()?;
    Ok(ReportLeaked { subject: presented(secret), source })
}
