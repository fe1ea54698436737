//! A task or a program never has more than the thread that starts it has at that
//! moment, whatever that was when the family's server was started.

use crate::by;
use procession::process::{self, Command, StartMethod};
use rustix::thread::UnshareFlags;
use std::path::PathBuf;
use std::sync::OnceLock;

/// Something that a program does to itself, as root.
struct Change {
    name: &'static str,
    make: fn(),
    /// Is there afterwards in what a task sees of itself; empty: see for yourself.
    mark: &'static str,
}

const NOBODY: u32 = 65534;

/// Calls without a wrapper that is good enough: they are about this thread only.
fn call(number: libc::c_long, arguments: [libc::c_long; 5]) {
    let [a, b, c, d, e] = arguments;
    // SAFETY: the callers below pass numbers, and pointers to what lives on.
    let result = unsafe { libc::syscall(number, a, b, c, d, e) };
    assert!(result >= 0, "{}", std::io::Error::last_os_error());
}

fn prctl(option: libc::c_int, a: libc::c_long) {
    call(libc::SYS_prctl, [option.into(), a, 0, 0, 0]);
}

fn try_prctl(option: libc::c_int, [a, b]: [libc::c_ulong; 2]) {
    // SAFETY: takes numbers only.
    let result = unsafe { libc::prctl(option, a, b, 0, 0) };
    println!("prctl({option}, {a}, {b}): {result}");
}

fn become_nobody() {
    // SAFETY: an empty list needs no pointer.
    assert_eq!(unsafe { libc::setgroups(0, std::ptr::null()) }, 0);
    // SAFETY: takes a number.
    assert_eq!(unsafe { libc::setgid(NOBODY) }, 0);
    // SAFETY: takes a number.
    assert_eq!(unsafe { libc::setuid(NOBODY) }, 0);
}

/// Gives capability 13, CAP_NET_RAW, up, in the effective set or all three.
fn give_up_raw_sockets(effective_only: bool) {
    let header = [0x2008_0522_u32, 0];
    let mut sets = [0_u32; 6];
    let pointers = [
        header.as_ptr() as libc::c_long,
        sets.as_mut_ptr() as libc::c_long,
    ];
    call(libc::SYS_capget, [pointers[0], pointers[1], 0, 0, 0]);
    let count = if effective_only { 1 } else { 3 };
    for set in &mut sets[..count] {
        *set &= !(1 << 13);
    }
    call(libc::SYS_capset, [pointers[0], pointers[1], 0, 0, 0]);
}

/// A filter that answers acct(2) with EPERM and lets everything else pass.
fn filter_calls() {
    refuse(libc::SYS_acct, libc::EPERM);
}

/// A filter that answers one call of the calling thread with an error.
fn refuse(number: libc::c_long, errno: i32) {
    let step = |code: u16, jt: u8, jf: u8, k: u32| libc::sock_filter { code, jt, jf, k };
    let program = [
        step(0x20, 0, 0, 0),
        step(0x15, 0, 1, number as u32),
        step(0x06, 0, 0, 0x0005_0000 | errno as u32),
        step(0x06, 0, 0, 0x7fff_0000),
    ];
    let filter = libc::sock_fprog {
        len: 4,
        filter: program.as_ptr().cast_mut(),
    };
    prctl(libc::PR_SET_NO_NEW_PRIVS, 1);
    let pointer = &raw const filter as libc::c_long;
    call(libc::SYS_seccomp, [1, 0, pointer, 0, 0]);
}

fn unshare(flags: UnshareFlags) {
    // SAFETY: this process has one thread, and no descriptors are unshared.
    unsafe { rustix::thread::unshare_unsafe(flags) }.unwrap();
}

static ROOT: OnceLock<PathBuf> = OnceLock::new();

/// Another root directory, which is the same tree.
fn change_root() {
    use rustix::mount::{MountPropagationFlags, mount_bind_recursive, mount_change};
    unshare(UnshareFlags::NEWNS);
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private).unwrap();
    let place = ROOT.get().unwrap();
    mount_bind_recursive("/", place).unwrap();
    rustix::process::chroot(place).unwrap();
    rustix::process::chdir("/").unwrap();
}

