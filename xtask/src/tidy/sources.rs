//! A crate as the compiler sees it: modules, what they define, and what they
//! call by other names.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::{Attribute, Item, ItemUse, UseTree, Visibility};

/// The way to a module or an item, from the root of its crate.
pub(crate) type Route = Vec<String>;

/// A crate, without what only tests compile.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    pub(crate) modules: BTreeMap<Route, Module>,
}

#[derive(Debug)]
pub(crate) struct Module {
    /// Relative to the directory of the root.
    pub(crate) file: String,
    pub(crate) items: Vec<Item>,
    /// Those names that lead elsewhere, with the paths as they are written.
    aliases: BTreeMap<String, Vec<Vec<String>>>,
    defined: BTreeSet<String>,
    globs: Vec<Vec<String>>,
}

/// A name that a `use` brings in, or all names of a module.
#[derive(Debug)]
pub(crate) struct Import {
    pub(crate) path: Vec<String>,
    /// None for `*`.
    pub(crate) name: Option<String>,
    pub(crate) line: usize,
}

/// Returns `true` if only tests compile it.
pub(crate) fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let syn::Meta::List(list) = &attribute.meta else {
            return false;
        };
        let condition = list.tokens.to_string();
        list.path.is_ident("cfg")
            && (["test", "doctest"].contains(&condition.as_str())
                || condition.starts_with("all (test")
                || condition.starts_with("all(test"))
    })
}

/// What an item has in brackets before it.
pub(crate) fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(it) => &it.attrs,
        Item::Enum(it) => &it.attrs,
        Item::ExternCrate(it) => &it.attrs,
        Item::Fn(it) => &it.attrs,
        Item::ForeignMod(it) => &it.attrs,
        Item::Impl(it) => &it.attrs,
        Item::Macro(it) => &it.attrs,
        Item::Mod(it) => &it.attrs,
        Item::Static(it) => &it.attrs,
        Item::Struct(it) => &it.attrs,
        Item::Trait(it) => &it.attrs,
        Item::Type(it) => &it.attrs,
        Item::Union(it) => &it.attrs,
        Item::Use(it) => &it.attrs,
        _ => &[],
    }
}

/// What a `use` brings in.
pub(crate) fn imports(item: &ItemUse) -> Vec<Import> {
    let mut found = Vec::new();
    if item.leading_colon.is_none() {
        collect(&item.tree, &mut Vec::new(), &mut found);
    }
    found
}

fn collect(tree: &UseTree, before: &mut Vec<String>, found: &mut Vec<Import>) {
    let mut add = |ident: &proc_macro2::Ident, name: &proc_macro2::Ident| {
        let mut path = before.clone();
        // `a::{self}` is `a`.
        if ident != "self" || path.is_empty() {
            path.push(ident.to_string());
        }
        let name = match name == "self" {
            true => path.last().cloned(),
            false => Some(name.to_string()),
        };
        let line = ident.span().start().line;
        found.push(Import { path, name, line });
    };
    match tree {
        UseTree::Path(it) => {
            before.push(it.ident.to_string());
            collect(&it.tree, before, found);
            before.pop();
        }
        UseTree::Name(it) => add(&it.ident, &it.ident),
        UseTree::Rename(it) => add(&it.ident, &it.rename),
        UseTree::Glob(it) => found.push(Import {
            path: before.clone(),
            name: None,
            line: it.star_token.spans[0].start().line,
        }),
        UseTree::Group(it) => {
            for tree in &it.items {
                collect(tree, before, found);
            }
        }
    }
}

impl Sources {
    /// Reads a crate from the file of its root.
    pub(crate) fn read(root: &Path) -> Result<Self, String> {
        let mut sources = Self::default();
        let directory = root.parent().ok_or("a root has a directory")?;
        sources.read_file(directory, root, Vec::new(), directory)?;
        Ok(sources)
    }

    /// `below` is where files of modules in it are.
    fn read_file(
        &mut self,
        root: &Path,
        path: &Path,
        route: Route,
        below: &Path,
    ) -> Result<(), String> {
        let at = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let text = fs::read_to_string(path).map_err(|error| at(&error))?;
        let parsed = syn::parse_file(&text).map_err(|error| at(&error))?;
        if is_for_tests(&parsed.attrs) {
            return Ok(());
        }
        let file = path.strip_prefix(root).map_err(|error| at(&error))?;
        let file = file.to_string_lossy().into_owned();
        self.read_module(root, &file, route, below, parsed.items)
    }

