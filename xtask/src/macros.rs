//! What the macros of a crate make of their calls: to syn, a call of a macro is a row of
//! tokens. `macro_rules!` is followed as far as macros that make items and methods need it.

use std::collections::BTreeMap;

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use syn::{ImplItem, Item, ItemImpl};

/// The macros of a crate, by their names.
#[derive(Debug, Default)]
pub(crate) struct Macros(BTreeMap<String, Vec<Arm>>);

#[derive(Debug)]
struct Arm {
    pattern: Vec<Part>,
    body: Vec<Part>,
}

/// A part of a pattern, or of the body that is made from it.
#[derive(Debug)]
enum Part {
    Token(TokenTree),
    Group(Delimiter, Vec<Part>),
    /// `$name:kind`; in a body `$name`.
    Variable(String, String),
    /// `$(...) separator operator`.
    Repeat(Vec<Part>, Option<TokenTree>, char),
}

/// What a variable stands for: tokens, or in a repetition a value for each time.
#[derive(Clone, Debug)]
enum Value {
    One(Vec<TokenTree>),
    Each(Vec<Value>),
}

type Values = BTreeMap<String, Value>;

fn is_punct(token: Option<&TokenTree>, wanted: char) -> bool {
    matches!(token, Some(TokenTree::Punct(it)) if it.as_char() == wanted)
}

fn is_same(one: &TokenTree, other: &TokenTree) -> bool {
    one.to_string() == other.to_string()
}

fn parse(tokens: TokenStream, is_pattern: bool) -> Vec<Part> {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut rest = tokens.as_slice();
    let mut parts = Vec::new();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        let part = match (first, rest.first()) {
            (TokenTree::Punct(dollar), Some(TokenTree::Ident(name))) if dollar.as_char() == '$' => {
                rest = &rest[1..];
                let kind = match rest.get(1) {
                    Some(TokenTree::Ident(kind)) if is_pattern && is_punct(rest.first(), ':') => {
                        rest = &rest[2..];
                        kind.to_string()
                    }
                    _ => String::new(),
                };
                match name == "crate" {
                    true => Part::Token(TokenTree::Ident(Ident::new("crate", Span::call_site()))),
                    false => Part::Variable(name.to_string(), kind),
                }
            }
            (TokenTree::Punct(dollar), Some(TokenTree::Group(group)))
                if dollar.as_char() == '$' =>
            {
                let inner = parse(group.stream(), is_pattern);
                let is_operator = |at: usize| {
                    ['*', '+', '?']
                        .into_iter()
                        .find(|it| is_punct(rest.get(at), *it))
                };
                let (separator, operator) = match is_operator(1) {
                    Some(operator) => (None, operator),
                    None => (rest.get(1).cloned(), is_operator(2).unwrap_or('*')),
                };
                rest = &rest[2 + usize::from(separator.is_some())..];
                Part::Repeat(inner, separator, operator)
            }
            (TokenTree::Group(group), _) => {
                Part::Group(group.delimiter(), parse(group.stream(), is_pattern))
            }
            _ => Part::Token(first.clone()),
        };
        parts.push(part);
    }
    parts
}

/// All variables of the parts.
fn variables(parts: &[Part]) -> Vec<&str> {
    let names = parts.iter().flat_map(|part| match part {
        Part::Token(_) => Vec::new(),
        Part::Variable(name, _) => vec![name.as_str()],
        Part::Group(_, inner) | Part::Repeat(inner, ..) => variables(inner),
    });
    names.collect()
}

