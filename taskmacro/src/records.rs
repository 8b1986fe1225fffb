//! The arguments that are records: stored as keys, and loaded before the body runs.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};

use crate::expand::{Task, pairs};
use crate::machinery::WireField;
use crate::signature::{Argument, Kept};
use crate::spans::{self, generated};

impl Task<'_> {
    /// The arguments as they are given: of a record, its key, or itself.
    pub(crate) fn given_args(&self) -> TokenStream {
        let given = self.fetched().map(|argument| self.given(argument));
        quote!(__HereafterArgs<#(#given),*>)
    }

    /// The arguments as the body takes them.
    pub(crate) fn ready_args(&self) -> TokenStream {
        let types = self.fetched().map(|argument| &argument.stored.ty);
        quote!(__HereafterArgs<#(#types),*>)
    }

    /// The arguments that are records.
    pub(crate) fn fetched(&self) -> impl Iterator<Item = &Argument> {
        self.signature.arguments().filter(|argument| argument.is_fetched())
    }

    /// What a call holds of an argument.
    pub(crate) fn given(&self, argument: &Argument) -> TokenStream {
        let (private, ty) = (self.private(), &argument.stored.ty);
        if argument.is_fetched() {
            spans::around(&quote!(#private::Given<), ty, &quote!(>))
        } else {
            quote!(#ty)
        }
    }

    /// Gets the records that the arguments name.
    pub(crate) fn load(&self) -> TokenStream {
        let private = self.private();
        let body = if self.fetched().next().is_none() {
            quote!(#private::Loading::Here(args))
        } else {
            self.load_records()
        };
        quote! {
            fn load(args: Self::Args, frame: &#private::Frame) -> #private::Loading<Self::Ready> {
                #body
            }
        }
    }

    fn load_records(&self) -> TokenStream {
        let private = self.private();
        let wanted = pairs(self.fetched().map(|argument| {
            let (name, ty) = (generated(&argument.name), &argument.stored.ty);
            let parameter = argument.wire_name();
            quote! {
                #private::FetchWire::<#ty>::load(args.#name, #parameter, frame, |error| {
                    #[allow(unused_imports)]
                    use #private::{ProbeError as _, ProbeOther as _};
                    (&&#private::PermanentProbe(error)).is_permanent()
                })
            }
        }));
        let had = |index: usize| format_ident!("__record{index}");
        let loaded = self.fetched().enumerate().map(|(index, _)| had(index));
        let loaded = pairs(loaded.map(|name| quote!(#name)));
        let mut records = 0..;
        let fields = self.wire_fields();
        let fields = fields.iter().map(|WireField { name, kept, .. }| match kept {
            Kept::Value | Kept::OrDefault => quote!(#name: args.#name),
            Kept::Key => {
                let record = records.next().map(had);
                quote!(#name: #record)
            }
        });
        quote! {
            #private::LoadAll::at_once(#wanted).map(move |#loaded| __HereafterArgs { #(#fields),* })
        }
    }
}
