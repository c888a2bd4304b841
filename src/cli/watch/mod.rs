//! `respd watch`: the broker at a glance, drawn on a terminal again and again.
//!
//! One thread draws and does what the keys say. Another one asks the server, one reads the keys,
//! and one listens to each thing that was chosen; what they have to say comes as [`Event`]s.
//! Nothing here changes anything at the server but what the user sends.

mod ask;
mod board;
mod contents;
mod detail;
mod figures;
mod keyboard;
mod keyspace;
mod listen;
mod monitored;
mod pane;
mod prompt;
mod rate;
mod rows;
mod sampler;
mod screen;
mod scroll;
mod server;
mod signals;
mod state;
mod traffic;
mod view;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use clap::Args;
use jiff::Timestamp;
use ratatui::crossterm::event::{self, KeyEvent, KeyEventKind};
use respd::resp::value::Value;

use super::address_flags::{self, Flags};
use super::client::Connection;
use super::environment::Environment;
use super::failure::Failure;
use super::target::Target;
use board::Board;
use contents::{Channel, Messages, Subject};
use detail::{Detail, Source};
use keyboard::Wish;
use listen::{Heard, Listener, NAME};
use monitored::Monitored;
use pane::Pane;
use sampler::{News, Request, Sampler};
use screen::Screen;
use server::Client;
use state::State;
use traffic::{Shared, Traffic};
use view::{Theme, View};

/// How often the screen is drawn without a reason.
const TICK: Duration = Duration::from_millis(250);

/// How much of MONITOR a server may have to hold for us, which it bounds by nothing itself.
const MOST_BEHIND: u64 = 64 * 1024 * 1024;

/// See what flows through a broker: channels, queues, streams, clients, slow commands
///
/// It works with any Redis, too, and asks it for little: what INFO, PUBSUB, CLIENT LIST, SLOWLOG,
/// the lengths of lists and streams, and SCAN in small steps tell. Nothing is taken from a queue,
/// no channel is subscribed to before it is opened, and MONITOR runs only on request. The key ?
/// shows what can be done.
#[derive(Args)]
#[command(disable_help_flag = true, after_help = address_flags::HELP, after_long_help = long_help())]
pub struct Watch {
    /// The time between two looks at the broker
    #[arg(short, long, value_name = "SECONDS", default_value = "1", value_parser = interval)]
    interval: Duration,

    #[command(flatten)]
    broker: Flags,
}

fn long_help() -> String {
    let examples = "\
Examples:
  respd watch
  respd watch -p 7000 --interval 5
  respd watch --url redis://cache.example:6379/2";
    format!("{examples}\n\n{}", address_flags::HELP)
}

fn interval(text: &str) -> Result<Duration, &'static str> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds")?;
    match (0.1..=3600.0).contains(&seconds) {
        true => Ok(Duration::from_secs_f64(seconds)),
        false => Err("must be from 0.1 to 3600"),
    }
}

