//! The signature of a task function: what is stored, what is filled in, what comes back.

use proc_macro2::Ident;
use syn::ext::IdentExt;
use syn::{FnArg, Pat, PatType, Receiver, ReceiverKind, ReturnType, Safety, Type, parse_quote};

use crate::attributes;
use crate::marker::Marker;
use crate::problems::Problems;
use crate::stream;
use crate::types::{self, Stored};

/// A task function without its body.
pub(crate) struct Signature {
    /// The function's name.
    pub(crate) name: Ident,
    /// Whether it is async.
    pub(crate) is_async: bool,
    /// Its `self`.
    pub(crate) receiver: Option<Receiver>,
    /// The other parameters, in order.
    pub(crate) params: Vec<Param>,
    /// What it returns.
    pub(crate) returned: Returned,
}

/// A parameter.
pub(crate) enum Param {
    /// Given by the caller, stored in the job.
    Argument(Box<Argument>),
    /// Filled in where the task runs: a `Context` or a `State<T>`.
    Filled {
        /// Its type.
        ty: Box<Type>,
        /// The `T` of a `State<T>`.
        state: Option<Box<Type>>,
    },
}

/// An argument.
pub(crate) struct Argument {
    /// Its name.
    pub(crate) name: Ident,
    /// How a job keeps it; of what is fetched, what the body takes.
    pub(crate) stored: Stored,
    /// What a job keeps of it.
    pub(crate) kept: Kept,
}

/// What a job keeps of an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// Its value.
    Value,
    /// Its value, which may be left out: `#[arg(default)]`.
    OrDefault,
    /// The key of a record: `#[fetch]`.
    Key,
}

/// A return type.
pub(crate) struct Returned {
    /// The type.
    pub(crate) ty: Type,
    /// Whether it is a `Result`, and of what.
    pub(crate) outcome: Outcome,
    /// Whether the task is continued by what it returns: a `Call` or a `Handle`, by its name.
    pub(crate) continues: bool,
    /// What its stream yields, if it returns one.
    pub(crate) stream: Option<Streamed>,
}

/// The items of a stream.
pub(crate) struct Streamed {
    /// What the stream yields, as it is written.
    pub(crate) item: Type,
    /// What a reader gets: the item, or what it is if it does not fail.
    pub(crate) yielded: Type,
}

/// What a return type says of failure.
pub(crate) enum Outcome {
    /// No type is written.
    Unit,
    /// The last path segment is not `Result`.
    Infallible,
    /// `Result<T, E>`.
    Fallible {
        /// The `T`.
        ok: Box<Type>,
        /// The `E`.
        error: Box<Type>,
    },
    /// `Result<T>` or `Result`: an alias.
    Alias,
}

impl Signature {
    /// Reads a signature whose `Self` is replaced.
    pub(crate) fn read(sig: &syn::Signature, problems: &mut Problems) -> Self {
        check_qualifiers(sig, problems);
        check_generics(sig, problems);
        let params = sig.inputs.iter().filter_map(|input| match input {
            FnArg::Typed(param) => read_param(param, problems),
            FnArg::Receiver(receiver) => {
                check_receiver_marks(receiver, problems);
                None
            }
        });
        Self {
            name: sig.ident.clone(),
            is_async: sig.asyncness.is_some(),
            params: params.collect(),
            receiver: sig.receiver().cloned(),
            returned: Returned::read(&sig.output, problems),
        }
    }

    /// The arguments, in order.
    pub(crate) fn arguments(&self) -> impl Iterator<Item = &Argument> {
        self.params.iter().filter_map(|param| match param {
            Param::Argument(argument) => Some(&**argument),
            Param::Filled { .. } => None,
        })
    }

    /// The state types, in order.
    pub(crate) fn states(&self) -> impl Iterator<Item = &Type> {
        self.params.iter().filter_map(|param| match param {
            Param::Filled { state, .. } => state.as_deref(),
            Param::Argument(_) => None,
        })
    }
}

impl Argument {
    /// Whether it may be left out: `#[arg(default)]`.
    pub(crate) fn has_default(&self) -> bool {
        self.kept == Kept::OrDefault
    }

    /// Whether it is a record that the worker loads: `#[fetch]`.
    pub(crate) fn is_fetched(&self) -> bool {
        self.kept == Kept::Key
    }

    /// The name in jobs.
    pub(crate) fn wire_name(&self) -> String {
        self.name.unraw().to_string()
    }
}

