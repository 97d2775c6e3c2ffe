//! `trace-message` on networks of real processes, compared with the other answers of the nodes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod harness;

use harness::Lab;
use serde_json::{Value, json};

/// Waits until each node that can be asked has a message, and gives its trace.
fn whole(lab: &Lab, id: &str) -> Value {
    let covered = |said: &Value| said["traces"][0]["figures"]["coverage"]["value"] == 1.0;
    lab.until(&format!("trace-message {id}"), covered)["traces"][0].clone()
}

fn send(lab: &Lab, arguments: &str) -> String {
    lab.ok(&format!("send-message {arguments}")).trim().to_owned()
}

/// The nodes that lack it, each with the reason.
fn lacking(trace: &Value) -> Vec<(u64, String)> {
    let nodes = trace["nodes"].as_array().unwrap().iter();
    let lacks =
        |node: &Value| Some((node["node"].as_u64().unwrap(), node["lacks"].as_str()?.to_owned()));
    nodes.filter_map(lacks).collect()
}

fn receipts(trace: &Value) -> Vec<(u64, &Value)> {
    let nodes = trace["nodes"].as_array().unwrap().iter();
    let receipt = |node: &'_ Value| node["node"].as_u64().unwrap();
    nodes.map(|node| (receipt(node), &node["receipt"])).filter(|(_, r)| !r.is_null()).collect()
}

#[test]
fn a_message_in_a_ring_of_32_costs_as_many_copies_as_theory_says() {
    let lab = Lab::new();
    lab.start("circular -n 32");
    let mut copies = 0;
    let mut bytes = 0;
    for relays in [1, 2, 3] {
        let id = send(&lab, &format!("8 banana --relays {relays}"));
        let wanted = 64 * relays;
        let all_sent = |said: &Value| said["traces"][0]["figures"]["copies"]["value"] == wanted;
        let said = lab.until(&format!("trace-message {id}"), all_sent);
        let figures = &said["traces"][0]["figures"];
        assert_eq!(figures["copies"]["theory"], wanted);
        assert_eq!((&figures["repairs"], &figures["links"]), (&json!(0), &json!(32)));
        let last = figures["last_delivery_hop"]["value"].as_u64().unwrap();
        assert!(last >= 16, "{figures}");
        let traced = receipts(&said["traces"][0]);
        let first_paths = traced.iter().map(|(_, receipt)| receipt["path"].as_array().unwrap());
        assert_eq!(first_paths.map(|path| path.len() as u64 - 1).max(), Some(last));
        copies += figures["copies"]["value"].as_u64().unwrap();
        bytes += figures["bytes"]["value"].as_u64().unwrap();
    }
    let counters = &lab.json("show-network")["totals"]["counters"];
    assert_eq!((&counters["rumors_sent"], &counters["repairs_sent"]), (&json!(copies), &json!(0)));
    assert_eq!(counters["rumor_bytes_sent"], bytes);
}

#[test]
fn a_trace_agrees_with_get_messages() {
    let lab = Lab::new();
    lab.start("random 3 -n 10");
    let id = send(&lab, "4 banana -r 2");
    let trace = whole(&lab, &id);
    assert_eq!(lab.json("trace-message last")["traces"][0]["id"], trace["id"]);
    for (node, receipt) in receipts(&trace) {
        let said = lab.json(&format!("get-messages {node}"));
        let message = &said["messages"][0];
        assert_eq!((&message["id"], &message["text"]), (&trace["id"], &trace["text"]));
        assert_eq!(message["sent_at"], trace["sent_at"]);
        assert_eq!((&message["hops"], &message["paths"][0]), (&receipt["hops"], &receipt["path"]));
        let after = receipt["after_us"].as_f64().unwrap();
        assert_eq!(message["latency_us"].as_u64().unwrap(), after.floor() as u64);
        let before = receipt["path"].as_array().unwrap().iter().rev().nth(1);
        assert_eq!(before.cloned().unwrap_or_default(), receipt["from"]);
    }
    let text = lab.ok(&format!("trace-message {id}"));
    assert!(text.contains("infection tree\n4\n"), "{text}");
    assert!(text.contains("10 of 10, 100 %"), "{text}");
    assert!(!text.contains('\x1b'), "no colours without a terminal: {text}");
}

