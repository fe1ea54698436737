use crate::{OTHER, as_user, child, is_asleep, succeeds};
use procession::os::sysv::{
    Flags, Key, MessageQueue, Operation, Select, SemaphoreSet, SharedMemory,
};
use procession::{Deadline, ErrorKind};
use std::time::{Duration, Instant};

fn queue() -> MessageQueue {
    MessageQueue::create(Key::PRIVATE).unwrap()
}

pub(crate) fn message_types_select() {
    let queue = queue();
    let fill = || {
        for kind in [3, 1, 2, 1, 3] {
            queue.send(kind, format!("{kind}").as_bytes()).unwrap();
        }
    };
    let kinds = |select: Select| {
        let mut kinds = Vec::new();
        while let Ok((bytes, kind)) = queue.try_receive(select) {
            assert_eq!(bytes, format!("{kind}").as_bytes());
            kinds.push(kind);
        }
        kinds
    };
    fill();
    assert_eq!(kinds(Select::First), [3, 1, 2, 1, 3]);
    fill();
    assert_eq!(kinds(Select::Type(1)), [1, 1]);
    assert_eq!(kinds(Select::UpTo(2)), [2]);
    assert_eq!(kinds(Select::First), [3, 3]);
    fill();
    assert_eq!(kinds(Select::UpTo(3)), [1, 1, 2, 3, 3], "lowest type first");
    fill();
    assert_eq!(kinds(Select::Except(1)), [3, 2, 3]);
    for kind in [0, -1, i64::MIN] {
        assert_eq!(
            queue.send(kind, b"x").unwrap_err().kind(),
            ErrorKind::InvalidInput
        );
        assert_eq!(
            queue.try_receive(Select::Type(kind)).unwrap_err().kind(),
            ErrorKind::InvalidInput
        );
    }
    queue.remove().unwrap();
}

pub(crate) fn a_long_message_is_kept_or_cut_as_asked() {
    let queue = queue();
    queue.send(1, b"0123456789").unwrap();
    let receive = |capacity, truncate| {
        queue.receive_at_most(Select::First, capacity, Flags { truncate }, Deadline::NOW)
    };
    let error = receive(4, false).unwrap_err();
    assert_eq!(
        (error.kind(), error.errno_name()),
        (ErrorKind::InvalidInput, Some("E2BIG"))
    );
    assert_eq!(receive(4, true).unwrap(), (b"0123".to_vec(), 1));
    assert!(
        receive(4, true).unwrap_err().is_would_block(),
        "the rest is lost"
    );
    for length in [0, 1, 7, 8, 9, 8000] {
        let message: Vec<u8> = (0..length).map(|at| at as u8).collect();
        queue.send(5, &message).unwrap();
        assert_eq!(queue.receive(Select::First).unwrap(), (message, 5));
    }
    queue.remove().unwrap();
}

pub(crate) fn a_full_queue_and_an_empty_one_say_so() {
    let queue = queue();
    let (start, pause) = (Instant::now(), Duration::from_millis(15));
    assert!(
        queue
            .receive_timeout(Select::First, pause)
            .unwrap_err()
            .is_timeout()
    );
    assert!(start.elapsed() >= pause);
    while queue.try_send(1, &[0; 4000]).is_ok() {}
    assert!(queue.try_send(1, &[0; 4000]).unwrap_err().is_would_block());
    assert!(
        queue
            .send_timeout(1, &[0; 4000], pause)
            .unwrap_err()
            .is_timeout()
    );
    let sender = child(|| queue.send(2, &[0; 4000]).unwrap());
    testkit::eventually("the sender waits", || is_asleep(&sender));
    queue.receive(Select::First).unwrap();
    succeeds(sender);
    assert_eq!(queue.receive(Select::Type(2)).unwrap().0.len(), 4000);
    queue.remove().unwrap();
}