/// The tokens that the parts may begin with; `follow` may come where there are no more parts.
fn firsts<'p>(parts: &'p [Part], follow: &[&'p TokenTree]) -> Vec<&'p TokenTree> {
    match parts.split_first() {
        None => follow.to_vec(),
        Some((Part::Token(token), _)) => vec![token],
        Some((Part::Repeat(inner, ..), after)) => {
            [firsts(inner, &[]), firsts(after, follow)].concat()
        }
        Some(_) => Vec::new(),
    }
}

/// Takes what fits the parts from the front of the tokens. `follow` may stand behind the parts.
fn take<'a>(
    parts: &[Part],
    mut rest: &'a [TokenTree],
    follow: &[&TokenTree],
    values: &mut Values,
) -> Option<&'a [TokenTree]> {
    for (index, part) in parts.iter().enumerate() {
        let next = firsts(&parts[index + 1..], follow);
        rest = match part {
            Part::Token(token) => {
                let (first, after) = rest.split_first()?;
                is_same(token, first).then_some(after)?
            }
            Part::Group(delimiter, inner) => {
                let (TokenTree::Group(group), after) = rest.split_first()? else {
                    return None;
                };
                let tokens: Vec<TokenTree> = group.stream().into_iter().collect();
                let left = take(inner, &tokens, &[], values)?;
                (group.delimiter() == *delimiter && left.is_empty()).then_some(after)?
            }
            Part::Variable(name, kind) => {
                let length = length_of(kind, rest, &next)?;
                let value = Value::One(rest[..length].to_vec());
                values.insert(name.clone(), value);
                &rest[length..]
            }
            Part::Repeat(inner, separator, operator) => {
                repeat(inner, separator.as_ref(), *operator, rest, &next, values)
            }
        };
    }
    Some(rest)
}

/// How many tokens a variable of this kind takes.
fn length_of(kind: &str, rest: &[TokenTree], next: &[&TokenTree]) -> Option<usize> {
    let first = rest.first();
    match (kind, first) {
        ("vis", Some(TokenTree::Ident(it))) if it == "pub" => {
            let is_limited = matches!(rest.get(1), Some(TokenTree::Group(group))
                if group.delimiter() == Delimiter::Parenthesis);
            Some(1 + usize::from(is_limited))
        }
        ("vis", _) => Some(0),
        ("ident", Some(TokenTree::Ident(_))) | ("tt" | "literal" | "block", Some(_)) => Some(1),
        ("lifetime", Some(TokenTree::Punct(_))) => Some(2),
        ("ident" | "tt" | "literal" | "block" | "lifetime", _) => None,
        // Types, expressions and the like end at what stands behind them.
        _ => {
            let mut depth = 0_usize;
            let is_end = |token: &TokenTree| {
                let is_outside = depth == 0;
                if is_punct(Some(token), '<') {
                    depth += 1;
                } else if is_punct(Some(token), '>') {
                    depth = depth.saturating_sub(1);
                }
                is_outside && next.iter().any(|next| is_same(next, token))
            };
            let length = rest.iter().position(is_end).unwrap_or(rest.len());
            (length > 0).then_some(length)
        }
    }
}

fn repeat<'a>(
    inner: &[Part],
    separator: Option<&TokenTree>,
    operator: char,
    mut rest: &'a [TokenTree],
    next: &[&TokenTree],
    values: &mut Values,
) -> &'a [TokenTree] {
    let mut each: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for name in variables(inner) {
        each.insert(name, Vec::new());
    }
    let follow: Vec<&TokenTree> = separator.into_iter().chain(next.iter().copied()).collect();
    let mut tokens = rest;
    loop {
        let mut found = Values::new();
        let Some(after) = take(inner, tokens, &follow, &mut found) else {
            break;
        };
        if after.len() == tokens.len() {
            break;
        }
        for (name, list) in &mut each {
            list.extend(found.remove(*name));
        }
        rest = after;
        let goes_on = match (separator, after.first()) {
            _ if operator == '?' => false,
            (Some(separator), Some(first)) => is_same(separator, first),
            (separator, first) => separator.is_none() && first.is_some(),
        };
        if !goes_on {
            break;
        }
        tokens = &after[usize::from(separator.is_some())..];
    }
    let each = each.into_iter();
    values.extend(each.map(|(name, list)| (name.to_owned(), Value::Each(list))));
    rest
}

