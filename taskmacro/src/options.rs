//! The options between the parentheses of the attribute.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::{Expr, ExprPath, LitStr, Path, Token, token};

use crate::demand::Demand;
use crate::problems::Problems;
use crate::schedule::Schedule;
use crate::unique::{self, UniqueBy, UniqueOptions};
use crate::values::{self, Backoff, Span};

/// What the attribute says; `None` is the default of the core.
#[derive(Default)]
pub(crate) struct Options {
    /// `crate = path`.
    pub(crate) crate_path: Option<Path>,
    /// `name = "…"`.
    pub(crate) name: Option<LitStr>,
    /// Each `alias = "…"`.
    pub(crate) aliases: Vec<LitStr>,
    /// `retry_if = path`, with the key for errors.
    pub(crate) retry_if: Option<RetryIf>,
    /// All about unique keys.
    pub(crate) unique: UniqueOptions,
    /// All that goes into `TaskOptions`.
    pub(crate) base: BaseOptions,
    /// When it runs by itself.
    pub(crate) schedule: Schedule,
    /// Whether its stream is made for its readers.
    pub(crate) demand: Demand,
    /// The keys, in order.
    keys: Vec<Ident>,
}

/// A predicate on the task's error.
pub(crate) struct RetryIf {
    /// The option's name, for errors.
    pub(crate) key: Ident,
    /// The predicate.
    pub(crate) path: ExprPath,
}

/// The fields of `TaskOptions` that are given.
#[derive(Default)]
pub(crate) struct BaseOptions {
    queue: Option<LitStr>,
    retries: Option<u32>,
    backoff: Option<Backoff>,
    timeout: Option<Span>,
    priority: Option<i8>,
    expires_in: Option<Span>,
    keep_result: Option<Span>,
    ignore_result: bool,
}

impl Options {
    /// Reads `key = value, …`. What is wrong is reported and left at its default.
    pub(crate) fn parse(tokens: TokenStream, problems: &mut Problems) -> Self {
        let settings = match settings.parse2(tokens) {
            Ok(settings) => settings,
            Err(error) => {
                problems.add(error);
                return Self::default();
            }
        };
        let mut options = Self::default();
        for setting in settings {
            let result = options.apply(setting);
            problems.keep(result);
        }
        // A key that cannot be read is an error already.
        if !options.keys.iter().any(|key| key == "unique" || key == "unique_by") {
            problems.keep(options.unique.check());
        }
        options.schedule.check(problems);
        let is_unique = |key: &&Ident| *key == "unique" || *key == "unique_by";
        if let (Some(schedule), Some(key)) =
            (options.schedule.key(), options.keys.iter().find(is_unique))
        {
            let message = format!(
                "each tick of a task with `{schedule}` is a job of its own: remove `{key}`, or delay the unique job in the task"
            );
            problems.add(syn::Error::new(key.span(), message));
        }
        options
    }

    /// The `TaskOptions`.
    pub(crate) fn expand(&self, private: &TokenStream) -> TokenStream {
        self.base.expand(private, &self.unique)
    }