const CHANGES: &[Change] = &[
    Change {
        name: "user",
        make: become_nobody,
        mark: "Uid: 65534 65534 65534 65534",
    },
    Change {
        name: "group",
        make: || call(libc::SYS_setresgid, [NOBODY.into(); 5]),
        mark: "Gid: 65534 65534 65534 65534",
    },
    Change {
        name: "groups",
        make: || {
            let groups = [NOBODY, 12345];
            // SAFETY: a live list of two.
            assert_eq!(unsafe { libc::setgroups(2, groups.as_ptr()) }, 0);
        },
        mark: "Groups: 12345 65534",
    },
    Change {
        name: "capabilities",
        make: || give_up_raw_sockets(false),
        mark: "",
    },
    Change {
        name: "effective capabilities",
        make: || give_up_raw_sockets(true),
        mark: "",
    },
    Change {
        name: "bounding set",
        make: || prctl(libc::PR_CAPBSET_DROP, 13),
        mark: "",
    },
    Change {
        name: "secure bits",
        make: || prctl(libc::PR_SET_SECUREBITS, 0b11),
        mark: "secure bits 3",
    },
    Change {
        name: "no new privileges",
        make: || prctl(libc::PR_SET_NO_NEW_PRIVS, 1),
        mark: "NoNewPrivs: 1",
    },
    Change {
        name: "seccomp",
        make: filter_calls,
        mark: "Seccomp: 2",
    },
    Change {
        name: "namespaces of users",
        make: || unshare(UnshareFlags::NEWUSER),
        mark: "",
    },
    Change {
        name: "namespaces of mounts",
        make: || unshare(UnshareFlags::NEWNS),
        mark: "",
    },
    Change {
        name: "namespaces of names",
        make: || unshare(UnshareFlags::NEWUTS),
        mark: "",
    },
    Change {
        name: "namespaces of networks",
        make: || unshare(UnshareFlags::NEWNET),
        mark: "",
    },
    Change {
        name: "root",
        make: change_root,
        mark: "",
    },
    Change {
        name: "directory",
        make: || rustix::process::chdir("/usr/bin").unwrap(),
        mark: "directory /usr/bin",
    },
    Change {
        name: "umask",
        make: || {
            rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o027));
        },
        mark: "Umask: 0027",
    },
    Change {
        name: "limits",
        make: || {
            let limit = rustix::process::Rlimit {
                current: Some(77),
                maximum: Some(78),
            };
            rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
        },
        mark: "Max open files 77 78 files",
    },
    Change {
        name: "affinity",
        make: || {
            let mut one = rustix::thread::CpuSet::new();
            one.set(0);
            rustix::thread::sched_setaffinity(None, &one).unwrap();
        },
        mark: "Cpus_allowed_list: 0",
    },
    Change {
        name: "niceness",
        make: || rustix::process::setpriority_process(None, 5).unwrap(),
        mark: "niceness 5",
    },
    Change {
        name: "scheduler",
        make: || {
            let priority = [0_i32];
            let pointer = priority.as_ptr() as libc::c_long;
            call(libc::SYS_sched_setscheduler, [0, 3, pointer, 0, 0]);
        },
        mark: "scheduler 3",
    },
    Change {
        name: "personality",
        // Addresses that are not random.
        make: || call(libc::SYS_personality, [0x0004_0000, 0, 0, 0, 0]),
        mark: "personality 40000",
    },
    Change {
        name: "badness",
        make: || std::fs::write("/proc/self/oom_score_adj", "500").unwrap(),
        mark: "badness 500",
    },
    Change {
        name: "memory that is written and executed",
        // Since Linux 6.3.
        make: || try_prctl(65, [1, 0]),
        mark: "",
    },
    Change {
        name: "speculation",
        // Not every processor lets programs decide.
        make: || try_prctl(libc::PR_SET_SPECULATION_CTRL, [0, 4]),
        mark: "",
    },
];

