//! Attribute macros of `procession`; use them from there.

use proc_macro::TokenStream;
use quote::quote;
use syn::{FnArg, ItemFn, LitStr, ReturnType, parse_macro_input};

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
