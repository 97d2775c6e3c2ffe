//! The program as users type it: help, misuse, failures that need no running node.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod harness;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::thread;

use gossip::network::{NodeRecord, ProcessId, RECORD_VERSION, Record, Settings};
use gossip::protocol::{Key, NodeId};
use gossip::topology::Kind;
use harness::{Bystander, Lab, finish};

const COMMANDS: [&str; 10] = [
    "start-network",
    "stop-network",
    "send-message",
    "get-messages",
    "remove-node",
    "list-peers",
    "show-network",
    "list-networks",
    "run-node",
    "new-key",
];

/// Arguments with which each command that needs a running network gets as far as looking for it.
const NEED_A_NETWORK: [&str; 6] = [
    "stop-network",
    "send-message 1 apple",
    "get-messages 1",
    "remove-node 1",
    "list-peers 1",
    "show-network",
];

#[test]
fn help_names_every_command_and_each_has_an_example() {
    let lab = Lab::new();
    let help = lab.ok("--help");
    for command in COMMANDS {
        assert!(help.contains(command), "{command}");
        for flag in ["-h", "--help"] {
            let help = lab.ok(&format!("{command} {flag}"));
            assert!(help.contains(&format!("  gossip {command}")), "{command}: {help}");
            assert!(help.contains("--network <NAME>") && help.contains("--json"), "{command}");
        }
        assert_eq!(lab.ok(&format!("help {command}")), lab.ok(&format!("{command} --help")));
    }
}

#[test]
fn every_command_knows_the_version() {
    let lab = Lab::new();
    let version = format!("gossip {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(lab.ok("-V"), version);
    assert_eq!(lab.ok("--version"), version);
    for command in COMMANDS {
        assert_eq!(lab.ok(&format!("{command} -V")), version, "{command}");
    }
}

#[test]
fn long_help_lists_limits_and_intervals_with_their_defaults() {
    let lab = Lab::new();
    for command in ["start-network", "run-node"] {
        let help = lab.ok(&format!("{command} --help"));
        let line = "  messages-max                100000      limit_messages_evicted\n";
        assert!(help.contains(line), "{help}");
        assert!(help.contains("  suspect-after               "), "{help}");
    }
}

#[test]
fn bad_usage_exits_with_2_and_says_so_on_stderr() {
    let lab = Lab::new();
    for line in [
        "",
        "start",
        "--network",
        "--network ../up list-networks",
        "--network .hidden list-networks",
        "start-network --num-nodes",
        "start-network --num-nodes=many",
        "start-network --num-nodes=-1",
        "start-network --ports-origin=65536",
        "start-network --seed=-1",
        "start-network random 3 4",
        "send-message",
        "send-message 1",
        "send-message 0 apple",
        "send-message one apple",
        "send-message 1 apple --relays=0",
        "send-message 1 apple --relays=17",
        "send-message 1 apple pie",
        "get-messages",
        "get-messages 0",
        "get-messages 1 some",
        "get-messages 1 --last",
        "get-messages 1 --last=-1",
        "get-messages 1 --last=0",
        "remove-node",
        "list-peers",
        "list-peers 4294967296",
        "run-node 1 --listen 127.0.0.1:7001",
        "run-node 1 --listen localhost --key-file key",
        "run-node 1 --listen 127.0.0.1:7001 --key-file key --peer 2",
        "new-key",
        "stop-network now",
    ] {
        let run = lab.run(line);
        assert_eq!(run.code, Some(2), "{line}: {run:?}");
        assert_eq!(run.stdout, "", "{line}");
        assert!(!run.stderr.is_empty(), "{line}");
    }
}

#[test]
fn impossible_numbers_are_refused_with_three_lines_before_anything_starts() {
    let lab = Lab::new();
    for (line, what, why) in [
        ("ring", "topology `ring`", "no topology called ring"),
        ("circular 3", "topology `circular 3`", "takes no degree"),
        ("random three", "topology `random three`", "no degree"),
        ("-n 0", "0 nodes", "at least one"),
        ("random 0", "degree 0", "neighbour"),
        ("random 1", "degree 1 with 16", "pairs"),
        ("random 9 -n 8", "degree 9 with 8", "at most 7 others"),
        ("random 3 -n 9", "degree 3 with 9", "odd"),
        ("powerlaw -n 3", "powerlaw", "4 nodes"),
        ("--ports-origin 65530", "16 nodes", "65535"),
        ("--limit messages-max", "--limit messages-max", "NAME=VALUE"),
        ("--limit apples=3", "--limit apples=3", "nothing called apples"),
        ("--limit messages-max=0", "--limit", "above zero"),
        ("--timing probe-interval=5", "--timing", "no time above zero"),
        ("--timing ack-retry-max=1ms", "these intervals", "40ms and ack-retry-max 1ms"),
        (
            "--limit id-ranges-max=3 -n 4",
            "these limits",
            "id-ranges-max is 3 and there are 4 nodes",
        ),
    ] {
        let error = lab.run(&format!("start-network {line}")).misuses(line);
        assert!(error.contains(what) && error.contains(why), "{line}: {error}");
    }
    assert!(!lab.state_home().exists(), "no state is made for an impossible network");
}

#[test]
fn without_a_network_every_command_says_what_to_do() {
    let lab = Lab::new();
    for line in NEED_A_NETWORK {
        let error = lab.fails(line);
        assert!(error.contains("no network default is running"), "{line}: {error}");
        assert!(error.contains("`gossip start-network`"), "{line}: {error}");
        let error = lab.fails(&format!("{line} --network ring --json"));
        assert!(error.contains("`gossip start-network --network ring`"), "{line}: {error}");
    }
    assert!(!lab.state_home().exists(), "looking for a network makes no files");
}

#[test]
fn no_networks_is_an_answer_too() {
    let lab = Lab::new();
    let run = lab.run("list-networks");
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), ""));
    assert!(run.stderr.contains("gossip start-network"), "{run:?}");
    assert_eq!(lab.ok("list-networks --json"), "{\"networks\":[]}\n");
}

