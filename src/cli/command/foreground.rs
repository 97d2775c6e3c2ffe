//! `start-network --foreground`: what happens at every node, as it happens.

use crossbeam_channel::select;

use crate::cli::follow::{self, Followers, Told};
use crate::cli::interrupt::Interrupt;
use crate::cli::render::time_text::TimeZone;
use crate::cli::{Error, Global, output};
use crate::network::Record;

/// Shows what happens until a signal comes. Ends, too, when all nodes are gone, and when nobody
/// reads any more. Whichever it is, the network has to be stopped then.
pub(crate) fn run(global: &Global, record: Record, interrupt: &Interrupt) -> Result<(), Error> {
    let mut followers = Followers::new();
    followers.follow(record)?;
    // From when that is said, nothing is missed.
    let mut unheard = followers.len();
    let zone = TimeZone::system();
    loop {
        select! {
            recv(interrupt.signals) -> _ => return Ok(()),
            recv(followers.told) -> told => {
                let Ok(first) = told else { return Ok(()) };
                let mut gone = Vec::new();
                let before = unheard;
                let text = followers.batch(first, |node, told| match told {
                    // The network has just been started, all of it.
                    Told::Followed => {
                        unheard = unheard.saturating_sub(1);
                        String::new()
                    }
                    told => {
                        if let Told::Gone(process) = told {
                            gone.push((node, process));
                        }
                        follow::line(global.json, &zone, node, &told)
                    }
                });
                output::result_until(&text, interrupt)?;
                if interrupt.seen() {
                    return Ok(());
                }
                for (node, process) in gone {
                    followers.forget(node, process);
                    unheard = unheard.min(followers.len());
                }
                if before > 0 && unheard == 0 {
                    output::note("Ctrl-C stops the network");
                }
            }
        }
        if followers.len() == 0 {
            output::note("no node is left");
            return Ok(());
        }
    }
}
