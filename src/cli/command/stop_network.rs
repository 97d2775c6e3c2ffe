//! `stop-network`.

use serde_json::json;

use crate::cli::progress::Progress;
use crate::cli::render::{count, listing};
use crate::cli::{Error, Global, output};
use crate::network::{self, StateDir, StopReport};

pub(crate) const EXAMPLES: &str = "\
Examples:
  gossip stop-network
  gossip stop-network --network ring";

/// Stops the network, and says what could not be stopped.
pub(crate) fn run(global: &Global) -> Result<(), Error> {
    let report = stop(&global.network)?;
    output::result(&if global.json { as_json(global, &report) } else { as_text(global, &report) })?;
    left_error(&global.network, &report)
}

/// Stops a network while a progress bar grows.
fn stop(network: &str) -> Result<StopReport, network::Error> {
    let mut progress = Progress::new("stopping");
    StateDir::from_env()?.stop(network, &mut |now| progress.show(now))
}

/// Stops the network, unless another command has done so meanwhile, or does so now.
pub(crate) fn if_running(network: &str) -> Result<(), Error> {
    let report = match stop(network) {
        Err(network::Error::NotRunning(_)) => return Ok(()),
        report => report?,
    };
    output::note(&format!("network {network} stopped"));
    left_error(network, &report)
}

/// What is still there is a failure: its ports stay taken.
fn left_error(network: &str, report: &StopReport) -> Result<(), Error> {
    if report.left.is_empty() {
        return Ok(());
    }
    let nodes = listing(&report.left);
    Err(Error::failed(
        format!("could not stop all of network {network}: left are nodes {nodes}"),
        "they did not end when asked, and the system did not let us end them",
        "see who owns those processes (`gossip show-network`), and stop them by hand",
    ))
}

fn as_text(global: &Global, report: &StopReport) -> String {
    let ended = report.asked.len() + report.signalled.len();
    let mut text = format!("network {} stopped: {}", global.network, count(ended as u64, "node"));
    if !report.signalled.is_empty() {
        text.push_str(&format!(", of which {} had to be killed", listing(&report.signalled)));
    }
    if !report.gone.is_empty() {
        text.push_str(&format!("; {} gone before", count(report.gone.len() as u64, "node")));
    }
    text.push('\n');
    text
}

fn as_json(global: &Global, report: &StopReport) -> String {
    crate::cli::render::escape::json(&json!({
        "network": global.network,
        "asked": report.asked,
        "signalled": report.signalled,
        "gone": report.gone,
        "left": report.left,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::NodeId;

    #[test]
    fn what_could_not_be_stopped_is_a_failure_that_names_it() {
        let mut report = StopReport { asked: vec![NodeId(1)], ..StopReport::default() };
        assert_eq!(left_error("ring", &report), Ok(()));
        report.left = vec![NodeId(2), NodeId(3)];
        let error = left_error("ring", &report).unwrap_err().to_string();
        assert!(error.contains("ring: left are nodes 2 and 3"), "{error}");
    }
}
