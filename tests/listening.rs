//! What a program around a broker hears through the `tracing` crate. It listens to all threads of
//! its process, so it is a program of its own.

use std::fmt::Debug;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use respd::Broker;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

/// Whoever waits longer than this waits in vain.
const PATIENCE: Duration = Duration::from_secs(10);

/// Fields as `name=value`, each with a space before it.
#[derive(Default)]
struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0 += &format!(" {field}={value:?}");
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0 += &format!(" {field}={value}");
    }
}

/// Sends each event with the span that it is in: `client{ id=1 …} message=… …`.
struct Listener(Sender<String>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Listener {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let span = context.span(id).unwrap();
        span.extensions_mut().insert(fields);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let span = context.span(id).unwrap();
        values.record(span.extensions_mut().get_mut::<Fields>().unwrap());
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut text = String::new();
        if let Some(span) = context.event_span(event) {
            let extensions = span.extensions();
            let fields = &extensions.get::<Fields>().unwrap().0;
            text = format!("{}{{{fields}}}", span.name());
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        // The test may have ended.
        let _ = self.0.send(text + &fields.0);
    }
}

/// The first event with this in it, past those before it.
#[track_caller]
fn hear(events: &Receiver<String>, text: &str) -> String {
    let mut heard = Vec::new();
    while let Ok(event) = events.recv_timeout(PATIENCE) {
        if event.contains(text) {
            return event;
        }
        heard.push(event);
    }
    panic!("{text} does not come: {heard:#?}");
}

fn ask(client: &mut TcpStream, line: &str, reply: &str) {
    write!(client, "{line}\r\n").unwrap();
    let mut got = vec![0; reply.len()];
    client.read_exact(&mut got).unwrap();
    assert_eq!(String::from_utf8_lossy(&got), reply, "{line}");
}

#[test]
fn a_program_hears_of_its_broker_and_of_each_client() {
    let (sender, events) = channel();
    let subscriber = tracing_subscriber::registry().with(Listener(sender));
    tracing::subscriber::set_global_default(subscriber).unwrap();

    // What is for the program respd alone, and what only Redis does, is said in code as in a file.
    let builder = Broker::builder()
        .set("logfile", "/no/such/file")
        .set("pidfile", "/no/such/pid")
        .set("appendonly", "yes")
        .set("save", "900 1")
        .set("requirepass", "s3cret")
        .set("loglevel", "notice");
    let broker = builder.start().unwrap();
    hear(
        &events,
        "'logfile' and 'pidfile' have no effect: it is for the program respd, not for a broker inside another one",
    );
    hear(
        &events,
        "'appendonly' and 'save' have no effect: respd keeps data in memory only and writes none to disk",
    );

    let mut client = TcpStream::connect(broker.addr()).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let addr = client.local_addr().unwrap();
    let accepted = hear(&events, "Accepted ");
    let id = accepted.split_once("client{ id=").unwrap().1;
    let id = id.split(' ').next().unwrap();
    let span = format!("client{{ id={id} addr={addr}");
    let start = format!("{span}}} message=Accepted {addr}");
    assert!(accepted.starts_with(&start), "{accepted}");

    ask(&mut client, "AUTH s3cret", "+OK\r\n");
    ask(&mut client, "CLIENT SETNAME worker", "+OK\r\n");
    ask(&mut client, "SET k v", "+OK\r\n");
    ask(
        &mut client,
        "INCR k",
        "-ERR value is not an integer or out of range\r\n",
    );
    let failed = hear(&events, "Command failed");
    let expected = format!(
        "{span} name=worker}} message=Command failed id={id} addr={addr} name=worker \
         command=incr error=ERR value is not an integer or out of range"
    );
    assert_eq!(failed, expected);
    drop(client);
    let closed = hear(&events, "Client closed connection");
    assert!(
        closed.starts_with(&format!("{span} name=worker}} ")),
        "{closed}"
    );

    assert!(!format!("{broker:?}").contains("s3cret"), "{broker:?}");
}
