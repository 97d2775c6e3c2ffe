//! The bench's own parts: the yardstick forwards as it should, and a comparison of two runs says
//! what changed. Nothing is measured here.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::net::UdpSocket;
use std::path::Path;
use std::thread;
use std::time::Duration;

use gossip::runtime::clock;
use serde_json::{Value, json};

#[path = "../benches/bare.rs"]
#[allow(dead_code, reason = "its main function is for the program")]
mod bare;
#[path = "../benches/compare.rs"]
mod compare;
#[path = "../benches/figure.rs"]
#[allow(dead_code, reason = "the bench uses all of it")]
mod figure;

use figure::{Better, Figure, Report};

/// No answer takes this long.
const PATIENCE: Duration = Duration::from_secs(20);

/// A run with these figures: name, which way is better, ours, ratio to bare, noise.
fn run(figures: &[(&str, &str, f64, Option<f64>, f64)]) -> Value {
    let figures: Vec<Value> = figures
        .iter()
        .map(|(name, better, ours, ratio, noise)| {
            let series = json!({"median": ours, "p99": ours, "count": 3, "rounds": [ours]});
            json!({
                "name": name, "unit": "ms", "better": better, "how": "by hand", "ours": series,
                "bare": ratio.map(|_| &series), "noise": noise, "notes": {},
                "ratio": ratio.map(|ratio| json!({"median": ratio, "p99": ratio})),
            })
        })
        .collect();
    let machine = json!({
        "processor": "abacus", "processors": 2, "memory_mb": 64, "kernel": "6", "commit": "cafe",
        "started_at": 1, "load_before": 0.0, "load_after": 0.0,
    });
    json!({"version": 2, "quick": false, "machine": machine, "figures": figures})
}

fn read(name: &str, document: &Value) -> Result<Report, String> {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, document.to_string()).unwrap();
    Report::read(&path).map_err(|error| error.to_string())
}

#[test]
fn a_comparison_tells_changes_from_noise() {
    let old = run(&[
        ("latency/ring/32", "lower", 1.0, Some(1.5), 0.05),
        ("latency/ring/64", "lower", 1.0, Some(1.5), 0.2),
        ("throughput/one/32", "higher", 4000.0, Some(1.0), 0.1),
        ("start-up/16", "lower", 0.1, None, 0.05),
        ("stop/16", "lower", 0.1, None, 0.05),
    ]);
    let new = run(&[
        // Twice the time on a machine that is twice as slow: only the ratio counts.
        ("latency/ring/32", "lower", 2.0, Some(1.2), 0.05),
        ("latency/ring/64", "lower", 1.0, Some(1.2), 0.2),
        ("throughput/one/32", "higher", 4000.0, Some(0.7), 0.1),
        ("start-up/16", "lower", 0.2, None, 0.05),
        ("memory/16", "lower", 0.5, None, 0.05),
    ]);
    let told = compare::compare(&read("old", &old).unwrap(), &read("new", &new).unwrap());
    let expected = "\
compared with commit cafe:
  latency/ring/32: better, 1.50 → 1.20 × bare (-20 %, noise ±10 %)
  throughput/one/32: WORSE, 1.00 → 0.70 × bare (-30 %, noise ±20 %)
  start-up/16: WORSE, 0.10 → 0.20 ms (+100 %, noise ±10 %)
  memory/16: new
  1 within the noise, 1 not measured this time
";
    assert_eq!(told, expected);
}

#[test]
fn a_document_of_another_kind_is_refused_in_words() {
    let mut other = run(&[]);
    other["version"] = json!(7);
    for (document, why) in [(other, "its version is 7"), (json!([1]), "no run of this bench")] {
        let said = read("other", &document).unwrap_err();
        assert!(said.contains(why) && said.contains("\n  next: "), "{said}");
    }
    let said = Report::read(Path::new("/nowhere/old.json")).unwrap_err().to_string();
    assert!(said.contains("cannot read /nowhere/old.json\n  why:  "), "{said}");
}

