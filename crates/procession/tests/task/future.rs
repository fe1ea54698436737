//! Handles as futures.

use crate::{Body, METHODS, by};
use procession::os::pipe;
use procession::process::{Signal, StartMethod, TaskError};
use std::time::Duration;
use testkit::Test;

pub(crate) fn tests() -> Vec<Test> {
    let bodies: [(&str, Body); 3] = [
        ("awaiting_joins", awaiting_joins),
        ("a_death_ends_the_wait", a_death_ends_the_wait),
        ("fifty_are_awaited_at_once", fifty_are_awaited_at_once),
    ];
    let mut tests = Vec::new();
    for (name, body) in bodies {
        for method in METHODS {
            let name = format!("future::{name}::{method}");
            tests.push(Test::new(name, move || body(method)));
        }
    }
    tests
}

fn run(future: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future);
}

fn awaiting_joins(method: StartMethod) {
    run(async {
        let (reader, writer) = pipe::pipe().unwrap();
        let task = by(method)
            .spawn(
                |reader: pipe::Reader| reader.read(&mut [0; 9]).unwrap(),
                reader,
            )
            .unwrap();
        tokio::pin!(task);
        let soon = Duration::from_millis(5);
        assert!(tokio::time::timeout(soon, &mut task).await.is_err());
        writer.write_all(b"four").unwrap();
        assert_eq!(task.await.unwrap(), 4);
        // One that has ended long ago.
        let done = by(method).spawn(|x: u8| x, 3).unwrap();
        procession::poll::readable(&done, procession::Deadline::NEVER).unwrap();
        assert_eq!(done.await.unwrap(), 3);
    });
}

fn a_death_ends_the_wait(method: StartMethod) {
    run(async {
        let task = by(method).spawn(|()| std::thread::park(), ()).unwrap();
        task.kill().unwrap();
        assert_eq!(task.await.unwrap_err().signal(), Some(Signal::KILL));
        let exits = by(method).spawn(|()| -> () { std::process::exit(4) }, ());
        assert!(matches!(
            exits.unwrap().await,
            Err(TaskError::Exited(4, ..))
        ));
        let panics = by(method).spawn(|()| -> () { panic!("now") }, ());
        assert!(matches!(
            panics.unwrap().await,
            Err(TaskError::Panicked(..))
        ));
    });
}

fn fifty_are_awaited_at_once(method: StartMethod) {
    run(async {
        let mut set = tokio::task::JoinSet::new();
        for number in 0..50_u32 {
            let task = by(method).spawn(|number: u32| number * 3, number).unwrap();
            set.spawn(async move { (number, task.await) });
        }
        while let Some(joined) = set.join_next().await {
            let (number, result) = joined.unwrap();
            assert_eq!(result.unwrap(), number * 3);
        }
    });
}
