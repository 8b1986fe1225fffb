//! `#[hereafter::test]`.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{FnArg, ItemFn, Path, parse_quote};

use crate::attributes::Attributes;
use crate::options::Options;
use crate::problems::Problems;

/// Expands the attribute: a test that runs the function within a client of its own.
pub(crate) fn test(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let mut problems = Problems::default();
    let options = Options::parse(arguments, &mut problems);
    for key in options.keys_beside(&["crate"]) {
        let message = "a test takes no options but `crate = path`";
        problems.add(syn::Error::new(key.span(), message));
    }
    let expanded = match syn::parse2::<ItemFn>(item.clone()) {
        Ok(function) => expand(&function, &options, &mut problems),
        Err(error) => {
            problems.add(error);
            item
        }
    };
    let problems = problems.into_tokens();
    quote!(#problems #expanded)
}

fn expand(function: &ItemFn, options: &Options, problems: &mut Problems) -> TokenStream {
    let mut own = Problems::default();
    check(function, &mut own);
    let is_usable = own.is_empty();
    problems.extend(own);
    if !is_usable {
        return function.to_token_stream();
    }
    let krate =
        options.crate_path.as_ref().map_or_else(|| quote!(::hereafter), Path::to_token_stream);
    let ItemFn { attrs, vis, sig, block, .. } = function;
    let (name, output) = (&sig.ident, &sig.output);
    let mut inner = sig.clone();
    if inner.inputs.is_empty() {
        inner.inputs.push(parse_quote!(_: #krate::Client));
    }
    // Nothing but the harness reads the attributes of a test, and lints reach what lies within.
    let Attributes { outer, inner: others, .. } = Attributes::sort(attrs);
    quote! {
        #(#outer)* #(#others)*
        #[::core::prelude::v1::test]
        #vis fn #name() #output {
            #inner #block
            #krate::testing::run(#name)
        }
    }
}

fn check(function: &ItemFn, problems: &mut Problems) {
    let sig = &function.sig;
    if sig.asyncness.is_none() {
        problems
            .at(sig.fn_token, "this test runs on a runtime: write `async fn`, or use `#[test]`");
    }
    if !sig.generics.params.is_empty() {
        problems.at(&sig.generics, "a test cannot be generic");
    }
    let mut inputs = sig.inputs.iter();
    if let Some(FnArg::Receiver(receiver)) = inputs.next() {
        problems.at(receiver, "a test is a function outside of `impl` blocks");
    }
    for input in inputs {
        let message = "a test takes nothing, or one `hereafter::Client`: remove this parameter";
        problems.at(input, message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_runs_its_body_with_a_client() {
        let expanded = test(
            TokenStream::new(),
            quote! {
                /// Works.
                #[should_panic]
                async fn it_works(client: Client) -> Result<(), Error> { body(client).await }
            },
        );
        let expected = quote! {
            /// Works.
            #[should_panic]
            #[::core::prelude::v1::test]
            fn it_works() -> Result<(), Error> {
                async fn it_works(client: Client) -> Result<(), Error> { body(client).await }
                ::hereafter::testing::run(it_works)
            }
        };
        assert_eq!(expanded.to_string(), expected.to_string());
    }

    #[test]
    fn a_test_may_leave_the_client_out_and_rename_the_crate() {
        let expanded = test(
            quote!(crate = my::queue),
            quote!(
                async fn it_works() {}
            ),
        );
        let expected = quote! {
            #[::core::prelude::v1::test]
            fn it_works() {
                async fn it_works(_: my::queue::Client) {}
                my::queue::testing::run(it_works)
            }
        };
        assert_eq!(expanded.to_string(), expected.to_string());
    }

    #[test]
    fn what_cannot_be_a_test_is_left_alone_beside_the_error() {
        for (item, remedy) in [
            (
                quote!(
                    fn f() {}
                ),
                "write `async fn`",
            ),
            (
                quote!(
                    async fn f(a: Client, b: u8) {}
                ),
                "remove this parameter",
            ),
            (
                quote!(
                    async fn f<T>() {}
                ),
                "generic",
            ),
        ] {
            let expanded = test(TokenStream::new(), item.clone()).to_string();
            assert!(expanded.contains("compile_error"), "{expanded}");
            assert!(expanded.contains(remedy), "{expanded}");
            assert!(expanded.ends_with(&item.to_string()), "{expanded}");
        }
    }
}
