use crate::{LONG, start};
use procession::process::StartMethod;
use procession::queue::{
    self, Receiver, RecvError, RecvTimeoutError, SendError, Sender, TryRecvError, TrySendError,
};
use procession::sync::Event;

const COUNT: u64 = 2000;

fn send_numbers((who, sender): (u64, Sender<(u64, u64)>)) {
    for number in 0..COUNT {
        sender.send((who, number)).unwrap();
    }
}

pub(crate) fn messages_of_a_sender_keep_their_order(method: StartMethod) {
    let (sender, receiver) = queue::bounded(7).unwrap();
    let mut tasks: Vec<_> = (0..3)
        .map(|who| start(method, send_numbers, (who, sender.clone())))
        .collect();
    drop(sender);
    let mut expected = [0; 3];
    for (who, number) in receiver.iter() {
        assert_eq!(number, expected[who as usize], "of sender {who}");
        expected[who as usize] += 1;
    }
    assert_eq!(expected, [COUNT; 3]);
    for task in &mut tasks {
        task.join().unwrap();
    }
}

fn add_up(receiver: Receiver<(u64, u64)>) -> (u64, u64) {
    receiver.iter().fold((0, 0), |(count, sum), (_, number)| {
        (count + 1, sum + number)
    })
}

pub(crate) fn each_message_goes_to_one_receiver(method: StartMethod) {
    let (sender, receiver) = queue::bounded(16).unwrap();
    let mut receivers: Vec<_> = (0..2)
        .map(|_| start(method, add_up, receiver.clone()))
        .collect();
    drop(receiver);
    let mut senders: Vec<_> = (0..2)
        .map(|who| start(method, send_numbers, (who, sender.clone())))
        .collect();
    drop(sender);
    for task in &mut senders {
        task.join().unwrap();
    }
    let (mut count, mut sum) = (0, 0);
    for task in &mut receivers {
        let (received, numbers) = task.join().unwrap();
        count += received;
        sum += numbers;
    }
    assert_eq!((count, sum), (2 * COUNT, COUNT * (COUNT - 1)));
}

pub(crate) fn a_full_queue_makes_its_senders_wait(method: StartMethod) {
    let (sender, receiver) = queue::bounded(3).unwrap();
    let refused = Event::new().unwrap();
    let mut task = start(
        method,
        |(sender, refused): (Sender<u32>, Event)| {
            for number in 0..3 {
                sender.try_send(number).unwrap();
            }
            assert!(sender.is_full());
            let full = sender.try_send(9).unwrap_err();
            assert!(matches!(full, TrySendError::Full(9)), "{full}");
            refused.set().unwrap();
            // Until somebody receives.
            sender.send(3).unwrap();
        },
        (sender.clone(), refused.clone()),
    );
    refused.wait_timeout(LONG).unwrap();
    assert_eq!(receiver.len(), 3);
    for number in 0..4 {
        assert_eq!(receiver.recv_timeout(LONG).unwrap(), number);
    }
    task.join().unwrap();
    assert!(matches!(receiver.try_recv(), Err(TryRecvError::Empty)));
    drop(sender);
    assert!(matches!(
        receiver.try_recv(),
        Err(TryRecvError::Disconnected(..))
    ));
}

pub(crate) fn the_end_of_all_senders_ends_the_receivers(method: StartMethod) {
    let (sender, receiver) = queue::bounded::<String>(4).unwrap();
    let mut task = start(
        method,
        |receiver: Receiver<String>| {
            let first = receiver.recv().unwrap();
            // Nothing else comes, and it waits for that.
            let end = receiver.recv();
            (first, matches!(end, Err(RecvError::Disconnected(..))))
        },
        receiver,
    );
    let other = sender.clone();
    sender.send("only".to_owned()).unwrap();
    drop(sender);
    assert!(
        task.join_timeout(std::time::Duration::from_millis(5))
            .is_err()
    );
    drop(other);
    assert_eq!(task.join().unwrap(), ("only".to_owned(), true));
}

pub(crate) fn the_end_of_all_receivers_ends_the_senders(method: StartMethod) {
    let (sender, receiver) = queue::bounded::<u8>(1).unwrap();
    let mut task = start(
        method,
        |sender: Sender<u8>| {
            sender.send(1).unwrap();
            // There is no room, and will be none.
            match sender.send(2) {
                Err(SendError::Disconnected(2, ..)) => {}
                other => panic!("{other:?}"),
            }
            matches!(sender.try_send(3), Err(TrySendError::Disconnected(3, ..)))
        },
        sender,
    );
    testkit::eventually("it is full", || receiver.is_full());
    drop(receiver);
    assert!(task.join().unwrap());
}

pub(crate) fn handles_travel_there_and_back(method: StartMethod) {
    let (sender, receiver) = queue::bounded::<u32>(4).unwrap();
    let mut task = start(
        method,
        |(sender, receiver): (Sender<u32>, Receiver<u32>)| {
            sender.send(receiver.recv().unwrap() + 1).unwrap();
            (sender, receiver)
        },
        (sender.clone(), receiver.clone()),
    );
    sender.send(1).unwrap();
    let (mine, theirs) = task.join().unwrap();
    assert_eq!(receiver.recv_timeout(LONG).unwrap(), 2);
    mine.send(3).unwrap();
    drop((sender, mine));
    assert_eq!(theirs.recv().unwrap(), 3);
    let end = theirs.recv_timeout(LONG);
    assert!(
        matches!(end, Err(RecvTimeoutError::Disconnected(..))),
        "{end:?}"
    );
}
