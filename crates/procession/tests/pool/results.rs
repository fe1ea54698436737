use crate::{increment, pool};
use procession::pool::{self, Pool};
use procession::process::{self, Task};
use procession::{Handle, task};
use std::fs::File;
use std::future::Future;
use std::io::{Read, Seek, Write};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};

pub(crate) fn all_results_come_in_order() {
    let pool = pool();
    for count in [1, 2, 3, 10, 1000, 100_000] {
        let results = pool.map(increment, 0..count).unwrap();
        assert!(results.into_iter().eq(1..=count));
    }
    let words: Vec<String> = (0..5000).map(|n| "x".repeat(n % 300)).collect();
    let lengths = pool.map(|word: String| word.len(), words.clone()).unwrap();
    assert!(lengths.into_iter().eq(words.iter().map(String::len)));
}

pub(crate) fn no_arguments_have_no_results() {
    let pool = pool();
    assert_eq!(pool.map(increment, []).unwrap(), []);
    assert!(pool.imap(increment, []).next().is_none());
    assert_eq!(pool.map_reduce(increment, u64::max, []).unwrap(), None);
}

pub(crate) fn unordered_results_come_with_their_places() {
    let pool = pool();
    let mut seen = vec![false; 20_000];
    let mut results = pool.imap_unordered(increment, 0..20_000);
    while let Some((index, result)) = results.next_indexed() {
        assert_eq!(result.unwrap(), index + 1);
        assert!(!std::mem::replace(&mut seen[index as usize], true));
    }
    assert!(seen.into_iter().all(|seen| seen));
}

pub(crate) fn results_come_while_arguments_are_without_end() {
    let pool = pool();
    let mut results = pool.imap(increment, 0..);
    for expected in 1..50_000 {
        assert_eq!(results.next().unwrap().unwrap(), expected);
    }
    drop(results);
    assert_eq!(pool.call(increment, 1).unwrap(), 2);
}

pub(crate) fn no_more_arguments_are_taken_than_may_be() {
    let pool = pool();
    let taken = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&taken);
    let arguments = (0_u64..).inspect(move |_| {
        counter.fetch_add(1, Ordering::Relaxed);
    });
    let mut results = pool.calls(increment).look_ahead(10).imap(arguments);
    for given in 1..1000 {
        assert_eq!(results.next().unwrap().unwrap(), given);
        let ahead = taken.load(Ordering::Relaxed) - (given - 1);
        assert!(ahead <= 10, "{ahead} arguments in advance");
    }
}

pub(crate) fn chunks_of_every_size_are_the_same() {
    let pool = pool();
    for size in [1, 2, 7, 100, 5000, 1 << 20] {
        let results = pool.calls(increment).chunk_size(size).map(0..20_000);
        assert!(results.unwrap().into_iter().eq(1..=20_000), "of {size}");
    }
}

pub(crate) fn captured_and_lent_values_are_there() {
    let pool = pool();
    let offset = 1000_u64;
    let shift = task!([offset] |x: u64| x + offset);
    assert_eq!(pool.task(&shift).map(0..3).unwrap(), [1000, 1001, 1002]);
    let table: Vec<u64> = (0..100_000).map(|x| x * x).collect();
    let look_up = Task::lend(table, |table: &Vec<u64>, x: usize| table[x]).unwrap();
    let found = pool.task(&look_up).map(0..1000).unwrap();
    assert!(found.into_iter().eq((0..1000).map(|x| x * x)));
    assert_eq!(pool.task(&shift).call(1).unwrap(), 1001);
    // Tasks that come and go are forgotten, here and there.
    for number in 0..2000_u64 {
        let task = task!([number] |x: u64| x + number);
        assert_eq!(pool.task(&task).call(1).unwrap(), number + 1);
    }
    let file = Handle::new(tempfile::tempfile().unwrap());
    let write = task!([file] |text: String| (&*file).write_all(text.as_bytes()).unwrap());
    let texts = ["a", "b", "c"].map(str::to_owned);
    pool.task(&write).for_each(texts).unwrap();
}

