//! The page that `trace-message --html` writes, in a real browser: it fetches nothing, shows the
//! right nodes at any time, answers to mouse and keyboard, and causes no complaint. Pictures of it
//! are left in `target/page-screenshots`.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../harness/mod.rs"]
mod harness;

mod browser;
mod spread;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use browser::{ARROW_LEFT, ARROW_RIGHT, Browser, END, HOME, url_of};
use gossip::picture::{Scene, page};
use gossip::spread::Trace;
use gossip::topology::{Kind, build};
use harness::{Lab, make_directory};
use serde_json::Value;

const HOSTILE: &str =
    "</script><img src=x onerror=alert(1)> <!-- \u{2028}\"'\\ 👩‍👩‍👧‍👦 \u{202e}drawkcab";

/// Two messages on a random network, one with a text that means harm and a node without it.
fn made_up(nodes: u32) -> (Vec<Trace>, String) {
    let kind = Kind::Random { degree: Some(3) };
    let (graph, _) = build(kind, nodes, 7).unwrap();
    let leaf = |trace: &Trace| {
        let parents: BTreeSet<_> =
            trace.nodes.iter().filter_map(|node| node.receipt.as_ref()?.from).collect();
        let leaf = trace.nodes.iter().rev().find(|node| !parents.contains(&node.node));
        leaf.unwrap().node.0
    };
    let first = spread::trace(&graph, 8, 1, "banana", &[]);
    let without = leaf(&spread::trace(&graph, 3, 1, HOSTILE, &[]));
    let second = spread::trace(&graph, 3, 1, HOSTILE, &[without]);
    let traces = vec![first, second];
    let page = page(&traces, &Scene { kind: kind.to_string(), ..Scene::default() }).unwrap();
    (traces, page)
}

/// The nodes that have it at this time, in microseconds, by the trace.
fn reached(trace: &Trace, time: f64) -> BTreeSet<u64> {
    let in_time = trace
        .nodes
        .iter()
        .filter(|node| node.receipt.as_ref().is_some_and(|receipt| receipt.after_us <= time));
    in_time.map(|node| u64::from(node.node.0)).collect()
}

/// The nodes that have it by the page.
fn shown(browser: &Browser) -> BTreeSet<u64> {
    let nodes = browser.eval("return [...document.querySelectorAll('.node.has')].map((node) => Number(node.dataset.node))");
    nodes.as_array().unwrap().iter().map(|node| node.as_u64().unwrap()).collect()
}

/// Drags the time line to a time.
fn scrub(browser: &Browser, time: f64) {
    browser.eval(&format!(
        "const seek = document.getElementById('seek'); seek.value = {time}; seek.dispatchEvent(new Event('input'))"
    ));
}

/// Plays from the beginning, fast, until every node that got it has it.
fn play(browser: &Browser, trace: &Trace) {
    browser.eval("const speed = document.getElementById('speed'); speed.selectedIndex = speed.options.length - 1");
    browser.press(HOME);
    assert_eq!(shown(browser).len(), 1, "only the origin at first");
    browser.click("play");
    browser.until("document.getElementById('play').getAttribute('aria-label') === 'Play'");
    assert_eq!(shown(browser), reached(trace, f64::INFINITY));
}

/// Asserts that only the file itself was fetched, and that the browser complained of nothing.
#[track_caller]
fn assert_quiet(browser: &Browser, file: &Path) {
    let fetched: BTreeSet<String> = browser.fetched().into_iter().collect();
    let own = url_of(file);
    assert!(fetched.iter().all(|url| *url == own || url.starts_with("data:,")), "{fetched:?}");
    assert!(fetched.contains(&own), "the browser tells what it fetches");
    let entries = browser.eval("return performance.getEntriesByType('resource').length");
    assert_eq!(entries, 0, "nothing else is loaded");
    assert_eq!(browser.complaints(), [] as [String; 0]);
}

#[test]
fn the_page_shows_the_nodes_that_have_the_message_at_any_time() {
    let directory = make_directory();
    let (traces, page) = made_up(64);
    let file = directory.join("spread.html");
    fs::write(&file, page).unwrap();
    let browser = Browser::start(&directory);
    browser.open(&file);
    for (index, trace) in traces.iter().enumerate() {
        browser.eval(&format!(
            "const list = document.getElementById('message'); list.selectedIndex = {index}; list.dispatchEvent(new Event('change'))"
        ));
        assert_eq!(browser.text("text"), trace.text, "the text as it was sent");
        let times = trace.nodes.iter().filter_map(|node| Some(node.receipt.as_ref()?.after_us));
        // Just when something arrives, a moment before, and back again.
        for time in times.step_by(9).flat_map(|time| [time, (time - 0.01).max(0.0)]) {
            scrub(&browser, time);
            assert_eq!(shown(&browser), reached(trace, time), "{} at {time} µs", trace.id);
        }
        play(&browser, trace);
    }
    assert_eq!(browser.text("coverage"), "98.4 %", "63 of 64");
    browser.press("m");
    play(&browser, &traces[0]);
    assert_eq!(browser.text("coverage"), "100 %");
    assert_eq!(browser.text("have"), "64 of 64");
    assert_quiet(&browser, &file);
}

