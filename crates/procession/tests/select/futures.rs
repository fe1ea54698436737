use crate::LONG;
use procession::channel::{Flavor, Options};
use procession::process;
use procession::queue::{self, Receiver, RecvError, SendError, Sender};
use procession::sync::Event;
use std::future::Future;
use std::time::Duration;

/// Runs a future, with an end.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async { tokio::time::timeout(LONG, future).await.unwrap() })
}

pub(crate) fn a_message_is_awaited() {
    let (sender, receiver) = queue::bounded(2).unwrap();
    let mut task = process::spawn(
        |sender: Sender<u32>| (0..300).for_each(|number| sender.send(number).unwrap()),
        sender,
    )
    .unwrap();
    block_on(async {
        for number in 0..300 {
            assert_eq!(receiver.recv_async().await.unwrap(), number);
        }
        let end = receiver.recv_async().await;
        assert!(matches!(end, Err(RecvError::Disconnected)));
    });
    task.join().unwrap();
}

pub(crate) fn room_is_awaited() {
    let (sender, receiver) = queue::bounded(1).unwrap();
    let mut task = process::spawn(
        |receiver: Receiver<u32>| receiver.iter().take(300).sum::<u32>(),
        receiver,
    )
    .unwrap();
    block_on(async {
        for number in 0..300 {
            sender.send_async(number).await.unwrap();
        }
        // There is room for one more, and nobody who would take it.
        let refused = loop {
            if let Err(error) = sender.send_async(7).await {
                break error;
            }
        };
        assert!(matches!(refused, SendError::Disconnected(7)));
    });
    assert_eq!(task.join().unwrap(), 299 * 150);
}

pub(crate) fn an_event_is_awaited() {
    let (event, answered) = (Event::auto_reset().unwrap(), Event::auto_reset().unwrap());
    let (ours, theirs) = (event.clone(), answered.clone());
    let mut task = process::spawn(
        |(event, answered): (Event, Event)| {
            for _ in 0..100 {
                event.set().unwrap();
                answered.wait().unwrap();
            }
        },
        (event, answered),
    )
    .unwrap();
    block_on(async {
        for _ in 0..100 {
            ours.wait_async().await.unwrap();
            theirs.set().unwrap();
        }
    });
    task.join().unwrap();
}

pub(crate) fn channels_are_awaited() {
    for flavor in [Flavor::Shared, Flavor::Packets, Flavor::Pipe] {
        let (mut ours, theirs) = Options::new().flavor(flavor).duplex::<u32, u32>().unwrap();
        let mut task = process::spawn(
            |theirs: procession::channel::Endpoint<u32, u32>| {
                for number in theirs.iter() {
                    theirs.send(number + 1).unwrap();
                }
            },
            theirs,
        )
        .unwrap();
        block_on(async {
            for number in 0..100 {
                ours.send(number).unwrap();
                assert_eq!(ours.recv_async().await.unwrap(), number + 1);
            }
        });
        drop(ours);
        task.join().unwrap();
    }
}

pub(crate) fn the_end_is_awaited() {
    let (sender, receiver) = queue::bounded::<u8>(1).unwrap();
    let mut task: process::JoinHandle<()> = process::spawn(
        |_: Sender<u8>| loop {
            std::thread::park();
        },
        sender,
    )
    .unwrap();
    block_on(async {
        let waits = receiver.recv_async();
        let kills = async {
            tokio::task::yield_now().await;
            task.kill().unwrap();
        };
        let (end, ()) = tokio::join!(waits, kills);
        assert!(matches!(end, Err(RecvError::Disconnected)));
    });
    let _ = task.join();
}