#[process::task(name = "pool-test-triple")]
fn triple(x: u64) -> u64 {
    3 * x
}

pub(crate) fn named_tasks_run() {
    let task = Task::<u64, u64>::named("pool-test-triple").unwrap();
    assert_eq!(pool().task(&task).map(0..4).unwrap(), [0, 3, 6, 9]);
}

pub(crate) fn results_are_reduced() {
    let pool = pool();
    let sum = pool
        .map_reduce(increment, |a, b| a + b, 0..100_000)
        .unwrap();
    assert_eq!(sum, Some(5_000_050_000));
    let longest = pool.map_reduce(
        |word: String| word,
        String::max,
        ["a", "c", "b"].map(str::to_owned),
    );
    assert_eq!(longest.unwrap().unwrap(), "c");
    let arguments = (0_u64..).take_while(|x| *x < 10_000);
    let most = pool.map_reduce(increment, u64::max, arguments).unwrap();
    assert_eq!(most, Some(10_000));
}

pub(crate) fn results_of_tasks_are_reduced() {
    let pool = pool();
    let sum = |a: u64, b: u64| a + b;
    let offset = 5_u64;
    let shift = task!([offset] |x: u64| x + offset);
    let shifted = pool.task(&shift).map_reduce(sum, 0..1000);
    assert_eq!(shifted.unwrap(), Some(499_500 + 5000));
    assert_eq!(pool.task(&shift).map_reduce(sum, []).unwrap(), None);
    let named = Task::<u64, u64>::named("pool-test-triple").unwrap();
    let tripled = pool.task(&named).map_reduce(sum, 0..1000);
    assert_eq!(tripled.unwrap(), Some(3 * 499_500));
    let plain = Task::new(increment).unwrap();
    let plain = pool.task(&plain).map_reduce(sum, 0..1000);
    assert_eq!(plain.unwrap(), Some(499_500 + 1000));
    let zero = 0_u64;
    let divide = task!([zero] |x: u64| 1 / (x * (1 - zero)));
    let error = pool.task(&divide).map_reduce(sum, [1, 0, 1]).unwrap_err();
    assert!(error.panic().is_some() && error.index() == Some(1));
    // `Task::new` is reduced by workers.
    let lost = Task::new(divide_into_one).unwrap();
    let error = pool.task(&lost).map_reduce(sum, [1, 0, 1]).unwrap_err();
    assert!(error.panic().is_some());
}

fn divide_into_one(x: u64) -> u64 {
    1 / x
}

/// The compiler may make one function of the two.
fn as_signed(x: i64) -> i64 {
    x
}
fn as_unsigned(x: u64) -> u64 {
    x
}

pub(crate) fn a_function_is_known_by_its_types_too() {
    let pool = pool();
    assert_eq!(pool.call(as_signed, -5).unwrap(), -5);
    assert_eq!(pool.call(as_unsigned, 1 << 63).unwrap(), 1 << 63);
    assert_eq!(pool.call(as_signed, -7).unwrap(), -7);
}

struct Unpark(std::thread::Thread);

impl std::task::Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut context = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            std::task::Poll::Ready(value) => return value,
            std::task::Poll::Pending => std::thread::park(),
        }
    }
}

pub(crate) fn futures_and_callbacks_are_told() {
    let pool = pool();
    for number in 0..200 {
        assert_eq!(
            block_on(pool.spawn(increment, number).unwrap()).unwrap(),
            number + 1
        );
    }
    let failed = block_on(pool.spawn(|()| std::process::abort(), ()).unwrap());
    let failed: Result<(), _> = failed;
    assert!(failed.unwrap_err().signal().is_some());
    let (sender, results) = mpsc::channel();
    for number in 0..1000_u64 {
        let sender = sender.clone();
        let task = pool.spawn(increment, number).unwrap();
        task.on_done(move |result| sender.send((number, result.unwrap())).unwrap());
    }
    drop(sender);
    let mut all: Vec<_> = results.iter().collect();
    all.sort_unstable();
    assert!(all.into_iter().eq((0..1000).map(|n| (n, n + 1))));
    // One that may go on waits for nobody who asks.
    let task = pool.spawn(increment, 1).unwrap();
    while !task.is_finished() {
        std::thread::yield_now();
    }
    assert_eq!(block_on(task).unwrap(), 2);
}

