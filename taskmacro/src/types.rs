//! What a type of the user's signature is, as far as syntax can tell.

use proc_macro2::Span;
use quote::{ToTokens, quote};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::visit_mut::{self, VisitMut};
use syn::{
    Expr, ExprPath, GenericArgument, Lifetime, Path, PathArguments, PathSegment, Type,
    TypeImplTrait, TypeInfer, TypeNever, TypePath, TypeReference, parse_quote,
};

use crate::problems::Problems;
use crate::spans;

/// How an argument is kept: as it is, or as the owned form of what the body borrows.
pub(crate) struct Stored {
    /// The type in the job.
    pub(crate) ty: Type,
    /// Whether the body takes a reference to it.
    pub(crate) is_lent: bool,
}

/// The stored form of an argument's type; refuses what a job cannot hold.
pub(crate) fn stored(ty: &Type, problems: &mut Problems) -> Stored {
    let Type::Reference(reference) = bare(ty) else {
        check_owned(ty, problems);
        return Stored { ty: ty.clone(), is_lent: false };
    };
    let borrowed = bare(&reference.elem);
    if let Some(lifetime) = &reference.lifetime {
        let message = format!("a job has no lifetime: write `&{}`", text(borrowed));
        problems.at(lifetime, message);
    }
    let owned = owned_form(borrowed);
    let Some(owned) = owned.filter(|_| reference.mutability.is_none()) else {
        problems.at(reference, by_value(reference));
        return Stored { ty: (*reference.elem).clone(), is_lent: true };
    };
    if let Type::Slice(slice) = borrowed {
        check_owned(&slice.elem, problems);
    }
    Stored { ty: owned, is_lent: true }
}

/// The record, or `Option` of one, that a `#[fetch]` parameter takes, or borrows.
pub(crate) fn fetched(ty: &Type, problems: &mut Problems) -> Stored {
    let Type::Reference(reference) = bare(ty) else {
        check_owned(ty, problems);
        return Stored { ty: ty.clone(), is_lent: false };
    };
    let record = &*reference.elem;
    if let Some(lifetime) = &reference.lifetime {
        let message = format!("a job has no lifetime: write `&{}`", text(record));
        problems.at(lifetime, message);
    }
    if reference.mutability.is_some() {
        let message = format!("a record is loaded for each run: take `{}` by value", text(record));
        problems.at(reference, message);
    }
    check_owned(record, problems);
    Stored { ty: record.clone(), is_lent: true }
}

/// Refuses references, lifetimes and types without a name, at any depth.
pub(crate) fn check_owned(ty: &Type, problems: &mut Problems) {
    Owned { problems }.visit_type(ty);
}

/// Refuses what no job can yield.
pub(crate) fn check_returned(ty: &Type, problems: &mut Problems) {
    match bare(ty) {
        Type::Never(never) => {
            problems.at(never, "a task that never returns has no result: return `()`");
        }
        Type::ImplTrait(opaque) => {
            let message =
                "a task returns a type with a name, or `impl Stream<Item = …>`: write one of them";
            problems.at(opaque, message);
        }
        Type::Reference(reference) => {
            let owned = text(owned_or_itself(reference));
            let message = format!("a job owns its result: return `{owned}`");
            problems.at(reference, message);
        }
        _ => check_owned(ty, problems),
    }
}

/// Whether the type's last path segment is this name; gives the segment.
pub(crate) fn named<'a>(ty: &'a Type, name: &str) -> Option<&'a PathSegment> {
    match bare(ty) {
        Type::Path(path) => path.path.segments.last().filter(|segment| segment.ident == name),
        _ => None,
    }
}

/// The type arguments of a path segment.
pub(crate) fn type_arguments(segment: &PathSegment) -> Vec<&Type> {
    let PathArguments::AngleBracketed(arguments) = &segment.arguments else { return Vec::new() };
    let arguments = arguments.args.iter().filter_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    });
    arguments.collect()
}

