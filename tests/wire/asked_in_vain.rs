//! A node is asked for messages that it does not hold.

use super::*;

#[test]
fn what_is_wanted_and_not_held_is_lacked() {
    let mut bench = Bench::new();
    bench.feed(8, RUMOR);
    // 8.1 to 8.5, of which only the first is here.
    let sent = bench.feed(10, "03 01 08 01 01 04");
    assert_eq!(sent, [(addr(10), hex(LACKS)), (addr(10), hex(REPAIRED))]);
}

#[test]
fn a_message_that_a_peer_lacks_is_asked_of_another() {
    let mut bench = Bench::new().joined();
    let have = "01 01 08 01 02 03";
    assert_eq!(bench.feed(8, have), [(addr(8), hex(WANT))]);
    assert_eq!(bench.feed(10, have), []);
    assert_eq!(bench.feed(8, LACKS), [(addr(10), hex(WANT))]);
}
