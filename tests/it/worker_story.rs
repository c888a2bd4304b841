//! Workers that share a stream, one of which dies with entries in hand: the others take them over,
//! nothing is lost, and nothing is acknowledged twice.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::thread;

use respd::Broker;
use respd::resp::value::Value;

use crate::wire::{Wire, show, until, until_info};

const JOBS: usize = 400;
/// So many entries a worker takes at a time.
const AT_ONCE: &str = "7";

/// An id and the job that stands under it.
type Job = (String, String);

/// Reads the entries of an array: each an id and the fields, of which the first has the job.
fn jobs(entries: &Value) -> Vec<Job> {
    let Value::Array(entries) = entries else {
        panic!("no entries: {entries:?}");
    };
    let jobs = entries.iter().map(|entry| match entry {
        Value::Array(entry) => match &entry[..] {
            [id, Value::Array(fields)] => (show(id), show(&fields[1])),
            _ => panic!("no entry: {entry:?}"),
        },
        _ => panic!("no entry: {entry:?}"),
    });
    jobs.collect()
}

/// The entries of a reply about one stream; none if the time was up.
fn of_stream(reply: &Value) -> Vec<Job> {
    match reply {
        Value::Array(streams) => match &streams[..] {
            [Value::Array(stream)] => jobs(&stream[1]),
            _ => panic!("not one stream: {reply:?}"),
        },
        _ => Vec::new(),
    }
}

/// Acknowledges each job; answers those that this worker was the one to acknowledge.
fn acknowledge(wire: &mut Wire, jobs: Vec<Job>) -> Vec<Job> {
    let mut done = Vec::new();
    for job in jobs {
        match wire.text(&["XACK", "jobs", "workers", &job.0]).as_str() {
            "1" => done.push(job),
            other => assert_eq!(other, "0"),
        }
    }
    done
}

/// Takes jobs until there are none, first those that somebody else has left; answers what it has
/// acknowledged.
fn work(addr: SocketAddr, name: &str) -> Vec<Job> {
    let mut wire = Wire::connect(addr);
    let mut done = Vec::new();
    loop {
        let claim = [
            "XAUTOCLAIM",
            "jobs",
            "workers",
            name,
            "50",
            "0",
            "COUNT",
            AT_ONCE,
        ];
        let Value::Array(claimed) = wire.call(&claim) else {
            panic!("XAUTOCLAIM answers three things");
        };
        let left = jobs(&claimed[1]);
        let mut taken = left.len();
        done.extend(acknowledge(&mut wire, left));
        let read = [
            "XREADGROUP",
            "GROUP",
            "workers",
            name,
            "COUNT",
            AT_ONCE,
            "BLOCK",
            "20",
            "STREAMS",
            "jobs",
            ">",
        ];
        let new = of_stream(&wire.call(&read));
        taken += new.len();
        done.extend(acknowledge(&mut wire, new));
        if taken == 0
            && wire
                .text(&["XPENDING", "jobs", "workers"])
                .starts_with("[0 ")
        {
            return done;
        }
    }
}

#[test]
fn what_a_worker_leaves_behind_is_done_by_the_others() {
    let broker = Broker::builder().set("workers", "2").start().unwrap();
    let addr = broker.addr();
    let mut wire = Wire::connect(addr);
    assert_eq!(
        wire.text(&["XGROUP", "CREATE", "jobs", "workers", "$", "MKSTREAM"]),
        "OK"
    );

    // One waits for work, gets some, and is gone before it says that any of it is done.
    let mut doomed = Wire::connect(addr);
    doomed.send(&[
        "XREADGROUP",
        "GROUP",
        "workers",
        "doomed",
        "COUNT",
        "50",
        "BLOCK",
        "0",
        "STREAMS",
        "jobs",
        ">",
    ]);
    until_info(&mut wire, "blocked_clients", 1);
    let mut added = BTreeMap::new();
    wire.send(&["MULTI"]);
    for job in 0..JOBS / 2 {
        wire.send(&["XADD", "jobs", "*", "job", &job.to_string()]);
    }
    wire.send(&["EXEC"]);
    (0..=JOBS / 2).for_each(|_| _ = wire.receive());
    let Value::Array(ids) = wire.receive() else {
        panic!("EXEC answers an array");
    };
    added.extend(
        ids.iter()
            .map(show)
            .zip((0..).map(|job: usize| job.to_string())),
    );
    let in_hand = of_stream(&doomed.receive());
    assert_eq!(in_hand.len(), 50);
    // Some of it is done before it dies.
    let mut done = acknowledge(&mut doomed, in_hand[..10].to_vec());
    doomed.reset();

    let workers = ["b", "c", "d"].map(|name| thread::spawn(move || work(addr, name)));
    for job in JOBS / 2..JOBS {
        let id = wire.text(&["XADD", "jobs", "*", "job", &job.to_string()]);
        added.insert(id, job.to_string());
    }
    for worker in workers {
        done.extend(worker.join().unwrap());
    }
    // A worker may have gone home before the last came: somebody else does the rest.
    done.extend(work(addr, "e"));

    assert_eq!(done.len(), JOBS, "nothing is acknowledged twice");
    let done: BTreeMap<_, _> = done.into_iter().collect();
    assert_eq!(done, added, "nothing is lost");
    let pending = wire.text(&["XPENDING", "jobs", "workers"]);
    assert_eq!(pending, "[0 nil nil nil]");
    let consumers = wire.text(&["XINFO", "CONSUMERS", "jobs", "workers"]);
    assert_eq!(consumers.matches("pending 0").count(), 5, "{consumers}");
    until("the one that died is no client any more", || {
        wire.text(&["CLIENT", "LIST"])
            .lines()
            .filter(|line| !line.is_empty())
            .count()
            == 1
    });
}
