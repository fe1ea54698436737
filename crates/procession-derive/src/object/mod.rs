//! The attribute `object`: from the methods of a type to its proxy and its dispatcher.

mod generate;
mod method;

use method::Method;
use proc_macro2::TokenStream;
use quote::{ToTokens, format_ident, quote};
use syn::{
    Attribute, Generics, ImplItem, Item, ItemImpl, ItemTrait, Result, TraitItem, Type, Visibility,
};

/// What the proxy and the dispatcher are made from.
struct Interface {
    /// The name of the trait or the type, by which programs compare interfaces.
    name: String,
    proxy: syn::Ident,
    visibility: Visibility,
    attributes: Vec<Attribute>,
    generics: Generics,
    implementor: Implementor,
    methods: Vec<Method>,
}

/// Which types have the methods.
enum Implementor {
    /// All that implement this trait.
    Trait(TokenStream),
    /// This one.
    Type(Box<Type>),
}

fn wrong<T>(place: impl ToTokens, why: &str) -> Result<T> {
    Err(syn::Error::new_spanned(place, why))
}

pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let proxy = proxy_name(arguments)?;
    let interface = match syn::parse2(item.clone())? {
        Item::Trait(item) => of_trait(&item, proxy)?,
        Item::Impl(item) => of_impl(&item, proxy)?,
        other => {
            return wrong(
                other,
                "only a trait or an `impl` of a type can be an object of a manager",
            );
        }
    };
    if interface.methods.is_empty() {
        return wrong(
            &interface.proxy,
            "there is no method that a proxy could call: in an `impl`, methods are public and \
             take `&self` or `&mut self`",
        );
    }
    let generated = generate::all(&interface);
    Ok(quote!(#item #generated))
}

/// `proxy = Name`, or nothing.
fn proxy_name(arguments: TokenStream) -> Result<Option<syn::Ident>> {
    let mut name = None;
    let parser = syn::meta::parser(|meta| {
        if !meta.path.is_ident("proxy") {
            return Err(meta.error("only `proxy = Name` may be said here"));
        }
        name = Some(meta.value()?.parse()?);
        Ok(())
    });
    syn::parse::Parser::parse2(parser, arguments)?;
    Ok(name)
}

fn of_trait(item: &ItemTrait, proxy: Option<syn::Ident>) -> Result<Interface> {
    if let Some(unsafety) = &item.unsafety {
        return wrong(unsafety, "a trait of an object is not unsafe");
    }
    check_generics(&item.generics)?;
    let mut methods = Vec::new();
    for part in &item.items {
        match part {
            TraitItem::Fn(function) => {
                let method = Method::new(&function.sig, &function.attrs, &item.vis)?;
                match method {
                    Some(method) => methods.push(method),
                    None => {
                        return wrong(
                            &function.sig,
                            "a proxy can call only methods: take `&self` or `&mut self`",
                        );
                    }
                }
            }
            other => {
                return wrong(
                    other,
                    "the trait of an object has only methods: a proxy cannot know constants and \
                     types of the object; give the trait a type parameter",
                );
            }
        }
    }
    let (_, arguments, _) = item.generics.split_for_impl();
    let name = &item.ident;
    Ok(Interface {
        name: name.to_string(),
        proxy: proxy.unwrap_or_else(|| format_ident!("{name}Proxy")),
        visibility: item.vis.clone(),
        attributes: conditions(&item.attrs),
        generics: item.generics.clone(),
        implementor: Implementor::Trait(quote!(#name #arguments)),
        methods,
    })
}

fn of_impl(item: &ItemImpl, proxy: Option<syn::Ident>) -> Result<Interface> {
    if let Some((path, _)) = &item.trait_ {
        return wrong(
            path,
            "say `#[manager::object]` where the trait is defined: its proxy is for all types that \
             implement it",
        );
    }
    check_generics(&item.generics)?;
    let Type::Path(path) = &*item.self_ty else {
        return wrong(&item.self_ty, "an object is a structure or an enum");
    };
    let Some(last) = path.path.segments.last() else {
        return wrong(&item.self_ty, "an object is a structure or an enum");
    };
    let mut methods = Vec::new();
    let mut visibility = Visibility::Inherited;
    for part in &item.items {
        if let ImplItem::Fn(function) = part
            && !matches!(function.vis, Visibility::Inherited)
            && function.sig.receiver().is_some()
            && let Some(method) = Method::new(&function.sig, &function.attrs, &function.vis)?
        {
            // The proxy is as public as the most public method.
            if !matches!(visibility, Visibility::Public(_)) {
                visibility = function.vis.clone();
            }
            methods.push(method);
        }
    }
    let name = &last.ident;
    Ok(Interface {
        name: name.to_string(),
        proxy: proxy.unwrap_or_else(|| format_ident!("{name}Proxy")),
        visibility,
        attributes: conditions(&item.attrs),
        generics: item.generics.clone(),
        implementor: Implementor::Type(item.self_ty.clone()),
        methods,
    })
}

fn check_generics(generics: &Generics) -> Result<()> {
    match generics.lifetimes().next() {
        Some(lifetime) => wrong(
            lifetime,
            "an object lives longer than any call: it has no lifetimes",
        ),
        None => Ok(()),
    }
}

/// The attributes that say when an item is there.
fn conditions(attributes: &[Attribute]) -> Vec<Attribute> {
    let attributes = attributes.iter();
    attributes
        .filter(|attribute| attribute.path().is_ident("cfg"))
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests;
