#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    gossip::control::fuzzing_frames::control(data);
});
