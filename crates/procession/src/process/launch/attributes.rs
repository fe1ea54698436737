//! What a process inherits from the one that starts it, of which its server knows
//! only how it was when the server was started.
//!
//! A task or a program never has more than the thread that starts it has at that
//! moment. So each start looks at the calling thread ([`Attributes`]), and is asked of
//! a server that was started by a thread with the same attributes; if there is none, one
//! is started, which inherits everything, known to us or not. What each process may
//! set for itself as it likes ([`Adjustable`]) travels with the request instead.

use super::credentials::Credentials;
use super::thread_status::{self, ThreadStatus};
use crate::error::Context;
use crate::{Result, limits};
use procession_sys::{credentials as sys, process};
use rustix::fs::CWD;
use rustix::thread::CpuSet;
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// Numbers of capabilities, in linux/capability.h.
const CAP_SYS_PTRACE: u32 = 19;
const CAP_SYS_ADMIN: u32 = 21;
const CAP_SYS_NICE: u32 = 23;
const CAP_SYS_RESOURCE: u32 = 24;

/// This process may have gone into other namespaces and come back to the same credentials.
static BEGAN_AS_ADMINISTRATOR: AtomicBool = AtomicBool::new(true);

/// The namespace of users that the process began in; 0 if nobody knows.
static BEGAN_IN: AtomicU64 = AtomicU64::new(0);

/// How many filters of system calls the process began with: all threads have those.
static BEGAN_WITH_FILTERS: AtomicU32 = AtomicU32::new(0);

/// Remembers with which capabilities the process began, and where: from then on each of
/// its threads can have less, but not more, unless it enters a namespace of users, which
/// shows.
pub(super) fn remember_beginning() {
    let has = is_administrator(sys::permitted_capabilities());
    BEGAN_AS_ADMINISTRATOR.store(has, Ordering::Relaxed);
    if !has {
        BEGAN_IN.store(thread_status::own_user_namespace(), Ordering::Relaxed);
    }
    remember_filters();
}

/// Remembers how many filters the calling thread has, if it is the only one of its
/// process: then all threads that come will have those.
pub(super) fn remember_filters() {
    let is_alone = || process::is_single_threaded() == Ok(true);
    let filters = match sys::has_filter() && is_alone() {
        false => 0,
        true => ThreadStatus::own()
            .and_then(|status| Credentials::of(&status))
            .map_or(0, |credentials| credentials.filters()),
    };
    BEGAN_WITH_FILTERS.store(filters, Ordering::Relaxed);
}

/// What tells the calling thread from all others that this process has and had.
pub(super) fn thread_key() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    thread_local! {
        static NUMBER: u64 = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    NUMBER.with(|number| *number)
}

fn is_administrator(permitted: u64) -> bool {
    permitted >> CAP_SYS_ADMIN & 1 == 1
}

/// Returns `true` if a thread of this process with these credentials may be in other
/// namespaces than the process began in.
fn may_have_moved(credentials: &Credentials) -> bool {
    BEGAN_AS_ADMINISTRATOR.load(Ordering::Relaxed)
        || is_administrator(credentials.capabilities.permitted)
        // There it was administrator once.
        || credentials.user_namespace == 0
        || credentials.user_namespace != BEGAN_IN.load(Ordering::Relaxed)
}

/// What a thread passes on to a process that it executes, at one instant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Attributes {
    pub(crate) credentials: Credentials,
    /// The thread, if it has filters of system calls that others need not have: the
    /// kernel tells how many, and not which.
    filtered: Option<u64>,
    secure_bits: i32,
    protections: [i32; 4],
    personality: i32,
    /// By which the kernel chooses whom it kills when memory is short.
    oom_score_adj: i32,
    /// Where they may be others than those of the beginning.
    namespaces: Option<[u64; 7]>,
    /// Device, file and mount of the root directory.
    root: [u64; 3],
    cgroup: String,
    /// Of security modules that give one.
    security_label: String,
    keyring: i64,
    scheduler: (i32, i32),
    pub(crate) adjustable: Adjustable,
}

/// Attributes that a process may set for itself, within its credentials.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Adjustable {
    umask: u32,
    /// Soft and hard, by the number of the resource.
    limits: Vec<(u64, u64)>,
    cpus: Vec<usize>,
    niceness: i32,
    io_priority: i64,
    /// Others of its user may not look into it.
    is_hidden: bool,
}

/// Attributes of a process that are not those of its server.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Adjustments {
    umask: Option<u32>,
    limits: Vec<(u32, (u64, u64))>,
    cpus: Option<Vec<usize>>,
    niceness: Option<i32>,
    io_priority: Option<i64>,
    is_hidden: bool,
}

