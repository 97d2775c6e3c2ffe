//! Where results go: `-`, names of other things than files, full disks, read-only directories.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod harness;

use std::fs;

use harness::{Lab, Run, finish};

/// Runs a shell script where mounts are its own, with `$GOSSIP` the program.
fn among_mounts_of_its_own(lab: &Lab, script: &str) -> Run {
    let mut unshare = lab.tool("unshare");
    if !rustix::process::geteuid().is_root() {
        unshare.args(["--user", "--map-root-user"]);
    }
    unshare.args(["--mount", "sh", "-c", script]);
    unshare.env("GOSSIP", env!("CARGO_BIN_EXE_gossip"));
    let help = "this test needs unshare (util-linux), and mounts in it: scripts/test installs it";
    finish(unshare.spawn().unwrap_or_else(|error| panic!("{help}: {error}")))
}

#[test]
fn a_dash_is_stdout_and_nothing_else_goes_there() {
    let lab = Lab::new();
    let origin = lab.ports_origin();
    let run = lab.run(&format!("start-network circular -n 3 --plot - --ports-origin {origin}"));
    assert!(run.stdout.contains("\ngraph {\n") && run.stdout.ends_with("}\n"), "{run:?}");
    assert_eq!((run.code, run.stdout.contains("runs")), (Some(0), false), "{run:?}");
    assert!(run.stderr.starts_with("network default runs: circular, 3 nodes"), "{run:?}");
    lab.ok("send-message 1 apple");
    lab.until_messages(3, 1);

    let drawing = lab.ok("trace-message 1.1 --dot -");
    assert!(drawing.contains("graph {\n"), "{drawing}");
    assert!(drawing.ends_with("}\n") && !drawing.contains("infection tree\n"), "{drawing}");
    let page = lab.ok("trace-message 1.1 --html -");
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>\n"), "{page}");
    let run = lab.run("trace-message 1.1 --html - --dot tree.dot");
    assert_eq!(
        (run.stdout == page, run.stderr.as_str()),
        (true, "the infection tree is drawn in tree.dot\n")
    );
    assert!(lab.ok("plot-network -").contains("\ngraph {\n"));
    assert_eq!(lab.ok("new-key -").trim_end().len(), 64);
    assert!(!lab.directory().join("-").exists());

    for line in [
        "trace-message 1.1 --dot - --json",
        "trace-message 1.1 --html - --json",
        "trace-message 1.1 --html - --dot -",
        "trace-message 1.1 --html x --dot ./x",
        "plot-network - --json",
        "new-key - --json",
        "start-network --network other --plot - --json",
        "start-network --network other --plot - --foreground",
    ] {
        let error = lab.run(line).misuses(line);
        assert!(error.starts_with("error: cannot write both "), "{line}: {error}");
    }
}

#[test]
fn a_network_runs_on_when_nobody_reads_its_topology() {
    let lab = Lab::new();
    let line = format!("start-network -n 3 --plot - --ports-origin {}", lab.ports_origin());
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let run = finish(lab.command(&line).stdout(writer).spawn().unwrap());
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(lab.json("show-network")["totals"]["up"], 3);
}

#[test]
fn a_full_disk_spoils_no_older_drawing_and_leaves_no_partial_one() {
    let lab = Lab::new();
    lab.start("circular -n 6");
    lab.ok("send-message 1 apple");
    let script = "set -e; mkdir full; mount -t tmpfs -o size=8k none full; cd full
        echo an old page > old.html
        for page in old new; do
          if $GOSSIP trace-message 1.1 --html $page.html; then exit 3; fi
        done
        if $GOSSIP plot-network x.dot > /dev/null; then rm x.dot; else exit 4; fi
        head -c 8192 /dev/zero > rest || true
        if $GOSSIP new-key my.key; then exit 5; fi
        if $GOSSIP plot-network x.dot; then exit 6; fi
        rm rest; cat *";
    let run = among_mounts_of_its_own(&lab, script);
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), "an old page\n"), "{run:?}");
    let full = "  why:  no space left on device\n  next: make room there, ";
    assert_eq!(run.stderr.matches(full).count(), 4, "{}", run.stderr);
}

