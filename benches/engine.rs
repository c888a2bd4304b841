//! What a command costs without a socket: decode, check, run, encode.
//!
//! `cargo bench --bench engine`. Each figure is for one command out of a batch
//! of sixteen, over 100,000 keys, as in a pipeline.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use respd::{Broker, LocalClient};

const BATCH: usize = 16;
const KEYS: usize = 100_000;
const ITEM: &str = "0123456789abcdef";

fn request(words: &[String]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        out.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
    out
}

/// A batch of one command, or of several with `;` between, each `{key}`
/// replaced by a key at random.
fn batch(rng: &mut fastrand::Rng, command: &str) -> Vec<u8> {
    let word = |rng: &mut fastrand::Rng, word: &str| {
        let key = format!("key:{:012}", rng.usize(..KEYS));
        word.replace("{key}", &key)
    };
    let mut out = Vec::new();
    for _ in 0..BATCH {
        for line in command.split("; ") {
            let words: Vec<String> = line.split(' ').map(|text| word(rng, text)).collect();
            out.extend_from_slice(&request(&words));
        }
    }
    out
}

fn filled(client: &mut LocalClient, large: &str) {
    for n in 0..KEYS {
        client.call(&["SET", &format!("key:{n:012}"), "xxx"]);
        client.call(&["SET", &format!("large:key:{n:012}"), large]);
        client.call(&["RPUSH", "long", ITEM]);
    }
}

fn commands(criterion: &mut Criterion) {
    let broker = Broker::start().expect("a broker starts");
    let (mut client, mut preparing) = (broker.client(), broker.client());
    let large = "x".repeat(1024);
    filled(&mut client, &large);
    let sets = "SET {key} xxx; ".repeat(10);
    let push = format!("RPUSH queue {ITEM}");
    // The name, what is run before without being measured, the command.
    let commands = [
        ("ping", "", "PING".to_owned()),
        ("set", "", "SET {key} xxx".to_owned()),
        ("set 1 KiB", "", format!("SET large:{{key}} {large}")),
        ("set with expiry", "", "SET {key} xxx EX 1000".to_owned()),
        ("get", "", "GET {key}".to_owned()),
        ("get 1 KiB", "", "GET large:{key}".to_owned()),
        ("incr", "", "INCR counter:{key}".to_owned()),
        ("expire", "", "EXPIRE {key} 1000".to_owned()),
        ("ttl", "", "TTL {key}".to_owned()),
        (
            "mset of ten",
            "",
            format!("MSET{}", " {key} xxx".repeat(10)),
        ),
        ("multi of ten sets", "", format!("MULTI; {sets}EXEC")),
        ("lpush", "", "LPUSH list xxx".to_owned()),
        ("lpop", &push, "LPOP queue".to_owned()),
        ("rpop", &push, "RPOP queue".to_owned()),
        ("blpop of what is there", &push, "BLPOP queue 0".to_owned()),
        ("lrange of 100", "", "LRANGE long 0 99".to_owned()),
        (
            "publish to nobody",
            "",
            "PUBLISH channel message".to_owned(),
        ),
    ];
    let mut group = criterion.benchmark_group("engine");
    group.throughput(Throughput::Elements(BATCH as u64));
    for (name, before, command) in commands {
        let mut rng = fastrand::Rng::with_seed(1);
        let mut prepare = || {
            if !before.is_empty() {
                preparing.run(&batch(&mut rng, before));
            }
            batch(&mut rng, &command)
        };
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                &mut prepare,
                |requests| client.run(&requests),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, commands);
criterion_main!(benches);
