//! The README's transcripts really run: each command in a `console` block, in order, one network
//! after the other, and what it says is what stands there.
//!
//! What differs from run to run is not compared: seeds, times, pids, and the nodes on a path (its
//! hops are). A line `...` stands for any lines. Ports are the lab's own, shown as if from 7000.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod harness;

use std::process::{Command, Stdio};

use gossip::runtime::clock;
use harness::{Lab, PATIENCE, finish};

const README: &str = include_str!("../README.md");

/// A command and the lines that it is said to print.
struct Step {
    command: String,
    output: Vec<String>,
}

/// The steps of all blocks that are fenced as `console`.
fn steps() -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut within = false;
    for line in README.lines() {
        if line.starts_with("```") {
            within = line == "```console";
        } else if within && let Some(command) = line.strip_prefix("$ ") {
            steps.push(Step { command: command.into(), output: Vec::new() });
        } else if within && let Some(step) = steps.last_mut() {
            step.output.push(line.into());
        }
    }
    steps
}

/// Runs a command line as it stands, on the lab's ports; gives what it prints on either way out.
fn run(lab: &Lab, line: &str) -> Vec<String> {
    let origin = lab.ports_origin();
    let line = line
        .replace("gossip start-network", &format!("gossip start-network --ports-origin {origin}"));
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_gossip")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("exec 2>&1; {line}")]).current_dir(lab.directory());
    shell.env("PATH", path).env("XDG_STATE_HOME", lab.state_home()).env("TZ", "UTC");
    shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut said = finish(shell.spawn().unwrap()).stdout;
    for offset in 0..64 {
        said = said.replace(&(origin + offset).to_string(), &(7000 + offset).to_string());
    }
    said.lines().map(str::to_owned).collect()
}

/// A line without what differs from run to run.
fn comparable(line: &str) -> String {
    let digits = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    if line.contains('➜') && !line.contains('{') {
        // How far a copy went is certain; which of two ways was faster is not.
        return line.rsplit("  ").next().unwrap_or_default().to_owned();
    }
    if line.starts_with('{') {
        return comparable_json(serde_json::from_str(line).unwrap()).to_string();
    }
    let mut words: Vec<String> = Vec::new();
    for word in line.split_whitespace() {
        let before = words.last().map_or("", String::as_str);
        let plain = word.trim_end_matches(',');
        let moment =
            word.len() > 5 && word.contains([':', '-']) && !word.contains(char::is_alphabetic);
        let moment = moment && word.starts_with(|c: char| c.is_ascii_digit() || c == '+');
        let varies = (before == "seed" && digits(plain))
            || (before.starts_with("127.0.0.1:") && digits(word))
            || (word.starts_with('+') && word[1..].parse::<f64>().is_ok())
            || (before == "#" && ["µs", "ms", "s"].contains(&word))
            || (moment && !word.starts_with("127."));
        words.push(if varies { "#".into() } else { word.into() });
    }
    words.join(" ")
}

fn comparable_json(mut value: serde_json::Value) -> serde_json::Value {
    match &mut value {
        serde_json::Value::Object(fields) => {
            for (name, field) in fields {
                let varies =
                    ["sent_at", "received_at", "started_at", "latency_us", "hops", "seed", "pid"];
                *field = match varies.contains(&name.as_str()) {
                    true => "#".into(),
                    false => comparable_json(field.take()),
                };
            }
        }
        serde_json::Value::Array(items) => {
            for item in items {
                *item = comparable_json(item.take());
            }
        }
        _ => {}
    }
    value
}

/// Whether what was said is what is written, where `...` stands for any lines.
fn matches(said: &[String], written: &[String]) -> bool {
    match (said, written) {
        ([], []) => true,
        (_, [any, written @ ..]) if any == "..." => {
            (0..=said.len()).any(|skipped| matches(&said[skipped..], written))
        }
        ([said, others @ ..], [line, written @ ..]) => {
            comparable(said) == comparable(line) && matches(others, written)
        }
        _ => false,
    }
}

/// Waits until all that was sent has arrived, so that the next command shows all of it.
fn await_acknowledgements(lab: &Lab) {
    lab.until("show-network", |said| {
        let totals = &said["totals"];
        let counters = &totals["counters"];
        let everywhere = said["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .all(|node| node["messages"].is_null() || node["messages"] == counters["accepted"]);
        everywhere && counters["rumors_sent"] == counters["rumors_received"]
    });
}

#[test]
fn every_transcript_is_true() {
    let lab = Lab::new();
    let steps = steps();
    assert!(steps.len() > 10, "the README shows few commands");
    for Step { command, output } in steps {
        // Nodes take a moment to notice things; looking again changes nothing.
        let looks =
            ["get-messages", "list-", "show-", "trace-"].iter().any(|verb| command.contains(verb));
        let deadline = clock::now().monotonic + PATIENCE / 3;
        loop {
            let said = run(&lab, &command);
            if matches(&said, &output) {
                break;
            }
            assert!(
                looks && !command.contains("unread") && clock::now().monotonic < deadline,
                "$ {command}\nprints\n{}\n\nand the README says\n{}",
                said.join("\n"),
                output.join("\n"),
            );
        }
        let faults = || lab.json("list-faults")["faults"].as_array().unwrap().len();
        if command.contains("send-message") && output.len() == 1 && faults() == 0 {
            await_acknowledgements(&lab);
        }
    }
    lab.until_empty();
}

#[test]
fn every_command_is_shown() {
    let lab = Lab::new();
    let help = lab.ok("--help");
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let names = commands.lines().take_while(|line| !line.is_empty());
    for name in
        names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help")
    {
        assert!(README.contains(&format!("gossip {name}")), "the README does not show {name}");
    }
}

/// What the README links to is there.
#[test]
fn no_link_leads_nowhere() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let targets = README.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    for target in targets.filter(|target| !target.starts_with("http") && !target.starts_with('#')) {
        assert!(root.join(target).exists(), "{target}");
    }
}
