//! Real traffic: `scripts/capture` captures every kind of frame where no other program sends, and the
//! dissector reads it. Its fields are compared with what the nodes report.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use gossip::runtime::clock;
use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{Lab, PATIENCE, finish, signal, wait_for};
use crate::namespace;
use crate::tshark::Tshark;

const NODES: u64 = 8;
/// The links of a random 3-regular graph of that many nodes.
const LINKS: u64 = NODES * 3 / 2;
const KINDS: u32 = 17;

#[test]
fn fields_of_every_kind_of_frame_are_what_the_nodes_report() {
    let name = "traffic::fields_of_every_kind_of_frame_are_what_the_nodes_report";
    namespace::inside(name, || {
        let lab = Lab::new();
        let capture = Capture::start(&lab);
        // Long timeouts: no node asks about a message because the machine is busy, so each copy is one of
        // the flood.
        let patient = "--timing ack-timeout-min=1500ms";
        lab.start(&format!("random 3 --num-nodes {NODES} --seed 3 {patient}"));
        capture.until_it_runs();
        until_links_are_told(&lab);
        let messages = send_messages(&lab);
        let quiet = Reports::of(&lab);
        provoke_every_kind(&lab, &capture);
        let tshark = capture.end();
        assert!(tshark.fields("gossip.malformed", &["frame.number"]).is_empty());
        quiet.assert_copies(&tshark, &messages);
        quiet.assert_counted(&tshark);
        quiet.assert_neighbours(&lab, &tshark);
        assert_addresses(&lab, &tshark);
        tshark.read(&["-2", "-V", "-O", "gossip"]);
    });
}

/// `scripts/capture` at work.
struct Capture {
    script: Child,
    home: PathBuf,
    file: PathBuf,
}

impl Capture {
    /// Starts before there is a network to ask for its ports.
    fn start(lab: &Lab) -> Self {
        let home = lab.directory().to_owned();
        let file = home.join("traffic.pcapng");
        let first = lab.ports_origin() + 1;
        let mut script = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/capture"));
        script.args(["--ports", &format!("{first}-{}", first + 20)]).arg(&file);
        script.stdin(Stdio::null()).stdout(Stdio::piped());
        script.stderr(File::create(home.join("said")).unwrap());
        let script = script.spawn().unwrap();
        let capture = Self { script, home, file };
        capture.until_it_runs_at_all();
        capture
    }

    fn said(&self) -> String {
        fs::read_to_string(self.home.join("said")).unwrap()
    }

    /// Waits until the tool names its file; it misses nothing from then on.
    fn until_it_runs_at_all(&self) {
        wait_for("the capture to begin", || self.said().contains("File: "));
    }

    /// Waits until the first datagrams are in the file.
    fn until_it_runs(&self) {
        let length = || fs::metadata(&self.file).map_or(0, |data| data.len());
        wait_for("datagrams to be captured", || length() > 2_000);
    }

    fn tshark(&self) -> Tshark {
        let first = ["-o", "udp.try_heuristic_first:TRUE"];
        Tshark::new(&self.home, &self.file).option(&first)
    }

    /// The kinds of frames seen so far.
    fn kinds(&self) -> BTreeSet<u32> {
        let rows = self.tshark().fields("gossip", &["gossip.kind"]);
        rows.iter().flat_map(|row| numbers(&row[0])).collect()
    }

    /// Waits until there is at least one frame of each of these kinds.
    fn until(&self, kinds: &[u32], again: impl Fn()) {
        let deadline = clock::now().monotonic + PATIENCE;
        loop {
            again();
            let seen = self.kinds();
            if kinds.iter().all(|kind| seen.contains(kind)) {
                return;
            }
            assert!(clock::now().monotonic < deadline, "waited for {kinds:?}, captured {seen:?}");
        }
    }

    /// Ends it as Ctrl-C would.
    fn end(self) -> Tshark {
        let tshark = self.tshark();
        signal(i32::try_from(self.script.id()).unwrap(), Signal::INT);
        finish(self.script).ok("scripts/capture");
        tshark
    }
}

