//! Public functions show how they are used, those that macros make as well.

use std::collections::BTreeMap;

use syn::visit::{self, Visit};
use syn::{Attribute, ImplItemFn, ItemFn, Visibility};

use super::Problems;
use super::sources::{self, Sources};
use super::texts::Text;
use crate::macros::Macros;

/// Counts public functions of a file that no example calls: neither their own,
/// nor one that stands elsewhere in the documentation of the file.
#[derive(Debug, Default)]
struct Counter {
    examples: String,
    found: usize,
}

/// The code in the comments for users.
fn examples(text: &str) -> String {
    let lines = text.lines().map(str::trim);
    let docs = lines.filter(|line| line.starts_with("///") || line.starts_with("//!"));
    let docs: Vec<&str> = docs.collect();
    docs.join("\n").split("```").skip(1).step_by(2).collect()
}

impl Counter {
    fn count(&mut self, name: &syn::Ident, visibility: &Visibility, attributes: &[Attribute]) {
        let is_public = matches!(visibility, Visibility::Public(_));
        let docs = attributes.iter().filter(|it| it.path().is_ident("doc"));
        let texts = docs.map(|it| match &it.meta {
            syn::Meta::NameValue(it) => match &it.value {
                syn::Expr::Lit(syn::ExprLit {
                    lit: syn::Lit::Str(text),
                    ..
                }) => text.value(),
                // `concat!` of several texts.
                syn::Expr::Macro(it) => it.mac.tokens.to_string(),
                _ => String::new(),
            },
            // Nobody is to use what is hidden. (`alias` is another matter.)
            syn::Meta::List(it) if it.tokens.to_string() == "hidden" => "```".to_owned(),
            _ => String::new(),
        });
        let calls = [format!("{name}("), format!("{name}::<")];
        let is_called = |call: &String| {
            let mut places = self.examples.match_indices(call.as_str());
            places.any(|(at, _)| self.examples[..at].ends_with(['.', ':', ' ', '(', '!', '&']))
        };
        let has_example =
            texts.into_iter().any(|text| text.contains("```")) || calls.iter().any(is_called);
        if is_public && !has_example && !sources::is_for_tests(attributes) {
            self.found += 1;
        }
    }
}

impl<'ast> Visit<'ast> for Counter {
    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        self.count(&item.sig.ident, &item.vis, &item.attrs);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        self.count(&item.sig.ident, &item.vis, &item.attrs);
    }

    fn visit_expr(&mut self, _: &'ast syn::Expr) {}
}

pub(crate) fn check(
    name: &str,
    known: &BTreeMap<String, usize>,
    sources: &Sources,
    texts: &[Text],
) -> Problems {
    let mut counted: BTreeMap<&str, usize> = BTreeMap::new();
    let macros = Macros::of(sources.modules.values().flat_map(|it| &it.items));
    let mut problems = Problems::new();
    let is_shown = |route: &&Vec<String>| route.first().is_none_or(|top| top != "__private");
    for (_, module) in sources.modules.iter().filter(|(route, _)| is_shown(route)) {
        let path = format!("crates/{name}/src/{}", module.file);
        let text = texts.iter().find(|text| text.path == path);
        let mut counter = Counter {
            examples: examples(text.map_or("", |text| &text.text)),
            found: 0,
        };
        let items = macros.expand(&module.items).unwrap_or_else(|why| {
            problems.push(format!("{name}: {}: {why}", module.file));
            Vec::new()
        });
        for item in &items {
            visit::visit_item(&mut counter, item);
        }
        *counted.entry(&module.file).or_default() += counter.found;
    }
    let none = known.keys().map(|file| (file.as_str(), 0));
    let files: BTreeMap<&str, usize> = none.chain(counted).collect();
    for (file, counted) in files {
        let known = known.get(file).copied().unwrap_or(0);
        if counted > known {
            problems.push(format!(
                "{name}: {file} has {counted} public functions without an example, it had {known}"
            ));
        } else if counted < known {
            problems.push(format!(
                "{name}: {file} has {counted} public functions without an example: write that instead of {known} into tidy.toml"
            ));
        }
    }
    problems
}
