//! RESPD: what clients may do to a broker that was started for tests, in any
//! language. Refused without `test-commands yes`.
//!
//! Redis has no such command, so its subcommands may be of any form. Each is a
//! subsystem, whose words the handler parses.

use crate::table::vocabulary::{ANYTIME, CONTAINER};
use crate::table::{Flags, Group, HELP, Row};

/// The rows of this family.
#[rustfmt::skip]
pub const COMMANDS: &[Row] = &[
    Row {
        name: "respd", group: Group::Server, since: SINCE,
        summary: "What tests need beyond a broker.",
        subcommands: &[
            Row { flags: ANYTIME.union(Flags::FOR_TESTS), since: SINCE, ..HELP },
        ],
        ..CONTAINER
    },
];

/// The version of respd, since Redis has none of it.
const SINCE: &str = "0.1.0";

#[cfg(test)]
mod tests {
    use crate::testing::{client, engine, engine_for_tests};

    #[test]
    fn it_is_refused_unless_the_broker_is_for_tests() {
        let refused = "-ERR RESPD commands are for tests. Start the broker with test-commands yes to allow them.";
        assert_eq!(client(&engine()).line("RESPD HELP"), refused);
        let help = client(&engine_for_tests()).line("RESPD HELP");
        assert!(help.contains("RESPD <subcommand>"), "{help}");
    }
}
