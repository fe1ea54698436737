//! Attribute macros of `procession`; use them from there.

mod object;

use proc_macro::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput, FnArg, ItemFn, LitStr, ReturnType, parse_macro_input};

/// Lists a function under a name: `#[task]`, which is its path, or `#[task(name
/// = "...")]`. It stays the function that it is, and can also be had by
/// `Task::named`, here and in other programs that list one of the same name and
/// type.
///
/// It takes one argument, and has no generic parameters.
#[proc_macro_attribute]
pub fn task(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let function = parse_macro_input!(item as ItemFn);
    let mut name: Option<LitStr> = None;
    let parser = syn::meta::parser(|meta| {
        if !meta.path.is_ident("name") {
            return Err(meta.error("only `name = \"...\"` may be said here"));
        }
        name = Some(meta.value()?.parse()?);
        Ok(())
    });
    parse_macro_input!(arguments with parser);
    expand(&function, name).unwrap_or_else(|error| error.to_compile_error().into())
}

fn expand(function: &ItemFn, name: Option<LitStr>) -> syn::Result<TokenStream> {
    let signature = &function.sig;
    let wrong = |why| Err(syn::Error::new_spanned(signature, why));
    if !signature.generics.params.is_empty() {
        return wrong("a task that is found by name has no generic parameters");
    }
    if signature.asyncness.is_some() || !matches!(signature.safety, syn::Safety::Default) {
        return wrong("a task is neither async nor unsafe");
    }
    let mut inputs = signature.inputs.iter();
    let (Some(FnArg::Typed(argument)), None) = (inputs.next(), inputs.next()) else {
        return wrong("a task takes one argument; several go into a tuple");
    };
    let argument = &argument.ty;
    let result = match &signature.output {
        ReturnType::Default => quote!(()),
        ReturnType::Type(_, result) => quote!(#result),
    };
    let identifier = &signature.ident;
    let name = match name {
        Some(name) => quote!(#name),
        None => {
            let bare = identifier.to_string();
            quote!(::core::concat!(::core::module_path!(), "::", #bare))
        }
    };
    Ok(quote! {
        #function

        const _: () = {
            use ::procession::__private as private;

            #[private::linkme::distributed_slice(private::NAMED_TASKS)]
            #[linkme(crate = private::linkme)]
            static ENTRY: private::NamedTask =
                private::NamedTask::new::<#argument, #result>(#name, #identifier);
        };
    }
    .into())
}

/// Makes a proxy for objects that have the methods of a trait, or of an `impl` of a type; see
/// `procession::manager::object`.
#[proc_macro_attribute]
pub fn object(arguments: TokenStream, item: TokenStream) -> TokenStream {
    object::expand(arguments.into(), item.into())
        .unwrap_or_else(|error| error.to_compile_error())
        .into()
}

/// Says that a structure may lie in shared memory, after making sure, at compile
/// time, that every field may, that there is no padding, and that there is
/// nothing to drop.
///
/// The structure is `#[repr(C)]` or `#[repr(transparent)]`, and has no type
/// parameters.
#[proc_macro_derive(ShmSafe)]
pub fn shm_safe(item: TokenStream) -> TokenStream {
    let input = parse_macro_input!(item as DeriveInput);
    expand_shm_safe(&input).unwrap_or_else(|error| error.to_compile_error().into())
}

fn expand_shm_safe(input: &DeriveInput) -> syn::Result<TokenStream> {
    let name = &input.ident;
    let Data::Struct(data) = &input.data else {
        return Err(syn::Error::new_spanned(
            name,
            "other processes may leave bytes that are no value of this type; \
             use an integer, or a structure",
        ));
    };
    if !input.generics.params.is_empty() {
        return Err(syn::Error::new_spanned(
            &input.generics,
            "a structure in shared memory has no parameters",
        ));
    }
    let mut fixed = false;
    for attribute in &input.attrs {
        if attribute.path().is_ident("repr") {
            attribute.parse_nested_meta(|meta| {
                fixed |= meta.path.is_ident("C") || meta.path.is_ident("transparent");
                if meta.path.is_ident("packed") {
                    return Err(meta.error("fields of a packed structure cannot be referred to"));
                }
                if meta.input.peek(syn::token::Paren) {
                    let content;
                    syn::parenthesized!(content in meta.input);
                    let _: syn::LitInt = content.parse()?;
                }
                Ok(())
            })?;
        }
    }
    if !fixed {
        return Err(syn::Error::new_spanned(
            name,
            "add `#[repr(C)]`: without it the order of the fields is not fixed",
        ));
    }
    let types: Vec<_> = data.fields.iter().map(|field| &field.ty).collect();
    let members: Vec<_> = data.fields.members().collect();
    let field_names = data.fields.iter().enumerate().map(|(index, field)| {
        let name = field.ident.as_ref().map(ToString::to_string);
        name.unwrap_or_else(|| index.to_string())
    });
    let name_text = name.to_string();
    Ok(quote! {
        const _: () = {
            let fields = 0 #(+ ::core::mem::size_of::<#types>())*;
            ::core::assert!(
                fields == ::core::mem::size_of::<#name>(),
                "the structure has padding: order its fields by size, or fill the gaps with \
                 arrays of `u8`"
            );
            ::core::assert!(
                !::core::mem::needs_drop::<#name>(),
                "nobody would run the destructor of a value in shared memory"
            );
        };

        // SAFETY: every field may lie in shared memory, as the fingerprint asks of
        // each; together they fill the structure, and it has nothing to drop, as
        // was asserted above.
        unsafe impl ::procession::shm::ShmSafe for #name {
            const FINGERPRINT: ::procession::shm::Fingerprint =
                ::procession::shm::Fingerprint::new(#name_text, ::core::mem::size_of::<#name>())
                #(
                    .with_field::<#types>(#field_names, ::core::mem::offset_of!(#name, #members))
                )*;
        }
    }
    .into())
}
