//! Following one node: a thread waits for what the node pushes, and hands it on.
//!
//! One channel brings together what the followers of all nodes tell, so that one thread writes it,
//! whole lines in the order of arrival. No node ever waits for any of them: events that come
//! too fast are lost and counted, here or there.

use std::sync::Arc;
use std::thread;

use crossbeam_channel::Sender;

use crate::cli::Error;
use crate::control::Response;
use crate::network::{NodeRecord, ProcessId, Record};
use crate::protocol::{Event, NodeId, Wall};

/// A follower does little: small stacks let a thousand of them be.
const STACK_BYTES: usize = 128 << 10;

/// What is told of one node.
#[derive(Debug)]
pub(crate) enum Told {
    /// Its events are pushed to us from now on.
    Followed,
    Event {
        at: Wall,
        event: Event,
    },
    /// How many events were lost before those that follow, since they came too fast; `None`: nobody
    /// knows how many, since we were stopped for long.
    Lost(Option<u64>),
    /// The node hung up, or did not answer at all. Its process tells its lives apart.
    Gone(ProcessId),
}

/// Follows a node in a thread of its own until it is gone.
pub(crate) fn start(
    record: &Arc<Record>,
    node: &NodeRecord,
    tell: &Sender<(NodeId, Told)>,
) -> Result<(), Error> {
    let (record, tell) = (Arc::clone(record), tell.clone());
    let (number, process) = (node.node, node.process);
    let named = thread::Builder::new().name(format!("node-{number}")).stack_size(STACK_BYTES);
    let followed = named.spawn(move || {
        follow(&record, number, &tell);
        let _ = tell.send((number, Told::Gone(process)));
    });
    followed.map(drop).map_err(|error| {
        Error::failed(
            "cannot follow every node",
            format!("the system allows no more threads: {error}"),
            "raise `ulimit -u`, or look at single nodes with `gossip get-messages N`",
        )
    })
}

/// Hands on a node's events until it is gone.
fn follow(record: &Record, node: NodeId, tell: &Sender<(NodeId, Told)>) -> Option<()> {
    let mut teller = Teller { node, tell, lost: 0 };
    let subscribe = || record.connect(node).ok()?.subscribe().ok();
    let mut events = subscribe()?;
    tell.send((node, Told::Followed)).ok()?;
    yield_to_nodes();
    loop {
        match events.wait() {
            Ok(Response::Event { at, event, lost }) => {
                teller.lost += lost;
                teller.tell(Told::Event { at: Wall(at), event });
            }
            Ok(Response::Lost(lost)) => teller.lost += lost,
            Ok(Response::Done) => {}
            Ok(_) => return None,
            // It is gone, or gave us up, as it does when we were stopped for long.
            Err(_) => {
                let runs = record.is_running(record.find(node).ok()?);
                events = runs.then(subscribe)??;
                tell.send((node, Told::Lost(None))).ok()?;
            }
        }
        teller.tell_lost();
    }
}

/// Tells without ever waiting.
struct Teller<'a> {
    node: NodeId,
    tell: &'a Sender<(NodeId, Told)>,
    /// How many events were not told since the last one.
    lost: u64,
}

impl Teller<'_> {
    fn tell(&mut self, told: Told) {
        self.tell_lost();
        if self.lost > 0 || self.tell.try_send((self.node, told)).is_err() {
            self.lost += 1;
        }
    }

    fn tell_lost(&mut self) {
        if self.lost > 0 && self.tell.try_send((self.node, Told::Lost(Some(self.lost)))).is_ok() {
            self.lost = 0;
        }
    }
}

/// Has threads that only show what happens wait for those that do the work. On Linux this is about
/// the calling thread and those that it starts from now on.
pub(crate) fn yield_to_nodes() {
    #[cfg(target_os = "linux")]
    let _ = rustix::process::setpriority_process(None, 19);
}
