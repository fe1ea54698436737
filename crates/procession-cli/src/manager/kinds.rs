//! The methods of the kinds of objects that managers have by themselves.

use super::decode::quoted;
use super::request::Call;
use crate::failure::Failure;
use procession::__private::untyped::Encoded;
use procession::manager::{Array, Counter, Dict, Event, List, Queue, Set, Value};

type Methods = &'static [(&'static str, &'static str)];

const DICT: Methods = &[
    ("get", "KEY"),
    ("insert", "KEY VALUE"),
    ("get_or_insert", "KEY VALUE"),
    ("remove", "KEY"),
    ("contains_key", "KEY"),
    ("len", ""),
    ("clear", ""),
    ("snapshot", ""),
];
const LIST: Methods = &[
    ("get", "INDEX"),
    ("set", "INDEX VALUE"),
    ("push", "VALUE…"),
    ("insert", "INDEX VALUE"),
    ("remove", "INDEX"),
    ("pop", ""),
    ("len", ""),
    ("clear", ""),
    ("snapshot", ""),
];
const SET: Methods = &[
    ("insert", "VALUE"),
    ("remove", "VALUE"),
    ("contains", "VALUE"),
    ("len", ""),
    ("clear", ""),
    ("snapshot", ""),
];
const ARRAY: Methods = &[
    ("get", "INDEX"),
    ("set", "INDEX VALUE"),
    ("len", ""),
    ("snapshot", ""),
];
const VALUE: Methods = &[("get", ""), ("set", "VALUE"), ("replace", "VALUE")];
const COUNTER: Methods = &[
    ("get", ""),
    ("set", "NUMBER"),
    ("fetch_add", "NUMBER"),
    ("wait_at_least", "NUMBER"),
];
const EVENT: Methods = &[("set", ""), ("clear", ""), ("is_set", ""), ("wait", "")];
const QUEUE: Methods = &[
    ("send", "MESSAGE…"),
    ("recv", ""),
    ("len", ""),
    ("join", ""),
];

/// What `--help` adds.
pub(crate) const HELP: &str = "\
The result is printed as one line of JSON: null if there is none.

Methods, which wait as in a program (with --timeout, at most so long):
  dict     get KEY, insert KEY VALUE, get_or_insert KEY VALUE, remove KEY, contains_key KEY, len, clear, snapshot
  list     get INDEX, set INDEX VALUE, push VALUE…, insert INDEX VALUE, remove INDEX, pop, len, clear, snapshot
  set      insert VALUE, remove VALUE, contains VALUE, len, clear, snapshot
  array    get INDEX, set INDEX VALUE, len, snapshot
  value    get, set VALUE, replace VALUE
  counter  get, set NUMBER, fetch_add NUMBER, wait_at_least NUMBER
  event    set, clear, is_set, wait
  queue    send MESSAGE…, recv, len, join; a message that cannot be printed stays in the queue
An object of a program's own type has the methods of its trait. Locks are held by processes, and so by no command.

Kinds for --create: dict, list, set, queue, value, counter, event. Keys are strings and values are JSON, unless types
are named as `procession ls` shows them:
  dict:str,u32     a Rust program has it as Dict<String, u32>
  queue:{id: u64}  as Queue<Job>, for a structure with this field
  value:f64=1.5    a value needs one to begin with
Without types, a Rust program has it as Dict<String, Json>, List<Json>, …: procession::manager::Json is the text.

Examples:
  procession call unix:/run/jobs stock --create dict:str,u32 insert tea 3
  procession call unix:/run/jobs stock get tea
  procession call unix:/run/jobs ready --timeout 10s wait";

type Outcome = Result<String, Failure>;

/// Calls a method, and prints its result.
pub(crate) fn call(
    call: &Call<'_>,
    print: &dyn Fn(&str) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let result = match &*call.object.kind {
        "dictionary" => dict(call)?,
        "list" => list(call)?,
        "set" => set(call)?,
        "array" => array(call)?,
        "value" => value(call)?,
        "counter" => counter(call)?,
        "event" => event(call)?,
        "queue" if call.method == "recv" && call.arguments.is_empty() => {
            let queue: Queue<Encoded> = call.get()?;
            let delivery = queue.recv_delivery_deadline(call.deadline());
            let delivery = delivery.map_err(|error| call.about(error.into()))?;
            // Before it is acknowledged: whatever cannot be printed stays.
            print(&call.json(&call.type_of(0)?, &delivery)?)?;
            return Ok(delivery.ack()?);
        }
        "queue" => queue(call)?,
        _ => return Err(call.unknown(&[])),
    };
    print(&result)
}

impl Call<'_> {
    /// The method is none of these, or takes something else.
    fn wrong<T>(&self, methods: Methods) -> Result<T, Failure> {
        match methods.iter().find(|(name, _)| *name == self.method) {
            Some((_, wanted)) => Err(self.count(wanted)),
            None => {
                let names: Vec<&str> = methods.iter().map(|(name, _)| *name).collect();
                Err(self.unknown(&names))
            }
        }
    }
}

/// What a method returns that returns nothing.
#[expect(clippy::unnecessary_wraps, reason = "the end of a branch")]
fn nothing((): ()) -> Outcome {
    Ok("null".to_owned())
}

#[expect(clippy::unnecessary_wraps, reason = "the end of a branch")]
fn plain(value: impl ToString) -> Outcome {
    Ok(value.to_string())
}

