use serde::Serialize;

use super::load::Measured;

/// The measure, as `--json` prints it. Times are microseconds of the server's CPU per call.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// Of the empty service: the median of the rounds.
    pub(super) reference_us: f64,
    /// Of VerifyKey: the median of the rounds.
    pub(super) subject_us: f64,
    /// The median of the rounds' ratios: the two halves of a round are measured one after the
    /// other, so that a machine which slows down slows down both.
    pub(super) ratio: f64,
    pub(super) ratio_min: f64,
    pub(super) ratio_max: f64,
    /// Of each round, in their order.
    pub(super) reference_us_each: Vec<f64>,
    pub(super) subject_us_each: Vec<f64>,
    pub(super) rounds: usize,
    pub(super) seconds: f64,
    /// How many were measured on each side; every one was answered VALID.
    pub(super) reference_calls: u64,
    pub(super) subject_calls: u64,
    pub(super) connections: usize,
    /// On each connection.
    pub(super) callers: usize,
    pub(super) request_bytes: usize,
    pub(super) authorization_bytes: usize,
    pub(super) response_bytes: usize,
    /// Whether the servers had one CPU and their callers another.
    pub(super) pinned: bool,
    /// `release` or `debug`.
    pub(super) profile: &'static str,
}

/// One round: both sides, one after the other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Round {
    pub(super) reference: Measured,
    pub(super) subject: Measured,
}

/// How the rounds were made.
#[derive(Debug)]
pub(super) struct Setup {
    pub(super) seconds: f64,
    pub(super) connections: usize,
    pub(super) callers: usize,
    pub(super) request_bytes: usize,
    pub(super) authorization_bytes: usize,
    pub(super) response_bytes: usize,
    pub(super) pinned: bool,
}

impl Report {
    pub(super) fn new(setup: Setup, rounds: &[Round]) -> Self {
        let Setup { seconds, connections, callers, request_bytes, authorization_bytes, response_bytes, pinned } = setup;
        let of = |value: fn(&Round) -> f64| rounds.iter().map(value).collect::<Vec<_>>();
        let reference = of(|round| round.reference.us());
        let subject = of(|round| round.subject.us());
        let ratios = sorted(of(|round| round.subject.us() / round.reference.us()));
        Self {
            reference_us: thousandths(median(&sorted(reference.clone()))),
            subject_us: thousandths(median(&sorted(subject.clone()))),
            ratio: thousandths(median(&ratios)),
            ratio_min: thousandths(ratios.first().copied().unwrap_or(f64::NAN)),
            ratio_max: thousandths(ratios.last().copied().unwrap_or(f64::NAN)),
            reference_us_each: reference.into_iter().map(thousandths).collect(),
            subject_us_each: subject.into_iter().map(thousandths).collect(),
            rounds: rounds.len(),
            seconds,
            reference_calls: rounds.iter().map(|round| round.reference.calls).sum(),
            subject_calls: rounds.iter().map(|round| round.subject.calls).sum(),
            connections,
            callers,
            request_bytes,
            authorization_bytes,
            response_bytes,
            pinned,
            profile: profile(),
        }
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let Self { reference_us, subject_us, ratio, ratio_min, ratio_max, rounds, seconds, connections, .. } = self;
        format!(
            "\
VerifyKey       {subject_us:.2} µs of the server's CPU per call
empty service   {reference_us:.2} µs
ratio           {ratio:.3} ({ratio_min:.3} to {ratio_max:.3})

{} and {} calls in {rounds} rounds of {seconds} s, {connections} connections with {} callers each,
{}, {} build; every answer was VALID",
            self.subject_calls,
            self.reference_calls,
            self.callers,
            if self.pinned { "servers and callers on a CPU each" } else { "not pinned to CPUs" },
            self.profile,
        )
    }
}

pub(super) fn profile() -> &'static str {
    if cfg!(debug_assertions) { "debug" } else { "release" }
}

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

/// Of sorted values; of an even number, the mean of the two in the middle.
fn median(sorted: &[f64]) -> f64 {
    let [below, above] = [(sorted.len().saturating_sub(1)) / 2, sorted.len() / 2];
    match (sorted.get(below), sorted.get(above)) {
        (Some(below), Some(above)) => f64::midpoint(*below, *above),
        _ => f64::NAN,
    }
}

fn thousandths(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn measured(us: u64) -> Measured {
        Measured { calls: 10, cpu: Duration::from_micros(10 * us) }
    }

    #[test]
    fn the_ratio_is_the_median_of_the_rounds_not_of_the_times() {
        // The machine was half as fast in the second round; a third one was disturbed on one side.
        let rounds = [(5, 6), (10, 12), (5, 20)]
            .map(|(reference, subject)| Round { reference: measured(reference), subject: measured(subject) });
        let setup = Setup {
            seconds: 1.0,
            connections: 1,
            callers: 1,
            request_bytes: 1,
            authorization_bytes: 1,
            response_bytes: 1,
            pinned: false,
        };
        let report = Report::new(setup, &rounds);
        assert_eq!((report.ratio, report.ratio_min, report.ratio_max), (1.2, 1.2, 4.0));
        assert_eq!((report.reference_us, report.subject_us, report.subject_calls), (5.0, 12.0, 30));
    }

    #[test]
    fn the_median_of_an_even_number_lies_between() {
        assert_eq!(median(&[1.0, 2.0, 4.0, 9.0]), 3.0);
        assert_eq!(median(&[7.0]), 7.0);
    }
}
