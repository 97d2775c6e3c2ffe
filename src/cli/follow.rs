//! What happens at every node, as it happens, for those who show it.
//!
//! One thread per node waits for what that node pushes; a channel brings all together, so that
//! one thread writes it, whole lines in the order of arrival. No node ever waits for any of
//! them: what is too fast is lost and counted, here or there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use serde_json::json;

use crate::cli::Error;
use crate::cli::render::time_text::TimeZone;
use crate::cli::render::{count, escape, event_text, time_text};
use crate::control::Response;
use crate::control::client::Subscription;
use crate::network::{ProcessId, Record};
use crate::protocol::{Event, NodeId, Wall};
use crate::runtime::clock;

/// How many events may wait to be written. Further ones are lost, and counted.
const WAITING_MAX: usize = 16_384;
/// A follower does little: small stacks let a thousand of them be.
const STACK_BYTES: usize = 128 << 10;
/// About how many bytes are written at once.
const BATCH_BYTES: usize = 512 << 10;
/// How long to let lines gather before the next are written.
pub(crate) const PAUSE: Duration = Duration::from_millis(100);

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

/// One follower per node.
pub(crate) struct Followers {
    tell: Sender<(NodeId, Told)>,
    /// What they tell.
    pub(crate) told: Receiver<(NodeId, Told)>,
    /// Whom they follow.
    followed: BTreeMap<NodeId, ProcessId>,
}

impl Followers {
    pub(crate) fn new() -> Self {
        let (tell, told) = bounded(WAITING_MAX);
        Self { tell, told, followed: BTreeMap::new() }
    }

    /// Follows each node of this record that runs and is not followed yet.
    pub(crate) fn follow(&mut self, record: Record) -> Result<(), Error> {
        let record = Arc::new(record);
        for node in record.nodes.iter().filter(|node| record.is_running(node)) {
            if self.followed.get(&node.node) == Some(&node.process) {
                continue;
            }
            let (shared, tell) = (Arc::clone(&record), self.tell.clone());
            let (number, process) = (node.node, node.process);
            let named = thread::Builder::new().name(format!("node-{number}"));
            let followed = named.stack_size(STACK_BYTES).spawn(move || {
                follow(&shared, number, &tell);
                let _ = tell.send((number, Told::Gone(process)));
            });
            followed.map_err(|error| {
                Error::failed(
                    "cannot follow every node",
                    format!("the system allows no more threads: {error}"),
                    "raise `ulimit -u`, or look at single nodes with `gossip get-messages N`",
                )
            })?;
            self.followed.insert(number, process);
        }
        Ok(())
    }

    /// How many nodes are followed.
    pub(crate) fn len(&self) -> usize {
        self.followed.len()
    }

    /// Whether this node is followed.
    pub(crate) fn follows(&self, node: NodeId) -> bool {
        self.followed.contains_key(&node)
    }

    /// A node's process is gone. It may have been started again, and be followed anew.
    pub(crate) fn forget(&mut self, node: NodeId, process: ProcessId) {
        if self.followed.get(&node) == Some(&process) {
            self.followed.remove(&node);
        }
    }

    /// All that waits, up to about a batch's size, as lines. Events among them come in the order
    /// of their time: the nodes share a clock.
    pub(crate) fn batch(
        &self,
        first: (NodeId, Told),
        mut line: impl FnMut(NodeId, Told) -> String,
    ) -> String {
        let mut waiting = vec![first];
        let mut bytes = 0;
        while bytes < BATCH_BYTES
            && let Ok((node, told)) = self.told.try_recv()
        {
            bytes += told.bytes();
            waiting.push((node, told));
        }
        // News of nodes stay where they are between the events.
        let mut at = Wall(0);
        waiting.sort_by_cached_key(|(_, told)| {
            if let Told::Event { at: time, .. } = told {
                at = *time;
            }
            at
        });
        waiting.into_iter().map(|(node, told)| line(node, told)).collect()
    }
}

impl Told {
    /// How long its line is, about.
    fn bytes(&self) -> usize {
        const LINE_BYTES: usize = 60;
        match self {
            Self::Event { event, .. } => LINE_BYTES + event.payload().len(),
            _ => LINE_BYTES,
        }
    }
}

/// Hands on a node's events until it is gone.
fn follow(record: &Record, node: NodeId, tell: &Sender<(NodeId, Told)>) -> Option<()> {
    let mut teller = Teller { node, tell, lost: 0 };
    let mut events = subscribe(record, node)?;
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
                events = runs.then(|| subscribe(record, node))??;
                tell.send((node, Told::Lost(None))).ok()?;
            }
        }
        teller.tell_lost();
    }
}

fn subscribe(record: &Record, node: NodeId) -> Option<Subscription> {
    let client = record.connect(node).ok()?;
    client.subscribe().ok()
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

/// What is told, as a line.
pub(crate) fn line(json: bool, zone: &TimeZone, node: NodeId, told: &Told) -> String {
    let (name, words) = match told {
        Told::Event { at, event } if json => return event_text::json(*at, node, event),
        Told::Event { at, event } => return event_text::text(zone, *at, node, event),
        Told::Followed => ("joined", "joined".into()),
        Told::Lost(Some(lost)) => {
            ("lost", format!("was too fast: {} not shown", count(*lost, "event")))
        }
        Told::Lost(None) => {
            ("lost", "was too fast for too long: nobody counted what is not shown".into())
        }
        Told::Gone(_) => ("gone", "is gone".into()),
    };
    let now = clock::now().wall;
    if !json {
        return event_text::line(zone, now, node, &words);
    }
    let mut document = json!({ "at": time_text::rfc3339(now), "node": node, "event": name });
    if let Told::Lost(lost) = told {
        document["count"] = json!(lost);
    }
    escape::json(&document)
}