/// The type as a person writes it.
pub(crate) fn text(ty: impl ToTokens) -> String {
    let mut text = ty.to_token_stream().to_string();
    for (spaced, tight) in [
        (":: std :: string :: ", ""),
        (":: std :: vec :: ", ""),
        (":: std :: path :: ", ""),
        (" :: ", "::"),
        (":: ", "::"),
        (" <", "<"),
        ("< ", "<"),
        (" >", ">"),
        (" ,", ","),
        ("& ", "&"),
    ] {
        text = text.replace(spaced, tight);
    }
    text
}

/// Writes the type of an `impl` block for `Self`, which items inside a function cannot name.
pub(crate) struct NameSelf<'a>(pub(crate) &'a Type);

impl VisitMut for NameSelf<'_> {
    fn visit_type_mut(&mut self, ty: &mut Type) {
        if let Type::Path(TypePath { qself: None, path, .. }) = ty
            && path.is_ident("Self")
        {
            *ty = self.0.clone();
            return;
        }
        visit_mut::visit_type_mut(self, ty);
    }

    fn visit_type_path_mut(&mut self, path: &mut TypePath) {
        if path.qself.is_none()
            && let Some(rest) = after_self(&path.path)
        {
            let self_ty = self.0;
            *path = parse_quote!(<#self_ty>::#rest);
        }
        visit_mut::visit_type_path_mut(self, path);
    }

    fn visit_expr_mut(&mut self, expr: &mut Expr) {
        if let Expr::Path(path) = expr {
            self.visit_expr_path_mut(path);
        } else {
            visit_mut::visit_expr_mut(self, expr);
        }
    }

    fn visit_expr_path_mut(&mut self, path: &mut ExprPath) {
        if path.qself.is_none()
            && let Some(rest) = after_self(&path.path)
        {
            let self_ty = self.0;
            *path = parse_quote!(<#self_ty>::#rest);
        }
        visit_mut::visit_expr_path_mut(self, path);
    }
}

/// The first `Self` in a signature.
pub(crate) fn find_self(sig: &syn::Signature) -> Option<Span> {
    struct Find(Option<Span>);
    impl Visit<'_> for Find {
        fn visit_path(&mut self, path: &Path) {
            if let Some(first) = path.segments.first().filter(|first| first.ident == "Self") {
                self.0.get_or_insert(first.ident.span());
            }
            visit::visit_path(self, path);
        }
    }
    let mut find = Find(None);
    find.visit_signature(sig);
    find.0
}

/// The type without invisible groups (from `$ty` in a macro) and parentheses.
pub(crate) fn bare(ty: &Type) -> &Type {
    match ty {
        Type::Group(group) => bare(&group.elem),
        Type::Paren(paren) => bare(&paren.elem),
        _ => ty,
    }
}

struct Owned<'a> {
    problems: &'a mut Problems,
}

impl Visit<'_> for Owned<'_> {
    fn visit_type_reference(&mut self, reference: &TypeReference) {
        let owned = text(owned_or_itself(reference));
        let message = format!("a job owns its values: write `{owned}` instead of a reference");
        self.problems.at(reference, message);
    }

    fn visit_lifetime(&mut self, lifetime: &Lifetime) {
        if lifetime.ident != "static" {
            let message = "a job has no lifetime: write `'static`, or a type that owns its content";
            self.problems.at(lifetime, message);
        }
    }

    fn visit_type_impl_trait(&mut self, opaque: &TypeImplTrait) {
        let message = "a job stores values of one type: write it instead of `impl …`";
        self.problems.at(opaque, message);
    }

    fn visit_type_infer(&mut self, infer: &TypeInfer) {
        self.problems.at(infer, "a job stores values of one type: write it instead of `_`");
    }

    fn visit_type_never(&mut self, never: &TypeNever) {
        self.problems.at(never, "a job cannot hold a value of this type");
    }
}

