//! What the control groups of this process may still have, of both versions.

use super::left::{Room, spared};
use crate::ErrorKind;
use procession_sys::Errno;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// A hierarchy of control groups, as it is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Hierarchy {
    files: &'static Files,
    /// What of it is mounted, and where.
    root: PathBuf,
    mounted: PathBuf,
}

/// What the files are called.
#[derive(Debug, PartialEq, Eq)]
struct Files {
    is_second: bool,
    limit: &'static str,
    usage: &'static str,
    swap: Option<(&'static str, &'static str)>,
    /// Memory of files and of what the kernel knows of them, which it takes back when
    /// that is needed.
    files: &'static [&'static str],
}

static FIRST: Files = Files {
    is_second: false,
    limit: "memory.limit_in_bytes",
    usage: "memory.usage_in_bytes",
    swap: None,
    files: &["total_inactive_file", "total_active_file"],
};

static SECOND: Files = Files {
    is_second: true,
    limit: "memory.max",
    usage: "memory.current",
    swap: Some(("memory.swap.max", "memory.swap.current")),
    files: &["inactive_file", "active_file", "slab_reclaimable"],
};

/// The hierarchies in a table of mounts, `/proc/self/mountinfo`.
fn hierarchies(table: &str) -> Vec<Hierarchy> {
    let hierarchy = |line: &str| {
        let (mount, system) = line.split_once(" - ")?;
        let mut mount = mount.split(' ').skip(3);
        let (root, mounted) = (mount.next()?, mount.next()?);
        let mut system = system.split(' ');
        let kind = system.next()?;
        let options = system.nth(1).unwrap_or("");
        let files = match kind {
            "cgroup2" => &SECOND,
            "cgroup" if options.split(',').any(|option| option == "memory") => &FIRST,
            _ => return None,
        };
        Some(Hierarchy {
            files,
            root: root.into(),
            mounted: mounted.into(),
        })
    };
    table.lines().filter_map(hierarchy).collect()
}

impl Hierarchy {
    /// The directories of the group of this process and of all above it, by the
    /// table `/proc/self/cgroup`.
    fn directories(&self, table: &str) -> Vec<PathBuf> {
        let path = table.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':');
            let (number, kinds) = (fields.next()?, fields.next()?);
            let is_ours = match self.files.is_second {
                true => number == "0" && kinds.is_empty(),
                false => kinds.split(',').any(|kind| kind == "memory"),
            };
            fields.next().filter(|_| is_ours)
        });
        // In a container, the path can be one that is not mounted here; then the
        // group that is mounted is its own.
        let path = path.map_or(Path::new("/"), Path::new);
        let below = path.strip_prefix(&self.root).unwrap_or(Path::new(""));
        let own: PathBuf = self.mounted.join(below).components().collect();
        own.ancestors()
            .take_while(|directory| directory.starts_with(&self.mounted))
            .map(Path::to_owned)
            .collect()
    }

    /// What a group may still have, where so much can be swapped out; `None` if it has
    /// no limit.
    fn room(&self, directory: &Path, swap: u64) -> Option<Room> {
        let number = |name: &str| -> Option<u64> {
            let text = std::fs::read_to_string(directory.join(name)).ok()?;
            text.trim().parse().ok()
        };
        // Where there is no limit, the first version has a number of this kind.
        let limit = number(self.files.limit).filter(|&limit| limit < 1 << 60)?;
        let usage = number(self.files.usage)?;
        let statistics = std::fs::read_to_string(directory.join("memory.stat"));
        let statistics = statistics.unwrap_or_default();
        let of_files = |name: &&str| -> Option<u64> {
            let line = |line: &str| line.strip_prefix(*name)?.strip_prefix(' ')?.parse().ok();
            statistics.lines().find_map(line)
        };
        let of_files: u64 = self.files.files.iter().filter_map(of_files).sum();
        let swapped = self
            .files
            .swap
            .and_then(|(limit, usage)| Some(number(limit)?.saturating_sub(number(usage)?)));
        let left = limit.saturating_sub(usage.saturating_sub(of_files));
        Some(Room {
            bytes: spared(left, limit).saturating_add(swapped.map_or(swap, |left| left.min(swap))),
            of: format!(
                "in the control group {} ({} is {limit})",
                directory.display(),
                self.files.limit
            ),
            errno: Errno::NOMEM,
            kind: ErrorKind::LimitReached,
            hint: "ask for less, or raise the limit of the control group",
        })
    }
}

