//! The tokens that replace a task function.
//!
//! Everything lies inside the one function that makes calls, so that a task adds one name to its
//! module. The user's body must see its module and nothing of ours: what it could see by its
//! position is named `__Hereafter…`, the rest lies in a constant beside it.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::{ItemFn, Receiver, ReceiverKind, Type};

use crate::attributes::{self, Attributes};
use crate::options::Options;
use crate::signature::{Kept, Outcome, Signature};
use crate::spans::{self, generated};

/// A task, read and checked.
pub(crate) struct Task<'a> {
    /// The function as the user wrote it.
    pub(crate) item: &'a ItemFn,
    /// Its signature, without `Self`.
    pub(crate) signature: Signature,
    /// Its options, without `Self`.
    pub(crate) options: &'a Options,
    /// The path of the crate.
    pub(crate) krate: TokenStream,
    /// The type of the `impl` block that it is in, with the name to use for it.
    pub(crate) home: Option<Home<'a>>,
}

/// Where a method lives.
#[derive(Clone)]
pub(crate) struct Home<'a> {
    /// The type.
    pub(crate) ty: &'a Type,
    /// Its name, without generics.
    pub(crate) name: Ident,
}

impl Task<'_> {
    /// The function that makes calls, and for a method the function beside it that has the body.
    pub(crate) fn expand(&self) -> TokenStream {
        let attributes = Attributes::sort(&self.item.attrs);
        let body = self.body(&attributes);
        match self.home {
            None => {
                let holder = quote!(#[allow(non_local_definitions)] impl __HereafterTask { #body });
                self.caller(&attributes.outer, &holder)
            }
            Some(_) => {
                let caller = self.caller(&attributes.outer_beside_body(), &TokenStream::new());
                quote!(#caller #body)
            }
        }
    }

    /// The function that users call.
    fn caller(&self, attributes: &[syn::Attribute], holder: &TokenStream) -> TokenStream {
        let header = self.header();
        let args = self.args_type();
        let machinery = self.machinery();
        let bind = self.bind();
        quote! {
            #(#attributes)*
            #header {
                struct __HereafterTask;
                #args
                #holder
                #machinery
                #bind
            }
        }
    }

    /// Stands where the user's signature does.
    fn header(&self) -> TokenStream {
        let private = self.private();
        let sig = &self.item.sig;
        let (vis, fn_token) = (spans::adopt(&self.item.vis), spans::adopt(sig.fn_token));
        let name = generated(&sig.ident);
        let receiver = self.signature.receiver.iter().map(outer_receiver);
        let bounds = self.signature.arguments().zip(self.arg_types()).map(|(argument, arg)| {
            let stored = &argument.stored.ty;
            let bound = match &arg.by {
                None => spans::around(&quote!(#private::IntoArg<), stored, &quote!(>)),
                Some(by) => spans::around(&quote!(#private::IntoRecord<), stored, &quote!(, #by>)),
            };
            let ty = &arg.ty;
            quote!(#ty: #bound)
        });
        let by = self.arg_types().filter_map(|arg| arg.by).map(|by| quote!(#by));
        let generics = bounds.chain(by);
        let generics = quote!(<#(#generics),*>);
        let params = self.signature.arguments().zip(self.arg_types()).map(|(argument, arg)| {
            let (name, ty) = (generated(&argument.name), arg.ty);
            quote!(#name: #ty)
        });
        let params = receiver.chain(params);
        let parentheses = spans::at(sig.paren_token.span.join());
        let params = quote_spanned!(parentheses=> (#(#params),*));
        let call = self.call_type();
        quote!(#vis #fn_token #name #generics #params #call)
    }

    /// The type parameters of the function that makes calls, for each argument.
    fn arg_types(&self) -> impl Iterator<Item = ArgType> {
        self.signature.arguments().enumerate().map(|(index, argument)| ArgType {
            ty: format_ident!("__A{index}"),
            by: argument.is_fetched().then(|| format_ident!("__By{index}")),
        })
    }

    /// What the arguments are, as a type: whether they can fail, and where they can be had.
    fn arg_kinds(&self) -> TokenStream {
        let private = self.private();
        let kinds = self.signature.arguments().zip(self.arg_types()).map(|(argument, arg)| {
            let (stored, ArgType { ty, by }) = (&argument.stored.ty, arg);
            match by {
                None => {
                    spans::around(&quote!(<#ty as #private::IntoArg<), stored, &quote!(>>::Kind))
                }
                Some(by) => {
                    let before = quote!(<#ty as #private::IntoRecord<);
                    spans::around(&before, stored, &quote!(, #by>>::Kind))
                }
            }
        });
        pairs(kinds)
    }

    /// The user's function. Only its name, place and attributes change; being associated, it
    /// leaves the plain name to the task, so recursion makes calls.
    fn body(&self, attributes: &Attributes) -> TokenStream {
        let inner = &attributes.inner;
        let shared = self.home.iter().flat_map(|_| &attributes.shared);
        let hidden = self.home.iter().map(|_| quote!(#[doc(hidden)]));
        let mut sig = self.item.sig.clone();
        sig.ident = self.body_name();
        for input in &mut sig.inputs {
            if let syn::FnArg::Typed(param) = input {
                attributes::take_marks(&mut param.attrs);
            }
        }
        let block = &self.item.block;
        // What a job stores is taken by value, and no task is `const`. Of many arguments the function
        // around this one tells.
        quote! {
            #(#shared)* #(#inner)* #(#hidden)*
            #[allow(clippy::missing_const_for_fn, clippy::needless_pass_by_value, clippy::too_many_arguments)]
            #sig #block
        }
    }

    pub(crate) fn body_name(&self) -> Ident {
        let name = &self.signature.name;
        match self.home {
            None => name.clone(),
            Some(_) => format_ident!("__hereafter_{}", name, span = name.span()),
        }
    }

    fn call_type(&self) -> TokenStream {
        let private = self.private();
        let returned = &self.signature.returned;
        let output = self.output();
        let returned_ty = &returned.ty;
        let kinds = self.arg_kinds();
        let place = if self.signature.returned.is_awaited(self.signature.is_async) {
            quote!(#private::Awaited)
        } else {
            quote!(#private::PlaceOf<#kinds>)
        };
        if let Outcome::Unit = returned.outcome {
            let end = self.item.sig.paren_token.span.close();
            let call = quote!(-> #private::Call<(), #private::Direct<#kinds, (), ()>, #place>);
            return spans::relocate(call, end);
        }
        let returned_ty = if returned.continues {
            quote!(::core::result::Result<#output, #private::JobError>)
        } else {
            quote!(#returned_ty)
        };
        let direct = quote!(#private::Direct<#kinds, #output, #returned_ty>);
        spans::around(&quote!(-> #private::Call<), quote!(#output, #direct), &quote!(, #place>))
    }

    /// What a handle yields.
    pub(crate) fn output(&self) -> TokenStream {
        let yielded = self.yielded();
        if !self.signature.returned.continues {
            return yielded;
        }
        let private = self.private();
        spans::around(&quote!(<), yielded, &quote!(as #private::Continue>::Output))
    }

    /// What the function returns if it does not fail.
    pub(crate) fn yielded(&self) -> TokenStream {
        let (private, returned) = (self.private(), &self.signature.returned);
        let ty = &returned.ty;
        match &returned.outcome {
            Outcome::Unit | Outcome::Infallible => quote!(#ty),
            Outcome::Fallible { ok, .. } => quote!(#ok),
            Outcome::Alias => spans::around(&quote!(<), ty, &quote!(as #private::Fallible>::Ok)),
        }
    }

    fn args_type(&self) -> TokenStream {
        let quiet = attributes::quiet();
        let receiver = self.home_of_self().map(|ty| quote!(__hereafter_self: #ty));
        let fields = self.signature.arguments().zip(self.arg_types()).map(|(argument, arg)| {
            let (name, stored) = (generated(&argument.name), &argument.stored.ty);
            match arg.by {
                None => quote!(#name: #stored),
                Some(by) => quote!(#name: #by),
            }
        });
        let fields = receiver.into_iter().chain(fields);
        let by = self.arg_types().filter_map(|arg| arg.by);
        quote!(#quiet struct __HereafterArgs<#(#by),*> { #(#fields),* })
    }

    fn bind(&self) -> TokenStream {
        let private = self.private();
        let receiver = self.signature.receiver.as_ref().zip(self.home_of_self());
        let receiver = receiver.map(|(receiver, ty)| {
            let token = &receiver.self_token;
            let value = match receiver.kind {
                ReceiverKind::Reference(..) => {
                    let copied = quote!(<#ty as #private::Receiver>::copied);
                    let copied = spans::relocate(copied, token.span);
                    quote!(#copied(#token))
                }
                _ => quote!(#token),
            };
            self.slot(&quote!(#ty), &value, Kept::Value)
        });
        let slots = self.signature.arguments().map(|argument| {
            let (name, ty) = (generated(&argument.name), &argument.stored.ty);
            self.slot(&quote!(#ty), &quote!(#name), argument.kept)
        });
        let slots = pairs(receiver.into_iter().chain(slots));
        let kinds = self.arg_kinds();
        let returned = &self.signature.returned;
        let bind = match returned.is_awaited(self.signature.is_async) {
            _ if returned.stream.is_some() => "bind_stream",
            true => "bind_async",
            false => "bind_plain",
        };
        let bind = format_ident!("{bind}");
        quote! {
            #[allow(unused_imports)]
            use #private::{Unfetched as _, Unstorable as _};
            #private::#bind::<__HereafterTask, #kinds>(#slots)
        }
    }

    /// An argument that was given, with its encoder.
    fn slot(&self, ty: &TokenStream, value: &TokenStream, kept: Kept) -> TokenStream {
        let private = self.private();
        let wire = match kept {
            Kept::Value => quote!(Wire),
            Kept::OrDefault => quote!(DefaultWire),
            Kept::Key => {
                let given = quote!(#private::IntoRecord::<#ty, _>::into_arg(#value));
                return quote!(#private::Slot::new(#given, #private::FetchWire::<#ty>::encode));
            }
        };
        quote! {
            #private::Slot::new(
                #private::IntoArg::<#ty>::into_arg(#value),
                |value, plan| #private::encode_arg(#private::#wire::<#ty>::lend(value), plan),
            )
        }
    }

    pub(crate) fn private(&self) -> TokenStream {
        let krate = &self.krate;
        quote!(#krate::__private)
    }

    /// The type of `self`, for a task that takes it.
    pub(crate) fn home_of_self(&self) -> Option<&Type> {
        self.signature.receiver.as_ref()?;
        self.home.as_ref().map(|home| home.ty)
    }
}

/// The type parameters for one argument.
struct ArgType {
    /// What is given.
    ty: Ident,
    /// For a record: how it is given.
    by: Option<Ident>,
}

/// Nested pairs of these, up to `()`.
pub(crate) fn pairs(items: impl IntoIterator<Item = TokenStream>) -> TokenStream {
    let items: Vec<_> = items.into_iter().collect();
    items.into_iter().rfold(quote!(()), |rest, first| quote!((#first, #rest)))
}

/// The `self` of the function that makes calls; `mut` concerns the body alone.
fn outer_receiver(receiver: &Receiver) -> TokenStream {
    let token = &receiver.self_token;
    match &receiver.kind {
        ReceiverKind::Reference(and, ..) => quote!(#and #token),
        _ => quote!(#token),
    }
}