/// The values of a field that stands several times in a packet.
fn numbers(values: &str) -> Vec<u32> {
    values
        .split(',')
        .filter(|value| !value.is_empty())
        .map(|value| value.parse().unwrap())
        .collect()
}

/// Waits until each node knows the neighbours of its neighbours.
fn until_links_are_told(lab: &Lab) {
    lab.until("show-network", |said| {
        let nodes = said["nodes"].as_array().unwrap();
        let peers = |node: &Value, of: &str| -> BTreeSet<u64> {
            let peers = node[of].as_array().unwrap().iter();
            peers.map(|peer| peer["node"].as_u64().unwrap()).collect()
        };
        nodes.iter().all(|node| {
            let own = peers(&node["status"], "peers");
            let mut told = node["status"]["peers"].as_array().unwrap().iter();
            own.len() == 3
                && told.all(|peer| {
                    let at = usize::try_from(peer["node"].as_u64().unwrap()).unwrap() - 1;
                    peers(peer, "neighbours") == peers(&nodes[at]["status"], "peers")
                })
        })
    });
}

/// A message as its origin reports it, and how many copies may cross each link.
struct Sent {
    relays: u64,
    reported: Value,
}

/// Sends messages from several nodes, one after the other, and waits until all copies have arrived.
fn send_messages(lab: &Lab) -> BTreeMap<String, Sent> {
    let long = "long ".repeat(1_000);
    let texts = ["banana", "ünï ➜ “quoted”, a \\ and a \"", &long, "a,b;c\u{7}d"];
    let mut sent = BTreeMap::new();
    let mut copies = 0;
    for (at, text) in texts.iter().enumerate() {
        let (node, relays) = (at as u64 % 3 + 1, at as u64 % 3 + 1);
        let id = lab
            .run_words(["send-message", &node.to_string(), text, "--relays", &relays.to_string()])
            .ok(text);
        copies += 2 * LINKS * relays;
        lab.until("show-network", |said| total(said, "rumors_received") == copies);
        let all = lab.json(&format!("get-messages {node}"));
        let reported = all["messages"].as_array().unwrap().last().unwrap().clone();
        assert_eq!(reported["id"], id.trim());
        sent.insert(id.trim().to_owned(), Sent { relays, reported });
    }
    sent
}

fn total(shown: &Value, counter: &str) -> u64 {
    shown["totals"]["counters"][counter].as_u64().unwrap()
}

/// What the nodes report while the network is quiet.
struct Reports {
    /// In seconds since 1970.
    at: f64,
    shown: Value,
    /// The paths over which a node has a message.
    paths: BTreeMap<(u64, String), Vec<Vec<u64>>>,
}

impl Reports {
    fn of(lab: &Lab) -> Self {
        let shown = lab.json("show-network");
        let mut paths = BTreeMap::new();
        for node in 1..=NODES {
            let held = lab.json(&format!("get-messages {node}"));
            for message in held["messages"].as_array().unwrap() {
                let id = message["id"].as_str().unwrap().to_owned();
                let known: Vec<Vec<u64>> =
                    serde_json::from_value(message["paths"].clone()).unwrap();
                // The origin's own path was never sent.
                let sent = known.into_iter().filter(|path| path.len() > 1);
                paths.insert((node, id), sent.collect());
            }
        }
        let nanoseconds = clock::now().wall.0;
        Self { at: nanoseconds as f64 / 1e9, shown, paths }
    }

    /// A filter for the packets captured up to then.
    fn before(&self, filter: &str) -> String {
        format!("{filter} && frame.time_epoch < {:.6}", self.at)
    }

