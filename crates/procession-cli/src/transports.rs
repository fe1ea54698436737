//! `procession transports`: what the channels are like, on this machine.

use crate::failure::Failure;
use crate::options::FormatArguments;
use crate::output;
use clap::Args;
use procession_transport::{Options, Transport};
use serde::Serialize;

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) redis: RedisArguments,
    #[command(flatten)]
    pub(crate) format: FormatArguments,
}

#[derive(Args, Debug)]
pub(crate) struct RedisArguments {
    /// Redis server to use; by default a private server is started.
    #[arg(long, env = "REDIS_URL", hide_env_values = true, value_name = "URL")]
    redis_url: Option<String>,
}

impl RedisArguments {
    pub(crate) fn options(&self) -> Options {
        let mut options = Options::default();
        options.redis_url = self.redis_url.clone().filter(|url| !url.is_empty());
        options
    }
}

/// The JSON output.
#[derive(Debug, Serialize)]
struct Report {
    schema: &'static str,
    transports: Vec<Entry>,
}

#[derive(Debug, Serialize)]
struct Entry {
    name: &'static str,
    boundaries: String,
    named: bool,
    lifetime: String,
    largest_message_bytes: Option<u64>,
    reach: String,
    available: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    limits: Vec<LimitEntry>,
}

#[derive(Debug, Serialize)]
struct LimitEntry {
    name: &'static str,
    value: Option<u64>,
}

impl LimitEntry {
    /// The limit in as few characters as tell it: where it is part of a
    /// longer setting, the JSON says which.
    fn short(&self) -> String {
        let name = self.name.split(" (").next().unwrap_or(self.name);
        match self.value {
            // The kernel's way of saying that there is none.
            None => format!("{name} unlimited"),
            Some(value) if value >= 1 << 62 => format!("{name} unlimited"),
            Some(value) => format!("{name} {value}"),
        }
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let options = arguments.redis.options();
    let entry = |transport: Transport| {
        let facts = transport.facts();
        let problem = transport.probe(&options).err();
        let limit = |limit: &procession::__private::limits::Limit| LimitEntry {
            name: limit.name(),
            value: limit.value(),
        };
        Entry {
            name: transport.name(),
            boundaries: facts.boundaries.to_string(),
            named: facts.named,
            lifetime: facts.lifetime.to_string(),
            largest_message_bytes: facts.largest_message,
            reach: facts.reach.to_string(),
            available: problem.is_none(),
            reason: problem.map(|error| error.to_string()),
            limits: facts.limits.iter().map(limit).collect(),
        }
    };
    let transports: Vec<Entry> = Transport::ALL.into_iter().map(entry).collect();
    if arguments.format.is_json() {
        return output::print_json(&Report {
            schema: "procession.transports/2",
            transports,
        });
    }
    let header = [
        "name",
        "carries",
        "named",
        "lives as long as",
        "largest piece",
        "reaches",
        "available",
        "limits",
    ];
    let mut table = output::table(&header, &[4]);
    for entry in &transports {
        let largest = entry
            .largest_message_bytes
            .map_or("-".to_owned(), |bytes| bytes.to_string());
        let limits: Vec<String> = entry.limits.iter().map(LimitEntry::short).collect();
        table.add_row([
            entry.name,
            &entry.boundaries,
            yes_or_no(entry.named),
            &entry.lifetime,
            &largest,
            &entry.reach,
            entry.reason.as_deref().unwrap_or("yes"),
            &limits.join(", "),
        ]);
    }
    output::print(table.trim_fmt())
}

fn yes_or_no(fact: bool) -> &'static str {
    if fact { "yes" } else { "no" }
}