impl Watch {
    pub fn run(self) -> Result<(), Failure> {
        let target = self.broker.target(&Environment::of_process())?;
        if !screen::is_there() {
            return Err(Failure::Failed(
                "watch needs a terminal to draw on; without one there are respd subscribe, \
                 redis-cli info and redis-cli monitor"
                    .to_owned(),
            ));
        }
        // What is wrong with the address is said before the terminal changes.
        let connection = Connection::open(&target)?;
        let (sender, events) = channel();
        let (requests, asked) = channel();
        let mut desk = Desk {
            traffic: Arc::new(Shared::new(Traffic::of(target.database))),
            shown_target: target.to_string(),
            target,
            interval: self.interval,
            requests,
            sender: sender.clone(),
            state: State::new(),
            board: Board::default(),
            monitor: None,
            listener: None,
        };
        let traffic = Arc::clone(&desk.traffic);
        let sampler = Sampler::new(desk.target.clone(), self.interval, traffic);
        let news = sender.clone();
        spawn("sampler", move || sampler.run(connection, &asked, &news))?;
        let leave = sender.clone();
        signals::heed(move || {
            // It may be leaving already.
            let _ = leave.send(Event::Leave);
        })?;
        let theme = Theme::new(std::env::var_os("NO_COLOR"));
        let mut screen = Screen::take()?;
        spawn("keys", move || read_keys(&sender))?;
        desk.work(&mut screen, &events, theme)
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    let thread = std::thread::Builder::new().name(name.to_owned());
    thread.spawn(work).map(drop)
}

/// What happens to the one who draws.
enum Event {
    Key(KeyEvent),
    Paste(String),
    /// The terminal has another size.
    Resize,
    News(Box<News>),
    MonitorEnded(String),
    /// The user, or the system, ends it; or there is no terminal any more.
    Leave,
}

impl From<News> for Event {
    fn from(news: News) -> Event {
        Event::News(Box::new(news))
    }
}

fn read_keys(events: &Sender<Event>) {
    loop {
        let event = match event::read() {
            Ok(event::Event::Key(key)) if key.kind != KeyEventKind::Release => Event::Key(key),
            Ok(event::Event::Paste(text)) => Event::Paste(text),
            Ok(event::Event::Resize(..)) => Event::Resize,
            Ok(_) => continue,
            Err(_) => Event::Leave,
        };
        let is_last = matches!(event, Event::Leave);
        if events.send(event).is_err() || is_last {
            return;
        }
    }
}

/// Everything that the one who draws has.
struct Desk {
    target: Target,
    shown_target: String,
    interval: Duration,
    requests: Sender<Request>,
    sender: Sender<Event>,
    traffic: Arc<Shared<Traffic>>,
    state: State,
    board: Board,
    /// What listens to MONITOR, and to the channel that is open.
    monitor: Option<Listener>,
    listener: Option<Listener>,
}

impl Desk {
    fn work(
        &mut self,
        screen: &mut Screen,
        events: &Receiver<Event>,
        theme: Theme,
    ) -> Result<(), Failure> {
        loop {
            self.settle();
            let view = View {
                target: &self.shown_target,
                interval: self.interval,
                state: &self.state,
                board: &self.board,
                theme,
                now: Instant::now(),
            };
            screen.terminal.draw(|frame| view.draw(frame))?;
            let mut next = match events.recv_timeout(TICK) {
                Ok(event) => Some(event),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            };
            // All that is there is one change to draw.
            while let Some(event) = next {
                match event {
                    Event::Leave => return Ok(()),
                    Event::Resize => {}
                    Event::Paste(text) => keyboard::paste(&mut self.state, &text),
                    Event::Key(key) => match keyboard::press(&mut self.state, key) {
                        Some(Wish::Leave) => return Ok(()),
                        Some(Wish::Stop) => screen.stop()?,
                        Some(Wish::Redraw) => screen.clear()?,
                        Some(wish) => self.fulfil(wish)?,
                        None => {}
                    },
                    Event::News(news) => self.hear(*news)?,
                    Event::MonitorEnded(why) => {
                        self.end_monitor();
                        self.state.warn(why);
                    }
                }
                next = events.try_recv().ok();
            }
        }
    }

    /// Brings what is shown up to date, unless it is to stay as it is.
    fn settle(&mut self) {
        if self.state.is_paused {
            return;
        }
        if let Some(detail) = &mut self.state.detail {
            detail.settle();
        }
        let traffic = self.monitor.as_ref().map(|_| self.traffic.lock());
        for pane in Pane::ALL {
            let rows = rows::rows(pane, &self.board, traffic.as_deref());
            self.state.set_rows(pane, rows);
        }
    }

    fn hear(&mut self, news: News) -> Result<(), Failure> {
        match news {
            // One may have been on its way when the pause began.
            News::Sample(_) if self.state.is_paused => {}
            News::Sample(sample) => {
                let traffic = self.monitor.as_ref().map(|_| self.traffic.lock());
                self.board.see(*sample, traffic.as_deref());
                drop(traffic);
                self.keep_up();
            }
            News::Contents(look, contents) => {
                if let Some(detail) = &mut self.state.detail {
                    detail.hear(&look, contents);
                }
            }
            News::Away(why) => self.state.away = Some(why),
            News::Back => {
                self.state.away = None;
                self.board.asked_since(Instant::now());
                self.state
                    .tell(format!("connected again to {}", self.shown_target));
            }
            News::Done(what) => self.state.tell(what),
            News::Refused(why) => self.state.warn(why),
            News::Failed(failure) => return Err(failure.into()),
        }
        Ok(())
    }

    fn fulfil(&mut self, wish: Wish) -> Result<(), Failure> {
        match wish {
            Wish::Leave | Wish::Stop | Wish::Redraw => {}
            Wish::Ask(request) => {
                if request == Request::Pause(false) {
                    self.board.asked_since(Instant::now());
                }
                self.ask(request);
            }
            Wish::Open(subject) => self.open(subject)?,
            Wish::Close => {
                self.state.detail = None;
                self.listener = None;
                self.ask(Request::Look(None));
            }
            Wish::Monitor(false) => self.end_monitor(),
            Wish::Monitor(true) => self.begin_monitor()?,
        }
        Ok(())
    }

    fn ask(&self, request: Request) {
        // The thread that hears it ends only with a failure, which ends this one, too.
        let _ = self.requests.send(request);
    }

