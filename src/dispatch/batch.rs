//! Plans and runs the requests of a batch under one lock, whoever the client is.

use std::ops::Range;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::faults::{self, Fate};
use super::{Next, recorded};
use crate::engine::Engine;
use crate::resp::request::Batch;
use crate::resp::{Output, Reply};
use crate::session::Session;
use crate::table::{Command, Context, Table};

/// The requests of a batch, and what is known of them before they run.
#[derive(Default)]
pub struct Requests {
    /// The requests.
    pub batch: Batch,
    /// One for each request that is to run.
    commands: Vec<Planned>,
    /// Where in the buffer keys are.
    keys: Vec<Range<u32>>,
    /// Where keys of collections are, and elements that are looked up in them.
    elements: Vec<(Range<u32>, Range<u32>)>,
    /// The command that was looked up last. In a pipeline, and among clients
    /// that all do the same, the next one is often the same.
    last: Option<&'static Command>,
}

/// What is known of a request before it runs.
#[derive(Clone, Copy)]
struct Planned {
    /// Its command, if there is one of that name.
    command: Option<&'static Command>,
    /// The clock is read after it. Otherwise it is timed together with the
    /// next one, which is of the same command.
    timed: bool,
}

/// How far a batch has come.
pub struct Progress {
    /// The request to go on with.
    pub next: usize,
    /// Where in the buffer it begins.
    pub end: usize,
    /// Why it is not run yet, if the batch is not done.
    pub stopped: Option<Stopped>,
    /// Other clients have been handed something.
    pub reached_others: bool,
    /// What a fault does to the last reply.
    pub fate: Option<Fate>,
}

/// Why a batch is not done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stopped {
    /// The client ends, as its session says.
    Ended,
    /// The client waits, until then at the latest, in time since the broker's
    /// start.
    Blocked(Option<Duration>),
    /// CLIENT PAUSE holds the next request back.
    Held,
    /// The next request runs a script, which nobody could be served beside.
    Aside,
    /// There are many replies, which are to leave before more are made.
    OutputFull,
    /// A fault has struck the last reply.
    Struck,
}

/// Looking up so few keys at once is not faster than one after the other.
const WARM_MIN: usize = 4;
/// So many calls are timed together at most. Reading the clock takes a tenth
/// of a GET.
const TIMED_TOGETHER_MAX: usize = 16;
/// Commands are timed together unless they are to be logged when they take
/// less than this many microseconds, which so many may take together.
const TIMED_TOGETHER_US: u64 = 1000;
/// A request with more words takes time, whatever the command.
const CONSTANT_TIME_WORDS: usize = 8;
/// Of more elements the first ones would be out of the cache again before they
/// are looked for.
const ELEMENTS_MAX: usize = 1024;
/// Plans keep room for so many requests and keys.
const KEPT: usize = 4096;

impl Requests {
    /// Looks up the commands of the batch from the request `first` on, and has
    /// memory fetch what the lookups of their keys are going to need.
    ///
    /// A lookup in a large keyspace misses the cache two or three times, each
    /// time waiting for memory. Those of a batch are independent of each other,
    /// so here the processor waits for many at once: SET and GET in pipelines
    /// of 16 cost a fifth less, MSET of ten a quarter.
    fn plan(
        &mut self,
        context: &mut Context<'_>,
        table: &'static Table,
        (first, buffer): (usize, &[u8]),
    ) {
        let Requests {
            batch,
            commands,
            keys,
            elements,
            last,
        } = self;
        commands.clear();
        commands.shrink_to(KEPT);
        keys.clear();
        keys.shrink_to(KEPT);
        elements.clear();
        let seek_keys = batch.word_count() >= 2 * WARM_MIN;
        let together_max = match context.server.live.slow_us.load(Relaxed) {
            ..TIMED_TOGETHER_US => 1,
            _ => TIMED_TOGETHER_MAX,
        };
        let mut together = 0;
        for index in first..batch.len() {
            let (argv, _) = batch.get(index, buffer);
            let name = argv.get(0).unwrap_or_default();
            let repeated = last.filter(|last| last.is_named(name));
            let command = repeated.or_else(|| table.lookup(argv).ok());
            let constant_time = command.is_some_and(|command| command.constant_time)
                && argv.len() <= CONSTANT_TIME_WORDS;
            if constant_time && repeated.is_some() && (1..together_max).contains(&together) {
                together += 1;
                if let Some(before) = commands.last_mut() {
                    before.timed = false;
                }
            } else {
                together = usize::from(constant_time);
            }
            commands.push(Planned {
                command,
                timed: true,
            });
            if let Some(command) = command {
                *last = Some(command);
                if seek_keys {
                    let words = batch.words_in_buffer(index);
                    let places = command.first_keys.places(words.len());
                    keys.extend(places.map(|place| words[place].clone()));
                    let left = ELEMENTS_MAX - elements.len();
                    let places = command.row.elements.places(words.len());
                    let named = places.map(|place| (words[1].clone(), words[place].clone()));
                    elements.extend(named.take(left));
                }
            }
        }
        let word = |at: &Range<u32>| &buffer[at.start as usize..at.end as usize];
        let warms = keys.len() >= WARM_MIN || elements.len() >= WARM_MIN;
        if !warms || !context.turn.begin() {
            return;
        }
        if keys.len() >= WARM_MIN {
            context.db().database().warm(keys.iter().map(word));
        }
        if elements.len() >= WARM_MIN {
            let elements = elements.iter().map(|(key, name)| (word(key), word(name)));
            context.db().database().warm_elements(elements);
        }
    }