impl Returned {
    fn read(output: &ReturnType, problems: &mut Problems) -> Self {
        let ReturnType::Type(_, ty) = output else {
            let (ty, outcome) = (parse_quote!(()), Outcome::Unit);
            return Self { ty, outcome, continues: false, stream: None };
        };
        if let Some(item) = stream::item(ty) {
            return Self::of_stream(item, problems);
        }
        let outcome = Outcome::of(ty);
        let yielded = match &outcome {
            Outcome::Fallible { ok, .. } => ok,
            _ => ty,
        };
        if let Some(stream) = stream::inside_result(yielded) {
            let message = "a stream fails by an item: return `impl Stream<Item = Result<…>>`, and yield the error";
            problems.at(stream, message);
        } else {
            types::check_returned(ty, problems);
        }
        let continues =
            ["Call", "Handle"].into_iter().any(|name| types::named(yielded, name).is_some());
        Self { ty: (**ty).clone(), outcome, continues, stream: None }
    }

    /// Awaited, and by its handle, a stream of items yields the list of them.
    fn of_stream(item: Type, problems: &mut Problems) -> Self {
        types::check_returned(&item, problems);
        let outcome = Outcome::of(&item);
        let yielded = match &outcome {
            Outcome::Fallible { ok, .. } => (**ok).clone(),
            Outcome::Alias => {
                let message = "write both types of the `Result`: `Result<T, E>`";
                problems.at(&item, message);
                item.clone()
            }
            _ => item.clone(),
        };
        let list = stream::list_of(&yielded);
        let (ty, outcome) = match outcome {
            Outcome::Fallible { error, .. } => {
                let ok = Box::new(list.clone());
                let ty = stream::result_of(&list, &error);
                (ty, Outcome::Fallible { ok, error })
            }
            _ => (list, Outcome::Infallible),
        };
        Self { ty, outcome, continues: false, stream: Some(Streamed { item, yielded }) }
    }

    /// Whether a direct call can only be awaited.
    pub(crate) fn is_awaited(&self, is_async: bool) -> bool {
        is_async || self.continues || self.stream.is_some()
    }

    /// Whether the task can fail by its return value.
    pub(crate) fn is_fallible(&self) -> bool {
        matches!(self.outcome, Outcome::Fallible { .. } | Outcome::Alias)
    }
}

impl Outcome {
    fn of(ty: &Type) -> Self {
        let Some(segment) = types::named(ty, "Result") else { return Self::Infallible };
        match types::type_arguments(segment)[..] {
            [ok, error] => {
                Self::Fallible { ok: Box::new(ok.clone()), error: Box::new(error.clone()) }
            }
            _ => Self::Alias,
        }
    }
}

/// The receivers that a task can have.
pub(crate) fn check_receiver(receiver: &Receiver, problems: &mut Problems) {
    match &receiver.kind {
        ReceiverKind::Value | ReceiverKind::Reference(_, None, None) => {}
        ReceiverKind::Reference(_, _, Some(_)) => problems.at(
            receiver,
            "a job works on a copy, so changes would be lost: take `&self` or `self`, and return what changed",
        ),
        _ => problems.at(receiver, "a task takes `&self` or `self`"),
    }
}

fn check_receiver_marks(receiver: &Receiver, problems: &mut Problems) {
    for attribute in receiver.attrs.iter().filter(|it| attributes::is_named(it, "fetch")) {
        let message = "a job stores `self` itself: remove this, or write an associated function that takes `#[fetch]` before an argument";
        problems.at(attribute, message);
    }
}

fn check_qualifiers(sig: &syn::Signature, problems: &mut Problems) {
    if let Some(token) = &sig.constness {
        problems.at(token, "a task runs in a worker, never in a constant: remove `const`");
    }
    if let Safety::Unsafe(token) = &sig.safety {
        let message = "nobody can vouch for the arguments of a job: remove `unsafe`, and check them in the task";
        problems.at(token, message);
    }
    if let Some(abi) = &sig.abi {
        problems.at(abi, "a task is a Rust function: remove `extern`");
    }
    if let Some(variadic) = &sig.variadic {
        problems.at(variadic, "a task has a fixed number of arguments: take a `Vec`");
    }
}

fn check_generics(sig: &syn::Signature, problems: &mut Problems) {
    let generics = &sig.generics;
    if !generics.params.is_empty() {
        let message = "a task has one name and one signature: write the types instead of generics";
        problems.at(generics, message);
    }
    if let Some(clause) = &generics.where_clause {
        problems.at(clause, "a task is not generic: remove the `where` clause");
    }
}

