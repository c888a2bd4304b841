//! `respd push`: the producer of a queue that is a list.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use clap::Args;

use super::address_flags::{self, Flags};
use super::client::Connection;
use super::environment::Environment;
use super::failure::Failure;
use super::lines::{SendFlags, Sender};
use super::say::{counted, harmless};

/// Put items into a queue, for `respd pop` to take out
///
/// The producer of the LPUSH/BLPOP pair: LPUSH puts each item at the front of the list, as it is.
/// Without ITEM it is asked for; piped input is pushed line by line, as it comes.
#[derive(Args)]
#[command(disable_help_flag = true, after_help = address_flags::HELP, after_long_help = long_help())]
pub struct Push {
    /// The key of the list
    queue: OsString,

    /// The items, in the order in which they are to come out; put -- before one that begins with
    /// a dash
    #[arg(value_name = "ITEM", allow_negative_numbers = true)]
    items: Vec<OsString>,

    #[command(flatten)]
    sending: SendFlags,

    #[command(flatten)]
    broker: Flags,
}

fn long_help() -> String {
    let examples = "\
Examples:
  respd push jobs \"resize picture 7\"
  respd push jobs first second third
  respd push jobs -q < jobs.txt
  respd push jobs --stdin < job.json
  seq 1000 | respd push jobs --rate 50/s";
    format!("{examples}\n\n{}", address_flags::HELP)
}

impl Push {
    pub fn run(self) -> Result<(), Failure> {
        if self.sending.takes_all() && !self.items.is_empty() {
            let line = "an item is given twice, as a word and with --stdin";
            return Err(Failure::Setting(line.to_owned()));
        }
        let target = self.broker.target(&Environment::of_process())?;
        let mut connection = Connection::open(&target)?;
        let queue = self.queue.into_vec();
        let sender = Sender {
            command: "LPUSH",
            key: &queue,
            encode: Ok,
            report: &|length| report(&queue, length),
            flags: &self.sending,
        };
        sender.run(&mut connection, self.items)
    }
}

fn report(queue: &[u8], length: i64) -> String {
    let queue = harmless(queue, &[]);
    format!("Pushed to '{queue}': it holds {}", counted(length, "item"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_counts() {
        assert_eq!(report(b"jobs", 1), "Pushed to 'jobs': it holds 1 item");
        assert_eq!(report(b"jobs", 3), "Pushed to 'jobs': it holds 3 items");
    }
}