    /// Runs the requests from `first` on under one lock, until they are done,
    /// the client blocks, is held or ends, or the replies have grown by
    /// `output_max` bytes. `buffer` is what the batch was decoded from.
    /// `meanwhile` serves others for a moment while a script runs for long;
    /// without it none is run.
    pub fn run(
        &mut self,
        engine: &Engine,
        table: &'static Table,
        session: &mut Session,
        (first, buffer): (usize, &[u8]),
        (output, output_max): (&mut Output, usize),
        meanwhile: Option<&dyn Fn()>,
    ) -> Progress {
        let mut context = Context::new(engine, session, meanwhile);
        context.session.client.note_activity(context.turn.uptime);
        self.plan(&mut context, table, (first, buffer));
        let mut progress = Progress {
            next: first,
            end: 0,
            stopped: None,
            reached_others: false,
            fate: None,
        };
        let replies = (&mut *output, output_max);
        // A loop of its own has a request cost nothing more where there are no tests: in one for
        // both a GET took 5 % more instructions, a PUBLISH 7 %.
        match &engine.barriers {
            None => {
                self.run_planned::<false>(&mut context, table, buffer, replies, &mut progress);
            }
            Some(barriers) => {
                self.run_planned::<true>(&mut context, table, buffer, replies, &mut progress);
                let run = &self.commands[..progress.next - first];
                let ids = run.iter().filter_map(|planned| Some(planned.command?.id));
                barriers.note_sent(context.session.client.id, ids);
            }
        }
        context.turn.broadcast();
        super::take_messages(&context.session.client, output);
        progress.reached_others = context.turn.reached_others;
        progress
    }

    /// Runs what is planned. `FOR_TESTS` says whether the broker is for tests.
    #[inline]
    fn run_planned<const FOR_TESTS: bool>(
        &self,
        context: &mut Context<'_>,
        table: &'static Table,
        buffer: &[u8],
        (output, output_max): (&mut Output, usize),
        progress: &mut Progress,
    ) {
        // What the client has not read of earlier replies.
        let backlog = output.len();
        for planned in &self.commands {
            let (argv, end) = self.batch.get(progress.next, buffer);
            let recorded = match FOR_TESTS {
                true => recorded::begin(context, table, planned.command, argv, output),
                false => None,
            };
            let mark = output.mark();
            let mut reply = Reply::new(output, context.session.protocol);
            let known = (planned.command, planned.timed);
            let next = super::run::<FOR_TESTS>(context, table, known, argv, &mut reply);
            if FOR_TESTS {
                let blocks = matches!(next, Next::Block(_));
                if let Some(recorded) = recorded {
                    recorded.end(&next, output);
                }
                progress.fate = faults::strike_reply(context, blocks, (output, mark));
                context.turn.show_between();
            }
            // Messages that the command has put into its own outbox come after
            // its reply and before the next one's. They are no replies, so
            // CLIENT REPLY does not silence them.
            super::take_messages(&context.session.client, output);
            let not_run = match next {
                Next::Hold => Some(Stopped::Held),
                Next::Aside => Some(Stopped::Aside),
                Next::Run | Next::Block(_) => None,
            };
            if not_run.is_some() {
                progress.stopped = not_run;
                break;
            }
            progress.next += 1;
            progress.end = end;
            progress.stopped = match next {
                Next::Block(timeout) => {
                    // The time of the turn may have passed by now.
                    let now = context.server.clock.uptime();
                    let deadline = timeout.map(|timeout| now.saturating_add(timeout));
                    Some(Stopped::Blocked(deadline))
                }
                _ if FOR_TESTS && progress.fate.is_some() => Some(Stopped::Struck),
                _ if context.session.ending.is_some() => Some(Stopped::Ended),
                _ if output.len() - backlog >= output_max => Some(Stopped::OutputFull),
                _ => None,
            };
            if progress.stopped.is_some() {
                break;
            }
        }
    }
}
