//! Two nodes that meet with the same, of which one records some messages later.
//!
//! A driver hands a node what came alone by [`Node::receive_alone`](crate::Node::receive_alone), and
//! what came among others by [`Node::receive`](crate::Node::receive). That may make a difference to
//! when a message is recorded, and to nothing else.

use std::net::SocketAddr;

use super::{Dice, Lab};
use crate::report::{Event, MessageQuery, Which};
use crate::time::Now;

/// How a node is driven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// By itself. The same bytes take the same way each time, so that a finding can be run again.
    Single,
    /// Beside a twin: all datagrams come among others.
    Elder,
    /// Beside a twin, whose clock it goes by: all datagrams come alone.
    Younger(Now),
}

/// Lets `data` decide what both meet with. Says how many messages one of them recorded later.
pub fn twins(data: &[u8]) -> u64 {
    let mut dice = Dice(data);
    let [mut elder, mut younger] = [Lab::new(&mut Dice(data)), Lab::new(&mut dice)];
    elder.role = Role::Elder;
    let tells = dice.flag();
    elder.node.tell_messages(tells);
    younger.node.tell_messages(tells);
    let mut later = 0;
    while !dice.0.is_empty() {
        elder.step(&mut Dice(dice.0));
        younger.role = Role::Younger(elder.now);
        younger.step(&mut dice);
        assert_eq!(elder.said(), younger.said());
        later += u64::from(younger.node.status().messages != elder.node.status().messages);
    }
    younger.node.record_passed_on();
    assert_eq!(elder.said(), younger.said());
    assert_eq!(elder.node.status(), younger.node.status());
    assert_eq!(elder.node.deadline(), younger.node.deadline());
    assert_eq!(elder.node.audit_in_flight(), younger.node.audit_in_flight());
    let all = MessageQuery { which: Which::All, last: None, after: None };
    assert_eq!(elder.node.messages(&all), younger.node.messages(&all));
    later
}

impl Lab {
    /// What it sends and tells, in whichever order it sends.
    fn said(&mut self) -> (Vec<(SocketAddr, Vec<u8>)>, Vec<Event>) {
        self.node.flush(self.now, &mut self.out);
        let mut datagrams: Vec<_> =
            self.out.datagrams().map(|(to, bytes)| (to, bytes.to_vec())).collect();
        datagrams.sort();
        let events = std::mem::take(&mut self.out.events);
        self.out.clear();
        (datagrams, events)
    }
}
