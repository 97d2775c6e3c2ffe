//! The bench's own parts: the yardstick forwards as it should, a comparison of two runs says what
//! changed, and options that mean nothing are refused. Nothing is measured here.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use clap::Parser;
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
#[path = "../benches/figure_table.rs"]
#[allow(dead_code, reason = "the bench prints")]
mod figure_table;
#[path = "../benches/options.rs"]
#[allow(dead_code, reason = "the bench uses all of it")]
mod options;

use figure::{MESSAGES_PER_SECOND, Report, Rounds};
use options::Options;

/// No answer takes this long.
const PATIENCE: Duration = Duration::from_secs(20);

/// The document of a run with these figures: name, unit, the rounds of ours, and those of bare.
fn document(figures: &[(&str, &str, &[f64], &[f64])]) -> Value {
    let rounds = |values: &[f64]| -> Rounds { values.iter().map(|value| vec![*value]).collect() };
    let figures: Vec<Value> = figures
        .iter()
        .map(|(name, unit, ours, bare)| {
            json!({"name": name, "unit": unit, "ours": rounds(ours), "bare": rounds(bare), "notes": {}})
        })
        .collect();
    json!({"version": 3, "commit": "cafe", "machine": "2 × abacus, load 0", "figures": figures})
}

/// A file that no other test of this run writes.
fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("bench-{name}.json"))
}

fn read(name: &str, document: &Value) -> Result<Report, String> {
    fs::write(file(name), document.to_string()).unwrap();
    Report::read(&file(name)).map_err(|error| error.to_string())
}

#[test]
fn a_comparison_tells_changes_from_noise() {
    let old = document(&[
        ("latency/ring/32", "ms", &[1.5, 1.5], &[1.0, 1.0]),
        ("latency/ring/64", "ms", &[1.4, 1.6], &[1.0, 1.0]),
        ("throughput/one/32", MESSAGES_PER_SECOND, &[4000.0, 4000.0], &[4000.0, 4000.0]),
        ("start-up/16", "s", &[0.1, 0.1], &[]),
        ("memory/16", "MB/node", &[0.5, 0.5], &[]),
    ]);
    let new = document(&[
        // Twice the time on a machine that is twice as slow: only the ratio counts.
        ("latency/ring/32", "ms", &[2.4, 2.4], &[2.0, 2.0]),
        ("latency/ring/64", "ms", &[1.3, 1.3], &[1.0, 1.0]),
        ("throughput/one/32", MESSAGES_PER_SECOND, &[2800.0, 2800.0], &[4000.0, 4000.0]),
        ("start-up/16", "s", &[0.2, 0.2], &[]),
        ("simulate/16", "s", &[0.5, 0.5], &[]),
    ]);
    let told = compare::compare(&read("old", &old).unwrap(), &read("new", &new).unwrap());
    let expected = "\
compared with commit cafe:
  latency/ring/32: better, 1.50 → 1.20 × bare (-20 %, noise ±6 %)
  throughput/one/32: WORSE, 1.00 → 0.70 × bare (-30 %, noise ±20 %)
  start-up/16: WORSE, 0.10 → 0.20 s (+100 %, noise ±6 %)
  simulate/16: new
  1 within the noise, 1 not measured this time
";
    assert_eq!(told, expected);
}

#[test]
fn a_document_of_another_kind_is_refused_in_three_lines() {
    let mut other = document(&[]);
    other["version"] = json!(7);
    for (document, why) in [(other, "its version is 7"), (json!([1]), "no run of this bench")] {
        let said = read("other", &document).unwrap_err();
        let lines: Vec<&str> = said.lines().collect();
        assert!(lines[0].starts_with("cannot compare with "), "{said}");
        assert!(lines[1].starts_with("  why:  ") && lines[1].contains(why), "{said}");
        assert!(lines[2].starts_with("  next: ") && lines.len() == 3, "{said}");
    }
    let said = Report::read(Path::new("/nowhere/old.json")).unwrap_err().to_string();
    assert!(said.starts_with("cannot compare with /nowhere/old.json\n  why:  "), "{said}");
}

