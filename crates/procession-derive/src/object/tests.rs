//! What cannot be an object says why, at the right place.

use super::expand;
use proc_macro2::TokenStream;

fn refusal(item: &str) -> String {
    let item: TokenStream = item.parse().unwrap();
    expand(TokenStream::new(), item).unwrap_err().to_string()
}

#[test]
fn what_cannot_be_a_method_says_why() {
    for (method, why) in [
        ("fn f(self);", "take `&self` or `&mut self`"),
        (
            "fn f(self: std::sync::Arc<Self>);",
            "take `&self` or `&mut self`",
        ),
        ("fn f() -> u32;", "a proxy can call only methods"),
        ("fn f(&'a self) -> u32;", "can borrow from its object"),
        ("fn f(&self, text: &str);", "`String` for `&str`"),
        ("fn f(&self, text: Cow<'static, str>);", "it cannot borrow"),
        ("fn f(&self, many: Vec<(u8, &u8)>);", "it cannot borrow"),
        (
            "fn f(&self) -> &u32;",
            "a result is sent to another process",
        ),
        (
            "fn f(&self, many: impl Iterator<Item = u8>);",
            "instead of `impl Trait`",
        ),
        (
            "fn f(&self, call: Box<dyn Fn()>);",
            "instead of `dyn Trait`",
        ),
        ("fn f(&self, at: *const u8);", "cannot be a pointer"),
        ("fn f(&self, other: Self);", "another type than `Self`"),
        (
            "fn f<T>(&self, value: T);",
            "put the parameter on the trait",
        ),
        ("async fn f(&self);", "leave out `async`"),
        ("unsafe fn f(&self);", "is not unsafe"),
        (
            "fn with_timeout(&self);",
            "every proxy has a method of this name",
        ),
        ("const N: u32;", "only methods"),
        ("type T;", "only methods"),
    ] {
        let refusal = refusal(&format!("trait Jobs {{ {method} }}"));
        assert!(refusal.contains(why), "{method}: {refusal}");
    }
    let many: Vec<String> = (0..17).map(|number| format!("a{number}: u8")).collect();
    let many = refusal(&format!(
        "trait Jobs {{ fn f(&self, {}); }}",
        many.join(", ")
    ));
    assert!(many.contains("more than 16"), "{many}");
}

#[test]
fn what_cannot_be_an_object_says_why() {
    for (item, why) in [
        ("struct Jobs;", "only a trait or an `impl`"),
        ("trait Jobs<'a> { fn f(&self); }", "it has no lifetimes"),
        ("unsafe trait Jobs { fn f(&self); }", "is not unsafe"),
        ("trait Jobs {}", "there is no method"),
        (
            "impl Mine { pub fn new() -> Mine { Mine } fn private(&self) {} }",
            "there is no method",
        ),
        (
            "impl Jobs for Mine { fn f(&self) {} }",
            "where the trait is defined",
        ),
        (
            "impl (u8, u8) { pub fn f(&self) {} }",
            "a structure or an enum",
        ),
    ] {
        let refusal = refusal(item);
        assert!(refusal.contains(why), "{item}: {refusal}");
    }
    let arguments: TokenStream = "name = \"x\"".parse().unwrap();
    let item: TokenStream = "trait Jobs { fn f(&self); }".parse().unwrap();
    let refusal = expand(arguments, item).unwrap_err().to_string();
    assert!(refusal.contains("`proxy = Name`"), "{refusal}");
}

#[test]
fn what_is_public_of_a_type_is_what_a_proxy_calls() {
    let item: TokenStream = "impl<T> Mine<T> {
        pub fn new() -> Self { Mine }
        pub fn put(&mut self, value: T) {}
        fn hidden(&self) {}
    }"
    .parse()
    .unwrap();
    let arguments: TokenStream = "proxy = Theirs".parse().unwrap();
    let code = expand(arguments, item).unwrap().to_string();
    assert!(code.contains("pub struct Theirs < T >"), "{code}");
    assert!(code.contains("call (\"put\""), "{code}");
    assert!(!code.contains("call (\"hidden\"") && !code.contains("call (\"new\""));
}
