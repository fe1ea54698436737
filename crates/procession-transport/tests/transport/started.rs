//! Every transport with workers that were not forked from the receiver.

use crate::conformance::{Body, open, pattern};
use crate::is_available;
use procession::process::{self, Signal, StartMethod};
use procession::{ErrorKind, task};
use procession_transport::{Event, SenderToken, Transport, WorkerFailure, WorkerGroup};
use std::collections::BTreeMap;

const METHODS: [StartMethod; 2] = [StartMethod::ForkServer, StartMethod::Spawn];

const SIZES: [usize; 7] = [0, 1, 24, 4096, 65_537, 300_000, 1_048_577];

pub(crate) const BODIES: &[Body] = &[
    ("started_workers_send_messages_of_any_size", any_size),
    ("a_started_worker_that_is_killed_is_named", killed),
    ("a_started_worker_tells_why_it_failed", told),
];

fn any_size(transport: Transport) {
    if !is_available(transport) {
        return;
    }
    for method in METHODS {
        let work = task!([] |token: SenderToken| {
            token.work(|worker, sender| {
                let mut messages = SIZES.iter().enumerate();
                messages.try_for_each(|(number, size)| sender.send(&pattern(worker, number, *size)))
            })
        });
        let mut group = WorkerGroup::spawn(open(transport, 4), method, &work).unwrap();
        let mut messages = BTreeMap::<usize, usize>::new();
        let mut finished = 0;
        while let Some(event) = group.next().unwrap() {
            match event {
                Event::Message { worker, bytes } => {
                    let number = messages.entry(worker).or_default();
                    assert!(bytes == pattern(worker, *number, SIZES[*number]));
                    *number += 1;
                }
                Event::Finished { .. } => finished += 1,
                Event::Failed(error) => panic!("{error}"),
            }
        }
        assert_eq!(finished, 4);
        assert!(messages.values().all(|count| *count == SIZES.len()));
    }
}

fn killed(transport: Transport) {
    if !is_available(transport) {
        return;
    }
    for method in METHODS {
        let work = task!([] |token: SenderToken| {
            token.work(|worker, sender| {
                sender.send(&[worker as u8])?;
                if worker == 1 {
                    process::send_signal_to_self(Signal::KILL)?;
                }
                procession::Result::Ok(())
            })
        });
        let mut group = WorkerGroup::spawn(open(transport, 3), method, &work).unwrap();
        let (mut finished, mut failed, mut messages) = (0, Vec::new(), 0);
        while let Some(event) = group.next().unwrap() {
            match event {
                Event::Message { .. } => messages += 1,
                Event::Finished { .. } => finished += 1,
                Event::Failed(error) => failed.push(error),
            }
        }
        assert_eq!((finished, failed.len()), (2, 1));
        assert!(messages >= 2);
        assert_eq!(
            (failed[0].worker, failed[0].signal()),
            (1, Some(Signal::KILL))
        );
    }
}

fn told(transport: Transport) {
    if !is_available(transport) {
        return;
    }
    for method in METHODS {
        let work = task!([] |token: SenderToken| {
            token.work(|worker, _| match worker {
                0 => Err("not today"),
                _ => panic!("not ever"),
            })
        });
        let mut group = WorkerGroup::spawn(open(transport, 2), method, &work).unwrap();
        let mut reasons = BTreeMap::new();
        while let Some(event) = group.next().unwrap() {
            match event {
                Event::Failed(error) => match error.failure {
                    WorkerFailure::Reported(reason) => drop(reasons.insert(error.worker, reason)),
                    other => panic!("{other:?}"),
                },
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(reasons[&0], "not today");
        assert_eq!(reasons[&1], "panicked: not ever");
        // A group that is dropped leaves nobody.
        let work = task!([] |token: SenderToken| {
            token.work(|_, _| -> procession::Result<()> { loop { std::thread::park() } })
        });
        drop(WorkerGroup::spawn(open(transport, 2), method, &work).unwrap());
        let error = WorkerGroup::spawn(open(transport, 1), StartMethod::Fork, &work).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
}