    fn read_module(
        &mut self,
        root: &Path,
        file: &str,
        route: Route,
        below: &Path,
        items: Vec<Item>,
    ) -> Result<(), String> {
        let mut module = Module {
            file: file.to_owned(),
            items: Vec::new(),
            aliases: BTreeMap::new(),
            defined: BTreeSet::new(),
            globs: Vec::new(),
        };
        for item in items {
            if is_for_tests(attributes(&item)) {
                continue;
            }
            if let Item::Mod(it) = item {
                let name = it.ident.to_string();
                let mut inner = route.clone();
                inner.push(name.clone());
                let below = below.join(&name);
                match it.content {
                    Some((_, items)) => self.read_module(root, file, inner, &below, items)?,
                    None => {
                        let path = file_of(&below);
                        self.read_file(root, &path, inner, &below)?;
                    }
                }
                continue;
            }
            module.take_names(&item);
            module.items.push(item);
        }
        self.modules.insert(route, module);
        Ok(())
    }

    /// Where the item is defined that a path means, seen from `module`, and
    /// whether it is a module itself. None if it is not of this crate.
    pub(crate) fn resolve(&self, module: &[String], path: &[String]) -> Option<(Route, bool)> {
        self.resolve_within(module, path, 24)
    }

    fn resolve_within(
        &self,
        module: &[String],
        path: &[String],
        left: usize,
    ) -> Option<(Route, bool)> {
        let left = left.checked_sub(1)?;
        let mut at = module.to_vec();
        let mut rest = path;
        let mut is_rooted = false;
        while let Some((first, after)) = rest.split_first() {
            match first.as_str() {
                "crate" => at.clear(),
                "super" => {
                    at.pop()?;
                }
                "self" => {}
                _ => break,
            }
            is_rooted = true;
            rest = after;
        }
        let Some((name, after)) = rest.split_first() else {
            return Some((at, true));
        };
        let here = self.modules.get(&at)?;
        let mut inner = at.clone();
        inner.push(name.clone());
        let is_module = self.modules.contains_key(&inner);
        if is_module && (!after.is_empty() || !here.defined.contains(name)) {
            let rest: Vec<String> = [&["self".to_owned()], after].concat();
            return self.resolve_within(&inner, &rest, left);
        }
        if here.defined.contains(name) {
            return Some((at, false));
        }
        // What is meant by a name that nothing here has may be another crate.
        for alias in here.aliases.get(name).into_iter().flatten() {
            if alias.first() == Some(name) && alias.len() == 1 {
                continue;
            }
            let whole = [alias.as_slice(), after].concat();
            if let Some(found) = self.resolve_within(&at, &whole, left) {
                return Some(found);
            }
        }
        for glob in &here.globs {
            let whole = [glob.as_slice(), rest].concat();
            if let Some(found) = self.resolve_within(&at, &whole, left) {
                return Some(found);
            }
        }
        if at.is_empty() && is_rooted {
            // An exported macro, wherever it is defined.
            let defines = |module: &&Route| self.modules[*module].exports_macro(name);
            return self
                .modules
                .keys()
                .find(defines)
                .map(|it| (it.clone(), false));
        }
        None
    }
}

/// `a/b.rs` or `a/b/mod.rs`.
fn file_of(below: &Path) -> PathBuf {
    let path = below.with_extension("rs");
    match path.is_file() {
        true => path,
        false => below.join("mod.rs"),
    }
}

impl Module {
    fn take_names(&mut self, item: &Item) {
        let defined = match item {
            Item::Const(it) => &it.ident,
            Item::Enum(it) => &it.ident,
            Item::Fn(it) => &it.sig.ident,
            Item::Static(it) => &it.ident,
            Item::Struct(it) => &it.ident,
            Item::Trait(it) => &it.ident,
            Item::Type(it) => &it.ident,
            Item::Union(it) => &it.ident,
            Item::Macro(it) => match &it.ident {
                Some(name) => name,
                None => return self.take_generated(it),
            },
            Item::Use(it) => return self.take_imports(it),
            _ => return,
        };
        self.defined.insert(defined.to_string());
    }

    /// What a macro defines in this place, as far as its text names it.
    fn take_generated(&mut self, item: &syn::ItemMacro) {
        let mut before = String::new();
        for token in item.mac.tokens.clone() {
            let text = token.to_string();
            if ["struct", "enum", "fn", "type", "const", "static", "trait"]
                .contains(&before.as_str())
            {
                self.defined.insert(text.clone());
            }
            before = text;
        }
    }

    fn take_imports(&mut self, item: &ItemUse) {
        for import in imports(item) {
            match import.name {
                Some(name) => self.aliases.entry(name).or_default().push(import.path),
                None => self.globs.push(import.path),
            }
        }
    }

    fn exports_macro(&self, name: &str) -> bool {
        self.items.iter().any(|item| match item {
            Item::Macro(it) => {
                let is_exported = |it: &Attribute| it.path().is_ident("macro_export");
                it.ident.as_ref().is_some_and(|ident| ident == name)
                    && it.attrs.iter().any(is_exported)
            }
            _ => false,
        })
    }
}

/// Returns `true` if other modules do not see what the item brings in.
pub(crate) fn is_private(item: &ItemUse) -> bool {
    matches!(item.vis, Visibility::Inherited)
}
