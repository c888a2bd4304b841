//! Hashes, sets and sorted sets, filled many elements at a time.

use std::ops::Range;

use crate::clients::{Connection, request};
use crate::result::Result;

/// What adds elements, and the words of each.
#[derive(Clone, Copy)]
pub struct Collection {
    pub command: &'static str,
    pub element: fn(usize) -> Vec<String>,
}

/// Fields with values of seven bytes.
pub const HASH: Collection = Collection {
    command: "HSET",
    element: |n| vec![format!("field:{n}"), format!("v{:06}", n % 1_000_000)],
};
pub const SET: Collection = Collection {
    command: "SADD",
    element: |n| vec![format!("member:{n}")],
};
/// Each member's score is another one, and they come in no order.
pub const SORTED_SET: Collection = Collection {
    command: "ZADD",
    element: |n| vec![scattered(n).to_string(), format!("member:{n}")],
};
pub const INTEGERS: Collection = Collection {
    command: "SADD",
    element: |n| vec![n.to_string()],
};
pub const SCORED_INTEGERS: Collection = Collection {
    command: "ZADD",
    element: |n| vec![n.to_string(), n.to_string()],
};

/// The elements that redis-benchmark names when it draws a number.
pub const DRAWN_FIELDS: Collection = Collection {
    command: "HSET",
    element: |n| vec![format!("field:{n:012}"), "xxxxxxx".to_owned()],
};
pub const DRAWN_MEMBERS: Collection = Collection {
    command: "SADD",
    element: |n| vec![format!("member:{n:012}")],
};
pub const DRAWN_SCORED_MEMBERS: Collection = Collection {
    command: "ZADD",
    element: |n| vec![scattered(n).to_string(), format!("member:{n:012}")],
};

/// Another number below two to the 20th, for each below that.
fn scattered(n: usize) -> usize {
    (n * 0x9_e377) & 0xf_ffff
}

impl Collection {
    /// Adds these elements to the collection under `key`.
    pub fn fill(
        self,
        connection: &mut Connection,
        key: &str,
        elements: Range<usize>,
    ) -> Result<()> {
        const AT_ONCE: usize = 50;
        let requests = elements.len().div_ceil(AT_ONCE);
        connection.fill(requests, |n| {
            let first = elements.start + n * AT_ONCE;
            self.request(key, first..elements.end.min(first + AT_ONCE))
        })
    }

    /// Fills one collection after the other with as many elements, each time
    /// the same ones.
    pub fn fill_many(
        self,
        connection: &mut Connection,
        count: usize,
        elements: usize,
    ) -> Result<()> {
        connection.fill(count, |n| self.request(&format!("key:{n:08}"), 0..elements))
    }

    fn request(self, key: &str, elements: Range<usize>) -> Vec<u8> {
        let head = [self.command.to_owned(), key.to_owned()].into_iter();
        request(
            &head
                .chain(elements.flat_map(self.element))
                .collect::<Vec<_>>(),
        )
    }
}