#[test]
fn rounds_are_compared_in_pairs() {
    let rounds = |medians: &[f64]| -> Rounds {
        medians.iter().map(|median| vec![median - 1.0, *median, median + 1.0]).collect()
    };
    // The machine slowed down half way: both did, and the ratio did not move.
    let (ours, bare) = (rounds(&[4.0, 4.0, 8.0, 8.0]), rounds(&[2.0, 2.0, 4.0, 4.0]));
    let mut report = read("pairs", &document(&[])).unwrap();
    report.add("x".into(), "ms", ours.clone(), bare);
    report.add("y".into(), "ms", ours, Rounds::new());
    let [paired, alone] = &report.figures[..] else { panic!("two were added") };
    assert_eq!((paired.ratio(), paired.noise()), (Some(2.0), 0.03));
    assert_eq!(figure::quantile(&paired.ours.concat(), 0.5), Some(6.0));
    assert_eq!(figure::quantile(&paired.ours.concat(), 1.0), Some(9.0));
    assert!(alone.ratio().is_none() && alone.noise() > 0.3, "{alone:?}");
    let shown = figure_table::text(&report);
    assert!(shown.contains("\nwarning: y: rounds differ by 33 %\n"), "{shown}");
    assert!(!shown.contains("warning: x"), "{shown}");
}

#[test]
fn rounds_that_measured_nothing_are_left_out() {
    let mut report = read("nothing", &document(&[])).unwrap();
    let unit = MESSAGES_PER_SECOND;
    let bare = || vec![vec![1000.0], vec![], vec![2000.0]];
    report.add("throughput/one/32".into(), unit, vec![vec![], vec![3000.0], vec![4000.0]], bare());
    report.add("throughput/all/32".into(), unit, vec![vec![], vec![], vec![]], bare());
    report.note("of nothing", f64::NAN);
    report.note("of something", 1.5);
    report.write(&file("written")).unwrap();

    let again = Report::read(&file("written")).unwrap();
    let [some, none] = &again.figures[..] else { panic!("two were written") };
    assert_eq!(some.ratio(), Some(2.0), "of the one round that both measured");
    assert!(some.is_measured() && !none.is_measured());
    assert_eq!((none.ratio(), none.notes.len()), (None, 1));
    let told = compare::compare(&report, &again);
    assert!(told.ends_with("\n  1 within the noise, 0 not measured this time\n"), "{told}");
    let shown = figure_table::text(&again);
    let row = shown.lines().find(|line| line.starts_with("throughput/all/32")).unwrap();
    let cells: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(cells[1..], ["messages/s", "-", "-", "-", "1500", "1990", "-", "±25", "%"]);
    assert!(shown.contains("\nthroughput/all/32: of something 1.50\n"), "{shown}");
}

fn options(line: &str) -> Result<Options, String> {
    let words = ["scripts/bench"].into_iter().chain(line.split_whitespace());
    Options::try_parse_from(words).map_err(|error| error.to_string())
}

#[test]
fn options_that_mean_nothing_are_refused() {
    for (line, why) in [
        ("--only growth", "the parts are latency, throughput, memory"),
        ("--only latency,latenzy/ring", "invalid value 'latenzy/ring'"),
        ("--rounds many", "invalid value 'many'"),
        ("--compare a b c", "unexpected argument 'c'"),
        ("--compare", "a value is required"),
        ("--fast", "unexpected argument '--fast'"),
    ] {
        let said = options(line).unwrap_err();
        assert!(said.contains(why), "{line}: {said}");
    }
}

#[test]
fn only_takes_parts_and_figures() {
    let sizes = |line: &str, part: &str| -> Vec<u32> {
        options(line).unwrap().sizes(part, &[32, 64], &[32]).map(|(size, _)| size).collect()
    };
    assert_eq!(sizes("", "latency/ring"), [32, 64]);
    assert_eq!(sizes("--quick", "latency/ring"), [32]);
    assert_eq!(sizes("--only loss,latency", "latency/ring"), [32, 64]);
    assert!(sizes("--only latency/random", "latency/ring").is_empty());
    // A size that is not measured otherwise.
    assert_eq!(sizes("--only latency/ring/1000,latency/ring/64", "latency/ring"), [64, 1000]);
    let only = options("--only loss/ring").unwrap();
    assert!(only.wants("loss/ring/32/20") && !only.wants("loss/random/32/20"));
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
