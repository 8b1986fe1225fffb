//! [`suite!`](crate::suite): cases become tests.

/// Mounts the suite: one `#[test]` for each case, two for a case that carries data.
///
/// `harness` is an expression that gives a new [`Harness`](crate::Harness); it may `.await`,
/// and is evaluated once for each test. Attributes before it go on every test.
///
/// With `transport,` first, the cases for a broker that carries jobs and keeps nothing of them:
/// see [`Transport`](crate::Transport). With `composed,` first, all cases but those of the
/// [`Outbox`](taskcore::broker::Outbox), for a store whose outbox is in use by the broker that
/// carries its jobs.
#[macro_export]
macro_rules! suite {
    (transport, $(#[$attribute:meta])* harness: $harness:expr $(,)?) => {
        $crate::__cases! {
            tests transport [$(#[$attribute])*] [$crate::Transport($harness)]
        }
    };
    (composed, $(#[$attribute:meta])* harness: $harness:expr $(,)?) => {
        $crate::__cases! { tests composed [$(#[$attribute])*] [$harness] }
    };
    ($(#[$attribute:meta])* harness: $harness:expr $(,)?) => {
        $crate::__cases! { tests store [$(#[$attribute])*] [$harness] }
    };
}

/// The names of all cases, as `module::case`; the number of tests that a mounted suite has is
/// the sum of their runs.
#[must_use]
pub fn case_names() -> Vec<&'static str> {
    crate::__cases! { names }
}

#[doc(hidden)]
#[macro_export]
macro_rules! __expand {
    (
        tests $profile:ident $attributes:tt $harness:tt
        $($module:ident {
            $($fits:ident { once [$($once:ident)*] batched [$($batched:ident)*] })*
        })*
    ) => {
        $(mod $module {
            #[allow(unused_imports, reason = "a harness may be a full path")]
            use super::*;
            $($crate::__mount! {
                $profile $fits $attributes $harness $module [$($once)*] []
            })*
            mod one {
                #[allow(unused_imports, reason = "a harness may be a full path")]
                use super::*;
                $($crate::__mount! {
                    $profile $fits $attributes $harness $module [$($batched)*] [$crate::ONE]
                })*
            }
            mod many {
                #[allow(unused_imports, reason = "a harness may be a full path")]
                use super::*;
                $($crate::__mount! {
                    $profile $fits $attributes $harness $module [$($batched)*] [$crate::MANY]
                })*
            }
        })*
    };
    (
        names
        $($module:ident {
            $($fits:ident { once [$($once:ident)*] batched [$($batched:ident)*] })*
        })*
    ) => {
        vec![$($(
            $(concat!(stringify!($module), "::", stringify!($once)),)*
            $(concat!(stringify!($module), "::", stringify!($batched)),)*
        )*)*]
    };
}

/// Mounts cases of one kind, if they fit what is mounted.
#[doc(hidden)]
#[macro_export]
macro_rules! __mount {
    (store transport $($rest:tt)*) => {};
    (composed transport $($rest:tt)*) => {};
    (transport store $($rest:tt)*) => {};
    (transport outbox $($rest:tt)*) => {};
    (composed outbox $($rest:tt)*) => {};
    (
        $profile:ident $fits:ident $attributes:tt $harness:tt $module:ident
        [$($case:ident)*] $batch:tt
    ) => {
        $($crate::__test! { $attributes $harness $module $case $batch })*
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __test {
    ([$($attribute:tt)*] [$harness:expr] $module:ident $case:ident [$($batch:expr)?]) => {
        #[test]
        $($attribute)*
        fn $case() {
            $crate::run(async {
                let harness = $harness;
                $crate::cases::$module::$case(&harness $(, $batch)?).await;
            });
        }
    };
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_case_is_in_the_list() {
        let mut written = BTreeSet::new();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cases");
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            let module = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let text = std::fs::read_to_string(&path).unwrap();
            let starts = text.lines().filter_map(|line| line.strip_prefix("pub async fn "));
            let names = starts.filter_map(|rest| rest.split('(').next());
            written.extend(names.map(|name| format!("{module}::{name}")));
        }
        let listed: BTreeSet<_> = case_names().into_iter().map(str::to_owned).collect();
        assert_eq!(listed, written);
        assert_eq!(listed.len(), case_names().len(), "a case is listed twice");
    }
}