    /// The keys that were given and are not among these.
    pub(crate) fn keys_beside<'a>(
        &'a self,
        allowed: &'a [&str],
    ) -> impl Iterator<Item = &'a Ident> {
        self.keys.iter().filter(move |key| !allowed.iter().any(|allowed| *key == allowed))
    }

    fn apply(&mut self, setting: Setting) -> syn::Result<()> {
        let Some(known) = KNOWN.iter().find(|known| setting.key == known.key) else {
            return Err(unknown(&setting.key));
        };
        let is_repeated = self.keys.contains(&setting.key);
        if is_repeated && known.key != "alias" {
            let message = format!("`{}` is given twice; remove one", known.key);
            return Err(syn::Error::new(setting.key.span(), message));
        }
        self.keys.push(setting.key.clone());
        match known.key {
            "ignore_result" => self.ignore_result(setting),
            "on_demand" => self.on_demand(setting),
            _ => self.set(known, setting),
        }
    }

    fn ignore_result(&mut self, setting: Setting) -> syn::Result<()> {
        if let Given::Nothing = setting.given {
            self.base.ignore_result = true;
            return self.check_result(&setting.key);
        }
        let message = "`ignore_result` takes no value: write `ignore_result`, or leave it out";
        Err(syn::Error::new_spanned(setting.given, message))
    }

    fn on_demand(&mut self, setting: Setting) -> syn::Result<()> {
        if let Given::Nothing = setting.given {
            self.demand.switch_on(setting.key);
            return Ok(());
        }
        let message = "`on_demand` takes no value: write `on_demand`, and `window = 16` beside it";
        Err(syn::Error::new_spanned(setting.given, message))
    }

    fn set(&mut self, known: &Known, setting: Setting) -> syn::Result<()> {
        let Setting { key, given } = setting;
        let example = known.example;
        let Given::Value(value) = given else {
            let message = format!("`{key}` takes a value: write `{example}`");
            return Err(syn::Error::new(key.span(), message));
        };
        let base = &mut self.base;
        match known.key {
            "alias" => self.alias(values::task_name(&value, example)?)?,
            "backoff" => base.backoff = Some(values::backoff(&value)?),
            "cron" | "every" | "missed" | "tz" => self.schedule.set(&key, &value, example)?,
            "crate" => self.crate_path = Some(values::crate_path(&value)?),
            "expires_in" => base.expires_in = Some(values::span(&value, example, ZERO_EXPIRY)?),
            "keep_result" => {
                base.keep_result = Some(values::span(&value, example, ZERO_KEEP)?);
                self.check_result(&key)?;
            }
            "name" => self.name(values::task_name(&value, example)?)?,
            "priority" => base.priority = Some(values::priority(&value)?),
            "queue" => base.queue = Some(values::queue(&value)?),
            "retries" => base.retries = Some(values::retries(&value)?),
            "retry_if" => self.retry_if = Some(RetryIf { key, path: values::function(&value)? }),
            "on_conflict" => self.unique.on_conflict = Some((key, unique::on_conflict(&value)?)),
            "unique" => {
                let text = UniqueBy::Key(unique::key(&value)?);
                self.unique.set_by(&key, text)?;
            }
            "unique_by" => self.unique.set_by(&key, unique::by(&value)?)?,
            "patience" | "window" => self.demand.set(key, &value, example)?,
            "unique_for" => {
                let span = values::span(&value, example, unique::ZERO)?;
                self.unique.set_scope(key, unique::Scope::For(span))?;
            }
            "unique_while" => self.unique.set_scope(key, unique::scope(&value)?)?,
            "timeout" => base.timeout = Some(values::span(&value, example, ZERO_TIMEOUT)?),
            _ => unreachable!("`apply` looked the key up among the known ones"),
        }
        Ok(())
    }

    fn name(&mut self, name: LitStr) -> syn::Result<()> {
        let clash = self.aliases.iter().find(|alias| alias.value() == name.value());
        if let Some(alias) = clash {
            return Err(syn::Error::new(alias.span(), ALIAS_IS_NAME));
        }
        self.name = Some(name);
        Ok(())
    }

    fn alias(&mut self, alias: LitStr) -> syn::Result<()> {
        if self.name.as_ref().is_some_and(|name| name.value() == alias.value()) {
            return Err(syn::Error::new(alias.span(), ALIAS_IS_NAME));
        }
        if self.aliases.iter().any(|other| other.value() == alias.value()) {
            let message = "this alias is given twice; remove one";
            return Err(syn::Error::new(alias.span(), message));
        }
        self.aliases.push(alias);
        Ok(())
    }

    fn check_result(&self, key: &Ident) -> syn::Result<()> {
        if self.base.ignore_result && self.base.keep_result.is_some() {
            let message = "`keep_result` and `ignore_result` contradict each other; remove one";
            return Err(syn::Error::new(key.span(), message));
        }
        Ok(())
    }
}

