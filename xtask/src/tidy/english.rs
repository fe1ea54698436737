//! House English, as far as a program sees it: constructions that CONTRIBUTING.md does not
//! want in documentation, and words that the project has given up. Both are counted for
//! each module, and a count may only fall.

use std::collections::BTreeMap;

use syn::visit::{self, Visit};
use syn::{Attribute, Ident, ImplItemFn, ItemFn, Visibility};

use super::Problems;
use super::sources::{Sources, is_for_tests};
use super::sync_names::module_of;
use super::texts::Text;
use crate::macros::Macros;

/// How far a count may be below its entry: most edits need not touch the table.
const SLACK: usize = 8;

/// Words that the field has others for. (`sealed` is not among them: memory files have seals.)
const GIVEN_UP: [&str; 19] = [
    "annex",
    "bell",
    "birth",
    "bury",
    "conclude",
    "crew",
    "ender",
    "gate",
    "hindrance",
    "keeper",
    "knock",
    "lane",
    "lease",
    "maker",
    "patience",
    "said",
    "stranger",
    "teller",
    "tend",
];

/// Words that end like a verb in the third person and are none.
const NO_VERBS: [&str; 7] = ["Always", "As", "Its", "Less", "Perhaps", "This", "Thus"];

/// What is counted, by module: a line for each place.
type Found = BTreeMap<String, Vec<String>>;

/// The places in one crate.
#[derive(Debug, Default)]
pub(crate) struct English {
    constructions: Found,
    words: Found,
}

/// The text of documentation comments, without examples, by the number of the line.
fn docs(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut is_example = false;
    let lines = (1..).zip(text.lines()).filter_map(|(number, line)| {
        let line = line.trim_start();
        let doc = line.strip_prefix("///").or(line.strip_prefix("//!"))?;
        Some((number, doc.trim()))
    });
    lines.filter(move |(_, line)| {
        let is_fence = line.starts_with("```");
        is_example ^= is_fence;
        !is_example && !is_fence
    })
}

/// What is wrong with a line of documentation, a word for each time.
fn constructions(line: &str) -> Vec<&'static str> {
    let mut found = Vec::new();
    let mut starts = true;
    for word in line.split_whitespace() {
        let bare = word.trim_matches(|letter: char| !letter.is_alphanumeric());
        match bare {
            "who" | "whoever" | "Who" | "Whoever" => found.push("who"),
            "Whether" if starts => found.push("Whether"),
            _ => {}
        }
        starts = word.ends_with(['.', ':']);
    }
    found
}

/// Returns `true` if the documentation of a function begins with a verb in the third person.
fn begins_with_verb(doc: &str) -> bool {
    let first = doc.split_whitespace().next().unwrap_or_default();
    let word = first.trim_end_matches([',', '.', ';', ':']);
    let mut letters = word.chars();
    let is_capital = letters
        .next()
        .is_some_and(|letter| letter.is_ascii_uppercase());
    let is_word = letters.all(|letter| letter.is_ascii_lowercase());
    is_capital && is_word && word.ends_with('s') && !NO_VERBS.contains(&word)
}

/// The words of `snake_case` and `CamelCase`.
fn parts(name: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    for letter in name.chars() {
        if letter == '_' || letter.is_uppercase() {
            parts.push(String::new());
        }
        let last = parts.last_mut().into_iter();
        last.for_each(|last| last.extend(letter.to_lowercase().filter(|it| *it != '_')));
    }
    parts
}

fn has_given_up_word(name: &str) -> bool {
    let parts = parts(name);
    let mut words = parts.iter().map(String::as_str);
    words.any(|word| GIVEN_UP.contains(&word.strip_suffix('s').unwrap_or(word)))
}

/// Looks at what a file defines.
struct Names<'a> {
    functions: Vec<(usize, String)>,
    given_up: Vec<(usize, String)>,
    file: &'a str,
}

impl Names<'_> {
    fn function(&mut self, name: &Ident, visibility: &Visibility, attributes: &[Attribute]) {
        let docs = attributes.iter().find_map(|it| match &it.meta {
            syn::Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
                syn::Expr::Lit(literal) => match &literal.lit {
                    syn::Lit::Str(text) => Some(text.value()),
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        });
        let is_public = matches!(visibility, Visibility::Public(_));
        let is_wrong = docs.is_some_and(|doc| !begins_with_verb(&doc));
        if is_public && is_wrong && !is_for_tests(attributes) {
            let line = name.span().start().line;
            let what = format!("{}:{line}: `{name}` does not begin with a verb", self.file);
            self.functions.push((line, what));
        }
    }

    fn name(&mut self, name: &Ident) {
        if has_given_up_word(&name.to_string()) {
            let line = name.span().start().line;
            let what = format!(
                "{}:{line}: `{name}` has a word that was given up",
                self.file
            );
            self.given_up.push((line, what));
        }
    }
}

