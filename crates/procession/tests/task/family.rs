use crate::by;
use crate::entry::fixture;
use procession::os::pipe;
use procession::process::{self, Child, Fork, Signal, StartMethod, TaskError};
use procession::{Deadline, poll, signal};
use rustix::process::{Pid, PidfdFlags, WaitOptions};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::time::Duration;

/// Says its process id, and holds its end of the pipe until it is killed.
fn hold(writer: pipe::Writer) {
    writer.write_all(&std::process::id().to_ne_bytes()).unwrap();
    loop {
        std::thread::park();
    }
}

/// Starts a task that holds, and holds.
fn hold_two((writer, method): (pipe::Writer, String)) {
    let copy = writer.try_clone().unwrap();
    let _nested = by(method.parse().unwrap()).spawn(hold, copy).unwrap();
    hold(writer);
}

/// A forked child that starts such a task, which starts another.
fn family(method: StartMethod, writer: pipe::Writer) -> Child {
    match process::fork().unwrap() {
        Fork::Parent(child) => child,
        Fork::Child => {
            let copy = writer.try_clone().unwrap();
            let _task = by(method).spawn(hold_two, (copy, method.to_string()));
            loop {
                std::thread::park();
            }
        }
    }
}

/// The next processes that say so.
fn hear(reader: &mut pipe::Reader, count: usize) -> Vec<OwnedFd> {
    let mut found = Vec::new();
    for _ in 0..count {
        let mut number = [0; 4];
        reader.read_exact(&mut number).unwrap();
        let pid = Pid::from_raw(i32::from_ne_bytes(number)).unwrap();
        found.push(rustix::process::pidfd_open(pid, PidfdFlags::empty()).unwrap());
    }
    found
}

/// Waits until all of them have ended, and nobody holds the pipe any more.
fn await_gone(reader: &mut pipe::Reader, processes: &[OwnedFd]) {
    process::wait_all(processes, Deadline::NEVER).unwrap();
    assert_eq!(reader.read_to_end(&mut Vec::new()).unwrap(), 0);
}

/// The server of a process, by its process id.
fn server_of(pid: u32) -> Pid {
    let children = testkit::audit::children_of(pid);
    let server = children
        .iter()
        .find(|child| child.contains("(procession-srv)"));
    let number = server.unwrap().split(' ').next().unwrap().parse().unwrap();
    Pid::from_raw(number).unwrap()
}