/// What the kernel says of the calling process, a fact each.
fn facts() -> Vec<String> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap();
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    const LINES: &[&str] = &[
        "Umask",
        "Uid",
        "Gid",
        "Groups",
        "Cap",
        "NoNewPrivs",
        "Seccomp",
        "Cpus_allowed_list",
    ];
    let status = read("/proc/thread-self/status");
    let wanted = |line: &&str| LINES.iter().any(|name| line.starts_with(name));
    let mut facts: Vec<String> = status.lines().filter(wanted).map(words).collect();
    facts.extend(read("/proc/thread-self/limits").lines().map(words));
    facts.extend(read("/proc/thread-self/cgroup").lines().map(words));
    for kind in ["user", "mnt", "uts", "net", "ipc", "cgroup", "time"] {
        let link = std::fs::read_link(format!("/proc/thread-self/ns/{kind}"));
        facts.push(link.unwrap().display().to_string());
    }
    // SAFETY: questions with numbers.
    let bits = unsafe { libc::prctl(libc::PR_GET_SECUREBITS) };
    facts.push(format!("secure bits {bits}"));
    // SAFETY: as above.
    facts.push(format!("scheduler {}", unsafe {
        libc::sched_getscheduler(0)
    }));
    // SAFETY: this number asks.
    let personality = unsafe { libc::personality(0xffff_ffff) };
    facts.push(format!("personality {personality:x}"));
    let badness = read("/proc/self/oom_score_adj");
    facts.push(format!("badness {}", badness.trim_end()));
    // SAFETY: a question with numbers.
    facts.push(format!("mdwe {}", unsafe { libc::prctl(66, 0, 0, 0, 0) }));
    for feature in 0..3_u64 {
        // SAFETY: as above.
        let speculation = unsafe { libc::prctl(libc::PR_GET_SPECULATION_CTRL, feature, 0, 0, 0) };
        facts.push(format!("speculation {feature} {speculation}"));
    }
    let niceness = rustix::process::getpriority_process(None).unwrap();
    facts.push(format!("niceness {niceness}"));
    let directory = std::env::current_dir().unwrap();
    facts.push(format!("directory {}", directory.display()));
    let root = rustix::fs::statx(
        rustix::fs::CWD,
        "/",
        rustix::fs::AtFlags::empty(),
        rustix::fs::StatxFlags::from_bits_retain(0x1000),
    );
    facts.push(format!("root {}", root.unwrap().stx_mnt_id));
    facts
}

/// Fails where something is there that the caller has not. Sets of capabilities may
/// be smaller: executing a program makes them so.
fn require_no_more(what: &str, caller: &[String], task: &[String]) {
    assert_eq!(caller.len(), task.len(), "{what}");
    for (mine, its) in caller.iter().zip(task) {
        let set = |fact: &str| {
            let digits = fact.strip_prefix("Cap")?.split(' ').nth(1)?;
            u64::from_str_radix(digits, 16).ok()
        };
        match (set(mine), set(its)) {
            (Some(may), Some(has)) => {
                assert_eq!(has & !may, 0, "{what}: {its}, but the caller {mine}");
            }
            _ => assert_eq!(its, mine, "{what}"),
        }
    }
}

/// Makes a change, after a first task and a first program or without them, and holds
/// the next ones against it.
fn try_change((index, is_late): (usize, bool)) {
    let change = &CHANGES[index];
    let what = change.name;
    if is_late {
        let before = by(StartMethod::ForkServer)
            .spawn(|()| facts(), ())
            .unwrap()
            .join();
        require_no_more(what, &facts(), &before.unwrap());
    }
    (change.make)();
    let now = facts();
    assert!(
        now.iter().any(|fact| fact.starts_with(change.mark)),
        "{what}: {now:#?}"
    );
    for method in [StartMethod::ForkServer, StartMethod::Spawn] {
        let mut task = by(method).spawn(|()| facts(), ()).unwrap();
        require_no_more(what, &now, &task.join().unwrap());
        // One that it starts in turn.
        let nested = move |method: String| {
            let method = method.parse().unwrap();
            by(method).spawn(|()| facts(), ()).unwrap().join().unwrap()
        };
        let mut task = by(method).spawn(nested, method.to_string()).unwrap();
        require_no_more(what, &now, &task.join().unwrap());
    }
    let status = Command::new("cat").arg("/proc/self/status").check();
    let status = status.unwrap().text();
    let mut lines = status
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    for fact in now
        .iter()
        .filter(|fact| fact.starts_with("Cap") || fact.starts_with("Uid"))
    {
        let name = fact.split(' ').next().unwrap();
        let its = lines.find(|line| line.starts_with(name)).unwrap();
        require_no_more(what, std::slice::from_ref(fact), &[its]);
    }
}

