//! When a node is due, and RFC 6206's Trickle timer. Both are told the time, like everything here.

use std::time::Duration;

use rand::{Rng, RngExt};

use crate::time::Monotonic;

/// A random duration from `from` up to `to`.
pub(crate) fn between(rng: &mut impl Rng, from: Duration, to: Duration) -> Duration {
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let (from, to) = (nanos(from), nanos(to));
    Duration::from_nanos(if from < to { rng.random_range(from..to) } else { from })
}

/// A random number below `end`, which is not 0.
pub(crate) fn below(rng: &mut impl Rng, end: usize) -> usize {
    rng.random_range(0..end)
}

/// How many attempts keep the same interval before it grows. Random loss is no congestion: backing
/// off at once would only delay the unlucky.
const STEADY_ATTEMPTS: u8 = 5;

/// The same wait a few times, then half as long again each time, up to about 17 times the first.
pub(crate) fn back_off(first: Duration, attempts: u8) -> Duration {
    // (3/2)⁷ is about 17, and 3⁷ is far from the largest number.
    let growing = u32::from(attempts.saturating_sub(STEADY_ATTEMPTS).min(7));
    first * 3u32.pow(growing) / 2u32.pow(growing)
}

/// The earliest of all deadlines. May be too early, never too late: a deadline that falls away
/// leaves it as it is, and the next tick finds nothing to do. At first there is none.
#[derive(Debug, Default)]
pub(crate) struct Due(Option<Monotonic>);

impl Due {
    /// Adds a deadline.
    pub(crate) fn at(&mut self, deadline: Monotonic) {
        self.0 = Some(self.0.map_or(deadline, |due| due.min(deadline)));
    }

    /// The earliest deadline.
    pub(crate) fn earliest(&self) -> Option<Monotonic> {
        self.0
    }

    /// Takes the deadline out if it has come.
    pub(crate) fn take_if_over(&mut self, now: Monotonic) -> bool {
        let over = self.0.is_some_and(|due| due <= now);
        if over {
            self.0 = None;
        }
        over
    }
}

/// Trickle (RFC 6206, section 4.2) without its suppression: it fires once an interval, at a
/// random time in the interval's second half; intervals double up to a maximum, and start again
/// at the minimum when something was out of step.
#[derive(Debug)]
pub(crate) struct Trickle {
    interval: Duration,
    /// When it fires in this interval; `None` once it has.
    fires: Option<Monotonic>,
    ends: Monotonic,
}

impl Trickle {
    /// Starts with the shortest interval, and fires at once.
    pub(crate) fn start(now: Monotonic, min: Duration) -> Self {
        Self { interval: min, fires: Some(now), ends: now + min }
    }

    fn begin(&mut self, now: Monotonic, interval: Duration, rng: &mut impl Rng) {
        self.interval = interval;
        // In the second half, so that nodes in step do not fire together, as the RFC has it.
        self.fires = Some(now + between(rng, interval / 2, interval));
        self.ends = now + interval;
    }

    /// Something was out of step: back to the shortest interval, unless that is running already.
    pub(crate) fn reset(&mut self, now: Monotonic, min: Duration, rng: &mut impl Rng) {
        // Rule 6 of the RFC: a timer at the shortest interval goes on undisturbed, or a row of
        // resets would put off its firing for ever.
        if self.interval > min {
            self.begin(now, min, rng);
        }
    }

    /// Whether it fires now. Called late, it fires once, and goes on from now.
    pub(crate) fn fire(&mut self, now: Monotonic, max: Duration, rng: &mut impl Rng) -> bool {
        let fired = self.fires.is_some_and(|at| at <= now);
        if fired {
            self.fires = None;
        }
        if self.ends <= now {
            // Intervals follow each other without a gap, unless the caller missed a whole one.
            let began = if now.since(self.ends) < self.interval { self.ends } else { now };
            self.begin(began, (self.interval * 2).min(max), rng);
        }
        fired
    }

    /// When to call [`Trickle::fire`] next.
    pub(crate) fn next(&self) -> Monotonic {
        self.fires.unwrap_or(self.ends)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::Xoshiro256PlusPlus;

    const MIN: Duration = Duration::from_millis(100);
    const MAX: Duration = Duration::from_millis(1_250);

    #[test]
    fn intervals_double_up_to_the_maximum_and_fire_once_each() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
        let mut trickle = Trickle::start(Monotonic(0), MIN);
        let mut fired = Vec::new();
        while trickle.next() < Monotonic(60_000_000_000) {
            let now = trickle.next();
            if trickle.fire(now, MAX, &mut rng) {
                fired.push(now);
            }
        }
        assert_eq!(fired[0], Monotonic(0));
        // 60 s hold some 47 intervals of 1.25 s beside the first few.
        assert!((49..=53).contains(&fired.len()), "{}", fired.len());
        let longest = fired.windows(2).map(|pair| pair[1].since(pair[0])).max().unwrap();
        assert!(longest <= MAX * 3 / 2);
    }

    #[test]
    fn a_reset_shortens_the_interval_once() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
        let mut trickle = Trickle::start(Monotonic(0), MIN);
        let first = trickle.next();
        trickle.reset(Monotonic(0), MIN, &mut rng);
        assert_eq!(trickle.next(), first, "the shortest interval is running already");
        let mut now = first;
        for _ in 0..20 {
            now = trickle.next();
            trickle.fire(now, MAX, &mut rng);
        }
        trickle.reset(now, MIN, &mut rng);
        assert!(trickle.next() <= now + MIN);
    }

    #[test]
    fn the_earliest_deadline_counts() {
        let mut due = Due::default();
        due.at(Monotonic(7));
        due.at(Monotonic(9));
        assert_eq!(due.earliest(), Some(Monotonic(7)));
        assert!(!due.take_if_over(Monotonic(6)));
        assert!(due.take_if_over(Monotonic(7)));
        assert_eq!(due.earliest(), None);
    }
}
