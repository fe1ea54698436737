//! What is written in one place can be read in another (`Display` and `FromStr`), and what may
//! grow says so (`#[non_exhaustive]`): read from the sources, with the exceptions and their
//! reasons.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use syn::{Attribute, Item, Type, Visibility};

/// Types that are printed and not parsed.
const NOT_PARSED: &[(&str, &str)] = &[
    ("failure::Failure", "an error"),
    ("limits::Limit", "a report"),
    ("pool::Stats", "a report"),
    (
        "process::Command",
        "a command line for people, without what it inherits",
    ),
    ("process::ChildExit", "a report"),
    ("process::SupervisorEvent", "a report"),
    ("process::ExitStatus", "a report; the number is `from_raw`"),
    ("process::Panic", "an error"),
    (
        "process::Pipeline",
        "a command line for people, without what it inherits",
    ),
    ("process::ProcessState", "a report"),
];

/// Enums that are to be matched without a wildcard.
const COMPLETE: &[(&str, &str)] = &[
    ("os::Mode", "what eventfd(2) has"),
    ("os::Notification", "what mq_notify(3) has"),
    ("os::Select", "what msgrcv(2) has"),
    ("process::Fork", "there are two sides"),
    ("process::StartMethod", "the three of Python"),
    ("process::Stdio", "a match over it is an answer for each"),
    ("sync::LockError", "whoever repairs looks at each"),
    ("sync::WaitOutcome", "whoever waits looks at each"),
];

#[test]
fn what_is_printed_is_parsed() {
    let library = Library::read();
    let printed = library.implement("Display");
    let parsed = library.implement("FromStr");
    assert!(parsed.contains("signal_number::Signal"), "{parsed:?}");
    let lacking: BTreeSet<&String> = printed
        .iter()
        .filter(|name| !name.ends_with("Error") && !parsed.contains(*name))
        .filter(|name| library.public.contains_key(*name))
        .collect();
    compare(&lacking, NOT_PARSED, "has `Display` and no `FromStr`");
}

#[test]
fn what_may_grow_says_so() {
    let library = Library::read();
    let complete = library
        .public
        .iter()
        .filter(|(_, grows)| **grows == Some(false));
    let complete: BTreeSet<&String> = complete.map(|(name, _)| name).collect();
    compare(
        &complete,
        COMPLETE,
        "is an enum without `#[non_exhaustive]`",
    );
}

fn compare(found: &BTreeSet<&String>, known: &[(&str, &str)], what: &str) {
    let mut wrong = Vec::new();
    for name in found {
        if !known.iter().any(|(known, _)| known == name) {
            wrong.push(format!("{name} {what}"));
        }
    }
    for (known, _) in known {
        if !found.iter().any(|name| name == known) {
            wrong.push(format!("{known}: there is no such exception"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

struct Library {
    /// Public types by module and name; of enums, whether they may grow.
    public: BTreeMap<String, Option<bool>>,
    /// Traits and the types that have them.
    traits: BTreeSet<(String, String)>,
}

impl Library {
    fn read() -> Library {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/procession/src");
        let mut library = Library {
            public: BTreeMap::new(),
            traits: BTreeSet::new(),
        };
        for file in sources_below(&sources) {
            let text = std::fs::read_to_string(&file).unwrap();
            let module = file.strip_prefix(&sources).unwrap();
            let module = module.components().next().unwrap().as_os_str();
            let module = module.to_str().unwrap().trim_end_matches(".rs").to_owned();
            for item in syn::parse_file(&text).unwrap().items {
                library.add(&module, item);
            }
        }
        library
    }

    fn add(&mut self, module: &str, item: Item) {
        match item {
            Item::Struct(item) if matches!(item.vis, Visibility::Public(_)) => {
                self.public
                    .insert(format!("{module}::{}", item.ident), None);
            }
            Item::Enum(item) if matches!(item.vis, Visibility::Public(_)) => {
                let grows = item.attrs.iter().any(is_non_exhaustive);
                let name = format!("{module}::{}", item.ident);
                self.public.insert(name, Some(grows));
            }
            Item::Impl(item) => {
                let Some((path, ..)) = &item.trait_ else {
                    return;
                };
                let Type::Path(own) = &*item.self_ty else {
                    return;
                };
                let [Some(path), Some(own)] =
                    [path, &own.path].map(|path| path.segments.last().map(|last| &last.ident))
                else {
                    return;
                };
                let name = format!("{module}::{own}");
                self.traits.insert((path.to_string(), name));
            }
            _ => {}
        }
    }

    fn implement(&self, name: &str) -> BTreeSet<String> {
        let own = self.traits.iter().filter(|(known, _)| known == name);
        own.map(|(_, own)| own.clone()).collect()
    }
}

fn is_non_exhaustive(attribute: &Attribute) -> bool {
    attribute.path().is_ident("non_exhaustive")
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
