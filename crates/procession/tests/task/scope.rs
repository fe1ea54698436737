use crate::by;
use procession::os::pipe;
use procession::process::{self, StartMethod};
use procession::{Deadline, poll};
use std::os::fd::AsFd;

/// Ends when the pipe does.
fn follow(reader: pipe::Reader) {
    let _ = reader.read(&mut [0]);
}

pub(crate) fn a_scope_waits_for_all(method: StartMethod) {
    let (reader, writer) = pipe::pipe().unwrap();
    let mut seen = Vec::new();
    let joined = process::scope(|scope| {
        let task = || {
            by(method)
                .spawn(follow, reader.try_clone().unwrap())
                .unwrap()
        };
        let mut one = scope.adopt(task()).unwrap();
        let two = scope.adopt(task()).unwrap();
        let three = scope.adopt(task()).unwrap();
        for handle in [&one, &two, &three] {
            seen.push(handle.as_fd().try_clone_to_owned().unwrap());
        }
        writer.write_all(b"abc").unwrap();
        drop(two);
        std::mem::forget(three.name().to_owned());
        one.join().unwrap();
        "done"
    });
    assert_eq!(joined, "done");
    for pidfd in seen {
        poll::readable(&pidfd, Deadline::NOW).unwrap();
    }
}

pub(crate) fn a_panic_in_a_scope_kills_all(method: StartMethod) {
    let mut seen = Vec::new();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        process::scope(|scope| {
            for _ in 0..3 {
                let task = by(method).spawn(|()| std::thread::park(), ()).unwrap();
                let task = scope.adopt(task).unwrap();
                seen.push(task.as_fd().try_clone_to_owned().unwrap());
            }
            panic!("out of here");
        });
    }));
    assert!(panicked.is_err());
    for pidfd in seen {
        poll::readable(&pidfd, Deadline::NOW).unwrap();
    }
}
