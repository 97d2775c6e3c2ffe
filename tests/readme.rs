//! The documents are true: the transcripts in them really run, their links lead somewhere, and the
//! limits that they list are those of the program.
//!
//! A transcript is a block fenced as `console`. Its commands run in order, and must print what
//! stands there. Parts that differ from run to run are not compared: seeds, times, pids, and the nodes
//! on a path (its hops are). A line `...` stands for any lines. Ports are the lab's own, shown as if
//! from 7000.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod harness;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use gossip::runtime::clock;
use harness::{Lab, PATIENCE, finish};

/// The README is read at one sitting.
const README_LINES_MAX: usize = 150;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(document: &str) -> String {
    fs::read_to_string(root().join(document)).unwrap()
}

/// The files in `docs`.
fn in_docs() -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join("docs")).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// Every document, by its path from the root of the repository.
fn documents() -> Vec<String> {
    let is_document = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "md");
    let in_docs = in_docs().into_iter().filter(is_document);
    let others =
        ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "protocol/README.md", "scripts/README.md"];
    let below = |path: PathBuf| path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
    in_docs.map(below).chain(others.map(str::to_owned)).collect()
}

/// A command and the lines that it is said to print.
struct Step {
    command: String,
    output: Vec<String>,
}

/// The steps of all blocks of a document that are fenced as `console`.
fn steps(document: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut within = false;
    for line in document.lines() {
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
    let program = Path::new(env!("CARGO_BIN_EXE_gossip")).parent().unwrap();
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

/// Runs the transcripts of a document, of which there are at least so many commands.
#[track_caller]
fn runs_as_written(document: &str, commands_min: usize) {
    let lab = Lab::new();
    let steps = steps(&read(document));
    assert!(steps.len() >= commands_min, "{document} shows {} commands", steps.len());
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
                "$ {command}\nprints\n{}\n\nand {document} says\n{}",
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
fn the_readme_runs_as_written() {
    runs_as_written("README.md", 8);
}

#[test]
fn the_tour_runs_as_written() {
    runs_as_written("docs/tour.md", 40);
}

#[test]
fn the_page_on_hosts_runs_as_written() {
    runs_as_written("docs/hosts.md", 1);
}

#[test]
fn every_command_is_shown() {
    let help = Lab::new().ok("--help");
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let names = commands.lines().take_while(|line| !line.is_empty());
    let names = names.filter_map(|line| line.split_whitespace().next());
    let shown = ["README.md", "docs/tour.md", "docs/hosts.md"].map(read).concat();
    for name in names.filter(|name| *name != "help") {
        assert!(shown.contains(&format!("gossip {name}")), "no document shows {name}");
    }
}

/// Every option of `--limit` and `--timing` is in `docs/limits.md`, with its default and counter.
#[test]
fn the_limits_are_those_of_the_program() {
    let help = Lab::new().ok("start-network --help");
    // Options stand indented, and name, default and counter are set apart by spaces; what they
    // mean stands below, further in.
    let of_the_program: BTreeSet<String> = help
        .split("Limits (--limit")
        .nth(1)
        .unwrap()
        .lines()
        .filter_map(|line| line.strip_prefix("  ").filter(|rest| !rest.starts_with(' ')))
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    let document = read("docs/limits.md");
    let row = |line: &str| {
        let mut cells = line.strip_prefix("| `")?.split(" | ");
        let name = cells.next()?.trim_end_matches('`').to_owned();
        let default = cells.next()?.replace(',', "");
        let counter = cells.next()?.strip_prefix("`limit_").map(|rest| rest.trim_end_matches('`'));
        let counter = counter.map(|rest| format!(" limit_{rest}")).unwrap_or_default();
        Some(format!("{name} {default}{counter}"))
    };
    let listed = |heading: &str| {
        let (_, rest) = document.split_once(heading).unwrap();
        let section = rest.split("\n## ").next().unwrap();
        section.lines().filter_map(row).collect::<Vec<_>>()
    };
    let written = [listed("\n## Limits\n"), listed("\n## Intervals\n")].concat();
    assert!(written.len() > 30, "docs/limits.md lists {written:?}");
    assert_eq!(written.iter().cloned().collect::<BTreeSet<_>>(), of_the_program);
    assert_eq!(written.len(), of_the_program.len(), "a row stands twice");
}

#[test]
fn the_readme_is_read_at_one_sitting() {
    let lines = read("README.md").lines().count();
    assert!(lines <= README_LINES_MAX, "{lines} lines");
}

/// The name by which a heading is linked to.
fn anchor(heading: &str) -> String {
    let heading = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || "-_ ".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// What a document links to, and the pictures it shows.
fn targets(text: &str) -> Vec<String> {
    let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let pictures = text.split("src=\"").skip(1).filter_map(|rest| rest.split('"').next());
    links.chain(pictures).filter(|to| !to.starts_with("http")).map(str::to_owned).collect()
}

#[test]
fn every_link_leads_somewhere() {
    for document in documents() {
        for target in targets(&read(&document)) {
            let (path, heading) = target.split_once('#').unwrap_or((&target, ""));
            let from = root().join(&document);
            let to = if path.is_empty() { from } else { from.parent().unwrap().join(path) };
            assert!(to.exists(), "{document} links to {target}");
            if !heading.is_empty() {
                let text = fs::read_to_string(&to).unwrap();
                let headings = text.lines().filter(|line| line.starts_with('#')).map(anchor);
                assert!(headings.into_iter().any(|found| found == heading), "{document}: {target}");
            }
        }
    }
}

/// A path in a document, such as `src/runtime.rs`, is one of a file or a folder.
#[test]
fn every_path_exists() {
    let places = ["benches/", "docs/", "fuzz/", "protocol/", "scripts/", "src/", "tests/"];
    for document in documents() {
        let text = read(&document);
        let spans = text.split('`').skip(1).step_by(2).filter(|span| !span.contains(' '));
        for path in spans.filter(|span| places.iter().any(|place| span.starts_with(place))) {
            assert!(root().join(path).exists(), "{document} speaks of {path}");
        }
    }
}

#[test]
fn the_index_lists_every_document_and_every_picture_is_shown() {
    let index = targets(&read("docs/README.md"));
    let all: Vec<String> =
        documents().iter().flat_map(|document| targets(&read(document))).collect();
    for path in in_docs() {
        let name = path.file_name().unwrap().to_str().unwrap();
        let is_document = name.ends_with(".md");
        let is_listed = !is_document || name == "README.md" || index.iter().any(|to| to == name);
        assert!(is_listed, "docs/README.md does not list {name}");
        assert!(is_document || all.iter().any(|to| to.ends_with(name)), "{name} is shown nowhere");
    }
}

/// What `scripts/pictures` puts into documents is there.
#[test]
fn the_run_of_the_pictures_is_shown() {
    for (document, name) in [("docs/tour.md", "trace"), ("docs/wireshark.md", "dissected")] {
        let text = read(document);
        let (_, from) = text.split_once(&format!("<!-- {name} -->\n```text\n")).unwrap();
        let (shown, _) = from.split_once(&format!("```\n<!-- /{name} -->")).unwrap();
        assert!(shown.lines().count() > 20, "{document} shows no {name}");
    }
}

#[test]
fn the_document_names_the_version_of_the_control_protocol() {
    let document = include_str!("../docs/wire-format.md");
    let version = format!("a version of its own ({})", gossip::control::VERSION);
    assert!(document.contains(&version), "{version}");
}