fn dict(call: &Call<'_>) -> Outcome {
    let (keys, values) = (call.type_of(0)?, call.type_of(1)?);
    let dict: Dict<Encoded, Encoded> = call.get()?;
    let key = |text| call.value(&keys, text);
    let value = |text| call.value(&values, text);
    match (call.method, call.arguments) {
        ("get", [k]) => call.optional(&values, dict.get(&key(k)?)?),
        ("insert", [k, v]) => call.optional(&values, dict.insert(key(k)?, value(v)?)?),
        ("get_or_insert", [k, v]) => call.json(&values, &dict.get_or_insert(key(k)?, value(v)?)?),
        ("remove", [k]) => call.optional(&values, dict.remove(&key(k)?)?),
        ("contains_key", [k]) => plain(dict.contains_key(&key(k)?)?),
        ("len", []) => plain(dict.len()?),
        ("clear", []) => nothing(dict.clear()?),
        ("snapshot", []) => {
            let mut parts = Vec::new();
            for (key, value) in dict.snapshot()? {
                let key = call.json(&keys, &key)?;
                // As serde_json has maps.
                let key = match key.starts_with('"') {
                    true => key,
                    false => quoted(&key),
                };
                parts.push(format!("{key}:{}", call.json(&values, &value)?));
            }
            plain(format_args!("{{{}}}", parts.join(",")))
        }
        _ => call.wrong(DICT),
    }
}

fn list(call: &Call<'_>) -> Outcome {
    let of = call.type_of(0)?;
    let list: List<Encoded> = call.get()?;
    let value = |text| call.value(&of, text);
    match (call.method, call.arguments) {
        ("get", [at]) => call.optional(&of, list.get(call.number(at)?)?),
        ("set", [at, v]) => call.json(&of, &list.set(call.number(at)?, &value(v)?)?),
        ("push", [_, ..]) => nothing(list.extend(call.values(&of, call.arguments)?)?),
        ("insert", [at, v]) => nothing(list.insert(call.number(at)?, value(v)?)?),
        ("remove", [at]) => call.json(&of, &list.remove(call.number(at)?)?),
        ("pop", []) => call.optional(&of, list.pop()?),
        ("len", []) => plain(list.len()?),
        ("clear", []) => nothing(list.clear()?),
        ("snapshot", []) => call.all(&of, &list.snapshot()?),
        _ => call.wrong(LIST),
    }
}

fn set(call: &Call<'_>) -> Outcome {
    let of = call.type_of(0)?;
    let set: Set<Encoded> = call.get()?;
    let value = |text| call.value(&of, text);
    match (call.method, call.arguments) {
        ("insert", [v]) => plain(set.insert(value(v)?)?),
        ("remove", [v]) => plain(set.remove(&value(v)?)?),
        ("contains", [v]) => plain(set.contains(&value(v)?)?),
        ("len", []) => plain(set.len()?),
        ("clear", []) => nothing(set.clear()?),
        ("snapshot", []) => call.all(&of, &set.snapshot()?),
        _ => call.wrong(SET),
    }
}

fn array(call: &Call<'_>) -> Outcome {
    let of = call.type_of(0)?;
    let array: Array<Encoded> = call.get()?;
    match (call.method, call.arguments) {
        ("get", [at]) => call.json(&of, &array.get(call.number(at)?)?),
        ("set", [at, v]) => nothing(array.set(call.number(at)?, &call.value(&of, v)?)?),
        ("len", []) => plain(array.len()?),
        ("snapshot", []) => call.all(&of, &array.snapshot()?),
        _ => call.wrong(ARRAY),
    }
}

fn value(call: &Call<'_>) -> Outcome {
    let of = call.type_of(0)?;
    let value: Value<Encoded> = call.get()?;
    match (call.method, call.arguments) {
        ("get", []) => call.json(&of, &value.get()?),
        ("set", [new]) => nothing(value.set(&call.value(&of, new)?)?),
        ("replace", [new]) => call.json(&of, &value.replace(&call.value(&of, new)?)?),
        _ => call.wrong(VALUE),
    }
}

fn counter(call: &Call<'_>) -> Outcome {
    let counter: Counter = call.get()?;
    match (call.method, call.arguments) {
        ("get", []) => plain(counter.get()?),
        ("set", [to]) => nothing(counter.set(call.number(to)?)?),
        ("fetch_add", [count]) => plain(counter.fetch_add(call.number(count)?)?),
        ("wait_at_least", [least]) => {
            plain(counter.wait_at_least_deadline(call.number(least)?, call.deadline())?)
        }
        _ => call.wrong(COUNTER),
    }
}

fn event(call: &Call<'_>) -> Outcome {
    let event: Event = call.get()?;
    match (call.method, call.arguments) {
        ("set", []) => nothing(event.set()?),
        ("clear", []) => nothing(event.clear()?),
        ("is_set", []) => plain(event.is_set()?),
        ("wait", []) => nothing(event.wait_deadline(call.deadline())?),
        _ => call.wrong(EVENT),
    }
}

fn queue(call: &Call<'_>) -> Outcome {
    let of = call.type_of(0)?;
    let queue: Queue<Encoded> = call.get()?;
    match (call.method, call.arguments) {
        ("send", [_, ..]) => {
            // All are read before one is sent.
            for message in call.values(&of, call.arguments)? {
                let sent = queue.send_deadline(message, call.deadline());
                sent.map_err(|error| call.about(error.into()))?;
            }
            nothing(())
        }
        ("len", []) => plain(queue.len()?),
        ("join", []) => nothing(queue.join_deadline(call.deadline())?),
        _ => call.wrong(QUEUE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_names_all_methods() {
        for methods in [DICT, LIST, SET, ARRAY, VALUE, COUNTER, EVENT, QUEUE] {
            for (name, arguments) in methods {
                let method = format!("{name} {arguments}");
                assert!(HELP.contains(method.trim_end()), "{method}");
            }
        }
    }
}