impl Attributes {
    /// Looks at the calling thread.
    ///
    /// # Cost
    /// 107 µs, 87 for one that cannot have entered namespaces: the median of 300 in an
    /// unoptimised build.
    pub(crate) fn read() -> Result<Attributes> {
        /// The flag SCHED_RESET_ON_FORK.
        const RESET_ON_FORK: i32 = 0x4000_0000;
        let status = ThreadStatus::own()?;
        let credentials = Credentials::of(&status)?;
        let is_filtered = credentials.filters() > BEGAN_WITH_FILTERS.load(Ordering::Relaxed);
        let oom_score_adj = status.read_if_any("oom_score_adj")?;
        let namespaces = may_have_moved(&credentials).then(|| status.namespaces());
        let namespaces = namespaces.transpose()?;
        let scheduler = match sys::scheduler() {
            (policy, _) if policy & RESET_ON_FORK != 0 => (0, 0),
            other => other,
        };
        Ok(Attributes {
            credentials,
            filtered: is_filtered.then(thread_key),
            secure_bits: sys::secure_bits(),
            protections: sys::protections(),
            personality: sys::personality(),
            oom_score_adj: oom_score_adj.trim_end().parse().unwrap_or_default(),
            namespaces,
            root: thread_status::root_at(CWD, "/").during("looking at", "/")?,
            // Kernels without either have no such file.
            cgroup: status.read_if_any("cgroup")?,
            security_label: status.read_if_any("attr/current")?,
            keyring: sys::session_keyring(),
            scheduler,
            adjustable: Adjustable::of(&status)?,
        })
    }

    /// Returns `true` if a server with those attributes still sees the isolation of the
    /// thread, or never did.
    fn are_visible_to(&self, server: &Attributes) -> bool {
        let effective = server.credentials.capabilities.effective;
        !self.adjustable.is_hidden
            || server.adjustable.is_hidden
            || effective >> CAP_SYS_PTRACE & 1 == 1
    }

    /// Returns `true` if a thread that has the next attributes is not expected to have
    /// these again: programs go to and fro between users, and seldom between the others.
    pub(crate) fn are_abandoned_for(&self, next: &Attributes) -> bool {
        next.credentials.are_for_good_unlike(&self.credentials)
            || self.secure_bits != next.secure_bits
            || self.protections != next.protections
            || self.namespaces != next.namespaces
            || self.root != next.root
            || self.cgroup != next.cgroup
            || self.security_label != next.security_label
            || self.keyring != next.keyring
    }

    /// Has threads that hide themselves not served by that server, which could not see
    /// their isolation.
    pub(crate) fn require_visibility(&mut self) {
        self.adjustable.is_hidden = false;
    }

    /// Returns `true` if a server with those attributes can start processes for a thread
    /// with these.
    pub(crate) fn are_served_by(&self, server: &Attributes) -> bool {
        let has = |capability: u32| self.credentials.capabilities.effective >> capability & 1 == 1;
        let (mine, its) = (&self.adjustable, &server.adjustable);
        let mut hard = mine.limits.iter().zip(&its.limits);
        self.credentials == server.credentials
            && self.are_visible_to(server)
            && self.filtered == server.filtered
            && self.secure_bits == server.secure_bits
            && self.protections == server.protections
            && self.personality == server.personality
            && self.oom_score_adj == server.oom_score_adj
            && self.namespaces == server.namespaces
            && self.root == server.root
            && self.cgroup == server.cgroup
            && self.security_label == server.security_label
            && self.keyring == server.keyring
            && self.scheduler == server.scheduler
            // What others have given us, the server cannot give.
            && (has(CAP_SYS_RESOURCE) || hard.all(|((_, mine), (_, its))| mine <= its))
            && (has(CAP_SYS_NICE) || mine.niceness >= its.niceness)
    }
}

impl Adjustable {
    fn of(status: &ThreadStatus) -> Result<Adjustable> {
        let operation = "looking at the settings of a thread";
        let umask = status.line("Umask").next();
        let limits = (0..sys::LIMITS).map(sys::limit);
        let niceness = rustix::process::getpriority_process(None);
        Ok(Adjustable {
            umask: umask
                .and_then(|digits| u32::from_str_radix(digits, 8).ok())
                .unwrap_or(0o22),
            limits: limits
                .collect::<std::result::Result<_, _>>()
                .during(operation, "limits")?,
            cpus: cpus(status.line("Cpus_allowed").next().unwrap_or_default()),
            niceness: niceness.during(operation, "niceness")?,
            io_priority: sys::io_priority(),
            is_hidden: !sys::is_dumpable(),
        })
    }