#[test]
fn a_message_is_checked_before_a_network_is_looked_for() {
    let lab = Lab::new();
    for text in ["--relay=3", "--relais", "--colour-blind"] {
        let words = ["send-message", "1", text];
        let error = lab.run_words(words).misuses(text);
        assert!(error.contains(&format!("no option {text}")) && error.contains("`--`"), "{error}");
    }
    // These are texts: the command gets as far as looking for the network.
    let texts: [&[&str]; 5] =
        [&["--", "--relay=3"], &["-5 degrees"], &["- milk"], &["-- dash"], &["--x y"]];
    for text in texts {
        let words = [&["send-message", "1"], text].concat();
        let error = lab.run_words(&words).fails("send-message");
        assert!(error.contains("no network"), "{text:?}: {error}");
    }
    let error = lab.run_words(["send-message", "1", ""]).misuses("an empty message");
    assert!(error.contains("the message is empty"), "{error}");
    let words = ["send-message".as_bytes(), b"1", b"\xff\xfe"].map(std::ffi::OsStr::from_bytes);
    let error = lab.run_words(words).misuses("a message that is not UTF-8");
    assert!(error.contains("UTF-8"), "{error}");
}

#[test]
fn a_key_is_private_and_never_overwritten() {
    let lab = Lab::new();
    assert_eq!(lab.ok("new-key my.key"), "my.key\n");
    let path = lab.directory().join("my.key");
    let key = fs::read_to_string(&path).unwrap();
    assert_eq!(key.len(), 65);
    assert!(key.trim_end().bytes().all(|digit| digit.is_ascii_hexdigit()), "{key}");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

    let error = lab.fails("new-key my.key");
    assert!(error.contains("the file exists"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), key);
    assert_eq!(lab.ok("new-key other.key --json"), "{\"file\":\"other.key\"}\n");
    assert_ne!(fs::read_to_string(lab.directory().join("other.key")).unwrap(), key);
    lab.fails("new-key nowhere/my.key");
}

#[test]
fn a_file_without_a_key_is_told_apart_from_no_file() {
    let lab = Lab::new();
    let run_node = "run-node 1 --listen 127.0.0.1:0 --key-file";
    let error = lab.fails(&format!("{run_node} none"));
    assert!(error.contains("cannot read the key in none"), "{error}");
    for (name, text) in [("empty", &b""[..]), ("short", b"0123"), ("binary", b"\xff\x00\xfe")] {
        fs::write(lab.directory().join(name), text).unwrap();
        let error = lab.fails(&format!("{run_node} {name}"));
        assert!(error.contains("64 hexadecimal digits"), "{name}: {error}");
    }
    let twice = "--peer 2@127.0.0.1:1 --peer 2@127.0.0.1:2";
    let error = lab.run(&format!("{run_node} empty {twice}")).misuses("the same peer twice");
    assert!(error.contains("number 2 is given to two nodes"), "{error}");
}

#[test]
fn an_impossible_state_directory_is_an_error_with_advice() {
    let lab = Lab::new();
    fs::write(lab.state_home(), "a file where a directory should be").unwrap();
    let start = format!("start-network -n 2 --ports-origin {}", lab.ports_origin());
    for line in NEED_A_NETWORK.into_iter().chain([start.as_str(), "list-networks"]) {
        let error = lab.fails(line);
        assert!(error.contains("XDG_STATE_HOME"), "{line}: {error}");
    }
    assert!(lab.processes().is_empty());
}