pub(crate) fn nobody_has_more_than_its_caller() {
    if !rustix::process::geteuid().is_root() {
        println!("NOT TESTED: only root has something to give up");
        return;
    }
    let root = tempfile::tempdir().unwrap();
    ROOT.set(root.path().to_owned()).unwrap();
    for (index, change) in CHANGES.iter().enumerate() {
        for is_late in [true, false] {
            // The kernel lets processes with one thread only do that, and one that
            // has a server has two.
            if is_late && change.name == "namespaces of users" {
                continue;
            }
            println!("{}, late: {is_late}", change.name);
            let mut family = by(StartMethod::Fork)
                .spawn(try_change, (index, is_late))
                .unwrap();
            family.join().unwrap();
        }
    }
}

/// A program that is another user for a while gets tasks of that user, and keeps the
/// server that it can go back to.
pub(crate) fn who_becomes_another_user_for_a_while_has_its_tasks() {
    if !rustix::process::geteuid().is_root() {
        println!("NOT TESTED: only root can be two users");
        return;
    }
    let changes = |()| {
        let users = || {
            let task = |()| {
                let user = facts().into_iter().find(|fact| fact.starts_with("Uid"));
                (
                    user.unwrap(),
                    rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get()),
                )
            };
            by(StartMethod::ForkServer)
                .spawn(task, ())
                .unwrap()
                .join()
                .unwrap()
        };
        // SAFETY: takes a number.
        let set = |user: u32| assert_eq!(unsafe { libc::seteuid(user) }, 0);
        let first = users();
        set(NOBODY);
        let second = users();
        set(0);
        let third = users();
        set(NOBODY);
        (first, second, third, users())
    };
    let (first, second, third, fourth) = by(StartMethod::Fork)
        .spawn(changes, ())
        .unwrap()
        .join()
        .unwrap();
    assert_eq!(first.0, "Uid: 0 0 0 0");
    assert_eq!(second.0, "Uid: 65534 65534 65534 65534");
    assert_eq!((third, fourth), (first, second));
}

/// Rights are those of threads.
pub(crate) fn threads_of_several_rights_have_each_their_own() {
    let mut family = by(StartMethod::Fork)
        .spawn(
            |()| {
                let has_none = |()| facts().contains(&"NoNewPrivs: 1".to_owned());
                let ask = move || {
                    by(StartMethod::ForkServer)
                        .spawn(has_none, ())
                        .unwrap()
                        .join()
                        .unwrap()
                };
                assert!(!ask());
                let confined = move || {
                    prctl(libc::PR_SET_NO_NEW_PRIVS, 1);
                    ask()
                };
                assert!(std::thread::spawn(confined).join().unwrap());
                assert!(!ask());
            },
            (),
        )
        .unwrap();
    family.join().unwrap();
}

/// Which of two calls answers with an error that no kernel gives.
fn refused() -> [bool; 2] {
    const NEVER: i32 = 77;
    [libc::SYS_getpgid, libc::SYS_getsid].map(|number| {
        // SAFETY: both take a number; zero is the caller.
        let result = unsafe { libc::syscall(number, 0) };
        result < 0 && std::io::Error::last_os_error().raw_os_error() == Some(NEVER)
    })
}