#[test]
fn rounds_are_compared_in_pairs() {
    let rounds = |medians: &[f64]| -> Vec<Vec<f64>> {
        medians.iter().map(|median| vec![median - 1.0, *median, median + 1.0]).collect()
    };
    // The machine slowed down half way: both did, and the ratio did not move.
    let (ours, bare) = (rounds(&[4.0, 4.0, 8.0, 8.0]), rounds(&[2.0, 2.0, 4.0, 4.0]));
    let figure = Figure::new("x".into(), "ms", Better::Lower, "by hand", &ours, &bare);
    assert_eq!(figure.ratio.unwrap().median, 2.0);
    assert_eq!(figure.noise, 0.03);
    assert_eq!((figure.ours.median, figure.ours.p99, figure.ours.count), (6.0, 9.0, 12));
    let alone = Figure::new("x".into(), "ms", Better::Lower, "by hand", &ours, &[]);
    assert!(alone.ratio.is_none() && alone.noise > 0.3, "{alone:?}");
}

#[test]
fn what_could_not_be_measured_is_no_number() {
    let mut figure = Figure::new(
        "throughput/one/32".into(),
        "messages/s",
        Better::Higher,
        "by hand",
        &[vec![], vec![f64::NAN], vec![4000.0]],
        &[vec![1000.0], vec![], vec![2000.0]],
    );
    assert_eq!((figure.ours.count, &figure.ours.rounds), (1, &vec![4000.0]));
    assert_eq!(figure.ratio.unwrap().median, 2.0, "of the one round that both measured");
    figure.note("of nothing", 0.0 / f64::from(u32::try_from(figure.notes.len()).unwrap()));
    assert!(figure.notes.is_empty());

    let nothing = |peaks: &[Vec<f64>]| {
        let mut report = read("nothing", &run(&[])).unwrap();
        let figure = Figure::new("x".into(), "1/s", Better::Higher, "by hand", peaks, &[vec![]]);
        assert!(figure.ratio.is_none(), "{figure:?}");
        report.figures.push(figure);
        report
    };
    let report = nothing(&[vec![f64::INFINITY]]);
    assert!(!report.figures[0].is_measured());
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("written.json");
    report.write(&path).unwrap();
    let again = Report::read(&path).unwrap();
    let told = compare::compare(&nothing(&[vec![5.0]]), &again);
    assert!(told.ends_with("  0 within the noise, 1 not measured this time\n"), "{told}");
}

#[test]
fn the_bare_forwarder_floods_a_ring() {
    let sockets: Vec<UdpSocket> = (0..6).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    let ports: Vec<u16> = sockets.iter().map(|s| s.local_addr().unwrap().port()).collect();
    for (index, socket) in sockets.into_iter().enumerate() {
        let neighbours = [ports[(index + 5) % 6], ports[(index + 1) % 6]];
        // They forward until the test's process ends.
        let forward = move || bare::forward(&socket, &neighbours);
        thread::Builder::new().name("bare".into()).spawn(forward).unwrap();
    }
    let asker = UdpSocket::bind("127.0.0.1:0").unwrap();
    asker.set_read_timeout(Some(PATIENCE)).unwrap();
    let ask = |port: u16| -> Vec<u64> {
        asker.send_to(&1_u64.to_le_bytes(), ("127.0.0.1", port)).unwrap();
        let mut answer = [0; 1 << 14];
        let bytes = asker.recv(&mut answer).unwrap();
        answer[..bytes].as_chunks().0.iter().map(|n| u64::from_le_bytes(*n)).collect()
    };
    assert!(ports.iter().all(|port| ask(*port)[..2] == [0, 0]), "nobody saw anything yet");
    let message = [&1_u64.to_le_bytes()[..], b"banana"].concat();
    asker.send_to(&message, ("127.0.0.1", ports[2])).unwrap();
    let deadline = clock::now().monotonic + PATIENCE;
    for port in &ports {
        while ask(*port)[0] == 0 {
            assert!(clock::now().monotonic < deadline, "waited in vain for the flood");
        }
    }
    let stamps: Vec<u64> = ports.iter().map(|port| ask(*port)[2]).collect();
    assert!(stamps.iter().all(|stamp| *stamp >= stamps[2]), "the origin was first: {stamps:?}");
    for (port, stamp) in ports.iter().zip(stamps) {
        assert_eq!(ask(*port)[..3], [1, stamp, stamp], "each counts an id once");
    }
}

#[test]
fn both_ask_for_the_same_receive_buffer() {
    assert_eq!(bare::RECEIVE_BUFFER_BYTES, gossip::runtime::RECEIVE_BUFFER_BYTES);
}
