//! RESPD: what clients may do to a broker that was started for tests, in any
//! language. Refused without `test-commands yes`.
//!
//! Redis has no such command, so its subcommands may be of any form. Each is a
//! subsystem, whose words the handler parses.

use super::{
    respd_clock, respd_data, respd_fault, respd_record, respd_restart, respd_snapshot, respd_space,
    respd_wait,
};
use crate::table::vocabulary::{ANYTIME, CONTAINER, FOR_TESTS};
use crate::table::{Flags, Group, HELP, Row};

/// The rows of this family.
#[rustfmt::skip]
pub const COMMANDS: &[Row] = &[
    Row {
        name: "respd", group: Group::Server, since: FOR_TESTS.since,
        summary: "What tests need beyond a broker.",
        subcommands: &[
            respd_clock::CLOCK,
            respd_wait::WAIT,
            respd_fault::FAULT,
            respd_snapshot::SNAPSHOT,
            respd_snapshot::ROLLBACK,
            respd_data::LOAD,
            respd_data::EXPORT,
            respd_data::DIFF,
            respd_record::RECORD,
            respd_space::SPACE,
            respd_restart::RESTART,
            Row { flags: ANYTIME.union(Flags::FOR_TESTS), since: FOR_TESTS.since, ..HELP },
        ],
        ..CONTAINER
    },
];

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
