//! The source text itself: what must not appear where, and which way dependencies point.
//!
//! Lints see one function at a time; these rules are about files and their places.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

#[path = "tidy/map.rs"]
mod map;

/// A longer file is two files.
const LINES_MAX: usize = 500;

/// Modules in which the same inputs give the same outputs, always.
const PURE: [&str; 7] = ["codec", "metrics", "picture", "protocol", "sim", "spread", "topology"];

/// The package of the modules `protocol` and `codec`.
const PROTOCOL: &str = "protocol/src";

/// What that package may depend on: nothing that reads a clock, opens a socket, starts a thread.
const PROTOCOL_DEPENDENCIES: [&str; 6] =
    ["bincode", "blake3", "rand", "serde", "smallvec", "thiserror"];

/// The modules of ours that each may use; the map in `docs/architecture.md`.
const ARROWS: [(&str, &[&str]); 11] = [
    ("codec", &[]),
    ("metrics", &[]),
    ("topology", &[]),
    ("picture", &["protocol", "spread", "topology"]),
    ("protocol", &["codec"]),
    ("sim", &["metrics", "protocol", "topology"]),
    ("spread", &["metrics", "protocol", "topology"]),
    ("control", &["codec", "protocol"]),
    ("runtime", &["control", "protocol"]),
    ("network", &["codec", "control", "protocol", "runtime", "topology"]),
    (
        "cli",
        &[
            "codec", "control", "metrics", "network", "picture", "protocol", "runtime", "sim",
            "spread", "topology",
        ],
    ),
];

/// What a part of the protocol's package may use of the others. Membership and broadcast know nothing
/// of each other; only the node, and what is for tests, know both.
const PARTS: [(&str, &[&str]); 9] = [
    ("time", &[]),
    ("ids", &["time"]),
    ("config", &["ids"]),
    ("report", &["config", "ids", "time"]),
    ("datagram", &["config", "ids", "report", "time"]),
    ("effects", &["config", "datagram", "ids", "report", "time"]),
    ("faults", &["config", "datagram", "ids", "time"]),
    ("membership", &["config", "datagram", "effects", "ids", "report", "time"]),
    ("broadcast", &["config", "datagram", "effects", "ids", "report", "time"]),
];

/// Words that stand for sockets, threads, clocks, output, files, hidden dice and locks.
const IMPURE: [&str; 37] = [
    "UdpSocket",
    "TcpStream",
    "TcpListener",
    "ToSocketAddrs",
    "UnixStream",
    "socket2",
    "rustix",
    "thread",
    "thread_local",
    "crossbeam_channel",
    "mpsc",
    "Instant",
    "SystemTime",
    "clock",
    "jiff",
    "print",
    "println",
    "eprint",
    "eprintln",
    "dbg",
    "stdin",
    "stdout",
    "stderr",
    "fs",
    "File",
    "env",
    "process",
    "ThreadRng",
    "SysRng",
    "OsRng",
    "RandomState",
    "from_rng",
    "Mutex",
    "RwLock",
    "OnceLock",
    "AtomicBool",
    "AtomicU64",
];

struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    /// The text without comments and unit tests.
    fn code(&self) -> String {
        let code = self.text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        code.lines()
            .map(|line| line.split("//").next().unwrap_or_default())
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// The module of `gossip` that it belongs to.
    fn module(&self) -> String {
        if let Ok(below) = self.path.strip_prefix(root().join(PROTOCOL)) {
            let is_codec = below.ends_with("codec.rs");
            return if is_codec { "codec" } else { "protocol" }.to_owned();
        }
        let below = self.path.strip_prefix(root().join("src")).unwrap();
        let first = below.iter().next().unwrap().to_str().unwrap();
        first.trim_end_matches(".rs").to_owned()
    }

    fn is_pure(&self) -> bool {
        PURE.contains(&self.module().as_str())
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust files below a directory.
fn sources(directory: &str) -> Vec<Source> {
    let mut found = Vec::new();
    let mut pending = vec![root().join(directory)];
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            pending.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            found.push(Source { path, text });
        }
    }
    assert!(!found.is_empty(), "nothing in {directory}");
    found
}

/// The code of both packages.
fn code_sources() -> Vec<Source> {
    let mut found = sources("src");
    found.extend(sources(PROTOCOL));
    found
}

/// The words of a text.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// Fails with everything that was found, not only the first.
#[track_caller]
fn assert_none(what: &str, found: &[String]) {
    assert!(found.is_empty(), "{what}:\n  {}", found.join("\n  "));
}

