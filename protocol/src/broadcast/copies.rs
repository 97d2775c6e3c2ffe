//! How many copies of a message went over which link: what strategies, acknowledgements and the
//! store count by.

use smallvec::SmallVec;

use crate::ids::link::{LinkId, place};

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
    /// In the order of link ids.
    links: SmallVec<[LinkCopies; 3]>,
}

impl Copies {
    /// The counts of one link, if the message touched it.
    pub(crate) fn get(&self, link: LinkId) -> Option<&LinkCopies> {
        self.place(link).ok().map(|at| &self.links[at])
    }

    /// The counts of one link.
    pub(crate) fn on(&mut self, link: LinkId) -> &mut LinkCopies {
        let at = self.place(link).unwrap_or_else(|at| {
            let none = LinkCopies { link, sent: 0, received: 0, acknowledged: false };
            self.links.insert(at, none);
            at
        });
        &mut self.links[at]
    }

    fn place(&self, link: LinkId) -> Result<usize, usize> {
        place(&self.links, link, |copies| copies.link)
    }

    /// Reserves memory for this many links, in one piece.
    pub(crate) fn reserve(&mut self, links: usize) {
        self.links.reserve_exact(links.saturating_sub(self.links.len()));
    }

    /// All links touched, in the order of their ids.
    pub(crate) fn iter(&self) -> std::slice::Iter<'_, LinkCopies> {
        self.links.iter()
    }

    /// Bytes taken beside the value itself.
    pub(crate) fn heap_bytes(&self) -> usize {
        if self.links.spilled() { self.links.capacity() * size_of::<LinkCopies>() } else { 0 }
    }
}
