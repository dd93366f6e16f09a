//! Each rule of the protocol is there for a reason: without it the checker finds a way in which
//! a promise is broken. A test is named after what the rule guarantees.

/// Tests, each of a protocol without one rule; and how that is checked.
macro_rules! without {
    ($($test:ident: $variant:expr,)+ => $check:expr) => {
        $(
            #[test]
            fn $test() {
                ($check)($variant);
            }
        )+
    };
}

mod lease {
    use crate::{
        check::{NO_VALID, breaks},
        lease::{Faults, Lease, Variant},
    };

    without! {
        a_call_waits_for_every_member: Variant::NoWait,
        a_call_that_finds_nothing_left_to_do_waits_as_well: Variant::FastPath,
        a_lease_runs_from_before_the_sync_was_sent: Variant::LeaseFromReply,
        a_member_says_only_what_it_has_applied: Variant::AckBeforeApply,
        a_member_is_taken_out_only_when_its_lease_is_over: Variant::CleansLiveMember,
        a_member_is_taken_out_by_its_own_lease: Variant::CleansByOwnLease,
        a_member_that_was_taken_out_answers_nothing: Variant::IgnoresMissingRow,
        the_timer_allows_for_clocks_of_different_speeds: Variant::NoMargin,
        the_timer_is_that_of_the_longest_lease: Variant::TimerOfOwnLease,
        who_hears_nothing_stops_answering: Variant::NotifyOnly,
        the_clock_of_a_lease_runs_while_the_machine_sleeps: Variant::ClockStops,
        => |variant| breaks(NO_VALID, Lease { variant, leases: [3], faults: Faults::All })
    }
}

mod join {
    use crate::{
        check::{NO_VALID, breaks},
        join::{Join, Variant},
    };

    without! {
        a_row_is_there_before_the_sync_that_grants_a_lease: Variant::JoinGrantsLease,
        only_a_sync_grants_a_lease: Variant::LoadGrantsLease,
        a_sync_never_puts_its_row_back: Variant::SyncUpserts,
        a_silent_member_counts_until_it_is_taken_out: Variant::SilentRowIgnored,
        a_member_that_has_spoken_since_is_not_taken_out: Variant::CleanedWithoutBeat,
        a_poll_counts_only_for_those_who_waited_before_it: Variant::PollBegunBefore,
        => |variant| breaks(NO_VALID, Join(variant))
    }
}

mod edge {
    use crate::{
        check::{NO_VALID, breaks},
        edge::{Edge, Variant},
    };

    without! {
        a_revision_is_at_the_edge_when_all_that_was_promised_is_over: Variant::EdgeIsAcked,
        nothing_is_promised_beyond_the_lease: Variant::TtlBeyondLease,
        a_promise_runs_from_before_the_question: Variant::TtlFromReply,
        a_promise_is_noted_before_the_look_that_it_rests_on: Variant::NotedAfterLook,
        promises_are_looked_up_after_the_revision_is_applied: Variant::PromisesReadBeforeApply,
        a_replica_that_stops_stays_on_the_list_while_its_promises_stand: Variant::LeavesAtOnce,
        => |variant| breaks(NO_VALID, Edge(variant))
    }
}

mod incarnation {
    use crate::{
        check::{NO_VALID, breaks},
        incarnation::{Incarnation, Variant},
    };

    without! {
        a_new_primary_may_have_forgotten_members: (Variant::EarlyExitWhileYoung, 1, 0),
        whom_it_has_forgotten_may_have_the_longest_lease: (Variant::LongestLeaseKnown, 1, 0),
        a_run_is_measured_by_a_clock_that_nobody_sets: (Variant::AgeByServersClock, 1, 0),
        what_is_settled_is_one_run_of_the_server: (Variant::SettledWhicheverRun, 1, 0),
        each_run_is_measured_from_its_own_begin: (Variant::MeasuredAcrossRuns, 1, 0),
        a_restore_into_a_running_server_is_marked: (Variant::RestoreWithoutMark, 0, 1),
        what_was_before_a_restore_is_not_counted_to_what_is_after_it: (Variant::MeasuredByRunAlone, 0, 1),
        => |(variant, promotions, restores)| breaks(NO_VALID, Incarnation { variant, promotions, restores })
    }
}

/// With the least faults that it takes: how many waits are cancelled, and how often the list of
/// standbys changes.
mod durable {
    use crate::{
        check::breaks,
        durable::{CONFIRMED_STAYS, Durable, ONLY_WHAT_STAYS, REVOKED_STAYS, Variant},
    };

    without! {
        the_timer_never_stands_in_for_the_writers_own_later_sync: (Variant::TimerForOwnSync, 1, 0),
        a_revision_is_confirmed_as_the_event_that_it_was: (Variant::ConfirmedByNumber, 0, 1),
        a_call_that_finds_nothing_left_to_do_writes_as_well: (Variant::RetryDoesNotWrite, 0, 0),
        nothing_is_confirmed_while_no_standby_is_waited_for: (Variant::StandbysNotRead, 0, 1),
        the_list_of_standbys_is_looked_at_after_the_sync: (Variant::StandbysReadBefore, 1, 3),
        the_list_of_standbys_is_the_same_before_and_after: (Variant::StandbysReadAfter, 0, 4),
        => |(variant, cancels, list_changes)| breaks(CONFIRMED_STAYS, Durable { variant, cancels, list_changes })
    }

    without! {
        a_page_is_applied_when_the_sync_that_read_it_is_safe: (Variant::AppliedBeforeCommit, 0, 0),
        it_is_not_safe_while_no_standby_is_waited_for: (Variant::StandbysNotRead, 0, 1),
        it_is_not_safe_if_none_was_at_its_end: (Variant::StandbysReadBefore, 0, 1),
        it_is_not_safe_if_none_was_in_between: (Variant::StandbysReadAfter, 0, 2),
        => |(variant, cancels, list_changes)| breaks(ONLY_WHAT_STAYS, Durable { variant, cancels, list_changes })
    }

    #[test]
    fn a_replica_writes_again_what_a_fork_lost() {
        breaks(REVOKED_STAYS, Durable { variant: Variant::ForkForgets, cancels: 1, list_changes: 0 });
    }
}

mod budget {
    use crate::{
        budget::{Budget, Variant, WITHIN_LIMIT},
        check::breaks,
    };

    without! {
        windows_go_by_the_databases_time: (Variant::WindowOfOwnClock, 2),
        the_end_of_a_window_is_counted_from_before_the_question: (Variant::EndFromReply, 2),
        a_lowered_limit_hands_out_nothing: (Variant::LeastAlone, 2),
        a_grant_that_is_unknown_is_lost: (Variant::UnknownGrantSpent, 2),
        what_may_have_been_given_back_is_not_given_back_again: (Variant::ReturnRetried, 1),
        what_is_given_back_is_of_its_own_window: (Variant::ReturnToAnyWindow, 1),
        what_is_given_back_is_dropped_first: (Variant::ReturnBeforeDrop, 1),
        => |(variant, chunk)| {
            let relimited = variant == Variant::LeastAlone;
            breaks(WITHIN_LIMIT, Budget { variant, chunk, relimited });
        }
    }
}

mod nonce {
    use crate::{
        check::breaks,
        nonce::{ACCEPTED_ONCE, Nonce, Variant},
    };

    without! {
        the_time_is_read_after_the_lock: Variant::TimeOfBegin,
        the_time_of_arrival_is_not_enough: Variant::TimeOfArrival,
        => |variant| breaks(ACCEPTED_ONCE, Nonce(variant))
    }
}
