//! Networks of real processes on real sockets: send, get, remove, stop.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod harness;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::net::{TcpStream, UdpSocket};

use gossip::control::{Request, Response};
use gossip::protocol::NodeId;
use harness::{Lab, signal};
use rustix::process::Signal;
use serde_json::{Value, json};

fn pid_of(lab: &Lab, node: u32) -> i32 {
    let process = lab.record().find(NodeId(node)).unwrap().process;
    i32::try_from(process.pid).unwrap()
}

/// The total of a counter over all nodes.
fn total(said: &Value, counter: &str) -> u64 {
    said["totals"]["counters"][counter].as_u64().unwrap()
}

fn hops_of(path: &Value) -> Vec<u64> {
    path.as_array().unwrap().iter().map(|node| node.as_u64().unwrap()).collect()
}

#[test]
fn the_quick_start_works_as_written() {
    let lab = Lab::new();
    let said = lab.start("--plot");
    assert!(said.contains("random 3, 16 nodes, 24 links"), "{said}");
    let dot = fs::read_to_string(lab.directory().join("gossip-default.dot")).unwrap();
    assert!(dot.contains("graph"), "{dot}");
    let error = lab.fails("start-network random 5");
    assert!(error.contains("is running already") && error.contains("stop-network"), "{error}");
    assert_eq!(lab.ok("stop-network"), "network default stopped: 16 nodes\n");

    lab.start("random 5");
    lab.ok("stop-network");
    lab.start("circular --num-nodes=32");
    assert_eq!(lab.ok("send-message 4 apple"), "4.1\n");
    assert_eq!(lab.ok("send-message 8 banana --relays=3"), "8.1\n");
    lab.until_messages(8, 2);
    lab.until_messages(3, 2);
    let shown = lab.ok("get-messages 8");
    assert!(shown.contains("4.1  apple\n") && shown.contains("8.1  banana\n"), "{shown}");
    // `until_messages` has shown them to node 3's reader already.
    let run = lab.run("get-messages 3 unread");
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), ""));
    assert_eq!(run.stderr, "no unread messages at node 3\n");
    let shown = lab.ok("get-messages 3 read -p --time");
    assert!(shown.contains("    4 ➜ 3  (1 hop)\n"), "{shown}");
    assert_eq!(lab.ok("remove-node 9"), "node 9 left network default\n");
    assert!(lab.ok("list-peers 5").contains("127.0.0.1:"));
    assert!(lab.ok("stop-network").starts_with("network default stopped: 31 nodes"));
    lab.until_empty();
}

#[test]
fn a_ring_of_32_carries_each_message_exactly_r_times_over_each_link_each_way() {
    let lab = Lab::new();
    lab.start("circular -n 32");
    assert_eq!(lab.json("send-message 8 banana --relays=3"), json!({ "id": "8.1" }));
    let said = lab.until("show-network", |said| total(said, "rumors_received") >= 192);
    assert_eq!(total(&said, "rumors_sent"), 192);
    assert_eq!(total(&said, "rumors_received"), 192);
    assert_eq!(total(&said, "delivered"), 32);
    assert_eq!(said["totals"]["messages"], 32);

    let shortest = lab.json("get-messages 24 -p");
    let paths: BTreeSet<Vec<u64>> =
        shortest["messages"][0]["paths"].as_array().unwrap().iter().map(hops_of).collect();
    let up: Vec<u64> = (8..=24).collect();
    let down: Vec<u64> = (1..=8).rev().chain((24..=32).rev()).collect();
    assert_eq!(paths, BTreeSet::from([up, down]), "both ways round");

    let longest = lab.json("get-messages 24 -pp");
    let longest = &longest["messages"][0]["paths"];
    assert!(longest.as_array().unwrap().iter().all(|path| hops_of(path).len() > 17), "{longest}");
    let both = lab.ok("get-messages 24 -p -pp");
    assert_eq!(both.matches("(16 hops)").count(), 2, "{both}");
    assert!(both.lines().count() > 3, "{both}");
}

#[test]
fn every_node_gets_a_message_with_a_path_from_its_origin() {
    for kind in ["circular", "powerlaw", "random 4"] {
        let lab = Lab::new();
        lab.start(&format!("{kind} -n 12"));
        lab.ok("send-message 5 apple");
        for node in 1..=12 {
            let said = lab.until_messages(node, 1);
            let message = &said["messages"][0];
            assert_eq!(message["text"], "apple");
            assert_eq!(message["origin"], 5);
            for path in message["paths"].as_array().unwrap() {
                let path = hops_of(path);
                assert_eq!((path[0], path[path.len() - 1]), (5, u64::from(node)), "{kind}");
            }
        }
    }
}