#[test]
fn without_a_home_there_is_no_place_for_state() {
    let lab = Lab::new();
    let mut command = lab.command("list-networks");
    command.env_remove("XDG_STATE_HOME").env_remove("HOME");
    let error = finish(command.spawn().unwrap()).fails("no home");
    assert!(error.contains("neither XDG_STATE_HOME nor HOME"), "{error}");
}

/// Puts a state file where that of the network `default` would be.
fn write_state(lab: &Lab, text: &str) {
    let directory = lab.state_home().join("gossip/default");
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("network.json"), text).unwrap();
}

/// A record of a network with one node, which is the process given.
fn record_of(process: ProcessId, port: u16) -> Record {
    let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    Record {
        version: RECORD_VERSION,
        name: "default".into(),
        kind: Some(Kind::Circular),
        seed: 1,
        key: Key([7; 32]),
        ports_origin: port - 1,
        started_at: 0,
        boot_id: boot_id.trim().into(),
        settings: Settings::default(),
        rewired: None,
        faults: Vec::new(),
        nodes: vec![NodeRecord {
            node: NodeId(1),
            addr: ([127, 0, 0, 1], port).into(),
            incarnation: 1,
            process,
            removed: false,
            peers: Vec::new(),
        }],
    }
}

#[test]
fn a_state_file_that_is_cut_short_or_of_another_version_is_left_alone() {
    let lab = Lab::new();
    let bystander = Bystander::new();
    let record = record_of(ProcessId::of(bystander.pid()).unwrap(), lab.ports_origin() + 1);
    let whole = serde_json::to_string(&record).unwrap();
    let start = format!("start-network -n 2 --ports-origin {}", lab.ports_origin());
    for (text, why) in [
        (whole[..whole.len() / 2].to_owned(), "cut short or changed"),
        (String::new(), "cut short or changed"),
        ("\0\0\0".into(), "cut short or changed"),
        (whole.replacen("\"version\":1", "\"version\":99", 1), "version 99"),
    ] {
        write_state(&lab, &text);
        for line in NEED_A_NETWORK.into_iter().chain([start.as_str()]) {
            let error = lab.fails(line);
            assert!(error.contains(why) && error.contains("network.json"), "{line}: {error}");
        }
        let listed = lab.json("list-networks");
        assert_eq!(listed["networks"][0]["network"], "default");
        assert!(listed["networks"][0]["broken"].is_string(), "{listed}");
        assert!(lab.ok("list-networks").contains("broken: "));
        let path = lab.state_home().join("gossip/default/network.json");
        assert_eq!(fs::read_to_string(&path).unwrap(), text, "nothing was changed");
    }
}

#[test]
fn a_state_file_that_is_no_file_is_an_error_at_once() {
    let lab = Lab::new();
    write_state(&lab, "");
    let path = lab.state_home().join("gossip/default/network.json");
    let refused = |what: &str| {
        for line in NEED_A_NETWORK {
            let error = lab.fails(line);
            assert!(error.contains("no ordinary file"), "{what}, {line}: {error}");
        }
        assert!(lab.ok("list-networks").contains("broken: "), "{what}");
        fs::remove_file(&path).unwrap();
    };
    fs::remove_file(&path).unwrap();
    let (fifo, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR);
    rustix::fs::mknodat(rustix::fs::CWD, &path, fifo, mode, 0).unwrap();
    refused("a fifo");
    fs::create_dir(&path).unwrap();
    assert!(lab.fails("show-network").contains("no ordinary file"));
    assert!(lab.fails("stop-network").contains("no ordinary file"));
    fs::remove_dir(&path).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
    refused("/dev/zero");
}

#[test]
fn another_process_with_the_pid_of_a_node_is_never_touched() {
    let lab = Lab::new();
    let mut bystander = Bystander::new();
    let mut process = ProcessId::of(bystander.pid()).unwrap();
    process.started += 1;
    let record = record_of(process, lab.ports_origin() + 1);
    write_state(&lab, &serde_json::to_string(&record).unwrap());
    let run = lab.run("stop-network");
    assert!(bystander.echoes(), "{run:?}");

    // The same number and start time, but before the machine was started again.
    let process = ProcessId::of(bystander.pid()).unwrap();
    let record = Record { boot_id: "another boot".into(), ..record_of(process, 1) };
    write_state(&lab, &serde_json::to_string(&record).unwrap());
    let run = lab.run("stop-network");
    assert!(bystander.echoes(), "{run:?}");
    assert_eq!(lab.ok("list-networks"), "", "such state is recognised and cleaned up");
}

