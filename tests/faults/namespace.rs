//! A network namespace of a test's own, in which the kernel may drop datagrams on input.
//!
//! The test runs itself once more, inside: with its own loopback interface, its own processes
//! and its own `/proc`. The namespace has no name, so nothing is left to clean up, and when the
//! inner test ends, however it does, the kernel ends every process it started.

use std::process::Command;

/// Set for the inner run.
const INSIDE: &str = "GOSSIP_TEST_INSIDE_NAMESPACE";

/// Runs `body`, the body of the test `name`, where the kernel drops this percentage of all UDP
/// datagrams on input.
#[track_caller]
pub(crate) fn with_loss(name: &str, percent: u8, body: impl FnOnce()) {
    inside(name, || {
        drop_datagrams(percent);
        body();
    });
}

/// Runs `body`, the body of the test `name`, where it has a loopback interface to itself.
#[track_caller]
pub(crate) fn inside(name: &str, body: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        run("ip link set lo up");
        return body();
    }
    let mut unshare = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        unshare.args(["--user", "--map-root-user"]);
    }
    unshare.args(["--net", "--pid", "--mount", "--fork", "--kill-child", "--mount-proc"]);
    unshare.arg(std::env::current_exe().unwrap()).args(["--exact", name, "--nocapture"]);
    let status = unshare.env(INSIDE, "1").status();
    let status = status.unwrap_or_else(|error| panic!("cannot run `unshare`: {error}. {HELP}"));
    assert!(status.success(), "`{name}` failed inside its namespace, see above. {HELP}");
}

const HELP: &str = "This test needs root (or user namespaces), unshare, ip and nft: scripts/test \
                    installs what is missing";

/// Has the kernel drop datagrams, in this namespace.
fn drop_datagrams(percent: u8) {
    run("nft add table inet faults");
    run("nft add chain inet faults input { type filter hook input priority 0 ; }");
    run(&format!(
        "nft add rule inet faults input meta l4proto udp numgen random mod 100 < {percent} drop"
    ));
}

#[track_caller]
fn run(line: &str) {
    let mut words = line.split(' ');
    let program = words.next().unwrap_or_default();
    let output = Command::new(program).args(words).output();
    let output = output.unwrap_or_else(|error| panic!("cannot run `{line}`: {error}. {HELP}"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "`{line}` failed: {stderr} {HELP}");
}
