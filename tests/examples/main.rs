//! Tests that people write, with respd in them, each a file that can be taken as it is. Those for
//! pytest and for Node's test runner are in `tests/helpers`.

mod cache;
mod lock;
mod publish;
mod retry;
mod workers;
