use std::{collections::HashSet, hash::Hash, sync::Arc};

use crate::domain::{limit::Limits, permission::Permission, restriction::Restrictions, text::Label, verdict::KeyFacts};

/// Keys of one application mostly hold the same permissions: each set is kept once.
#[derive(Debug, Default)]
pub(super) struct Interner {
    permissions: Pool<[Permission]>,
    restrictions: Pool<Restrictions>,
    limits: Pool<Limits>,
    labels: Pool<[Label]>,
}

impl Interner {
    pub(super) fn intern(&mut self, facts: &mut KeyFacts) {
        facts.permissions = self.permissions.share(&facts.permissions);
        facts.restrictions = self.restrictions.share(&facts.restrictions);
        facts.limits = self.limits.share(&facts.limits);
        facts.labels = self.labels.share(&facts.labels);
    }
}

#[derive(Debug)]
struct Pool<T: ?Sized> {
    sets: HashSet<Arc<T>>,
    /// When it has grown to this, sets that no key holds any more are let go.
    sweep_at: usize,
}

impl<T: ?Sized> Default for Pool<T> {
    fn default() -> Self {
        Self { sets: HashSet::new(), sweep_at: 1024 }
    }
}

impl<T: Eq + Hash + ?Sized> Pool<T> {
    fn share(&mut self, set: &Arc<T>) -> Arc<T> {
        if let Some(known) = self.sets.get(set) {
            return Arc::clone(known);
        }
        if self.sets.len() >= self.sweep_at {
            self.sets.retain(|set| Arc::strong_count(set) > 1);
            self.sweep_at = (2 * self.sets.len()).max(1024);
        }
        self.sets.insert(Arc::clone(set));
        Arc::clone(set)
    }
}