#[test]
fn messages_are_unread_until_they_are_shown() {
    let lab = Lab::new();
    lab.start("circular -n 3");
    lab.ok("send-message 1 one");
    lab.ok("send-message 1 two");
    lab.until("show-network", |said| said["nodes"][1]["unread"] == 2);

    let texts = |line: &str| -> Vec<String> {
        let said = lab.json(line);
        let messages = said["messages"].as_array().unwrap().iter();
        messages.map(|message| message["text"].as_str().unwrap().into()).collect()
    };
    assert_eq!(texts("get-messages 2 read"), [""; 0], "to ask for those read changes nothing");
    let said = lab.json("get-messages 2 unread");
    assert_eq!(said["messages"][0]["unread"], true);
    assert_eq!(texts("get-messages 2 unread"), [""; 0]);
    assert_eq!(texts("get-messages 2 read"), ["one", "two"]);
    lab.ok("send-message 3 three");
    lab.until("show-network", |said| said["nodes"][1]["unread"] == 1);
    assert_eq!(texts("get-messages 2 all"), ["one", "two", "three"]);
    assert_eq!(texts("get-messages 2 unread"), [""; 0], "`all` marks as read, too");
    assert_eq!(texts("get-messages 2 --last 1"), ["three"]);
}

#[test]
fn times_are_shown_as_often_as_t_is_given() {
    let lab = Lab::new();
    lab.start("circular -n 3");
    lab.ok("send-message 1 apple");
    lab.until_messages(2, 1);
    let first = |line: &str| lab.ok(line).lines().next().unwrap().to_owned();
    // 1.1  14:03:22 2026-07-31  +412 µs  apple
    let words = |line: &str| first(line).split_whitespace().count();
    assert_eq!(first("get-messages 2"), "1.1  apple");
    assert_eq!(words("get-messages 2 -t"), 3);
    assert_eq!(words("get-messages 2 --time -t"), 6);
    assert_eq!(words("get-messages 2 -ttt"), 7);
    assert!(first("get-messages 2 -ttt").contains(" +00:00  +"));
    let message = &lab.json("get-messages 2")["messages"][0];
    for at in ["sent_at", "received_at"] {
        let at = message[at].as_str().unwrap();
        assert!(at.ends_with('Z') && at.len() == "2026-07-31T12:00:00.000000000Z".len(), "{at}");
    }
}

#[test]
fn any_text_arrives_as_it_was_sent_and_is_shown_without_harm() {
    let lab = Lab::new();
    lab.start("circular -n 3");
    let texts = [
        "-x",
        "-- not a flag",
        "two\nlines\tand a tab\r",
        "\u{1b}[2J\u{1b}]0;title\u{7}",
        "\u{202e}gnp.exe\u{2066}\u{feff}\u{9b}31m",
        "🍌 👩‍👩‍👧 ❤️",
        "\"quoted\" \\n 'and' $HOME",
        " ",
    ];
    for text in texts {
        lab.run_words(["send-message", "1", text]).ok(text);
    }
    let said = lab.until_messages(3, texts.len());
    let there = said["messages"].as_array().unwrap().iter();
    let there: Vec<&str> = there.map(|message| message["text"].as_str().unwrap()).collect();
    assert_eq!(there, texts);
    for line in ["get-messages 3", "get-messages 3 --json"] {
        let shown = lab.ok(line);
        let acts = |c: char| c.is_control() && c != '\n';
        assert!(!shown.chars().any(acts), "{shown:?}");
        assert!(!shown.contains(['\u{202e}', '\u{2066}', '\u{feff}']), "{shown:?}");
        assert!(shown.contains("🍌 👩"), "{shown}");
    }
    assert!(lab.ok("get-messages 3").contains("🍌 👩‍👩‍👧 ❤️"), "emoji stay whole");
}

#[test]
fn a_message_too_long_is_refused_with_the_limit_and_the_longest_arrives() {
    let lab = Lab::new();
    lab.start("circular -n 3");
    let longest = "x".repeat(60_000);
    let error = lab.run_words(["send-message", "1", &format!("{longest}x")]).fails("too long");
    assert!(error.contains("60001 bytes") && error.contains("60000"), "{error}");
    lab.run_words(["send-message", "1", &longest]).ok("the longest");
    let said = lab.until_messages(3, 1);
    assert_eq!(said["messages"][0]["text"], longest.as_str());
    assert_eq!(said["messages"].as_array().unwrap().len(), 1);
}

#[test]
fn limits_reach_the_nodes() {
    let lab = Lab::new();
    lab.start("circular -n 3 --limit text-bytes-max=10 --limit messages-max=2 --timing probes=20");
    let error = lab.fails("send-message 1 elevenbytes");
    assert!(error.contains("11 bytes") && error.contains("10"), "{error}");
    for text in ["one", "two", "three"] {
        lab.ok(&format!("send-message 1 {text}"));
    }
    let said = lab.json("get-messages 1");
    assert_eq!(said["messages"].as_array().unwrap().len(), 2, "the oldest is evicted: {said}");
    let limits = &lab.json("show-network")["nodes"][0]["status"]["limits"];
    assert_eq!(limits["messages_max"], 2);
}

