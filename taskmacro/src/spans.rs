//! Where generated tokens seem to stand: at the user's, so that errors point there, and still known
//! to be generated, so that lints do not blame the user.

use proc_macro2::{Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::spanned::Spanned;

/// A place of the user's, for a generated token.
pub(crate) fn at(place: Span) -> Span {
    Span::call_site().located_at(place)
}

/// The user's name in generated code.
pub(crate) fn generated(name: &Ident) -> Ident {
    let mut name = name.clone();
    name.set_span(at(name.span()));
    name
}

/// The user's tokens in generated code, each where it is.
pub(crate) fn adopt(tokens: impl ToTokens) -> TokenStream {
    map(tokens.into_token_stream(), &at)
}

/// Tokens that start where the user's type starts, around it, and end where it ends; so what the
/// compiler says of all of them is said of the user's type.
pub(crate) fn around(before: &TokenStream, ty: impl ToTokens, after: &TokenStream) -> TokenStream {
    let tokens = ty.into_token_stream();
    let first = tokens.span();
    let last = tokens.clone().into_iter().last().map_or(first, |token| match token {
        TokenTree::Group(group) => group.span_close(),
        other => other.span(),
    });
    let before = relocate(before.clone(), first);
    let after = relocate(after.clone(), last);
    quote!(#before #tokens #after)
}

/// Generated tokens, all at one place of the user's.
pub(crate) fn relocate(tokens: TokenStream, to: Span) -> TokenStream {
    map(tokens, &|_| at(to))
}

fn map(tokens: TokenStream, place: &dyn Fn(Span) -> Span) -> TokenStream {
    let mapped = tokens.into_iter().map(|mut token| {
        let span = place(token.span());
        if let TokenTree::Group(group) = &token {
            token = Group::new(group.delimiter(), map(group.stream(), place)).into();
        }
        token.set_span(span);
        token
    });
    mapped.collect()
}
