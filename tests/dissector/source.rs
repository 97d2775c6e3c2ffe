//! The table of frames in the dissector and the enum in `wire.rs` are the same list.

use std::fs;
use std::path::Path;

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// `ProbeFor` to `probe_for`.
fn snake(name: &str) -> String {
    let mut snake = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.extend(letter.to_lowercase());
    }
    snake
}

/// The frames of `wire.rs`: number, as its comments have it, and name.
fn in_wire() -> Vec<(usize, String)> {
    let source = read("protocol/src/datagram/wire.rs");
    let (_, rest) = source.split_once("enum Frame<'a> {\n").unwrap();
    let (variants, _) = rest.split_once("\n}").unwrap();
    let mut frames = Vec::new();
    let mut number = None;
    for line in variants.lines().map(str::trim) {
        if let Some(comment) = line.strip_prefix("/// ") {
            let digits = comment.split(':').next().unwrap();
            number = number.or(digits.parse().ok());
        } else if !line.starts_with('#') {
            let name = line.split(|c: char| !c.is_alphanumeric()).next().unwrap();
            frames.push((number.take().unwrap(), snake(name)));
        }
    }
    frames
}

/// The frames of the dissector.
fn in_lua() -> Vec<(usize, String)> {
    let source = read("scripts/gossip.lua");
    let described = source.lines().filter_map(|line| {
        let (number, rest) = line.strip_prefix("  [")?.split_once("] = frame(\"")?;
        Some((number.parse().ok()?, rest.split('"').next()?.to_owned()))
    });
    described.collect()
}

#[test]
fn every_frame_of_the_wire_format_is_in_the_dissector() {
    let frames = in_wire();
    assert_eq!(frames.len(), 18);
    assert!(frames.iter().enumerate().all(|(at, (number, _))| at == *number), "{frames:?}");
    assert_eq!(in_lua(), frames, "scripts/gossip.lua and protocol/src/datagram/wire.rs differ");
}

#[test]
fn its_constants_are_those_of_the_code() {
    let source = read("scripts/gossip.lua");
    let [first, second] = gossip::protocol::MAGIC;
    let header = format!(
        "= string.char(0x{first:02x}, 0x{second:02x}), {}, {}",
        gossip::protocol::VERSION,
        gossip::protocol::TAG_BYTES
    );
    assert!(source.contains(&header), "{header}");
    assert!(source.contains(&format!("local RELAYS_MAX = {}\n", gossip::protocol::RELAYS_MAX)));
}
