//! Functions that run at the end of a process.

use crate::by;
use procession::os::pipe;
use procession::pool::Pool;
use procession::process::{self, Fork, StartMethod, Stop, TaskError};
use procession::shared::Counter;

/// Registers a handler that writes a word.
fn note(writer: &pipe::Writer, word: &'static str) {
    let writer = writer.try_clone().unwrap();
    process::at_exit(move || writer.write_all(word.as_bytes()).unwrap()).unwrap();
}

/// All that handlers have written, once everybody has closed the pipe.
fn notes(reader: &pipe::Reader, writer: pipe::Writer) -> String {
    drop(writer);
    let (mut text, mut buffer) = (Vec::new(), [0; 64]);
    loop {
        match reader.read(&mut buffer).unwrap() {
            0 => return String::from_utf8(text).unwrap(),
            count => text.extend(&buffer[..count]),
        }
    }
}

/// Runs `task` in a process, and returns its result and what handlers have written.
fn run(method: StartMethod, task: fn(pipe::Writer) -> u32) -> (Result<u32, TaskError>, String) {
    let (reader, writer) = pipe::pipe().unwrap();
    let result = by(method)
        .spawn(task, writer.try_clone().unwrap())
        .unwrap()
        .join();
    (result, notes(&reader, writer))
}

fn note_three(writer: &pipe::Writer) {
    for word in ["one ", "two ", "three "] {
        note(writer, word);
    }
}

pub(crate) fn handlers_run_at_an_orderly_end(method: StartMethod) {
    const ALL: &str = "three two one ";
    let (result, notes) = run(method, |writer| {
        note_three(&writer);
        7
    });
    assert_eq!((result.unwrap(), &notes[..]), (7, ALL));
    let (result, notes) = run(method, |writer| {
        note_three(&writer);
        panic!("no luck")
    });
    assert_eq!(result.unwrap_err().panic().unwrap().message, "no luck");
    assert_eq!(notes, ALL);
    let (result, notes) = run(method, |writer| {
        note_three(&writer);
        std::process::exit(3)
    });
    assert_eq!(
        (result.unwrap_err().exit_code(), &notes[..]),
        (Some(3), ALL)
    );
}

pub(crate) fn handlers_do_not_run_at_another_end(method: StartMethod) {
    let ends: [fn(pipe::Writer) -> u32; 3] = [
        |writer| {
            note_three(&writer);
            process::exit(3)
        },
        |writer| {
            note_three(&writer);
            std::process::abort()
        },
        |writer| {
            note_three(&writer);
            process::exit_with_signal(process::Signal::TERM)
        },
    ];
    for end in ends {
        let (result, notes) = run(method, end);
        assert!(result.is_err());
        assert_eq!(notes, "");
    }
}

pub(crate) fn what_a_handler_does_costs_no_result(method: StartMethod) {
    let (result, notes) = run(method, |writer| {
        note(&writer, "after");
        process::at_exit(|| panic!("in a handler")).unwrap();
        note(&writer, "before ");
        8
    });
    assert_eq!((result.unwrap(), &notes[..]), (8, "before after"));
    let ends: [fn(pipe::Writer) -> u32; 3] = [
        |_| {
            process::at_exit(|| std::process::abort()).unwrap();
            9
        },
        |_| {
            process::at_exit(|| process::exit(1)).unwrap();
            9
        },
        |writer| {
            note(&writer, "the others still run");
            process::at_exit(|| std::process::exit(1)).unwrap();
            9
        },
    ];
    let told = ends.map(|end| {
        let (result, notes) = run(method, end);
        assert_eq!(result.unwrap(), 9);
        notes
    });
    assert_eq!(told, ["", "", "the others still run"]);
}

pub(crate) fn a_handler_may_use_the_library(method: StartMethod) {
    let (result, notes) = run(method, |writer| {
        process::at_exit(move || {
            // Registered later, and so the next.
            note(&writer, " and its own");
            let nested = writer.try_clone().unwrap();
            let mut nested = process::spawn(
                |writer: pipe::Writer| {
                    note(&writer, " at its end");
                    writer.write_all(b"a task").unwrap();
                },
                nested,
            )
            .unwrap();
            nested.join().unwrap();
        })
        .unwrap();
        10
    });
    assert_eq!(result.unwrap(), 10);
    assert_eq!(notes, "a task at its end and its own");
}

