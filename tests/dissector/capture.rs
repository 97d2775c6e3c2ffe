//! `scripts/capture` captures the ports that it names, and says what is missing if it cannot.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::harness::{Lab, Run, finish};
use crate::namespace;
use crate::tshark::Tshark;

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts");
/// A tshark that lists its protocols.
const KNOWS_GOSSIP: &str = r#"[ "$1" = -G ] && printf 'Gossip\tGOSSIP\tgossip\n' && exit"#;
/// The programs that the script itself calls.
const ITS_TOOLS: [&str; 8] = ["bash", "dirname", "grep", "head", "id", "realpath", "cat", "sed"];

/// A directory for the `PATH`, with only those programs in it that a test puts there.
struct Place {
    directory: PathBuf,
}

impl Place {
    fn new(lab: &Lab) -> Self {
        let directory = lab.directory().join("bin");
        fs::create_dir(&directory).unwrap();
        let place = Self { directory };
        let path = std::env::var_os("PATH").unwrap();
        for tool in ITS_TOOLS {
            let found = std::env::split_paths(&path).map(|path| path.join(tool));
            place.link(&found.into_iter().find(|path| path.exists()).unwrap());
        }
        place
    }

    fn link(&self, program: &Path) {
        symlink(program, self.directory.join(program.file_name().unwrap())).unwrap();
    }

    fn with_gossip(self) -> Self {
        self.link(Path::new(env!("CARGO_BIN_EXE_gossip")));
        self
    }