pub(crate) fn a_panicking_callback_stops_nobody() {
    let pool = pool();
    let (sender, results) = mpsc::channel();
    std::panic::set_hook(Box::new(|_| {}));
    pool.spawn(increment, 1).unwrap().on_done(|_| panic!("no"));
    pool.spawn(increment, 2)
        .unwrap()
        .on_done(move |result| sender.send(result).unwrap());
    assert_eq!(results.recv().unwrap().unwrap(), 3);
}

pub(crate) fn many_threads_use_one_pool() {
    let pool = pool();
    std::thread::scope(|scope| {
        for thread in 0..8_u64 {
            let pool = &pool;
            scope.spawn(move || {
                for round in 0..20 {
                    let first = thread * 1_000_000 + round * 1000;
                    let results = pool.map(increment, first..first + 200).unwrap();
                    assert!(results.into_iter().eq(first + 1..=first + 200));
                    assert_eq!(pool.call(increment, first).unwrap(), first + 1);
                }
            });
        }
    });
}

pub(crate) fn two_pools_work_at_once() {
    let (one, two) = (pool(), pool());
    let mut first = one.imap(increment, 0..5000);
    let mut second = two.imap(|x: u64| x * 2, 0..5000);
    for number in 0..5000 {
        assert_eq!(first.next().unwrap().unwrap(), number + 1);
        assert_eq!(second.next().unwrap().unwrap(), number * 2);
    }
}

pub(crate) fn a_task_may_have_a_pool() {
    let nested = |x: u64| {
        let pool = Pool::new(2).unwrap();
        pool.map(increment, 0..x).unwrap().len()
    };
    assert_eq!(pool().map(nested, [1, 10, 100]).unwrap(), [1, 10, 100]);
}

/// How many came before it in this process.
fn place_in_order((): ()) -> usize {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    COUNT.fetch_add(1, Ordering::Relaxed)
}

pub(crate) fn priorities_are_heeded() {
    let pool = Pool::new(1).unwrap();
    let (reader, writer) = procession::os::pipe::pipe().unwrap();
    let wait = |reader: procession::os::pipe::Reader| drop(reader.read(&mut [0]));
    let gate = pool.spawn(wait, reader).unwrap();
    let tasks: Vec<_> = (0..20)
        .map(|number| {
            let priority = number % 4;
            let task = pool.calls(place_in_order).priority(priority);
            (priority, task.spawn(()).unwrap())
        })
        .collect();
    writer.write_all(b"x").unwrap();
    gate.join().unwrap();
    let mut order: Vec<_> = tasks
        .into_iter()
        .map(|(priority, task)| (task.join().unwrap(), priority))
        .collect();
    order.sort_unstable();
    let order: Vec<_> = order.into_iter().map(|(_, priority)| priority).collect();
    // One had been sent to the worker before the others came.
    let waited = &order[1..];
    assert!(waited.is_sorted_by(|a, b| a >= b), "{order:?}");
}

pub(crate) fn handles_travel_in_arguments_and_results() {
    let pool = pool();
    let mut file = tempfile::tempfile().unwrap();
    let write = |file: Handle<File>| {
        (&*file).write_all(b"written elsewhere").unwrap();
        file
    };
    let copies: Vec<_> = (0..10)
        .map(|_| Handle::new(file.try_clone().unwrap()))
        .collect();
    let back = pool.map(write, copies).unwrap();
    assert_eq!(back.len(), 10);
    let mut text = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    assert_eq!(text, "written elsewhere".repeat(10));
}