    fn open(&mut self, subject: Subject) -> Result<(), Failure> {
        let source = match &subject {
            Subject::Channel(channel) => Source::Messages(self.subscribe(channel)?),
            Subject::Queue(_) | Subject::Stream(_) => Source::Window(None),
            Subject::Client(id) => Source::Text(self.about_client(*id)),
            Subject::Slow(id) => Source::Text(self.about_slow(*id)),
            Subject::Command(number) => Source::Text(self.about_command(*number)),
        };
        let detail = Detail::of(subject, source);
        self.ask(Request::Look(detail.look()));
        self.state.detail = Some(detail);
        Ok(())
    }

    fn subscribe(&mut self, channel: &Channel) -> Result<Arc<Shared<Messages>>, Failure> {
        let messages = Arc::new(Shared::new(Messages::default()));
        let heard_by = Arc::clone(&messages);
        let subscribe = match channel.is_of_shard {
            true => b"SSUBSCRIBE".to_vec(),
            false => b"SUBSCRIBE".to_vec(),
        };
        let command = vec![subscribe, channel.name.clone()];
        let listener = Listener::start(&self.target, command, move |heard| match heard {
            Heard::Begin => heard_by.lock().begun += 1,
            Heard::Value(value) => heard_by.lock().hear(&value, Timestamp::now()),
            Heard::End(why) => heard_by.lock().ended = Some(why),
        })?;
        self.listener = Some(listener);
        Ok(messages)
    }

    fn begin_monitor(&mut self) -> Result<(), Failure> {
        let traffic = Arc::clone(&self.traffic);
        let sender = self.sender.clone();
        let listener = Listener::start(&self.target, vec![b"MONITOR".to_vec()], move |heard| {
            match heard {
                Heard::Begin => traffic.lock().begin(),
                Heard::Value(Value::Simple(line)) => {
                    if let Some(command) = Monitored::parse(&line) {
                        traffic.lock().see(command);
                    }
                }
                Heard::Value(_) => {}
                Heard::End(why) => {
                    // Who does not draw any more needs no reason.
                    let _ = sender.send(Event::MonitorEnded(why));
                }
            }
        })?;
        self.monitor = Some(listener);
        self.state.is_monitoring = true;
        let notice = "MONITOR runs, which costs the server; m ends it";
        self.state.tell(notice.to_owned());
        Ok(())
    }

    fn end_monitor(&mut self) {
        self.monitor = None;
        self.state.is_monitoring = false;
    }

    /// Ends MONITOR if more of it comes than can be taken.
    fn keep_up(&mut self) {
        let behind = behind(&self.board.clients.known);
        if let Some(held) = behind.filter(|_| self.monitor.is_some()) {
            let held = figures::bytes(held);
            self.end_monitor();
            self.state.warn(format!(
                "MONITOR ended: there is more than arrives here, and the server held {held} of it"
            ));
        }
    }

    fn about_client(&self, id: u64) -> Vec<u8> {
        let mut clients = self.board.clients.known.iter();
        let Some(client) = clients.find(|client| client.id == id) else {
            return Vec::new();
        };
        let field = |(name, value): &(String, String)| format!("{name:<10} {value}\n");
        let fields: String = client.fields.iter().map(field).collect();
        fields.into_bytes()
    }

    fn about_slow(&self, id: i64) -> Vec<u8> {
        let mut slow = self.board.slow.known.iter();
        slow.find(|slow| slow.id == id)
            .map_or_else(Vec::new, |slow| slow.arguments.join(&b'\n'))
    }

    fn about_command(&self, number: u64) -> Vec<u8> {
        let traffic = self.traffic.lock();
        let mut last = traffic.last.iter();
        last.find(|(seen, _)| *seen == number)
            .map_or_else(Vec::new, |(_, command)| command.arguments.join(&b'\n'))
    }
}

/// How much the server holds of a MONITOR of ours, where it is too much.
fn behind(clients: &[Client]) -> Option<u64> {
    let is_ours = |client: &&Client| client.name == NAME && client.command == "monitor";
    let held = clients.iter().filter(is_ours).map(|client| client.output);
    held.max().filter(|held| *held > MOST_BEHIND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_monitor_that_cannot_be_followed_is_noticed() {
        let client = |line: &str| Client::parse(line);
        let others = client("name=w cmd=monitor omem=999999999");
        let look = client("name=respd-watch cmd=client|list omem=999999999");
        let few = client("name=respd-watch cmd=monitor omem=67108864");
        let many = client("name=respd-watch cmd=monitor omem=67108865");
        assert_eq!(behind(&[others.clone(), look.clone(), few]), None);
        assert_eq!(behind(&[others, look, many]), Some(67_108_865));
    }

    #[test]
    fn intervals_are_seconds() {
        assert_eq!(interval("0.5"), Ok(Duration::from_millis(500)));
        for text in ["0", "-1", "nan", "4000", "soon"] {
            assert!(interval(text).is_err(), "{text}");
        }
    }
}
