//! The panes: what each is called, and the columns of its table.

/// One table of the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pane {
    Channels,
    Queues,
    Streams,
    Clients,
    Slow,
    Commands,
}

/// A column behind the first one, which has the names.
pub struct Column {
    pub title: &'static str,
    pub width: usize,
    /// Those with a higher number go first where there is no room.
    pub rank: u8,
}

const fn column(title: &'static str, width: usize, rank: u8) -> Column {
    Column { title, width, rank }
}

const CHANNELS: &[Column] = &[
    column("SUBSCRIBERS", 11, 0),
    column("MSG/S", 8, 1),
    column("MESSAGES", 9, 2),
];

const QUEUES: &[Column] = &[
    column("LENGTH", 9, 0),
    column("CHANGE/S", 9, 1),
    column("IN/S", 7, 3),
    column("OUT/S", 7, 4),
    column("WAITING", 7, 2),
];

const STREAMS: &[Column] = &[
    column("LENGTH", 9, 0),
    column("ADDED/S", 8, 2),
    column("PENDING", 9, 3),
    column("LAG", 9, 1),
    column("WAITING", 7, 4),
    column("CONSUMERS", 9, 5),
];

const CLIENTS: &[Column] = &[
    column("COMMAND", 12, 0),
    column("IDLE", 7, 1),
    column("AGE", 7, 3),
    column("MEMORY", 8, 2),
    column("ADDRESS", 21, 4),
];

const SLOW: &[Column] = &[
    column("TOOK", 9, 0),
    column("AT", 12, 1),
    column("CLIENT", 21, 2),
];

const COMMANDS: &[Column] = &[column("AT", 12, 1), column("CLIENT", 21, 2)];

impl Pane {
    pub const ALL: [Pane; 6] = [
        Pane::Channels,
        Pane::Queues,
        Pane::Streams,
        Pane::Clients,
        Pane::Slow,
        Pane::Commands,
    ];

    /// Those that stand beside each other where there is room.
    pub const BESIDE: [Pane; 4] = [Pane::Channels, Pane::Queues, Pane::Streams, Pane::Clients];

    pub fn title(self) -> &'static str {
        match self {
            Pane::Channels => "Channels",
            Pane::Queues => "Queues",
            Pane::Streams => "Streams",
            Pane::Clients => "Clients",
            Pane::Slow => "Slow",
            Pane::Commands => "Commands",
        }
    }

    /// What stands above the names.
    pub fn heading(self) -> &'static str {
        match self {
            Pane::Channels => "CHANNEL",
            Pane::Queues => "QUEUE",
            Pane::Streams => "STREAM, GROUPS",
            Pane::Clients => "CLIENT",
            Pane::Slow | Pane::Commands => "COMMAND",
        }
    }

    pub fn columns(self) -> &'static [Column] {
        match self {
            Pane::Channels => CHANNELS,
            Pane::Queues => QUEUES,
            Pane::Streams => STREAMS,
            Pane::Clients => CLIENTS,
            Pane::Slow => SLOW,
            Pane::Commands => COMMANDS,
        }
    }

    /// So many panes further, round and round.
    pub fn moved(self, by: isize) -> Pane {
        let panes = Pane::ALL.len() as isize;
        let index = (self as isize + by).rem_euclid(panes);
        Pane::ALL[index as usize]
    }
}
