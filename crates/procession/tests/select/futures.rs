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
        assert!(matches!(end, Err(RecvError::Disconnected(..))));
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
        assert!(matches!(refused, SendError::Disconnected(7, ..)));
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
        assert!(matches!(end, Err(RecvError::Disconnected(..))));
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
    let options = queue::Options::new().inline_bytes(8);
    let queues: Vec<_> = (0..100)
        .map(|_| options.capacity(1).anonymous::<usize>().unwrap())
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
        // Ours, the one that keeps shared objects, the one that calls wakers.
        assert_eq!(threads(), 3);
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

/// A waker that does something else than to wake.
struct Does<F: Fn() + Send + Sync>(F);

impl<F: Fn() + Send + Sync> std::task::Wake for Does<F> {
    fn wake(self: std::sync::Arc<Self>) {
        (self.0)();
    }
}

/// Has a waker called that does this, on account of a message; what it sends comes back.
fn call_from_waker<T: Send + 'static>(does: impl Fn() -> T + Send + Sync + 'static) -> T {
    let (done, is_done) = std::sync::mpsc::channel();
    let (sender, receiver) = queue::bounded::<u8>(2).unwrap();
    let does = Does(move || {
        let _ = done.send(does());
    });
    let waker = std::task::Waker::from(std::sync::Arc::new(does));
    let mut context = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(receiver.recv_async());
    assert!(future.as_mut().poll(&mut context).is_pending());
    sender.send(1).unwrap();
    is_done.recv_timeout(LONG).unwrap()
}

/// Whether another process finds us alive: it does not get what we hold.
fn still_holds(mutex: &procession::sync::Mutex<u8>) -> bool {
    let asks = |mutex: procession::sync::Mutex<u8>| {
        let outcome = mutex.lock_timeout(Duration::from_millis(300)).map(drop);
        outcome.is_err_and(|error| error.kind() == procession::ErrorKind::TimedOut)
    };
    process::spawn(asks, mutex.clone()).unwrap().join().unwrap()
}

/// Panics when it is called, and again when it is dropped, and with something that
/// panics when it is dropped.
struct Panics;

impl Drop for Panics {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("on purpose, in a destructor");
        }
    }
}

impl std::task::Wake for Panics {
    fn wake(self: std::sync::Arc<Self>) {
        std::panic::panic_any(Panics);
    }
}

pub(crate) fn a_waker_that_panics_ends_nothing() {
    let mutex = procession::sync::Mutex::new(0_u8).unwrap();
    let held = mutex.lock().unwrap();
    for _ in 0..3 {
        let (sender, receiver) = queue::bounded::<u8>(2).unwrap();
        let waker = std::task::Waker::from(std::sync::Arc::new(Panics));
        let mut context = std::task::Context::from_waker(&waker);
        let mut future = Box::pin(receiver.recv_async());
        assert!(future.as_mut().poll(&mut context).is_pending());
        sender.send(1).unwrap();
        // The last one is called by then, and this one is called after it.
        assert_eq!(call_from_waker(|| 7), 7);
        drop(future);
        std::mem::forget(waker);
    }
    assert!(still_holds(&mutex));
    drop(held);
}

pub(crate) fn a_waker_has_an_ordinary_stack_and_may_call_back() {
    let used = call_from_waker(|| {
        let deep = [1_u8; 512 * 1024];
        std::hint::black_box(&deep)
            .iter()
            .map(|&byte| usize::from(byte))
            .sum::<usize>()
    });
    assert_eq!(used, 512 * 1024);
    let came = call_from_waker(|| {
        let (sender, receiver) = queue::bounded::<u8>(1).unwrap();
        sender.send(9).unwrap();
        let mut task = process::spawn(|number: u8| number + 1, 9).unwrap();
        assert_eq!(task.join().unwrap(), 10);
        block_on(receiver.recv_async()).unwrap()
    });
    assert_eq!(came, 9);
}

pub(crate) fn a_waker_that_does_not_return_keeps_nobody_from_anything() {
    let mutex = procession::sync::Mutex::new(0_u8).unwrap();
    let (go, may_go) = std::sync::mpsc::channel::<()>();
    let may_go = std::sync::Arc::new(std::sync::Mutex::new(may_go));
    let (sender, receiver) = queue::bounded::<u8>(8).unwrap();
    let mut stuck = Vec::new();
    for _ in 0..3 {
        let may_go = std::sync::Arc::clone(&may_go);
        let waits = Does(move || {
            let _ = may_go.lock().unwrap().recv();
        });
        let waker = std::task::Waker::from(std::sync::Arc::new(waits));
        let mut context = std::task::Context::from_waker(&waker);
        let mut future = Box::pin(async { receiver.recv_async().await });
        assert!(future.as_mut().poll(&mut context).is_pending());
        stuck.push(future);
    }
    for number in 0..3 {
        sender.send(number).unwrap();
    }
    // Others are called all the same, and deaths are noticed.
    assert_eq!(call_from_waker(|| 7), 7);
    let mut task = process::spawn(
        |mutex: procession::sync::Mutex<u8>| {
            std::mem::forget(mutex.lock().unwrap());
            process::exit(0);
        },
        mutex.clone(),
    )
    .unwrap();
    let _: Result<(), _> = task.join();
    let outcome = mutex.lock_timeout(LONG).map(drop);
    let outcome = outcome.map_err(|error| error.kind());
    assert_eq!(outcome, Err(procession::ErrorKind::OwnerDead));
    // But a copy of the process would not have the stuck threads' locks.
    let error = process::fork().map(drop).unwrap_err();
    assert_eq!(error.kind(), procession::ErrorKind::MultiThreaded);
    drop(go);
    drop(stuck);
    for _ in 0..3 {
        assert_eq!(call_from_waker(|| 7), 7);
    }
    // And now they wait for work, all but one of them gone.
    let start = std::time::Instant::now();
    let child = loop {
        match process::fork() {
            Ok(process::Fork::Parent(child)) => break child,
            Ok(process::Fork::Child) => process::exit(i32::from(call_from_waker(|| 7) != 7)),
            Err(error) => assert!(start.elapsed() < LONG, "{error}"),
        }
    };
    assert!(child.wait().unwrap().success());
}

pub(crate) fn a_waker_may_not_fork() {
    let kind = call_from_waker(|| process::fork().map(drop).map_err(|error| error.kind()));
    assert_eq!(kind, Err(procession::ErrorKind::MultiThreaded));
}
