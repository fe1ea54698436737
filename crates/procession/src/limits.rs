//! Limits of the kernel and of the process that objects reach: their names, their values and
//! how to raise them. The hints of errors say so; the crates on top use `__private::limits`.

use std::fmt;

/// A limit: its name, its current value, and the command that raises it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    name: &'static str,
    value: Option<u64>,
    raise: &'static str,
}

impl Limit {
    /// Returns the name in the manual page.
    #[doc(hidden)]
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Returns the current value, `None` if there is no limit or it cannot be read.
    #[doc(hidden)]
    #[must_use]
    pub fn value(&self) -> Option<u64> {
        self.value
    }

    /// Returns one line with the limit, its value, and how to raise it.
    #[doc(hidden)]
    #[must_use]
    pub fn hint(&self) -> String {
        format!("{self}; raise it with `{}`", self.raise)
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value {
            Some(value) => write!(f, "{} is {value}", self.name),
            None => write!(f, "{} is unlimited", self.name),
        }
    }
}

/// Reads the number in field `field` of a file under `/proc/sys`.
fn sysctl(path: &str, field: usize) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/sys/{path}")).ok()?;
    text.split_whitespace().nth(field)?.parse().ok()
}

macro_rules! sysctls {
    ($($function:ident, $name:literal, $path:literal, $field:literal, $raise:literal, $doc:literal;)*) => {$(
        #[doc = $doc]
        ///
        /// # Cost
        /// Reads one file under `/proc/sys`.
        #[doc(hidden)]
        #[must_use]
        pub fn $function() -> Limit {
            Limit { name: $name, value: sysctl($path, $field), raise: $raise }
        }
    )*};
}

sysctls! {
    mq_messages, "fs.mqueue.msg_max", "fs/mqueue/msg_max", 0, "sysctl -w fs.mqueue.msg_max=N",
        "Returns the largest number of messages in one POSIX message queue, for an unprivileged creator; mq_overview(7).";
    mq_message_bytes, "fs.mqueue.msgsize_max", "fs/mqueue/msgsize_max", 0, "sysctl -w fs.mqueue.msgsize_max=N",
        "Returns the length of the longest message of a POSIX message queue, for an unprivileged creator; mq_overview(7).";
    mq_queues, "fs.mqueue.queues_max", "fs/mqueue/queues_max", 0, "sysctl -w fs.mqueue.queues_max=N",
        "Returns the largest number of POSIX message queues on the system, for an unprivileged creator; mq_overview(7).";
    sysv_message_bytes, "kernel.msgmax", "kernel/msgmax", 0, "sysctl -w kernel.msgmax=N",
        "Returns the length of the longest System V message; msgop(2).";
    sysv_queue_bytes, "kernel.msgmnb", "kernel/msgmnb", 0, "sysctl -w kernel.msgmnb=N",
        "Returns how many bytes a new System V queue holds; msgget(2).";
    sysv_queues, "kernel.msgmni", "kernel/msgmni", 0, "sysctl -w kernel.msgmni=N",
        "Returns the largest number of System V queues in this IPC namespace; msgget(2).";
    sysv_semaphores_per_set, "SEMMSL (field 1 of kernel.sem)", "kernel/sem", 0, "sysctl -w kernel.sem='N ...'",
        "Returns the largest number of semaphores in one System V set; semget(2).";
    sysv_semaphores, "SEMMNS (field 2 of kernel.sem)", "kernel/sem", 1, "sysctl -w kernel.sem='... N ...'",
        "Returns the largest number of System V semaphores in this IPC namespace; semget(2).";
    sysv_semaphore_operations, "SEMOPM (field 3 of kernel.sem)", "kernel/sem", 2, "sysctl -w kernel.sem='... N ...'",
        "Returns the largest number of operations in one semop(2).";
    sysv_semaphore_sets, "SEMMNI (field 4 of kernel.sem)", "kernel/sem", 3, "sysctl -w kernel.sem='... N'",
        "Returns the largest number of System V semaphore sets in this IPC namespace; semget(2).";
    sysv_segment_bytes, "kernel.shmmax", "kernel/shmmax", 0, "sysctl -w kernel.shmmax=N",
        "Returns the size of the largest System V shared memory segment in bytes; shmget(2).";
    sysv_memory_pages, "kernel.shmall", "kernel/shmall", 0, "sysctl -w kernel.shmall=N",
        "Returns the largest number of pages in all System V segments of this IPC namespace; shmget(2).";
    sysv_segments, "kernel.shmmni", "kernel/shmmni", 0, "sysctl -w kernel.shmmni=N",
        "Returns the largest number of System V segments in this IPC namespace; shmget(2).";
    pipe_bytes, "fs.pipe-max-size", "fs/pipe-max-size", 0, "sysctl -w fs.pipe-max-size=N",
        "Returns the size of the largest pipe capacity that an unprivileged process may set; pipe(7).";
    socket_send_bytes, "net.core.wmem_max", "net/core/wmem_max", 0, "sysctl -w net.core.wmem_max=N",
        "Returns the size of the largest send buffer of a socket; socket(7).";
}

/// Returns how many descriptors this process may have open; getrlimit(2).
#[doc(hidden)]
#[must_use]
pub fn open_files() -> Limit {
    resource(
        "RLIMIT_NOFILE",
        rustix::process::Resource::Nofile,
        "ulimit -n N",
    )
}

/// Returns how many processes and threads this user may have; getrlimit(2).
#[doc(hidden)]
#[must_use]
pub fn processes() -> Limit {
    resource(
        "RLIMIT_NPROC",
        rustix::process::Resource::Nproc,
        "ulimit -u N",
    )
}

/// Returns how many bytes this user may have in POSIX message queues; getrlimit(2).
#[doc(hidden)]
#[must_use]
pub fn message_queue_bytes() -> Limit {
    // `rustix` names the resource after the kernel's RLIMIT_MSGQUEUE.
    resource(
        "RLIMIT_MSGQUEUE",
        rustix::process::Resource::Msgqueue,
        "ulimit -q N",
    )
}

fn resource(name: &'static str, resource: rustix::process::Resource, raise: &'static str) -> Limit {
    Limit {
        name,
        value: soft(resource),
        raise,
    }
}

/// Returns the soft limit of the calling process, `None` if there is none, or if a filter of
/// system calls forbids the question (where rustix would panic).
pub(crate) fn soft(resource: rustix::process::Resource) -> Option<u64> {
    let limit = procession_sys::credentials::limit(resource as u32).ok()?.0;
    (limit != u64::MAX).then_some(limit)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_hint_names_limit_value_and_remedy() {
        let hint = super::sysv_queue_bytes().hint();
        assert!(hint.starts_with("kernel.msgmnb is "), "{hint}");
        assert!(
            hint.ends_with("raise it with `sysctl -w kernel.msgmnb=N`"),
            "{hint}"
        );
    }

    #[test]
    fn fields_of_one_file_are_told_apart() {
        let sets = super::sysv_semaphore_sets().value().unwrap();
        let operations = super::sysv_semaphore_operations().value().unwrap();
        let text = std::fs::read_to_string("/proc/sys/kernel/sem").unwrap();
        let fields: Vec<u64> = text
            .split_whitespace()
            .map(|field| field.parse().unwrap())
            .collect();
        assert_eq!((operations, sets), (fields[2], fields[3]));
    }
}