    /// Adds a tool that runs `ends`, and then prints its arguments.
    fn with_tool(self, name: &str, ends: &str) -> Self {
        let path = self.directory.join(name);
        fs::write(&path, format!("#!/bin/sh\n{ends}\necho {name} \"$@\"\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    /// Runs the script with this `PATH`.
    fn capture(&self, lab: &Lab, arguments: &[&str]) -> Run {
        self.run(lab, &format!("{SCRIPTS}/capture"), arguments)
    }

    fn run(&self, lab: &Lab, script: &str, arguments: &[&str]) -> Run {
        let mut command = lab.tool(script);
        finish(command.args(arguments).env("PATH", &self.directory).spawn().unwrap())
    }
}

#[test]
fn a_network_is_captured_on_its_ports() {
    namespace::inside("capture::a_network_is_captured_on_its_ports", || {
        let lab = Lab::new();
        lab.start("circular -n 3 --network other");
        let first = lab.ports_origin() + 33;
        lab.ok(&format!("start-network circular -n 3 --ports-origin {}", first - 1));
        let script = |arguments: &str| {
            let mut command = lab.tool(format!("{SCRIPTS}/capture"));
            let program = Path::new(env!("CARGO_BIN_EXE_gossip")).parent().unwrap();
            let path = std::env::var("PATH").unwrap();
            command.env("PATH", format!("{}:{path}", program.display()));
            finish(command.args(arguments.split(' ')).spawn().unwrap())
        };
        let run = script("-- -c 20");
        let said = format!(
            "capturing UDP ports {first} to {} on lo into gossip-default.pcapng; Ctrl-C ends it\n",
            first + 2
        );
        assert!(run.stderr.starts_with(&said), "{run:?}");
        run.ok("scripts/capture");
        let file = lab.directory().join("gossip-default.pcapng");
        let tshark = Tshark::new(lab.directory(), &file);
        let ports = tshark.fields("gossip", &["udp.srcport"]);
        assert_eq!(ports.len(), 20);
        let own = first..first + 3;
        assert!(ports.iter().all(|row| own.contains(&row[0].parse().unwrap())), "{ports:?}");

        let live = script("--live --network other seen.pcapng -- -c 5");
        if live.stderr.contains("does not run") {
            // From version 4.4 on, tshark runs no scripts for root, and only root may capture here.
            live.fails("live, as root");
            return;
        }
        let lines: Vec<&str> = live.stdout.lines().collect();
        assert_eq!(lines.len(), 5, "{live:?}");
        assert!(lines.iter().all(|line| line.contains(" node ")), "{lines:?}");
        assert!(lab.directory().join("seen.pcapng").exists());
    });
}

#[test]
fn a_network_that_does_not_run_has_no_ports() {
    let lab = Lab::new();
    let place = Place::new(&lab).with_gossip().with_tool("dumpcap", "");
    let said = place.capture(&lab, &["--network", "nope"]).fails("capture");
    assert!(said.starts_with("error: no network nope is running\n"), "{said}");
    lab.start("circular -n 3 --network nope2");
    place.capture(&lab, &["--network", "nope"]).fails("capture");
}

#[test]
fn the_first_tool_that_is_installed_is_used() {
    let lab = Lab::new();
    let said = |place: &Place, arguments: &[&str]| {
        let arguments = [&["--ports", "7001-7016"], arguments].concat();
        place.capture(&lab, &arguments).ok("capture")
    };
    let place = Place::new(&lab).with_tool("tcpdump", "");
    let tcpdump = said(&place, &["f", "--", "-c", "1"]);
    assert_eq!(tcpdump, "tcpdump -i lo -w f -U -c 1 udp portrange 7001-7016\n");
    let place = place.with_tool("tshark", KNOWS_GOSSIP);
    let options = format!(
        "-i lo -w gossip-default.pcapng -f udp portrange 7001-7016 \
         -o udp.try_heuristic_first:TRUE -X lua_script:{SCRIPTS}/gossip.lua"
    );
    assert_eq!(said(&place, &[]), format!("tshark {options} -q\n"));
    let place = place.with_tool("dumpcap", "");
    let dumpcap = said(&place, &["f"]);
    assert_eq!(dumpcap, "dumpcap -i lo -w f -q -f udp portrange 7001-7016\n");
    assert_eq!(said(&place, &["--live"]), format!("tshark {options} -P -l\n"));
    let dumpcap = said(&place, &["-"]);
    assert_eq!(dumpcap, "dumpcap -i lo -w - -q -f udp portrange 7001-7016\n");
    let both = place.capture(&lab, &["--ports", "7001-7016", "--live", "-"]).fails("lines and -");
    assert!(both.starts_with("error: cannot capture into stdout\n"), "{both}");
}

#[test]
fn a_missing_tool_right_or_program_is_named() {
    let lab = Lab::new();
    let place = Place::new(&lab);
    let ports = ["--ports", "7001-7016"];
    let said = place.capture(&lab, &ports).fails("no tool");
    assert_eq!(
        said,
        "error: cannot capture\n  \
         why:  of dumpcap tshark tcpdump none is installed\n  \
         next: apt-get install tshark, or whatever your system calls it\n"
    );
    let refuse = "echo 'dumpcap: no permission to capture on that device' >&2; exit 2";
    let place = place.with_tool("dumpcap", refuse);
    let said = place.capture(&lab, &ports).fails("no permission");
    assert!(
        said.starts_with(
            "error: cannot capture on the interface lo\n  \
             why:  dumpcap says: dumpcap: no permission to capture on that device\n  \
             next: as root, sudo scripts/capture --ports 7001-7016; or for good, "
        ),
        "{said}"
    );
    let live = place.capture(&lab, &[ports.as_slice(), &["--live"]].concat()).fails("no tshark");
    assert!(live.contains("of tshark none is installed"), "{live}");
    let place = place.with_tool("tshark", "");
    let live = place.capture(&lab, &[ports.as_slice(), &["--live"]].concat()).fails("no scripts");
    assert!(live.starts_with("error: cannot show datagrams while capturing them\n"), "{live}");
    // A copy of the script elsewhere has no build in the directory above its own.
    let elsewhere = lab.directory().join("scripts/capture");
    fs::create_dir(elsewhere.parent().unwrap()).unwrap();
    fs::copy(format!("{SCRIPTS}/capture"), &elsewhere).unwrap();
    let said = place.run(&lab, elsewhere.to_str().unwrap(), &[]).fails("no program");
    assert!(said.contains("there is no program called gossip"), "{said}");
}

#[test]
fn wrong_arguments_are_misuse() {
    let lab = Lab::new();
    let place = Place::new(&lab);
    for arguments in
        [&["--network"][..], &["--ports", "7001"], &["--ports", "a-b"], &["--what"], &["f", "g"]]
    {
        let run = place.capture(&lab, arguments);
        assert_eq!(run.code, Some(2), "{arguments:?}: {run:?}");
        assert!(run.stderr.starts_with("usage: scripts/capture "), "{run:?}");
    }
    let help = place.capture(&lab, &["--help"]).ok("--help");
    assert!(
        help.starts_with("Captures the datagrams ") && help.contains("  scripts/capture --live"),
        "{help}"
    );
}
