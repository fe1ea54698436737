//! Every error that the library exports is in the list of `crates/procession/tests/forms/errors.rs`,
//! which is compiled only if each of them converts with `?`.

use std::collections::BTreeSet;
use std::path::Path;
use syn::{Item, UseTree, Visibility};

#[test]
fn every_error_converts_with_a_question_mark() {
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/procession");
    let list = std::fs::read_to_string(library.join("tests/forms/errors.rs")).unwrap();
    let mut exported = BTreeSet::new();
    let root = syn::parse_file(&std::fs::read_to_string(library.join("src/lib.rs")).unwrap());
    for item in root.unwrap().items {
        match item {
            Item::Use(item) if matches!(item.vis, Visibility::Public(_)) => {
                names("", &item.tree, &mut exported);
            }
            Item::Mod(item) if matches!(item.vis, Visibility::Public(_)) => {
                let module = item.ident.to_string();
                let file = library.join(format!("src/{module}/mod.rs"));
                let Ok(text) = std::fs::read_to_string(file) else {
                    continue;
                };
                for item in syn::parse_file(&text).unwrap().items {
                    if let Item::Use(item) = item
                        && matches!(item.vis, Visibility::Public(_))
                    {
                        names(&format!("{module}::"), &item.tree, &mut exported);
                    }
                }
            }
            _ => {}
        }
    }
    assert!(exported.contains("queue::TrySendError"), "{exported:?}");
    let lacking: Vec<&String> = exported
        .iter()
        // Those of queues again.
        .filter(|name| !name.starts_with("channel::"))
        .filter(|name| {
            let name = name.strip_prefix("sync::").unwrap_or(name);
            let converted = ["<", ">"].map(|end| list.contains(&format!("::<{name}{end}")));
            converted == [false, false]
        })
        .collect();
    assert!(
        lacking.is_empty(),
        "tests/forms/errors.rs lacks {lacking:?}"
    );
}

/// The names of errors that a `pub use` exports.
fn names(module: &str, tree: &UseTree, into: &mut BTreeSet<String>) {
    match tree {
        UseTree::Path(path) => names(module, &path.tree, into),
        UseTree::Group(group) => {
            let trees = group.items.iter();
            trees.for_each(|tree| names(module, tree, into));
        }
        UseTree::Name(name) if name.ident.to_string().ends_with("Error") => {
            into.insert(format!("{module}{}", name.ident));
        }
        UseTree::Rename(name) if name.rename.to_string().ends_with("Error") => {
            into.insert(format!("{module}{}", name.rename));
        }
        _ => {}
    }
}
