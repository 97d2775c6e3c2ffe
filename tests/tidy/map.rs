//! The map: names of files, sizes of folders and functions, and which file needs which.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::{Source, assert_none, code_sources, root, sources, words};

/// A longer function is two functions.
const FUNCTION_LINES_MAX: usize = 60;

/// A larger folder is two folders.
const FOLDER_FILES_MAX: usize = 12;

/// All that is written by hand but the tests.
fn all_sources() -> Vec<Source> {
    let mut found = code_sources();
    found.extend(sources("benches"));
    found
}

/// A name says which file is meant. `main.rs`, `lib.rs` and `mod.rs` are called so by cargo.
#[test]
fn each_file_name_is_used_once() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for source in all_sources() {
        let name = source.path.file_name().unwrap().to_str().unwrap().to_owned();
        places.entry(name).or_default().push(source.path.display().to_string());
    }
    let exempt = ["main.rs", "lib.rs", "mod.rs"];
    for name in exempt {
        places.remove(name);
    }
    let found: Vec<String> = places
        .into_values()
        .filter(|paths| paths.len() > 1)
        .map(|paths| paths.join(", "))
        .collect();
    assert_none("files of the same name", &found);
}

#[test]
fn folders_are_small() {
    let mut files: BTreeMap<PathBuf, usize> = BTreeMap::new();
    for source in all_sources() {
        *files.entry(source.path.parent().unwrap().to_owned()).or_default() += 1;
    }
    let found: Vec<String> = files
        .into_iter()
        .filter(|(_, files)| *files > FOLDER_FILES_MAX)
        .map(|(folder, files)| format!("{}: {files} files", folder.display()))
        .collect();
    assert_none("folders of more than 12 files", &found);
}

/// rustfmt puts the brace that ends a function as far in as the line that begins it.
#[test]
fn functions_are_short() {
    let mut found = Vec::new();
    for source in all_sources().iter().chain(&sources("tests")) {
        let lines: Vec<&str> = source.text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let code = line.trim_start();
            let before = code.split("fn ").next().unwrap_or_default();
            let is_head = before.len() < code.len()
                && words(before).all(|word| {
                    ["pub", "crate", "super", "in", "self", "const", "async"].contains(&word)
                });
            if !is_head {
                continue;
            }
            let end = format!("{}}}", &line[..line.len() - code.len()]);
            let length = lines[at..].iter().position(|line| *line == end).map_or(0, |end| end + 1);
            if length > FUNCTION_LINES_MAX && !code.ends_with([';', '}']) {
                found.push(format!("{}:{}: {length} lines", source.path.display(), at + 1));
            }
        }
    }
    assert_none("functions of more than 60 lines", &found);
}

/// The paths that a `use` names: `a::{b, c::{d, e}}` is `a::b`, `a::c::d` and `a::c::e`.
fn expanded(tree: &str) -> Vec<String> {
    let Some((before, rest)) = tree.split_once('{') else { return vec![tree.trim().to_owned()] };
    let inner = rest.rsplit_once('}').map_or(rest, |(inner, _)| inner);
    let mut depth = 0;
    let parts = inner.split(|c: char| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == ',' && depth == 0
    });
    let parts = parts.filter(|part| !part.trim().is_empty());
    parts.flat_map(expanded).map(|path| format!("{}{path}", before.trim())).collect()
}

/// The module of a file below `src`: `network::state`.
fn module_path(source: &Source) -> Vec<String> {
    let below = source.path.strip_prefix(root().join("src")).unwrap().with_extension("");
    below.iter().map(|part| part.to_str().unwrap().to_owned()).collect()
}

/// The file that a path in the file `own` leads to; empty for other crates.
fn file_of(own: &[String], path: &str, modules: &BTreeSet<Vec<String>>) -> Vec<String> {
    let steps: Vec<&str> = path.split("::").collect();
    let ups = steps.iter().take_while(|step| **step == "super").count();
    let mut target = match steps.first() {
        Some(&"crate") => Vec::new(),
        _ => own[..own.len() - ups].to_vec(),
    };
    target.extend(
        steps
            .iter()
            .filter(|step| !["crate", "super"].contains(step))
            .map(|step| (*step).to_owned()),
    );
    while !target.is_empty() && !modules.contains(&target) {
        target.pop();
    }
    target
}

/// A file may use its own parents: what these hold is shared by all of their children. But for
/// those, a reader of one file needs none that needs this one.
#[test]
fn no_files_use_each_other_in_a_circle() {
    let files = sources("src");
    let modules: BTreeSet<Vec<String>> = files.iter().map(module_path).collect();
    let mut uses: BTreeMap<Vec<String>, BTreeSet<Vec<String>>> = BTreeMap::new();
    for file in &files {
        let own = module_path(file);
        let code = file.code();
        let trees = code.split(';').filter_map(|part| Some(part.rsplit_once("use ")?.1));
        for path in trees.flat_map(expanded) {
            let target = file_of(&own, &path, &modules);
            if !own.starts_with(&target) {
                uses.entry(own.clone()).or_default().insert(target);
            }
        }
    }
    // A file that uses none of those left, or is used by none of them, is in no circle: such
    // files are taken away, again and again.
    let mut left = uses;
    loop {
        let used: BTreeSet<Vec<String>> = left.values().flatten().cloned().collect();
        let all: BTreeSet<Vec<String>> = left.keys().cloned().collect();
        left.retain(|file, uses| used.contains(file) && uses.iter().any(|one| all.contains(one)));
        if left.len() == all.len() {
            break;
        }
    }
    let found: Vec<String> = left
        .iter()
        .map(|(file, used)| {
            let used = used.iter().filter(|one| left.contains_key(*one));
            let used: Vec<String> = used.map(|one| one.join("::")).collect();
            format!("{} uses {}", file.join("::"), used.join(", "))
        })
        .collect();
    assert_none("circles", &found);
}
