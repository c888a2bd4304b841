//! Memory that nobody uses any more: who gets it back, and what is told of it.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use respd::{Allocator, Broker};

use crate::binary::process::serve;
use crate::footprint::Footprint;
use crate::wire::{Wire, encode, show, until};

/// The figures of INFO memory by name.
fn memory(client: &mut Wire) -> BTreeMap<String, f64> {
    figures(&client.text(&["INFO", "memory"]))
}

fn figures(report: &str) -> BTreeMap<String, f64> {
    let fields = report.lines().filter_map(|line| line.split_once(':'));
    fields
        .filter_map(|(name, value)| Some((name.to_owned(), value.trim_end().parse().ok()?)))
        .collect()
}

/// Stores values of 1 KiB, so many thousands.
fn fill(client: &mut Wire, thousands: usize) {
    let value = "x".repeat(1024);
    for thousand in 0..thousands {
        let keys: Vec<String> = (0..1000).map(|n| format!("key:{thousand}:{n}")).collect();
        let pairs = keys.iter().flat_map(|key| [key.as_str(), &value]);
        let words: Vec<&str> = ["MSET"].into_iter().chain(pairs).collect();
        assert_eq!(client.text(&words), "OK");
    }
}

/// Waits until what was removed is free.
fn freed(client: &mut Wire) {
    until("what was removed is free", || {
        memory(client)["lazyfree_pending_objects"] == 0.0
    });
}

/// The most that is to be resident for what is used: twice that, and what the
/// program takes that has just started and done something.
fn enough(used: f64) -> f64 {
    let program = if cfg!(debug_assertions) { 40 } else { 20 };
    2.0 * used + f64::from(program << 20)
}

#[test]
fn memory_of_values_that_are_gone_goes_back_to_the_system_without_help() {
    let broker = serve(&[]);
    let mut client = broker.connect();
    fill(&mut client, 100);
    // From outside: a request could have the broker give memory back.
    let resident = || Footprint::of(broker.process.id()).resident as f64;
    assert!(resident() > f64::from(100 << 20), "{}", resident());
    assert_eq!(client.text(&["FLUSHALL"]), "OK");
    freed(&mut client);
    let enough = enough(memory(&mut client)["used_memory"]);
    until("what was freed has gone back", || resident() <= enough);
    broker.stop();
}

#[test]
fn purge_gives_back_at_once_what_is_free() {
    let broker = serve(&[]);
    let mut client = broker.connect();
    fill(&mut client, 100);
    assert_eq!(client.text(&["FLUSHALL"]), "OK");
    freed(&mut client);
    // In one pipeline, so that nobody else comes first.
    client.send_raw(
        &[&["MEMORY", "PURGE"][..], &["INFO", "memory"]]
            .map(encode)
            .concat(),
    );
    let [purged, report] = [(); 2].map(|()| show(&client.receive()));
    assert_eq!(purged, "OK");
    let left = figures(&report);
    let enough = enough(left["used_memory"]);
    assert!(left["used_memory_rss"] <= enough, "{left:?}");
    broker.stop();
}

#[test]
fn figures_of_memory_agree_with_each_other() {
    let broker = serve(&[]);
    let mut client = broker.connect();
    fill(&mut client, 10);
    let report = client.text(&["INFO", "memory"]);
    assert!(report.contains("\nmem_allocator:mimalloc-"), "{report}");
    let figures = figures(&report);
    let (used, resident) = (figures["used_memory"], figures["used_memory_rss"]);
    assert_eq!(figures["allocator_allocated"], used);
    // Programs and libraries are not the allocator's.
    let of_files = resident - figures["allocator_resident"];
    assert!((100_000.0..resident).contains(&of_files), "{report}");
    let surpluses = [
        ("allocator_frag", figures["allocator_active"], used),
        (
            "allocator_rss",
            figures["allocator_resident"],
            figures["allocator_active"],
        ),
        ("rss_overhead", resident, figures["allocator_resident"]),
        ("mem_fragmentation", resident, used),
    ];
    for (name, of, over) in surpluses {
        assert_eq!(
            figures[&format!("{name}_bytes")],
            of - over,
            "{name}: {report}"
        );
        let ratio = figures[&format!("{name}_ratio")];
        assert!((ratio - of / over).abs() < 0.006, "{name}: {report}");
    }
    let stats = client.text(&["MEMORY", "STATS"]);
    for name in [
        "allocator.active",
        "allocator-rss.ratio",
        "fragmentation.bytes",
    ] {
        assert!(stats.contains(&format!(" {name} ")), "{name}: {stats}");
    }
    broker.stop();
}

#[test]
fn an_allocator_that_is_not_known_is_not_told_of() {
    let broker = Broker::start().unwrap();
    let mut client = Wire::connect(broker.addr());
    let report = client.text(&["INFO", "memory"]);
    assert!(report.contains("\nmem_allocator:unknown\r\n"), "{report}");
    assert!(report.contains("\nmem_fragmentation_ratio:"), "{report}");
    assert!(!report.contains("allocator_"), "{report}");
    assert_eq!(client.text(&["MEMORY", "PURGE"]), "OK");
    assert_eq!(
        client.text(&["MEMORY", "MALLOC-STATS"]),
        "Stats not supported for the current allocator"
    );
}

#[test]
fn the_allocator_of_an_embedder_is_asked_now_and_then() {
    static PURGES: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static PURGES_OF_THIS_THREAD: Cell<usize> = const { Cell::new(0) };
    }
    fn purge() {
        PURGES.fetch_add(1, Relaxed);
        PURGES_OF_THIS_THREAD.set(PURGES_OF_THIS_THREAD.get() + 1);
    }
    let allocator = Allocator {
        name: "bump-1.0".into(),
        purge,
        report: || "all is well".into(),
    };
    let broker = Broker::builder().allocator(allocator).start().unwrap();
    until("it has been asked twice", || PURGES.load(Relaxed) >= 2);
    // A client without a socket runs its requests on the caller's thread.
    assert_eq!(broker.client().run(b"MEMORY PURGE\r\n"), b"+OK\r\n");
    assert_eq!(PURGES_OF_THIS_THREAD.get(), 1);
    let mut client = Wire::connect(broker.addr());
    assert_eq!(client.text(&["MEMORY", "MALLOC-STATS"]), "all is well");
    let report = client.text(&["INFO", "memory"]);
    assert!(report.contains("\nmem_allocator:bump-1.0\r\n"), "{report}");
}
