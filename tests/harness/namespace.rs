//! A network namespace of a test's own, in which the kernel may drop datagrams on input.
//!
//! The test runs itself once more, inside: with its own loopback interface, its own processes
//! and its own `/proc`. The namespace has no name, so nothing is left to clean up, and when the
//! inner test ends, however it does, the kernel ends every process it started.

use std::fs;
use std::process::Command;

use super::make_directory;

/// Set for the inner run: the file in which it notes that it came to its end.
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
    if let Some(note) = std::env::var_os(INSIDE) {
        run("ip link set lo up");
        body();
        fs::write(note, name).unwrap();
        return;
    }
    let directory = make_directory();
    let note = directory.join("ended");
    let mut unshare = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        unshare.args(["--user", "--map-root-user"]);
    }
    unshare.args(["--net", "--pid", "--mount", "--fork", "--kill-child", "--mount-proc"]);
    unshare.arg(std::env::current_exe().unwrap()).args(["--exact", name, "--nocapture"]);
    let status = unshare.env(INSIDE, &note).status();
    let status = status.unwrap_or_else(|error| panic!("cannot run `unshare`: {error}. {HELP}"));
    // A name that no test has would succeed as well, and prove nothing.
    let ended = fs::read_to_string(&note).ok();
    let _ = fs::remove_dir_all(directory);
    assert!(status.success(), "`{name}` failed inside its namespace, see above. {HELP}");
    assert_eq!(ended.as_deref(), Some(name), "the inner run did not run this test");
}

const HELP: &str = "This test needs root (or user namespaces), unshare, ip and nft: scripts/test \
                    installs what is missing";

/// Has the kernel drop datagrams, in this namespace.
fn drop_datagrams(percent: u8) {
    drop_where(&format!("meta l4proto udp numgen random mod 100 < {percent}"));
}

/// Has the kernel drop all datagrams from one port to another, in this namespace.
pub(crate) fn drop_between(from: u16, to: u16) {
    drop_where(&format!("udp sport {from} udp dport {to}"));
}

fn drop_where(matches: &str) {
    // Both are there already if this is not the first rule, which is no error.
    run("nft add table inet faults");
    run("nft add chain inet faults input { type filter hook input priority 0 ; }");
    run(&format!("nft add rule inet faults input {matches} drop"));
}

#[track_caller]
fn run(line: &str) {
    let mut words = line.split(' ');
    let mut command = Command::new(words.next().unwrap_or_default());
    // nft and ip live where the PATH of users seldom looks.
    let path = std::env::var("PATH").unwrap_or_default();
    let output = command.args(words).env("PATH", format!("{path}:/usr/sbin:/sbin")).output();
    let output = output.unwrap_or_else(|error| panic!("cannot run `{line}`: {error}. {HELP}"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "`{line}` failed: {stderr} {HELP}");
}
