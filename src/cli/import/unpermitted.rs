//! Keys without permissions. A row that names none gets what its importer may grant, short of full access: who
//! may grant everything hands on nothing.

use std::time::Duration;

use prost::Message as _;

use crate::{
    client::{Client, Proof, Schema},
    pb,
};

const TIMEOUT: Duration = Duration::from_secs(10);
/// Each of which is full access.
const FULL: [&str; 3] = ["*", "*:*", "admin:*"];

/// What is to be said of so many rows that name no permissions, where their keys have none then.
pub(super) async fn hint(client: &Client, rows: u64, dry_run: bool) -> Option<String> {
    if rows == 0 {
        return None;
    }
    let unless = match inherited(client).await {
        Some(true) => return None,
        Some(false) => "",
        None => ", unless this account may grant less than everything",
    };
    let how = if dry_run {
        "name some in the field `permissions` before they are imported"
    } else {
        "give each some by `portcullis key update KEY --permission tasks:read`, as many as it needs"
    };
    Some(format!(
        "hint: keys without permissions{unless}: {rows}; a VerifyKey with required_permissions answers PERMISSION_MISSING \
         for them; {how}"
    ))
}

/// Whether the caller hands on any permissions unasked. None: it did not get to know, and the import itself
/// says why not.
async fn inherited(client: &Client) -> Option<bool> {
    let service_account_id = client.credentials()?.account().client_id.clone();
    let method = Schema::new().method("ServiceAccountService/GetServiceAccount").ok()?;
    let request = pb::GetServiceAccountRequest { service_account_id }.encode_to_vec().into();
    let answer = client.unary(&method, request, Proof::AsNeeded, TIMEOUT).await.ok()?;
    let account = pb::GetServiceAccountResponse::decode(answer).ok()?.service_account?;
    Some(account.grantable_permissions.iter().any(|permission| !FULL.contains(&permission.as_str())))
}

#[cfg(all(test, feature = "server"))]
mod tests {
    use super::*;
    use crate::domain::permission::Permission;

    #[test]
    fn full_access_is_what_the_server_takes_for_it() {
        for (text, is_full) in FULL.map(|text| (text, true)).into_iter().chain([("tasks:*", false), ("*:read", false)])
        {
            let permission: Permission = text.parse().expect(text);
            assert_eq!((permission.is_full(), FULL.contains(&text)), (is_full, is_full), "{text}");
        }
    }
}
