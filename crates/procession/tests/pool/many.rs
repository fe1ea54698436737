use crate::{increment, pool};
use procession::process;
use std::time::Duration;

fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split_whitespace().nth(1).unwrap().parse().unwrap();
    pages * 4096
}

pub(crate) fn ten_million_need_little_memory() {
    let pool = pool();
    let before = resident();
    let count = 10_000_000;
    let mut sum = 0;
    let mut most = 0;
    for (number, result) in pool.imap(increment, 0..count).enumerate() {
        sum += result.unwrap();
        if number % 100_000 == 0 {
            most = most.max(resident());
        }
    }
    assert_eq!(sum, count * (count + 1) / 2);
    let grown = most.saturating_sub(before) >> 20;
    assert!(grown < 64, "{grown} MiB more");
}

/// One that takes long, when it is told.
fn wait_or_not((long, reader): (bool, procession::os::pipe::Reader)) -> u32 {
    if long {
        reader.read(&mut [0]).unwrap();
    }
    std::process::id()
}

pub(crate) fn a_long_task_does_not_keep_short_ones() {
    let pool = pool();
    let (reader, writer) = procession::os::pipe::pipe().unwrap();
    let argument = |long| (long, reader.try_clone().unwrap());
    let long = pool.spawn(wait_or_not, argument(true)).unwrap();
    let tasks: Vec<_> = (0..20)
        .map(|_| pool.spawn(wait_or_not, argument(false)).unwrap())
        .collect();
    // Whatever was sent to the busy worker, the other one does it.
    for task in tasks {
        task.join().unwrap();
    }
    writer.write_all(b"x").unwrap();
    long.join().unwrap();
}

fn short_at_first(x: u64) -> (u64, u32) {
    if x >= 50_000 {
        std::thread::sleep(Duration::from_millis(2));
    }
    (x, std::process::id())
}

pub(crate) fn a_batch_that_turns_out_long_is_shared() {
    let pool = pool();
    let count = 50_300;
    let results = pool.map(short_at_first, 0..count).unwrap();
    assert!(results.iter().map(|result| result.0).eq(0..count));
    let mut pids: Vec<u32> = results[50_000..].iter().map(|result| result.1).collect();
    pids.sort_unstable();
    pids.dedup();
    assert_eq!(pids.len(), 2, "one did it all");
}

pub(crate) fn a_thousand_handles_wait() {
    let pool = pool();
    let mut tasks: Vec<_> = (0..1000)
        .map(|n| pool.spawn(increment, n).unwrap())
        .collect();
    let order = [999, 0, 500, 1, 998, 250];
    for place in order.into_iter().rev() {
        assert!(
            tasks[place]
                .join_timeout(Duration::from_secs(3600))
                .unwrap()
                .is_ok()
        );
    }
    drop(tasks);
    assert!(pool.call(|()| process::current().is_some(), ()).unwrap());
}

pub(crate) fn arguments_that_are_here_do_not_wait_for_others() {
    let pool = pool();
    let done = procession::shared::Counter::new(0).unwrap();
    type Counter = procession::shared::Counter;
    let count = |done: &Counter, _: u64| {
        done.add(1);
    };
    let task = procession::process::Task::lend(done.clone(), count).unwrap();
    let quick = 20_000;
    // By then, chunks are large.
    let arguments = (0..quick + 20_u64).inspect(|number| {
        if *number > quick {
            std::thread::sleep(Duration::from_millis(3));
        }
        if *number > quick + 1 {
            // Those before the last one were not kept for it.
            let before = number.cast_signed() - 1;
            testkit::eventually("they are done", || done.get() >= before);
        }
    });
    pool.task(&task).for_each(arguments).unwrap();
}