    /// Each copy of a message in the capture agrees with what its origin and its receiver report, and
    /// the number of copies is the greatest that the relays limit allows.
    fn assert_copies(&self, tshark: &Tshark, messages: &BTreeMap<String, Sent>) {
        let mut taken: BTreeMap<(u64, String), Vec<Vec<u64>>> = BTreeMap::new();
        let mut copies: BTreeMap<&str, u64> = BTreeMap::new();
        let seen = Rumor::all(tshark, &self.before("gossip.rumor"));
        for rumor in &seen {
            let sent = &messages[rumor.text("id")];
            let reported = &sent.reported;
            assert_eq!(rumor.0["gossip.rumor.text"], reported["text"]);
            assert_eq!(rumor.number("relays"), sent.relays);
            assert_eq!(rumor.text("repaired"), "0");
            assert_eq!(
                rumor.0["gossip.rumor.id_tree"]["gossip.rumor.id.origin"],
                reported["origin"].to_string()
            );
            assert_eq!(rumor.sent_at(), reported["sent_at"].as_str().unwrap());
            let mut path = rumor.path();
            assert_eq!(rumor.number("hops"), path.len() as u64);
            assert_eq!(path.last(), Some(&rumor.number_at("gossip.sender")));
            let receiver = rumor.number_at("gossip.receiver");
            path.push(receiver);
            taken.entry((receiver, rumor.text("id").into())).or_default().push(path);
            let copy = copies.entry(rumor.text("id")).or_default();
            *copy += 1;
            assert_eq!(rumor.number("copy"), *copy);
            assert_eq!(rumor.0["gossip.rumor.first_seen_in"].is_null(), *copy == 1);
        }
        for (id, sent) in messages {
            assert_eq!(copies[id.as_str()], 2 * LINKS * sent.relays, "{id}");
        }
        assert_eq!(seen.len() as u64, total(&self.shown, "rumors_sent"));
        for (held, reported) in &self.paths {
            let mut reported = reported.clone();
            let paths = taken.get_mut(held).unwrap();
            paths.sort();
            reported.sort();
            assert_eq!(paths, &reported, "{held:?}");
        }
    }

    /// The capture has as many frames as the nodes counted, of the kinds that a quiet network does not
    /// send.
    fn assert_counted(&self, tshark: &Tshark) {
        let rumors = tshark.fields(&self.before("gossip.rumor"), &["frame.number"]);
        assert_eq!(rumors.len() as u64, total(&self.shown, "rumor_datagrams_sent"));
        let rows = tshark.fields(&self.before("gossip"), &["gossip.kind"]);
        let kinds: Vec<u32> = rows.iter().flat_map(|row| numbers(&row[0])).collect();
        for (kind, counter) in [
            (0, "rumors_sent"),
            (1, "haves_sent"),
            (3, "wants_sent"),
            (5, "ranges_sent"),
            (11, "probes_sent"),
            (17, "back_pressure_sent"),
        ] {
            let seen = kinds.iter().filter(|seen| **seen == kind).count() as u64;
            assert_eq!(seen, total(&self.shown, counter), "{counter}");
        }
    }

    /// The links that each node told last are those that it reports.
    fn assert_neighbours(&self, lab: &Lab, tshark: &Tshark) {
        let fields = ["gossip.sender", "gossip.neighbours.peer", "gossip.neighbours.peer.port"];
        let told: BTreeMap<u32, (Vec<u32>, Vec<u32>)> = tshark
            .fields(&self.before("gossip.neighbours"), &fields)
            .iter()
            .map(|row| (row[0].parse().unwrap(), (numbers(&row[1]), numbers(&row[2]))))
            .collect();
        assert_eq!(told.len() as u64, NODES);
        for node in self.shown["nodes"].as_array().unwrap() {
            let number = u32::try_from(node["node"].as_u64().unwrap()).unwrap();
            let (peers, ports) = told[&number].clone();
            let listening: Vec<u32> =
                peers.iter().map(|peer| u32::from(lab.ports_origin()) + peer).collect();
            assert_eq!(ports, listening);
            let reported = node["status"]["peers"].as_array().unwrap();
            let mut reported: Vec<u64> =
                reported.iter().map(|peer| peer["node"].as_u64().unwrap()).collect();
            reported.sort_unstable();
            // A datagram may hold the list twice, with a heartbeat and with an answer to one: each time
            // it is whole.
            assert!(!peers.is_empty());
            for list in peers.chunks(reported.len()) {
                let mut list: Vec<u64> = list.iter().map(|peer| u64::from(*peer)).collect();
                list.sort_unstable();
                assert_eq!(list, reported);
            }
        }
    }
}