fn kill(pid: Pid) {
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

pub(crate) fn killing_the_parent_kills_all(method: StartMethod) {
    let (mut reader, writer) = pipe::pipe().unwrap();
    let parent = family(method, writer);
    let processes = hear(&mut reader, 2);
    parent.kill().unwrap();
    parent.wait().unwrap();
    await_gone(&mut reader, &processes);
}

pub(crate) fn killing_a_task_kills_its_tasks(method: StartMethod) {
    let (mut reader, writer) = pipe::pipe().unwrap();
    let mut task = by(method)
        .spawn(hold_two, (writer, method.to_string()))
        .unwrap();
    let processes = hear(&mut reader, 2);
    task.kill().unwrap();
    assert_eq!(task.join().unwrap_err().signal(), Some(Signal::KILL));
    await_gone(&mut reader, &processes);
}

pub(crate) fn ctrl_c_is_the_parents_affair(method: StartMethod) {
    let (mut reader, writer) = pipe::pipe().unwrap();
    let copy = writer.try_clone().unwrap();
    // A group of its own, as a shell would make it.
    let mut parent = by(StartMethod::Fork)
        .process_group()
        .spawn(
            |(writer, method): (pipe::Writer, String)| {
                let mut interrupts = signal::Signals::new(&[Signal::INT]).unwrap();
                let work = (writer.try_clone().unwrap(), method.clone());
                let mut task = by(method.parse().unwrap()).spawn(hold_two, work).unwrap();
                interrupts.wait().unwrap();
                // The task has not been disturbed.
                let running = task.join_timeout(Duration::from_millis(5)).is_err();
                task.kill().unwrap();
                let _ = task.join();
                running
            },
            (copy, method.to_string()),
        )
        .unwrap();
    drop(writer);
    let processes = hear(&mut reader, 2);
    parent.signal_group(Signal::INT).unwrap();
    assert!(parent.join().unwrap());
    await_gone(&mut reader, &processes);
}

pub(crate) fn a_killed_server_takes_its_tasks_with_it_and_is_replaced() {
    for method in [StartMethod::ForkServer, StartMethod::Spawn] {
        let (mut reader, writer) = pipe::pipe().unwrap();
        let mut task = by(method)
            .spawn(hold_two, (writer, method.to_string()))
            .unwrap();
        let processes = hear(&mut reader, 2);
        let server = server_of(std::process::id());
        let watched = rustix::process::pidfd_open(server, PidfdFlags::empty()).unwrap();
        kill(server);
        match task.join().unwrap_err() {
            TaskError::Signaled { signal, .. } => assert_eq!(signal, Signal::KILL),
            TaskError::Io(error, ..) => assert!(error.to_string().contains("server"), "{error}"),
            other => panic!("{other}"),
        }
        await_gone(&mut reader, &processes);
        poll::readable(&watched, Deadline::NEVER).unwrap();
        // No zombie is left of it, and the next start makes a new one.
        testkit::eventually("the server is reaped", || {
            testkit::audit::children_of(std::process::id()).is_empty()
        });
        assert_eq!(by(method).spawn(|x: u8| x, 7).unwrap().join().unwrap(), 7);
        assert_ne!(server_of(std::process::id()), server);
    }
}

pub(crate) fn killing_parent_and_server_leaves_nobody() {
    for method in [StartMethod::ForkServer, StartMethod::Spawn] {
        let (mut reader, writer) = pipe::pipe().unwrap();
        let parent = family(method, writer);
        let processes = hear(&mut reader, 2);
        let server = server_of(parent.id());
        let group = [Pid::from_raw(parent.id().cast_signed()).unwrap(), server];
        group.into_iter().for_each(kill);
        parent.wait().unwrap();
        await_gone(&mut reader, &processes);
    }
}

/// Becomes a daemon, as programs do: two forks and a session.
fn become_daemon(writer: pipe::Writer) {
    for step in 0..2 {
        match process::fork().unwrap() {
            Fork::Child if step == 0 => {
                rustix::process::setsid().unwrap();
            }
            Fork::Child => {}
            Fork::Parent(child) => {
                drop(child);
                process::exit(0);
            }
        }
    }
    signal::ignore(Signal::TERM).unwrap();
    hold(writer);
}

pub(crate) fn a_daemon_does_not_outlive_the_family() {
    let (mut reader, writer) = pipe::pipe().unwrap();
    let parent = match process::fork().unwrap() {
        Fork::Parent(child) => child,
        Fork::Child => {
            let copy = writer.try_clone().unwrap();
            let mut task = by(StartMethod::ForkServer)
                .spawn(become_daemon, copy)
                .unwrap();
            let _ = task.join();
            loop {
                std::thread::park();
            }
        }
    };
    drop(writer);
    let processes = hear(&mut reader, 1);
    assert!(poll::readable(&processes[0], Deadline::NOW).is_err());
    parent.kill().unwrap();
    parent.wait().unwrap();
    await_gone(&mut reader, &processes);
}

pub(crate) fn at_a_normal_end_nobody_is_left() {
    let (mut reader, writer) = pipe::pipe().unwrap();
    let (go, told) = pipe::pipe().unwrap();
    let parent = match process::fork().unwrap() {
        Fork::Parent(child) => child,
        Fork::Child => {
            for method in [StartMethod::ForkServer, StartMethod::Spawn] {
                let copy = writer.try_clone().unwrap();
                drop(by(method).spawn(hold, copy).unwrap());
            }
            go.read(&mut [0]).unwrap();
            process::exit(0)
        }
    };
    drop(writer);
    let processes = hear(&mut reader, 2);
    told.write_all(b"!").unwrap();
    parent.wait().unwrap();
    // It has waited for their end.
    process::wait_all(&processes, Deadline::NOW).unwrap();
    await_gone(&mut reader, &processes);
}

pub(crate) fn the_thread_that_starts_a_task_may_end() {
    for method in [StartMethod::ForkServer, StartMethod::Spawn] {
        let (mut reader, writer) = pipe::pipe().unwrap();
        let thread = std::thread::spawn(move || by(method).spawn(hold, writer).unwrap());
        let mut task = thread.join().unwrap();
        let processes = hear(&mut reader, 1);
        assert!(task.join_timeout(Duration::from_millis(20)).is_err());
        task.kill().unwrap();
        let _ = task.join();
        await_gone(&mut reader, &processes);
    }
}

/// What [`the_parent_may_be_killed_at_any_moment`] kills.
pub(crate) fn start_tasks_for_ever() {
    fn nested(method: String) -> u32 {
        let method = method.parse().unwrap();
        by(method).spawn(|x: u32| x, 1).unwrap().join().unwrap()
    }
    loop {
        let work = |method: StartMethod| {
            let by = by(method).process_group();
            by.spawn(nested, method.to_string())
        };
        let forked = work(StartMethod::Fork);
        let served = work(StartMethod::ForkServer);
        let anew = work(StartMethod::Spawn);
        for mut task in [forked, served, anew].into_iter().flatten() {
            let _ = task.join();
        }
    }
}

pub(crate) fn the_parent_may_be_killed_at_any_moment() {
    const KILLS: usize = 1000;
    let mut random = testkit::random::Random::new();
    // Orphans become ours.
    rustix::process::set_child_subreaper(Pid::from_raw(1)).unwrap();
    let me = std::process::id();
    for kill in 0..KILLS {
        let mut parent = fixture("start-tasks-for-ever").spawn().unwrap();
        // Not to wait for anything: the moment of the kill is what is varied.
        std::thread::sleep(random.moment(Duration::from_millis(12)));
        parent.kill().unwrap();
        parent.wait().unwrap();
        testkit::eventually(&format!("nobody survives kill {kill}"), || {
            let all = WaitOptions::NOHANG;
            while let Ok(Some(_)) = rustix::process::wait(all) {}
            testkit::audit::children_of(me).is_empty()
        });
    }
    println!("{KILLS} kills");
}

pub(crate) fn tasks_and_programs_are_children() {
    for method in crate::METHODS {
        let task = by(method)
            .on_drop(process::OnDrop::Kill)
            .spawn(|()| std::thread::park(), ())
            .unwrap();
        let program = process::Command::new("sleep")
            .arg("1000")
            .on_drop(process::OnDrop::Kill)
            .spawn()
            .unwrap();
        let all = process::children().unwrap();
        for pid in [task.pid(), program.pid()] {
            assert!(all.iter().any(|it| it.pid == pid), "{method}: {all:?}");
        }
        let (task, program) = ((task.pid(), task), (program.pid(), program));
        drop((task.1, program.1));
        let all = process::children().unwrap();
        assert!(all.iter().all(|it| ![task.0, program.0].contains(&it.pid)));
    }
}

pub(crate) fn any_process_can_be_signalled() {
    for method in [StartMethod::ForkServer, StartMethod::Spawn] {
        let mut signals = signal::Signals::new(&[Signal::USR1]).unwrap();
        let mut task = by(method)
            .spawn(
                |()| {
                    let parent = process::parent().unwrap();
                    parent.signal(Signal::USR1).unwrap();
                    let parent = process::PidFd::open(parent.id()).unwrap();
                    assert!(parent.is_alive());
                    parent.id()
                },
                (),
            )
            .unwrap();
        assert_eq!(task.join().unwrap(), std::process::id());
        assert_eq!(signals.wait().unwrap(), Signal::USR1);
    }
    for nobody in [0, u32::MAX, i32::MAX.cast_unsigned()] {
        assert!(process::PidFd::open(nobody).is_err(), "{nobody}");
    }
}

pub(crate) fn a_forked_copy_has_no_part_in_its_parents_tasks() {
    for method in [StartMethod::ForkServer, StartMethod::Spawn] {
        let mut task = by(method)
            .on_drop(process::OnDrop::Kill)
            .spawn(|()| std::thread::park(), ())
            .unwrap();
        // The copy that libc makes: nothing of ours hears of it.
        // SAFETY: the child makes calls of this library, which is what is tried, and
        // ends; the only other thread is the library's.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            let joined = task.join();
            let refused = matches!(joined, Err(TaskError::Io(..)));
            drop(task);
            let fresh = by(method).spawn(|x: u8| x, 7).unwrap().join();
            process::exit(i32::from(!(refused && matches!(fresh, Ok(7)))));
        }
        let mut status = 0;
        // SAFETY: our child, and a live status.
        unsafe { libc::waitpid(pid, &raw mut status, 0) };
        assert_eq!(status, 0, "{method}");
        assert!(task.join_timeout(Duration::from_millis(5)).is_err());
        task.kill().unwrap();
        assert_eq!(task.join().unwrap_err().signal(), Some(Signal::KILL));
    }
}

