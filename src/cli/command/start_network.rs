//! `start-network`.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::plot_network::{self, Format, PlotFile};
use super::{networks, watch_network};
use crate::cli::interrupt;
use crate::cli::progress::Progress;
use crate::cli::render::{count, escape, kind_json, kind_text};
use crate::cli::{Error, Global, args, launched, limit_options, output};
use crate::network::{self, Record, StartSpec, StateDir};
use crate::picture::{self, Picture};
use crate::topology::{self, Kind};

pub(crate) const USAGE: &str =
    "gossip start-network [circular | powerlaw | random [DEGREE]] [OPTIONS]";

pub(crate) const EXAMPLES: &str = "\
Examples:
  gossip start-network --plot
  gossip start-network random 5
  gossip start-network circular --num-nodes=32 --network ring

The value of --plot may be left out: `--plot circular` plots a ring to the default file. For a
file of such a name write ./circular.";

/// The examples, and the names that `--limit` and `--timing` take.
pub(crate) fn long_help() -> String {
    format!("{EXAMPLES}\n\n{}", limit_options::listing())
}

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Which nodes are linked: circular, powerlaw, or random with a DEGREE [default: random 3]
    #[arg(value_name = "TOPOLOGY", num_args = 0..=2)]
    topology: Vec<String>,
    /// How many nodes
    #[arg(short, long, value_name = "N", default_value_t = 16)]
    num_nodes: u32,
    /// Draw the topology: DOT, or what Graphviz makes of it if FILE ends with .svg or .png; - is
    /// stdout, which gets nothing else then
    /// [default FILE: gossip-<network>.dot]
    #[arg(short = 'P', long, value_name = "FILE", num_args = 0..=1)]
    plot: Option<Option<PathBuf>>,
    /// Node N owns UDP port P+N (gossip) and TCP port P+N (control)
    #[arg(long, value_name = "P", default_value_t = 7000)]
    ports_origin: u16,
    /// Reproduce a graph and the protocol's randomness; drawn and shown when not given
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Stay, show what happens at every node, and stop the network on Ctrl-C
    #[arg(long)]
    foreground: bool,
    #[command(flatten)]
    changes: limit_options::Changes,
}

/// Starts a network, and returns when every node answers.
pub(crate) fn run(global: &Global, args: &Args) -> Result<(), Error> {
    let (kind, plot_path) = wanted(global, args)?;
    let plot_path = plot_path.as_deref();
    let topology = ("the topology", "the file of --plot", plot_path);
    output::alone_on_stdout(topology, ("JSON", "--json", global.json))?;
    // In the foreground, stdout is for what happens at the nodes.
    output::alone_on_stdout(topology, ("what happens", "--foreground", args.foreground))?;
    let settings = args.changes.settings(args.num_nodes)?;
    let seed = args::seed(args.seed)?;
    let (graph, adapted) = topology::build(kind, args.num_nodes, seed)?;
    for adapted in adapted {
        output::note(&adapted.to_string());
    }
    let picture = picture::topology(&graph, kind, &global.network);
    let plot = plot_path.map(|path| open_plot(path, &picture)).transpose()?;
    let spec = StartSpec {
        name: global.network.clone(),
        kind,
        nodes: args.num_nodes,
        ports_origin: args.ports_origin,
        seed,
        program: launched::this_program()?,
        settings,
    };
    let interrupt = interrupt::watch()?;
    let mut progress = Progress::of_nodes("starting");
    let mut show = |now: network::Progress| progress.show(now.done, now.total);
    let record = StateDir::from_env()?.start(&spec, &mut show, &interrupt.seen)?;
    drop(progress);
    if let Some((plot, picture)) = plot {
        match plot.write(&picture) {
            Err(error) if !error.is_reader_left() => {
                return networks::stop_if_running(&global.network).and(Err(error));
            }
            _ => {}
        }
    }
    let said = if plot_path.is_some_and(output::is_stdout) {
        output::note(started_text(&record, None).trim_end());
        Ok(())
    } else {
        let plot = plot_path.map(Path::to_string_lossy);
        let document = started_json(&record, plot.as_deref());
        output::answer(global, &document, &started_text(&record, plot.as_deref()))
    };
    if !args.foreground {
        return said;
    }
    let ready = |_| "Ctrl-C stops the network".to_owned();
    let shown = said.and_then(|()| watch_network::watch(global, &interrupt, u64::MAX, &ready));
    // Whatever ended it: a network in the foreground does not outlive its command.
    let stopped = networks::stop_if_running(&global.network);
    shown.and(stopped)
}

/// Opens the file and draws what goes into it, before anything is started.
fn open_plot(path: &Path, picture: &Picture) -> Result<(PlotFile, Vec<u8>), Error> {
    let file = PlotFile::open(path, "the topology")?;
    Ok((file, Format::of(path).draw(picture)?))
}

/// The network just started, in a few lines.
fn started_text(record: &Record, plot: Option<&str>) -> String {
    let mut text = format!(
        "network {} runs: {}, {}, {}, ports {}, seed {}\n",
        record.name,
        kind_text(record),
        count(record.nodes.len() as u64, "node"),
        count(links_made(record), "link"),
        networks::ports_text(record),
        record.seed
    );
    if let Some(plot) = plot {
        text.push_str(&format!("its topology is drawn in {}\n", escape::lines(plot)));
    }
    text
}

/// Links of the topology: each is told of by both of its ends.
fn links_made(record: &Record) -> u64 {
    record.nodes.iter().map(|node| node.peers.len() as u64).sum::<u64>() / 2
}

