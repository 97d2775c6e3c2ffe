//! What a simulation writes down, so that two runs can be compared byte for byte, or read.

use crate::protocol::{Event, NodeId, inspect};

use super::Action;

/// What is written down.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    hasher: Option<Box<blake3::Hasher>>,
    lines: Option<Vec<String>>,
}

impl Trace {
    /// Nothing.
    #[must_use]
    pub fn off() -> Self {
        Self::default()
    }

    /// A fingerprint of everything that happens, every byte included.
    #[must_use]
    pub fn fingerprint() -> Self {
        Self { hasher: Some(Box::default()), lines: None }
    }

    /// A line of text for everything that happens.
    #[must_use]
    pub fn lines() -> Self {
        Self { hasher: None, lines: Some(Vec::new()) }
    }

    /// The fingerprint of all that happened so far; `None` where none is taken.
    #[must_use]
    pub fn so_far(&self) -> Option<String> {
        self.hasher.as_ref().map(|hasher| hasher.finalize().to_hex().to_string())
    }

    /// The lines so far.
    #[must_use]
    pub fn text(&self) -> &[String] {
        self.lines.as_deref().unwrap_or_default()
    }

    fn note(&mut self, at: u64, kind: u8, numbers: [u32; 2], bytes: &[u8]) {
        let Some(hasher) = &mut self.hasher else { return };
        let mut head = [0; 25];
        head[0] = kind;
        head[1..9].copy_from_slice(&at.to_le_bytes());
        head[9..13].copy_from_slice(&numbers[0].to_le_bytes());
        head[13..17].copy_from_slice(&numbers[1].to_le_bytes());
        head[17..].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
        hasher.update(&head).update(bytes);
    }

    fn line(&mut self, at: u64, line: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.lines {
            lines.push(format!("{:>12.6} {}", seconds(at), line()));
        }
    }

    pub(super) fn arrives(&mut self, at: u64, from: NodeId, to: NodeId, bytes: &[u8]) {
        self.note(at, 0, [from.0, to.0], bytes);
        self.line(at, || format!("{from} ➜ {to} {}", inspect::describe(bytes)));
    }

    pub(super) fn ticks(&mut self, at: u64, node: NodeId) {
        self.note(at, 1, [node.0, 0], &[]);
        self.line(at, || format!("{node} ticks"));
    }

    pub(super) fn happens(&mut self, at: u64, node: NodeId, event: &Event) {
        if self.hasher.is_some() {
            self.note(at, 2, [node.0, 0], format!("{event:?}").as_bytes());
        }
        self.line(at, || format!("{node} {event:?}"));
    }

    pub(super) fn acts(&mut self, at: u64, action: &Action) {
        if self.hasher.is_some() {
            self.note(at, 3, [0, 0], format!("{action:?}").as_bytes());
        }
        self.line(at, || format!("{action:?}"));
    }
}

/// Virtual time for people.
fn seconds(at: u64) -> f64 {
    at as f64 / 1e9
}
