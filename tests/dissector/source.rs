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
    assert_eq!(frames.len(), 19);
    assert!(frames.iter().enumerate().all(|(at, (number, _))| at == *number), "{frames:?}");
    assert_eq!(in_lua(), frames, "scripts/gossip.lua and protocol/src/datagram/wire.rs differ");
}

/// The constants of the dissector: names in capitals, each with what stands behind the equals sign.
fn constants() -> Vec<(String, String)> {
    let source = read("scripts/gossip.lua");
    let mut constants = Vec::new();
    for line in source.lines().filter_map(|line| line.strip_prefix("local ")) {
        let Some((names, values)) = line.split_once(" = ") else { continue };
        if !names.chars().all(|c| c.is_ascii_uppercase() || "_, ".contains(c)) {
            continue;
        }
        // A comma within brackets ends no value.
        let (mut depth, mut all) = (0, vec![String::new()]);
        for c in values.chars() {
            depth += i32::from("({".contains(c)) - i32::from(")}".contains(c));
            match c {
                ',' if depth == 0 => all.push(String::new()),
                c => all.last_mut().unwrap().push(c),
            }
        }
        let names: Vec<&str> = names.split(", ").collect();
        assert_eq!(names.len(), all.len(), "{line}");
        let named = names.into_iter().zip(all);
        constants.extend(named.map(|(name, value)| (name.to_owned(), value.trim().to_owned())));
    }
    constants
}

/// The first byte of a number that takes this many bytes beside it, in hexadecimal digits.
fn mark(number: u64, width: usize) -> String {
    let bytes = gossip::protocol::codec::encode(&number);
    assert_eq!(bytes.len(), 1 + width);
    format!("[0x{:02x}] = {width}", bytes[0])
}

#[test]
fn its_constants_are_those_of_the_code() {
    use gossip::protocol::{MAGIC, RELAYS_MAX, TAG_BYTES, Timing, VERSION};
    let [first, second] = MAGIC;
    let widths = [mark(251, 2), mark(1 << 16, 4), mark(1 << 32, 8)].join(", ");
    let expected = [
        ("MAGIC", format!("string.char(0x{first:02x}, 0x{second:02x})")),
        ("VERSION", VERSION.to_string()),
        ("TAG_BYTES", TAG_BYTES.to_string()),
        ("RELAYS_MAX", RELAYS_MAX.to_string()),
        ("HEARD_LATELY_MS", Timing::default().suspect_after.as_millis().to_string()),
        ("WIDTHS", format!("{{ {widths} }}")),
    ];
    // How much is shown in one line, and in which order, is the dissector's own affair.
    let of_its_own = ["SHOWN_CHARACTERS", "SHOWN_ELEMENTS", "INFO_BYTES", "SHOWN_IN_ORDER"];
    let shared = constants().into_iter().filter(|(name, _)| !of_its_own.contains(&&**name));
    let expected: Vec<_> = expected.map(|(name, value)| (name.to_owned(), value)).into();
    assert_eq!(shared.collect::<Vec<_>>(), expected);
}
