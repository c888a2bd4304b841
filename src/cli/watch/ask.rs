//! Several commands in one go, and what their replies say.

use respd::resp::value::Value;

use super::super::client::Connection;
use super::super::error::Error;
use super::super::say::one_line;

/// Sends all commands and waits for all replies, errors among them.
///
/// Their names are spelt as nobody else does, `iNFO`, which is the same to a server. MONITOR and
/// the slow log repeat it, and so tell them from those of others; addresses would not, as all
/// clients of a Unix socket have the same.
pub fn ask<'a, C>(connection: &mut Connection, commands: &[C]) -> Result<Vec<Value>, Error>
where
    C: AsRef<[&'a [u8]]>,
{
    for command in commands {
        let mut command = command.as_ref().to_vec();
        let name = spelt(command[0]);
        command[0] = &name;
        connection.queue(&command);
    }
    connection.flush()?;
    commands.iter().map(|_| connection.receive()).collect()
}

fn spelt(name: &[u8]) -> Vec<u8> {
    let mut name = name.to_ascii_uppercase();
    name[..1].make_ascii_lowercase();
    name
}

/// Whether a command that the server repeats is one that [`ask`] has sent, here or elsewhere.
pub fn is_asked(arguments: &[Vec<u8>]) -> bool {
    let name = arguments.first();
    name.is_some_and(|name| name.len() > 1 && *name == spelt(name))
}

/// A number that counts something.
pub fn integer(value: &Value) -> Option<u64> {
    match value {
        Value::Integer(number) => u64::try_from(*number).ok(),
        _ => None,
    }
}

/// Why a reply is not what was asked for.
pub fn refusal(value: &Value) -> String {
    match value {
        Value::Error(text) => one_line(&String::from_utf8_lossy(text)),
        _ => "the answer makes no sense".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_is_told_from_what_others_send() {
        for (name, is_ours) in [
            ("iNFO", true),
            ("INFO", false),
            ("info", false),
            ("Info", false),
            ("x", false),
            ("", false),
        ] {
            assert_eq!(
                is_asked(&[name.into(), b"stats".to_vec()]),
                is_ours,
                "{name}"
            );
        }
        assert!(!is_asked(&[]));
    }
}
