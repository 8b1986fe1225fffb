//! The options that declare a schedule: `cron`, `tz`, `every` and `missed`.

use croner::parser::{CronParser, Year};
use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};
use syn::{Error, Expr, LitStr, Result};

use crate::problems::Problems;
use crate::signature::Signature;
use crate::types;
use crate::values::{self, Span};

/// The options that declare a schedule, with their keys for errors.
#[derive(Default)]
pub(crate) struct Schedule {
    cron: Option<Given<LitStr>>,
    zone: Option<Given<LitStr>>,
    every: Option<Given<Span>>,
    missed: Option<Given<Ident>>,
}

struct Given<T> {
    key: Ident,
    value: T,
}

impl Schedule {
    /// Takes one of [`KEYS`].
    pub(crate) fn set(&mut self, key: &Ident, value: &Expr, example: &str) -> Result<()> {
        let given = key.clone();
        match key.to_string().as_str() {
            "cron" => self.cron = Some(Given { key: given, value: cron(value, example)? }),
            "tz" => self.zone = Some(Given { key: given, value: zone(value, example)? }),
            "every" => {
                let value = values::span(value, example, ZERO_INTERVAL)?;
                self.every = Some(Given { key: given, value });
            }
            _ => self.missed = Some(Given { key: given, value: missed(value, example)? }),
        }
        Ok(())
    }

    /// Reports options that do not go together.
    pub(crate) fn check(&self, problems: &mut Problems) {
        let mut report = |key: &Ident, message: &str| problems.add(Error::new(key.span(), message));
        if let (Some(_), Some(every)) = (&self.cron, &self.every) {
            report(&every.key, "`cron` and `every` contradict each other; remove one");
        }
        match (&self.zone, &self.cron) {
            (Some(zone), None) => {
                report(&zone.key, "`tz` is the time zone of a `cron` expression; write one too");
            }
            _ if self.key().is_some() => {}
            _ => {
                if let Some(missed) = &self.missed {
                    report(
                        &missed.key,
                        "`missed` is about a schedule: write `cron` or `every` too",
                    );
                }
            }
        }
    }

    /// Reports what a job that nobody calls would be without.
    pub(crate) fn check_signature(&self, signature: &Signature, problems: &mut Problems) {
        let Some(key) = self.key() else { return };
        if let Some(receiver) = &signature.receiver {
            let message = format!(
                "nobody gives a task with `{key}` its `self`: remove `{key}`, and save a schedule of a call instead, `value.task().{key}(…).save()`"
            );
            problems.at(receiver, message);
        }
        for argument in signature.arguments() {
            let is_optional = types::named(&argument.stored.ty, "Option").is_some();
            if !argument.has_default() && !is_optional {
                let name = argument.wire_name();
                let message = format!(
                    "nobody gives a task with `{key}` its arguments: write `#[arg(default)]` before `{name}` or take an `Option`, or remove `{key}` and save a schedule of a call instead, `task(…).{key}(…).save()`"
                );
                problems.add(Error::new(argument.name.span(), message));
            }
        }
    }

    /// The core's `Declaration`, if there is one.
    pub(crate) fn expand(&self, private: &TokenStream) -> TokenStream {
        let ticks = match (&self.cron, &self.every) {
            (Some(cron), _) => {
                let expression = &cron.value;
                let zone = match &self.zone {
                    Some(Given { value, .. }) => quote!(::core::option::Option::Some(#value)),
                    None => quote!(::core::option::Option::None),
                };
                quote!(Cron { expression: #expression, zone: #zone })
            }
            (None, Some(Given { value, .. })) => quote!(Every(#value)),
            (None, None) => return quote!(::core::option::Option::None),
        };
        let one = format_ident!("One");
        let missed = self.missed.as_ref().map_or(&one, |missed| &missed.value);
        quote! {
            ::core::option::Option::Some(#private::Declaration {
                ticks: #private::DeclaredTicks::#ticks,
                missed: #private::Missed::#missed,
            })
        }
    }

    /// The option that makes it a schedule.
    pub(crate) fn key(&self) -> Option<&Ident> {
        let cron = self.cron.as_ref().map(|cron| &cron.key);
        cron.or(self.every.as_ref().map(|every| &every.key))
    }
}

/// A cron expression, by the rule of the core.
fn cron(value: &Expr, example: &str) -> Result<LitStr> {
    let text = values::string(value, example)?;
    let expression = text.value();
    let parser = CronParser::builder().year(Year::Disallowed).build();
    match parser.parse(&expression) {
        Ok(_) => Ok(text),
        Err(error) => {
            let reason = error.to_string();
            let message = format!(
                "`{expression}` is not a cron expression: {}; write five fields (minute, hour, day, month, weekday) such as `{example}`, or six with seconds first",
                reason.trim_end_matches('.'),
            );
            Err(Error::new(text.span(), message))
        }
    }
}

/// What looks like the name of a zone. Whether there is one the worker knows, whose zones these
/// are.
fn zone(value: &Expr, example: &str) -> Result<LitStr> {
    let text = values::string(value, example)?;
    let zone = text.value();
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_-+/".contains(&byte);
    if !zone.is_empty() && zone.bytes().all(is_name) && !zone.starts_with(['+', '-', '/']) {
        return Ok(text);
    }
    let message = format!("`{zone}` is not the name of a time zone: write for example `{example}`");
    Err(Error::new(text.span(), message))
}

/// A variant of the core's `Missed`.
fn missed(value: &Expr, example: &str) -> Result<Ident> {
    let text = values::string(value, example)?;
    let variant = match text.value().as_str() {
        "one" => "One",
        "all" => "All",
        "none" => "None",
        other => {
            let message = format!(
                "`{other}` is none of `\"one\"` (one run for all missed ticks), `\"all\"` and `\"none\"`: write for example `{example}`"
            );
            return Err(Error::new(text.span(), message));
        }
    };
    Ok(Ident::new(variant, proc_macro2::Span::call_site()))
}

const ZERO_INTERVAL: &str = "an interval of 0s never ends: write for example `every = \"10m\"`";
