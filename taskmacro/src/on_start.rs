//! `#[on_start]`: registers a function that runs when a worker starts.

use proc_macro2::TokenStream;
use quote::quote;
use syn::meta::ParseNestedMeta;
use syn::parse::Parser;
use syn::{Error, ItemFn, LitInt, Path, Result, ReturnType};

/// Expands `#[on_start(order = N, crate = path)]` on a function.
pub(crate) fn expand(options: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let function: ItemFn = syn::parse2(item).map_err(|error| {
        Error::new(
            error.span(),
            "`#[on_start]` goes on a function: `async fn hook(start: &mut Start) -> Result<(), E>`",
        )
    })?;
    let Options { order, krate } = Options::parse(options)?;
    check(&function)?;
    let name = &function.sig.ident;
    let call = if function.sig.asyncness.is_some() {
        quote!(#name(start).await)
    } else {
        quote!(#name(start))
    };
    let run = match function.sig.output {
        ReturnType::Default => quote!({ #call; ::core::result::Result::Ok(()) }),
        ReturnType::Type(..) => quote!({ #call.map_err(::core::convert::Into::into) }),
    };
    Ok(quote! {
        #function

        const _: () = {
            fn run(start: &mut #krate::Start) -> #krate::__private::HookFuture<'_> {
                ::std::boxed::Box::pin(async move #run)
            }
            #krate::__private::inventory::submit! {
                #krate::StartHook {
                    name: ::core::concat!(::core::module_path!(), "::", ::core::stringify!(#name)),
                    order: #order,
                    file: ::core::file!(),
                    line: ::core::line!(),
                    run,
                }
            }
        };
    })
}

struct Options {
    order: i32,
    krate: Path,
}

impl Options {
    fn parse(tokens: TokenStream) -> Result<Self> {
        let mut options = Self { order: 0, krate: syn::parse_quote!(::hereafter) };
        let parser = syn::meta::parser(|meta| options.set(&meta));
        parser.parse2(tokens)?;
        Ok(options)
    }

    fn set(&mut self, meta: &ParseNestedMeta<'_>) -> Result<()> {
        if meta.path.is_ident("order") {
            self.order = meta.value()?.parse::<LitInt>()?.base10_parse()?;
        } else if meta.path.is_ident("crate") {
            self.krate = meta.value()?.parse()?;
        } else {
            return Err(meta.error(
                "unknown option: `#[on_start]` takes `order = 1` (lowest first) and `crate = path`",
            ));
        }
        Ok(())
    }
}

fn check(function: &ItemFn) -> Result<()> {
    let signature = &function.sig;
    if !signature.generics.params.is_empty() {
        return Err(Error::new_spanned(&signature.generics, "a start hook cannot be generic"));
    }
    if signature.inputs.len() != 1 {
        return Err(Error::new_spanned(
            &signature.ident,
            "a start hook takes one parameter: `start: &mut Start`",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(options: TokenStream, item: TokenStream) -> String {
        expand(options, item).unwrap_err().to_string()
    }

    #[test]
    fn a_hook_keeps_its_function_and_is_registered() {
        let item = quote!(
            async fn open(start: &mut Start) -> Result<(), Error> {
                Ok(())
            }
        );
        let tokens = expand(quote!(order = -3), item).unwrap().to_string();
        assert!(tokens.contains("async fn open"), "{tokens}");
        assert!(tokens.contains("order : - 3i32") || tokens.contains("order : -3i32"), "{tokens}");
    }

    #[test]
    fn what_is_no_hook_is_refused_with_what_to_write() {
        assert!(
            refusal(
                quote!(),
                quote!(
                    struct Hook;
                )
            )
            .contains("goes on a function")
        );
        assert!(
            refusal(
                quote!(),
                quote!(
                    fn hook() {}
                )
            )
            .contains("one parameter")
        );
        assert!(
            refusal(
                quote!(),
                quote!(
                    fn hook<T>(start: &mut T) {}
                )
            )
            .contains("generic")
        );
        assert!(
            refusal(
                quote!(first),
                quote!(
                    fn hook(s: &mut Start) {}
                )
            )
            .contains("order = 1")
        );
    }
}
