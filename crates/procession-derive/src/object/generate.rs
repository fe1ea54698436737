//! The code of a proxy and of its dispatcher.

use super::method::Method;
use super::{Implementor, Interface};
use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{GenericParam, Generics, Ident, Type, parse_quote};

pub(super) fn all(interface: &Interface) -> TokenStream {
    let structure = structure(interface);
    let methods = methods(interface);
    let traits = traits(interface);
    let dispatcher = dispatcher(interface);
    let conditions = &interface.attributes;
    // The proxy is named where the trait is; all else is inside.
    quote! {
        #(#conditions)*
        #structure

        #(#conditions)*
        const _: () = {
            use ::procession::__private::manager as procession_private;

            #methods
            #traits
            #dispatcher
        };
    }
}

/// The parameters without what is asked of them, for the structure.
fn bare(generics: &Generics) -> Generics {
    let mut bare = generics.clone();
    bare.where_clause = None;
    for parameter in &mut bare.params {
        match parameter {
            GenericParam::Type(parameter) => {
                parameter.bounds.clear();
                parameter.colon_token = None;
                parameter.default = None;
            }
            GenericParam::Const(parameter) => parameter.default = None,
            GenericParam::Lifetime(_) => {}
        }
    }
    bare
}

/// The parameters with what is asked of them, and that they can be sent.
fn bounded(generics: &Generics) -> Generics {
    let mut bounded = generics.clone();
    let types: Vec<Ident> = bounded
        .type_params()
        .map(|parameter| parameter.ident.clone())
        .collect();
    for name in types {
        let predicate = parse_quote!(#name: ::procession::__private::manager::Travels);
        bounded.make_where_clause().predicates.push(predicate);
    }
    bounded
}

fn structure(interface: &Interface) -> TokenStream {
    let Interface {
        name,
        proxy,
        visibility,
        generics,
        ..
    } = interface;
    let generics = bare(generics);
    let types = generics.type_params().map(|parameter| &parameter.ident);
    let documentation =
        format!("A proxy of an object that a manager owns, with the methods of [`{name}`].");
    quote! {
        #[doc = #documentation]
        #visibility struct #proxy #generics {
            object: ::procession::__private::manager::UserProxy,
            types: ::core::marker::PhantomData<fn() -> (#(#types,)*)>,
        }
    }
}

/// The values of a method's arguments as one type.
fn tuple(method: &Method) -> TokenStream {
    let types = method.arguments.iter().map(|(_, of)| of);
    quote!((#(#types,)*))
}

fn methods(interface: &Interface) -> TokenStream {
    let proxy = &interface.proxy;
    let generics = bounded(&interface.generics);
    let (parameters, arguments, clause) = generics.split_for_impl();
    let methods = interface.methods.iter().map(method);
    quote! {
        #[allow(dead_code, reason = "who calls a method is a matter of its clients")]
        impl #parameters #proxy #arguments #clause {
            #(#methods)*

            /// Returns a proxy of the same object, whose calls wait at most `timeout` for the
            /// result.
            ///
            /// A call that has not begun by then is not made. One that is running goes on at
            /// the manager, and its result is dropped.
            #[must_use]
            pub fn with_timeout(&self, timeout: ::core::time::Duration) -> Self {
                Self {
                    object: self.object.limited(timeout),
                    types: ::core::marker::PhantomData,
                }
            }
        }
    }
}

fn method(method: &Method) -> TokenStream {
    let Method {
        name,
        visibility,
        conditions,
        attributes,
        arguments,
        result,
        ..
    } = method;
    let text = name.to_string();
    let names: Vec<&Ident> = arguments.iter().map(|(name, _)| name).collect();
    let types: Vec<&Type> = arguments.iter().map(|(_, of)| of).collect();
    let travel = types
        .iter()
        .copied()
        .chain([result])
        .map(|of| quote_spanned!(of.span()=> procession_private::travels::<#of>();));
    let title = match attributes.is_empty() {
        true => format!("Calls `{text}` of the object."),
        false => String::new(),
    };
    let blocking = "# Blocking\n\nUntil the method has returned at the manager.";
    let errors = "# Errors\n\n[`CallError`](::procession::manager::CallError): the method \
                  panicked, or was not called; what the method itself returns is inside.";
    quote! {
        #(#conditions)*
        #(#attributes)*
        #[doc = #title]
        #[doc = ""]
        #[doc = #blocking]
        #[doc = ""]
        #[doc = #errors]
        #visibility fn #name(&self, #(#names: #types),*)
            -> ::core::result::Result<#result, ::procession::manager::CallError>
        {
            #(#travel)*
            self.object.call(#text, &(#(#names,)*))
        }
    }
}

fn traits(interface: &Interface) -> TokenStream {
    let Interface { name, proxy, .. } = interface;
    let bare = bare(&interface.generics);
    let (parameters, arguments, _) = bare.split_for_impl();
    let bounded = bounded(&interface.generics);
    let (bounded_parameters, _, clause) = bounded.split_for_impl();
    let mut with_lifetime = bounded.clone();
    with_lifetime.params.insert(0, parse_quote!('de));
    let (deserialize_parameters, _, _) = with_lifetime.split_for_impl();
    let methods = interface.methods.iter().map(|method| {
        let conditions = &method.conditions;
        let text = method.name.to_string();
        let (values, result) = (tuple(method), &method.result);
        quote! {
            #(#conditions)*
            methods.push(procession_private::method::<#values, #result>(#text)?);
        }
    });
    quote! {
        impl #parameters ::core::clone::Clone for #proxy #arguments {
            fn clone(&self) -> Self {
                Self {
                    object: ::core::clone::Clone::clone(&self.object),
                    types: ::core::marker::PhantomData,
                }
            }
        }

        impl #parameters ::core::fmt::Debug for #proxy #arguments {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                self.object.debug(::core::stringify!(#proxy), f)
            }
        }

        impl #parameters procession_private::serde::Serialize for #proxy #arguments {
            fn serialize<TheSerializer: procession_private::serde::Serializer>(
                &self,
                serializer: TheSerializer,
            ) -> ::core::result::Result<TheSerializer::Ok, TheSerializer::Error> {
                procession_private::serde::Serialize::serialize(&self.object, serializer)
            }
        }

        impl #deserialize_parameters procession_private::serde::Deserialize<'de> for #proxy #arguments #clause {
            fn deserialize<TheDeserializer: procession_private::serde::Deserializer<'de>>(
                deserializer: TheDeserializer,
            ) -> ::core::result::Result<Self, TheDeserializer::Error> {
                let shape = <Self as procession_private::ManagedObject>::shape();
                ::core::result::Result::Ok(Self {
                    object: procession_private::UserProxy::deserialize(deserializer, shape)?,
                    types: ::core::marker::PhantomData,
                })
            }
        }

        impl #parameters procession_private::Sealed for #proxy #arguments {}

        impl #bounded_parameters procession_private::ManagedObject for #proxy #arguments #clause {
            fn shape() -> ::procession::Result<procession_private::Shape> {
                let mut methods = ::std::vec::Vec::new();
                #(#methods)*
                ::core::result::Result::Ok(procession_private::shape(#name, methods))
            }

            fn of(proxy: procession_private::Proxy) -> Self {
                Self {
                    object: procession_private::UserProxy::new(proxy),
                    types: ::core::marker::PhantomData,
                }
            }

            fn proxy(&self) -> &procession_private::Proxy {
                self.object.proxy()
            }
        }
    }
}

fn dispatcher(interface: &Interface) -> TokenStream {
    let proxy = &interface.proxy;
    let is_shared = interface.methods.iter().any(|method| !method.is_exclusive);
    let mut generics = bounded(&interface.generics);
    let (object, trait_) = match &interface.implementor {
        Implementor::Trait(trait_) => {
            generics.params.push(parse_quote!(TheObject));
            let object: Type = parse_quote!(TheObject);
            let predicate = match is_shared {
                true => {
                    parse_quote!(TheObject: #trait_ + ::core::marker::Send + ::core::marker::Sync + 'static)
                }
                false => parse_quote!(TheObject: #trait_ + ::core::marker::Send + 'static),
            };
            generics.make_where_clause().predicates.push(predicate);
            (object, quote!(as #trait_))
        }
        Implementor::Type(of) => ((**of).clone(), TokenStream::new()),
    };
    let bare = bare(&interface.generics);
    let (_, arguments, _) = bare.split_for_impl();
    let (parameters, _, clause) = generics.split_for_impl();
    let begin = match is_shared {
        true => quote!(procession_private::Methods::shared(object)),
        false => quote!(procession_private::Methods::exclusive(object)),
    };
    let methods = interface.methods.iter().map(|method| {
        let Method {
            name, conditions, ..
        } = method;
        // The user's names may be those of anything.
        let count = 0..method.arguments.len();
        let names: Vec<Ident> = count
            .map(|number| quote::format_ident!("argument_{number}"))
            .collect();
        let values = tuple(method);
        let (add, reference) = match method.is_exclusive {
            true => (quote!(with_exclusive), quote!(&mut #object)),
            false => (quote!(with_shared), quote!(& #object)),
        };
        quote! {
            #(#conditions)*
            let methods = methods.#add(|object: #reference, (#(#names,)*): #values| {
                <#object #trait_>::#name(object, #(#names),*)
            });
        }
    });
    quote! {
        impl #parameters ::procession::manager::ProxyOf<#object> for #proxy #arguments #clause {
            fn host(object: #object) -> procession_private::Hosted {
                let methods = #begin;
                #(#methods)*
                methods.into_hosted()
            }
        }
    }
}
