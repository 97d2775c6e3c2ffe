//! Readings from the system, of processes and of the machine.

use std::fs;
use std::process::Command;

/// The memory of a process in MB, with shared pages counted in parts.
pub(crate) fn memory(pid: u32) -> Option<f64> {
    Some(number(&format!("/proc/{pid}/smaps_rollup"), "Pss:")? * 1024.0 / 1e6)
}

/// The most memory in bytes that a process has had; nothing is known of one that has ended.
pub(crate) fn memory_peak(pid: u32) -> Option<f64> {
    Some(number(&format!("/proc/{pid}/status"), "VmHWM:")? * 1024.0)
}

/// The processor time in seconds of the main thread, which is all that works in a node at rest.
pub(crate) fn processor_time(pid: u32) -> Option<f64> {
    Some(number(&format!("/proc/{pid}/schedstat"), "")? / 1e9)
}

/// The number behind a name at the beginning of a line.
fn number(path: &str, name: &str) -> Option<f64> {
    field(path, name)?.split(' ').next()?.parse().ok()
}

/// The rest of the line that begins with this name.
fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(rest.trim_start_matches([' ', '\t', ':']).to_owned())
}

/// The processors, and the load average of the last minute.
pub(crate) fn machine() -> String {
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    let processor = field("/proc/cpuinfo", "model name").unwrap_or_default();
    format!("{processors} × {processor}, load {}", number("/proc/loadavg", "").unwrap_or(0.0))
}

/// The commit that is checked out.
pub(crate) fn commit() -> String {
    let words = ["describe", "--always", "--exclude=*", "--abbrev=12", "--dirty=+"];
    let output = Command::new("git").args(words).output().map(|output| output.stdout);
    String::from_utf8_lossy(&output.unwrap_or_default()).trim().to_owned()
}
