//! `plot-network`, `start-network --plot` and `trace-message --dot` on real networks.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod harness;

use std::fs;

use harness::Lab;
use serde_json::Value;

fn links(said: &Value, property: &str) -> Vec<(u64, u64)> {
    let all = said["links"].as_array().unwrap();
    let with = all.iter().filter(|link| link[property] == true);
    with.map(|link| (link["nodes"][0].as_u64().unwrap(), link["nodes"][1].as_u64().unwrap()))
        .collect()
}

#[test]
fn the_overlay_is_drawn_as_it_is_now() {
    let lab = Lab::new();
    lab.start("circular -n 8");
    let said = lab.ok("plot-network");
    assert_eq!(
        said,
        "the overlay of network default is drawn in gossip-default.dot: 8 of 8 nodes up, 8 links in use\n"
    );
    let whole = fs::read_to_string(lab.directory().join("gossip-default.dot")).unwrap();
    assert!(whole.contains("default: circular, 8 nodes, 8 links"), "{whole}");

    lab.ok("kill-node 3");
    lab.ok("pause-node 7");
    let said =
        lab.until("plot-network now.svg", |said| links(said, "made_by_nodes") == [(2, 4), (6, 8)]);
    assert_eq!((&said["format"], &said["components"]), (&"svg".into(), &1.into()));
    assert_eq!(said["nodes"][2]["state"], "down");
    assert_eq!(said["nodes"][6]["state"], "paused");
    assert!(!links(&said, "in_use").contains(&(2, 3)));
    let svg = fs::read_to_string(lab.directory().join("now.svg")).unwrap();
    for words in ["<svg", "made by the nodes themselves", "paused", "down"] {
        assert!(svg.contains(words), "{words}: {svg}");
    }

    lab.ok("partition-network 1-4 5-8");
    lab.ok("inject-faults --from 1 --to 2 --loss 20%");
    let said = lab.json("plot-network now.png");
    assert_eq!(said["components"], 2, "1, 2, 4 and 5, 6, 8");
    assert!(links(&said, "cut").contains(&(1, 8)) && links(&said, "faulty").contains(&(1, 2)));
    assert_eq!(fs::read(lab.directory().join("now.png")).unwrap()[..4], *b"\x89PNG");

    let dot = lab.ok("plot-network -");
    assert!(dot.contains("graph {") && dot.contains("partition: 1-4 | 5-8"), "{dot}");
    assert!(lab.ok("plot-network - --format svg").contains("cut by a fault"));
    lab.ok("resume-node 7");
    lab.ok("stop-network");
}

#[test]
fn the_infection_tree_is_drawn() {
    let lab = Lab::new();
    lab.start("circular -n 8 --plot ring.svg");
    assert!(fs::read_to_string(lab.directory().join("ring.svg")).unwrap().contains("<svg"));
    let id = lab.ok("send-message 1 <banana&\"quotes\">").trim().to_owned();
    lab.until("show-network", |said| said["totals"]["counters"]["delivered"] == 8);
    lab.ok(&format!("trace-message {id} --dot tree.dot --json"));
    let dot = fs::read_to_string(lab.directory().join("tree.dot")).unwrap();
    assert_eq!(dot.matches("dir=forward").count(), 7, "{dot}");
    assert!(dot.contains("message 1.1 at 8 of 8 nodes"), "{dot}");
    assert!(dot.contains("&lt;banana&amp;&quot;quotes&quot;&gt;"), "{dot}");
    lab.ok(&format!("trace-message {id} --dot tree.svg"));
    let svg = fs::read_to_string(lab.directory().join("tree.svg")).unwrap();
    assert!(svg.contains("first copy") && svg.contains("origin, node 1"), "{svg}");
    lab.ok("stop-network");
}

#[test]
fn a_picture_that_cannot_be_drawn_is_an_error_in_words() {
    let lab = Lab::new();
    let error = lab.fails("plot-network");
    assert!(error.contains("no network default is running"), "{error}");
    lab.start("circular -n 2");
    let error = lab.run("plot-network - --json").misuses("both to stdout");
    assert!(error.contains("both the picture and JSON"), "{error}");
    let error = lab.run("trace-message 1.1 2.1 --dot x.dot").misuses("two trees");
    assert!(error.contains("several messages"), "{error}");
    let error = lab.fails("plot-network none/x.dot");
    assert!(error.contains("cannot write the overlay to none/x.dot"), "{error}");

    // Without Graphviz.
    let mut command = lab.command("plot-network x.svg");
    command.env("PATH", lab.directory());
    let error = harness::finish(command.spawn().unwrap()).fails("without Graphviz");
    assert!(error.contains("Graphviz is not installed"), "{error}");
    assert!(!lab.directory().join("x.svg").exists(), "nothing stays behind");
    let mut command = lab.command("plot-network x.dot");
    command.env("PATH", lab.directory());
    harness::finish(command.spawn().unwrap()).ok("DOT needs no Graphviz");
    lab.ok("stop-network");
}
