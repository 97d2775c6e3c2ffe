//! `list-networks`.

use crate::cli::render::network_text::{self as render, NetworkView};
use crate::cli::{Error, Global, output};
use crate::network::StateDir;

pub(crate) const EXAMPLES: &str = "\
Examples:
  gossip list-networks
  gossip list-networks --json";

/// Shows every network that this machine's user has, broken ones included.
pub(crate) fn run(global: &Global) -> Result<(), Error> {
    let mut networks: Vec<NetworkView> = Vec::new();
    for (name, record) in StateDir::from_env()?.list()? {
        let record = record.map_err(|error| Error::from(error).on_one_line()).map(|record| {
            let up = record.nodes.iter().filter(|node| record.is_running(node)).count();
            (record, up)
        });
        networks.push(NetworkView { name, record });
    }
    networks.sort_by(|one, other| one.name.cmp(&other.name));
    if global.json {
        return output::json(&render::list_json(&networks));
    }
    if networks.is_empty() {
        output::note("no networks; `gossip start-network` starts one");
        return Ok(());
    }
    output::result(&render::list_text(&networks))
}
