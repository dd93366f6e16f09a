//! Runs a model to the end of its states, or to the first that breaks the promise.

use std::{
    fmt::{self, Debug},
    hash::Hash,
    thread,
};

use stateright::{Checker, HasDiscoveries, Model, Property};

/// What most of the models are about.
pub(crate) const NO_VALID: &str = "once a call returned OK, nobody answers VALID";

/// One thing that may happen next, and what comes of it.
#[derive(Clone, PartialEq)]
pub(crate) struct Step<S> {
    what: &'static str,
    who: Option<usize>,
    pub(crate) next: S,
}

impl<S> Debug for Step<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.who {
            Some(who) => write!(f, "{} {who}", self.what),
            None => f.write_str(self.what),
        }
    }
}

/// All that may happen next.
pub(crate) struct Steps<'a, S> {
    from: &'a S,
    steps: &'a mut Vec<Step<S>>,
}

impl<S: Clone> Steps<'_, S> {
    pub(crate) fn add(&mut self, what: &'static str, change: impl FnOnce(&mut S)) {
        self.push(what, None, change);
    }

    /// Of one of several replicas.
    pub(crate) fn of(&mut self, who: usize, what: &'static str, change: impl FnOnce(&mut S)) {
        self.push(what, Some(who), change);
    }

    fn push(&mut self, what: &'static str, who: Option<usize>, change: impl FnOnce(&mut S)) {
        let mut next = self.from.clone();
        change(&mut next);
        self.steps.push(Step { what, who, next });
    }
}

/// A protocol, by what may happen.
pub(crate) trait Protocol: Debug + Send + Sync + Sized + 'static {
    type State: Clone + Debug + Hash + PartialEq + Send + Sync + 'static;

    fn start(&self) -> Self::State;
    fn steps(&self, state: &Self::State, next: &mut Steps<'_, Self::State>);
    /// What it promises (`always`), and what must be reachable lest it promise in vain (`sometimes`).
    fn promises(&self) -> Vec<Property<Run<Self>>>;
}

/// As the checker wants it.
#[derive(Debug)]
pub(crate) struct Run<P>(pub(crate) P);

impl<P: Protocol> Model for Run<P> {
    type State = P::State;
    type Action = Step<P::State>;

    fn init_states(&self) -> Vec<P::State> {
        vec![self.0.start()]
    }

    fn actions(&self, state: &P::State, steps: &mut Vec<Step<P::State>>) {
        self.0.steps(state, &mut Steps { from: state, steps });
    }

    fn next_state(&self, _: &P::State, step: Step<P::State>) -> Option<P::State> {
        Some(step.next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        self.0.promises()
    }
}

/// Every promise is kept in every state, and all is reached that must be: a protocol that
/// confirms nothing breaks nothing.
pub(crate) fn holds(protocol: impl Protocol) {
    let name = format!("{protocol:?}");
    let checked = run(protocol, HasDiscoveries::AnyFailures);
    checked.assert_properties();
    let (states, depth) = (checked.unique_state_count(), checked.max_depth());
    println!("{name} holds in all of {states} states, up to {depth} steps deep");
}

/// The checker finds how a protocol breaks this promise.
pub(crate) fn breaks(promise: &'static str, protocol: impl Protocol) {
    let name = format!("{protocol:?}");
    let checked = run(protocol, HasDiscoveries::AnyOf([promise].into()));
    let states = checked.unique_state_count();
    let Some(path) = checked.discovery(promise) else {
        panic!("{name} keeps the promise that {promise}, in all of {states} states")
    };
    let kept = checked.model().property(promise);
    let steps = path.into_vec().into_iter().take_while(|(state, _)| (kept.condition)(checked.model(), state));
    let steps: Vec<_> = steps.filter_map(|(_, step)| step).collect();
    println!("{name} is caught after {states} states, by {steps:?}");
}

fn run<P: Protocol>(protocol: P, until: HasDiscoveries) -> impl Checker<Run<P>> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    Run(protocol).checker().threads(threads).finish_when(until).spawn_bfs().join()
}