fn by_value(reference: &TypeReference) -> String {
    format!("a job owns its arguments: take `{}` by value", text(owned_or_itself(reference)))
}

fn owned_or_itself(reference: &TypeReference) -> Type {
    let borrowed = bare(&reference.elem);
    owned_form(borrowed).unwrap_or_else(|| borrowed.clone())
}

/// The owned form of `str`, `[T]` and `Path`, at the place of the borrowed one.
fn owned_form(borrowed: &Type) -> Option<Type> {
    let owned = match borrowed {
        Type::Slice(slice) => spans::around(&quote!(::std::vec::Vec<), &slice.elem, &quote!(>)),
        Type::Path(TypePath { qself: None, path, .. }) if path.is_ident("str") => {
            spans::relocate(quote!(::std::string::String), path.span())
        }
        _ => {
            let segment = named(borrowed, "Path").filter(|segment| segment.arguments.is_none())?;
            spans::relocate(quote!(::std::path::PathBuf), segment.ident.span())
        }
    };
    Some(Type::Verbatim(owned))
}

fn after_self(path: &Path) -> Option<Path> {
    let first = path.segments.first()?;
    if first.ident != "Self" || path.segments.len() < 2 {
        return None;
    }
    let segments = path.segments.iter().skip(1).cloned().collect();
    Some(Path { leading_colon: None, segments })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored_text(ty: &Type) -> String {
        let mut problems = Problems::default();
        let stored = stored(ty, &mut problems);
        let messages = problems.messages();
        if messages.is_empty() { text(stored.ty) } else { messages.join(" + ") }
    }

    #[test]
    fn borrowed_forms_are_stored_owned() {
        assert_eq!(stored_text(&parse_quote!(&str)), "String");
        assert_eq!(stored_text(&parse_quote!(&[u8])), "Vec<u8>");
        assert_eq!(stored_text(&parse_quote!(&std::path::Path)), "PathBuf");
        assert_eq!(stored_text(&parse_quote!(Vec<Option<u8>>)), "Vec<Option<u8>>");
    }

    #[test]
    fn other_references_are_taken_by_value() {
        for (ty, remedy) in [
            (parse_quote!(&String), "take `String` by value"),
            (parse_quote!(&mut Vec<u8>), "take `Vec<u8>` by value"),
            (parse_quote!(Option<&str>), "write `String` instead"),
            (parse_quote!(&[&str]), "write `String` instead"),
            (parse_quote!(&'static str), "write `&str`"),
            (parse_quote!(Cow<'_, str>), "write `'static`"),
            (parse_quote!(Vec<impl Debug>), "instead of `impl …`"),
        ] {
            let message = stored_text(&ty);
            assert!(message.contains(remedy), "{message}");
        }
        assert_eq!(stored_text(&parse_quote!(Cow<'static, str>)), "Cow<'static, str>");
    }

    #[test]
    fn self_becomes_the_type_of_the_block() {
        let mut ty: Type = parse_quote!(Result<Option<Self>, [Self::Item; Self::LEN]>);
        NameSelf(&parse_quote!(my::Report)).visit_type_mut(&mut ty);
        let expected = "Result<Option<my::Report>, [<my::Report>::Item ;<my::Report>::LEN]>";
        assert_eq!(text(ty), expected);
    }

    #[test]
    fn results_own_what_they_hold() {
        for (ty, remedy) in [
            (parse_quote!(&'static str), "return `String`"),
            (parse_quote!(impl Iterator<Item = u8>), "or `impl Stream<Item = …>`"),
            (parse_quote!(!), "return `()`"),
            (parse_quote!(Result<&str, E>), "write `String` instead"),
        ] {
            let mut problems = Problems::default();
            check_returned(&ty, &mut problems);
            let message = problems.messages().join("");
            assert!(message.contains(remedy), "{message}");
        }
    }
}
