//! The fuzz targets on seeded bytes: the same functions that `fuzz/` hands to libFuzzer.
//!
//! `GOSSIP_FUZZ_INPUTS=10000000 cargo test --release --test fuzz` takes longer and finds more;
//! `GOSSIP_FUZZ_SEED` replays one input of a failure.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use gossip::control::Request;
use gossip::{codec, control, protocol};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, RngExt, SeedableRng};

/// Runs a target on inputs made from seeds until it met `inputs` things; `run` makes the input of
/// a seed, and says how many things the target met in it. `name` is the test's, for its replay.
fn fuzz(name: &str, inputs: u64, run: impl Fn(&mut Xoshiro256PlusPlus) -> u64) {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let inputs = number("GOSSIP_FUZZ_INPUTS").unwrap_or(inputs);
    let one = number("GOSSIP_FUZZ_SEED");
    let mut met = 0;
    for seed in one.unwrap_or(0).. {
        let mut dice = Xoshiro256PlusPlus::seed_from_u64(seed);
        let outcome = catch_unwind(AssertUnwindSafe(|| run(&mut dice)));
        met += outcome.unwrap_or_else(|panic| {
            eprintln!("again: GOSSIP_FUZZ_SEED={seed} cargo test --test fuzz {name}");
            resume_unwind(panic)
        });
        if met >= inputs || one.is_some() {
            break;
        }
    }
    eprintln!("{name}: {met} inputs");
}

/// Random bytes, small ones more often than not: those are kinds, counts and lengths.
fn bytes(dice: &mut Xoshiro256PlusPlus, most: usize) -> Vec<u8> {
    let mut bytes = vec![0; dice.random_range(0..=most)];
    dice.fill_bytes(&mut bytes);
    if dice.random_bool(0.5) {
        bytes.iter_mut().filter(|byte| **byte > 100).for_each(|byte| *byte %= 20);
    }
    bytes
}

#[test]
fn any_bytes_are_survived_as_a_datagram() {
    fuzz("any_bytes_are_survived_as_a_datagram", 200_000, |dice| {
        protocol::fuzzing::datagram(&bytes(dice, 200));
        1
    });
}

#[test]
fn any_bytes_are_survived_as_a_control_frame() {
    fuzz("any_bytes_are_survived_as_a_control_frame", 200_000, |dice| {
        let mut data = bytes(dice, 200);
        if dice.random_bool(0.3) {
            // A real request, with a byte changed.
            data = codec::encode(&Request::Send { texts: vec!["banana".into()], relays: 3 });
            let at = dice.random_range(0..data.len());
            data[at] = dice.random();
        }
        control::fuzzing_frames::control(&data);
        1
    });
}

#[test]
fn a_node_keeps_its_promises_under_any_input() {
    fuzz("a_node_keeps_its_promises_under_any_input", 200_000, |dice| {
        let mut data = vec![0; dice.random_range(0..20_000)];
        dice.fill_bytes(&mut data);
        protocol::fuzzing::node(&data)
    });
}
