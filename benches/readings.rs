//! What the system tells of processes: memory, threads, processor time.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use gossip::runtime::clock;
use nix::sys::resource::{UsageWho, getrusage};

use crate::site::{Lab, Outcome};

/// How often the memory of a running process is looked up.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// Memory in bytes, with what is shared counted in parts: `Pss` of `smaps_rollup`.
pub(crate) fn memory(pid: u32) -> Option<u64> {
    kilobytes(&format!("/proc/{pid}/smaps_rollup"), "Pss:")
}

pub(crate) fn threads(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("Threads:"))?.trim().parse().ok()
}

/// The processor time of all threads that run now.
pub(crate) fn processor_time(pid: u32) -> Option<Duration> {
    let of = |task: std::io::Result<fs::DirEntry>| -> Option<u64> {
        let text = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse().ok()
    };
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    Some(Duration::from_nanos(tasks.filter_map(of).sum()))
}

fn kilobytes(path: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    value.trim().trim_end_matches(" kB").parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

/// The wall and processor time of a command, in milliseconds.
pub(crate) fn time(mut command: Command) -> Outcome<(f64, f64)> {
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let (start, used) = (clock::now().monotonic, children_time()?);
    let status = command.status()?;
    let wall = clock::now().monotonic.since(start);
    if !status.success() {
        return Err(format!("{command:?} failed").into());
    }
    Ok((wall.as_secs_f64() * 1e3, (children_time()? - used) * 1e3))
}

/// The processor time of all children that have ended, in seconds.
fn children_time() -> Outcome<f64> {
    used(UsageWho::RUSAGE_CHILDREN)
}

/// The processor time of this process itself, in seconds.
pub(crate) fn own_time() -> Outcome<f64> {
    used(UsageWho::RUSAGE_SELF)
}

fn used(by: UsageWho) -> Outcome<f64> {
    let usage = getrusage(by)?;
    let seconds =
        |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    Ok(seconds(usage.user_time()) + seconds(usage.system_time()))
}

/// The time in seconds and the largest memory in bytes of a command that takes a while.
pub(crate) fn time_and_memory(lab: &Lab, mut command: Command) -> Outcome<(f64, f64)> {
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let start = clock::now().monotonic;
    let mut child = command.spawn()?;
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0;
    let ended = loop {
        // A process that has just ended has no memory any more; what was seen last is the most.
        most = kilobytes(&status, "VmHWM:").unwrap_or(0).max(most);
        if let Some(ended) = child.try_wait()? {
            break ended;
        }
        if let Err(error) = lab.sleep(LOOK_INTERVAL) {
            child.kill()?;
            child.wait()?;
            return Err(error);
        }
    };
    if !ended.success() {
        return Err(format!("{command:?} failed").into());
    }
    Ok((clock::now().monotonic.since(start).as_secs_f64(), most as f64))
}

/// The memory that could still be had, in bytes.
pub(crate) fn memory_available() -> u64 {
    kilobytes("/proc/meminfo", "MemAvailable:").unwrap_or(0)
}