/// The kernel tells how many filters a thread has, and not which.
pub(crate) fn threads_with_as_many_filters_have_each_their_own() {
    let mut family = by(StartMethod::Fork)
        .spawn(
            |()| {
                let ask = || {
                    let asked = [StartMethod::ForkServer, StartMethod::Spawn].map(|method| {
                        let mut task = by(method).spawn(|()| refused(), ()).unwrap();
                        task.join().unwrap()
                    });
                    assert_eq!(asked[0], asked[1]);
                    asked[0]
                };
                assert_eq!(ask(), [false; 2]);
                // One after the other, so that the second may have the number of the
                // first; and each once more when the other has a server.
                for _ in 0..2 {
                    let one = |number, expected: [bool; 2]| {
                        let thread = move || {
                            refuse(number, 77);
                            assert_eq!(ask(), expected);
                            assert_eq!(ask(), expected);
                        };
                        std::thread::spawn(thread).join().unwrap();
                    };
                    one(libc::SYS_getpgid, [true, false]);
                    one(libc::SYS_getsid, [false, true]);
                    assert_eq!(ask(), [false; 2]);
                }
                // What comes on top shows by the number of filters.
                let twice = move || {
                    refuse(libc::SYS_getpgid, 77);
                    assert_eq!(ask(), [true, false]);
                    refuse(libc::SYS_getsid, 77);
                    assert_eq!(ask(), [true, true]);
                };
                std::thread::spawn(twice).join().unwrap();
            },
            (),
        )
        .unwrap();
    family.join().unwrap();
}

/// Confines the calling thread: it makes no directories any more.
fn forbid_directories() -> bool {
    // LANDLOCK_ACCESS_FS_MAKE_DIR
    let handled = 1_u64 << 7;
    let size = size_of_val(&handled);
    // SAFETY: the attribute is live, and as long as it says.
    let rules = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            &raw const handled,
            size,
            0,
        )
    };
    if rules < 0 {
        return false;
    }
    // SAFETY: takes numbers only.
    let confined = unsafe { libc::syscall(libc::SYS_landlock_restrict_self, rules, 0) };
    assert_eq!(confined, 0);
    true
}

/// The kernel shows nobody which rules of Landlock a thread is under.
pub(crate) fn who_is_confined_has_confined_tasks() {
    fn may_make(_: ()) -> bool {
        tempfile::tempdir().is_ok()
    }
    fn ask() -> bool {
        let asked = [StartMethod::ForkServer, StartMethod::Spawn]
            .map(|method| by(method).spawn(may_make, ()).unwrap().join().unwrap());
        assert_eq!(asked[0], asked[1]);
        asked[0]
    }
    /// Whether there is Landlock, and all is as it should be.
    fn confine(is_late: bool) -> bool {
        // So that nothing else shows.
        prctl(libc::PR_SET_NO_NEW_PRIVS, 1);
        assert!(!is_late || ask());
        let confined = std::thread::spawn(|| {
            if !forbid_directories() {
                return false;
            }
            assert!(!may_make(()) && !ask() && !ask());
            true
        });
        let is_there = confined.join().unwrap();
        // The others are not, and at most the first of them is told to try again: where
        // the server was the first one, it cannot tell why it may not look at them.
        let first = by(StartMethod::ForkServer).spawn(may_make, ());
        match first {
            Ok(mut task) => assert!(task.join().unwrap()),
            Err(error) => {
                assert!(!is_late);
                assert_eq!(error.kind(), procession::ErrorKind::PermissionDenied);
            }
        }
        assert!(ask() && may_make(()));
        is_there
    }
    let methods = [
        StartMethod::Fork,
        StartMethod::ForkServer,
        StartMethod::Spawn,
    ];
    for (method, is_late) in methods.into_iter().flat_map(|it| [(it, true), (it, false)]) {
        if !by(method).spawn(confine, is_late).unwrap().join().unwrap() {
            println!("NOT TESTED: the kernel has no Landlock");
        }
    }
}

