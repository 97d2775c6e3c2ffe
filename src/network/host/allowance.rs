//! What the system allows, checked before anything is started.
//!
//! Every check reads what can be read and passes over what cannot: the system has the last word
//! when a process is really started.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use procfs::process::all_processes;
use procfs::{Current, LoadAverage};
use rustix::process::{Resource, Rlimit, getrlimit, getuid, setrlimit};

use crate::network::{Error, ProcessLimit, TooFewFiles};

/// The threads of one node: its socket loop, the control port with a worker, signals. The
/// system counts each of them as it counts processes.
const TASKS_PER_NODE: u64 = 4;

/// How many starting nodes are waited for at a time. Each costs the launcher a pipe, so this
/// bounds its open files, whatever the number of nodes.
const WINDOW: u64 = 64;

/// The files that the launcher has open beside those of starting nodes.
const FILES_BESIDE: u64 = 48;

/// The UDP addresses of nodes 1 to `nodes`.
pub(in crate::network) fn addresses(origin: u16, nodes: u32) -> Result<Vec<SocketAddr>, Error> {
    let last = u64::from(origin) + u64::from(nodes);
    if last > u64::from(u16::MAX) {
        return Err(Error::Ports(origin, nodes));
    }
    let ports = (1..=nodes).filter_map(|node| u16::try_from(u32::from(origin) + node).ok());
    Ok(ports.map(|port| SocketAddr::from(([127, 0, 0, 1], port))).collect())
}

/// How many starting nodes may be waited for at a time, given how many files may be open.
pub(in crate::network) fn window() -> Result<usize, Error> {
    let limit = getrlimit(Resource::Nofile).current;
    window_within(limit.unwrap_or(u64::MAX), open_files())
}

fn window_within(limit: u64, open: u64) -> Result<usize, Error> {
    // While a process is started, both ends of its pipe are open, its instructions and its log.
    let spare = limit.saturating_sub(open.saturating_add(FILES_BESIDE));
    match usize::try_from((spare / 2).min(WINDOW)) {
        Ok(window) if window > 0 => Ok(window),
        _ => Err(TooFewFiles { needed: open + FILES_BESIDE + 2, limit }.into()),
    }
}

/// Sees to it that this process may have `more` files open, as far as the system lets it raise
/// that limit by itself.
///
/// # Errors
///
/// If it does not.
pub fn allow_files(more: u64) -> Result<(), TooFewFiles> {
    let limit = getrlimit(Resource::Nofile);
    let needed = open_files().saturating_add(more).saturating_add(FILES_BESIDE / 4);
    let is_enough = |allowed: Option<u64>| allowed.is_none_or(|allowed| allowed >= needed);
    if is_enough(limit.current) {
        return Ok(());
    }
    let raised = Rlimit { current: Some(needed), ..limit };
    if is_enough(limit.maximum) && setrlimit(Resource::Nofile, raised).is_ok() {
        return Ok(());
    }
    Err(TooFewFiles { needed, limit: limit.maximum.or(limit.current).unwrap_or(u64::MAX) })
}

fn open_files() -> u64 {
    fs::read_dir("/proc/self/fd").map_or(3, |files| files.count() as u64)
}

/// Whether the system allows the processes of this number of nodes.
pub(in crate::network) fn check_processes(nodes: u32) -> Result<(), Error> {
    let needed = u64::from(nodes) * TASKS_PER_NODE;
    let limits = user_limit().into_iter().chain(kernel_limits()).chain(cgroup_limits());
    for (name, max, used) in limits {
        if used.saturating_add(needed) > max {
            let limit = Some(ProcessLimit { name, max, used, needed });
            return Err(Error::TooManyProcesses(nodes, limit));
        }
    }
    Ok(())
}

/// `ulimit -u`, which the system does not hold against root.
fn user_limit() -> Option<(String, u64, u64)> {
    let uid = getuid();
    if uid.is_root() {
        return None;
    }
    let max = getrlimit(Resource::Nproc).current?;
    let statuses = all_processes().ok()?.flatten().filter_map(|process| process.status().ok());
    let ours = statuses.filter(|status| status.ruid == uid.as_raw());
    Some(("ulimit -u".to_owned(), max, ours.map(|status| status.threads).sum()))
}

