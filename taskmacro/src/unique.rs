//! The options about unique keys.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};
use syn::{Error, Expr, ExprPath, LitStr, Result};

use crate::values::{self, Span};

/// What the attribute says of unique keys, each with the option's name, for errors.
#[derive(Default)]
pub(crate) struct UniqueOptions {
    by: Option<UniqueBy>,
    scope: Option<(Ident, Scope)>,
    /// `on_conflict = "…"`, as a variant of the core's `OnConflict`.
    pub(crate) on_conflict: Option<(Ident, Ident)>,
}

/// `unique = "…"` or `unique_by = …`.
pub(crate) enum UniqueBy {
    /// The same key for all jobs.
    Key(LitStr),
    /// A hash of the arguments.
    Args,
    /// A function of the arguments.
    Function(Box<ExprPath>),
}

/// `unique_for` or `unique_while`.
#[derive(Clone, Copy)]
pub(crate) enum Scope {
    Unfinished,
    Queued,
    For(Span),
}

impl UniqueOptions {
    pub(crate) fn set_by(&mut self, key: &Ident, by: UniqueBy) -> Result<()> {
        if self.by.is_some() {
            let message = "`unique` and `unique_by` contradict each other; remove one";
            return Err(Error::new(key.span(), message));
        }
        self.by = Some(by);
        Ok(())
    }

    pub(crate) fn set_scope(&mut self, key: Ident, scope: Scope) -> Result<()> {
        if self.scope.is_some() {
            let message = "`unique_for` and `unique_while` contradict each other; remove one";
            return Err(Error::new(key.span(), message));
        }
        self.scope = Some((key, scope));
        Ok(())
    }

    /// Refuses what says how a key is used, where there is none.
    pub(crate) fn check(&self) -> Result<()> {
        let scope = self.scope.as_ref().map(|(key, _)| key);
        let on_conflict = self.on_conflict.as_ref().map(|(key, _)| key);
        match scope.or(on_conflict) {
            Some(key) => {
                let message = format!(
                    "`{key}` says how a unique key is used: write `unique_by = args`, or `unique = \"…\"`, too"
                );
                Err(Error::new(key.span(), message))
            }
            None => Ok(()),
        }
    }

    /// The function of `unique_by = path`.
    pub(crate) fn function(&self) -> Option<&ExprPath> {
        match &self.by {
            Some(UniqueBy::Function(path)) => Some(path),
            _ => None,
        }
    }

    pub(crate) fn function_mut(&mut self) -> Option<&mut ExprPath> {
        match &mut self.by {
            Some(UniqueBy::Function(path)) => Some(path),
            _ => None,
        }
    }

    /// The core's `TaskUnique`.
    pub(crate) fn expand(&self, private: &TokenStream) -> Option<TokenStream> {
        let by = match self.by.as_ref()? {
            UniqueBy::Key(key) => quote!(Key(#key)),
            UniqueBy::Args => quote!(Args),
            UniqueBy::Function(_) => quote!(Function),
        };
        let scope = match self.scope.as_ref().map(|(_, scope)| scope) {
            None | Some(Scope::Unfinished) => quote!(Unfinished),
            Some(Scope::Queued) => quote!(Queued),
            Some(Scope::For(span)) => quote!(For(#span)),
        };
        let on_conflict = self.on_conflict.as_ref().map(|(_, variant)| variant.clone());
        let on_conflict = on_conflict.unwrap_or_else(|| format_ident!("Fail"));
        Some(quote! {
            #private::TaskUnique {
                by: #private::UniqueBy::#by,
                scope: #private::UniqueScope::#scope,
                on_conflict: #private::OnConflict::#on_conflict,
            }
        })
    }
}

/// A unique key, by the rule of the core.
pub(crate) fn key(value: &Expr) -> Result<LitStr> {
    let text = values::string(value, "unique = \"daily-report\"")?;
    if (1..=KEY_MAX).contains(&text.value().len()) {
        return Ok(text);
    }
    let message = format!(
        "a unique key has 1 to {KEY_MAX} bytes: write `unique = \"daily-report\"`, or `unique_by = args` for one of the \
         arguments"
    );
    Err(Error::new(text.span(), message))
}

/// `args`, or a path to a function.
pub(crate) fn by(value: &Expr) -> Result<UniqueBy> {
    match value {
        Expr::Path(path) if path.path.is_ident("args") => Ok(UniqueBy::Args),
        Expr::Path(path) => Ok(UniqueBy::Function(Box::new(path.clone()))),
        _ => Err(Error::new_spanned(
            value,
            "`unique_by` is `args`, for a hash of all arguments, or names a function that takes a reference to each and \
             returns a text: write `unique_by = args` or `unique_by = key_of`",
        )),
    }
}

/// `"queued"` or `"unfinished"`.
pub(crate) fn scope(value: &Expr) -> Result<Scope> {
    const EXAMPLE: &str = "unique_while = \"queued\"";
    let text = values::string(value, EXAMPLE)?;
    match text.value().as_str() {
        "queued" => Ok(Scope::Queued),
        "unfinished" => Ok(Scope::Unfinished),
        other => {
            let message = format!(
                "`{other}` is no state of a job that holds a key: write `{EXAMPLE}`, or `\"unfinished\"`, which is the default"
            );
            Err(Error::new(text.span(), message))
        }
    }
}

/// A variant of the core's `OnConflict`.
pub(crate) fn on_conflict(value: &Expr) -> Result<Ident> {
    let text = values::string(value, "on_conflict = \"reuse\"")?;
    let variant = match text.value().as_str() {
        "fail" => "Fail",
        "reuse" => "Reuse",
        "replace" => "Replace",
        other => {
            let message = format!(
                "`{other}` is no answer to a conflict: write `\"fail\"` (an error, the default), `\"reuse\"` (a handle of \
                 the job that is there) or `\"replace\"` (that one is cancelled if it waits)"
            );
            return Err(Error::new(text.span(), message));
        }
    };
    Ok(format_ident!("{variant}"))
}

/// The longest key, in bytes: `Unique::KEY_MAX` of the core.
const KEY_MAX: usize = 255;

pub(crate) const ZERO: &str =
    "no key is held for 0s: leave `unique_for` out to hold it until the job has ended";