#[test]
fn state_whose_processes_are_gone_is_cleaned_up() {
    let lab = Lab::new();
    let process = {
        let bystander = Bystander::new();
        ProcessId::of(bystander.pid()).unwrap()
    };
    write_state(&lab, &serde_json::to_string(&record_of(process, 7001)).unwrap());
    let error = lab.fails("get-messages 1");
    assert!(error.contains("no network default is running"), "{error}");
    assert!(!lab.state_home().join("gossip/default").exists());
}

/// Runs `test` beside a node whose control port `serve` answers.
fn with_control_port(serve: impl FnOnce(TcpListener) + Send + 'static, test: impl FnOnce(&Lab)) {
    let lab = Lab::new();
    let bystander = Bystander::new();
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let record = record_of(ProcessId::of(bystander.pid()).unwrap(), port);
    write_state(&lab, &serde_json::to_string(&record).unwrap());
    // It ends with this process.
    thread::Builder::new().name("port".into()).spawn(move || serve(listener)).unwrap();
    test(&lab);
    // The lab stops the network as it goes, which ends the bystander: it poses as a node.
}

const ASK_A_NODE: [&str; 3] = ["send-message 1 apple", "get-messages 1", "list-peers 1"];

#[test]
fn a_control_port_that_answers_rubbish_is_called_that() {
    let rubbish = |listener: TcpListener| {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            // The first four bytes are a length that no frame has.
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
            let _ = stream.read(&mut [0; 1024]);
        }
    };
    with_control_port(rubbish, |lab| {
        for line in ASK_A_NODE {
            let error = lab.fails(line);
            assert!(error.contains("makes no sense"), "{line}: {error}");
        }
        assert_eq!(lab.json("show-network")["nodes"][0]["state"], "silent");
    });
}

#[test]
fn a_control_port_that_hangs_up_is_an_error() {
    with_control_port(
        |listener| listener.incoming().for_each(drop),
        |lab| {
            for line in ASK_A_NODE {
                let error = lab.fails(line);
                assert!(error.contains("node 1 did not answer"), "{line}: {error}");
            }
        },
    );
}

#[test]
fn a_control_port_that_never_answers_is_waited_for_only_so_long() {
    let silent = |listener: TcpListener| {
        let _kept: Vec<_> = listener.incoming().collect();
    };
    with_control_port(silent, |lab| {
        let error = lab.fails("list-peers 1");
        assert!(error.contains("was silent for"), "{error}");
        assert!(lab.ok("show-network").contains("silent"));
    });
}

#[test]
fn a_control_port_where_nobody_listens_is_an_error() {
    with_control_port(drop, |lab| {
        for line in ASK_A_NODE {
            let error = lab.fails(line);
            assert!(error.contains("node 1 did not answer"), "{line}: {error}");
        }
    });
}

#[test]
fn an_unknown_node_is_told_apart_from_one_that_does_not_answer() {
    with_control_port(drop, |lab| {
        for line in ["send-message 2 apple", "get-messages 99", "list-peers 2", "remove-node 2"] {
            let error = lab.fails(line);
            assert!(error.contains("there is no node"), "{line}: {error}");
            assert!(error.contains("node 1 only"), "{line}: {error}");
        }
    });
}

#[test]
fn a_reader_that_leaves_early_is_no_failure() {
    let lab = Lab::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = lab.command("new-key my.key");
    let run = finish(command.stdout(writer).spawn().unwrap());
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
}

#[test]
fn output_that_cannot_be_written_is_a_failure() {
    let lab = Lab::new();
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let mut command = lab.command("new-key my.key");
    let error = finish(command.stdout(full).spawn().unwrap()).fails("a full disk");
    assert!(error.contains("cannot write the result"), "{error}");
}

#[test]
fn a_plot_that_cannot_be_written_is_found_out_before_anything_starts() {
    let lab = Lab::new();
    let line =
        format!("start-network -n 2 --plot none/x.dot --ports-origin {}", lab.ports_origin());
    let error = lab.fails(&line);
    assert!(error.contains("none/x.dot"), "{error}");
    assert!(lab.processes().is_empty());
    assert_eq!(lab.ok("list-networks"), "");
}

#[test]
fn there_are_no_colours_where_there_is_no_terminal() {
    let lab = Lab::new();
    let mut command = lab.command("--help");
    let run = finish(command.stderr(Stdio::piped()).spawn().unwrap());
    assert!(!run.stdout.contains('\x1b'), "{run:?}");
    assert!(!lab.run("get-messages").stderr.contains('\x1b'));
}

#[test]
fn a_launched_node_without_instructions_says_so_and_ends() {
    let lab = Lab::new();
    let run = lab.run("run-node --launched");
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.stdout.contains("cannot understand what to be"), "{run:?}");
}