pub(crate) fn a_removed_queue_wakes_whoever_waits() {
    let queue = queue();
    let waiter = child(|| {
        let error = queue.receive(Select::First).unwrap_err();
        assert_eq!(
            (error.kind(), error.errno_name()),
            (ErrorKind::Removed, Some("EIDRM"))
        );
    });
    testkit::eventually("the receiver waits", || is_asleep(&waiter));
    queue.clone().remove().unwrap();
    succeeds(waiter);
    assert_eq!(queue.send(1, b"x").unwrap_err().kind(), ErrorKind::Removed);
    assert_eq!(queue.status().unwrap_err().kind(), ErrorKind::Removed);
    assert_eq!(
        queue.try_receive(Select::First).unwrap_err().kind(),
        ErrorKind::Removed
    );
    assert_eq!(queue.remove().unwrap_err().kind(), ErrorKind::Removed);
}

pub(crate) fn a_queue_outlives_its_processes_and_is_found_by_key() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let key = Key::from_path(file.path(), b'p').unwrap();
    succeeds(child(|| {
        let queue = MessageQueue::create(key).unwrap();
        queue.send(7, b"from the dead").unwrap();
    }));
    assert!(MessageQueue::create(key).unwrap_err().is_already_exists());
    let queue = MessageQueue::open_or_create(key).unwrap();
    assert_eq!(
        MessageQueue::from_id(queue.id())
            .receive(Select::First)
            .unwrap()
            .1,
        7
    );
    queue.remove().unwrap();
    assert!(MessageQueue::open(key).unwrap_err().is_not_found());
    assert_eq!(
        MessageQueue::open(Key::PRIVATE).unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
    assert_eq!(
        Key::from_path(file.path(), 0).unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
}

pub(crate) fn queue_status_tells_who_did_what() {
    let queue = queue();
    let sender = child(|| queue.send(1, b"12345").unwrap());
    let pid = sender.id();
    succeeds(sender);
    let status = queue.status().unwrap();
    assert_eq!((status.messages, status.bytes), (1, 5));
    assert_eq!(status.last_send_pid.cast_unsigned(), pid);
    assert_eq!((status.last_receive_pid, status.last_receive_time), (0, 0));
    assert!(status.last_send_time > 0);
    assert_eq!(status.permissions.mode, 0o600);
    queue.receive(Select::First).unwrap();
    let status = queue.status().unwrap();
    assert_eq!(status.last_receive_pid.cast_unsigned(), std::process::id());
    queue.remove().unwrap();
}

pub(crate) fn queue_limits_are_named() {
    let queue = queue();
    let error = queue.send(1, &[0; 100_000]).unwrap_err();
    assert!(error.is_limit_reached());
    assert!(
        error.hint().unwrap().contains("kernel.msgmax is "),
        "{error:?}"
    );
    queue.set_max_bytes(100).unwrap();
    assert_eq!(queue.status().unwrap().max_bytes, 100);
    let error = queue.send(1, &[0; 101]).unwrap_err();
    assert!(
        error.to_string().contains("a message of 101 bytes"),
        "{error}"
    );
    queue.send(1, &[0; 100]).unwrap();
    queue.remove().unwrap();
}

pub(crate) fn a_message_is_peeked_at() {
    let queue = queue();
    queue.send(4, b"first").unwrap();
    queue.send(5, b"second").unwrap();
    match queue.peek(1) {
        Err(error) => assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}"),
        Ok(message) => {
            assert_eq!(message, Some((b"second".to_vec(), 5)));
            assert_eq!(queue.peek(2).unwrap(), None);
            assert_eq!(queue.status().unwrap().messages, 2, "they stay");
        }
    }
    queue.remove().unwrap();
}

fn set(values: &[u16]) -> SemaphoreSet {
    SemaphoreSet::create(Key::PRIVATE, values).unwrap()
}

pub(crate) fn all_steps_or_none() {
    let set = set(&[5, 1, 0]);
    let steps = [
        Operation::take(0, 3),
        Operation::take(1, 1),
        Operation::add(2, 7),
    ];
    set.operate(&steps).unwrap();
    assert_eq!(set.values().unwrap(), [2, 0, 7]);
    assert!(set.try_operate(&steps).unwrap_err().is_would_block());
    assert_eq!(set.values().unwrap(), [2, 0, 7], "nothing was taken");
    set.set_value(1, 4).unwrap();
    assert_eq!(
        (set.value(1).unwrap(), set.last_pid(0).unwrap()),
        (4, std::process::id().cast_signed())
    );
    set.set_values(&[1, 2, 3]).unwrap();
    assert_eq!(set.values().unwrap(), [1, 2, 3]);
    set.remove().unwrap();
}

