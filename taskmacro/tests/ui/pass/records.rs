//! Every place where a record may be, also where its names are those of generated code, and where
//! the module has changed what names mean.
#![deny(warnings, missing_docs, clippy::all, clippy::pedantic)]

/// Rows of a table.
pub mod rows {
    use hereafter::prelude::*;

    /// A row.
    #[derive(Debug, Clone)]
    pub struct Row {
        /// Its key.
        pub id: u64,
    }

    impl Record for Row {
        type Key = u64;
        type From = ();
        type Error = std::convert::Infallible;

        fn key(&self) -> u64 {
            self.id
        }

        async fn load(id: u64, (): ()) -> Result<Option<Self>, Self::Error> {
            Ok(Some(Self { id }))
        }
    }
}

mod hostile {
    #![no_implicit_prelude]
    #![allow(dead_code, non_camel_case_types)]

    use super::rows::Row;

    pub(crate) enum Option {}
    pub(crate) struct Given;
    pub(crate) struct FetchWire;
    pub(crate) trait Record {}
    pub(crate) trait IntoRecord {}
    pub(crate) mod core {}
    pub(crate) mod hereafter {}

    #[::hereafter::register_task]
    pub(crate) async fn plain(
        args: u64,
        #[fetch] frame: Row,
        #[fetch] wire: &Row,
        #[fetch] __record0: &::std::option::Option<Row>,
        #[fetch] mut r#type: Row,
    ) -> u64 {
        r#type.id += wire.id;
        args + frame.id + r#type.id + __record0.as_ref().map_or(0, |row| row.id)
    }
}

/// Has methods.
pub struct Report;

#[hereafter::register_task]
impl Report {
    /// Prints a row.
    #[task(unique_by = Self::key)]
    pub fn print(#[fetch] row: &rows::Row, #[arg(default)] copies: u8) -> u64 {
        row.id * u64::from(copies)
    }

    fn key(row: &u64, copies: &u8) -> String {
        format!("{row}-{copies}")
    }
}

fn main() {
    let row = rows::Row { id: 1 };
    assert_eq!(Report::print(&row, 2).call(), 2);
    drop(Report::print(1, 2));
    drop(hostile::plain(1, &row, 2, None, row.clone()));
}