pub(crate) fn a_dropped_future_has_received_nothing() {
    let (sender, receiver) = queue::bounded(4).unwrap();
    block_on(async {
        for number in 0..50 {
            let short = Duration::from_micros(300);
            let early = tokio::time::timeout(short, receiver.recv_async()).await;
            assert!(early.is_err());
            sender.send(number).unwrap();
            assert_eq!(receiver.recv_async().await.unwrap(), number);
        }
    });
    // A future that was told, and is dropped, tells another one.
    block_on(async {
        for number in 0..50 {
            let mut first = Box::pin(receiver.recv_async());
            let mut second = Box::pin(receiver.recv_async());
            let waits = std::future::poll_fn(|context| {
                assert!(first.as_mut().poll(context).is_pending());
                assert!(second.as_mut().poll(context).is_pending());
                std::task::Poll::Ready(())
            });
            waits.await;
            sender.send(number).unwrap();
            drop(first);
            assert_eq!(second.await.unwrap(), number);
        }
    });
}

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

pub(crate) fn a_hundred_queues_take_no_thread_each() {
    let options = queue::Options::new().usual_message(8);
    let queues: Vec<_> = (0..100)
        .map(|_| options.bounded::<usize>(1).unwrap())
        .collect();
    block_on(async {
        let mut waits = Vec::new();
        for (_, receiver) in &queues {
            let receiver = receiver.clone();
            waits.push(Box::pin(async move { receiver.recv_async().await }));
        }
        std::future::poll_fn(|context| {
            for future in &mut waits {
                assert!(future.as_mut().poll(context).is_pending());
            }
            std::task::Poll::Ready(())
        })
        .await;
        // Ours, and the one that keeps shared objects.
        assert_eq!(threads(), 2);
        for (index, (sender, _)) in queues.iter().enumerate().rev() {
            sender.send(index).unwrap();
        }
        for (index, future) in waits.into_iter().enumerate() {
            assert_eq!(future.await.unwrap(), index);
        }
    });
}

fn program_of_futures((comes, goes): (Receiver<u32>, Sender<u32>)) {
    block_on(async {
        while let Ok(number) = comes.recv_async().await {
            goes.send_async(number + 1).await.unwrap();
        }
    });
}

pub(crate) fn two_programs_of_futures_talk() {
    let (there, comes) = queue::bounded(1).unwrap();
    let (goes, back) = queue::bounded(1).unwrap();
    let mut task = process::spawn(program_of_futures, (comes, goes)).unwrap();
    block_on(async {
        let sends = async {
            for number in 0..500 {
                there.send_async(number).await.unwrap();
            }
        };
        let receives = async {
            for number in 0..500 {
                assert_eq!(back.recv_async().await.unwrap(), number + 1);
            }
        };
        tokio::join!(sends, receives);
    });
    drop(there);
    task.join().unwrap();
}

/// A task that is dropped by whoever wakes it, on the spot.
struct Dropped {
    future: std::sync::Mutex<Option<std::pin::Pin<Box<dyn Future<Output = ()> + Send>>>>,
    done: std::sync::mpsc::Sender<()>,
}

impl std::task::Wake for Dropped {
    fn wake(self: std::sync::Arc<Self>) {
        let future = self.future.lock().unwrap().take();
        drop(future);
        self.done.send(()).unwrap();
    }
}

pub(crate) fn who_is_told_may_end_other_watches_at_once() {
    let (sender, receiver) = queue::bounded::<u8>(2).unwrap();
    let (done, is_done) = std::sync::mpsc::channel();
    let (one, two) = (receiver.clone(), receiver.clone());
    let task = std::sync::Arc::new(Dropped {
        future: std::sync::Mutex::new(None),
        done,
    });
    let waker = std::task::Waker::from(std::sync::Arc::clone(&task));
    let mut context = std::task::Context::from_waker(&waker);
    let mut future: std::pin::Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(async move {
        let (_one, _two) = tokio::join!(one.recv_async(), two.recv_async());
    });
    assert!(future.as_mut().poll(&mut context).is_pending());
    *task.future.lock().unwrap() = Some(future);
    sender.send(1).unwrap();
    is_done.recv_timeout(LONG).unwrap();
    // And the thread that told goes on telling.
    block_on(async {
        assert_eq!(receiver.recv_async().await.unwrap(), 1);
    });
}
