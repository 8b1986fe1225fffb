//! What `#[register_task]` accepts, and what it says of what it refuses.
//!
//! They are here, and not with the tests of the whole, because each builds a program with what this package needs.
//! The messages of the compiler belong to the tool chain that the workspace is built with; after a new one,
//! `TRYBUILD=overwrite cargo test -p taskmacro --test ui` writes them anew, to be read before they are committed.

#[test]
fn tasks_that_are_right_compile_without_a_warning_and_mistakes_say_what_to_write() {
    // One build for both.
    let tests = trybuild::TestCases::new();
    tests.pass("tests/ui/pass/*.rs");
    tests.compile_fail("tests/ui/fail/*.rs");
}
