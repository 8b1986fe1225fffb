//! What `#[register_task]` accepts, and what it says of what it refuses.
//!
//! The messages of the compiler belong to the tool chain that the workspace is built with; after a new one,
//! `TRYBUILD=overwrite cargo test --test ui` writes them anew, to be read before they are committed.

#[test]
fn tasks_that_are_right_compile_without_a_warning() {
    trybuild::TestCases::new().pass("tests/ui/pass/*.rs");
}

#[test]
fn mistakes_are_errors_that_say_what_to_write() {
    trybuild::TestCases::new().compile_fail("tests/ui/fail/*.rs");
}
