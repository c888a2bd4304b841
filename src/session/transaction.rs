//! The commands that MULTI queues until EXEC runs them.
//!
//! Their words stand in a few buffers that many commands share: an allocation
//! or two for each command would cost a tenth of what it takes to queue and
//! run it.

use std::ops::Range;

use crate::resp::Argv;

/// Commands queued since MULTI.
#[derive(Default)]
pub struct Transaction {
    /// Never moved again, so that growing copies little.
    full: Vec<Part>,
    last: Part,
    memory: usize,
    /// A command was refused, so EXEC is refused, too.
    pub refused: bool,
}

/// A part that has become as large as this many bytes is full.
const PART_MAX: usize = 16 * 1024;

/// Some of the commands of a transaction.
#[derive(Default)]
struct Part {
    commands: Vec<Queued>,
    buffer: Vec<u8>,
    words: Vec<Range<u32>>,
}

struct Queued {
    id: u32,
    timed: bool,
    /// Where its words begin in the buffer.
    start: u32,
    /// How many they are.
    words: u32,
}

impl Transaction {
    /// Queues the command with this id. `timed` tells whether the clock is
    /// read after it, or only after one of those that follow.
    pub fn push(&mut self, id: usize, timed: bool, argv: Argv<'_>) {
        if self.last.memory() >= PART_MAX {
            self.full.push(std::mem::take(&mut self.last));
        }
        let before = self.last.memory();
        self.last.push(id, timed, argv);
        self.memory += self.last.memory() - before;
    }

    /// How many commands there are.
    pub fn len(&self) -> usize {
        self.parts().map(|part| part.commands.len()).sum()
    }

    /// The ids of the commands in order, whether they are timed, and their words.
    pub fn commands(&self) -> impl Iterator<Item = (usize, bool, Argv<'_>)> {
        self.parts().flat_map(Part::commands)
    }

    /// Bytes that all this takes.
    pub fn memory(&self) -> usize {
        self.memory
    }

    fn parts(&self) -> impl Iterator<Item = &Part> {
        self.full.iter().chain([&self.last])
    }
}

impl Part {
    fn push(&mut self, id: usize, timed: bool, argv: Argv<'_>) {
        if self.commands.is_empty() {
            // Room for a few small commands at once.
            self.commands.reserve(16);
            self.buffer.reserve(512);
            self.words.reserve(48);
        }
        // What a part holds before a command is added is much below 4 GiB.
        self.commands.push(Queued {
            id: id as u32,
            timed,
            start: self.buffer.len() as u32,
            words: argv.len() as u32,
        });
        argv.append_to(&mut self.buffer, &mut self.words);
    }

    fn commands(&self) -> impl Iterator<Item = (usize, bool, Argv<'_>)> {
        let mut words = &self.words[..];
        self.commands.iter().map(move |command| {
            let of_this;
            (of_this, words) = words.split_at(command.words as usize);
            let argv = Argv::new(&self.buffer[command.start as usize..], of_this);
            (command.id as usize, command.timed, argv)
        })
    }

    fn memory(&self) -> usize {
        self.buffer.len() + size_of_val(&*self.words) + size_of_val(&*self.commands)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::OwnedArgv;

    #[test]
    fn commands_come_back_as_they_were_queued() {
        let mut transaction = Transaction::default();
        let mut rng = fastrand::Rng::with_seed(5);
        let mut queued = Vec::new();
        for id in 0..300 {
            let lens = [0, 1, 10, 300, 2 * PART_MAX];
            let words: Vec<Vec<u8>> = (0..rng.usize(1..6))
                .map(|_| vec![rng.u8(..); lens[rng.usize(..lens.len())]])
                .collect();
            let argv = OwnedArgv::new(words.iter().map(Vec::as_slice));
            transaction.push(id, rng.bool(), argv.as_argv());
            queued.push((id, words));
        }
        let kept: Vec<_> = transaction
            .commands()
            .map(|(id, _, argv)| (id, argv.iter().map(<[u8]>::to_vec).collect()))
            .collect();
        assert_eq!(transaction.len(), 300);
        assert!(kept == queued);
        let bytes: usize = queued
            .iter()
            .flat_map(|(_, words)| words)
            .map(Vec::len)
            .sum();
        assert!(transaction.memory() > bytes, "{}", transaction.memory());
        assert!(transaction.full.len() > 50, "{}", transaction.full.len());
    }
}
