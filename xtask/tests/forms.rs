//! Every public operation of the library that waits has four forms: `op`, `try_op`,
//! `op_timeout` and `op_deadline`, and "not yet" is an error of each of them. Read from the
//! sources, so that none is forgotten; macros of the library are expanded.

#[path = "../src/macros.rs"]
mod macros;

use macros::Macros;
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
        "manager::Barrier::wait",
        "whoever comes is counted: there is nothing to try",
    ),
    (
        "manager::Barrier::wait_then",
        "whoever comes is counted: there is nothing to try",
    ),
    (
        "manager::Condvar::wait",
        "it gives the lock back, and so has waited",
    ),
    (
        "manager::Condvar::wait_while",
        "it gives the lock back, and so has waited",
    ),
    (
        "os::MappedFile::flush",
        "the disk does not say when it will be done",
    ),
    (
        "os::MappedFile::flush_range",
        "the disk does not say when it will be done",
    ),
    (
        "manager::Builder::serve",
        "it is what a program does until a client ends it",
    ),
    (
        "manager::Server::serve",
        "it is what a program does until a client ends it",
    ),
    ("os::Writer::write_all", "`try_write` says how much went"),
    (
        "pool::Pool::call",
        "`spawn` gives a handle that has the forms",
    ),
    (
        "pool::Calls::call",
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
        "shared::Array::get",
        "it is `lock` and a copy: `lock_deadline` has the limit",
    ),
    (
        "shared::Array::set",
        "it is `lock` and a copy: `lock_deadline` has the limit",
    ),
    (
        "shared::Array::to_vec",
        "it is `lock` and a copy: `lock_deadline` has the limit",
    ),
    (
        "shared::Value::get",
        "it is `lock` and a copy: `lock_deadline` has the limit",
    ),
    (
        "shared::Value::set",
        "it is `lock` and a copy: `lock_deadline` has the limit",
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
        "transport::Sender::fail",
        "it consumes the sender: given up, it would look like a death",
    ),
    (
        "transport::Sender::finish",
        "it consumes the sender: given up, it would look like a death",
    ),
    (
        "transport::Sender::send",
        "part of a message may go, and then nothing can follow",
    ),
];

/// Operations that do not wait, though their names or their documentation sound so.
const OTHERS: &[&str] = &[
    "os::Fifo::reader",
    "os::Operation::take",
    "os::Reader::into_blocking",
    "os::Writer::into_blocking",
    "pool::Builder::idle",
    "pool::Builder::start",
    "pool::Calls::backoff",
    "pool::TaskHandle::on_done",
    "process::Builder::start",
    "process::exit_with_signal",
    "select::Select::new",
    "signal::block",
    "sync::Condvar::notify_one",
];

/// What `try_op` returns as its error: of the kind `WouldBlock`, if it is "not yet".
const OF_TRIES: &[&str] = &[
    "Error",
    "LockError",
    "TrySendError",
    "TryRecvError",
    // It gives the pool back.
    "JoinError",
];

/// What `op_timeout` and `op_deadline` return as their error: of the kind `TimedOut`, if it
/// is "not yet".
const OF_LIMITS: &[&str] = &[
    "Error",
    "LockError",
    "SendTimeoutError",
    "RecvTimeoutError",
    "JoinError",
];

/// Forms whose "not yet" is no error, and why: std or POSIX has given them their shape.
const OTHER_SHAPES: &[(&str, &str)] = &[
    ("channel::Endpoint::poll", "a question: `false`, as poll(2)"),
    ("channel::Reader::poll", "a question: `false`, as poll(2)"),
    (
        "manager::Condvar::wait",
        "the guard and a `WaitOutcome`, as `std::sync::Condvar::wait_timeout`",
    ),
    (
        "manager::Condvar::wait_while",
        "the guard, as `std::sync::Condvar::wait_timeout_while`: the caller asks the condition",
    ),
    (
        "process::Child::try_wait",
        "`Ok(None)`, as `std::process::Child::try_wait`",
    ),
    (
        "process::CommandChild::try_wait",
        "`Ok(None)`, as `std::process::Child::try_wait`",
    ),
    (
        "process::PipelineChild::try_wait",
        "`Ok(None)`, as `std::process::Child::try_wait`",
    ),
    (
        "sync::Condvar::wait",
        "the guard and a `WaitOutcome`, as `std::sync::Condvar::wait_timeout`",
    ),
    (
        "sync::Condvar::wait_while",
        "the guard, as `std::sync::Condvar::wait_timeout_while`: the caller asks the condition",
    ),
];

