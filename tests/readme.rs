//! The README shows what runs.

/// The first code block of the README.
fn first_block(readme: &str) -> &str {
    let (_, rest) = readme.split_once("```rust\n").expect("the README has Rust in it");
    rest.split_once("```").expect("the block ends").0
}

#[test]
fn the_first_code_block_is_the_quickstart() {
    let shown = first_block(include_str!("../README.md"));
    assert_eq!(shown, include_str!("../examples/quickstart/src/main.rs"));
    assert!(shown.lines().count() < 40);
}

#[test]
fn the_two_commands_are_there() {
    let readme = include_str!("../README.md");
    for command in ["cargo run -p wordcount -- .\n", "tests/run --install\n"] {
        assert!(readme.contains(command), "the README has no `{}`", command.trim());
    }
}
