//! Which of the user's attributes go where.

use proc_macro2::TokenStream;
use quote::quote;
use syn::punctuated::Punctuated;
use syn::{Attribute, Meta, Token, parse_quote};

/// The attributes of a task function, sorted.
#[derive(Default)]
pub(crate) struct Attributes {
    /// For what users see: the function that makes a call.
    pub(crate) outer: Vec<Attribute>,
    /// For the function that holds the user's body.
    pub(crate) inner: Vec<Attribute>,
    /// What `outer` says to the whole item (`cfg`, lints), for a body that does not lie within it.
    pub(crate) shared: Vec<Attribute>,
}

impl Attributes {
    /// Sorts them. `cfg_attr` is taken apart first.
    pub(crate) fn sort(attributes: &[Attribute]) -> Self {
        let mut sorted = Self::default();
        for attribute in attributes.iter().flat_map(take_apart) {
            match Place::of(condition_free(&attribute).path()) {
                Place::Outer if is_redundant(&attribute) => {}
                Place::Outer => sorted.outer.push(attribute),
                Place::Whole => {
                    sorted.shared.push(attribute.clone());
                    sorted.outer.push(attribute);
                }
                Place::Inner => sorted.inner.push(attribute),
            }
        }
        sorted
    }

    /// The outer ones where the body lies beside: an `expect` that only the body fulfils would be
    /// unfulfilled here.
    pub(crate) fn outer_beside_body(&self) -> Vec<Attribute> {
        self.outer.iter().map(expect_to_allow).collect()
    }
}

/// Whether the attribute's last path segment is this name: `#[task]`, `#[hereafter::task]`.
pub(crate) fn is_named(attribute: &Attribute, name: &str) -> bool {
    attribute.path().segments.last().is_some_and(|segment| segment.ident == name)
}

/// Takes the attributes of this name out.
pub(crate) fn take_named(attributes: &mut Vec<Attribute>, name: &str) -> Vec<Attribute> {
    attributes.extract_if(.., |attribute| is_named(attribute, name)).collect()
}

/// Takes out what marks a parameter.
pub(crate) fn take_marks(attributes: &mut Vec<Attribute>) {
    attributes.retain(|attribute| !["arg", "fetch"].iter().any(|mark| is_named(attribute, mark)));
}

/// The tokens between the parentheses; none if there are no parentheses.
pub(crate) fn arguments(attribute: &Attribute) -> syn::Result<TokenStream> {
    match &attribute.meta {
        Meta::Path(_) => Ok(TokenStream::new()),
        Meta::List(list) => Ok(list.tokens.clone()),
        Meta::NameValue(_) => {
            let name = attribute.path().segments.last().map(|segment| &segment.ident);
            let name = name.map(ToString::to_string).unwrap_or_default();
            let message = format!("write `#[{name}]` or `#[{name}(…)]`");
            Err(syn::Error::new_spanned(attribute, message))
        }
    }
}

enum Place {
    Outer,
    Inner,
    /// Both; the outer function contains the inner one, so once is enough.
    Whole,
}

impl Place {
    fn of(path: &syn::Path) -> Self {
        let Some(name) = path.segments.first() else { return Self::Inner };
        match name.ident.to_string().as_str() {
            "doc" | "deprecated" | "must_use" => Self::Outer,
            "cfg" | "allow" | "warn" | "deny" | "forbid" | "expect" => Self::Whole,
            _ => Self::Inner,
        }
    }
}

/// `#[cfg_attr(c, a, b)]` is `#[cfg_attr(c, a)] #[cfg_attr(c, b)]`.
fn take_apart(attribute: &Attribute) -> Vec<Attribute> {
    let Some((condition, attributes)) = conditional(attribute) else {
        return vec![attribute.clone()];
    };
    attributes.iter().map(|inner| parse_quote!(#[cfg_attr(#condition, #inner)])).collect()
}

fn conditional(attribute: &Attribute) -> Option<(Meta, Vec<Meta>)> {
    if !attribute.path().is_ident("cfg_attr") {
        return None;
    }
    let parse = Punctuated::<Meta, Token![,]>::parse_terminated;
    let mut metas = attribute.parse_args_with(parse).ok()?.into_iter();
    Some((metas.next()?, metas.collect()))
}

/// What a `cfg_attr` with one attribute adds, or the attribute itself.
fn condition_free(attribute: &Attribute) -> Meta {
    conditional(attribute)
        .and_then(|(_, attributes)| attributes.into_iter().next())
        .unwrap_or_else(|| attribute.meta.clone())
}

/// `Call` is `must_use` with a text of its own; only another text adds something.
fn is_redundant(attribute: &Attribute) -> bool {
    matches!(condition_free(attribute), Meta::Path(path) if path.is_ident("must_use"))
}

fn expect_to_allow(attribute: &Attribute) -> Attribute {
    match &attribute.meta {
        Meta::List(list) if list.path.is_ident("expect") => {
            let lints = &list.tokens;
            parse_quote!(#[allow(#lints)])
        }
        _ => attribute.clone(),
    }
}

/// Attributes of generated functions and types that hold the user's identifiers.
pub(crate) fn quiet() -> TokenStream {
    quote!(#[allow(non_snake_case, dead_code, clippy::all, clippy::pedantic, clippy::nursery)])
}

#[cfg(test)]
mod tests {
    use quote::ToTokens;

    use super::*;

    fn text(attributes: &[Attribute]) -> String {
        quote!(#(#attributes)*).to_string()
    }

    #[test]
    fn attributes_go_to_the_function_they_speak_of() {
        let attributes: Vec<Attribute> = vec![
            parse_quote!(#[doc = "Sends."]),
            parse_quote!(#[cfg(unix)]),
            parse_quote!(#[expect(dead_code)]),
            parse_quote!(#[tracing::instrument]),
            parse_quote!(#[must_use]),
            parse_quote!(#[inline]),
        ];
        let sorted = Attributes::sort(&attributes);
        assert_eq!(text(&sorted.outer), text(&attributes[..3]));
        assert_eq!(text(&sorted.shared), text(&attributes[1..3]));
        assert_eq!(
            text(&sorted.inner),
            text(&[parse_quote!(#[tracing::instrument]), parse_quote!(#[inline])])
        );
    }

    #[test]
    fn conditional_attributes_are_sorted_one_by_one() {
        let attribute: Attribute = parse_quote!(#[cfg_attr(unix, doc = "Unix.", inline)]);
        let sorted = Attributes::sort(&[attribute]);
        assert_eq!(text(&sorted.outer), quote!(#[cfg_attr(unix, doc = "Unix.")]).to_string());
        assert_eq!(text(&sorted.inner), quote!(#[cfg_attr(unix, inline)]).to_string());
    }

    #[test]
    fn an_expectation_is_left_to_the_body() {
        let sorted = Attributes::sort(&[parse_quote!(#[expect(unused_variables)])]);
        let beside = sorted.outer_beside_body();
        let expected: Attribute = parse_quote!(#[allow(unused_variables)]);
        assert_eq!(text(&beside), expected.to_token_stream().to_string());
    }
}