#[test]
fn not_yet_is_an_error() {
    let (methods, results) = of_the_library();
    let mut wrong = Vec::new();
    let mut used = BTreeSet::new();
    for (owner, methods) in &methods {
        for (name, method) in methods {
            let (base, allowed) = match limit(name) {
                Some(base) => (base, OF_LIMITS),
                None => match name.strip_prefix("try_") {
                    Some(base) => (base, OF_TRIES),
                    None => continue,
                },
            };
            if base_of_form(name, method).is_none() {
                continue;
            }
            let exact = format!("{owner}::{name}");
            let all = format!("{owner}::{base}");
            if OTHERS.contains(&all.as_str()) {
                continue;
            }
            let shape = OTHER_SHAPES
                .iter()
                .find(|(known, _)| *known == exact || *known == all);
            if let Some((known, _)) = shape {
                used.insert(*known);
                continue;
            }
            match error_of(method.returns.as_ref(), owner, &results) {
                Some(error) if !allowed.contains(&error.as_str()) => {
                    wrong.push(format!("{exact} fails with {error}, none of {allowed:?}"));
                }
                Some(_) => {}
                None => wrong.push(format!("{exact} has no error to say \"not yet\" with")),
            }
        }
    }
    for (known, _) in OTHER_SHAPES {
        if !used.contains(known) {
            wrong.push(format!("{known}: there is no such shape"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn limit(name: &str) -> Option<&str> {
    let limits = ["_timeout", "_deadline"];
    limits.iter().find_map(|limit| name.strip_suffix(limit))
}

/// The name of the error type of a `Result`, also by an alias of one; `None` where it is
/// something else.
fn error_of(returns: Option<&Type>, owner: &str, results: &Aliases) -> Option<String> {
    let Some(Type::Path(path)) = returns else {
        return None;
    };
    let last = path.path.segments.last()?;
    let syn::PathArguments::AngleBracketed(arguments) = &last.arguments else {
        return None;
    };
    let types = arguments.args.iter().filter_map(|argument| match argument {
        syn::GenericArgument::Type(argument) => Some(argument),
        _ => None,
    });
    let types: Vec<&Type> = types.collect();
    let name = last.ident.to_string();
    match (name.as_str(), types.as_slice()) {
        ("Result", [_, Type::Path(error)]) => Some(error.path.segments.last()?.ident.to_string()),
        ("Result", [_]) => Some("Error".to_owned()),
        _ => {
            let module = owner.split("::").next()?;
            let own = results.get(&format!("{module}::{name}"));
            own.or_else(|| results.get(&name)).cloned()
        }
    }
}

#[test]
fn whatever_waits_has_four_forms() {
    let (methods, _) = of_the_library();
    assert!(methods["queue::Receiver"].contains_key("recv_timeout"));
    assert!(methods["sync::BoundedSemaphore"].contains_key("acquire_timeout"));
    let mut wrong = wrong_forms(&methods, EXCEPTIONS, OTHERS);
    wrong.sort();
    wrong.dedup();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Each operation that waits and lacks forms, unless it is an exception, and each exception
/// that is none.
fn wrong_forms(methods: &Owners, exceptions: &[(&str, &str)], others: &[&str]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut used = BTreeSet::new();
    for (owner, methods) in methods {
        for (name, method) in methods {
            let Some(base) = base_of_form(name, method) else {
                continue;
            };
            let name = format!("{owner}::{base}");
            if let Some(other) = others.iter().find(|other| **other == name) {
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
            let exception = exceptions.iter().find(|(known, _)| *known == name);
            match (lacking.is_empty(), exception) {
                (true, None) => {}
                (false, Some((known, _))) => drop(used.insert(*known)),
                (false, None) => wrong.push(format!("{name} lacks {lacking:?}")),
                (true, Some(_)) => wrong.push(format!("{name} is no exception any more")),
            }
        }
    }
    let exceptions = exceptions.iter().map(|(known, _)| known);
    for known in exceptions.chain(others) {
        if !used.contains(known) {
            wrong.push(format!("{known}: there is no such exception"));
        }
    }
    wrong
}

#[test]
fn a_missing_form_is_found() {
    let all = "/// Takes, blocking while there is none.
        pub fn take(&self) -> Result<()> {}
        pub fn try_take(&self) -> Result<()> {}
        pub fn take_timeout(&self, timeout: Duration) -> Result<()> {}
        pub fn take_deadline(&self, deadline: Deadline) -> Result<()> {}";
    let wrong_in = |methods: &str, exceptions: &[(&str, &str)]| {
        let file =
            format!("macro_rules! make {{ () => {{ {methods} }} }} impl Made {{ make!(); }}");
        let items = syn::parse_file(&file).unwrap().items;
        let mut methods = Owners::new();
        collect(
            &Macros::of(&items).expand(&items).unwrap(),
            "here",
            &mut methods,
        );
        wrong_forms(&methods, exceptions, &[])
    };
    assert_eq!(wrong_in(all, &[]), [""; 0]);
    for lacking in ["try_take", "take_timeout", "take_deadline"] {
        let rest = all.replace(&format!("pub fn {lacking}("), "fn private(");
        let mut wrong = wrong_in(&rest, &[]);
        wrong.dedup();
        assert_eq!(wrong, [format!("here::Made::take lacks [{lacking:?}]")]);
        assert_eq!(wrong_in(&rest, &[("here::Made::take", "why")]), [""; 0]);
    }
    // One that waits by its documentation alone.
    let only = "/// Blocks until there is one.\npub fn take(&self) -> Result<()> {}";
    assert_eq!(wrong_in(only, &[]).len(), 1);
    let unneeded = wrong_in(all, &[("here::Made::take", "why")]);
    assert_eq!(unneeded[0], "here::Made::take is no exception any more");
    let gone = wrong_in(all, &[("here::Made::give", "why")]);
    assert_eq!(gone, ["here::Made::give: there is no such exception"]);
}

/// The public methods of the library, and the aliases of results.
fn of_the_library() -> (Owners, Aliases) {
    let mut methods = Owners::new();
    let mut results = Aliases::new();
    let files = files().into_iter().map(|(file, module)| {
        let text = std::fs::read_to_string(&file).unwrap();
        (syn::parse_file(&text).unwrap().items, module)
    });
    let files: Vec<(Vec<Item>, String)> = files.collect();
    let macros = Macros::of(files.iter().flat_map(|(items, _)| items));
    for (items, module) in files {
        let items = macros.expand(&items).unwrap();
        collect(&items, &module, &mut methods);
        for item in &items {
            if let Item::Type(alias) = item
                && let Some(error) = error_of(Some(&alias.ty), &module, &Aliases::new())
            {
                if matches!(alias.vis, Visibility::Public(_)) {
                    results.insert(alias.ident.to_string(), error.clone());
                }
                results.insert(format!("{module}::{}", alias.ident), error);
            }
        }
    }
    (methods, results)
}

/// Each source file of the library and of the transports, with the module that users know
/// it by.
fn files() -> Vec<(PathBuf, String)> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates");
    let library = crates.join("procession/src");
    let transports = sources_below(&crates.join("procession-transport/src"));
    let transports = transports
        .into_iter()
        .map(|file| (file, "transport".to_owned()));
    let of_library = sources_below(&library).into_iter().map(|file| {
        let below = file.strip_prefix(&library).unwrap();
        let top = below.components().next().unwrap().as_os_str();
        let module = top.to_str().unwrap().trim_end_matches(".rs").to_owned();
        (file, module)
    });
    // Nothing in it is for users.
    let is_public = |(_, module): &(PathBuf, String)| module != "__private";
    of_library.filter(is_public).chain(transports).collect()
}

/// The errors of aliases of results, by module and name; of public ones by name as well.
type Aliases = BTreeMap<String, String>;

/// What is known of a method.
struct Method {
    doc: String,
    returns: Option<Type>,
    /// The caller says how long it waits, so that it is all forms in one.
    takes_deadline: bool,
}

/// Methods by their names, by the types and modules that have them.
type Owners = BTreeMap<String, BTreeMap<String, Method>>;

/// The operation that a method is a form of, if it waits: by its name, or by what its
/// documentation says first.
fn base_of_form<'a>(name: &'a str, method: &Method) -> Option<&'a str> {
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
            returns: match &signature.output {
                syn::ReturnType::Type(_, returned) => Some((**returned).clone()),
                syn::ReturnType::Default => None,
            },
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