/// The same for programs.
fn started_json(record: &Record, plot: Option<&str>) -> Value {
    json!({
        "network": record.name,
        "topology": kind_json(record),
        "nodes": record.nodes.len(),
        "links": links_made(record),
        "ports": networks::ports(record),
        "seed": record.seed,
        "plot": plot,
    })
}

/// The topology that the loose words of the command line name, and the file that it is drawn in.
fn wanted(global: &Global, args: &Args) -> Result<(Kind, Option<PathBuf>), Error> {
    let mut words = args.topology.clone();
    let mut plot = args.plot.clone();
    // `--plot circular`: the word was meant as the topology, and the file was left out.
    let file = plot.as_ref().and_then(|file| file.as_deref()?.to_str());
    if let Some(word) = file.filter(|word| is_topology(word))
        && words.first().is_none_or(|first| !is_topology(first))
    {
        words.insert(0, word.into());
        plot = Some(None);
    }
    let by_default = || plot_network::default_file(&global.network, Format::Dot);
    Ok((kind("start", &words)?, plot.map(|file| file.unwrap_or_else(by_default))))
}

fn is_topology(word: &str) -> bool {
    matches!(word, "circular" | "powerlaw" | "random")
}

/// What words for a topology mean; `verb` says what cannot be done where they mean nothing.
pub(crate) fn kind(verb: &str, words: &[String]) -> Result<Kind, Error> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let refuse = |why: String| {
        let what = format!("cannot {verb} a network of topology `{}`", words.join(" "));
        Err(Error::misused(what, why, "use circular, powerlaw, or random with a degree: random 5"))
    };
    match words[..] {
        [] | ["random"] => Ok(Kind::Random { degree: None }),
        ["circular"] => Ok(Kind::Circular),
        ["powerlaw"] => Ok(Kind::Powerlaw),
        ["random", degree] => match degree.parse() {
            Ok(degree) => Ok(Kind::Random { degree: Some(degree) }),
            Err(_) => refuse(format!("{degree} is no degree: a number of links per node")),
        },
        [word @ ("circular" | "powerlaw"), _] => refuse(format!("{word} takes no degree")),
        [word, ..] => refuse(format!("there is no topology called {word}")),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::networks::tests::record;
    use super::*;
    use crate::cli::{Cli, Command};

    fn parse(line: &str) -> Result<(Kind, Option<PathBuf>), Error> {
        let words = ["gossip", "start-network"].into_iter().chain(line.split_whitespace());
        let cli = Cli::try_parse_from(words).unwrap();
        let Command::StartNetwork(args) = &cli.command else { panic!("another command") };
        wanted(&cli.global, args)
    }

    fn kind_of(line: &str) -> Kind {
        parse(line).unwrap().0
    }

    fn plot_of(line: &str) -> Option<String> {
        parse(line).unwrap().1.map(|path| path.to_str().unwrap().into())
    }

    #[test]
    fn the_lines_of_the_contract_parse() {
        assert_eq!(kind_of(""), Kind::Random { degree: None });
        assert_eq!(kind_of("--plot"), Kind::Random { degree: None });
        assert_eq!(kind_of("random 5"), Kind::Random { degree: Some(5) });
        assert_eq!(kind_of("circular --num-nodes=32"), Kind::Circular);
        assert_eq!(kind_of("powerlaw -n 64 -P --ports-origin 9000"), Kind::Powerlaw);
    }

    #[test]
    fn the_file_of_plot_may_be_left_out_anywhere() {
        assert_eq!(plot_of("circular"), None);
        assert_eq!(plot_of("--plot").as_deref(), Some("gossip-default.dot"));
        assert_eq!(plot_of("--plot --network ring").as_deref(), Some("gossip-ring.dot"));
        assert_eq!(plot_of("-P -n 4").as_deref(), Some("gossip-default.dot"));
        assert_eq!(plot_of("circular --plot ring.dot").as_deref(), Some("ring.dot"));
        assert_eq!(plot_of("--plot=ring.dot circular").as_deref(), Some("ring.dot"));
        assert_eq!(plot_of("--plot ./circular").as_deref(), Some("./circular"));
        assert_eq!(plot_of("circular --plot random").as_deref(), Some("random"));
    }

    #[test]
    fn a_topology_after_plot_is_the_topology() {
        for (line, kind) in [
            ("--plot circular", Kind::Circular),
            ("-P powerlaw", Kind::Powerlaw),
            ("--plot random", Kind::Random { degree: None }),
            ("--plot random 5", Kind::Random { degree: Some(5) }),
        ] {
            assert_eq!(kind_of(line), kind, "{line}");
            assert_eq!(plot_of(line).as_deref(), Some("gossip-default.dot"), "{line}");
        }
    }

    #[test]
    fn unknown_topologies_are_refused_with_the_reason() {
        for (line, why) in [
            ("ring", "there is no topology called ring"),
            ("5", "there is no topology called 5"),
            ("circular 5", "circular takes no degree"),
            ("random five", "five is no degree"),
            ("random 99999999999", "99999999999 is no degree"),
        ] {
            let error = parse(line).unwrap_err().to_string();
            assert!(error.contains(why), "{line}: {error}");
        }
    }

    #[test]
    fn a_link_is_counted_once_though_both_ends_tell_of_it() {
        assert_eq!(
            started_text(&record(), None),
            "network default runs: circular, 2 nodes, 1 link, ports 7001 to 7002, seed 42\n"
        );
    }

    #[test]
    fn no_secret_is_ever_shown() {
        let document = started_json(&record(), None).to_string();
        assert!(!document.contains("key") && !document.contains("7,7"), "{document}");
    }
}