fn read_param(param: &PatType, problems: &mut Problems) -> Option<Param> {
    let marker = Marker::read(&param.attrs, problems)?;
    let ty = &*param.ty;
    if is_state_pattern(&param.pat) {
        return read_state(ty, &marker, problems);
    }
    if marker.arg.is_none()
        && let Some(filled) = read_filled(ty, problems)
    {
        if let Some(fetch) = &marker.fetch {
            let message = "this parameter is filled in where the task runs: remove `#[fetch]`";
            problems.at(fetch, message);
        }
        let is_plain = matches!(&*param.pat, Pat::Wild(_)) || plain_name(&param.pat).is_some();
        if !is_plain {
            problems.at(&param.pat, pattern_message(&param.pat));
        }
        return Some(filled);
    }
    let Some(name) = plain_name(&param.pat) else {
        problems.at(&param.pat, pattern_message(&param.pat));
        return None;
    };
    let kept = marker.kept();
    let stored = match kept {
        Kept::Key => types::fetched(ty, problems),
        Kept::Value | Kept::OrDefault => types::stored(ty, problems),
    };
    Some(Param::Argument(Box::new(Argument { name, stored, kept })))
}

/// A parameter with the pattern `State(name)`.
fn read_state(ty: &Type, marker: &Marker, problems: &mut Problems) -> Option<Param> {
    if let Some(attribute) = marker.arg.as_ref().or(marker.fetch.as_ref()) {
        let message = "a `State` is filled in where the task runs: remove this";
        problems.at(attribute, message);
        return None;
    }
    if types::named(ty, "State").is_none() {
        problems.at(ty, "`State(name)` takes a `State<T>`");
        return None;
    }
    read_filled(ty, problems)
}

/// A `Context` or `State<T>`, by its last path segment.
fn read_filled(ty: &Type, problems: &mut Problems) -> Option<Param> {
    if let Some(segment) = types::named(ty, "Context") {
        let is_ours = segment.arguments.is_none();
        return is_ours.then(|| Param::Filled { ty: Box::new(ty.clone()), state: None });
    }
    let segment = types::named(ty, "State")?;
    let state = match types::type_arguments(segment)[..] {
        [state] => state.clone(),
        _ => {
            let message = "write `State<T>` for what a worker fills in, or `#[arg]` before the parameter to make it an ordinary argument";
            problems.at(ty, message);
            return None;
        }
    };
    types::check_owned(&state, problems);
    Some(Param::Filled { ty: Box::new(ty.clone()), state: Some(Box::new(state)) })
}

/// `State(name)` or `State(_)`.
fn is_state_pattern(pattern: &Pat) -> bool {
    let Pat::TupleStruct(tuple) = pattern else { return false };
    let is_state = tuple.path.segments.last().is_some_and(|segment| segment.ident == "State");
    let is_name = |pattern| plain_name(pattern).is_some() || matches!(pattern, Pat::Wild(_));
    is_state && tuple.elems.len() == 1 && tuple.elems.iter().all(is_name)
}

fn plain_name(pattern: &Pat) -> Option<Ident> {
    match pattern {
        Pat::Ident(name) if name.by_ref.is_none() && name.subpat.is_none() => {
            Some(name.ident.clone())
        }
        _ => None,
    }
}

