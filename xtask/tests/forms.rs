//! Every public operation of the library that waits has four forms: `op`, `try_op`,
//! `op_timeout` and `op_deadline`. Read from the sources, so that none is forgotten; what
//! macros make (`Semaphore`, `BoundedSemaphore`) is not seen here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use syn::{Attribute, FnArg, ImplItem, Item, Signature, Type, Visibility};

/// Operations that lack forms, and why that is right.
const EXCEPTIONS: &[(&str, &str)] = &[
    (
        "channel::Endpoint::poll",
        "it is the form that does not wait",
    ),
    ("channel::Reader::poll", "it is the form that does not wait"),
    (
        "channel::connect",
        "it ends by itself: where nobody listens, it says so",
    ),
    (
        "os::MappedFile::flush",
        "the disk does not say when it will be done",
    ),
    (
        "os::MappedFile::flush_range",
        "the disk does not say when it will be done",
    ),
    ("os::Writer::write_all", "`try_write` says how much went"),
    (
        "pool::Pool::call",
        "`spawn` gives a handle that has the forms",
    ),
    (
        "pool::Call::call",
        "`spawn` gives a handle that has the forms",
    ),
    ("pool::Results::next", "it is that of `Iterator`"),
    (
        "process::CommandChild::stop",
        "its steps have their own times",
    ),
    (
        "process::PipelineChild::kill",
        "a kill waits for nobody's will",
    ),
    (
        "process::scope",
        "a scope must not end before what borrows from it",
    ),
    (
        "sync::Barrier::wait",
        "whoever comes is counted: there is nothing to try",
    ),
    (
        "sync::Barrier::wait_then",
        "whoever comes is counted: there is nothing to try",
    ),
    (
        "sync::Condvar::wait",
        "it gives the lock back, and so has waited",
    ),
    (
        "sync::Condvar::wait_while",
        "it gives the lock back, and so has waited",
    ),
    (
        "transport::Sender::send",
        "part of a message may go, and then nothing can follow",
    ),
];

/// Operations that do not wait, though their names or their documentation sound so.
const OTHERS: &[&str] = &[
    "os::Fifo::reader",
    "os::FifoReader::wait_for_writer",
    "os::MessageQueue::notify",
    "os::Operation::add",
    "os::Operation::take",
    "os::Operation::wait_for_zero",
    "os::Reader::into_blocking",
    "os::Writer::into_blocking",
    "pool::Builder::idle",
    "pool::Builder::start",
    "pool::TaskHandle::on_done",
    "process::Builder::start",
    "process::exit_with_signal",
    "select::Select::after",
    "select::Select::event",
    "select::Select::new",
    "select::Select::readable",
    "select::Select::recv",
    "select::Select::remove",
    "select::Select::send",
    "select::Select::writable",
    "signal::handle",
    "sync::Condvar::notify_one",
];

