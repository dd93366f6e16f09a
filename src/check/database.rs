use super::{Finding, clock::clock};
use crate::{
    notify::vault::{NotOpened, Vault},
    store::{FileLook, Inside, Look, OpenError, Standbys},
};

const MIB: u64 = 1024 * 1024;
/// Below it a file soon cannot grow; and below the other one it may not even be put in order.
const LITTLE: u64 = 1024 * MIB;
const NONE: u64 = 64 * MIB;

/// What was seen of a database; `strict`: the server is to refuse one that may lose what it acknowledges.
/// `vault`: none where it does not read.
#[must_use]
pub fn database(look: Result<&Look, &OpenError>, url: &str, strict: bool, vault: Option<&Vault>) -> Vec<Finding> {
    let look = match look {
        Ok(look) => look,
        Err(error) => return vec![unopened(error, url)],
    };
    let mut found = vec![Finding::ok("database", format!("{url} was reached"))];
    found.push(schema(look));
    found.extend(tables(look));
    if let Some(file) = &look.file {
        found.extend(of_file(file, url));
    }
    found.extend(durability(look, strict));
    found.extend(look.ahead.map(clock));
    if let Some(inside) = &look.inside {
        found.extend(rows(inside, vault));
    } else if look.pending == 0 && look.unfit.is_none() {
        found.push(no_admin());
    }
    found
}

fn unopened(error: &OpenError, url: &str) -> Finding {
    const OF: &str = "database";
    let (said, advice) = match error {
        // The whole names the URL, too, and says what to do.
        OpenError::Unreached { error, .. } => {
            let unknown = "start it, or look at --database-url, the network and the role's password";
            (error.to_string(), error.advice().unwrap_or(unknown))
        }
        OpenError::Missing(path) => {
            let advice = "make it with `portcullis migrate`, or put a backup there with `portcullis restore`";
            return Finding::fail(OF, format!("there is no database at {path}"), advice);
        }
        _ => (error.to_string(), "look at --database-url, and at what lies there"),
    };
    Finding::fail(OF, format!("{url}: {said}"), advice)
}

fn schema(look: &Look) -> Finding {
    const OF: &str = "schema";
    let Look { pending, known, unknown, serves, .. } = look;
    let newer = || format!("it is of a newer version of portcullis (it has {})", unknown.join(", "));
    if look.is_anothers {
        let [said, advice] = OpenError::ANOTHERS;
        Finding::fail(OF, said, advice)
    } else if *pending == *known && look.file.is_none() {
        Finding::fail(OF, "there is none here that this role may see", OpenError::MAKE_OR_GRANT)
    } else if *pending == *known {
        Finding::fail(OF, "there is none", "run `portcullis migrate`")
    } else if *pending > 0 && !unknown.is_empty() {
        let said =
            format!("it lacks {pending} migrations of this version and has those of another ({})", unknown.join(", "));
        Finding::fail(OF, said, "use the version that wrote it, or a newer one")
    } else if *pending > 0 {
        let said = format!("it is older than this program: {pending} of {known} migrations are missing");
        Finding::fail(OF, said, "take a backup, then run `portcullis migrate`")
    } else if !unknown.is_empty() && *serves {
        Finding::warn(OF, format!("{}, which lets this one serve", newer()), "bring this program up to date soon")
    } else if !unknown.is_empty() {
        Finding::fail(OF, newer(), "use the version that wrote it, or a newer one")
    } else {
        Finding::ok(OF, format!("all {known} migrations are applied"))
    }
}

fn tables(look: &Look) -> Option<Finding> {
    const OF: &str = "tables";
    match &look.unfit {
        Some(unfit) => Some(Finding::fail(OF, unfit.to_string(), unfit.advice())),
        None if look.pending > 0 => None,
        None if look.file.is_some() => Some(Finding::ok(OF, "all are there")),
        None => Some(Finding::ok(OF, "all are there, and this role may do there what a server does")),
    }
}