/// The body with what the variables stand for in their place.
fn fill(body: &[Part], values: &Values) -> Vec<TokenTree> {
    let mut tokens = Vec::new();
    for part in body {
        match part {
            Part::Token(token) => tokens.push(token.clone()),
            Part::Group(delimiter, inner) => {
                let inner = fill(inner, values).into_iter().collect();
                tokens.push(TokenTree::Group(Group::new(*delimiter, inner)));
            }
            Part::Variable(name, _) => match values.get(name) {
                Some(Value::One(value)) => tokens.extend(value.iter().cloned()),
                _ => tokens.push(TokenTree::Ident(Ident::new(name, Span::call_site()))),
            },
            Part::Repeat(inner, separator, _) => {
                let lists =
                    variables(inner)
                        .into_iter()
                        .filter_map(|name| match values.get(name) {
                            Some(Value::Each(list)) => Some((name, list)),
                            _ => None,
                        });
                let lists: Vec<(&str, &Vec<Value>)> = lists.collect();
                let times = lists.iter().map(|(_, list)| list.len()).max().unwrap_or(0);
                for time in 0..times {
                    let mut values = values.clone();
                    for (name, list) in &lists {
                        let value = list.get(time).cloned();
                        values.extend(value.map(|value| ((*name).to_owned(), value)));
                    }
                    if time > 0 {
                        tokens.extend(separator.clone());
                    }
                    tokens.extend(fill(inner, &values));
                }
            }
        }
    }
    tokens
}