pub(crate) fn state_is_made_once_and_ended_once() {
    let (log, lines) = procession::queue::bounded::<String>(100).unwrap();
    type Log = procession::queue::Sender<String>;
    struct State(Log, u32);
    let begin = |log: Log| {
        log.send("begun".to_owned()).unwrap();
        State(log, 0)
    };
    let end = |state: &mut State| state.0.send(format!("ended after {}", state.1)).unwrap();
    let pool = Pool::builder()
        .workers(1)
        .initializer(begin, log.clone())
        .finalizer(end);
    let pool = pool.build().unwrap();
    drop(log);
    let count = |(): ()| {
        pool::with_state(|state: &mut State| {
            state.1 += 1;
            state.1
        })
    };
    assert_eq!(pool.map(count, [(); 5]).unwrap(), [1, 2, 3, 4, 5]);
    let wrong = pool.call(|()| pool::with_state(|text: &mut String| text.len()), ());
    assert!(
        wrong
            .unwrap_err()
            .panic()
            .unwrap()
            .message
            .contains("String")
    );
    pool.join();
    let lines: Vec<_> = lines.iter().collect();
    assert_eq!(lines, ["begun", "ended after 5"]);
}

pub(crate) fn a_dropped_handle_lets_the_task_go_on() {
    let pool = pool();
    let (sender, receiver) = procession::queue::bounded::<u64>(100).unwrap();
    let send = Task::lend(sender, |sender: &procession::queue::Sender<u64>, x: u64| {
        sender.send(x).unwrap();
    });
    let send = send.unwrap();
    for number in 0..50 {
        pool.task(&send).spawn(number).unwrap().detach();
    }
    let mut all: Vec<u64> = (0..50).map(|_| receiver.recv().unwrap()).collect();
    all.sort_unstable();
    assert!(all.into_iter().eq(0..50));
}

pub(crate) fn the_first_of_several_tasks_is_waited_for() {
    use procession::{Deadline, ErrorKind, pool::wait_any, pool::wait_first_failure};
    let pool = Pool::new(2).unwrap();
    let soon = Deadline::after(std::time::Duration::from_millis(5));
    let hang = |_: u64| -> u64 {
        loop {
            std::thread::park();
        }
    };
    let mut tasks = vec![
        pool.spawn(hang, 0).unwrap(),
        pool.spawn(increment, 1).unwrap(),
    ];
    assert_eq!(wait_any(&tasks, Deadline::NEVER).unwrap(), 1);
    assert_eq!(wait_any(&tasks, Deadline::NOW).unwrap(), 1);
    let error = wait_first_failure(&tasks, soon).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    let error = wait_any(&tasks[..1], Deadline::NOW).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    tasks[0].cancel();
    assert_eq!(
        wait_first_failure(&tasks, Deadline::NEVER).unwrap(),
        Some(0)
    );
    assert!(tasks.remove(0).join().unwrap_err().is_cancelled());
    assert_eq!(wait_first_failure(&tasks, Deadline::NEVER).unwrap(), None);
    assert_eq!(tasks[0].try_join().unwrap().unwrap(), 2);
    // What was joined has ended, and well.
    assert_eq!(wait_any(&tasks, Deadline::NOW).unwrap(), 0);
    assert_eq!(wait_first_failure(&tasks, Deadline::NOW).unwrap(), None);
    tasks.push(Pool::new(1).unwrap().spawn(increment, 1).unwrap());
    for error in [
        wait_any(&tasks, Deadline::NOW).unwrap_err(),
        wait_first_failure(&tasks, Deadline::NOW).unwrap_err(),
        wait_any::<u64>(&[], Deadline::NEVER).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    }
    // A worker that dies is a failure, and one that is tried again is none.
    let abort = |x: u64| -> u64 { if x == 0 { std::process::abort() } else { x } };
    let tasks = [1, 0, 2].map(|x| pool.spawn(abort, x).unwrap());
    assert_eq!(
        wait_first_failure(&tasks, Deadline::NEVER).unwrap(),
        Some(1)
    );
}
