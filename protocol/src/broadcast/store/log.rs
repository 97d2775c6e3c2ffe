//! Messages in the order of their arrival.
//!
//! They come at one end and go at the other, so a message is found by its number in that order,
//! in one step. They lie in chunks: a list in one piece would now and then be copied as a whole
//! to a larger place, and every message that comes in meanwhile would wait for that.

use std::collections::VecDeque;

use super::origins::Slot;
use super::record::Record;

/// Messages in one chunk; the first chunk has fewer when some of them are gone.
const CHUNK: u64 = 64;

/// Messages, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Log {
    chunks: VecDeque<VecDeque<Record>>,
    /// The number of the oldest.
    pub(crate) first: u64,
    /// The number that the next will have.
    pub(crate) end: u64,
}

impl Log {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        usize::try_from(self.end - self.first).unwrap_or(usize::MAX)
    }

    /// The chunk of a message, and its place in there.
    fn place(&self, slot: Slot) -> Option<(usize, usize)> {
        let number = (self.first..self.end).contains(&slot.0).then_some(slot.0)?;
        // Chunks are aligned: message n is in chunk n / 64, counted from the chunk of the oldest.
        // The first chunk has lost its evicted messages, so it begins at the oldest.
        let chunk = number / CHUNK;
        let start = self.first.max(chunk * CHUNK);
        let chunk = usize::try_from(chunk - self.first / CHUNK).ok()?;
        Some((chunk, usize::try_from(number - start).ok()?))
    }

    /// The message with this number.
    pub(crate) fn get(&self, slot: Slot) -> Option<&Record> {
        let (chunk, at) = self.place(slot)?;
        self.chunks.get(chunk)?.get(at)
    }

    /// The message with this number, to be changed.
    pub(crate) fn get_mut(&mut self, slot: Slot) -> Option<&mut Record> {
        let (chunk, at) = self.place(slot)?;
        self.chunks.get_mut(chunk)?.get_mut(at)
    }

    /// Adds the newest.
    pub(crate) fn push(&mut self, record: Record) -> Slot {
        if self.chunks.is_empty() || self.end.is_multiple_of(CHUNK) {
            // A node with few messages needs no whole chunk, and one with a single message needs
            // memory for one.
            let is_first = self.chunks.is_empty();
            let capacity = if is_first { 1 } else { CHUNK };
            self.chunks.reserve_exact(usize::from(is_first));
            self.chunks.push_back(VecDeque::with_capacity(usize::try_from(capacity).unwrap_or(0)));
        }
        let slot = Slot(self.end);
        self.end += 1;
        if let Some(last) = self.chunks.back_mut() {
            last.push_back(record);
        }
        slot
    }

    /// Takes the oldest out.
    pub(crate) fn pop_first(&mut self) -> Option<Record> {
        let record = self.chunks.front_mut()?.pop_front()?;
        self.first += 1;
        // The oldest is in the next chunk now, or there is none left: this chunk is empty.
        if self.first.is_multiple_of(CHUNK) || self.first == self.end {
            self.chunks.pop_front();
        }
        Some(record)
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::Arrival;
    use super::*;
    use crate::ids::MessageId;

    fn record(sequence: u64) -> Record {
        let arrival = Arrival::of(MessageId::new(1, 1, sequence), b"apple", 1, &[1]);
        Record::new(&arrival, Default::default(), 0)
    }

    #[test]
    fn every_message_is_found_while_others_come_and_go() {
        let mut log = Log::default();
        let (mut first, mut end) = (0, 0);
        for (come, go) in [(1, 1), (200, 10), (3, 150), (64, 40), (0, 66), (130, 129), (1, 2)] {
            for _ in 0..come {
                assert_eq!(log.push(record(end)), Slot(end));
                end += 1;
            }
            for _ in 0..go {
                assert_eq!(
                    log.pop_first().map(|record| record.id.sequence),
                    (first < end).then_some(first)
                );
                first = end.min(first + 1);
            }
            assert_eq!((log.first, log.end, log.len() as u64), (first, end, end - first));
            for number in 0..end + 2 {
                let held = (first..end).contains(&number);
                let sequence = log.get(Slot(number)).map(|record| record.id.sequence);
                assert_eq!(sequence, held.then_some(number));
                assert_eq!(log.get_mut(Slot(number)).is_some(), held);
            }
        }
    }
}
