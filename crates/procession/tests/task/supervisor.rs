//! Services that are restarted when they die.

use procession::ErrorKind;
use procession::os::pipe;
use procession::process::{
    self, ChildExit, ChildSpec, Command, PidFd, Restart, Signal, Stop, Supervisor, SupervisorError,
    SupervisorEvent, TaskError,
};
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

fn sleeper(name: &str) -> ChildSpec {
    ChildSpec::command(name, || Command::new("sleep").arg("3600"))
}

fn dies(name: &str) -> ChildSpec {
    ChildSpec::command(name, || Command::shell("exit 3"))
}

fn parks(_: ()) {
    loop {
        std::thread::park();
    }
}

fn watched(supervisor: Supervisor) -> (Supervisor, Receiver<SupervisorEvent>) {
    let (sender, events) = channel();
    let handler = move |event: &SupervisorEvent| drop(sender.send(event.clone()));
    (supervisor.on_event(handler), events)
}

/// The next child that is started.
fn started(events: &Receiver<SupervisorEvent>) -> (String, u32) {
    loop {
        match events.recv().unwrap() {
            SupervisorEvent::Started { child, pid, .. } => return (child, pid),
            SupervisorEvent::Stopped { .. } => panic!("it is not to stop"),
            _ => {}
        }
    }
}

