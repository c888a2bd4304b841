//! The process's limit of open files, which bounds how many clients there can be.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What the broker needs besides one descriptor for each client: listeners, event queues, the
/// log. Redis's number, and its arithmetic.
const RESERVED: u64 = 32;

/// How many clients there is room for.
#[derive(Debug, PartialEq)]
pub enum Room {
    /// All that were asked for.
    Enough,
    /// All, after the limit was raised.
    Raised {
        /// From here, …
        from: u64,
        /// … to here.
        to: u64,
    },
    /// Fewer, as many as the limit leaves.
    Reduced {
        /// How many.
        clients: u32,
        /// The limit, which could not be raised further.
        limit: u64,
    },
    /// None.
    None {
        /// The limit.
        limit: u64,
    },
}

/// Raises the limit, if need be, for this many clients.
pub fn make_room(clients: u32) -> Room {
    let needed = u64::from(clients) + RESERVED;
    let limit = getrlimit(Resource::Nofile);
    // None is no limit.
    let Some(current) = limit.current.filter(|current| *current < needed) else {
        return Room::Enough;
    };
    let hard = limit.maximum.unwrap_or(u64::MAX);
    // Only root may raise the hard limit; anybody may go up to it.
    let wished = [hard.max(needed), hard].map(|maximum| Rlimit {
        current: Some(needed.min(maximum)),
        maximum: limit.maximum.map(|_| maximum),
    });
    let reached = wished
        .into_iter()
        .find(|wish| setrlimit(Resource::Nofile, *wish).is_ok())
        .and_then(|wish| wish.current)
        .unwrap_or(current);
    judge(clients, current, reached)
}

fn judge(clients: u32, from: u64, to: u64) -> Room {
    if to >= u64::from(clients) + RESERVED {
        return Room::Raised { from, to };
    }
    match u32::try_from(to.saturating_sub(RESERVED)) {
        Ok(0) | Err(_) => Room::None { limit: to },
        Ok(clients) => Room::Reduced { clients, limit: to },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_limit_leaves_is_for_clients() {
        assert_eq!(judge(10, 20, 42), Room::Raised { from: 20, to: 42 });
        let room = Room::Reduced {
            clients: 9,
            limit: 41,
        };
        assert_eq!(judge(10, 20, 41), room);
        assert_eq!(judge(10, 20, 32), Room::None { limit: 32 });
        assert_eq!(judge(10, 20, 3), Room::None { limit: 3 });
    }
}
