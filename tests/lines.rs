//! `send-message N -`: each line of stdin is a message, and nobody hands over more than a network
//! carries.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod harness;

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Stdio};
use std::thread::{self, JoinHandle};

use harness::{Lab, Run, finish, signal};
use rustix::process::Signal;
use serde_json::json;

/// The command, with its stdin open.
fn begin(lab: &Lab, line: &str) -> Child {
    lab.command(line).stdin(Stdio::piped()).spawn().unwrap()
}

/// The command with this for stdin.
fn feed(lab: &Lab, line: &str, input: &[u8]) -> Run {
    let mut child = begin(lab, line);
    // It may end before it has read all of it.
    let _ = child.stdin.take().unwrap().write_all(input);
    finish(child)
}

/// Writes lines until nobody reads them any more.
fn feed_for_good(mut stdin: ChildStdin) -> JoinHandle<()> {
    let feed = move || while stdin.write_all(&b"apple\n".repeat(100)).is_ok() {};
    thread::Builder::new().name("feed".into()).spawn(feed).unwrap()
}

/// The next line that a command prints.
fn next_line(child: &mut Child) -> String {
    let mut line = String::new();
    BufReader::with_capacity(1, child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    line
}

#[test]
fn each_line_is_a_message() {
    let lab = Lab::new();
    lab.start("circular -n 3");
    let run = feed(&lab, "send-message 1 -", "apple\n\nripe bananas\r\näpfel".as_bytes());
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), "1.1\n1.2\n1.3\n"));
    assert!(run.stderr.starts_with("3 messages accepted in "), "{}", run.stderr);
    assert!(run.stderr.ends_with(" a second\n"), "{}", run.stderr);
    let said = lab.until_messages(2, 3);
    let texts: Vec<&str> =
        said["messages"].as_array().unwrap().iter().map(|m| m["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["apple", "ripe bananas", "äpfel"]);

    let run = feed(&lab, "send-message 3 - --json", b"plum\nfig\n");
    let said: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((&said["node"], &said["count"]), (&json!(3), &json!(2)));
    assert_eq!((&said["first"], &said["last"]), (&json!("3.1"), &json!("3.2")));
    assert!(said["seconds"].as_f64().unwrap() > 0.0 && said["rate"].as_f64().unwrap() > 0.0);
    let run = feed(&lab, "send-message 3 -", b"\n\n");
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), ""));
    assert!(run.stderr.starts_with("0 messages accepted"), "{}", run.stderr);
}

#[test]
fn a_line_that_is_no_message_ends_it_and_is_named() {
    let lab = Lab::new();
    lab.start("circular -n 3");
    let run = feed(&lab, "send-message 1 -", b"apple\n\n\xff\xfe\nplum\n");
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), "1.1\n"));
    let expected = "error: cannot send line 3\n  why:  a message is text in UTF-8, and these bytes \
                    are not\n  next: mend it, and send it and the lines after it: those before it \
                    were accepted\n";
    assert!(run.stderr.starts_with("1 message accepted"), "{}", run.stderr);
    assert!(run.stderr.ends_with(expected), "{}", run.stderr);

    let input = format!("pear\n{}\nplum\n", "x".repeat(60_001));
    let run = feed(&lab, "send-message 1 -", input.as_bytes());
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), "1.2\n"));
    let expected = "error: node 1 did not accept line 2\n  why:  the message has 60001 bytes";
    assert!(run.stderr.contains(expected), "{}", run.stderr);

    let run = feed(&lab, "send-message 1 -", "x".repeat(100_000).as_bytes());
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""));
    assert!(run.stderr.contains("error: cannot send line 1\n"), "{}", run.stderr);
    lab.until_messages(3, 2);
}

#[test]
fn a_lone_line_goes_at_once_and_ctrl_c_tells_how_many_went() {
    let lab = Lab::new();
    lab.start("circular -n 3");
    let mut child = begin(&lab, "send-message 1 -");
    child.stdin.as_mut().unwrap().write_all(b"apple\nunfin").unwrap();
    assert_eq!(next_line(&mut child), "1.1\n");
    lab.until_messages(2, 1);
    // `wait_with_output` would close it.
    let stdin = child.stdin.take();
    signal(i32::try_from(child.id()).unwrap(), Signal::INT);
    let run = finish(child);
    drop(stdin);
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""));
    assert!(run.stderr.starts_with("1 message accepted"), "{}", run.stderr);
    assert!(run.stderr.contains("error: stopped before the end of stdin\n"), "{}", run.stderr);
}

