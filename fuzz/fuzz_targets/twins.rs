#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = gossip::protocol::fuzzing::twins(data);
});