impl<'ast> Visit<'ast> for Names<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        let name = match item {
            syn::Item::Struct(it) => Some(&it.ident),
            syn::Item::Enum(it) => Some(&it.ident),
            syn::Item::Trait(it) => Some(&it.ident),
            syn::Item::Type(it) => Some(&it.ident),
            syn::Item::Const(it) => Some(&it.ident),
            syn::Item::Static(it) => Some(&it.ident),
            _ => None,
        };
        name.into_iter().for_each(|name| self.name(name));
        visit::visit_item(self, item);
    }

    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        self.function(&item.sig.ident, &item.vis, &item.attrs);
        self.name(&item.sig.ident);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        self.function(&item.sig.ident, &item.vis, &item.attrs);
        self.name(&item.sig.ident);
    }

    fn visit_field(&mut self, field: &'ast syn::Field) {
        field.ident.iter().for_each(|name| self.name(name));
    }

    fn visit_variant(&mut self, variant: &'ast syn::Variant) {
        self.name(&variant.ident);
        visit::visit_variant(self, variant);
    }

    fn visit_expr(&mut self, _: &'ast syn::Expr) {}
}

impl English {
    /// Looks at all files of a crate.
    pub(crate) fn add(&mut self, name: &str, sources: &Sources, texts: &[Text]) {
        let macros = Macros::of(sources.modules.values().flat_map(|it| &it.items));
        for module in sources.modules.values() {
            let path = format!("crates/{name}/src/{}", module.file);
            let mut names = Names {
                functions: Vec::new(),
                given_up: Vec::new(),
                file: &path,
            };
            // What is not understood is told of by `examples`.
            let items = macros.expand(&module.items).unwrap_or_default();
            items.iter().for_each(|item| names.visit_item(item));
            let module = module_of(&path);
            let found = names.functions.into_iter().map(|(_, what)| what);
            self.constructions
                .entry(module.clone())
                .or_default()
                .extend(found);
            let found = names.given_up.into_iter().map(|(_, what)| what);
            self.words.entry(module).or_default().extend(found);
        }
        let prefix = format!("crates/{name}/src/");
        for text in texts.iter().filter(|text| text.path.starts_with(&prefix)) {
            let module = module_of(&text.path);
            let lines = docs(&text.text).flat_map(|(number, line)| {
                let found = constructions(line).into_iter();
                found.map(move |what| format!("{}:{number}: \"{what}\"", text.path))
            });
            self.constructions
                .entry(module.clone())
                .or_default()
                .extend(lines);
            let stem = text.path.rsplit('/').next().unwrap_or_default();
            if has_given_up_word(stem.trim_end_matches(".rs")) {
                let what = format!("{}: its name has a word that was given up", text.path);
                self.words.entry(module).or_default().push(what);
            }
        }
    }

    /// Every place that is counted.
    pub(crate) fn places(&self) -> impl Iterator<Item = &String> {
        let both = self.constructions.values().chain(self.words.values());
        both.flatten()
    }

    pub(crate) fn check(
        &self,
        constructions: &BTreeMap<String, usize>,
        words: &BTreeMap<String, usize>,
    ) -> Problems {
        let mut problems = compare("prose", &self.constructions, constructions);
        problems.extend(compare("words", &self.words, words));
        problems
    }
}

fn compare(table: &str, found: &Found, known: &BTreeMap<String, usize>) -> Problems {
    let mut problems = Problems::new();
    let gone = known.keys().map(|module| (module, 0));
    let counted = found.iter().map(|(module, places)| (module, places.len()));
    let counts: BTreeMap<&String, usize> = gone.chain(counted).collect();
    for (module, counted) in counts {
        let known = known.get(module).copied().unwrap_or(0);
        let remedy = match counted {
            _ if counted > known => "`cargo xtask tidy --prose` lists them".to_owned(),
            0 if known > 0 => "take it out of tidy.toml".to_owned(),
            _ if counted + SLACK < known => format!("write {counted} into tidy.toml"),
            _ => continue,
        };
        problems.push(format!(
            "{module}: {table}: {counted} places are not house English, {known} are allowed: {remedy}"
        ));
    }
    problems
}
