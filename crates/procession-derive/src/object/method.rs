//! One method of an object, and what a method of an object cannot be.

use super::{conditions, wrong};
use proc_macro2::{TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote};
use syn::{Attribute, FnArg, Ident, Pat, ReceiverKind, Result, ReturnType, Signature, Type};

pub(super) struct Method {
    pub(super) name: Ident,
    pub(super) visibility: TokenStream,
    /// When it is there.
    pub(super) conditions: Vec<Attribute>,
    /// What its proxy has of its attributes.
    pub(super) attributes: Vec<Attribute>,
    pub(super) arguments: Vec<(Ident, Type)>,
    pub(super) result: Type,
    /// It takes `&mut self`.
    pub(super) is_exclusive: bool,
}

/// Most values of a tuple that serde knows.
const MOST_ARGUMENTS: usize = 16;

/// Names that every proxy has.
const TAKEN: [&str; 1] = ["with_timeout"];

impl Method {
    /// Returns `None` for a function that is no method.
    pub(super) fn new(
        signature: &Signature,
        attributes: &[Attribute],
        visibility: &syn::Visibility,
    ) -> Result<Option<Method>> {
        let Some(receiver) = signature.receiver() else {
            return Ok(None);
        };
        let is_exclusive = match &receiver.kind {
            ReceiverKind::Reference(_, None, mutability) => mutability.is_some(),
            ReceiverKind::Reference(_, Some(lifetime), _) => {
                return wrong(
                    lifetime,
                    "nothing that a method returns can borrow from its object: it is sent to \
                     another process",
                );
            }
            _ => {
                return wrong(
                    receiver,
                    "the object stays in the manager's process, where all its users share it: \
                     take `&self` or `&mut self`",
                );
            }
        };
        check(signature)?;
        let mut arguments = Vec::new();
        for (number, argument) in signature.inputs.iter().skip(1).enumerate() {
            if let FnArg::Typed(argument) = argument {
                check_type(&argument.ty, "an argument")?;
                let name = match &*argument.pat {
                    Pat::Ident(name) => name.ident.clone(),
                    _ => format_ident!("argument_{number}"),
                };
                arguments.push((name, (*argument.ty).clone()));
            }
        }
        if arguments.len() > MOST_ARGUMENTS {
            return wrong(
                &signature.inputs,
                "there are more than 16 arguments: put them into a structure",
            );
        }
        let result = match &signature.output {
            ReturnType::Default => syn::parse_quote!(()),
            ReturnType::Type(_, result) => {
                check_type(result, "a result")?;
                (**result).clone()
            }
        };
        let kept = attributes.iter().filter(|attribute| {
            let path = attribute.path();
            path.is_ident("doc") || path.is_ident("deprecated")
        });
        Ok(Some(Method {
            name: signature.ident.clone(),
            visibility: quote!(#visibility),
            conditions: conditions(attributes),
            attributes: kept.cloned().collect(),
            arguments,
            result,
            is_exclusive,
        }))
    }
}

/// Refuses what is said of the method as a whole.
fn check(signature: &Signature) -> Result<()> {
    if let Some(asyncness) = &signature.asyncness {
        return wrong(
            asyncness,
            "methods run in threads of the manager, and may block there: leave out `async`",
        );
    }
    if !matches!(signature.safety, syn::Safety::Default) {
        return wrong(&signature.safety, "a method of an object is not unsafe");
    }
    if let Some(parameter) = signature.generics.params.first() {
        return wrong(
            parameter,
            "which types a method has is fixed before a client calls it: put the parameter on the \
             trait or the type",
        );
    }
    if let Some(variadic) = &signature.variadic {
        return wrong(variadic, "a method has a fixed number of arguments");
    }
    if TAKEN.iter().any(|taken| signature.ident == taken) {
        return wrong(&signature.ident, "every proxy has a method of this name");
    }
    Ok(())
}

/// Refuses types that cannot be those of a value that is sent, where their names say it already.
fn check_type(of: &Type, what: &str) -> Result<()> {
    let reason = reason_against(of.to_token_stream());
    match reason {
        Some(reason) => wrong(of, &format!("{what} is sent to another process: {reason}")),
        None => Ok(()),
    }
}

fn reason_against(tokens: TokenStream) -> Option<&'static str> {
    tokens.into_iter().find_map(|token| match token {
        TokenTree::Group(group) => reason_against(group.stream()),
        TokenTree::Punct(punct) if punct.as_char() == '&' || punct.as_char() == '\'' => {
            Some("it cannot borrow; use an owned type, as `String` for `&str`")
        }
        TokenTree::Punct(punct) if punct.as_char() == '*' => Some("it cannot be a pointer"),
        TokenTree::Ident(name) if name == "impl" => {
            Some("it needs one type, which both sides know, instead of `impl Trait`")
        }
        TokenTree::Ident(name) if name == "dyn" => {
            Some("it needs one type, which both sides know, instead of `dyn Trait`")
        }
        TokenTree::Ident(name) if name == "Self" => {
            Some("the object stays in the manager's process; name another type than `Self`")
        }
        _ => None,
    })
}