/// What was started before goes on, is joined, and can be ended.
pub(crate) fn tasks_from_before_are_joined_and_ended_afterwards() {
    if !rustix::process::geteuid().is_root() {
        println!("NOT TESTED: only root has something to give up");
        return;
    }
    let mut family = by(StartMethod::Fork)
        .spawn(
            |()| {
                let wait = |()| std::thread::park();
                let start = |method| by(method).spawn(wait, ()).unwrap();
                for method in [StartMethod::ForkServer, StartMethod::Spawn] {
                    let mut killed = start(method);
                    let mut group = by(method).process_group().spawn(wait, ()).unwrap();
                    let program = Command::new("sleep").arg("1000").spawn().unwrap();
                    let (reader, writer) = procession::os::pipe::pipe().unwrap();
                    let mut last = by(method)
                        .spawn(
                            |reader: procession::os::pipe::Reader| reader.read(&mut [0]).unwrap(),
                            reader,
                        )
                        .unwrap();
                    if method == StartMethod::ForkServer {
                        become_nobody();
                    } else {
                        prctl(libc::PR_SET_NO_NEW_PRIVS, 1);
                    }
                    assert!(by(method).spawn(|()| true, ()).unwrap().join().unwrap());
                    killed.kill().unwrap();
                    assert!(killed.join().unwrap_err().signal().is_some());
                    group
                        .signal_group(procession::process::Signal::KILL)
                        .unwrap();
                    assert!(group.join().unwrap_err().signal().is_some());
                    program.terminate().unwrap();
                    program.wait().unwrap();
                    writer.write_all(b"!").unwrap();
                    assert_eq!(last.join().unwrap(), 1);
                }
                // Servers that have nothing left to do have ended.
                testkit::eventually("retired servers end", || {
                    let mut task = by(StartMethod::ForkServer).spawn(|()| (), ()).unwrap();
                    task.join().unwrap();
                    testkit::audit::children_of(std::process::id()).len() <= 1
                });
            },
            (),
        )
        .unwrap();
    family.join().unwrap();
}

/// A task that was started as another user is tied to its server as all are.
pub(crate) fn another_user_does_not_outlive_the_server() {
    if !rustix::process::geteuid().is_root() {
        println!("NOT TESTED: only root can become another user");
        return;
    }
    for method in [StartMethod::ForkServer, StartMethod::Spawn] {
        let mut task = by(method)
            .uid(NOBODY)
            .gid(NOBODY)
            .spawn(
                |()| {
                    let mut signal = 0;
                    let pointer = &raw mut signal as libc::c_long;
                    prctl(libc::PR_GET_PDEATHSIG, pointer);
                    signal
                },
                (),
            )
            .unwrap();
        assert_eq!(task.join().unwrap(), libc::SIGKILL);
        // And it has no way to the rights of the server.
        let mut task = by(method)
            .uid(NOBODY)
            .gid(NOBODY)
            .spawn(
                |()| {
                    let mut nested = by(StartMethod::ForkServer).spawn(|()| facts(), ()).unwrap();
                    nested.join().unwrap()
                },
                (),
            )
            .unwrap();
        let facts = task.join().unwrap();
        assert!(
            facts.contains(&"Uid: 65534 65534 65534 65534".to_owned()),
            "{facts:#?}"
        );
    }
}

/// A pool from before ends, though its workers are another user's; one from afterwards
/// works.
pub(crate) fn pools_outlive_the_rights_of_their_caller() {
    use procession::pool::Pool;
    if !rustix::process::geteuid().is_root() {
        println!("NOT TESTED: only root has something to give up");
        return;
    }
    let body = |()| {
        let pool = Pool::new(2).unwrap();
        assert_eq!(pool.call(|x: u32| x + 1, 1).unwrap(), 2);
        become_nobody();
        assert_eq!(pool.call(|x: u32| x + 1, 2).unwrap(), 3);
        drop(pool);
        let pool = Pool::new(1).unwrap();
        let user = pool
            .call(|()| rustix::process::getuid().as_raw(), ())
            .unwrap();
        assert_eq!(user, NOBODY);
        pool.terminate();
    };
    by(StartMethod::Fork)
        .spawn(body, ())
        .unwrap()
        .join()
        .unwrap();
}

/// Somebody without rights is administrator in a namespace of users of their own, and
/// may make the others when the first task has been started there.
pub(crate) fn nobody_leaves_a_sandbox_in_a_namespace_of_users() {
    fn sandbox(_: ()) {
        // SAFETY: this process has one thread, and no descriptors are unshared.
        if unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWUSER) }.is_err() {
            println!("NOT TESTED: users may not make namespaces here");
            return;
        }
        let ask = || by(StartMethod::ForkServer).spawn(|()| facts(), ());
        for flags in [
            UnshareFlags::empty(),
            UnshareFlags::NEWNET,
            UnshareFlags::NEWIPC | UnshareFlags::NEWUTS,
        ] {
            unshare(flags);
            let mut task = ask().unwrap();
            require_no_more(&format!("{flags:?}"), &facts(), &task.join().unwrap());
        }
        // That of its children is another one: none can be watched over.
        unshare(UnshareFlags::NEWPID);
        assert_eq!(
            ask().unwrap_err().kind(),
            procession::ErrorKind::Unsupported
        );
    }
    fn by_method(method: StartMethod, body: fn(())) {
        by(method).spawn(body, ()).unwrap().join().unwrap();
    }
    let mut user = by(StartMethod::Spawn);
    if rustix::process::geteuid().is_root() {
        user = user.uid(NOBODY).gid(NOBODY);
    }
    // The server of that user executes the program that begins without rights.
    let begins = |()| {
        by_method(StartMethod::Spawn, |()| {
            by_method(StartMethod::Fork, sandbox)
        })
    };
    user.spawn(begins, ()).unwrap().join().unwrap();
}