pub(crate) fn who_is_killed_at_random_is_restarted() {
    let supervisor = Supervisor::new()
        .max_restarts(1000, Duration::from_secs(1))
        .backoff(Duration::ZERO, Duration::ZERO)
        .child(sleeper("one"))
        .child(ChildSpec::task("two", parks, ()))
        .child(sleeper("three"));
    let (mut supervisor, events) = watched(supervisor);
    let stopper = supervisor.stopper().unwrap();
    let running = std::thread::spawn(move || supervisor.run());
    let mut pids: BTreeMap<String, u32> = (0..3).map(|_| started(&events)).collect();
    let mut random = testkit::random::Random::new();
    for _ in 0..50 {
        let place = random.below(3) as usize;
        let (name, pid) = pids
            .iter()
            .nth(place)
            .map(|(name, pid)| (name.clone(), *pid))
            .unwrap();
        let signal = [Signal::KILL, Signal::TERM][random.below(2) as usize];
        PidFd::open(pid).unwrap().signal(signal).unwrap();
        let (again, pid) = started(&events);
        assert_eq!(again, name, "nobody else is touched");
        pids.insert(again, pid);
    }
    stopper.stop();
    running.join().unwrap().unwrap();
    let order: Vec<String> = events
        .iter()
        .map(|event| match event {
            SupervisorEvent::Stopped { child, .. } => child,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(order, ["three", "two", "one"]);
    for pid in pids.values() {
        assert_eq!(PidFd::open(*pid).unwrap_err().kind(), ErrorKind::NotFound);
    }
}

pub(crate) fn who_dies_at_once_reaches_the_limit() {
    let supervisor = Supervisor::new()
        .max_restarts(4, HOUR)
        .backoff(Duration::from_millis(1), Duration::from_millis(2))
        .child(sleeper("bystander"))
        .child(dies("broken"));
    let (supervisor, events) = watched(supervisor);
    let error = supervisor.run().unwrap_err();
    match &error {
        SupervisorError::TooManyRestarts {
            child,
            restarts,
            exit,
            ..
        } => {
            assert_eq!((child.as_str(), *restarts), ("broken", 4));
            assert!(matches!(exit, ChildExit::Exited(status) if status.code() == Some(3)));
        }
        other => panic!("{other:?}"),
    }
    let general = procession::Error::from(error.clone());
    assert_eq!(general.kind(), ErrorKind::LimitReached);
    assert_eq!(general.to_string(), error.to_string());
    let events: Vec<SupervisorEvent> = events.iter().collect();
    let is_start = |event: &&SupervisorEvent| matches!(event, SupervisorEvent::Started { child, .. } if child == "broken");
    assert_eq!(events.iter().filter(is_start).count(), 5);
    let last = events.last().unwrap();
    assert!(
        matches!(last, SupervisorEvent::Stopped { child, .. } if child == "bystander"),
        "{last:?}"
    );
}

pub(crate) fn a_policy_says_who_is_restarted() {
    fn panics(_: ()) {
        panic!("as it is to");
    }
    fn returns(number: u32) -> u32 {
        number
    }
    fn exits(code: i32) {
        std::process::exit(code)
    }
    // None of these is restarted.
    let supervisor = Supervisor::new()
        .max_restarts(0, HOUR)
        .child(dies("never").restart(Restart::Never))
        .child(ChildSpec::command("fine", || Command::new("true")).restart(Restart::OnFailure))
        .child(ChildSpec::task("returns", returns, 7).restart(Restart::OnFailure))
        .child(ChildSpec::task("exits", exits, 0).restart(Restart::OnFailure))
        .child(ChildSpec::task("panics", panics, ()).restart(Restart::Never));
    supervisor.run().unwrap();
    // Each of these is.
    for spec in [
        ChildSpec::command("fine", || Command::new("true")),
        dies("fails").restart(Restart::OnFailure),
        ChildSpec::command("killed", || Command::shell("kill -9 $$")).restart(Restart::OnFailure),
        ChildSpec::task("returns", returns, 7),
        ChildSpec::task("exits", exits, 3).restart(Restart::OnFailure),
        ChildSpec::task("panics", panics, ()).restart(Restart::OnFailure),
    ] {
        let is_task = format!("{spec:?}").contains("panics");
        let error = Supervisor::new()
            .max_restarts(1, HOUR)
            .child(spec)
            .run()
            .unwrap_err();
        let SupervisorError::TooManyRestarts { exit, .. } = error else {
            panic!("{error:?}");
        };
        let panicked = matches!(exit, ChildExit::Failed(TaskError::Panicked(..)));
        assert_eq!(panicked, is_task, "{exit:?}");
    }
}

pub(crate) fn who_ignores_sigterm_is_killed() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let deaf = ChildSpec::command("deaf", move || {
        let script = "trap '' TERM; echo >&7; while :; do sleep 3600; done";
        Command::shell(script)
            .process_group()
            .fd(7, writer.try_clone().unwrap())
    });
    let deaf = deaf.stop(Stop::new().terminate(Duration::from_millis(20)).group());
    let (mut supervisor, events) = watched(Supervisor::new().child(deaf).child(sleeper("obeys")));
    let stopper = supervisor.stopper().unwrap();
    let running = std::thread::spawn(move || supervisor.run());
    std::io::Read::read_exact(&mut reader, &mut [0]).unwrap();
    stopper.stop();
    stopper.stop();
    running.join().unwrap().unwrap();
    let ends: Vec<(String, Option<Signal>)> = events
        .iter()
        .filter_map(|event| match event {
            SupervisorEvent::Stopped {
                child,
                exit: ChildExit::Exited(status),
                ..
            } => Some((child, status.signal())),
            _ => None,
        })
        .collect();
    let expected = [("obeys", Signal::TERM), ("deaf", Signal::KILL)];
    assert_eq!(
        ends,
        expected.map(|(name, signal)| (name.to_owned(), Some(signal)))
    );
}

pub(crate) fn a_stop_while_a_child_restarts_is_heeded() {
    // While it is left alone, which would be an hour.
    let mut supervisor = Supervisor::new().backoff(HOUR, HOUR).child(dies("broken"));
    let stopper = supervisor.stopper().unwrap();
    let handler = move |event: &SupervisorEvent| {
        if matches!(event, SupervisorEvent::Restarting { after, .. } if *after == HOUR) {
            stopper.stop();
        }
    };
    supervisor.on_event(handler).run().unwrap();
    // While it is being started: it is stopped again.
    let mut supervisor = Supervisor::new();
    let stopper = supervisor.stopper().unwrap();
    let mut starts = 0;
    let again = ChildSpec::new("again", move || {
        starts += 1;
        if starts == 2 {
            stopper.stop();
            return Command::new("sleep").arg("3600").spawn();
        }
        Command::new("true").spawn()
    });
    let (supervisor, events) = watched(supervisor.child(again));
    supervisor.run().unwrap();
    let last = events.iter().last().unwrap();
    assert!(matches!(last, SupervisorEvent::Stopped { .. }), "{last:?}");
    // Before it runs at all.
    let mut early = Supervisor::new().child(sleeper("early"));
    early.stopper().unwrap().stop();
    early.run().unwrap();
}

pub(crate) fn nobody_outlives_the_process_of_the_supervisor() {
    let (reader, writer) = pipe::pipe().unwrap();
    let supervising = match process::fork().unwrap() {
        process::Fork::Parent(child) => child,
        process::Fork::Child => {
            let output = writer.into_blocking().unwrap();
            let deaf = ChildSpec::command("deaf", move || {
                let script = "trap '' TERM INT HUP; echo; while :; do sleep 3600; done";
                Command::shell(script).stdout(output.try_clone().unwrap())
            });
            let _ = Supervisor::new().child(sleeper("other")).child(deaf).run();
            process::exit(1)
        }
    };
    drop(writer);
    assert_eq!(reader.read(&mut [0]).unwrap(), 1);
    supervising.kill().unwrap();
    assert_eq!(supervising.wait().unwrap().signal(), Some(Signal::KILL));
    assert_eq!(reader.read(&mut [0]).unwrap(), 0);
}

pub(crate) fn a_panic_of_a_handler_kills_the_children() {
    let (sender, pids) = channel();
    let supervisor = Supervisor::new()
        .child(sleeper("one"))
        .child(sleeper("two"));
    let supervisor = supervisor.on_event(move |event| {
        if let SupervisorEvent::Started { child, pid, .. } = event {
            sender.send(PidFd::open(*pid).unwrap()).unwrap();
            assert_ne!(child, "two", "the handler is to panic");
        }
    });
    assert!(std::thread::spawn(move || supervisor.run()).join().is_err());
    let pids: Vec<PidFd> = pids.iter().collect();
    assert_eq!(pids.len(), 2);
    assert!(pids.iter().all(|pid| !pid.is_alive()));
}

pub(crate) fn who_cannot_be_started_is_told() {
    let absent = || ChildSpec::command("absent", || Command::new("not-a-program"));
    let (supervisor, events) = watched(Supervisor::new().child(sleeper("one")).child(absent()));
    match supervisor.run().unwrap_err() {
        SupervisorError::NotStarted { child, error, .. } => {
            assert_eq!(
                (child.as_str(), error.kind()),
                ("absent", ErrorKind::NotFound)
            );
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(
        events.iter().last(),
        Some(SupervisorEvent::Stopped { .. })
    ));
    // One that could be started once is tried again, as often as others.
    let mut starts = 0;
    let vanishes = ChildSpec::command("vanishes", move || {
        starts += 1;
        Command::new(if starts == 1 { "true" } else { "not-a-program" })
    });
    let supervisor = Supervisor::new().max_restarts(3, HOUR).child(vanishes);
    let (supervisor, events) = watched(supervisor);
    let error = supervisor.run().unwrap_err();
    let SupervisorError::TooManyRestarts {
        exit: ChildExit::NotStarted(error),
        ..
    } = error
    else {
        panic!("{error:?}");
    };
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let exits = events
        .iter()
        .filter(|event| matches!(event, SupervisorEvent::Exited { .. }));
    assert_eq!(exits.count(), 4);
}

pub(crate) fn children_of_a_killed_server_are_restarted() {
    let supervisor = Supervisor::new().max_restarts(1000, HOUR);
    let supervisor = supervisor
        .child(sleeper("one"))
        .child(ChildSpec::task("two", parks, ()));
    let (mut supervisor, events) = watched(supervisor);
    let stopper = supervisor.stopper().unwrap();
    let running = std::thread::spawn(move || supervisor.run());
    let before: BTreeMap<String, u32> = (0..2).map(|_| started(&events)).collect();
    let children = process::children().unwrap();
    let server = children
        .iter()
        .find(|it| it.name == "procession-srv")
        .unwrap();
    PidFd::open(server.pid)
        .unwrap()
        .signal(Signal::KILL)
        .unwrap();
    let after: BTreeMap<String, u32> = (0..2).map(|_| started(&events)).collect();
    assert!(before.keys().eq(after.keys()));
    stopper.stop();
    running.join().unwrap().unwrap();
}

pub(crate) fn input_that_nobody_writes_is_refused() {
    let cat = ChildSpec::command("cat", || Command::new("cat").input("hello"));
    let error = Supervisor::new()
        .max_restarts(1, HOUR)
        .child(cat)
        .run()
        .unwrap_err();
    assert!(error.to_string().contains("input"), "{error}");
}
