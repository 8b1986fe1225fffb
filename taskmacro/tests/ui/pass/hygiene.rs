//! Generated code names nothing that a module could have changed.

mod hostile {
    #![no_implicit_prelude]
    #![allow(dead_code, non_camel_case_types)]

    pub(crate) struct String;
    pub(crate) struct Vec;
    pub(crate) enum Option {}
    pub(crate) struct Call;
    pub(crate) trait Serialize {}
    pub(crate) trait Future {}
    pub(crate) mod core {}
    pub(crate) mod std {}
    pub(crate) mod serde {}
    pub(crate) mod inventory {}
    pub(crate) mod hereafter {}

    #[::hereafter::register_task(queue = "mail", timeout = "1m", alias = "old")]
    pub(crate) async fn send(
        cx: ::hereafter::Context,
        ::hereafter::State(scale): ::hereafter::State<u32>,
        text: &str,
        bytes: &[u32],
        #[arg(default)] path: &::std::path::Path,
    ) -> ::std::result::Result<u64, ::std::fmt::Error> {
        let _ = (cx, text, bytes, path);
        ::std::result::Result::Ok(scale as u64)
    }

    #[derive(::std::clone::Clone, ::serde::Serialize, ::serde::Deserialize)]
    pub(crate) struct Report;

    #[::hereafter::register_task]
    impl Report {
        #[task]
        pub(crate) fn print(&self, copies: u32) -> u32 {
            copies
        }
    }
}

fn main() {
    let _ = hostile::send("a", [1], "p");
    assert_eq!(hostile::Report.print(2u32).call(), 2);
}
