//! Several commands in one go, and what their replies say.

use respd::resp::value::Value;

use super::super::client::Connection;
use super::super::error::Error;
use super::super::say::one_line;

/// Sends all commands and waits for all replies, errors among them.
pub fn ask<'a, C>(connection: &mut Connection, commands: &[C]) -> Result<Vec<Value>, Error>
where
    C: AsRef<[&'a [u8]]>,
{
    for command in commands {
        connection.queue(command.as_ref());
    }
    connection.flush()?;
    commands.iter().map(|_| connection.receive()).collect()
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
