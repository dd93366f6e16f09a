use std::{
    cell::Cell,
    io::{self, Read},
    rc::Rc,
};

/// The longest row that is read: a quote that is missing would take the rest of the file for one cell.
const LONGEST: usize = 4 * 1024 * 1024;

/// A reader that ends where a row does not.
pub(super) struct Metered<R> {
    from: R,
    meter: Meter,
}

/// How much was read since the last row.
#[derive(Clone, Default)]
pub(super) struct Meter(Rc<Cell<usize>>);

impl Meter {
    pub(super) fn begin_row(&self) {
        self.0.set(0);
    }
}

impl<R> Metered<R> {
    pub(super) fn new(from: R) -> (Self, Meter) {
        let meter = Meter::default();
        (Self { from, meter: meter.clone() }, meter)
    }
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(to)?;
        let sum = self.meter.0.get() + read;
        self.meter.0.set(sum);
        if sum > LONGEST + to.len() {
            return Err(io::Error::other("a row is longer than 4 MiB; is a quote or a bracket missing?"));
        }
        Ok(read)
    }
}