    /// Those that are unlike the server's.
    pub(crate) fn adjustments_from(&self, server: &Adjustable) -> Adjustments {
        let limits = (0..).zip(self.limits.iter().zip(&server.limits));
        Adjustments {
            umask: (self.umask != server.umask).then_some(self.umask),
            limits: limits
                .filter(|(_, (mine, its))| mine != its)
                .map(|(resource, (mine, _))| (resource, *mine))
                .collect(),
            cpus: (self.cpus != server.cpus).then(|| self.cpus.clone()),
            niceness: (self.niceness != server.niceness).then_some(self.niceness),
            io_priority: (self.io_priority != server.io_priority).then_some(self.io_priority),
            // The server is not.
            is_hidden: self.is_hidden,
        }
    }
}

/// The processors in a mask of proc(5): words of 32 bits, the highest first.
fn cpus(mask: &str) -> Vec<usize> {
    let words = mask.rsplit(',').map(|word| u32::from_str_radix(word, 16));
    let words = words.map(|word| word.unwrap_or(0));
    let each = words.enumerate().flat_map(|(index, word)| {
        let set = (0..32_usize).filter(move |bit| word >> bit & 1 == 1);
        set.map(move |bit| 32 * index + bit)
    });
    each.collect()
}

impl Adjustments {
    /// Gives them to the calling process, which has just begun. Limits may keep it from
    /// what is still to be done for it, and come last.
    pub(crate) fn apply(&self) -> Result<()> {
        if let Some(umask) = self.umask {
            rustix::process::umask(rustix::fs::Mode::from_raw_mode(umask));
        }
        if let Some(niceness) = self.niceness {
            rustix::process::setpriority_process(None, niceness)
                .during("setting niceness", niceness)?;
        }
        if let Some(cpus) = &self.cpus {
            bind(cpus)?;
        }
        if let Some(io_priority) = self.io_priority {
            // Without privileges it may be lowered only, and so it is never more.
            let _ = sys::set_io_priority(io_priority);
        }
        for &(resource, limit) in &self.limits {
            sys::set_limit(resource, limit)
                .during("setting limit", resource)
                .map_err(|error| error.with_hint(limits::processes().hint()))?;
        }
        Ok(())
    }
}

impl Adjustments {
    /// Keeps others of its user from looking into the calling process, a task, if
    /// they may not look into its caller. Programs decide by being executed; until
    /// then they use the server's memory, which this is about.
    pub(crate) fn hide(&self) -> Result<()> {
        if self.is_hidden {
            sys::hide().during("hiding process", "")?;
        }
        Ok(())
    }
}

/// Binds the calling thread to processors.
pub(super) fn bind(cpus: &[usize]) -> Result<()> {
    let mut set = CpuSet::new();
    for &cpu in cpus {
        if cpu >= CpuSet::MAX_CPU {
            return Err(crate::Error::new(
                crate::ErrorKind::InvalidInput,
                "binding to CPU",
                cpu,
            ));
        }
        set.set(cpu);
    }
    rustix::thread::sched_setaffinity(None, &set).during("binding to CPUs", format!("{cpus:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_with_the_same_attributes_serves_and_adjusts_nothing() {
        let now = Attributes::read().unwrap();
        assert_eq!(now, Attributes::read().unwrap());
        assert!(now.are_served_by(&now));
        let adjustments = now.adjustable.adjustments_from(&now.adjustable);
        assert!(
            adjustments.umask.is_none()
                && adjustments.limits.is_empty()
                && adjustments.cpus.is_none()
        );
    }

    #[test]
    fn masks_of_processors_are_read_from_their_end() {
        assert_eq!(cpus("3"), [0, 1]);
        assert_eq!(cpus("00000001,80000000"), [31, 32]);
        assert_eq!(cpus(""), [0_usize; 0]);
    }

    #[test]
    fn a_limit_that_others_have_raised_needs_a_server_of_its_own() {
        let mut server = Attributes::read().unwrap();
        let mut now = server.clone();
        now.credentials.capabilities.effective = 0;
        server.credentials.capabilities.effective = 0;
        assert!(now.are_served_by(&server));
        server.adjustable.limits[7].1 -= 1;
        assert!(!now.are_served_by(&server));
        now.adjustable.limits[7].1 -= 2;
        assert!(now.are_served_by(&server));
        let adjustments = now.adjustable.adjustments_from(&server.adjustable);
        assert_eq!(adjustments.limits.len(), 1);
    }
}