#[test]
fn whatever_waits_has_four_forms() {
    let mut methods = Owners::new();
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/procession/src");
    for file in sources_below(&sources) {
        let text = std::fs::read_to_string(&file).unwrap();
        let module = file.strip_prefix(&sources).unwrap();
        let parts = module.components().next().unwrap().as_os_str();
        let module = parts.to_str().unwrap().trim_end_matches(".rs").to_owned();
        collect(
            &syn::parse_file(&text).unwrap().items,
            &module,
            &mut methods,
        );
    }
    assert!(methods["queue::Receiver"].contains_key("recv_timeout"));
    let mut wrong = Vec::new();
    let mut used = BTreeSet::new();
    for (owner, methods) in &methods {
        for (name, method) in methods {
            let Some(base) = base(name, method) else {
                continue;
            };
            let name = format!("{owner}::{base}");
            if let Some(other) = OTHERS.iter().find(|other| **other == name) {
                used.insert(*other);
                continue;
            }
            let forms = [
                base.to_owned(),
                format!("try_{base}"),
                format!("{base}_timeout"),
                format!("{base}_deadline"),
            ];
            let lacking: Vec<&String> = forms
                .iter()
                .filter(|form| !methods.contains_key(*form))
                .collect();
            let exception = EXCEPTIONS.iter().find(|(known, _)| *known == name);
            match (lacking.is_empty(), exception) {
                (true, None) => {}
                (false, Some((known, _))) => drop(used.insert(*known)),
                (false, None) => wrong.push(format!("{name} lacks {lacking:?}")),
                (true, Some(_)) => wrong.push(format!("{name} is no exception any more")),
            }
        }
    }
    let exceptions = EXCEPTIONS.iter().map(|(known, _)| known);
    for known in exceptions.chain(OTHERS) {
        if !used.contains(known) {
            wrong.push(format!("{known}: there is no such exception"));
        }
    }
    wrong.sort();
    wrong.dedup();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is known of a method.
struct Method {
    doc: String,
    /// The caller says how long it waits, so that it is all forms in one.
    takes_deadline: bool,
}

/// Methods by their names, by the types and modules that have them.
type Owners = BTreeMap<String, BTreeMap<String, Method>>;

/// The operation that a method is a form of, if it waits: by its name, or by what its
/// documentation says first.
fn base<'a>(name: &'a str, method: &Method) -> Option<&'a str> {
    if ["try_clone", "try_iter"].contains(&name)
        || name.starts_with("is_")
        || name.ends_with("_async")
    {
        return None;
    }
    let forms = [
        name.strip_prefix("try_"),
        name.strip_suffix("_timeout"),
        name.strip_suffix("_deadline"),
    ];
    let by_name = forms.into_iter().flatten().next();
    let first = method.doc.split("\n\n").next().unwrap_or_default();
    let says = ["Waits", "waits", "waiting", "Blocks", "blocking"];
    let waits = says.iter().any(|word| first.contains(word)) && !method.takes_deadline;
    by_name.or(waits.then_some(name))
}

fn collect(items: &[Item], module: &str, into: &mut Owners) {
    let mut add = |owner: String, signature: &Signature, attributes: &[Attribute]| {
        let method = Method {
            doc: doc(attributes),
            takes_deadline: signature.inputs.iter().any(is_deadline),
        };
        let methods = into.entry(owner).or_default();
        methods.insert(signature.ident.to_string(), method);
    };
    for item in items {
        match item {
            Item::Impl(block) if block.trait_.is_none() => {
                let Type::Path(path) = &*block.self_ty else {
                    continue;
                };
                let Some(owner) = path.path.segments.last() else {
                    continue;
                };
                for item in &block.items {
                    if let ImplItem::Fn(function) = item
                        && matches!(function.vis, Visibility::Public(_))
                    {
                        let owner = format!("{module}::{}", owner.ident);
                        add(owner, &function.sig, &function.attrs);
                    }
                }
            }
            Item::Fn(function) if matches!(function.vis, Visibility::Public(_)) => {
                add(module.to_owned(), &function.sig, &function.attrs);
            }
            _ => {}
        }
    }
}

fn is_deadline(argument: &FnArg) -> bool {
    matches!(argument, FnArg::Typed(typed) if matches!(&*typed.ty, Type::Path(path) if path.path.is_ident("Deadline")))
}

/// The documentation of an item.
fn doc(attributes: &[Attribute]) -> String {
    let lines = attributes
        .iter()
        .filter_map(|attribute| match &attribute.meta {
            syn::Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
                syn::Expr::Lit(literal) => match &literal.lit {
                    syn::Lit::Str(text) => Some(text.value().trim().to_owned()),
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        });
    lines.collect::<Vec<String>>().join("\n")
}

fn sources_below(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(sources_below(&path)),
            false if path.extension().is_some_and(|extension| extension == "rs") => {
                found.push(path)
            }
            false => {}
        }
    }
    found
}