#[test]
fn several_messages_come_in_the_order_asked_for_each_once() {
    let lab = Lab::new();
    lab.start("circular -n 4");
    let (first, second) = (send(&lab, "1 apple"), send(&lab, "2 banana"));
    whole(&lab, &first);
    whole(&lab, &second);
    let said = lab.json(&format!("trace-message {second} {first} last {second}"));
    let ids: Vec<&Value> = said["traces"].as_array().unwrap().iter().map(|t| &t["id"]).collect();
    assert_eq!(ids, [&second, &first]);
    let text = lab.ok(&format!("trace-message {first} {second} --full"));
    assert!(text.starts_with(&format!("{first}  apple\n")), "{text}");
    assert!(text.contains(&format!("\n\n{second}  banana\n")), "{text}");
}

#[test]
fn nodes_without_the_message_are_told_with_the_reason() {
    let lab = Lab::new();
    lab.start("circular -n 8 --limit messages-max=2");
    let kept = send(&lab, "1 kept");
    whole(&lab, &kept);
    lab.ok("partition-network 1-4 5-8");
    let missed = send(&lab, "1 missed");
    send(&lab, "2 pushes-the-first-out");
    let is_lacked_by = |why: &'static str, nodes: &'static [u64]| {
        move |said: &Value| {
            let lacking = lacking(&said["traces"][0]);
            let named = lacking.iter().filter(|(_, lacks)| lacks == why).map(|(node, _)| *node);
            named.collect::<Vec<_>>() == nodes
        }
    };
    lab.until(&format!("trace-message {kept}"), is_lacked_by("evicted", &[1, 2, 3, 4]));
    lab.until(&format!("trace-message {missed}"), is_lacked_by("cut_off", &[5, 6, 7, 8]));

    lab.ok("pause-node 6");
    lab.ok("kill-node 7");
    lab.ok("remove-node 4");
    let said = lab.json(&format!("trace-message {missed}"));
    let expected = [(4, "removed"), (5, "cut_off"), (6, "paused"), (7, "down"), (8, "cut_off")];
    assert_eq!(lacking(&said["traces"][0]), expected.map(|(node, why)| (node, why.to_owned())));
    let text = lab.ok(&format!("trace-message {missed}"));
    for line in
        ["  cut off by a fault: 5,8\n", "  paused, so it cannot be asked: 6\n", "  down: 7\n"]
    {
        assert!(text.contains(line), "{line}: {text}");
    }
}

#[test]
fn a_message_that_cannot_be_traced_is_an_error_in_words() {
    let lab = Lab::new();
    assert!(lab.fails("trace-message last").contains("no network default is running"));
    lab.start("circular -n 2 --limit messages-max=1");
    assert!(lab.fails("trace-message last").contains("there is no message to trace"));
    let unknown = lab.fails("trace-message 2.9");
    assert!(unknown.contains("there is no message 2.9") && unknown.contains("the 2 nodes"));
    assert!(unknown.contains("`gossip get-messages 2`"), "{unknown}");

    let nobody = lab.fails("trace-message 9.1");
    assert!(nobody.contains("there is no message 9.1"), "{nobody}");
    assert!(nobody.contains("next: `gossip show-network`"), "{nobody}");

    let gone = send(&lab, "1 gone");
    whole(&lab, &gone);
    let last = send(&lab, "2 last");
    whole(&lab, &last);
    let error = lab.fails(&format!("trace-message {gone}"));
    assert!(error.contains("is no longer held by any node"), "{error}");
    assert!(error.contains("2 nodes know of it"), "{error}");

    lab.ok("pause-node 1");
    lab.ok("pause-node 2");
    for line in ["trace-message last", "trace-message 1.1", "watch-network"] {
        let error = lab.fails(line);
        assert!(error.contains("no node of network default answers"), "{line}: {error}");
        assert!(error.contains("2 of 2 nodes are paused"), "{line}: {error}");
    }
    let wrong = lab.run("trace-message newest");
    assert_eq!(wrong.code, Some(2));
    assert!(wrong.stderr.contains("`last` is the newest message"), "{wrong:?}");
}