#[test]
fn pure_modules_touch_nothing_outside() {
    let mut found = Vec::new();
    for source in code_sources().iter().filter(|source| source.is_pure()) {
        let code = source.code();
        let used: BTreeSet<&str> = words(&code).filter(|word| IMPURE.contains(word)).collect();
        found.extend(used.iter().map(|word| format!("{}: {word}", source.path.display())));
        for dice in ["rand::rng(", "rand::random", "rand::make_rng", "std::io", "static mut"] {
            if code.contains(dice) {
                found.push(format!("{}: {dice}", source.path.display()));
            }
        }
    }
    assert_none("pure modules use what has effects", &found);
}

/// The order of a hash map differs from run to run: such maps may be asked, never walked.
#[test]
fn pure_modules_walk_no_hash_map() {
    let mut found = Vec::new();
    for source in code_sources().iter().filter(|source| source.is_pure()) {
        let code = source.code();
        let declared =
            code.lines().filter(|line| line.contains("HashMap") || line.contains("HashSet"));
        let names: BTreeSet<&str> = declared
            .filter_map(|line| line.split([':', '=']).next())
            .filter_map(|name| words(name).last())
            .collect();
        for name in names {
            for walk in ["iter", "keys", "values", "drain", "into_iter", "retain", "extract_if"] {
                if code.contains(&format!("{name}.{walk}")) {
                    found.push(format!("{}: {name}.{walk}", source.path.display()));
                }
            }
        }
    }
    assert_none("the order of these is not reproducible", &found);
}

#[test]
fn dependencies_point_one_way() {
    let mut found = Vec::new();
    for source in code_sources() {
        let module = source.module();
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == module) else {
            assert!(
                ["lib", "main"].contains(&module.as_str()),
                "{module} is in no arrow of tests/tidy.rs"
            );
            continue;
        };
        let code = source.code();
        // In its package `crate` is the module.
        let is_own = module == "protocol";
        assert!(
            is_own || !code.contains("crate::{"),
            "{}: one `use crate::…` per module",
            source.path.display()
        );
        for part in code.split("crate::").skip(1) {
            let target = words(part).next().unwrap_or_default();
            if !is_own && target != module && !allowed.contains(&target) {
                found.push(format!("{} uses {target}", source.path.display()));
            }
        }
    }
    for source in sources(PROTOCOL) {
        if source.module() == "codec" && source.code().contains("super::") {
            found.push(format!("{} uses protocol", source.path.display()));
        }
    }
    assert_none("arrows that turn round", &found);
}

#[test]
fn parts_of_the_protocol_know_only_what_is_below_them() {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for source in sources(PROTOCOL) {
        let below = source.path.strip_prefix(root().join(PROTOCOL)).unwrap();
        let first = below.iter().next().unwrap().to_str().unwrap();
        let part = first.trim_end_matches(".rs").to_owned();
        let Some((name, allowed)) = PARTS.iter().find(|(name, _)| *name == part) else {
            assert!(["lib", "node", "testing"].contains(&&*part), "{part} is in no arrow");
            continue;
        };
        seen.insert(*name);
        let code = source.code();
        for used in code.split("crate::").skip(1) {
            let target = words(used).next().unwrap_or_default();
            if target != part && !allowed.contains(&target) {
                found.push(format!("{} uses {target}", source.path.display()));
            }
        }
    }
    assert_eq!(seen.len(), PARTS.len(), "a part is gone: {seen:?}");
    assert_none("parts that know too much", &found);
}

#[test]
fn the_protocol_depends_on_little() {
    let manifest = fs::read_to_string(root().join("protocol/Cargo.toml")).unwrap();
    let (_, dependencies) = manifest.split_once("\n[dependencies]\n").unwrap();
    let lines = dependencies.lines().take_while(|line| !line.starts_with('['));
    let names: Vec<&str> = lines
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(['.', ' ']).next().filter(|name| !name.is_empty()))
        .collect();
    assert_eq!(names, PROTOCOL_DEPENDENCIES, "protocol/Cargo.toml");
    assert_eq!(manifest.matches("dependencies").count(), 2, "these, and those of its tests");
}

#[test]
fn one_module_knows_each_of_these() {
    let mut found = Vec::new();
    let known = [
        ("bincode", "codec.rs"),
        ("gossip_protocol", "src/lib.rs"), // all others say `crate::protocol`
        ("Instant", "clock.rs"),
        ("SystemTime", "clock.rs"),
    ];
    for (word, place) in known {
        for source in code_sources() {
            if !source.path.ends_with(place) && words(&source.code()).any(|used| used == word) {
                found.push(format!("{}: {word}", source.path.display()));
            }
        }
    }
    assert_none("known in more than one place", &found);
}

