//! The options of a stream that is made for its readers: `on_demand`, `window` and `patience`.

use proc_macro2::{Ident, TokenStream};
use quote::quote;
use syn::{Error, Expr, Result};

use crate::problems::Problems;
use crate::signature::Signature;
use crate::values::{self, Span};

/// The options of a stream that is made for its readers, with their keys for errors.
#[derive(Default)]
pub(crate) struct Demand {
    on_demand: Option<Ident>,
    window: Option<(Ident, u32)>,
    patience: Option<(Ident, Span)>,
}

impl Demand {
    /// Takes `on_demand`.
    pub(crate) fn switch_on(&mut self, key: Ident) {
        self.on_demand = Some(key);
    }

    /// Takes `window` or `patience`.
    pub(crate) fn set(&mut self, key: Ident, value: &Expr, example: &str) -> Result<()> {
        if key == "window" {
            self.window = Some((key, values::count(value, "window", example)?));
        } else {
            self.patience = Some((key, values::span(value, example, ZERO_PATIENCE)?));
        }
        Ok(())
    }

    /// Reports what does not go together, or with the function.
    pub(crate) fn check_signature(&self, signature: &Signature, problems: &mut Problems) {
        let mut report = |key: &Ident, message: &str| problems.add(Error::new(key.span(), message));
        if let Some(key) = &self.on_demand
            && signature.returned.stream.is_none()
        {
            report(key, "`on_demand` is about items: return `impl Stream<Item = …>`, or remove it");
        }
        if self.on_demand.is_some() {
            return;
        }
        let window = self.window.iter().map(|(key, _)| key);
        for key in window.chain(self.patience.iter().map(|(key, _)| key)) {
            let message = format!("`{key}` is about a stream on demand: write `on_demand` too");
            report(key, &message);
        }
    }

    /// The core's `StreamOptions`.
    pub(crate) fn expand(&self, private: &TokenStream) -> TokenStream {
        if self.on_demand.is_none() {
            return quote!(#private::StreamOptions { on_demand: ::core::option::Option::None });
        }
        let window = self.window.iter().map(|(_, window)| quote!(window: #window,));
        let patience = self.patience.iter().map(|(_, patience)| quote!(patience: #patience,));
        quote! {
            #private::StreamOptions {
                on_demand: ::core::option::Option::Some(#private::OnDemand {
                    #(#window)*
                    #(#patience)*
                    ..#private::OnDemand::DEFAULT
                }),
            }
        }
    }
}

const ZERO_PATIENCE: &str = "no reader comes within 0s: leave `patience` out for a minute";