/// The limits on the whole machine.
fn kernel_limits() -> Vec<(String, u64, u64)> {
    // The crate calls it `max`: the number of processes and threads there are.
    let used = LoadAverage::current().map_or(0, |load| load.max.into());
    let limit = |name| {
        let max = number_in(Path::new(&format!("/proc/sys/kernel/{name}")))?;
        Some((format!("kernel.{name}"), max, used))
    };
    ["pid_max", "threads-max"].into_iter().filter_map(limit).collect()
}

/// The limits of the control group that this process is in, and of all above it.
fn cgroup_limits() -> Vec<(String, u64, u64)> {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let directories = groups.lines().filter_map(cgroup_directory);
    directories.flat_map(|(root, directory)| limits_up_to(&root, &directory)).collect()
}

/// Where a line of `/proc/self/cgroup` (`0::/user.slice`, or `8:pids:/` in version 1) points to.
fn cgroup_directory(line: &str) -> Option<(PathBuf, PathBuf)> {
    let mut fields = line.splitn(3, ':');
    let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
    let root = match controllers {
        "" => PathBuf::from("/sys/fs/cgroup"),
        "pids" => PathBuf::from("/sys/fs/cgroup/pids"),
        _ => return None,
    };
    let directory = root.join(path.trim_start_matches('/'));
    Some((root, directory))
}

fn limits_up_to(root: &Path, directory: &Path) -> Vec<(String, u64, u64)> {
    let within = directory.ancestors().take_while(|path| path.starts_with(root));
    let limits = within.filter_map(|path| {
        let file = path.join("pids.max");
        // Where nothing is limited, the file says `max`, or is not there.
        let max = number_in(&file)?;
        let used = number_in(&path.join("pids.current")).unwrap_or(0);
        Some((file.display().to_string(), max, used))
    });
    limits.collect()
}

fn number_in(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::super::testing_state::TempDir;
    use super::*;

    #[test]
    fn the_last_port_is_65535() {
        let last = addresses(65_534, 1).unwrap();
        assert_eq!(last, [SocketAddr::from(([127, 0, 0, 1], 65_535))]);
        for (origin, nodes) in [(65_535, 1), (65_000, 536), (7_000, u32::MAX)] {
            let error = addresses(origin, nodes).unwrap_err();
            assert!(matches!(error, Error::Ports(..)), "{error}");
        }
        assert_eq!(addresses(65_000, 535).unwrap().len(), 535);
    }

    #[test]
    fn a_thousand_open_files_suffice_for_any_number_of_nodes() {
        assert_eq!(window_within(1_024, 20).unwrap(), 64);
        assert_eq!(window_within(u64::MAX, 20).unwrap(), 64);
        assert_eq!(window_within(78, 20).unwrap(), 5);
        let error = window_within(60, 20).unwrap_err();
        assert!(
            matches!(error, Error::TooFewFiles(TooFewFiles { needed: 70, limit: 60 })),
            "{error:?}"
        );
    }

    #[test]
    fn more_nodes_than_the_system_has_numbers_for_are_refused() {
        match check_processes(u32::MAX) {
            Err(Error::TooManyProcesses(u32::MAX, Some(limit))) => {
                assert!(limit.used + limit.needed > limit.max, "{limit}");
            }
            other => panic!("{other:?}"),
        }
        check_processes(1).unwrap();
    }

    #[test]
    fn the_limits_of_the_whole_machine_are_known() {
        let limits = kernel_limits();
        assert_eq!(limits.len(), 2);
        for (name, max, used) in limits {
            assert!(used >= 1 && used <= max, "{name}: {used} of {max}");
        }
    }

    #[test]
    fn control_groups_are_asked_up_to_their_root() {
        assert_eq!(cgroup_directory("4:memory:/a"), None);
        let (root, directory) = cgroup_directory("0::/user.slice/me").unwrap();
        assert_eq!(directory, root.join("user.slice/me"));

        let temp = TempDir::new();
        let inner = temp.path().join("outer/inner");
        fs::create_dir_all(&inner).unwrap();
        fs::write(inner.join("pids.max"), "max\n").unwrap();
        fs::write(temp.path().join("outer/pids.max"), "100\n").unwrap();
        fs::write(temp.path().join("outer/pids.current"), "7\n").unwrap();
        let limits = limits_up_to(temp.path(), &inner);
        assert_eq!(limits.len(), 1);
        assert_eq!((limits[0].1, limits[0].2), (100, 7));
    }
}