/// In a namespace of its own, where it is the first process: it inherits what its
/// server leaves behind.
pub(crate) fn the_first_process_of_a_container_reaps_what_a_killed_server_leaves() {
    // SAFETY: one thread; no descriptors are unshared.
    let alone = unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWPID) };
    if alone.is_err() {
        println!("NOT TESTED: no right to make a namespace");
        return;
    }
    // Children would be there, and we are not.
    let refused = by(StartMethod::ForkServer).spawn(|()| (), ()).unwrap_err();
    assert_eq!(refused.kind(), procession::ErrorKind::Unsupported);
    let first = match process::fork().unwrap() {
        Fork::Parent(child) => child,
        Fork::Child => {
            assert_eq!(std::process::id(), 1);
            for method in [StartMethod::ForkServer, StartMethod::Spawn] {
                let wait = |()| std::thread::park();
                let mut joined = by(method).spawn(wait, ()).unwrap();
                drop(by(method).spawn(wait, ()).unwrap());
                let dropped = by(method).spawn(wait, ()).unwrap();
                assert!(by(method).spawn(|()| true, ()).unwrap().join().unwrap());
                // What is in /proc has numbers of the namespace above.
                let children = std::fs::read_to_string("/proc/thread-self/children");
                let server = children.unwrap().trim().to_owned();
                let text = std::fs::read_to_string(format!("/proc/{server}/status")).unwrap();
                let line = text.lines().find(|line| line.starts_with("NSpid")).unwrap();
                let number = line.split_whitespace().last().unwrap().parse().unwrap();
                kill(Pid::from_raw(number).unwrap());
                assert_eq!(joined.join().unwrap_err().signal(), Some(Signal::KILL));
                drop(dropped);
                testkit::eventually("all are reaped", || {
                    let children = std::fs::read_to_string("/proc/thread-self/children");
                    children.unwrap().is_empty()
                });
            }
            process::exit(0)
        }
    };
    assert_eq!(first.wait().unwrap().code(), Some(0));
}
