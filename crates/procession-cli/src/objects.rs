//! `procession ls` and `procession gc`: shared objects that have a name.

use crate::failure::Failure;
use crate::manager::address::{KeyFile, ManagerAddress};
use crate::options::FormatArguments;
use crate::output;
use crate::say::say;
use clap::Args;
use procession::shm::{self, NamedObject};
use serde::Serialize;
use std::time::SystemTime;

#[derive(Args, Debug)]
pub(crate) struct ListArguments {
    /// Address of a manager (unix:PATH or tcp:HOST:PORT), whose objects are listed instead.
    #[arg(value_parser = ManagerAddress::parse)]
    pub(crate) manager: Option<ManagerAddress>,
    #[command(flatten)]
    pub(crate) key: KeyFile,
    #[command(flatten)]
    pub(crate) format: FormatArguments,
}

#[derive(Args, Debug)]
pub(crate) struct GcArguments {
    /// Remove the objects instead of listing them.
    #[arg(long)]
    pub(crate) remove: bool,
    #[command(flatten)]
    pub(crate) format: FormatArguments,
}

/// The JSON output.
#[derive(Debug, Serialize)]
struct Report {
    schema: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    dry_run: Option<bool>,
    objects: Vec<Entry>,
}

#[derive(Debug, Serialize)]
struct Entry {
    name: String,
    kind: &'static str,
    size_bytes: u64,
    alive: usize,
    dead: usize,
    pids: Vec<u32>,
    age_seconds: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

impl Entry {
    fn of(object: &NamedObject) -> Entry {
        let alive = object.users.iter().filter(|user| user.alive);
        #[expect(clippy::disallowed_methods, reason = "an age that is shown to people")]
        let age = SystemTime::now().duration_since(object.made_at);
        Entry {
            name: object.name.clone(),
            kind: object.kind,
            size_bytes: object.size,
            alive: alive.clone().count(),
            dead: object.users.iter().filter(|user| !user.alive).count(),
            pids: alive.map(|user| user.pid).collect(),
            age_seconds: age.map_or(0, |age| age.as_secs()),
            problem: object.damage.as_ref().map(ToString::to_string),
        }
    }
}

pub(crate) fn list(arguments: &ListArguments) -> Result<(), Failure> {
    if let Some(address) = &arguments.manager {
        let key_file = arguments.key.path.as_deref();
        return crate::manager::list::list(address, key_file, arguments.format.is_json());
    }
    let objects: Vec<Entry> = shm::list()?.iter().map(Entry::of).collect();
    if arguments.format.is_json() {
        return output::print_json(&Report {
            schema: "procession.objects/1",
            dry_run: None,
            objects,
        });
    }
    print_table(&objects)
}

pub(crate) fn collect_garbage(arguments: &GcArguments) -> Result<(), Failure> {
    let dry_run = !arguments.remove;
    let found = shm::collect_garbage(dry_run)?;
    let objects: Vec<Entry> = found.iter().map(Entry::of).collect();
    if arguments.format.is_json() {
        return output::print_json(&Report {
            schema: "procession.gc/1",
            dry_run: Some(dry_run),
            objects,
        });
    }
    let count = objects.len();
    let noun = if count == 1 { "object" } else { "objects" };
    if count > 0 {
        print_table(&objects)?;
    }
    match (count, dry_run) {
        (0, _) => say!("no unused objects"),
        (_, true) => say!("{count} unused {noun}; `procession gc --remove` removes them"),
        (_, false) => say!("{count} {noun} removed"),
    }
    Ok(())
}

fn print_table(objects: &[Entry]) -> Result<(), Failure> {
    let header = ["name", "kind", "size", "alive", "dead", "age", "users"];
    let mut table = output::table(&header, &[2, 3, 4, 5]);
    for entry in objects {
        let pids: Vec<String> = entry.pids.iter().map(ToString::to_string).collect();
        table.add_row([
            entry.name.as_str(),
            entry.kind,
            &entry.size_bytes.to_string(),
            &entry.alive.to_string(),
            &entry.dead.to_string(),
            &age(entry.age_seconds),
            entry.problem.as_deref().unwrap_or(&pids.join(" ")),
        ]);
    }
    output::print(table.trim_fmt())
}

/// Seconds as people say them.
fn age(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds}s"),
        120..=7199 => format!("{}m", seconds / 60),
        7200..=172_799 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}
