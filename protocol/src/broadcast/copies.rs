//! How many copies of a message went over which link: what strategies, acknowledgements and the
//! store count by.

use smallvec::SmallVec;

use crate::ids::link::LinkId;

/// The copies of one message that went over one link.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LinkCopies {
    pub(crate) link: LinkId,
    /// Flood copies sent.
    pub(crate) sent: u8,
    /// Copies received, as far as they count.
    pub(crate) received: u8,
    /// The other end is known to have the message.
    pub(crate) acknowledged: bool,
}

impl LinkCopies {
    /// Whether the other end got a copy and is not known to have it.
    pub(crate) fn is_in_flight(&self) -> bool {
        self.sent > 0 && !self.acknowledged
    }
}

/// The copies of one message on all links that it touched.
#[derive(Clone, Debug, Default)]
pub(crate) struct Copies {
    links: SmallVec<[LinkCopies; 3]>,
}

impl Copies {
    /// The counts of one link, if the message touched it.
    pub(crate) fn get(&self, link: LinkId) -> Option<&LinkCopies> {
        self.links.iter().find(|copies| copies.link == link)
    }

    /// The counts of one link.
    pub(crate) fn on(&mut self, link: LinkId) -> &mut LinkCopies {
        let at = self.links.iter().position(|copies| copies.link == link).unwrap_or_else(|| {
            self.links.push(LinkCopies { link, sent: 0, received: 0, acknowledged: false });
            self.links.len() - 1
        });
        &mut self.links[at]
    }

    /// Reserves memory for this many links, in one piece.
    pub(crate) fn reserve(&mut self, links: usize) {
        self.links.reserve_exact(links.saturating_sub(self.links.len()));
    }

    /// All links touched.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &LinkCopies> {
        self.links.iter()
    }

    /// Bytes taken beside the value itself.
    pub(crate) fn heap_bytes(&self) -> usize {
        if self.links.spilled() { self.links.capacity() * size_of::<LinkCopies>() } else { 0 }
    }
}