#[test]
fn a_reader_that_leaves_ends_it_without_an_error() {
    let lab = Lab::new();
    lab.start("circular -n 3");
    let mut child = begin(&lab, "send-message 1 -");
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"apple\n").unwrap();
    assert_eq!(next_line(&mut child), "1.1\n");
    drop(child.stdout.take());
    stdin.write_all(b"pear\n").unwrap();
    let run = finish(child);
    drop(stdin);
    assert_eq!(run.code, Some(0));
    assert!(run.stderr.starts_with("2 messages accepted"), "{}", run.stderr);
    assert!(!run.stderr.contains("error"), "{}", run.stderr);
    assert!(run.stderr.contains("nobody reads their ids any more"), "{}", run.stderr);
    lab.until_messages(2, 2);
}

/// A signal comes while the node is asked, as it is most of the time.
#[test]
fn ctrl_c_under_load_is_told_as_what_it_is() {
    let lab = Lab::new();
    lab.start("circular -n 3");
    let mut child = begin(&lab, "send-message 1 -");
    let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let feed = feed_for_good(stdin);
    let mut ids = BufReader::new(stdout).lines();
    ids.by_ref().take(1_000).for_each(drop);
    signal(i32::try_from(child.id()).unwrap(), Signal::INT);
    let count = 1_000 + ids.count();
    let run = finish(child);
    feed.join().unwrap();
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.stderr.starts_with(&format!("{count} messages accepted")), "{}", run.stderr);
    assert!(run.stderr.contains("error: stopped before the end of stdin\n"), "{}", run.stderr);
}

/// More ids than a pipe holds, and nobody takes them.
#[test]
fn ctrl_c_ends_it_also_while_nobody_reads() {
    let lab = Lab::new();
    lab.start("circular -n 3");
    let mut child = begin(&lab, "send-message 1 -");
    let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let feed = feed_for_good(stdin);
    // It hands over more only when it has written the ids of those before.
    let accepted = || lab.json("show-network")["totals"]["counters"]["accepted"].as_u64();
    lab.until("show-network", |_| {
        let before = accepted();
        before > Some(2_000) && (0..5).all(|_| accepted() == before)
    });
    signal(i32::try_from(child.id()).unwrap(), Signal::INT);
    let run = finish(child);
    drop(stdout);
    feed.join().unwrap();
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.stderr.contains("error: stopped before the end of stdin\n"), "{}", run.stderr);
}

#[test]
fn what_ends_it_is_told_in_words() {
    let lab = Lab::new();
    lab.start("circular -n 3");
    let directory = std::fs::File::open(lab.directory()).unwrap();
    let mut command = lab.command("send-message 1 -");
    let run = finish(command.stdin(directory).spawn().unwrap());
    assert!(run.stderr.contains("  why:  is a directory\n"), "{}", run.stderr);

    let mut child = begin(&lab, "send-message 2 -");
    child.stdin.as_mut().unwrap().write_all(b"apple\n").unwrap();
    assert_eq!(next_line(&mut child), "2.1\n");
    lab.ok("pause-node 2");
    child.stdin.as_mut().unwrap().write_all(b"pear\n").unwrap();
    let stdin = child.stdin.take();
    let run = finish(child);
    drop(stdin);
    assert!(run.stderr.contains("error: node 2 is paused\n"), "{}", run.stderr);
    assert!(run.stderr.contains("`gossip resume-node 2`"), "{}", run.stderr);
}

#[test]
fn more_than_the_network_carries_is_slowed_and_all_of_it_arrives() {
    let lab = Lab::new();
    lab.start("random 3 -n 8 --limit in-flight-max=8");
    let lines: String = (1..=2_000).map(|number| format!("message {number}\n")).collect();
    let run = feed(&lab, "send-message 1 -", lines.as_bytes());
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert_eq!(run.stdout.lines().count(), 2_000);
    let said = lab.until("show-network", |said| {
        let nodes = said["nodes"].as_array().unwrap();
        nodes.iter().all(|node| node["messages"].as_u64() == Some(2_000))
    });
    let counter = |name: &str| said["totals"]["counters"][name].as_u64().unwrap();
    assert!(counter("limit_in_flight_held_up") > 0);
    assert_eq!(counter("delivered"), 8 * 2_000);
    assert_eq!(counter("send_errors"), 0);
}

/// Neighbours that do not answer hold nobody up for good: they are suspected soon.
#[test]
fn silent_neighbours_do_not_hold_a_sender_up() {
    let lab = Lab::new();
    lab.start("circular -n 3 --limit in-flight-max=2");
    lab.ok("pause-node 2");
    lab.ok("pause-node 3");
    let run = feed(&lab, "send-message 1 -", "apple\n".repeat(50).as_bytes());
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert_eq!(run.stdout.lines().count(), 50);
    lab.ok("resume-node 2");
    lab.ok("resume-node 3");
    lab.until_messages(3, 50);
}
