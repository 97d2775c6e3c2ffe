//! Captures written by hand, and tshark to read captures with the dissector.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::harness::{Run, finish};

/// A port that no other protocol claims.
pub(crate) const PORT: u16 = 30_009;

/// A file in the classic format: each packet an IPv4 packet, one second after the other.
pub(crate) struct Pcap {
    bytes: Vec<u8>,
    packets: u32,
}

/// When the first packet was captured, in seconds since 1970.
const BEGINNING: u32 = 1_700_000_001;
/// Packets begin with their IP header.
const LINKTYPE_RAW: u32 = 101;

impl Pcap {
    pub(crate) fn new() -> Self {
        let mut bytes = 0xa1b2_c3d4_u32.to_le_bytes().to_vec();
        bytes.extend([2, 0, 4, 0]);
        bytes.extend([0, 0, 262_144, LINKTYPE_RAW].map(u32::to_le_bytes).concat());
        Self { bytes, packets: 0 }
    }

    /// A capture of such datagrams.
    pub(crate) fn of<'a>(datagrams: impl IntoIterator<Item = &'a Vec<u8>>) -> Self {
        let mut pcap = Self::new();
        for datagram in datagrams {
            pcap.datagram(PORT, datagram);
        }
        pcap
    }

    /// Adds a datagram from the port before this one to it.
    pub(crate) fn datagram(&mut self, port: u16, payload: &[u8]) {
        self.packet(&udp(port, payload), usize::MAX);
    }

    /// Adds a packet, of which at most so many bytes were captured.
    pub(crate) fn packet(&mut self, packet: &[u8], captured: usize) {
        let captured = &packet[..captured.min(packet.len())];
        let lengths = [captured.len(), packet.len()].map(|length| u32::try_from(length).unwrap());
        self.bytes.extend((BEGINNING + self.packets).to_le_bytes());
        self.bytes.extend([0, lengths[0], lengths[1]].map(u32::to_le_bytes).concat());
        self.bytes.extend(captured);
        self.packets += 1;
    }

    /// Writes the file, and returns a tshark that reads it.
    pub(crate) fn into_tshark(self, directory: &Path) -> Tshark {
        let file = directory.join("written.pcap");
        fs::write(&file, self.bytes).unwrap();
        Tshark::new(directory, &file)
    }
}

/// An IPv4 packet from and to loopback.
pub(crate) fn ip(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(20 + payload.len()).unwrap().to_be_bytes();
    let mut packet = vec![0x45, 0, length[0], length[1], 0, 0, 0, 0, 64, protocol, 0, 0];
    packet.extend([127, 0, 0, 1, 127, 0, 0, 1]);
    packet.extend(payload);
    packet
}

/// A UDP datagram in its IP packet.
pub(crate) fn udp(port: u16, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + payload.len()).unwrap();
    let mut datagram = [port - 1, port, length, 0].map(u16::to_be_bytes).concat();
    datagram.extend(payload);
    ip(17, &datagram)
}

/// Reads one capture. It has a home of its own, so that plugins which a user has installed, the
/// dissector among them, do not matter.
pub(crate) struct Tshark {
    home: PathBuf,
    capture: PathBuf,
    options: Vec<String>,
}

impl Tshark {
    pub(crate) fn new(home: &Path, capture: &Path) -> Self {
        Self { home: home.into(), capture: capture.into(), options: Vec::new() }
    }

    pub(crate) fn option(mut self, words: &[&str]) -> Self {
        self.options.extend(words.iter().map(|word| (*word).to_owned()));
        self
    }

    /// Its output with these arguments, in which there is no Lua error.
    #[track_caller]
    pub(crate) fn read(&self, arguments: &[&str]) -> String {
        let run = self.run(arguments);
        let said = run.stdout;
        // A capture that is still being written may end in the middle of a packet.
        let ended = run.code == Some(0) || run.stderr.contains("cut short");
        assert!(ended, "tshark {arguments:?}: {:?} {}", run.code, run.stderr);
        assert!(!run.stderr.contains(".lua"), "{}", run.stderr);
        if let Some(at) = said.find("Lua Error") {
            panic!("{}", said[at..].lines().next().unwrap_or_default());
        }
        said
    }

    #[track_caller]
    fn run(&self, arguments: &[&str]) -> Run {
        let dissector = concat!("lua_script:", env!("CARGO_MANIFEST_DIR"), "/scripts/gossip.lua");
        let mut tshark = Command::new("tshark");
        // From Wireshark 4.4 on, root's scripts are not run. In a user namespace without a mapping of
        // users, root is not root, and its files are still its own.
        if rustix::process::geteuid().is_root() {
            tshark = Command::new("unshare");
            tshark.args(["--user", "tshark"]);
        }
        tshark.args(["-n", "-X", dissector, "-r"]).arg(&self.capture);
        tshark.args(&self.options).args(arguments);
        tshark.env("HOME", &self.home).env("TZ", "UTC").env_remove("XDG_CONFIG_HOME");
        tshark.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = tshark.spawn();
        finish(child.unwrap_or_else(|error| {
            panic!("cannot run tshark: {error}. scripts/test installs what is missing")
        }))
    }

    /// One line for each packet that passes the filter, with the values of these fields.
    #[track_caller]
    pub(crate) fn fields(&self, filter: &str, fields: &[&str]) -> Vec<Vec<String>> {
        let mut arguments = vec!["-Y", filter, "-T", "fields"];
        // A Lua error shows as the message of an expert.
        for field in fields.iter().chain(&["_ws.expert.message"]) {
            arguments.extend(["-e", field]);
        }
        let split = |line: &str| {
            let values: Vec<String> = line.split('\t').map(str::to_owned).collect();
            values[..fields.len()].to_vec()
        };
        self.read(&arguments).lines().map(split).collect()
    }

    /// The Info column of each packet.
    #[track_caller]
    pub(crate) fn info(&self) -> Vec<String> {
        let column = r#"gui.column.format:"Info","%i""#;
        self.read(&["-T", "tabs", "-o", column]).lines().map(str::to_owned).collect()
    }
}
