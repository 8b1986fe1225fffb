//! Return types that are streams, as far as syntax can tell.

use quote::quote;
use syn::spanned::Spanned;
use syn::{
    AssocType, GenericArgument, PathArguments, PathSegment, Type, TypeParamBound, TypeTraitObject,
};

use crate::spans;
use crate::types;

/// What the stream yields: of `impl Stream<Item = T>`, of `BoxStream<'_, T>`, and of
/// `Pin<Box<dyn Stream<Item = T>>>`.
pub(crate) fn item(ty: &Type) -> Option<Type> {
    match types::bare(ty) {
        Type::ImplTrait(opaque) => opaque.bounds.iter().find_map(item_of_bound),
        Type::TraitObject(TypeTraitObject { bounds, .. }) => bounds.iter().find_map(item_of_bound),
        _ => {
            let boxed =
                types::named(ty, "BoxStream").or_else(|| types::named(ty, "LocalBoxStream"));
            if let Some(segment) = boxed {
                return types::type_arguments(segment).first().map(|item| (*item).clone());
            }
            let inner = ["Pin", "Box"].into_iter().find_map(|name| types::named(ty, name))?;
            types::type_arguments(inner).first().and_then(|inner| item(inner))
        }
    }
}

/// The stream in the `Result` that a function returns.
pub(crate) fn inside_result(ok: &Type) -> Option<&Type> {
    item(ok).map(|_| ok)
}

/// The list of what a stream yields, at the place of the item.
pub(crate) fn list_of(item: &Type) -> Type {
    Type::Verbatim(spans::around(&quote!(::std::vec::Vec<), item, &quote!(>)))
}

/// The `Result` of a whole stream, at the place of the error.
pub(crate) fn result_of(list: &Type, error: &Type) -> Type {
    let head = spans::relocate(quote!(::core::result::Result), error.span());
    Type::Verbatim(quote!(#head<#list, #error>))
}

fn item_of_bound(bound: &TypeParamBound) -> Option<Type> {
    let TypeParamBound::Trait(bound) = bound else { return None };
    let segment = bound.path.segments.last().filter(|segment| segment.ident == "Stream")?;
    item_argument(segment)
}

fn item_argument(segment: &PathSegment) -> Option<Type> {
    let PathArguments::AngleBracketed(arguments) = &segment.arguments else { return None };
    arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::AssocType(AssocType { ident, ty, .. }) if ident == "Item" => {
            Some(ty.clone())
        }
        _ => None,
    })
}
