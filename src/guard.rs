//! Guards that a test build can switch off, one at a time, to see the test that watches
//! it go red. In every other build [`on`] is the constant `true`.

#[cfg(all(feature = "guards-off", not(debug_assertions)))]
compile_error!("the feature `guards-off` is for tests; it must not be built with the release profile");

/// What keeps a promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// A mutation returns only when every replica answers by it.
    Barrier,
    /// An answer is given only inside the lease.
    Lease,
    /// A nonce is good once.
    Nonce,
    /// A nonce that may have been forgotten is good no more, whatever a clock says.
    Forgotten,
    /// Leases are measured by the clock since boot, and not by the time of day.
    Boottime,
    /// A signature is checked.
    Signature,
    /// A timestamp is near the server's time.
    Window,
    /// A caller stays in its applications.
    Scope,
    /// A caller needs the method's role.
    Role,
    /// Nobody grants what they lack.
    Grant,
    /// A stream ends with its account.
    Reauthorise,
    /// A watcher's place in the history is checked.
    Resume,
    /// Signed calls of an account are limited.
    Rate,
    /// So many signatures are checked in a second, and of one address.
    Checks,
    /// Beyond so many calls at once, further ones are refused before work is done for them.
    Shed,
    /// Beyond so many connections there are no more: of an address the newcomer is closed, of all a stranger's
    /// (`Strangers`), or the newcomer where there is none.
    Connections,
    /// Who has proven nothing makes room for whoever comes, and who has proven itself does not.
    Strangers,
    /// Whoever asks how the server is finds a place, however many others are open.
    Probes,
    /// A connection ends whose client certificate no authority vouches for any more.
    Vouched,
    /// A changed file of authorities is taken once it was the same at two looks.
    Settled,
    /// A batch of usage is added once.
    Usage,
    /// Nothing un-revokes a key.
    Sticky,
    /// A key that was rotated ends with its overlap.
    Overlap,
    /// A revocation waits for the answers that verifiers may give by themselves.
    Edge,
    /// What was told to be expired is, whatever a clock says.
    Expired,
    /// What was granted of a limit counts, whoever asks.
    Budget,
    /// An event of the audit log must give its hash, and follow the one before it.
    Chain,
    /// What was told of a key is not told again at once.
    Storm,
    /// A key that may be seen by anybody cannot leak.
    Leak,
    /// What is to be told stays to be told until it is marked as told.
    Outbox,
    /// What happened to one key is told in its order.
    Order,
    /// A webhook leads to public addresses only.
    Reach,
    /// A replica whose row is gone has no lease.
    Row,
    /// A database that may lose what it acknowledges is not answered by.
    Durability,
    /// Only a replica whose own lease held takes silent ones out, and only after theirs.
    Members,
    /// An OK rests on a sync that began after the commit, and not on time alone.
    Acked,
    /// What a fork of the history lost of revocations is written again.
    Fork,
    /// A run of the server that has just begun does not say who serves.
    Incarnation,
    /// A sync counts for what was written in the same run of the server.
    Run,
    /// A sync counts only if the server's settings stayed as they were while it was committed.
    Settings,
    /// A database that was restored answers nothing until somebody has answered for what it lost.
    Restored,
    /// A database that is behind the head number kept beside it was restored.
    Beside,
    /// An archive answers for what a backup lost of its own branch of the history.
    RestoredBranch,
    /// Accounts that may be good again after a restore are looked at by somebody.
    RestoredAccounts,
}

#[cfg(not(feature = "guards-off"))]
#[inline(always)]
#[must_use]
pub const fn on(_: Guard) -> bool {
    true
}

#[cfg(feature = "guards-off")]
mod switch {
    use std::sync::OnceLock;

    use super::Guard;

    static OFF: OnceLock<Option<String>> = OnceLock::new();

    /// Whether the guard is on: unless `PORTCULLIS_GUARD_OFF` names it.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "a test build only; config has no such setting")]
    pub fn on(guard: Guard) -> bool {
        let off = OFF.get_or_init(|| std::env::var("PORTCULLIS_GUARD_OFF").ok());
        off.as_deref().is_none_or(|name| !format!("{guard:?}").eq_ignore_ascii_case(name))
    }
}

#[cfg(feature = "guards-off")]
pub use switch::on;
