//! The values of options: parsed and checked while the user's program compiles.

use std::time::Duration;

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{Error, Expr, ExprLit, ExprPath, ExprUnary, ItemUse, Lit, LitStr, Path, Result, UnOp};

/// The longest queue name, in bytes. The alphabet is that of `QueueName`.
const QUEUE_MAX: usize = 64;

/// The longest task name, in bytes: what fits an indexed column of every database.
const NAME_MAX: usize = 255;

/// The longest wait of a back-off that names no `max`; `Backoff::MAX` of the core.
const DEFAULT_MAX_WAIT: Duration = Duration::from_secs(60 * 60);

/// A time span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span(Duration);

impl ToTokens for Span {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let (seconds, nanos) = (self.0.as_secs(), self.0.subsec_nanos());
        tokens.extend(quote!(::core::time::Duration::new(#seconds, #nanos)));
    }
}

/// A back-off, as a call on the core's `Backoff`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backoff {
    Fixed(Span),
    Linear { base: Span, max: Option<Span> },
    Exponential { base: Span, max: Option<Span> },
}

impl ToTokens for Backoff {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let (made, max) = match self {
            Self::Fixed(span) => (quote!(fixed(#span)), &None),
            Self::Linear { base, max } => (quote!(linear(#base)), max),
            Self::Exponential { base, max } => (quote!(exponential(#base)), max),
        };
        let max = max.iter();
        tokens.extend(quote!(#made #(.max(#max))*));
    }
}

/// A queue name, by the rule of `QueueName`.
pub(crate) fn queue(value: &Expr) -> Result<LitStr> {
    let text = string(value, "queue = \"mail\"")?;
    let name = text.value();
    let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    if (1..=QUEUE_MAX).contains(&name.len()) && name.bytes().all(is_safe) {
        return Ok(text);
    }
    let message = format!(
        "`{name}` is not a queue name: use 1 to {QUEUE_MAX} characters out of a-z, A-Z, 0-9, `_`, `-` and `.`"
    );
    Err(Error::new(text.span(), message))
}

/// A name or an alias of a task.
pub(crate) fn task_name(value: &Expr, example: &str) -> Result<LitStr> {
    let text = string(value, example)?;
    let name = text.value();
    let is_bad = |c: char| c.is_whitespace() || c.is_control();
    if (1..=NAME_MAX).contains(&name.len()) && !name.contains(is_bad) {
        return Ok(text);
    }
    let message = format!(
        "a task name has 1 to {NAME_MAX} bytes and no white space or control characters: write `{example}`"
    );
    Err(Error::new(text.span(), message))
}

/// A number from 0.
pub(crate) fn count(value: &Expr, key: &str, example: &str) -> Result<u32> {
    let wrong = || Error::new_spanned(value, format!("`{key}` counts from 0: write `{example}`"));
    match value {
        Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) => {
            number.base10_parse().map_err(|_| wrong())
        }
        _ => Err(wrong()),
    }
}

/// A number of retries.
pub(crate) fn retries(value: &Expr) -> Result<u32> {
    count(value, "retries", "retries = 5")
}

/// A priority, by the rule of `Priority`.
pub(crate) fn priority(value: &Expr) -> Result<i8> {
    let number = match value {
        Expr::Unary(ExprUnary { op: UnOp::Neg(_), expr, .. }) => positive(expr).map(|n| -n),
        _ => positive(value),
    };
    number.filter(|number| (-2..=2).contains(number)).ok_or_else(|| {
        let message =
            "`priority` is a number from -2 (last) to 2 (first): write for example `priority = 1`";
        Error::new_spanned(value, message)
    })
}

/// A time span longer than nothing.
pub(crate) fn span(value: &Expr, example: &str, if_zero: &str) -> Result<Span> {
    let text = string(value, example)?;
    let span = parse_span(&text.value()).map_err(|message| Error::new(text.span(), message))?;
    if span.0.is_zero() {
        return Err(Error::new(text.span(), if_zero));
    }
    Ok(span)
}

/// A back-off such as `"exponential(2s, max = 10m)"`.
pub(crate) fn backoff(value: &Expr) -> Result<Backoff> {
    let text = string(value, "backoff = \"exponential(2s, max = 10m)\"")?;
    parse_backoff(&text.value()).map_err(|message| Error::new(text.span(), message))
}

/// A path to a function.
pub(crate) fn function(value: &Expr) -> Result<ExprPath> {
    match value {
        Expr::Path(path) => Ok(path.clone()),
        _ => Err(Error::new_spanned(
            value,
            "`retry_if` names a function `fn(&E) -> bool`: write `retry_if = is_transient`",
        )),
    }
}

/// A path to the crate.
pub(crate) fn crate_path(value: &Expr) -> Result<Path> {
    // Such as `crate::Self` or `a::<B>`: a path, and none of a crate.
    let is_module = |path: &Path| syn::parse2::<ItemUse>(quote!(use #path;)).is_ok();
    match value {
        Expr::Path(ExprPath { qself: None, path, .. }) if is_module(path) => Ok(path.clone()),
        _ => Err(Error::new_spanned(
            value,
            "`crate` is the path under which `hereafter` is known: write `crate = my::hereafter`",
        )),
    }
}

/// A text.
pub(crate) fn string(value: &Expr, example: &str) -> Result<LitStr> {
    match value {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Ok(text.clone()),
        _ => Err(Error::new_spanned(value, format!("expected a text: write `{example}`"))),
    }
}

fn positive(value: &Expr) -> Option<i8> {
    match value {
        Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) => number.base10_parse().ok(),
        _ => None,
    }
}

fn parse_span(text: &str) -> std::result::Result<Span, String> {
    humantime::parse_duration(text).map(Span).map_err(|error| {
        format!("`{text}` is not a time span: {error}; write for example `30s`, `2m` or `1h 30m`")
    })
}

fn parse_backoff(text: &str) -> std::result::Result<Backoff, String> {
    const FORMS: &str =
        "write `exponential(2s, max = 10m)`, `linear(5s, max = 1h)` or `fixed(10s)`";
    let unknown = || format!("`{text}` is not a back-off: {FORMS}");
    let inner = text.trim().strip_suffix(')').ok_or_else(unknown)?;
    let (kind, inner) = inner.split_once('(').ok_or_else(unknown)?;
    let (base, max) = match inner.split_once(',') {
        Some((base, max)) => (base, Some(parse_max(max).ok_or_else(unknown)?)),
        None => (inner, None),
    };
    let base = parse_span(base.trim())?;
    let max = max.map(parse_span).transpose()?;
    match kind.trim() {
        "fixed" if max.is_some() => Err("`fixed` has no `max`: write `fixed(10s)`".to_owned()),
        "fixed" => Ok(Backoff::Fixed(base)),
        "linear" => check_growth(base, max).map(|()| Backoff::Linear { base, max }),
        "exponential" => check_growth(base, max).map(|()| Backoff::Exponential { base, max }),
        _ => Err(unknown()),
    }
}

fn parse_max(text: &str) -> Option<&str> {
    Some(text.trim().strip_prefix("max")?.trim_start().strip_prefix('=')?.trim())
}

fn check_growth(base: Span, max: Option<Span>) -> std::result::Result<(), String> {
    if base.0.is_zero() {
        return Err("a wait of nothing does not grow: write `fixed(0s)`".to_owned());
    }
    let limit = max.map_or(DEFAULT_MAX_WAIT, |max| max.0);
    if limit >= base.0 {
        return Ok(());
    }
    let base = humantime::format_duration(base.0);
    let limit = humantime::format_duration(limit);
    let remedy = if max.is_some() { "write a longer `max`" } else { "write a `max`" };
    Err(format!("the first wait, {base}, is longer than the longest, {limit}: {remedy}"))
}

#[cfg(test)]
mod tests {
    use syn::parse_quote;

    use super::*;

    fn seconds(seconds: u64) -> Span {
        Span(Duration::from_secs(seconds))
    }

    fn text(text: &str) -> Expr {
        parse_quote!(#text)
    }

    #[test]
    fn back_offs_are_read_with_and_without_a_limit() {
        let base = seconds(2);
        assert_eq!(
            parse_backoff("exponential(2s, max = 10m)"),
            Ok(Backoff::Exponential { base, max: Some(seconds(600)) })
        );
        assert_eq!(parse_backoff(" linear( 2s ) "), Ok(Backoff::Linear { base, max: None }));
        assert_eq!(parse_backoff("fixed(0s)"), Ok(Backoff::Fixed(seconds(0))));
    }

    #[test]
    fn a_back_off_that_cannot_be_meant_is_refused() {
        for text in [
            "",
            "exponential",
            "exponential()",
            "exponential(2s",
            "exponential(2s) twice",
            "exponential(2s, 10m)",
            "exponential(2s, max 10m)",
            "exponential(2s, max = 1s)",
            "exponential(2h)",
            "linear(0s)",
            "fixed(1s, max = 2s)",
            "cubic(1s)",
        ] {
            assert!(parse_backoff(text).is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn a_long_first_wait_needs_a_limit_and_says_so() {
        let message = parse_backoff("linear(2h)").unwrap_err();
        assert_eq!(message, "the first wait, 2h, is longer than the longest, 1h: write a `max`");
    }

    #[test]
    fn queue_names_follow_the_rule_of_the_core() {
        for name in ["", "a b", "a'b", "ü", "a/b", &"x".repeat(65)] {
            assert!(queue(&text(name)).is_err(), "{name:?} was accepted");
        }
        for name in ["a", "mail.high-2_x", &"x".repeat(64)] {
            assert!(queue(&text(name)).is_ok(), "{name:?} was refused");
        }
    }

    #[test]
    fn task_names_are_short_and_without_white_space() {
        for name in ["", "a b", "a\tb", "a\u{0}b", "a\u{2003}b", &"x".repeat(256)] {
            assert!(task_name(&text(name), "").is_err(), "{name:?} was accepted");
        }
        for name in ["email.send", "app::send", "größe", &"x".repeat(255)] {
            assert!(task_name(&text(name), "").is_ok(), "{name:?} was refused");
        }
    }

    #[test]
    fn priorities_span_five_levels() {
        assert_eq!(priority(&parse_quote!(-2)).unwrap(), -2);
        assert_eq!(priority(&parse_quote!(2)).unwrap(), 2);
        for value in [parse_quote!(3), parse_quote!(-3), parse_quote!(300), parse_quote!("1")] {
            assert!(priority(&value).is_err());
        }
    }

    #[test]
    fn the_crate_is_a_path_that_can_be_used() {
        for value in [parse_quote!(hereafter), parse_quote!(::a::b), parse_quote!(crate::a)] {
            assert!(crate_path(&value).is_ok(), "{}", value.to_token_stream());
        }
        let paths: [Expr; 4] = [
            parse_quote!(crate::Self),
            parse_quote!(a::<B>::c),
            parse_quote!(<A as B>::c),
            parse_quote!("a"),
        ];
        for value in paths {
            assert!(crate_path(&value).is_err(), "{}", value.to_token_stream());
        }
    }

    #[test]
    fn spans_are_written_with_units() {
        let parsed = span(&text("1h 30m"), "", "").unwrap();
        assert_eq!(parsed, seconds(5400));
        assert!(span(&text("90"), "", "").is_err());
        assert_eq!(span(&text("0s"), "", "not zero").unwrap_err().to_string(), "not zero");
    }
}