/// Children of a thread that has left its namespace of pids for them would not be where
/// it is: none is started for it. What runs goes on, other threads go on starting, and a
/// forked child, which is where its children are, starts its own.
pub(crate) fn whose_children_would_be_elsewhere_starts_none() {
    if !rustix::process::geteuid().is_root() {
        println!("NOT TESTED: only root may make a namespace of pids");
        return;
    }
    fn server(_: ()) -> Option<i32> {
        rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get())
    }
    let body: fn(()) = |()| {
        let ask = || by(StartMethod::ForkServer).spawn(server, ());
        let (reader, writer) = procession::os::pipe::pipe().unwrap();
        let mut living = by(StartMethod::ForkServer)
            .spawn(
                |reader: procession::os::pipe::Reader| reader.read(&mut [0]).unwrap(),
                reader,
            )
            .unwrap();
        let before = ask().unwrap().join().unwrap();
        let elsewhere = move || {
            unshare(UnshareFlags::NEWPID);
            let refused = ask().unwrap_err();
            assert_eq!(refused.kind(), procession::ErrorKind::Unsupported);
            assert!(Command::new("true").status().is_err());
        };
        std::thread::spawn(elsewhere).join().unwrap();
        assert_eq!(ask().unwrap().join().unwrap(), before);
        unshare(UnshareFlags::NEWPID);
        assert!(ask().is_err());
        let child = match process::fork().unwrap() {
            process::Fork::Child => {
                let mut tied = by(StartMethod::Fork).spawn(|()| 7, ()).unwrap();
                assert_eq!(tied.join().unwrap(), 7);
                let mut task = by(StartMethod::ForkServer).spawn(|()| 7, ()).unwrap();
                process::exit(task.join().unwrap())
            }
            process::Fork::Parent(child) => child,
        };
        assert_eq!(child.wait().unwrap().code(), Some(7));
        writer.write_all(b"!").unwrap();
        assert_eq!(living.join().unwrap(), 1);
    };
    // Whether its parent is alive, this one could not tell.
    let tied = |()| {
        unshare(UnshareFlags::NEWPID);
        let mut task = by(StartMethod::Fork).spawn(|()| (), ()).unwrap();
        let Err(process::TaskError::NeverStarted(error, ..)) = task.join() else {
            panic!("it began")
        };
        assert_eq!(error.kind(), procession::ErrorKind::Unsupported);
    };
    for family in [body, tied] {
        let mut family = by(StartMethod::Fork).spawn(family, ()).unwrap();
        family.join().unwrap();
    }
}

/// A server that may not see where its client is refuses it: another one is started.
pub(crate) fn who_hides_later_has_tasks_that_have_tasks() {
    let body = |()| {
        if rustix::process::geteuid().is_root() {
            become_nobody();
        }
        for is_shown in [1, 0, 1, 0] {
            prctl(libc::PR_SET_DUMPABLE, is_shown);
            for method in [StartMethod::ForkServer, StartMethod::Spawn] {
                let nested = |()| {
                    let mut task = by(StartMethod::ForkServer).spawn(|()| 7, ()).unwrap();
                    task.join().unwrap()
                };
                let mut task = by(method).spawn(nested, ()).unwrap();
                assert_eq!(task.join().unwrap(), 7);
            }
        }
    };
    let mut family = by(StartMethod::Fork).spawn(body, ()).unwrap();
    family.join().unwrap();
}
