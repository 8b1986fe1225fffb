//! [`Marker`]: what the attributes of a parameter make of it.

use proc_macro2::TokenStream;
use quote::quote;
use syn::punctuated::Punctuated;
use syn::{Attribute, Meta, Token};

use crate::attributes;
use crate::problems::Problems;
use crate::signature::Kept;

/// `#[arg]`, `#[arg(default)]` or `#[fetch]`.
#[derive(Default)]
pub(crate) struct Marker {
    /// `#[arg]`, with or without a default.
    pub(crate) arg: Option<Attribute>,
    has_default: bool,
    /// `#[fetch]`.
    pub(crate) fetch: Option<Attribute>,
}

impl Marker {
    /// Reads the marks among the attributes of a parameter.
    pub(crate) fn read(attrs: &[Attribute], problems: &mut Problems) -> Option<Self> {
        let mut marker = Self::default();
        for attribute in attrs {
            if attributes::is_named(attribute, "arg") {
                let has_default = problems.keep(has_default(attribute))?;
                marker.arg = Some(attribute.clone());
                marker.has_default |= has_default;
            } else if attributes::is_named(attribute, "fetch") {
                marker.set_fetch(attribute, problems);
            } else if attribute.path().is_ident("cfg") || attribute.path().is_ident("cfg_attr") {
                let message = "a job has the same arguments wherever it is made: put `#[cfg]` on the function";
                problems.at(attribute, message);
            }
        }
        if let (Some(arg), Some(_)) = (&marker.arg, &marker.fetch) {
            let message =
                "`#[fetch]` stores the key of a record, and `#[arg]` the value itself: remove one";
            problems.at(arg, message);
        }
        Some(marker)
    }

    fn set_fetch(&mut self, attribute: &Attribute, problems: &mut Problems) {
        if self.fetch.is_some() {
            problems.at(attribute, "`#[fetch]` is given twice; remove one");
        } else if !matches!(attribute.meta, Meta::Path(_)) {
            problems
                .at(&attribute.meta, "`#[fetch]` takes nothing: the type says how it is loaded");
        }
        self.fetch = Some(attribute.clone());
    }

    /// What a job keeps of a parameter so marked.
    pub(crate) fn kept(&self) -> Kept {
        match (&self.fetch, self.has_default) {
            (Some(_), _) => Kept::Key,
            (None, true) => Kept::OrDefault,
            (None, false) => Kept::Value,
        }
    }
}

fn has_default(attribute: &Attribute) -> syn::Result<bool> {
    const FORMS: &str = "write `#[arg]` or `#[arg(default)]`";
    if let Meta::Path(_) = attribute.meta {
        return Ok(false);
    }
    let parse = Punctuated::<Meta, Token![,]>::parse_terminated;
    let wrong = |tokens: TokenStream| Err(syn::Error::new_spanned(tokens, FORMS));
    let Ok(metas) = attribute.parse_args_with(parse) else { return wrong(quote!(#attribute)) };
    match metas.iter().find(|meta| !matches!(meta, Meta::Path(path) if path.is_ident("default"))) {
        Some(other) => wrong(quote!(#other)),
        None if metas.len() == 1 => Ok(true),
        None => wrong(quote!(#attribute)),
    }
}