pub(crate) fn a_forked_copy_runs_its_own_handlers(method: StartMethod) {
    let (result, notes) = run(method, |writer| {
        note(&writer, "parent");
        match process::fork().unwrap() {
            Fork::Child => {
                note(&writer, "child ");
                std::process::exit(0)
            }
            Fork::Parent(child) => assert_eq!(child.wait().unwrap().code(), Some(0)),
        }
        match process::fork().unwrap() {
            Fork::Child => std::process::exit(0),
            Fork::Parent(child) => assert_eq!(child.wait().unwrap().code(), Some(0)),
        }
        11
    });
    assert_eq!((result.unwrap(), &notes[..]), (11, "child parent"));
}

/// Returns, and then hangs.
fn hang(writer: pipe::Writer) -> u32 {
    note(&writer, "not this one");
    process::at_exit(move || {
        writer.write_all(b"it hangs").unwrap();
        loop {
            std::thread::park();
        }
    })
    .unwrap();
    12
}

pub(crate) fn a_task_that_hangs_in_a_handler_is_stopped_and_has_its_result(method: StartMethod) {
    let (reader, writer) = pipe::pipe().unwrap();
    let mut task = by(method).spawn(hang, writer.try_clone().unwrap()).unwrap();
    let mut seen = [0; 8];
    assert_eq!(reader.read(&mut seen).unwrap(), 8);
    assert_eq!(&seen, b"it hangs");
    assert_eq!(task.stop(Stop::new()).unwrap(), 12);
    assert_eq!(notes(&reader, writer), "");
}

pub(crate) fn a_handler_that_hangs_is_ended_by_the_kernel() {
    let (result, notes) = run(StartMethod::ForkServer, hang);
    assert_eq!((result.unwrap(), &notes[..]), (12, "it hangs"));
    // Nobody knows what it would have returned.
    let (result, _) = run(StartMethod::ForkServer, |writer| {
        hang(writer);
        std::process::exit(3)
    });
    assert_eq!(result.unwrap_err().signal(), Some(process::Signal::KILL));
}

pub(crate) fn handlers_of_workers_run_after_their_last_task() {
    let (tasks, ended) = (Counter::new(0).unwrap(), Counter::new(0).unwrap());
    let register = |ended: Counter| {
        let counter = ended.clone();
        process::at_exit(move || {
            counter.add(1);
        })
        .unwrap();
        ended
    };
    let pool = Pool::builder()
        .workers(2)
        .initializer(register, ended.clone());
    let pool = pool.max_tasks_per_worker(3).build().unwrap();
    let count = |tasks: Counter| {
        tasks.add(1);
    };
    pool.for_each(count, vec![tasks.clone(); 30]).unwrap();
    let stats = pool.join();
    assert_eq!((tasks.get(), stats.deaths), (30, 0));
    assert!(ended.get() >= 10, "each worker has run three tasks at most");
    // Killed.
    let ended = Counter::new(0).unwrap();
    let pool = Pool::builder()
        .workers(1)
        .initializer(register, ended.clone());
    let pool = pool.build().unwrap();
    assert_eq!(pool.call(|x: u32| x, 1).unwrap(), 1);
    pool.terminate();
    assert_eq!(ended.get(), 0);
}

pub(crate) fn handlers_run_in_processes_that_are_no_tasks() {
    let (reader, writer) = pipe::pipe().unwrap();
    match process::fork().unwrap() {
        Fork::Child => {
            assert!(process::current().is_none());
            note_three(&writer);
            // Its server is ended after them.
            let two = process::spawn(|x: u32| x + 1, 1).unwrap().join().unwrap();
            process::at_exit(move || {
                let three = process::spawn(|x: u32| x + 1, two).unwrap().join();
                assert_eq!(three.unwrap(), 3);
            })
            .unwrap();
            std::process::exit(5)
        }
        Fork::Parent(child) => {
            assert_eq!(notes(&reader, writer), "three two one ");
            assert_eq!(child.wait().unwrap().code(), Some(5));
        }
    }
}
