//! What a broker costs from outside: over TCP, and to start one.
//!
//! `cargo bench --bench broker`. The client shares the machine, so read these
//! for changes; the bench `compare` measures beside a redis-server.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use respd::Broker;
use respd::resp::value::Value;
use respd::testkit::Data;

fn connect(broker: &Broker) -> TcpStream {
    let stream = TcpStream::connect(broker.addr()).expect("the broker listens");
    stream
        .set_nodelay(true)
        .expect("an open socket takes options");
    stream
}

fn request(words: &[&str]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        out.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
    out
}

/// Sends requests and reads as many bytes as their replies have.
fn exchange(stream: &mut TcpStream, requests: &[u8], replies: &mut [u8]) {
    stream.write_all(requests).expect("the broker reads");
    stream.read_exact(replies).expect("the broker replies");
}

fn requests(criterion: &mut Criterion) {
    let broker = Broker::start().expect("a broker starts");
    let mut client = connect(&broker);
    let mut subscriber = connect(&broker);
    exchange(
        &mut subscriber,
        &request(&["SUBSCRIBE", "channel"]),
        &mut [0; 34],
    );
    exchange(&mut client, &request(&["SET", "key", "value"]), &mut [0; 5]);
    // The command, and the length of its reply.
    let cases: [(&str, &[&str], usize); 3] = [
        ("SET", &["SET", "key", "value"], 5),
        ("GET", &["GET", "key"], 11),
        ("LPUSH and RPOP", &["LPUSH", "list", "item"], 4),
    ];
    for depth in [1, 16] {
        let mut group = criterion.benchmark_group(format!("tcp, pipeline of {depth}"));
        group.throughput(Throughput::Elements(depth as u64));
        for (name, words, len) in cases {
            let (mut one, mut len) = (request(words), len);
            if words[0] == "LPUSH" {
                // The list stays as it is, and so does the reply.
                one.extend_from_slice(&request(&["RPOP", "list"]));
                len += 10;
            }
            let (requests, mut replies) = (one.repeat(depth), vec![0; len * depth]);
            group.bench_function(name, |bencher| {
                bencher.iter(|| exchange(&mut client, &requests, &mut replies));
            });
        }
        group.finish();
    }
    let mut group = criterion.benchmark_group("tcp, from one client to another");
    let publish = request(&["PUBLISH", "channel", "message"]);
    let mut message = vec![0; "*3\r\n$7\r\nmessage\r\n$7\r\nchannel\r\n$7\r\nmessage\r\n".len()];
    group.bench_function("PUBLISH to a subscriber", |bencher| {
        bencher.iter(|| {
            exchange(&mut client, &publish, &mut [0; 4]);
            subscriber
                .read_exact(&mut message)
                .expect("the message comes");
        });
    });
    let mut consumer = connect(&broker);
    let (pop, push) = (
        request(&["BLPOP", "queue", "0"]),
        request(&["LPUSH", "queue", "item"]),
    );
    let mut popped = vec![0; "*2\r\n$5\r\nqueue\r\n$4\r\nitem\r\n".len()];
    group.bench_function("LPUSH to a BLPOP", |bencher| {
        bencher.iter(|| {
            consumer.write_all(&pop).expect("the broker reads");
            exchange(&mut client, &push, &mut [0; 4]);
            consumer.read_exact(&mut popped).expect("the item comes");
        });
    });
    group.finish();
}

fn lifetime(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("broker");
    group.bench_function("start, first PONG, stop", |bencher| {
        bencher.iter(|| {
            let broker = Broker::start().expect("a broker starts");
            ping(&broker);
        });
    });
    group.bench_function("200 tests at once, a broker for each", |bencher| {
        bencher.iter(two_hundred_tests);
    });
    let parent = Broker::for_tests().expect("a broker starts");
    group.bench_function("a space: start, first PONG, end", |bencher| {
        let mut client = parent.client();
        bencher.iter(|| {
            let space = client.call(&["RESPD", "SPACE", "NEW"]);
            let (id, port) = id_and_port(&space);
            let mut inside = TcpStream::connect(("127.0.0.1", port)).expect("the space listens");
            exchange(&mut inside, b"PING\r\n", &mut [0; 7]);
            client.call(&["RESPD", "SPACE", "DROP", &id.to_string()]);
        });
    });
    group.bench_function("restart, first PONG", |bencher| {
        bencher.iter(|| {
            parent.restart(Data::Keep).expect("it comes back");
            ping(&parent);
        });
    });
    group.finish();
}

/// What a test pays to go back, with few keys beside those that it changes and
/// with many.
fn snapshots(criterion: &mut Criterion) {
    const CHANGED: usize = 1000;
    for (name, keys) in [("1,000", CHANGED), ("1,000,000", 1_000_000)] {
        let mut group = criterion.benchmark_group(format!("{name} keys"));
        let broker = Broker::for_tests().expect("a broker starts");
        let mut client = broker.client();
        let mut set = |keys: usize, value: &str| {
            let requests = (0..keys).map(|key| request(&["SET", &format!("key:{key}"), value]));
            let replies = client.run(&requests.collect::<Vec<_>>().concat());
            assert_eq!(replies.len(), keys * "+OK\r\n".len());
        };
        set(keys, "before");
        group.bench_function("take and drop a snapshot", |bencher| {
            bencher.iter(|| broker.snapshot().expect("there is room"));
        });
        let snapshot = broker.snapshot().expect("there is room");
        group.throughput(Throughput::Elements(CHANGED as u64));
        group.bench_function("roll 1,000 of them back", |bencher| {
            bencher.iter_batched(
                || set(CHANGED, "after"),
                |()| assert_eq!(snapshot.roll_back(), Ok(CHANGED)),
                BatchSize::PerIteration,
            );
        });
        group.finish();
    }
}

fn ping(broker: &Broker) {
    exchange(&mut connect(broker), b"PING\r\n", &mut [0; 7]);
}

/// As many threads as `cargo test` has, each with one test after the other.
fn two_hundred_tests() {
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    let left = AtomicUsize::new(200);
    let take = || {
        let one_less = |left: usize| left.checked_sub(1);
        left.fetch_update(Relaxed, Relaxed, one_less).is_ok()
    };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while take() {
                    let broker = Broker::for_tests().expect("a broker starts");
                    let (mut one, mut other) = (connect(&broker), connect(&broker));
                    exchange(&mut one, &request(&["SET", "key", "value"]), &mut [0; 5]);
                    exchange(&mut other, &request(&["GET", "key"]), &mut [0; 11]);
                }
            });
        }
    });
}

/// Of a space, as it is answered.
fn id_and_port(space: &Value) -> (i64, u16) {
    match space {
        Value::Array(words) => match (&words[1], &words[5]) {
            (Value::Integer(id), Value::Integer(port)) => (*id, *port as u16),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

criterion_group!(benches, requests, lifetime, snapshots);
criterion_main!(benches);