pub(crate) fn undo_gives_back_what_a_killed_process_took() {
    let set = set(&[3, 3]);
    let holder = child(|| {
        set.operate(&[Operation::take(0, 2).with_undo(), Operation::take(1, 2)])
            .unwrap();
        loop {
            std::thread::park();
        }
    });
    testkit::eventually("both are taken", || set.values().unwrap() == [1, 1]);
    holder.kill().unwrap();
    holder.wait().unwrap();
    assert_eq!(set.values().unwrap(), [3, 1], "one with undo, one without");
    set.remove().unwrap();
}

pub(crate) fn waiting_for_zero_ends_at_zero() {
    let set = set(&[2]);
    let waiter = child(|| set.operate(&[Operation::wait_for_zero(0)]).unwrap());
    testkit::eventually("it waits", || set.waiting_for_zero(0).unwrap() == 1);
    set.wait(0).unwrap();
    assert_eq!(set.waiting_for_zero(0).unwrap(), 1);
    set.wait(0).unwrap();
    succeeds(waiter);
    set.remove().unwrap();
}

pub(crate) fn a_semaphore_set_times_out_and_tells_who_waits() {
    let set = set(&[0]);
    let (start, pause) = (Instant::now(), Duration::from_millis(15));
    assert!(
        set.operate_timeout(&[Operation::take(0, 1)], pause)
            .unwrap_err()
            .is_timeout()
    );
    assert!(start.elapsed() >= pause);
    let waiters: Vec<_> = (0..3).map(|_| child(|| set.wait(0).unwrap())).collect();
    testkit::eventually("three wait", || set.waiting_for_increase(0).unwrap() == 3);
    set.operate(&[Operation::add(0, 3)]).unwrap();
    waiters.into_iter().for_each(succeeds);
    assert!(set.status().unwrap().last_operation_time > 0);
    set.remove().unwrap();
}

pub(crate) fn a_set_is_initialised_exactly_once() {
    for _ in 0..20 {
        let key = Key::random().unwrap();
        let racers: Vec<_> = (0..8)
            .map(|_| {
                child(|| {
                    let set = SemaphoreSet::open_or_create(key, &[10, 0, 3]).unwrap();
                    set.operate(&[Operation::take(0, 1), Operation::add(1, 1)])
                        .unwrap();
                })
            })
            .collect();
        racers.into_iter().for_each(succeeds);
        let set = SemaphoreSet::open(key).unwrap();
        assert_eq!(
            set.values().unwrap(),
            [2, 8, 3, 1],
            "10 − 8, 0 + 8, 3, and the mark"
        );
        set.remove().unwrap();
    }
}

pub(crate) fn a_set_half_made_by_a_killed_process_is_finished_by_the_next() {
    #[cfg(target_arch = "x86_64")]
    {
        use testkit::fault::{Action, Fault, armed, run};
        let mut nth = 0;
        loop {
            let key = Key::random().unwrap();
            let outcome = run(
                Fault {
                    calls: &[],
                    nth,
                    action: Action::Kill,
                },
                || {
                    armed(|| SemaphoreSet::open_or_create(key, &[4]).unwrap());
                },
            );
            let set = SemaphoreSet::open_or_create(key, &[4]).unwrap();
            assert_eq!(set.values().unwrap(), [4, 1], "killed before call {nth}");
            set.remove().unwrap();
            if !outcome.hit {
                break;
            }
            nth += 1;
        }
        assert!(nth >= 3, "killed at {nth} calls");
    }
}

