//! What is known of snapshots of all databases: which database stood at which
//! number, and those that are no longer in use.

use super::garbage::Garbage;
use super::store::Database;

/// The snapshots, and what is kept for them outside of the databases in use.
#[derive(Default)]
pub struct History {
    /// The oldest first.
    pub snapshots: Vec<Snapshot>,
    /// Databases that were emptied, of which a snapshot knows.
    pub aside: Vec<Database>,
    last_snapshot: u64,
    last_database: u64,
}

/// A snapshot.
pub struct Snapshot {
    /// Greater than those of all before.
    pub id: u64,
    /// By number, the ids of the databases that stood there.
    pub databases: Vec<u64>,
}

/// What is held for a snapshot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Held {
    /// The snapshot.
    pub id: u64,
    /// How many keys have changed until the next one was taken, those not
    /// counted that went with all others of their database.
    pub keys: usize,
    /// Bytes of memory that are held for it, about.
    pub bytes: usize,
}

impl History {
    /// Takes a database that is no longer in use: it is garbage, unless there is
    /// a way back to it.
    pub fn lay_aside(&mut self, database: Database, garbage: &mut Garbage) {
        match database.past_id() {
            Some(id) if self.snapshots.iter().any(|one| one.databases.contains(&id)) => {
                self.aside.push(database);
            }
            _ => garbage.add_database(database),
        }
    }

    /// Notes a snapshot of these databases; answers its id.
    pub fn add<'d>(&mut self, databases: impl Iterator<Item = &'d mut Database>) -> u64 {
        self.last_snapshot += 1;
        let id = self.last_snapshot;
        let databases = databases.map(|database| {
            self.last_database += 1;
            database.join(id, self.last_database)
        });
        let databases = databases.collect();
        self.snapshots.push(Snapshot { id, databases });
        id
    }

    /// Lets go of databases to which there is no way back any more.
    pub fn sweep(&mut self, garbage: &mut Garbage) {
        for database in std::mem::take(&mut self.aside) {
            self.lay_aside(database, garbage);
        }
    }

    /// Where a snapshot stands.
    pub fn find(&self, id: u64) -> Option<usize> {
        self.snapshots.iter().position(|snapshot| snapshot.id == id)
    }

    /// Takes a database back that was laid aside.
    pub fn take(&mut self, database: u64) -> Option<Database> {
        let mut aside = self.aside.iter();
        let at = aside.position(|one| one.past_id() == Some(database))?;
        Some(self.aside.swap_remove(at))
    }
}