impl BaseOptions {
    fn expand(&self, private: &TokenStream, unique: &UniqueOptions) -> TokenStream {
        let Self { queue, retries, backoff, timeout, priority, expires_in, keep_result, .. } = self;
        let ignore_result = self.ignore_result.then_some(true);
        let backoff = backoff.iter().map(|backoff| quote!(#private::Backoff::#backoff));
        let fields = field("queue", queue)
            .chain(field("retries", retries))
            .chain(field("backoff", backoff))
            .chain(field("timeout", timeout.iter().map(some)))
            .chain(field("priority", priority))
            .chain(field("expires_in", expires_in.iter().map(some)))
            .chain(field("keep_result", keep_result))
            .chain(field("ignore_result", ignore_result))
            .chain(field("unique", unique.expand(private).into_iter().map(some)));
        quote!(#private::TaskOptions { #(#fields,)* ..#private::TaskOptions::DEFAULT })
    }
}

/// One `key`, `key = value` or `key(…)`.
struct Setting {
    key: Ident,
    given: Given,
}

enum Given {
    Nothing,
    Value(Box<Expr>),
    Group(TokenStream),
}

impl ToTokens for Given {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        match self {
            Self::Nothing => {}
            Self::Value(value) => value.to_tokens(tokens),
            Self::Group(group) => group.to_tokens(tokens),
        }
    }
}

/// An option, and how it is written.
pub(crate) struct Known {
    pub(crate) key: &'static str,
    example: &'static str,
}

fn settings(input: ParseStream<'_>) -> syn::Result<Vec<Setting>> {
    let mut settings = Vec::new();
    while !input.is_empty() {
        settings.push(setting(input)?);
        if !input.is_empty() {
            input.parse::<Token![,]>()?;
        }
    }
    Ok(settings)
}

fn setting(input: ParseStream<'_>) -> syn::Result<Setting> {
    if !input.peek(Ident::peek_any) {
        return Err(input.error("expected an option such as `queue = \"mail\"`"));
    }
    let key = input.call(Ident::parse_any)?;
    let given = if input.peek(token::Paren) {
        let group: proc_macro2::Group = input.parse()?;
        Given::Group(group.into_token_stream())
    } else if input.peek(Token![=]) {
        input.parse::<Token![=]>()?;
        Given::Value(input.parse()?)
    } else {
        Given::Nothing
    };
    Ok(Setting { key, given })
}

fn unknown(key: &Ident) -> syn::Error {
    let names: Vec<_> = KNOWN.iter().map(|known| format!("`{}`", known.key)).collect();
    let message = format!("unknown option `{key}`; the options are {}", names.join(", "));
    syn::Error::new(key.span(), message)
}

fn field<T: ToTokens>(
    name: &'static str,
    value: impl IntoIterator<Item = T>,
) -> impl Iterator<Item = TokenStream> {
    value.into_iter().map(move |value| {
        let name = quote::format_ident!("{name}");
        quote!(#name: #value)
    })
}

fn some(value: impl ToTokens) -> TokenStream {
    quote!(::core::option::Option::Some(#value))
}

pub(crate) const KNOWN: [Known; 24] = [
    Known { key: "alias", example: "alias = \"email.old_name\"" },
    Known { key: "backoff", example: "backoff = \"exponential(2s, max = 10m)\"" },
    Known { key: "crate", example: "crate = my::hereafter" },
    Known { key: "cron", example: "cron = \"0 5 * * *\"" },
    Known { key: "every", example: "every = \"10m\"" },
    Known { key: "expires_in", example: "expires_in = \"1h\"" },
    Known { key: "ignore_result", example: "ignore_result" },
    Known { key: "keep_result", example: "keep_result = \"1h\"" },
    Known { key: "missed", example: "missed = \"all\"" },
    Known { key: "name", example: "name = \"email.send\"" },
    Known { key: "on_conflict", example: "on_conflict = \"reuse\"" },
    Known { key: "on_demand", example: "on_demand" },
    Known { key: "patience", example: "patience = \"1m\"" },
    Known { key: "priority", example: "priority = 1" },
    Known { key: "queue", example: "queue = \"mail\"" },
    Known { key: "retries", example: "retries = 5" },
    Known { key: "retry_if", example: "retry_if = is_transient" },
    Known { key: "timeout", example: "timeout = \"2m\"" },
    Known { key: "tz", example: "tz = \"Europe/Berlin\"" },
    Known { key: "unique", example: "unique = \"daily-report\"" },
    Known { key: "unique_by", example: "unique_by = args" },
    Known { key: "unique_for", example: "unique_for = \"10m\"" },
    Known { key: "unique_while", example: "unique_while = \"queued\"" },
    Known { key: "window", example: "window = 16" },
];

const ALIAS_IS_NAME: &str = "this is the name of the task; an alias is an older name of it";
const ZERO_TIMEOUT: &str = "no attempt can end within 0s: leave `timeout` out for no limit";
const ZERO_EXPIRY: &str = "no job can start within 0s: leave `expires_in` out for no limit";
const ZERO_KEEP: &str = "to keep nothing, write `ignore_result` instead";

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(tokens: TokenStream) -> Vec<String> {
        let mut problems = Problems::default();
        Options::parse(tokens, &mut problems);
        problems.messages()
    }

    #[test]
    fn only_what_is_given_is_set() {
        let mut problems = Problems::default();
        let options =
            Options::parse(quote!(queue = "mail", retries = 2, timeout = "1500ms"), &mut problems);
        let expanded = options.expand(&quote!(p)).to_string();
        let expected = quote!(p::TaskOptions {
            queue: "mail",
            retries: 2u32,
            timeout: ::core::option::Option::Some(::core::time::Duration::new(1u64, 500000000u32)),
            ..p::TaskOptions::DEFAULT
        });
        assert_eq!(expanded, expected.to_string());
        assert!(problems.is_empty());
    }

    #[test]
    fn every_mistake_is_reported_at_once() {
        let messages = messages(quote!(qeue = "a", retries = "5", timeout = "0s", retries = 1));
        assert_eq!(messages.len(), 4, "{messages:?}");
        assert!(messages[0].starts_with("unknown option `qeue`; the options are `alias`,"));
        assert_eq!(messages[1], "`retries` counts from 0: write `retries = 5`");
        assert_eq!(messages[2], ZERO_TIMEOUT);
        assert_eq!(messages[3], "`retries` is given twice; remove one");
    }

    #[test]
    fn a_value_in_parentheses_is_told_the_equals_sign() {
        let messages = messages(quote!(queue("mail"), timeout, ignore_result = true));
        assert_eq!(
            messages,
            [
                "`queue` takes a value: write `queue = \"mail\"`",
                "`timeout` takes a value: write `timeout = \"2m\"`",
                "`ignore_result` takes no value: write `ignore_result`, or leave it out",
            ]
        );
    }

    #[test]
    fn aliases_repeat_but_never_themselves_or_the_name() {
        assert!(messages(quote!(alias = "a", alias = "b", name = "c")).is_empty());
        assert_eq!(messages(quote!(alias = "a", alias = "a")).len(), 1);
        assert_eq!(messages(quote!(alias = "a", name = "a")), [ALIAS_IS_NAME]);
        assert_eq!(messages(quote!(name = "a", alias = "a")), [ALIAS_IS_NAME]);
    }

    #[test]
    fn the_options_of_a_schedule_go_together_or_are_refused() {
        assert!(messages(quote!(cron = "0 5 * * *", tz = "Europe/Berlin")).is_empty());
        assert!(messages(quote!(every = "10m", missed = "all")).is_empty());
        for (tokens, expected) in [
            (quote!(cron = "* * * * *", every = "1m"), "`cron` and `every` contradict"),
            (quote!(tz = "UTC"), "`tz` is the time zone of a `cron` expression"),
            (quote!(every = "1m", tz = "UTC"), "`tz` is the time zone of a `cron` expression"),
            (quote!(missed = "all"), "`missed` is about a schedule"),
            (quote!(every = "1m", missed = "some"), "`some` is none of"),
            (quote!(every = "0s"), "an interval of 0s never ends"),
            (quote!(every = 10), "expected a text: write `every = \"10m\"`"),
            (quote!(cron = "61 * * * *"), "`61 * * * *` is not a cron expression: "),
            (quote!(cron = "0 0 5 * * * 2030"), "`0 0 5 * * * 2030` is not a cron expression: "),
            (quote!(cron = "* * * * *", tz = "my zone"), "`my zone` is not the name of a time"),
        ] {
            let messages = messages(tokens);
            assert_eq!(messages.len(), 1, "{messages:?}");
            assert!(messages[0].starts_with(expected), "{messages:?}");
        }
    }

    #[test]
    fn keeping_and_ignoring_a_result_contradict_each_other() {
        assert_eq!(messages(quote!(keep_result = "1h", ignore_result)).len(), 1);
        assert_eq!(messages(quote!(ignore_result, keep_result = "1h")).len(), 1);
    }
}
