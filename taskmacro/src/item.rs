//! `#[register_task]` on a function or an `impl` block.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, quote};
use syn::visit_mut::VisitMut;
use syn::{FnArg, ImplItem, ImplItemFn, Item, ItemFn, ItemImpl, Path, Type};

use crate::attributes;
use crate::expand::{Home, Task};
use crate::options::Options;
use crate::problems::Problems;
use crate::signature::{self, Signature};
use crate::types::{self, NameSelf};

/// Expands the attribute: the item it stands on, made a task, and an error for each mistake.
pub(crate) fn register_task(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let mut problems = Problems::default();
    let options = Options::parse(arguments, &mut problems);
    let expanded = match syn::parse2(item.clone()) {
        Ok(Item::Fn(function)) => free_function(&function, options, &mut problems),
        Ok(Item::Impl(block)) => methods(block, &options, &mut problems),
        Ok(_) => {
            problems.at(&item, "`#[register_task]` goes on a function, or on an `impl` block whose `#[task]` methods it registers");
            item
        }
        Err(error) => {
            problems.add(error);
            item
        }
    };
    let problems = problems.into_tokens();
    quote!(#problems #expanded)
}

/// Expands `#[task]` where no `#[register_task]` read it.
pub(crate) fn stray_task(item: &TokenStream) -> TokenStream {
    let message = "`#[task]` marks a method in a block with `#[register_task]`: write `#[register_task]` before the `impl`, or before a function outside of one";
    let signature = syn::parse2::<ItemFn>(item.clone()).map(|function| function.sig.fn_token.span);
    let span = signature.unwrap_or_else(|_| proc_macro2::Span::call_site());
    let error = syn::Error::new(span, message).into_compile_error();
    quote!(#error #item)
}

fn free_function(function: &ItemFn, options: Options, problems: &mut Problems) -> TokenStream {
    if let Some(FnArg::Receiver(receiver)) = function.sig.inputs.first() {
        problems.at(
            receiver,
            "`self` needs its type: write `#[register_task]` before the `impl` block, and `#[task]` before this method",
        );
        // A method outside of a block would be a second error.
        return TokenStream::new();
    }
    if let Some(span) = types::find_self(&function.sig) {
        let message = "`Self` needs its type: write `#[register_task]` before the `impl` block, and `#[task]` before this function";
        problems.add(syn::Error::new(span, message));
        return TokenStream::new();
    }
    let krate = crate_path(&options);
    expand(function, options, krate, None, problems)
}

fn methods(mut block: ItemImpl, options: &Options, problems: &mut Problems) -> TokenStream {
    let mut own = Problems::default();
    check_block(&block, options, &mut own);
    let home = home(&block.self_ty, &mut own);
    let is_usable = own.is_empty();
    problems.extend(own);
    let self_ty = (*block.self_ty).clone();
    let home = home.filter(|_| is_usable).map(|name| Home { ty: &self_ty, name });
    let krate = crate_path(options);
    let mut has_task = false;
    for item in &mut block.items {
        let ImplItem::Fn(method) = item else { continue };
        reject_register_task(method, problems);
        let Some(arguments) = take_mark(method, problems) else { continue };
        has_task = true;
        let options = method_options(arguments, problems);
        let function = into_function(method.clone());
        let expanded = match &home {
            Some(home) => expand(&function, options, krate.clone(), Some(home.clone()), problems),
            None => untouched(function),
        };
        *item = ImplItem::Verbatim(expanded);
    }
    if !has_task && is_usable {
        let message = "no method here is marked: write `#[task]` before each that is a task";
        problems.at(block.impl_token, message);
    }
    block.into_token_stream()
}

/// One task, or the function as it was if its signature cannot be one.
fn expand(
    function: &ItemFn,
    mut options: Options,
    krate: TokenStream,
    home: Option<Home<'_>>,
    problems: &mut Problems,
) -> TokenStream {
    let mut sig = function.sig.clone();
    if let Some(home) = &home {
        NameSelf(home.ty).visit_signature_mut(&mut sig);
        if let Some(retry_if) = &mut options.retry_if {
            NameSelf(home.ty).visit_expr_path_mut(&mut retry_if.path);
        }
        if let Some(function) = options.unique.function_mut() {
            NameSelf(home.ty).visit_expr_path_mut(function);
        }
    }
    let mut own = Problems::default();
    if let Some(receiver) = sig.receiver() {
        signature::check_receiver(receiver, &mut own);
    }
    let signature = Signature::read(&sig, &mut own);
    let is_usable = own.is_empty();
    problems.extend(own);
    if let Some(retry_if) = options.retry_if.as_ref().filter(|_| !signature.returned.is_fallible())
    {
        let message = "`retry_if` judges errors: return a `Result`, or remove it";
        problems.add(syn::Error::new(retry_if.key.span(), message));
    }
    options.schedule.check_signature(&signature, problems);
    options.demand.check_signature(&signature, problems);
    if is_usable {
        Task { item: function, signature, options: &options, krate, home }.expand()
    } else {
        untouched(function.clone())
    }
}

/// The item without our attributes, beside the errors that are already there.
fn untouched(mut function: ItemFn) -> TokenStream {
    // What a `const fn` may not do would be a second error.
    function.sig.constness = None;
    for input in &mut function.sig.inputs {
        match input {
            FnArg::Typed(param) => attributes::take_marks(&mut param.attrs),
            FnArg::Receiver(receiver) => attributes::take_marks(&mut receiver.attrs),
        }
    }
    function.into_token_stream()
}

fn crate_path(options: &Options) -> TokenStream {
    options.crate_path.as_ref().map_or_else(|| quote!(::hereafter), Path::to_token_stream)
}

fn check_block(block: &ItemImpl, options: &Options, problems: &mut Problems) {
    if let Some((path, _)) = &block.trait_ {
        let message = "a task is registered by its type: move the `#[task]` methods to an `impl` block without a trait";
        problems.at(path, message);
    }
    if !block.generics.params.is_empty() {
        let message = "a task has one name and one signature: write the types instead of generics";
        problems.at(&block.generics, message);
    }
    if let Some(token) = &block.unsafety {
        problems.at(token, "remove `unsafe`");
    }
    for key in options.keys_beside(&["crate"]) {
        let message =
            format!("options belong to one task: write `#[task({key} …)]` before the method");
        problems.add(syn::Error::new(key.span(), message));
    }
}

fn home(ty: &Type, problems: &mut Problems) -> Option<Ident> {
    types::check_owned(ty, problems);
    let Type::Path(path) = types::bare(ty) else {
        problems.at(ty, "tasks can be registered for a struct or an enum of yours");
        return None;
    };
    path.path.segments.last().map(|segment| segment.ident.clone())
}

fn reject_register_task(method: &mut ImplItemFn, problems: &mut Problems) {
    for attribute in attributes::take_named(&mut method.attrs, "register_task") {
        problems.at(attribute, "write `#[task]` before a method of a `#[register_task]` block");
    }
}

/// The arguments of the method's `#[task]`.
fn take_mark(method: &mut ImplItemFn, problems: &mut Problems) -> Option<TokenStream> {
    let mut marks = attributes::take_named(&mut method.attrs, "task").into_iter();
    let mark = marks.next()?;
    for repeated in marks {
        problems.at(repeated, "`#[task]` is given twice; remove one");
    }
    Some(problems.keep(attributes::arguments(&mark)).unwrap_or_default())
}

fn method_options(arguments: TokenStream, problems: &mut Problems) -> Options {
    let options = Options::parse(arguments, problems);
    if let Some(path) = &options.crate_path {
        problems.at(
            path,
            "`crate` belongs to the block: write `#[register_task(crate = …)]` before the `impl`",
        );
    }
    options
}

fn into_function(method: ImplItemFn) -> ItemFn {
    let ImplItemFn { attrs, vis, modifiers, sig, block } = method;
    ItemFn { attrs, vis, modifiers, sig, block: Box::new(block) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(item: TokenStream) -> String {
        register_task(TokenStream::new(), item).to_string()
    }

    #[test]
    fn documentation_attributes_and_visibility_stay_on_the_function_that_users_call() {
        let expanded = expanded(quote! {
            /// Sends.
            #[deprecated]
            #[tracing::instrument]
            pub(crate) async fn send(to: String) -> Result<u8, Error> { body() }
        });
        let outer = quote! {
            /// Sends.
            #[deprecated]
            pub(crate) fn send<__A0: ::hereafter::__private::IntoArg<String> >(to: __A0)
                -> ::hereafter::__private::Call<u8,
        };
        assert!(expanded.starts_with(&outer.to_string()), "{expanded}");
        let inner = quote!(
            async fn send(to: String) -> Result<u8, Error> {
                body()
            }
        );
        assert!(expanded.contains(&inner.to_string()), "{expanded}");
        assert_eq!(expanded.matches("instrument").count(), 1);
        assert_eq!(expanded.matches("Sends.").count(), 1);
    }

    #[test]
    fn a_method_keeps_its_neighbours_as_they_are() {
        let expanded = expanded(quote! {
            impl Report {
                const N: u8 = 1;
                #[inline]
                fn helper(&self) {}
                #[task]
                fn print(&self) {}
            }
        });
        let neighbours = quote! {
            const N: u8 = 1;
            #[inline]
            fn helper(&self) {}
        };
        assert!(expanded.contains(&neighbours.to_string()), "{expanded}");
        assert!(expanded.contains("fn __hereafter_print (& self)"), "{expanded}");
        assert!(!expanded.contains("compile_error"), "{expanded}");
    }

    #[test]
    fn a_function_that_is_no_task_is_left_beside_the_error() {
        let expanded = expanded(quote!(
            fn send(#[arg] (a, b): (u8, u8)) {}
        ));
        assert!(expanded.contains("compile_error"), "{expanded}");
        let untouched = quote!(
            fn send((a, b): (u8, u8)) {}
        );
        assert!(expanded.ends_with(&untouched.to_string()), "{expanded}");
    }

    #[test]
    fn the_body_keeps_no_mark_of_its_parameters() {
        for item in [
            quote!(
                fn send(#[fetch] user: User, #[arg(default)] n: u8) {}
            ),
            quote!(
                fn send(#[fetch] (a, b): User, #[arg(default)] n: u8) {}
            ),
            quote! {
                impl Report {
                    #[task]
                    fn print(#[fetch] &self) {}
                }
            },
        ] {
            let expanded = expanded(item);
            assert!(!expanded.contains("# [fetch]"), "{expanded}");
            assert!(!expanded.contains("# [arg"), "{expanded}");
        }
    }

    #[test]
    fn a_wrong_option_does_not_take_the_task_away() {
        let expanded = register_task(
            quote!(queue = ""),
            quote!(
                fn send() {}
            ),
        )
        .to_string();
        assert!(expanded.contains("compile_error"), "{expanded}");
        assert!(expanded.contains("submit !"), "{expanded}");
    }
}
