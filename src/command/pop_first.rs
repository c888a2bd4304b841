//! What LMPOP, ZMPOP and those that wait have in common: they take from the
//! first of several keys that is there.

use crate::db::value::OfKind;
use crate::db::{Db, Handle};
use crate::error::{Error, Result};
use crate::resp::Argv;
use crate::table::Args;

/// What is to be taken: elements of the first key that there is.
pub struct PopFirst<'a, E> {
    /// Where to look, in this order.
    pub keys: Argv<'a>,
    /// Where to take.
    pub end: E,
    /// How many, at most.
    pub count: usize,
}

impl<'a, E> PopFirst<'a, E> {
    /// Reads `numkeys key… end [COUNT count]`; `end` reads which end it is.
    pub fn parse(
        args: &mut Args<'a>,
        end: impl FnOnce(&mut Args<'a>) -> Result<E>,
    ) -> Result<PopFirst<'a, E>> {
        let numkeys = args.int_in(1..=i64::MAX, Error::NUMKEYS_NOT_POSITIVE)?;
        let keys = args.take(numkeys as usize)?;
        let end = end(args)?;
        let mut count = 1;
        if args.remaining() > 1 && args.keyword("count") {
            count = args.int_in(1..=i64::MAX, Error::COUNT_NOT_POSITIVE)?;
        }
        args.end()?;
        Ok(PopFirst {
            keys,
            end,
            count: count as usize,
        })
    }
}

/// The first of the keys that is there. A key of another type before it is an
/// error.
pub fn find<'a, K: OfKind>(db: &mut Db<'_>, keys: Argv<'a>) -> Result<Option<(&'a [u8], Handle)>> {
    for key in keys.iter() {
        if let Some(handle) = db.lookup(key) {
            db.value::<K>(handle)?;
            return Ok(Some((key, handle)));
        }
    }
    Ok(None)
}
