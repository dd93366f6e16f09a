//! Memory that threads do not share while they count.

use std::{
    cell::Cell,
    ops::Index,
    sync::atomic::{AtomicUsize, Ordering},
};

/// As many threads count without touching each other's memory; more of them share.
pub(super) const LINES: usize = 16;

/// Two cache lines: a processor fetches them in pairs.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Line<T>(T);

/// One `T` for each of some threads.
#[derive(Debug)]
pub(super) struct Lines<T>([Line<T>; LINES]);

impl<T> Lines<T> {
    pub(super) const fn new(lines: [Line<T>; LINES]) -> Self {
        Self(lines)
    }

    /// This thread's.
    pub(super) fn own(&self) -> &T {
        self.0.index(place()).get()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(Line::get)
    }
}

impl<T> Line<T> {
    pub(super) const fn new(inner: T) -> Self {
        Self(inner)
    }

    fn get(&self) -> &T {
        &self.0
    }
}

/// Given out in turn: the threads of a runtime are made one after the other.
fn place() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    const NONE: usize = usize::MAX;
    thread_local!(static PLACE: Cell<usize> = const { Cell::new(NONE) });
    PLACE.with(|place| {
        if place.get() == NONE {
            place.set(NEXT.fetch_add(1, Ordering::Relaxed) % LINES);
        }
        place.get()
    })
}