#[test]
fn no_lock_is_held_around_a_node() {
    let locks = ["Mutex", "RwLock", "RefCell", "Condvar"];
    let found: Vec<String> = code_sources()
        .iter()
        .filter(|source| words(&source.code()).any(|word| locks.contains(&word)))
        .map(|source| source.path.display().to_string())
        .collect();
    assert_none("locks", &found);
}

#[test]
fn files_are_short() {
    let too_long = |path: &Path, lines: usize| {
        (lines > LINES_MAX).then(|| format!("{}: {lines} lines", path.display()))
    };
    let code = code_sources().into_iter().map(|source| (source.code().lines().count(), source));
    let tests = sources("tests").into_iter().map(|source| (source.text.lines().count(), source));
    let benches =
        sources("benches").into_iter().map(|source| (source.text.lines().count(), source));
    let found: Vec<String> = code
        .chain(tests)
        .chain(benches)
        .filter_map(|(lines, source)| too_long(&source.path, lines))
        .collect();
    assert_none("files of more than 500 lines, unit tests aside", &found);
}

#[test]
fn files_say_what_they_are() {
    let found: Vec<String> = code_sources()
        .iter()
        .chain(&sources("tests"))
        .chain(&sources("benches"))
        .filter(|source| !source.text.starts_with("//! "))
        .map(|source| source.path.display().to_string())
        .collect();
    assert_none("files without a header", &found);
}

/// Tests wait for what happens, with a deadline; and each of them runs.
#[test]
fn tests_neither_sleep_nor_are_left_out() {
    // Spelled in two parts, so that this file does not find itself.
    let forbidden =
        [concat!("thread::", "sleep"), concat!("#[", "ignore"), concat!("park_", "timeout")];
    let mut found = Vec::new();
    for source in code_sources().iter().chain(&sources("tests")) {
        let tests = match source.text.split_once("#[cfg(test)]\nmod ") {
            Some((_, tests)) => tests,
            None if source.path.starts_with(root().join("tests")) => &source.text,
            None => continue,
        };
        let used = forbidden.iter().filter(|word| tests.contains(**word));
        found.extend(used.map(|word| format!("{}: {word}", source.path.display())));
    }
    assert_none("tests that wait for time to pass, or never run", &found);
}

#[test]
fn one_spelling_one_word() {
    let american = concat!("neigh", "bor");
    let mut found = Vec::new();
    for source in code_sources().iter().chain(&sources("tests")).chain(&sources("benches")) {
        // Petgraph has a name of its own for them.
        let text = source.text.to_lowercase().replace(&format!(".{american}s("), "");
        let unfinished =
            ["todo!", "unimplemented!", "fixme"].iter().any(|word| text.contains(word));
        if text.contains(american) || (unfinished && !source.path.ends_with("tidy.rs")) {
            found.push(source.path.display().to_string());
        }
    }
    let in_docs = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let others =
        ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "protocol/README.md", "scripts/README.md"];
    let documents = in_docs.chain(others.map(|name| root().join(name)));
    for document in documents.filter(|path| path.extension().is_some_and(|end| end == "md")) {
        if fs::read_to_string(&document).unwrap().to_lowercase().contains(american) {
            found.push(document.display().to_string());
        }
    }
    assert_none("words that we write otherwise, or not at all", &found);
}

#[test]
fn every_script_can_be_run_and_is_described() {
    let described = fs::read_to_string(root().join("scripts/README.md")).unwrap();
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(root().join("scripts")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name == "README.md" || path.is_dir() {
            continue;
        }
        // Wireshark reads it; nobody runs it.
        if !name.ends_with(".lua") {
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o111, 0o111, "scripts/{name} cannot be run");
            assert!(fs::read_to_string(&path).unwrap().starts_with("#!"), "scripts/{name}");
        }
        names.insert(name);
    }
    let lines = described.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    assert_eq!(lines.map(str::to_owned).collect::<BTreeSet<_>>(), names, "scripts/README.md");
}

#[test]
fn the_top_level_is_what_convention_wants() {
    let expected = [
        "Cargo.toml",
        "Cargo.lock",
        "README.md",
        "src",
        "protocol",
        "scripts",
        "tests",
        "LICENSE",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "docs",
        "benches",
        "fuzz",
        "target",
    ];
    let found: Vec<String> = fs::read_dir(root())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with('.') && !expected.contains(&name.as_str()))
        .collect();
    assert_none("what does not belong to the top level", &found);
}
