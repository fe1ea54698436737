//! No type of another crate stands in the library's public API, but for those that are there on
//! purpose: users of the library would depend on the version of that crate as well.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use syn::visit::{self, Visit};
use syn::{Attribute, ImplItem, Item, Signature, UseTree, Visibility};

/// What is there on purpose, by crate.
const WANTED: &[(&str, &str)] = &[
    ("serde", "whatever travels is serialised"),
    (
        "ndarray",
        "the feature of the same name is for nothing else",
    ),
];

#[test]
fn no_type_of_another_crate_is_public() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/procession/src");
    let mut wrong = Vec::new();
    let mut used = BTreeSet::new();
    for file in sources_below(&sources) {
        let text = std::fs::read_to_string(&file).unwrap();
        let items = syn::parse_file(&text).unwrap().items;
        let mut foreign = Foreign::default();
        for item in &items {
            // What is exported again is ours by that.
            if let Item::Use(item) = item
                && !matches!(item.vis, Visibility::Public(_))
            {
                foreign.import(&item.tree, None);
            }
        }
        for item in &items {
            foreign.look_at(item);
        }
        for (krate, what) in foreign.found {
            match WANTED.iter().find(|(wanted, _)| *wanted == krate) {
                Some((wanted, _)) => drop(used.insert(*wanted)),
                None => wrong.push(format!("{}: {what} of `{krate}`", file.display())),
            }
        }
    }
    for (wanted, _) in WANTED {
        assert!(used.contains(wanted), "{wanted} is not in the API any more");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[derive(Default)]
struct Foreign {
    /// Names that a file imports from other crates, and the crates.
    imported: Vec<(String, String)>,
    /// The crates whose types are public, and where.
    found: Vec<(String, String)>,
    /// What is being looked at.
    place: String,
}

impl Foreign {
    fn import(&mut self, tree: &UseTree, krate: Option<&str>) {
        match tree {
            UseTree::Path(path) => {
                let first = path.ident.to_string();
                self.import(&path.tree, Some(krate.unwrap_or(&first)));
            }
            UseTree::Group(group) => {
                let trees = group.items.iter();
                trees.for_each(|tree| self.import(tree, krate));
            }
            UseTree::Name(name) => self.imported(&name.ident, krate),
            UseTree::Rename(name) => self.imported(&name.rename, krate),
            UseTree::Glob(_) => {}
        }
    }

    fn imported(&mut self, name: &syn::Ident, krate: Option<&str>) {
        let Some(krate) = krate.filter(|krate| is_foreign(krate)) else {
            return;
        };
        self.imported.push((name.to_string(), krate.to_owned()));
    }

    fn look_at(&mut self, item: &Item) {
        match item {
            Item::Fn(item) if is_public(&item.vis, &item.attrs) => self.signature(&item.sig),
            Item::Struct(item) if is_public(&item.vis, &item.attrs) => {
                for field in &item.fields {
                    if is_public(&field.vis, &field.attrs) {
                        self.place = item.ident.to_string();
                        self.visit_type(&field.ty);
                    }
                }
            }
            Item::Enum(item) if is_public(&item.vis, &item.attrs) => {
                for field in item.variants.iter().flat_map(|variant| &variant.fields) {
                    self.place = item.ident.to_string();
                    self.visit_type(&field.ty);
                }
            }
            Item::Type(item) if is_public(&item.vis, &item.attrs) => {
                self.place = item.ident.to_string();
                self.visit_type(&item.ty);
            }
            Item::Impl(block) if block.trait_.is_none() => {
                for item in &block.items {
                    if let ImplItem::Fn(item) = item
                        && is_public(&item.vis, &item.attrs)
                    {
                        self.signature(&item.sig);
                    }
                }
            }
            _ => {}
        }
    }

    fn signature(&mut self, signature: &Signature) {
        self.place = signature.ident.to_string();
        self.visit_signature(signature);
    }
}

impl<'ast> Visit<'ast> for Foreign {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        let first = path.segments[0].ident.to_string();
        let named = path.segments.len() > 1 && path.leading_colon.is_none();
        let krate = match self.imported.iter().find(|(name, _)| *name == first) {
            Some((_, krate)) => Some(krate.clone()),
            None => (named && is_foreign(&first)).then_some(first),
        };
        if let Some(krate) = krate {
            self.found
                .push((krate, format!("`{}` has a type", self.place)));
        }
        visit::visit_path(self, path);
    }
}

/// Returns `true` for crates that the library depends on, whose names paths may begin with.
fn is_foreign(name: &str) -> bool {
    static DEPENDENCIES: LazyLock<Vec<String>> = LazyLock::new(|| {
        let manifest = include_str!("../../crates/procession/Cargo.toml");
        let manifest: toml::Table = manifest.parse().unwrap();
        let dependencies = manifest["dependencies"].as_table().unwrap().keys();
        dependencies.map(|name| name.replace('-', "_")).collect()
    });
    DEPENDENCIES.iter().any(|known| known == name)
}

/// Hidden items are for the crates of this workspace.
fn is_public(visibility: &Visibility, attributes: &[Attribute]) -> bool {
    let is_hidden = attributes.iter().any(|attribute| match &attribute.meta {
        syn::Meta::List(list) => list.path.is_ident("doc") && list.tokens.to_string() == "hidden",
        _ => false,
    });
    matches!(visibility, Visibility::Public(_)) && !is_hidden
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
