use std::{borrow::Cow, sync::LazyLock, time::Duration};

use papaya::HashMap;

use super::{
    histogram::Cell,
    reading::{About, Instrument, Point, Reading},
};

/// How long calls took, by method and code. Both are texts of the program's: whoever calls what it
/// does not know is counted under one name.
#[derive(Debug)]
pub struct Calls {
    about: About,
    cells: LazyLock<HashMap<[&'static str; 2], &'static Of, foldhash::fast::RandomState>>,
}

#[derive(Debug)]
struct Of {
    /// As the conventions count it for a server.
    is_error: bool,
    cell: Cell,
}

impl Calls {
    pub(super) const fn new(about: About) -> Self {
        Self { about, cells: LazyLock::new(|| HashMap::with_hasher(foldhash::fast::RandomState::default())) }
    }

    /// One has ended.
    #[inline]
    pub fn record(&self, method: &'static str, code: &'static str, is_error: bool, took: Duration) {
        let (cells, names) = (self.cells.pin(), [method, code]);
        // Leaked, one for each method and code: they live as long as the process, and nobody counts references.
        let new = || -> &'static Of { Box::leak(Box::new(Of { is_error, cell: Cell::new() })) };
        // Not `get_or_insert_with`: papaya 0.2 lets the table fill up under it, and every later look-up pays.
        let of = cells.get(&names).unwrap_or_else(|| cells.get_or_insert(names, new()));
        of.cell.record(took);
    }
}

impl Instrument for Calls {
    fn read(&self) -> Reading {
        let point = |([method, code], of): (&[&'static str; 2], &&'static Of)| {
            let mut labels = vec![
                ("rpc.system.name", Cow::Borrowed("grpc")),
                ("rpc.method", Cow::Borrowed(*method)),
                ("rpc.status_code", Cow::Borrowed(*code)),
            ];
            labels.extend(of.is_error.then_some(("error.type", Cow::Borrowed(*code))));
            Point { labels, value: of.cell.value() }
        };
        self.about.reading(self.cells.pin().iter().map(point).collect())
    }
}