impl Macros {
    /// The macros that are defined among the items.
    pub(crate) fn of<'a>(items: impl IntoIterator<Item = &'a Item>) -> Self {
        let mut macros = Self::default();
        for item in items {
            let Item::Macro(it) = item else { continue };
            let Some(name) = &it.ident else { continue };
            let tokens: Vec<TokenTree> = it.mac.tokens.clone().into_iter().collect();
            // (pattern) => { body };
            let groups = tokens.into_iter().filter_map(|token| match token {
                TokenTree::Group(group) => Some(group.stream()),
                _ => None,
            });
            let groups: Vec<TokenStream> = groups.collect();
            let arms = groups.chunks_exact(2).map(|arm| Arm {
                pattern: parse(arm[0].clone(), true),
                body: parse(arm[1].clone(), false),
            });
            macros.0.insert(name.to_string(), arms.collect());
        }
        macros
    }

    /// What a call makes; None if the macro is of another crate.
    fn call(&self, call: &syn::Macro) -> Option<Result<TokenStream, String>> {
        let name = &call.path.segments.last()?.ident;
        let arms = self.0.get(&name.to_string())?;
        let tokens: Vec<TokenTree> = call.tokens.clone().into_iter().collect();
        let made = arms.iter().find_map(|arm| {
            let mut values = Values::new();
            let left = take(&arm.pattern, &tokens, &[], &mut values)?;
            left.is_empty().then(|| fill(&arm.body, &values))
        });
        let made = made.map(|made| made.into_iter().collect());
        Some(made.ok_or_else(|| format!("a call of `{name}!` is not understood")))
    }

    /// The items, and in place of calls of the crate's macros what they make.
    ///
    /// # Errors
    /// A call is not understood, or what it makes is no item.
    pub(crate) fn expand(&self, items: &[Item]) -> Result<Vec<Item>, String> {
        let mut expanded = Vec::new();
        for item in items {
            match item {
                Item::Macro(it) if it.ident.is_none() => {
                    let Some(made) = self.call(&it.mac) else {
                        continue;
                    };
                    let made: syn::File = syn::parse2(made?)
                        .map_err(|error| format!("what a macro makes is no item: {error}"))?;
                    expanded.extend(self.expand(&made.items)?);
                }
                Item::Impl(it) => expanded.push(Item::Impl(self.methods(it.clone())?)),
                _ => expanded.push(item.clone()),
            }
        }
        Ok(expanded)
    }

    fn methods(&self, mut block: ItemImpl) -> Result<ItemImpl, String> {
        let mut methods = Vec::new();
        for item in std::mem::take(&mut block.items) {
            let made = match &item {
                ImplItem::Macro(it) => self.call(&it.mac),
                _ => None,
            };
            let Some(made) = made else {
                methods.push(item);
                continue;
            };
            let body = TokenTree::Group(Group::new(Delimiter::Brace, made?));
            let name = |name| TokenTree::Ident(Ident::new(name, Span::call_site()));
            let tokens = [name("impl"), name("Made"), body].into_iter().collect();
            let made: ItemImpl = syn::parse2(tokens)
                .map_err(|error| format!("what a macro makes is no method: {error}"))?;
            methods.extend(self.methods(made)?.items);
        }
        block.items = methods;
        Ok(block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The signatures of all functions and methods that a file has.
    fn functions(text: &str) -> Vec<String> {
        let items = syn::parse_file(text).unwrap().items;
        let expanded = Macros::of(&items).expand(&items).unwrap();
        let names = expanded.iter().flat_map(|item| match item {
            Item::Fn(it) => vec![it.sig.ident.to_string()],
            Item::Impl(it) => {
                let Type::Path(owner) = &*it.self_ty else {
                    unreachable!()
                };
                let owner = owner.path.segments.last().unwrap().ident.to_string();
                let methods = it.items.iter().filter_map(|item| match item {
                    ImplItem::Fn(it) => Some(format!("{owner}::{}", it.sig.ident)),
                    _ => None,
                });
                methods.collect()
            }
            _ => Vec::new(),
        });
        names.collect()
    }
    use syn::Type;

    #[test]
    fn a_macro_makes_types_their_methods() {
        let text = "macro_rules! semaphore { ($type:ident, $most:expr) => {
                impl $type { pub fn acquire(&self) { f(|_| $most) } }
                named!($type<T: Send>, $crate::X);
            } }
            macro_rules! named { ($type:ident $(<$name:ident: $bound:path $(, $more:path)?>)?, $class:expr) => {
                impl $(<$name: $bound>)? $type $(<$name>)? { pub fn open() { $class } }
            } }
            semaphore!(One, 1 + 1);
            semaphore!(Two, |it| it.next::<u8>());
            named!(Bare, 3);
            println! { \"of another crate\" }";
        let expected = [
            "One::acquire",
            "One::open",
            "Two::acquire",
            "Two::open",
            "Bare::open",
        ];
        assert_eq!(functions(text), expected);
    }

    #[test]
    fn rows_of_items_and_methods_are_made() {
        let text = "macro_rules! rows { ($($name:ident, $doc:literal;)*) => { $(
                #[doc = $doc] pub fn $name() {} )* } }
            macro_rules! setters { () => { pub fn env(self) {} pub fn limit(self) {} } }
            macro_rules! pairs { ($(#[$meta:meta])* $vis:vis $($name:ident = $type:ty),+ $(,)?) => {
                $(#[$meta])* $(impl $name { $vis fn get() -> $type {} })+ } }
            rows! { one, \"One.\"; two, \"Two.\"; }
            struct S; impl S { setters!(); fn own() {} }
            pairs!(#[must_use] pub A = Vec<(u8, u8)>, B = u8,);";
        let expected = [
            "one", "two", "S::env", "S::limit", "S::own", "A::get", "B::get",
        ];
        assert_eq!(functions(text), expected);
    }

    #[test]
    fn what_is_not_understood_is_no_silence() {
        let text = "macro_rules! one { (a) => { fn f() {} } } one!(b);";
        let items = syn::parse_file(text).unwrap().items;
        let error = Macros::of(&items).expand(&items).unwrap_err();
        assert_eq!(error, "a call of `one!` is not understood");
    }
}
