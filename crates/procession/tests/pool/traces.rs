use crate::{increment, pool};
use procession::process::{Signal, send_signal_to_self};
use std::fmt::Write;
use std::sync::{Arc, Mutex};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Keeps the names of spans, and what events say.
#[derive(Clone, Default)]
struct Listener(Arc<Mutex<Vec<String>>>);

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        write!(self.0, " {field}={value:?}").unwrap();
    }
}

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "procession"
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut all = self.0.lock().unwrap();
        all.push(format!("span {}", span.metadata().name()));
        Id::from_u64(all.len() as u64)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        self.0.lock().unwrap().push(text.0);
    }
}

pub(crate) fn lives_calls_and_deaths_are_told() {
    let listener = Listener::default();
    tracing::subscriber::set_global_default(listener.clone()).unwrap();
    let pool = pool();
    assert_eq!(pool.map(increment, 0..10).unwrap().len(), 10);
    let die = |()| send_signal_to_self(Signal::KILL).unwrap();
    pool.call(die, ()).unwrap_err();
    pool.join();
    let told = listener.0.lock().unwrap();
    let count = |what: &str| told.iter().filter(|line| line.contains(what)).count();
    // The successor may not have been needed any more.
    assert!(matches!(count("span worker"), 2 | 3), "{told:?}");
    assert_eq!(count("span calls"), 1);
    assert_eq!(count("died"), 1);
    assert_eq!(count("arguments=10 results=10"), 1);
    assert_eq!(count("message=task failed"), 1);
}
