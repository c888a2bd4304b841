//! What a command costs without a socket: decode, check, run, encode.
//!
//! `cargo bench --bench engine`. Each figure is for one command out of a batch
//! of sixteen, over 100,000 keys, as in a pipeline.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use respd::{Broker, LocalClient};

const BATCH: usize = 16;
const KEYS: usize = 100_000;

fn request(words: &[&str]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        out.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
    out
}

/// A batch of one command, `{key}` replaced by keys at random.
fn batch(rng: &mut fastrand::Rng, command: &str) -> Vec<u8> {
    let one = |_| {
        let key = format!("key:{:012}", rng.usize(..KEYS));
        let line = command.replace("{key}", &key);
        request(&line.split(' ').collect::<Vec<_>>())
    };
    (0..BATCH).flat_map(one).collect()
}

fn filled(client: &mut LocalClient) {
    for n in 0..KEYS {
        client.call(&["SET", &format!("key:{n:012}"), "xxx"]);
    }
    for _ in 0..100_000 {
        client.call(&["RPUSH", "queue", "0123456789abcdef"]);
        client.call(&["RPUSH", "long", "0123456789abcdef"]);
    }
}

fn commands(criterion: &mut Criterion) {
    let broker = Broker::start().expect("a broker starts");
    let mut client = broker.client();
    filled(&mut client);
    let long = "x".repeat(1024);
    let commands = [
        ("ping", "PING".to_owned()),
        ("set", "SET {key} xxx".to_owned()),
        ("set 1 KiB", format!("SET {{key}} {long}")),
        ("set with expiry", "SET {key} xxx EX 1000".to_owned()),
        ("get", "GET {key}".to_owned()),
        ("incr", "INCR counter:{key}".to_owned()),
        ("expire", "EXPIRE {key} 1000".to_owned()),
        ("ttl", "TTL {key}".to_owned()),
        ("mset of two", "MSET {key} a {key} b".to_owned()),
        ("lpush", "LPUSH list xxx".to_owned()),
        ("rpop", "RPOP queue".to_owned()),
        ("lrange of 100", "LRANGE long 0 99".to_owned()),
        ("publish to nobody", "PUBLISH channel message".to_owned()),
    ];
    let mut group = criterion.benchmark_group("engine");
    group.throughput(Throughput::Elements(BATCH as u64));
    for (name, command) in commands {
        let mut rng = fastrand::Rng::with_seed(1);
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || batch(&mut rng, &command),
                |requests| client.run(&requests),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, commands);
criterion_main!(benches);