#[test]
fn more_messages_than_fit_one_answer_are_all_shown() {
    let lab = Lab::new();
    lab.start("circular -n 2");
    let mut client = lab.record().connect(NodeId(1)).unwrap();
    for number in 0..2_500 {
        let request = Request::Send { texts: vec![format!("message {number}")], relays: 1 };
        assert!(matches!(client.ask(&request), Ok(Response::Sent { refused: None, .. })));
    }
    let said = lab.json("get-messages 1");
    let messages = said["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 2_500);
    let ids: Vec<&str> = messages.iter().map(|message| message["id"].as_str().unwrap()).collect();
    assert_eq!((ids[0], ids[2_499]), ("1.1", "1.2500"));
    assert_eq!(lab.json("get-messages 1 --last 1200")["messages"].as_array().unwrap().len(), 1_200);
    lab.until_messages(2, 2_500);
}

#[test]
fn a_removed_node_is_gone_and_the_others_go_on() {
    let lab = Lab::new();
    lab.start("random 3 -n 8");
    let pid = pid_of(&lab, 2);
    assert_eq!(
        lab.json("remove-node 2"),
        json!({ "network": "default", "node": 2, "removed": true, "killed": false })
    );
    assert!(!lab.processes().contains(&pid));
    for line in ["send-message 2 apple", "get-messages 2", "list-peers 2", "remove-node 2"] {
        let error = lab.fails(line);
        assert!(error.contains("it was removed"), "{line}: {error}");
    }
    assert_eq!(lab.json("show-network")["nodes"][1]["state"], "removed");
    lab.ok("send-message 1 apple");
    for node in [1, 3, 4, 5, 6, 7, 8] {
        lab.until_messages(node, 1);
    }
}

#[test]
fn a_node_that_was_killed_is_called_down() {
    let lab = Lab::new();
    lab.start("circular -n 4");
    let pid = pid_of(&lab, 3);
    signal(pid, Signal::KILL);
    lab.until("show-network", |said| said["nodes"][2]["state"] == "down");
    for line in ["send-message 3 apple", "get-messages 3", "list-peers 3", "remove-node 3"] {
        let error = lab.fails(line);
        assert!(error.contains(&format!("its process {pid} is gone")), "{line}: {error}");
    }
    assert_eq!(lab.json("list-networks")["networks"][0]["up"], 3);
    let said = lab.json("stop-network");
    assert_eq!((&said["gone"], &said["left"]), (&json!([3]), &json!([])));
}

#[test]
fn a_stopped_node_is_called_paused_and_still_ends() {
    let lab = Lab::new();
    lab.start("circular -n 3");
    signal(pid_of(&lab, 2), Signal::STOP);
    let said = lab.json("show-network");
    assert_eq!(said["nodes"][1]["state"], "paused");
    assert_eq!(said["totals"]["up"], 2);
    for line in ["send-message 2 apple", "get-messages 2", "list-peers 2"] {
        let error = lab.fails(line);
        assert!(error.contains("error: node 2 is paused\n"), "{line}: {error}");
        assert!(error.contains("`gossip resume-node 2`"), "{line}: {error}");
    }
    signal(pid_of(&lab, 3), Signal::STOP);
    let said = lab.ok("remove-node 3");
    assert_eq!(said, "node 3 did not leave network default by itself, and was killed\n");
    let said = lab.json("stop-network");
    assert_eq!((&said["signalled"], &said["left"]), (&json!([2]), &json!([])));
    lab.until_empty();
}

#[test]
fn peers_are_those_of_the_topology() {
    let lab = Lab::new();
    lab.start("circular -n 5");
    let linked = |said: &Value| {
        said["peers"].as_array().unwrap().iter().all(|peer| peer["state"] == "alive")
    };
    let said = lab.until("list-peers 1", linked);
    let origin = lab.ports_origin();
    let peer = |node: u16| {
        json!({ "node": node, "addr": format!("127.0.0.1:{}", origin + node),
        "state": "alive" })
    };
    assert_eq!(said, json!({ "node": 1, "peers": [peer(2), peer(5)] }));
    assert!(lab.ok("list-peers 1").starts_with("node  address "));
}

#[test]
fn a_message_arrives_among_garbage_at_every_port() {
    let lab = Lab::new();
    lab.start("circular -n 4");
    let udp = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    let largest = vec![0xa5; 65_507];
    let garbage: [&[u8]; 5] = [b"", b"x", b"GN", &[0xff; 100], &largest];
    for node in 1..=4 {
        let port = lab.ports_origin() + node;
        for bytes in garbage {
            udp.send_to(bytes, ("127.0.0.1", port)).unwrap();
        }
        for bytes in garbage {
            let mut tcp = TcpStream::connect(("127.0.0.1", port)).unwrap();
            // The node may hang up before it has read everything.
            let _ = tcp.write_all(bytes);
        }
    }
    lab.ok("send-message 1 apple");
    for node in 1..=4 {
        lab.until_messages(node, 1);
    }
    let said = lab.until("show-network", |said| total(said, "dropped_magic") >= 4);
    assert_eq!(said["totals"]["up"], 4);
}
