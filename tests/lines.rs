//! `send-message N -`: each line of stdin is a message, sent no faster than the network carries.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod harness;

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Stdio};
use std::thread::{self, JoinHandle};

use harness::{Lab, Lines, PATIENCE, Run, finish, signal, try_within};
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

/// Writes lines until the reader is gone.
fn feed_for_good(mut stdin: ChildStdin) -> JoinHandle<()> {
    let feed = move || while stdin.write_all(&b"apple\n".repeat(100)).is_ok() {};
    thread::Builder::new().name("feed".into()).spawn(feed).unwrap()
}

/// The lines that a command prints.
fn lines(child: &mut Child) -> Lines {
    Lines::of(child.stdout.take().unwrap())
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
fn sending_ends_at_a_line_that_is_no_message_and_names_it() {
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
fn a_lone_line_goes_at_once_and_ctrl_c_tells_the_count() {
    let lab = Lab::new();
    lab.start("circular -n 3");
    let mut child = begin(&lab, "send-message 1 -");
    let mut ids = lines(&mut child);
    child.stdin.as_mut().unwrap().write_all(b"apple\nunfin").unwrap();
    assert_eq!(ids.next("the id"), "1.1");
    lab.until_messages(2, 1);
    // `wait_with_output` would close it.
    let stdin = child.stdin.take();
    signal(i32::try_from(child.id()).unwrap(), Signal::INT);
    let run = finish(child);
    drop(stdin);
    assert_eq!((run.code, ids.rest()), (Some(1), vec![]));
    assert!(run.stderr.starts_with("1 message accepted"), "{}", run.stderr);
    assert!(run.stderr.contains("error: stopped before the end of stdin\n"), "{}", run.stderr);
}

#[test]
fn sending_ends_without_an_error_when_nobody_reads_the_ids() {
    let lab = Lab::new();
    lab.start("circular -n 3");
    let mut child = begin(&lab, "send-message 1 -");
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"apple\n").unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let read = move || stdout.by_ref().lines().next().unwrap().unwrap();
    assert_eq!(try_within(PATIENCE, read).as_deref(), Some("1.1"));
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
fn ctrl_c_under_load_is_reported_as_an_interruption() {
    let lab = Lab::new();
    lab.start("circular -n 3");
    let mut child = begin(&lab, "send-message 1 -");
    let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let feed = feed_for_good(stdin);
    let mut ids = Lines::of(stdout);
    (0..1_000).for_each(|_| drop(ids.next("an id")));
    signal(i32::try_from(child.id()).unwrap(), Signal::INT);
    let count = 1_000 + ids.rest().len();
    let run = finish(child);
    feed.join().unwrap();
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.stderr.starts_with(&format!("{count} messages accepted")), "{}", run.stderr);
    assert!(run.stderr.contains("error: stopped before the end of stdin\n"), "{}", run.stderr);
}

/// The ids fill the pipe, and nobody takes them.
#[test]
fn ctrl_c_ends_sending_also_while_nobody_reads_the_ids() {
    let lab = Lab::new();
    lab.start("circular -n 3");
    let mut child = begin(&lab, "send-message 1 -");
    let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let feed = feed_for_good(stdin);
    // It sends more only when it has written the ids of the messages before.
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
fn an_unreadable_stdin_and_a_paused_node_are_told_in_words() {
    let lab = Lab::new();
    lab.start("circular -n 3");
    let directory = std::fs::File::open(lab.directory()).unwrap();
    let mut command = lab.command("send-message 1 -");
    let run = finish(command.stdin(directory).spawn().unwrap());
    assert!(run.stderr.contains("  why:  is a directory\n"), "{}", run.stderr);

    let mut child = begin(&lab, "send-message 2 -");
    let mut ids = lines(&mut child);
    child.stdin.as_mut().unwrap().write_all(b"apple\n").unwrap();
    assert_eq!(ids.next("the id"), "2.1");
    lab.ok("pause-node 2");
    child.stdin.as_mut().unwrap().write_all(b"pear\n").unwrap();
    let stdin = child.stdin.take();
    let run = finish(child);
    drop(stdin);
    assert!(run.stderr.contains("error: node 2 is paused\n"), "{}", run.stderr);
    assert!(run.stderr.contains("`gossip resume-node 2`"), "{}", run.stderr);
}

#[test]
fn a_sender_is_slowed_to_what_the_network_carries_and_all_messages_arrive() {
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

/// Neighbours that do not answer are suspected soon.
#[test]
fn silent_neighbours_do_not_hold_a_sender_up_for_good() {
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
