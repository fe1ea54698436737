//! Which file uses which: every path in a crate that leads to another of its files.

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{ImplItem, Item, ItemMod, ItemUse, Macro, Path};

use super::sources::{self, Route, Sources};

/// A file uses what another defines.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Import {
    pub(crate) from: String,
    pub(crate) line: usize,
    pub(crate) to: String,
    /// The modules right below the root; empty for the root itself.
    pub(crate) from_top: String,
    pub(crate) to_top: String,
}

/// All of a crate, sorted, each once a line.
pub(crate) fn of(sources: &Sources) -> Vec<Import> {
    let mut visitor = Visitor {
        sources,
        module: &Vec::new(),
        depth: 0,
        found: Vec::new(),
    };
    for (route, module) in &sources.modules {
        visitor.module = route;
        for item in &module.items {
            visitor.visit_item(item);
        }
    }
    visitor.found.sort();
    visitor.found.dedup();
    visitor.found
}

struct Visitor<'a> {
    sources: &'a Sources,
    module: &'a Route,
    /// How many items we are in.
    depth: usize,
    found: Vec<Import>,
}

impl Visitor<'_> {
    fn add(&mut self, target: &Route, line: usize) {
        let top = |route: &Route| route.first().cloned().unwrap_or_default();
        let from = self.sources.modules[self.module].file.clone();
        let to = self.sources.modules[target].file.clone();
        if from != to {
            self.found.push(Import {
                from,
                line,
                to,
                from_top: top(self.module),
                to_top: top(target),
            });
        }
    }

    fn add_path(&mut self, path: &[String], line: usize) {
        // A name alone came in by a `use`, which we see for itself.
        if path.len() > 1
            && let Some((target, _)) = self.sources.resolve(self.module, path)
        {
            self.add(&target, line);
        }
    }

    /// The paths in what a macro is given, or consists of.
    fn scan(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut line = 0;
        let mut colons = 0;
        for token in tokens {
            match &token {
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.add_path(&path, line);
                        path.clear();
                        line = ident.span().start().line;
                    }
                    path.push(ident.to_string());
                    colons = 0;
                    continue;
                }
                TokenTree::Punct(it) if it.as_char() == ':' && !path.is_empty() => {
                    colons += 1;
                    continue;
                }
                TokenTree::Group(group) => self.scan(group.stream()),
                _ => {}
            }
            self.add_path(&path, line);
            path.clear();
            colons = 0;
        }
        self.add_path(&path, line);
    }
}

impl<'ast> Visit<'ast> for Visitor<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if !sources::is_for_tests(sources::attributes(item)) {
            self.depth += 1;
            visit::visit_item(self, item);
            self.depth -= 1;
        }
    }

    fn visit_item_mod(&mut self, _: &'ast ItemMod) {}

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        let is_for_tests = match item {
            ImplItem::Fn(it) => sources::is_for_tests(&it.attrs),
            _ => false,
        };
        if !is_for_tests {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        for import in sources::imports(item) {
            let Some((target, is_module)) = self.sources.resolve(self.module, &import.path) else {
                continue;
            };
            // What a module hands on of its own parts is no use of them; and
            // who names a module uses what it takes from there.
            let is_own = target.starts_with(self.module) && !sources::is_private(item);
            let is_seen_later = is_module && self.depth == 1 && import.name.is_some();
            if !is_own && !is_seen_later {
                self.add(&target, import.line);
            }
        }
    }

    fn visit_path(&mut self, path: &'ast Path) {
        if path.leading_colon.is_none() {
            let names = path.segments.iter().map(|it| it.ident.to_string());
            let names: Vec<String> = names.collect();
            let line = path.segments[0].ident.span().start().line;
            self.add_path(&names, line);
        }
        visit::visit_path(self, path);
    }

    // `pub(in a::b)` is no use.
    fn visit_vis_restricted(&mut self, _: &'ast syn::VisRestricted) {}

    fn visit_attribute(&mut self, _: &'ast syn::Attribute) {}

    fn visit_macro(&mut self, item: &'ast Macro) {
        visit::visit_macro(self, item);
        self.scan(item.tokens.clone());
    }
}
