//! Seeds without end, for `scripts/soak`; in the suite, one seed for each core.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::SEEDS;
use super::plan::Plan;

/// Runs seeds on all cores for as long as `GOSSIP_SOAK_SECONDS` says, from `GOSSIP_SOAK_FROM` on;
/// stops at the first failure. Each core runs one seed at least.
#[test]
fn new_seeds_pass() {
    let number = |name: &str, otherwise: u64| {
        let text = std::env::var(name).ok();
        text.map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
    };
    let time = Duration::from_secs(number("GOSSIP_SOAK_SECONDS", 0));
    let soak = Soak::new(number("GOSSIP_SOAK_FROM", SEEDS.end));
    let began = gossip::runtime::clock::now().monotonic;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for core in 0..cores {
            let worker = || {
                soak.run_one();
                while gossip::runtime::clock::now().monotonic.since(began) < time && soak.goes_on()
                {
                    soak.run_one();
                }
            };
            let name = format!("soak {core}");
            std::thread::Builder::new().name(name).spawn_scoped(scope, worker).unwrap();
        }
    });
    soak.report(gossip::runtime::clock::now().monotonic.since(began));
}

/// The state that all workers of a soak share.
struct Soak {
    from: u64,
    next: AtomicU64,
    passed: AtomicU64,
    datagrams: AtomicU64,
    /// How long each took to come to rest, and its seed.
    rests: Mutex<Vec<(Duration, u64)>>,
    failures: Mutex<Vec<String>>,
    /// Whether it goes on after a failure, to see how many seeds fail.
    keeps_going: bool,
}

impl Soak {
    fn new(from: u64) -> Self {
        Self {
            from,
            next: AtomicU64::new(from),
            passed: AtomicU64::new(0),
            datagrams: AtomicU64::new(0),
            rests: Mutex::default(),
            failures: Mutex::default(),
            keeps_going: std::env::var("GOSSIP_SOAK_KEEP_GOING").is_ok(),
        }
    }

    fn goes_on(&self) -> bool {
        self.keeps_going || self.failures.lock().unwrap().is_empty()
    }

    fn run_one(&self) {
        let seed = self.next.fetch_add(1, Ordering::Relaxed);
        // A panic inside the protocol is a failure of this seed as well.
        let outcome = std::panic::catch_unwind(|| Plan::random(seed).run());
        let failure = match outcome {
            Ok(Ok(outcome)) => {
                self.passed.fetch_add(1, Ordering::Relaxed);
                self.datagrams.fetch_add(outcome.datagrams, Ordering::Relaxed);
                self.rests.lock().unwrap().push((outcome.rest_after, seed));
                return;
            }
            Ok(Err(failure)) => failure.to_string(),
            Err(_) => format!("seed {seed}: panicked"),
        };
        println!("{failure}");
        self.failures.lock().unwrap().push(failure);
    }

    fn report(self, took: Duration) {
        let passed = self.passed.into_inner();
        let mut rests = self.rests.into_inner().unwrap();
        rests.sort_unstable();
        let rest =
            |share: usize| rests.get(rests.len() * share / 100).map_or(Duration::ZERO, |r| r.0);
        let (slowest, seed) = rests.last().copied().unwrap_or_default();
        println!(
            "{passed} seeds from {} on passed in {took:.0?}: {:.1} seeds and {:.0} datagrams a second",
            self.from,
            passed as f64 / took.as_secs_f64(),
            self.datagrams.into_inner() as f64 / took.as_secs_f64(),
        );
        println!(
            "at rest after the last fault: median {:?}, 99 of 100 {:?}, all {slowest:?} (seed {seed})",
            rest(50),
            rest(99)
        );
        let failures = self.failures.into_inner().unwrap();
        assert!(failures.is_empty(), "{} seeds failed, the first: {}", failures.len(), failures[0]);
    }
}