/// One rumor frame, with its datagram's fields, as tshark's JSON has them.
struct Rumor(Value);

impl Rumor {
    fn all(tshark: &Tshark, filter: &str) -> Vec<Self> {
        let said =
            tshark.read(&["-Y", filter, "-T", "json", "--no-duplicate-keys", "-J", "gossip"]);
        let packets: Vec<Value> = serde_json::from_str(&said).unwrap();
        let mut rumors = Vec::new();
        for packet in &packets {
            let datagram = &packet["_source"]["layers"]["gossip"];
            let frames = match &datagram["gossip.rumor"] {
                Value::Array(several) => several.clone(),
                one => vec![one.clone()],
            };
            for mut frame in frames {
                for field in ["gossip.sender", "gossip.receiver"] {
                    frame[field] = datagram[field].clone();
                }
                rumors.push(Self(frame));
            }
        }
        rumors
    }

    fn text(&self, name: &str) -> &str {
        self.0[format!("gossip.rumor.{name}")].as_str().unwrap()
    }

    fn number(&self, name: &str) -> u64 {
        self.number_at(&format!("gossip.rumor.{name}"))
    }

    fn number_at(&self, field: &str) -> u64 {
        let value = self.0[field].as_str();
        value.unwrap_or_else(|| panic!("no {field}: {}", self.0)).parse().unwrap()
    }

    fn path(&self) -> Vec<u64> {
        self.text("path").split(" ➜ ").map(|node| node.parse().unwrap()).collect()
    }

    /// A time, written as the program writes it.
    fn sent_at(&self) -> String {
        let months = "JanFebMarAprMayJunJulAugSepOctNovDec";
        let shown = self.text("sent_at").strip_suffix(" UTC").unwrap().replace(',', "");
        // `Nov 22, 2026 16:06:05.123456789 UTC`, a day of one digit with a space before it.
        let [month, day, year, time] = *shown.split_whitespace().collect::<Vec<_>>() else {
            panic!("{shown}")
        };
        let month = months.find(month).unwrap() / 3 + 1;
        format!("{year}-{month:02}-{day:0>2}T{time}Z")
    }
}

/// A datagram's sender is the node that owns the port it comes from; its receiver, where that is
/// known, the one that owns the other.
fn assert_addresses(lab: &Lab, tshark: &Tshark) {
    let fields = ["gossip.sender", "udp.srcport", "gossip.receiver", "udp.dstport"];
    let mut known = 0;
    for row in tshark.fields("gossip", &fields) {
        for (node, port) in [(&row[0], &row[1]), (&row[2], &row[3])] {
            if let Ok(node) = node.parse::<u16>() {
                known += 1;
                assert_eq!(port.parse::<u16>().unwrap(), lab.ports_origin() + node);
            }
        }
    }
    assert!(known > 100, "{known} known");
}

/// Treats the network so that nodes send every kind of frame, until all kinds were captured.
fn provoke_every_kind(lab: &Lab, capture: &Capture) {
    let peer = lab.json("list-peers 8")["peers"][0]["node"].to_string();
    let silent = format!("inject-faults --from 8 --to {peer} --loss 100%");
    // The command to begin with, the one to repeat, and the frames that they lead to.
    let stages: [(&[&str], &[&str], &[u32]); 4] = [
        // A node that is silent for one neighbour only is probed directly and through others.
        (&[&silent], &[], &[11, 12, 13, 14]),
        (&["heal-network", "inject-faults --loss 40%"], &["send-message 4 lossy"], &[1, 2, 3]),
        (&["heal-network", "remove-node 8", "start-node 8"], &[], &[5, 6, 10]),
        (&[], &["rewire-network --min-peers 2 --max-peers 4"], &[9]),
    ];
    for (first, again, kinds) in stages {
        first.iter().for_each(|line| drop(lab.ok(line)));
        capture.until(kinds, || again.iter().for_each(|line| drop(lab.ok(line))));
    }
    let all: Vec<u32> = (0..KINDS).collect();
    capture.until(&all, || ());
}
