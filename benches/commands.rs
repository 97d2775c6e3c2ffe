//! What the commands cost that people type.

use std::process::{Command, Stdio};

use gossip::topology::Kind;

use crate::figure::{Better, Figure, Report};
use crate::site::{Lab, Outcome};
use crate::options::Options;
use crate::readings;

const HOW: &str = "whole processes, one at a time, from their start to their end, on a ring of 32 \
    nodes at rest; processor time from getrusage; bare: the bare forwarder, which without \
    arguments ends at once: the least that a process costs";

const COMMANDS: [(&str, &str); 4] = [
    ("send-message", "send-message 1 banana"),
    ("get-messages", "get-messages 17"),
    ("list-peers", "list-peers 1"),
    ("--version", "--version"),
];

pub(crate) fn measure(options: &Options, lab: &Lab, report: &mut Report) -> Outcome<()> {
    eprintln!("commands");
    let network = lab.start_ours(Kind::Circular, 32)?;
    lab.rest()?;
    let rounds = options.rounds_or(4, 2);
    for (name, line) in COMMANDS {
        let (mut wall, mut processor, mut floor) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..rounds {
            let (mut walls, mut processors, mut floors) = (Vec::new(), Vec::new(), Vec::new());
            for _ in 0..10 {
                let (wall, processor) = readings::time(network.command(line))?;
                walls.push(wall);
                processors.push(processor);
                floors.push(readings::time(nothing(lab))?.0);
            }
            wall.push(walls);
            processor.push(processors);
            floor.push(floors);
        }
        let lower = Better::Lower;
        let wall = Figure::new(format!("command/{name}"), "ms", lower, HOW, &wall, &floor);
        let name = format!("command processor/{name}");
        let processor = Figure::new(name, "ms", lower, HOW, &processor, &[]);
        report.figures.extend([wall, processor]);
    }
    Ok(())
}

/// A process that does as little as a process can.
fn nothing(lab: &Lab) -> Command {
    let mut command = Command::new(lab.bare_program());
    command.stdin(Stdio::null());
    command
}
