//! The attributes of the Hereafter task queue. Users find them in the crate `hereafter`.
//!
//! This crate knows syntax and nothing of the runtime: generated code names only `::core` and the
//! hidden module `__private` of the crate that re-exports it.

use proc_macro::TokenStream;

mod attributes;
mod demand;
mod expand;
#[cfg(test)]
mod fuzz;
mod item;
mod machinery;
mod marker;
mod on_start;
mod options;
mod problems;
mod records;
mod schedule;
mod signature;
mod spans;
mod stream;
mod testing;
mod types;
mod unique;
mod values;

#[doc = include_str!("register_task.md")]
#[proc_macro_attribute]
pub fn register_task(arguments: TokenStream, item: TokenStream) -> TokenStream {
    item::register_task(arguments.into(), item.into()).into()
}

/// Marks a method as a task, in an `impl` block with [`macro@register_task`]; takes the same
/// options.
#[proc_macro_attribute]
pub fn task(_: TokenStream, item: TokenStream) -> TokenStream {
    item::stray_task(&item.into()).into()
}

/// Makes an async function a test that runs within a client of its own, on a memory broker.
///
/// The function takes nothing, or the `hereafter::Client` of the test. The test runs as
/// `hereafter::testing::run` says. `#[hereafter::test(crate = path)]` names the crate where it is
/// not called `hereafter`.
#[proc_macro_attribute]
pub fn test(arguments: TokenStream, item: TokenStream) -> TokenStream {
    testing::test(arguments.into(), item.into()).into()
}

/// Registers a function that runs once, before a worker asks for its first job.
///
/// The function is async or plain, takes a `&mut Start` and returns nothing or a `Result`; an error ends the worker.
/// Hooks run by `#[on_start(order = 1)]`, lowest first (0 where none is given), then by file and line. `crate = path` names the
/// crate where it is not called `hereafter`.
#[proc_macro_attribute]
pub fn on_start(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let expanded = on_start::expand(arguments.into(), item.into());
    expanded.unwrap_or_else(syn::Error::into_compile_error).into()
}
