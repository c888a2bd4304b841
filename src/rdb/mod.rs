//! What a serialized value is made of, in the format of Redis's snapshots and
//! of DUMP: lengths, strings, numbers, elements packed inside of strings, and
//! the footer.
//!
//! It knows no value: the kinds in `db::value` write themselves and read
//! themselves with these parts. What is read may come from anybody. Every bound
//! is checked, nothing is allocated that the bytes which are there could not
//! fill, and nothing recurses.

mod element;
mod footer;
mod intset;
mod kinds;
#[cfg(feature = "lua")]
pub mod library;
pub mod listpack;
mod lzf;
mod read;
mod stream;
mod types;
mod write;
mod ziplist;
mod zipmap;

pub use footer::open;
#[cfg(test)]
pub use footer::seal;
pub use listpack::Listpack;
pub use read::Reader;
pub use stream::{NodeReader, NodeWriter};
pub use types::Type;
pub use write::Writer;

use crate::error::Error;

/// The elements that a node of a list may have: Redis counts them in 16 bits.
pub const NODE_MAX: usize = 8192;

/// Strings side by side of up to so many bytes may become a [`Listpack`], which
/// takes some bytes more for each.
pub const PACKED_MAX: usize = 1 << 30;

/// What a node of a list is: an element, or a listpack.
const NODE_PLAIN: u64 = 1;
const NODE_PACKED: u64 = 2;

/// What is read is no serialized value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Corrupt;

impl From<Corrupt> for Error {
    fn from(_: Corrupt) -> Error {
        Error::DATA_FORMAT
    }
}

/// The result of reading.
pub type Result<T> = std::result::Result<T, Corrupt>;