pub(crate) fn mistakes_with_semaphores_are_named() {
    let invalid = |outcome: procession::Result<SemaphoreSet>| {
        outcome.unwrap_err().kind() == ErrorKind::InvalidInput
    };
    assert!(invalid(SemaphoreSet::create(Key::PRIVATE, &[])));
    assert!(invalid(SemaphoreSet::create(Key::PRIVATE, &[40_000])));
    assert!(invalid(SemaphoreSet::open(Key::PRIVATE)));
    let set = set(&[0, 32_767]);
    let error = set.operate(&[Operation::add(1, 1)]).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("a value would exceed 32,767 (ERANGE)"),
        "{error}"
    );
    assert_eq!(set.post(2).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(set.value(2).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(
        set.operate(&[]).unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
    assert_eq!(
        set.set_values(&[1]).unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
    assert_eq!(
        set.set_value(0, 40_000).unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
    let many = vec![Operation::add(0, 1); 100_000];
    let error = set.operate(&many).unwrap_err();
    assert!(
        error.is_limit_reached() && error.hint().unwrap().contains("SEMOPM"),
        "{error:?}"
    );
    set.remove().unwrap();
    let key = Key::random().unwrap();
    let set = SemaphoreSet::create(key, &[1]).unwrap();
    assert!(
        SemaphoreSet::create(key, &[1])
            .unwrap_err()
            .is_already_exists()
    );
    assert!(invalid(SemaphoreSet::open_or_create(key, &[1, 2])));
    set.remove().unwrap();
}

pub(crate) fn a_removed_set_wakes_whoever_waits() {
    let set = set(&[0]);
    let waiter = child(|| assert_eq!(set.wait(0).unwrap_err().kind(), ErrorKind::Removed));
    testkit::eventually("it waits", || set.waiting_for_increase(0).unwrap() == 1);
    set.clone().remove().unwrap();
    succeeds(waiter);
    assert_eq!(set.post(0).unwrap_err().kind(), ErrorKind::Removed);
    assert_eq!(
        SemaphoreSet::from_id(set.id()).unwrap_err().kind(),
        ErrorKind::Removed
    );
}

pub(crate) fn a_segment_lives_until_its_last_attachment() {
    let key = Key::random().unwrap();
    let segment = SharedMemory::create(key, 5000).unwrap();
    assert!(
        SharedMemory::create(key, 5000)
            .unwrap_err()
            .is_already_exists()
    );
    let ours = segment.attach().unwrap();
    ours.bytes().write(0, b"ours");
    succeeds(child(|| {
        let theirs = SharedMemory::open(key).unwrap().attach().unwrap();
        assert_eq!(theirs.bytes().to_vec(0, 4), b"ours");
        theirs.bytes().write(4996, b"tail");
    }));
    let status = segment.status().unwrap();
    assert_eq!(
        (status.size, status.attached, status.removed),
        (5000, 1, false)
    );
    assert_eq!(status.creator_pid.cast_unsigned(), std::process::id());
    segment.clone().remove().unwrap();
    assert!(segment.status().unwrap().removed);
    assert!(
        SharedMemory::open(key).unwrap_err().is_not_found(),
        "the key is free"
    );
    assert_eq!(ours.bytes().to_vec(4996, 4), b"tail");
    ours.detach();
    assert_eq!(segment.status().unwrap_err().kind(), ErrorKind::Removed);
    assert_eq!(segment.attach().unwrap_err().kind(), ErrorKind::Removed);
}

pub(crate) fn a_segment_attached_for_reading_cannot_be_written() {
    let segment = SharedMemory::create(Key::PRIVATE, 100).unwrap();
    let writer = segment.attach().unwrap();
    let reader = segment.attach_read_only().unwrap();
    segment.lock_in_memory().unwrap();
    segment.unlock_from_memory().unwrap();
    segment.remove().unwrap();
    writer.bytes().write(10, b"seen");
    assert_eq!(reader.bytes().to_vec(10, 4), b"seen");
    assert!(!reader.bytes().is_writable());
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        reader.bytes().write(0, b"x");
    }));
    assert!(outcome.is_err());
}

pub(crate) fn a_segment_that_exists_shorter_is_refused() {
    let key = Key::random().unwrap();
    let first = SharedMemory::open_or_create(key, 100).unwrap();
    let same = SharedMemory::open_or_create(key, 50).unwrap();
    assert_eq!((same.id(), same.len()), (first.id(), 100));
    let error = SharedMemory::open_or_create(key, 200).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    first.remove().unwrap();
    assert_eq!(
        SharedMemory::create(Key::PRIVATE, 0).unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
    let huge = SharedMemory::create(Key::PRIVATE, usize::MAX / 2).unwrap_err();
    assert!(
        matches!(huge.kind(), ErrorKind::LimitReached | ErrorKind::NoSpace),
        "{huge:?}"
    );
}

pub(crate) fn what_another_user_may_write_is_refused() {
    let kinds = |key, user: Option<u32>| {
        let refusals = match user {
            None => [
                MessageQueue::open(key).err(),
                SemaphoreSet::open(key).err(),
                SharedMemory::open(key).err(),
                MessageQueue::open_or_create(key).err(),
                SemaphoreSet::open_or_create(key, &[1]).err(),
                SharedMemory::open_or_create(key, 1).err(),
            ],
            Some(user) => [
                MessageQueue::open_of(key, user).err(),
                SemaphoreSet::open_of(key, user).err(),
                SharedMemory::open_of(key, user).err(),
                None,
                None,
                None,
            ],
        };
        refusals.map(|error| error.map(|error| error.kind()))
    };
    let untrusted = Some(ErrorKind::Untrusted);
    let (fine, refused) = ([None; 6], [untrusted; 6]);
    let all_of = |key| {
        (
            MessageQueue::create(key).unwrap(),
            SemaphoreSet::open_or_create(key, &[1]).unwrap(),
            SharedMemory::create(key, 1).unwrap(),
        )
    };
    let set_mode = |(queue, set, segment): &(MessageQueue, SemaphoreSet, SharedMemory), mode| {
        queue.set_mode(mode).unwrap();
        set.set_mode(mode).unwrap();
        segment.set_mode(mode).unwrap();
    };
    let remove = |(queue, set, segment): (MessageQueue, SemaphoreSet, SharedMemory)| {
        queue.remove().unwrap();
        set.remove().unwrap();
        segment.remove().unwrap();
    };
    let me = rustix::process::geteuid().as_raw();
    let key = Key::random().unwrap();
    let ours = all_of(key);
    assert_eq!(kinds(key, None), fine);
    set_mode(&ours, 0o644);
    assert_eq!(kinds(key, None), fine);
    set_mode(&ours, 0o620);
    assert_eq!(kinds(key, None), refused);
    assert_eq!(kinds(key, Some(me)), fine);
    remove(ours);
    if me != 0 {
        println!("NOT TESTED: only root can be two users");
        return;
    }
    // Another user was there first; or has made it, and then given it away.
    for given_to in [OTHER, 0] {
        succeeds(as_user(OTHER, || {
            let theirs = all_of(key);
            set_mode(&theirs, 0o600);
            theirs.0.set_owner(given_to, 0).unwrap();
            theirs.1.set_owner(given_to, 0).unwrap();
            theirs.2.set_owner(given_to, 0).unwrap();
        }));
        assert_eq!(kinds(key, None), refused);
        let known = kinds(key, Some(OTHER));
        assert_eq!(known == fine, given_to == OTHER, "{known:?}");
        // Who has made it may still remove it.
        succeeds(as_user(OTHER, || {
            remove((
                MessageQueue::open_of(key, given_to).unwrap(),
                SemaphoreSet::open_of(key, given_to).unwrap(),
                SharedMemory::open_of(key, given_to).unwrap(),
            ));
        }));
    }
}

pub(crate) fn permissions_and_owners_change() {
    let me = (
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw(),
    );
    let (queue, set) = (queue(), set(&[0]));
    let segment = SharedMemory::create(Key::PRIVATE, 10).unwrap();
    queue.set_mode(0o640).unwrap();
    queue.set_owner(me.0, me.1).unwrap();
    set.set_mode(0o640).unwrap();
    set.set_owner(me.0, me.1).unwrap();
    segment.set_mode(0o640).unwrap();
    segment.set_owner(me.0, me.1).unwrap();
    let modes = [
        queue.status().unwrap().permissions.mode,
        set.status().unwrap().permissions.mode,
        segment.status().unwrap().permissions.mode,
    ];
    assert_eq!(modes, [0o640; 3]);
    queue.remove().unwrap();
    set.remove().unwrap();
    segment.remove().unwrap();
}