fn pattern_message(pattern: &Pat) -> &'static str {
    match pattern {
        Pat::Wild(_) => "a job stores its arguments by name: write one, such as `_unused`",
        Pat::TupleStruct(tuple)
            if tuple.path.segments.last().is_some_and(|segment| segment.ident == "State") =>
        {
            "write `State(name)`, and take it apart in the task"
        }
        _ => "a job stores its arguments by name: write one, and take it apart in the task",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(sig: &syn::Signature) -> (Signature, Vec<String>) {
        let mut problems = Problems::default();
        let signature = Signature::read(sig, &mut problems);
        (signature, problems.messages())
    }

    fn refusal(sig: &syn::Signature) -> String {
        let (_, messages) = read(sig);
        assert_eq!(messages.len(), 1, "{messages:?}");
        messages.concat()
    }

    #[test]
    fn context_and_state_are_no_arguments() {
        let (signature, messages) = read(&parse_quote! {
            async fn send(cx: Context, State(pool): hereafter::State<Pool>, mut to: String, r#type: u8)
        });
        assert_eq!(messages, [""; 0]);
        let names: Vec<_> = signature.arguments().map(Argument::wire_name).collect();
        assert_eq!(names, ["to", "type"]);
        assert_eq!(signature.states().map(types::text).collect::<Vec<_>>(), ["Pool"]);
        assert!(signature.is_async);
    }

    #[test]
    fn the_arg_attribute_makes_any_parameter_an_argument() {
        let (signature, messages) = read(&parse_quote! {
            fn f(#[arg] state: State, #[arg(default)] context: Context, cx: task::Context<u8>)
        });
        assert_eq!(messages, [""; 0]);
        let defaults: Vec<_> = signature.arguments().map(Argument::has_default).collect();
        assert_eq!(defaults, [false, true, false]);
    }

    #[test]
    fn the_fetch_attribute_makes_a_parameter_a_record() {
        let (signature, messages) = read(&parse_quote! {
            fn f(#[fetch] user: &User, n: u8, #[hereafter::fetch] other: Option<User>)
        });
        assert_eq!(messages, [""; 0]);
        let argument = |argument: &Argument| {
            let Argument { stored, kept, .. } = argument;
            (types::text(&stored.ty), stored.is_lent, *kept)
        };
        let arguments: Vec<_> = signature.arguments().map(argument).collect();
        let expected = [
            ("User".to_owned(), true, Kept::Key),
            ("u8".to_owned(), false, Kept::Value),
            ("Option<User>".to_owned(), false, Kept::Key),
        ];
        assert_eq!(arguments, expected);
    }

    #[test]
    fn a_record_is_no_other_kind_of_parameter() {
        for sig in [
            parse_quote!(fn f(#[arg] #[fetch] user: User)),
            parse_quote!(fn f(#[fetch] #[arg(default)] user: User)),
        ] {
            assert!(refusal(&sig).contains("remove one"));
        }
        assert!(refusal(&parse_quote!(fn f(#[fetch] #[fetch] user: User))).contains("twice"));
        assert!(refusal(&parse_quote!(fn f(#[fetch = 1] user: User))).contains("takes nothing"));
        assert!(refusal(&parse_quote!(fn f(#[fetch] cx: Context))).contains("filled in"));
        assert!(refusal(&parse_quote!(fn f(#[fetch] s: State<u8>))).contains("filled in"));
        assert!(refusal(&parse_quote!(fn f(#[fetch] State(s): State<u8>))).contains("filled in"));
        assert!(refusal(&parse_quote!(fn f(#[fetch] &self))).contains("`self` itself"));
        assert!(refusal(&parse_quote!(fn f(#[fetch] user: &mut User))).contains("by value"));
        assert!(refusal(&parse_quote!(fn f(#[fetch] user: &'a User))).contains("`&User`"));
    }

    #[test]
    fn a_return_type_named_result_is_fallible() {
        for (sig, is_fallible) in [
            (parse_quote!(fn f() -> Result<u8, E>), true),
            (parse_quote!(fn f() -> std::io::Result<u8>), true),
            (parse_quote!(fn f() -> std::fmt::Result), true),
            (parse_quote!(fn f() -> Option<Result<u8, E>>), false),
            (parse_quote!(fn f()), false),
        ] {
            assert_eq!(read(&sig).0.returned.is_fallible(), is_fallible);
        }
    }

    #[test]
    fn names_are_needed_for_what_is_stored() {
        assert!(refusal(&parse_quote!(fn f(_: u8))).contains("`_unused`"));
        assert!(refusal(&parse_quote!(fn f((a, b): (u8, u8)))).contains("take it apart"));
        assert!(refusal(&parse_quote!(fn f(ref a: u8))).contains("take it apart"));
        assert!(refusal(&parse_quote!(fn f(State((a, b)): State<P>))).contains("`State(name)`"));
        assert!(read(&parse_quote!(fn f(_: Context, State(_): State<P>))).1.is_empty());
    }

    #[test]
    fn what_a_task_cannot_be_is_refused() {
        assert!(refusal(&parse_quote!(const fn f())).contains("remove `const`"));
        assert!(refusal(&parse_quote!(unsafe fn f())).contains("remove `unsafe`"));
        assert!(refusal(&parse_quote!(extern "C" fn f())).contains("remove `extern`"));
        assert!(refusal(&parse_quote!(fn f<T>(a: T))).contains("instead of generics"));
        assert!(refusal(&parse_quote!(fn f<'a>(a: Vec<u8>))).contains("instead of generics"));
        assert!(refusal(&parse_quote!(fn f() where u8: Copy)).contains("`where`"));
        assert!(refusal(&parse_quote!(fn f(#[arg(dflt)] a: u8))).contains("#[arg(default)]"));
        assert!(refusal(&parse_quote!(fn f(#[cfg(unix)] a: u8))).contains("on the function"));
        assert!(
            refusal(&parse_quote!(fn f(#[arg(default)] State(a): State<u8>)))
                .contains("remove this")
        );
        assert!(refusal(&parse_quote!(fn f(a: State))).contains("`State<T>`"));
    }

    #[test]
    fn several_mistakes_are_reported_together() {
        let (_, messages) = read(&parse_quote!(const fn f<T>(_: u8, b: &u8) -> impl Debug));
        assert_eq!(messages.len(), 5, "{messages:?}");
    }
}