fn of_file(file: &FileLook, url: &str) -> Vec<Finding> {
    let mut found = Vec::new();
    if !file.is_writable {
        found.push(Finding::fail(
            "file",
            format!("{url} is read-only here"),
            "look at its owner, its mode and how it is mounted",
        ));
    }
    found.push(if file.has_other_names {
        let said = format!("{url} has another name beside this one (a hard link), and a server would not start");
        Finding::fail("lock", said, "remove the other name, or copy the file with `portcullis backup`")
    } else if file.is_in_use {
        Finding::ok("lock", "a server has it open; another one could not start")
    } else {
        Finding::ok("lock", "nobody has it open")
    });
    let (free, bytes) = (file.free / MIB, file.bytes / MIB);
    let said = format!("{free} MiB are free, and the database has {bytes} MiB");
    let advice =
        "make room: with a full disk every mutation is refused, and when the lease is over every other call too";
    found.push(if file.free < NONE {
        Finding::fail("disk", said, advice)
    } else if file.free < LITTLE.max(file.bytes) {
        Finding::warn("disk", said, advice)
    } else {
        Finding::ok("disk", said)
    });
    found
}

fn durability(look: &Look, strict: bool) -> Option<Finding> {
    const OF: &str = "durability";
    if let Some(file) = &look.file {
        return Some(if file.is_networked {
            let said = "the file is on a network, or on a file system that this version does not know";
            Finding::warn(OF, said, "keep it on a local disk: a lock may be granted twice on a network")
        } else {
            Finding::ok(OF, "every commit is on the disk before it is acknowledged")
        });
    }
    let standbys = look.standbys?;
    Some(match look.weakness {
        Some(weakness) if strict => Finding::fail(
            OF,
            weakness.to_string(),
            "or serve with --durability=relaxed, and live with lost revocations",
        ),
        Some(weakness) => {
            Finding::warn(OF, weakness.to_string(), "what this service promises about revocations does not hold")
        }
        None if standbys.none_is_there() => {
            let [said, advice] = Standbys::NOBODY;
            Finding::fail(OF, said, advice)
        }
        None if standbys.hang_on_one() => {
            let said =
                format!("commits wait for one of {} standbys: when the last one stops, they wait", standbys.waited_for);
            Finding::warn(OF, said, "let one of two be enough")
        }
        None if standbys.synchronous && !standbys.sees => {
            let said = "the role may not see the standbys, so nobody notices when a commit's wait is cancelled";
            Finding::warn(OF, said, "grant it pg_read_all_stats")
        }
        None => Finding::ok(
            OF,
            format!("nothing that it acknowledges is lost; {} standbys stream from it", standbys.streaming),
        ),
    })
}

fn no_admin() -> Finding {
    Finding::fail("admin", "nobody can administer everything", "run `portcullis bootstrap --out admin.json`")
}

fn rows(inside: &Inside, vault: Option<&Vault>) -> Vec<Finding> {
    let mut found = Vec::new();
    found.push(match &inside.restored {
        Some(restored) => Finding::fail(
            "history",
            format!(
                "it was restored at {}, up to revision {}, and nobody has said what it lost",
                restored.time, restored.holds
            ),
            "run `portcullis confirm-restore`: nothing is answered before",
        ),
        None => Finding::ok("history", format!("up to revision {}", inside.revision)),
    });
    found.push(if inside.has_admin { Finding::ok("admin", "somebody can administer everything") } else { no_admin() });
    found.extend(vault.map(|vault| secrets(&inside.sealed, vault)));
    found
}

fn secrets(sealed: &[(String, Vec<u8>)], vault: &Vault) -> Finding {
    const OF: &str = "secrets";
    let refused = sealed.iter().filter_map(|(owner, whole)| Some((owner, vault.open(owner, whole).err()?)));
    let refused: Vec<(&String, NotOpened)> = refused.collect();
    match refused.first() {
        None if sealed.is_empty() && vault.has_key() => Finding::ok(OF, "no webhook has a secret yet"),
        None if sealed.is_empty() => {
            Finding::ok(OF, "without --secrets-key-file no webhook can be made, and there is none")
        }
        None => Finding::ok(OF, format!("all {} secrets of webhooks open", sealed.len())),
        Some((owner, why)) => {
            let said = format!(
                "{} of {} secrets of webhooks do not open; that of {owner}: {why}",
                refused.len(),
                sealed.len()
            );
            Finding::fail(
                OF,
                said,
                "put the key that they were encrypted with back into the file of --secrets-key-file",
            )
        }
    }
}