#[test]
fn the_page_works_by_keyboard() {
    let directory = make_directory();
    let (traces, page) = made_up(16);
    let file = directory.join("spread.html");
    fs::write(&file, page).unwrap();
    let browser = Browser::start(&directory);
    browser.open(&file);
    for count in 2..=4 {
        browser.press(ARROW_RIGHT);
        assert_eq!(shown(&browser).len(), count, "one delivery further");
    }
    browser.press(ARROW_LEFT);
    assert_eq!(shown(&browser).len(), 3, "one back");
    browser.press(END);
    assert_eq!(shown(&browser).len(), 16);
    browser.press("5");
    let half =
        browser.eval("return Number(document.getElementById('seek').value)").as_f64().unwrap();
    assert_eq!(shown(&browser), reached(&traces[0], half));
    assert!((4..16).contains(&shown(&browser).len()), "half way");
    browser.press(" ");
    browser.until("document.getElementById('play').getAttribute('aria-label') === 'Pause'");
    browser.press(" ");
    browser.until("document.getElementById('play').getAttribute('aria-label') === 'Play'");
    let theme = |browser: &Browser| browser.eval("return document.documentElement.dataset.theme");
    let before = theme(&browser);
    browser.press("t");
    assert_ne!(theme(&browser), before);
    walk_through_nodes(&browser);
    browser.press("m");
    assert_eq!(browser.text("text"), HOSTILE);
    assert_quiet(&browser, &file);
}

/// With the focus in the drawing, arrow keys go from node to node, and details follow.
fn walk_through_nodes(browser: &Browser) {
    let tab = "\u{e004}";
    let focused = "document.activeElement.dataset.node";
    for _ in 0..10 {
        if browser.eval(&format!("return {focused} ?? null")) != Value::Null {
            break;
        }
        browser.press(tab);
    }
    let first = browser.eval(&format!("return {focused}"));
    assert!(browser.text("details").starts_with(&format!("Node {}", first.as_str().unwrap())));
    let outline = browser
        .eval("return getComputedStyle(document.activeElement.querySelector('.rim')).stroke");
    assert_ne!(outline, "none", "one sees where the focus is");
    let walked = [ARROW_LEFT, ARROW_RIGHT].iter().any(|key| {
        browser.press(key);
        browser.eval(&format!("return {focused}")) != first
    });
    assert!(walked, "to another node");
    let unnamed = "[...document.querySelectorAll('button, select, input, #graph .node')].filter((one) => !one.getAttribute('aria-label') && !one.labels?.length).length";
    assert_eq!(browser.eval(&format!("return {unnamed}")), 0, "everything has a name");
}

/// How much wider the figures are than their place, with numbers as those of a large network.
const LARGE_NUMBERS: &str = "
    const row = [...document.querySelectorAll('#figures tbody tr')].at(-1).children;
    ['26,554,512', '123,495', '64,000'].forEach((text, at) => { row[at + 1].textContent = text; });
    const place = document.querySelector('aside');
    return place.scrollWidth - place.clientWidth;
";

#[test]
fn the_page_fits_wide_and_narrow_screens_in_light_and_dark() {
    let directory = make_directory();
    let pictures = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/page-screenshots");
    fs::create_dir_all(&pictures).unwrap();
    let browser = Browser::start(&directory);
    for nodes in [64, 256] {
        let (traces, page) = made_up(nodes);
        let file = directory.join(format!("spread-{nodes}.html"));
        fs::write(&file, page).unwrap();
        for (scheme, (name, size)) in ["light", "dark"].into_iter().flat_map(|scheme| {
            [("wide", (1920, 1080)), ("medium", (1200, 800)), ("narrow", (390, 844))]
                .map(|size| (scheme, size))
        }) {
            browser.screen(size, scheme, "reduce");
            browser.open(&file);
            browser.press("5");
            let theme = browser.eval("return document.documentElement.dataset.theme");
            assert_eq!(theme, scheme, "as the user prefers");
            let too_wide = browser.eval("return document.documentElement.scrollWidth - innerWidth");
            assert!(too_wide.as_i64().unwrap() <= 0, "{name}: something sticks out by {too_wide}");
            let too_wide = browser.eval(LARGE_NUMBERS);
            assert!(too_wide.as_i64().unwrap() <= 0, "{name}: the table sticks out by {too_wide}");
            browser.open(&file);
            browser.press("5");
            let png = browser.screenshot();
            let side = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
            assert_eq!((side(16), side(20)), size);
            let picture = pictures.join(format!("{nodes}-{scheme}-{name}.png"));
            fs::write(&picture, png).unwrap();
            println!("{}", picture.display());
        }
        // A user who prefers no motion can still play.
        play(&browser, &traces[0]);
        assert_quiet(&browser, &file);
    }
}

#[test]
fn a_message_of_a_real_network_is_replayed() {
    let lab = Lab::new();
    lab.start("circular -n 16");
    let id = lab.ok("send-message 8 banana").trim().to_owned();
    lab.run_words(["send-message", "3", HOSTILE]).ok("send-message");
    lab.until_messages(16, 2);
    lab.until("show-network", |said| said["totals"]["counters"]["delivered"] == 32);
    let line = format!("trace-message {id} last --html spread.html");
    let said = lab.json(&line);
    let file = lab.directory().join("spread.html");
    let directory = make_directory();
    let browser = Browser::start(&directory);
    browser.open(&file);
    assert_eq!(browser.text("text"), "banana");
    let times: Vec<f64> = said["traces"][0]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| node["receipt"]["after_us"].as_f64().unwrap())
        .collect();
    browser.eval("const pace = document.getElementById('pace'); pace.value = 'time'; pace.dispatchEvent(new Event('change'))");
    for time in &times {
        scrub(&browser, *time);
        let expected = times.iter().filter(|other| *other <= time).count();
        assert_eq!(shown(&browser).len(), expected, "at {time} µs");
    }
    browser.press(END);
    assert_eq!(browser.text("coverage"), "100 %");
    browser.press("m");
    assert_eq!(browser.text("text"), HOSTILE);
    browser.press(END);
    assert_eq!(browser.text("have"), "16 of 16");
    assert_quiet(&browser, &file);
    lab.ok("stop-network");
}
