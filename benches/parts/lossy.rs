//! How long messages take to all nodes where the kernel drops a share of all UDP datagrams on input.
//!
//! The bench runs itself once more, in a network namespace without a name, which has its own
//! loopback interface, its own processes and its own `/proc`. When that inner bench ends, however it
//! does, the kernel ends every process it started. Its document brings the figures back.

use std::process::{Command, Stdio};
use std::time::Duration;

use gossip::topology::Kind;

use super::latency::send_in_turn;
use crate::figure::{Outcome, Report, Rounds};
use crate::load::{Network, RANDOM, Tally};
use crate::ours::Ours;
use crate::site::{REST, Site};

/// The networks: what they are called, their topology, nodes, and the percentage that is lost.
const NETWORKS: [(&str, Kind, u32, u8); 3] =
    [("random", RANDOM, 32, 20), ("random", RANDOM, 32, 40), ("ring", Kind::Circular, 32, 20)];
/// The messages of a round, one from each node in turn.
const MESSAGES: u32 = 200;
/// From one message to the next, and up to 9 ms more.
const APART: Duration = Duration::from_millis(16);
/// Where the inner bench leaves its figures.
pub(crate) const INNER_DOCUMENT: &str = "target/bench/state/loss.json";

pub(crate) fn measure(site: &Site, report: &mut Report) -> Outcome<()> {
    for (shape, kind, nodes, percent) in NETWORKS {
        let name = format!("loss/{shape}/{nodes}/{percent}");
        if !site.options.wants(&name) {
            continue;
        }
        if !site.options.inside {
            return run_inside(report);
        }
        eprintln!("{name}");
        drop_datagrams(percent)?;
        let mut times = Rounds::new();
        let mut tally = Tally::default();
        for _ in 0..site.options.rounds_or(3, 1) {
            let mut network = Ours::start(site, kind, nodes)?;
            site.sleep(REST)?;
            send_in_turn(site, &mut [&mut network], nodes, MESSAGES, APART)?;
            // The last repairs may take 20 s.
            for _ in 0..40 {
                tally = network.tally()?;
                if tally.has_all(u64::from(nodes + MESSAGES)) {
                    break;
                }
                site.sleep(Duration::from_millis(500))?;
            }
            times.push(network.times_to_all(nodes)?);
        }
        let missing = times.len() * MESSAGES as usize - times.concat().len();
        report.add(name, "ms", times, Rounds::new());
        report.note("not at all", missing as f64);
        report.note("repairs a message", tally.repairs as f64 / f64::from(nodes + MESSAGES));
    }
    Ok(())
}

/// Runs this part in a namespace, if the system allows it and has the tools.
fn run_inside(report: &mut Report) -> Outcome<()> {
    let tried = namespace().args(["nft", "list", "ruleset"]).output()?;
    if !tried.status.success() {
        let said = String::from_utf8_lossy(&tried.stderr);
        eprintln!("loss: left out\n  why:  {}", said.trim());
        eprintln!("  next: run as root, and install util-linux, iproute2 and nftables");
        return Ok(());
    }
    let mut inner = namespace();
    inner.arg(std::env::current_exe()?).args(std::env::args_os().skip(1)).arg("--inside");
    if !inner.stdin(Stdio::null()).status()?.success() {
        return Err("the bench inside the namespace failed, see above".into());
    }
    report.figures.extend(Report::read(INNER_DOCUMENT.as_ref())?.figures);
    Ok(())
}

/// A command line that runs the rest of its words in a namespace of its own.
fn namespace() -> Command {
    let mut shell = Command::new("sh");
    let users = if rustix::process::geteuid().is_root() { "" } else { "--user --map-root-user" };
    let unshare = format!(
        "unshare {users} --net --pid --mount --fork --kill-child --mount-proc \
         sh -c 'ip link set lo up && exec \"$@\"' inside \"$@\""
    );
    shell.args(["-c", &unshare, "outside"]);
    shell
}

/// Has the kernel drop a percentage of all datagrams, in this namespace.
fn drop_datagrams(percent: u8) -> Outcome<()> {
    let rules = format!(
        "flush ruleset; add table inet bench; \
         add chain inet bench input {{ type filter hook input priority 0; }}; \
         add rule inet bench input meta l4proto udp numgen random mod 100 < {percent} drop"
    );
    let is_done = Command::new("nft").arg(rules).status()?.success();
    if is_done { Ok(()) } else { Err("nft failed, see above".into()) }
}
