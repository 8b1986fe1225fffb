//! [`IntoArg`]: what may be written where a task takes a `T`.

use std::path::{Path, PathBuf};

/// What may be written where a task takes a `T`: a `T`, or a borrowed form of it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be passed where the task takes `{T}`",
    label = "expected `{T}`"
)]
pub trait IntoArg<T> {
    /// Takes the argument in.
    fn into_arg(self) -> Arg<T>;
}

/// An argument that a call was given. Opaque: its forms grow.
#[derive(Debug)]
pub struct Arg<T> {
    value: T,
}

impl<T> Arg<T> {
    /// The value, for generated code.
    #[doc(hidden)]
    pub fn into_value(self) -> T {
        self.value
    }
}

impl<T> IntoArg<T> for T {
    fn into_arg(self) -> Arg<T> {
        Arg { value: self }
    }
}

/// Borrowed forms are stored as the owned one.
macro_rules! borrowed {
    ($([$($generics:tt)*] $from:ty => $to:ty, $convert:expr;)+) => {$(
        impl<$($generics)*> IntoArg<$to> for $from {
            fn into_arg(self) -> Arg<$to> {
                Arg { value: $convert(self) }
            }
        }
    )+};
}

borrowed! {
    [] &str => String, str::to_owned;
    [] &String => String, String::clone;
    [] &Path => PathBuf, Path::to_path_buf;
    [] &PathBuf => PathBuf, PathBuf::clone;
    [] &str => PathBuf, PathBuf::from;
    [T: Clone] &[T] => Vec<T>, <[T]>::to_vec;
    [T: Clone] &Vec<T> => Vec<T>, Vec::clone;
    [T: Clone, const N: usize] &[T; N] => Vec<T>, |array: &[T; N]| array.to_vec();
    [T, const N: usize] [T; N] => Vec<T>, Vec::from;
}
