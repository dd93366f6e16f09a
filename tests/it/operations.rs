//! What operators do beside the service, by the program as it is shipped.

mod bad;
mod check;
mod clocks;
mod example;
mod left_behind;
mod piped;
mod restored;
mod sqlite;
mod standbys;
mod start;
mod stop;
mod unfit;
