//! What to do next, for each way that a call can fail.

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::pb::ErrorReason;

/// Of the reason that the server gave; else of the code, which the way there made.
pub(super) fn hint(status: &Status) -> Option<&'static str> {
    let details = status.get_error_details();
    let reason =
        details.error_info().and_then(|info| ErrorReason::from_str_name(&format!("ERROR_REASON_{}", info.reason)));
    match reason {
        Some(reason) => of_reason(reason),
        None => of_code(status.code()),
    }
}

/// Exhaustive: a new reason does not build until it has its hint, or stands with those whose messages say what to do.
/// A hint says it in the words of the command line, and nothing again that the message has said.
fn of_reason(reason: ErrorReason) -> Option<&'static str> {
    use ErrorReason as R;
    Some(match reason {
        R::SignatureMissing => "give --credentials FILE, or set PORTCULLIS_CREDENTIALS",
        R::SignatureMalformed => "something between here and the server changes or drops headers: call it without that",
        R::SignatureInvalid => {
            "is it the credentials file of this deployment, with its audience, and has its key not been removed? an admin sees \
             the keys with `portcullis account list`"
        }
        R::TimestampOutOfWindow => "set this machine's clock; where it is right, the server's is not",
        R::NonceReused => "try again",
        R::TokenInvalid => {
            "is it the credentials file of this deployment, with its audience, and this machine's clock set? an admin sees the \
             account with `portcullis account get`"
        }
        R::RoleMissing => {
            "an admin can give the account a role: `portcullis account update ACCOUNT --role ROLE` with all that it is to have"
        }
        R::ApplicationOutOfScope => {
            "is the id of the application right (`portcullis app list` has those that the account sees)? an admin can add it: \
             `portcullis account update ACCOUNT --app APP` with all that it is to have"
        }
        R::GrantExceeded => {
            "ask for less, or have an account do it that may grant this: `grantable` in `portcullis account get` says what one may"
        }
        R::RequestIdReused => "leave --request-id out, or give the very command that it was first used with",
        R::KeyNotFound => {
            "`portcullis key list` shows the keys of an application: is --app the one that the key is of?"
        }
        R::ApplicationNotFound => "`portcullis app list` shows the applications that the account sees",
        R::ServiceAccountNotFound => "`portcullis account list` shows the accounts",
        R::ServiceAccountKeyNotFound => {
            "`portcullis account get ACCOUNT` shows its keys; one that was removed is not among them"
        }
        R::SealedSecretNotFound => {
            "only the account whose key is the rotation's recipient gets it, with the id of the new key"
        }
        R::WebhookNotFound => "`portcullis call WebhookService/ListWebhooks` shows the webhooks",
        R::KeyExists => {
            "keys that are there with the same content may stay in the file; of those that are named, take one side's content, or \
             leave them out"
        }
        R::SecretAlreadyReturned => "of a key, `portcullis key rotate KEY --overlap 0s` gives another one",
        R::ServiceAccountKeyExists => "or have it taken away there: `portcullis account remove-key ACCOUNT KID`",
        R::ClientCertificateNameTaken => {
            "`portcullis account update ACCOUNT --certificate-name NAME` with all that it is to keep, or with \
             --clear certificate-name"
        }
        R::KeyRevoked => "`portcullis key create` makes another one",
        R::LastAdminKey => "`portcullis account add-key` adds one",
        R::SealedSecretGone => "`portcullis key rotate KEY` gives another one",
        R::TooManyOverlaps => "`portcullis key revoke KEY`, or `portcullis key update KEY --overlap-end TIME`",
        R::TooManyWebhooks => "`portcullis call WebhookService/DeleteWebhook` does it",
        R::EtagMismatch => "`get` shows its etag of now",
        R::ResumeTokenExpired | R::HistoryForked => "with --archive, choose another file; else leave --resume out",
        R::SlowConsumer => "--resume TOKEN goes on where it was; read faster",
        R::MessageTooLarge => "ask for less at once",
        R::RestoreUnconfirmed => {
            "whoever restored the database says what it lost: `portcullis confirm-restore`, with --revocations FILE or --accept-loss"
        }
        R::FreshnessUnproven => "it has lost its database or its lease, and its log says why",
        R::StoreUnavailable => "try again, and tell the server's operator",
        R::ShuttingDown => "try again",
        R::MethodNotFound => "the server is older than this program: upgrade it",
        R::Internal => "give its operator that id",
        R::FieldInvalid
        | R::PageTokenInvalid
        | R::KeyAlreadyRotated
        | R::SecretsKeyMissing
        | R::ReplicaTooOld
        | R::RateLimited
        | R::Overloaded
        | R::CommitUnknown
        | R::CommittedNotConfirmed
        | R::RevisionNotReached
        | R::Unspecified => return None,
    })
}

