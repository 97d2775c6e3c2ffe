//! How datagrams arrive: taken in at once, or from a receive buffer.

use std::sync::Arc;

use super::virtual_network::addr_of;
use super::{Event, Life, Simulation, eavesdropper, note};
use crate::protocol::{Node, NodeId, inspect};

/// The most datagrams that a node takes in before it sends its answers; as in `runtime`.
const DRAIN_MAX: usize = 64;

impl Simulation {
    /// A datagram arrives.
    pub(super) fn arrive(&mut self, from: u32, to: u32, bytes: Arc<[u8]>) {
        let at = self.at;
        note(&mut self.trace, at, || {
            let (shown, hash) = (inspect::describe(&bytes), blake3::hash(&bytes).to_hex());
            format!("{} ➜ {} {shown} {}", from + 1, to + 1, &hash[..16])
        });
        let member = &mut self.members[to as usize];
        match member.life {
            Life::Up if self.drain_after == 0 => {
                let from = addr_of(NodeId(from + 1));
                let mut counted = false;
                let is_watched = self.eavesdropper.is_some();
                self.drive(to as usize, |node, now, out| {
                    let mut receive =
                        |node: &mut Node| node.receive_alone(now, from, &bytes, out, &mut |_| ());
                    if is_watched {
                        counted = eavesdropper::counted(node, &bytes, receive);
                    } else {
                        receive(node);
                    }
                });
                if counted {
                    self.note_counted(to as usize, &bytes);
                }
            }
            Life::Up => {
                member.buffer(from, bytes);
                if !std::mem::replace(&mut member.drain_scheduled, true) {
                    self.queue.schedule(at + self.drain_after, Event::Drain { member: to });
                }
            }
            Life::Paused => member.buffer(from, bytes),
            Life::Waiting | Life::Crashed | Life::Left => {}
        }
    }

    /// A node takes in the datagrams that wait, as the socket loop does: up to a bound, then it
    /// ticks if it is due, and sends.
    pub(super) fn drain(&mut self, at: usize) {
        self.members[at].drain_scheduled = false;
        while self.members[at].life == Life::Up && !self.members[at].buffer.is_empty() {
            let member = &mut self.members[at];
            let batch: Vec<_> = std::iter::from_fn(|| member.unbuffer()).take(DRAIN_MAX).collect();
            let mut counted = Vec::new();
            let is_watched = self.eavesdropper.is_some();
            self.drive(at, |node, now, _| {
                for (from, bytes) in &batch {
                    let from = addr_of(NodeId(from + 1));
                    let receive = |node: &mut Node| node.receive(now, from, bytes);
                    if !is_watched {
                        receive(node);
                    } else if eavesdropper::counted(node, bytes, receive) {
                        counted.push(bytes);
                    }
                }
            });
            counted.into_iter().for_each(|bytes| self.note_counted(at, bytes));
        }
    }

    /// A node took in frames, while somebody listens.
    fn note_counted(&mut self, at: usize, bytes: &[u8]) {
        if let Some(ears) = &mut self.eavesdropper {
            ears.counts(self.at, self.members[at].id, bytes, &mut self.checker);
        }
    }
}
