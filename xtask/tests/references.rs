//! Each file that wraps system calls, and each algorithm over shared words, says where it
//! comes from: a manual page, a document of the kernel, or a paper.

use std::collections::BTreeSet;
use std::path::Path;

/// Files without a source of their own, and why.
const NONE: &[(&str, &str)] = &[
    ("core/abandoned.rs", "tests"),
    ("core/atomics.rs", "the door to atomics"),
    ("core/barrier/outcomes.rs", "a part of `barrier.rs`"),
    ("core/lib.rs", "the root"),
    ("core/owner.rs", "the layout of a word"),
    ("core/permits.rs", "nobody else's algorithm"),
    ("core/platform.rs", "what algorithms ask of the system"),
    ("core/stepping.rs", "for tests"),
    ("sys/lib.rs", "the root"),
    ("sys/posix/mod.rs", "the parts have them"),
];

/// Folders whose `mod.rs` has the sources for all of their files.
const WHOLE: &[&str] = &["core/queue/", "core/worker_ring/"];

/// A page of the manual, such as `futex(2)`, a paper in quotes, or a document of the kernel.
fn has_source(text: &str) -> bool {
    let docs: String = text
        .lines()
        .filter(|line| line.trim_start().starts_with("//"))
        .collect();
    let page = ["(2)", "(3)", "(3p)", "(5)", "(7)"];
    page.iter().any(|page| docs.contains(page))
        || docs.contains(".rst")
        || docs.contains("# References")
}

fn sources(directory: &Path, name: &str, into: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{name}/{}", path.file_name().unwrap().display());
        if path.is_dir() {
            sources(&path, &name, into);
        } else if name.ends_with(".rs") {
            into.push((name, std::fs::read_to_string(&path).unwrap()));
        }
    }
}

#[test]
fn wrappers_and_algorithms_name_their_sources() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates");
    let mut files = Vec::new();
    sources(&crates.join("procession-core/src"), "core", &mut files);
    sources(&crates.join("procession-sys/src"), "sys", &mut files);
    let is_part = |name: &str| {
        let whole = WHOLE.iter().any(|folder| name.starts_with(folder));
        whole && !WHOLE.iter().any(|folder| name == format!("{folder}mod.rs"))
    };
    let lacking = files
        .iter()
        .filter(|(name, text)| !is_part(name) && !has_source(text));
    let lacking: BTreeSet<&str> = lacking.map(|(name, _)| name.as_str()).collect();
    let known: BTreeSet<&str> = NONE.iter().map(|(name, _)| *name).collect();
    let new: Vec<_> = lacking.difference(&known).collect();
    assert!(new.is_empty(), "no source is named in {new:?}");
    let over: Vec<_> = known.difference(&lacking).collect();
    assert!(over.is_empty(), "to be taken out of the list: {over:?}");
}
