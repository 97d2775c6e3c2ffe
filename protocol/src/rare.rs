//! What takes no memory before it is first changed: mostly, it never is.
//!
//! A network that works well has no losses, no dead and no faults, and nothing to repair. What a
//! node notes about these lies behind a pointer, so that thousands of nodes fit into a simulator. So
//! does what it needs while it has something to send.

use std::ops::{Deref, DerefMut};

/// Something that has a plain value as long as nothing happens.
pub(crate) trait Nothing: Default + 'static {
    /// That value, the same as the default.
    const NOTHING: &'static Self;
}

/// A value that takes no memory before it is changed. To look at it changes nothing.
#[derive(Debug)]
pub(crate) struct Rare<T>(Option<Box<T>>);

impl<T> Default for Rare<T> {
    fn default() -> Self {
        Self(None)
    }
}

#[cfg(test)]
impl<T> Rare<T> {
    /// Whether it takes no memory.
    pub(crate) fn is_untouched(&self) -> bool {
        self.0.is_none()
    }
}

impl<T: Nothing> Deref for Rare<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_deref().unwrap_or(T::NOTHING)
    }
}

impl<T: Nothing> DerefMut for Rare<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.get_or_insert_default()
    }
}