#[test]
fn a_network_is_stopped_also_if_its_state_cannot_be_written() {
    let lab = Lab::new();
    lab.start("circular -n 3");
    let script = "set -e; mount --bind state state; mount -o remount,bind,ro state
        if $GOSSIP add-node; then exit 3; fi
        if $GOSSIP stop-network; then exit 4; fi
        if $GOSSIP show-network; then exit 5; fi
        $GOSSIP list-networks";
    let run = among_mounts_of_its_own(&lab, script);
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), ""), "{run:?}");
    let stopped = "error: network default is stopped, but what is remembered of it stays\n  \
                   why:  3 nodes ended; ";
    assert!(run.stderr.contains(stopped), "{}", run.stderr);
    assert!(run.stderr.contains("error: no network default is running\n"), "{}", run.stderr);
    assert!(lab.processes().is_empty());
}

#[test]
fn a_file_name_with_line_ends_cannot_forge_an_error() {
    let lab = Lab::new();
    lab.start("circular -n 1");
    let error = lab.run_words(["plot-network", "none/\nerror: x"]).fails("a name of two lines");
    assert!(error.contains("to none/\\nerror: x\n"), "{error}");
}

#[test]
fn a_lock_that_is_no_file_is_an_error_at_once() {
    let lab = Lab::new();
    lab.start("circular -n 2");
    let path = lab.state_home().join("gossip/default/lock");
    fs::remove_file(&path).unwrap();
    let (fifo, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::from(0o600));
    rustix::fs::mknodat(rustix::fs::CWD, &path, fifo, mode, 0).unwrap();
    for line in ["stop-network", "remove-node 1", "add-node", "heal-network", "start-network -n 1"]
    {
        let error = lab.fails(line);
        assert!(error.contains("it is no ordinary file"), "{line}: {error}");
        assert!(error.contains("next: `rm -r ") && error.contains("/lock`"), "{line}: {error}");
    }
    assert_eq!(lab.json("show-network")["totals"]["up"], 2);
    fs::remove_file(&path).unwrap();

    // So are the other files that are written.
    let new = path.with_file_name("network.json.new");
    rustix::fs::mknodat(rustix::fs::CWD, &new, fifo, mode, 0).unwrap();
    let error = lab.fails("remove-node 1");
    assert!(error.contains("network.json.new\n  why:  it is no ordinary file\n"), "{error}");
    lab.ok("stop-network");
}

#[test]
fn a_file_among_the_networks_is_listed_in_words() {
    let lab = Lab::new();
    fs::create_dir_all(lab.state_home().join("gossip")).unwrap();
    fs::write(lab.state_home().join("gossip/notes"), "milk").unwrap();
    let listed = lab.ok("list-networks");
    assert!(listed.contains("notes/network.json: not a directory"), "{listed}");
    assert!(!listed.contains("os error"), "{listed}");
}

#[test]
fn the_nodes_of_a_network_whose_state_is_broken_can_be_found() {
    let lab = Lab::new();
    lab.start("circular -n 2");
    let path = lab.state_home().join("gossip/default/network.json");
    let whole = fs::read_to_string(&path).unwrap();
    fs::write(&path, &whole[..20]).unwrap();
    let error = lab.fails("stop-network");
    let pattern = error.split('\'').nth(1).unwrap();
    assert_eq!(pattern, "run-node --launched --network default$");
    let wanted: String = pattern.trim_end_matches('$').replace(' ', "\0") + "\0";
    let found = lab.processes().into_iter().filter(|pid| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.ends_with(wanted.as_bytes())
    });
    assert_eq!(found.count(), 2, "{error}");
    assert!(error.contains(&format!("`rm -r {}`", path.parent().unwrap().display())), "{error}");
    fs::write(&path, &whole).unwrap();
    lab.ok("stop-network");
}
