use super::*;
use crate::frame::frames;
use proptest::collection::vec;
use proptest::prelude::*;

fn encode(sender: u32, messages: &[Vec<u8>], max_payload: usize) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    for (number, message) in (0..).zip(messages) {
        for (header, payload) in frames(Kind::Data, sender, number, message, max_payload) {
            packets.push([&header[..], payload].concat());
        }
    }
    packets
}

fn messages_of(inbox: &mut Inbox, wanted: usize) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    while let Some(arrival) = inbox.pop() {
        match arrival {
            Arrival::Message { sender, bytes } if sender == wanted => messages.push(bytes),
            Arrival::Message { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    messages
}

/// The messages of one sender, whatever became of the others.
fn messages_of_healthy(inbox: &mut Inbox, wanted: usize) -> Vec<Vec<u8>> {
    let arrivals = std::iter::from_fn(|| inbox.pop());
    let message = |arrival| match arrival {
        Arrival::Message { sender, bytes } if sender == wanted => Some(bytes),
        _ => None,
    };
    arrivals.filter_map(message).collect()
}

proptest! {
    #[test]
    fn a_stream_cut_anywhere_gives_the_messages_back(
        messages in vec(vec(any::<u8>(), 0..300), 0..8),
        max_payload in 1..100_usize,
        cuts in vec(1..64_usize, 1..40),
    ) {
        let stream = encode(2, &messages, max_payload).concat();
        let mut inbox = Inbox::new(3, 1 << 20);
        let (mut rest, mut cut) = (&stream[..], cuts.iter().cycle());
        while !rest.is_empty() {
            let (piece, after) = rest.split_at((*cut.next().unwrap()).min(rest.len()));
            inbox.stream(2, piece);
            rest = after;
        }
        prop_assert!(!inbox.is_partial(2));
        prop_assert_eq!(messages_of(&mut inbox, 2), messages);
    }

    #[test]
    fn frames_of_several_senders_may_alternate(
        first in vec(vec(any::<u8>(), 0..200), 0..6),
        second in vec(vec(any::<u8>(), 0..200), 0..6),
        order in vec(any::<bool>(), 0..200),
        shared: bool,
    ) {
        let mut queues = [
            VecDeque::from(encode(0, &first, 17)),
            VecDeque::from(encode(1, &second, 17)),
        ];
        let mut inbox = Inbox::new(2, 1 << 20);
        for which in order.into_iter().map(usize::from).chain([0; 100]).chain([1; 100]) {
            if let Some(packet) = queues[which].pop_front() {
                if shared { inbox.shared_stream(&packet) } else { inbox.packet(&packet) }.unwrap();
            }
        }
        let (mut one, mut two) = (Vec::new(), Vec::new());
        while let Some(arrival) = inbox.pop() {
            match arrival {
                Arrival::Message { sender: 0, bytes } => one.push(bytes),
                Arrival::Message { bytes, .. } => two.push(bytes),
                other => panic!("{other:?}"),
            }
        }
        prop_assert_eq!((one, two), (first, second));
    }

    #[test]
    fn garbage_never_panics_and_never_becomes_a_message(bytes in vec(any::<u8>(), 0..400)) {
        let mut inbox = Inbox::new(2, 1 << 20);
        inbox.stream(0, &bytes);
        let _ = inbox.packet(&bytes);
        let _ = inbox.shared_stream(&bytes);
        while let Some(arrival) = inbox.pop() {
            prop_assert!(matches!(arrival, Arrival::Broken { .. }), "{arrival:?}");
        }
    }

    #[test]
    fn a_damaged_header_harms_only_its_sender(
        at in 0..HEADER_BYTES, bit in 0..8_u32, message in vec(any::<u8>(), 1..50),
    ) {
        let mut packet = encode(0, std::slice::from_ref(&message), 1000).concat();
        packet[at] ^= 1 << bit;
        let mut inbox = Inbox::new(2, 1 << 20);
        inbox.stream(0, &packet);
        inbox.stream(1, &encode(1, std::slice::from_ref(&message), 10).concat());
        let arrived = messages_of_healthy(&mut inbox, 1);
        prop_assert_eq!(arrived, [message]);
    }
}

#[test]
fn a_huge_length_allocates_nothing() {
    let header = Header {
        kind: Kind::Data,
        sender: 0,
        message: 0,
        length: u32::MAX,
        total: 1 << 40,
    };
    let mut inbox = Inbox::new(1, u64::MAX);
    inbox.stream(0, &header.encode());
    assert!(inbox.is_partial(0));
    let partial = inbox.assemblers[0].partial.as_ref().unwrap();
    assert_eq!(partial.bytes.capacity(), 0);
}

#[test]
fn a_message_beyond_the_limit_is_refused() {
    let mut inbox = Inbox::new(1, 10);
    inbox.stream(0, &encode(0, &[vec![0; 11]], 100).concat());
    assert!(matches!(
        inbox.pop(),
        Some(Arrival::Broken { sender: 0, .. })
    ));
    assert!(inbox.is_closed(0));
}

#[test]
fn a_message_number_out_of_turn_is_refused() {
    let mut inbox = Inbox::new(1, 100);
    let packets: Vec<_> = frames(Kind::Data, 0, 1, b"x", 10).collect();
    inbox.stream(0, &packets[0].0);
    assert!(matches!(inbox.pop(), Some(Arrival::Broken { .. })));
}

#[test]
fn nothing_may_follow_the_end() {
    let mut inbox = Inbox::new(1, 100);
    for number in 0..2 {
        for (header, _) in frames(Kind::End, 0, number, b"", 10) {
            inbox.packet(&header).unwrap();
        }
    }
    assert!(matches!(inbox.pop(), Some(Arrival::End { sender: 0 })));
    assert!(matches!(
        inbox.pop(),
        Some(Arrival::Broken { sender: 0, .. })
    ));
}

#[test]
fn a_broken_sender_does_not_put_a_shared_stream_out_of_step() {
    let mut inbox = Inbox::new(2, 10);
    inbox
        .shared_stream(&encode(0, &[vec![7; 50]], 20).concat())
        .unwrap();
    inbox
        .shared_stream(&encode(1, &[b"fine".to_vec()], 20).concat())
        .unwrap();
    assert!(matches!(
        inbox.pop(),
        Some(Arrival::Broken { sender: 0, .. })
    ));
    assert_eq!(messages_of(&mut inbox, 1), [b"fine".to_vec()]);
}
