//! What there is, before and after: of a process, and of the machine.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What a process has: descriptors by number, threads, children.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfProcess {
    descriptors: BTreeMap<String, String>,
    threads: Vec<String>,
    children: Vec<String>,
}

/// The thread that procession starts to reap orphans, and keeps.
const REAPER: &str = "procession-reap";

/// The thread by whose end the kernel tells other processes of ours, and the
/// table that it is in: both stay.
const WATCHER: &str = "procession-keep";
/// The thread that calls wakers of futures, and stays.
const WAKERS: &str = "procession-wake";
const REGISTRY: &str = "/memfd:procession-registry";

/// The child that procession starts to make processes, and keeps.
const SERVER: &str = "(procession-srv)";

/// What a process holds of such a child: two sockets, and a pidfd for each of
/// two who watch it.
const OF_SERVER: [&str; 4] = [
    "socket:[",
    "socket:[",
    "anon_inode:[pidfd]",
    "anon_inode:[pidfd]",
];

impl OfProcess {
    /// Looks at the calling process.
    #[must_use]
    pub fn take() -> OfProcess {
        let mut threads = Vec::new();
        for task in entries(Path::new("/proc/self/task")) {
            threads.push(read(&task.join("comm")));
        }
        let has_reaper = threads.iter().any(|name| name == REAPER);
        threads.retain(|name| ![REAPER, WATCHER, WAKERS].contains(&name.as_str()));
        let mut descriptors = BTreeMap::new();
        for path in entries(Path::new("/proc/self/fd")) {
            // The descriptor that lists the directory is gone by now.
            let Ok(target) = fs::read_link(&path) else {
                continue;
            };
            let target = target.display().to_string();
            let kept = has_reaper && target.contains("[eventpoll]") || target.starts_with(REGISTRY);
            if !kept {
                descriptors.insert(path.display().to_string(), target);
            }
        }
        let mut children = children_of(std::process::id());
        let is_server = |child: &String| child.contains(SERVER) && !child.ends_with('Z');
        if let Some(server) = children.iter().position(is_server) {
            children.remove(server);
            for kind in OF_SERVER {
                // The last opened ones are the likeliest.
                let is_kind = |entry: &(&String, &String)| entry.1.starts_with(kind);
                let found = descriptors.iter().rfind(is_kind);
                if let Some(number) = found.map(|(number, _)| number.clone()) {
                    descriptors.remove(&number);
                }
            }
        }
        OfProcess {
            descriptors,
            threads,
            children,
        }
    }

    /// What there is now and was not before, in words.
    #[must_use]
    pub fn leaks_since(&self, before: &OfProcess) -> Vec<String> {
        let mut leaks = Vec::new();
        for (number, target) in &self.descriptors {
            if before.descriptors.get(number) != Some(target) {
                leaks.push(format!("descriptor {number} -> {target}"));
            }
        }
        for number in before
            .descriptors
            .keys()
            .filter(|it| !self.descriptors.contains_key(*it))
        {
            leaks.push(format!(
                "closed a descriptor that was not its own: {number}"
            ));
        }
        if self.threads.len() > before.threads.len() {
            leaks.push(format!(
                "threads {:?}, before {:?}",
                self.threads, before.threads
            ));
        }
        leaks.extend(self.children.iter().map(|child| format!("child {child}")));
        leaks
    }
}

/// What the machine has, as far as tests can add to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfMachine {
    names: BTreeSet<String>,
}

impl OfMachine {
    /// Looks at `/dev/shm`, System V objects, and POSIX queues if `queues` is
    /// a mounted mqueue file system.
    #[must_use]
    pub fn take(queues: Option<&Path>) -> OfMachine {
        let mut names = BTreeSet::new();
        for path in entries(Path::new("/dev/shm"))
            .into_iter()
            .chain(queues.map(entries).into_iter().flatten())
        {
            names.insert(path.display().to_string());
        }
        for kind in ["msg", "sem", "shm"] {
            let table = read(&PathBuf::from(format!("/proc/sysvipc/{kind}")));
            for line in table.lines().skip(1) {
                let mut fields = line.split_whitespace();
                let (key, id) = (fields.next().unwrap_or(""), fields.next().unwrap_or(""));
                names.insert(format!("System V {kind} id {id} (key {key})"));
            }
        }
        OfMachine { names }
    }

    /// What there is now and was not before.
    #[must_use]
    pub fn leaks_since(&self, before: &OfMachine) -> Vec<String> {
        self.names.difference(&before.names).cloned().collect()
    }
}

/// Files and directories below a test's directory for temporary files, but
/// for the one for owned names, which stays, empty.
#[must_use]
pub fn temporary_files(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for path in entries(directory) {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let is_base = name.starts_with("procession-") || name == "procession";
        if is_base && path.is_dir() {
            found.extend(entries(&path).iter().map(|path| path.display().to_string()));
        } else {
            found.push(path.display().to_string());
        }
    }
    found
}

/// The processes whose parent is `pid`, as "pid (name) state".
#[must_use]
pub fn children_of(pid: u32) -> Vec<String> {
    processes()
        .filter(|process| process.parent == pid)
        .map(|process| process.text)
        .collect()
}

pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) parent: u32,
    pub(crate) text: String,
}

pub(crate) fn processes() -> impl Iterator<Item = Process> {
    entries(Path::new("/proc")).into_iter().filter_map(|path| {
        let pid = path.file_name()?.to_str()?.parse().ok()?;
        let stat = fs::read_to_string(path.join("stat")).ok()?;
        let (head, tail) = stat.rsplit_once(')')?;
        let mut fields = tail.split_whitespace();
        let state = fields.next()?;
        let parent = fields.next()?.parse().ok()?;
        Some(Process {
            pid,
            parent,
            text: format!("{head}) {state}"),
        })
    })
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path)
        .unwrap_or_default()
        .trim()
        .to_owned()
}