/// Of a connection that could not be made.
#[cfg(feature = "client")]
pub(super) fn unreachable(why: &str) -> &'static str {
    // The last of an authority that has the name of another.
    const OF_CLIENTS: [&str; 6] = [
        "UnknownCA",
        "BadCertificate",
        "CertificateExpired",
        "CertificateUnknown",
        "UnsupportedCertificate",
        "DecryptError",
    ];
    if why.contains("CertificateRequired") {
        "the server asks for a client certificate: give --client-cert FILE and --client-key FILE, or set PORTCULLIS_CLIENT_CERT \
         and PORTCULLIS_CLIENT_KEY"
    } else if OF_CLIENTS.iter().any(|alert| why.contains(alert)) {
        "the server does not take the certificate of --client-cert: has it ended, and is it of an authority of the server's \
         --tls-client-ca?"
    } else if why.contains("it answers in TLS") {
        "the server has TLS: its endpoint is https://, and --ca-cert the authority that signed its certificate, unless the system has it"
    } else if why.contains("InvalidContentType") {
        "what listens there has no TLS: on this machine its endpoint is http://, and elsewhere its operator gives it --tls-cert and \
         --tls-key"
    } else if why.contains("certificate") {
        "is --ca-cert the authority that signed the server's certificate, and --server-name a name that is in it?"
    } else {
        "is the server running, and is --endpoint (or PORTCULLIS_ENDPOINT, or the credentials file's) where it is?"
    }
}

/// Of a connection that ended before the answer: what the other end may be, and what may be done there all the same.
pub(super) fn lost(code: Code) -> &'static str {
    match code {
        Code::Unavailable => "is the server running, and is --endpoint (or PORTCULLIS_ENDPOINT) where it is?",
        _ => {
            "is --endpoint https:// where the server has TLS, and http:// where it has none? else the connection broke: what was \
             asked may be done all the same: look, or repeat it"
        }
    }
}

/// A status without a reason was made on the way, by a proxy or by this program.
fn of_code(code: Code) -> Option<&'static str> {
    match code {
        Code::Unavailable => Some("is the server running, and is --endpoint (or PORTCULLIS_ENDPOINT) where it is?"),
        Code::DeadlineExceeded => Some("it may be done all the same: look, or repeat it; --timeout waits longer"),
        Code::Unimplemented => Some("is there a Portcullis at this endpoint, and is it as new as this program?"),
        Code::Unauthenticated | Code::PermissionDenied => {
            Some("this is not from Portcullis: is there a proxy before it that wants credentials of its own?")
        }
        Code::Internal | Code::Unknown | Code::DataLoss => {
            Some("is there a Portcullis at this endpoint, and nothing between that changes calls?")
        }
        Code::ResourceExhausted => Some("try again in a while"),
        Code::Ok
        | Code::Cancelled
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::OutOfRange => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_is_one_line() {
        let hints: Vec<_> = (1..1000).filter_map(|number| of_reason(ErrorReason::try_from(number).ok()?)).collect();
        assert!(hints.len() > 30, "{}", hints.len());
        for hint in hints {
            assert!(!hint.contains('\n') && !hint.ends_with('.') && !hint.contains("  "), "{hint}");
        }
    }
}

#[cfg(all(test, feature = "server"))]
mod doubles;