/// What each of the groups may still have that has a limit, where so much can be
/// swapped out.
pub(super) fn rooms(swap: u64) -> Vec<Room> {
    static MOUNTED: OnceLock<Vec<Hierarchy>> = OnceLock::new();
    let mounted = MOUNTED.get_or_init(|| {
        let table = std::fs::read_to_string("/proc/self/mountinfo");
        hierarchies(&table.unwrap_or_default())
    });
    let Ok(table) = std::fs::read_to_string("/proc/self/cgroup") else {
        return Vec::new();
    };
    let rooms = mounted.iter().flat_map(|hierarchy| {
        let directories = hierarchy.directories(&table);
        let room = |directory: PathBuf| hierarchy.room(&directory, swap);
        directories.into_iter().filter_map(room)
    });
    rooms.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
36 25 0:31 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
37 25 0:32 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
38 25 0:33 /box/7 /sys/fs/cgroup/unified rw,relatime shared:4 - cgroup2 cgroup2 rw
";

    #[test]
    fn groups_are_found_with_all_above_them() {
        let found = hierarchies(MOUNTS);
        assert_eq!(found.len(), 2);
        let directories = |index: usize, table: &str| {
            let paths = found[index].directories(table);
            let names = paths.iter().map(|path| path.display().to_string());
            names.collect::<Vec<_>>()
        };
        assert_eq!(
            directories(0, "9:cpu:/x\n4:memory:/a/b\n0::/box/7/c"),
            [
                "/sys/fs/cgroup/memory/a/b",
                "/sys/fs/cgroup/memory/a",
                "/sys/fs/cgroup/memory"
            ]
        );
        assert_eq!(
            directories(1, "4:memory:/a/b\n0::/box/7/c"),
            ["/sys/fs/cgroup/unified/c", "/sys/fs/cgroup/unified"]
        );
        // Of another container.
        assert_eq!(directories(1, "0::/elsewhere"), ["/sys/fs/cgroup/unified"]);
    }

    #[test]
    fn what_is_left_is_the_limit_without_what_cannot_be_taken_back() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name, text| std::fs::write(directory.path().join(name), text).unwrap();
        let second = Hierarchy {
            files: &SECOND,
            root: "/".into(),
            mounted: directory.path().into(),
        };
        write("memory.max", "max\n");
        write("memory.current", "900000\n");
        assert_eq!(second.room(directory.path(), 0), None);
        write("memory.max", "3200000\n");
        write(
            "memory.stat",
            "anon 5\ninactive_file 100000\nactive_file 40000\nslab_reclaimable 10000\n",
        );
        let room = second.room(directory.path(), 500).unwrap();
        assert_eq!(room.bytes, 3_200_000 - 750_000 - 100_000 + 500);
        write("memory.swap.max", "7000\n");
        write("memory.swap.current", "1000\n");
        for (swap, counts) in [(0, 0), (500, 500), (1 << 40, 6000)] {
            let room = second.room(directory.path(), swap).unwrap();
            assert_eq!(room.bytes, 3_200_000 - 750_000 - 100_000 + counts);
        }
        let first = Hierarchy {
            files: &FIRST,
            ..second
        };
        write("memory.limit_in_bytes", "9223372036854771712\n");
        write("memory.usage_in_bytes", "900000\n");
        assert_eq!(first.room(directory.path(), 0), None);
        write("memory.limit_in_bytes", "320000\n");
        assert_eq!(first.room(directory.path(), 0).unwrap().bytes, 0);
    }
}
