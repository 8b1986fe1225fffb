//! Fuzz targets: the options of the attribute. `tests/fuzz` runs them for long.

use std::time::Duration;

use bolero::{TypeGenerator, check, produce};
use proc_macro2::{Ident, Literal, Span, TokenStream};
use quote::{ToTokens, quote};

use crate::options::{KNOWN, Options};
use crate::problems::Problems;
use crate::{item, on_start, values};

/// How long a target runs as a test, after its corpus.
const AS_TEST: Duration = Duration::from_secs(2);

/// `key`, `key = value` or `key(…)`.
#[derive(Debug, TypeGenerator)]
struct Setting {
    key: Key,
    given: Given,
}

#[derive(Debug, TypeGenerator)]
enum Key {
    Known(u8),
    Word(Word),
}

#[derive(Debug, TypeGenerator)]
enum Given {
    Nothing,
    Text(String),
    Span(u64, Word),
    Backoff(Word, Word, Word),
    Number(i64),
    Path(Word, Word),
    Group(Word),
    Tokens(String),
}

#[derive(Debug, Clone, Copy, TypeGenerator)]
enum Word {
    Second,
    Hour,
    Zero,
    Exponential,
    Linear,
    Max,
    All,
    Queued,
    Args,
    Crate,
    Selves,
    Raw,
}

impl Word {
    fn text(self) -> &'static str {
        match self {
            Self::Second => "s",
            Self::Hour => "1h",
            Self::Zero => "0s",
            Self::Exponential => "exponential",
            Self::Linear => "linear",
            Self::Max => "max",
            Self::All => "all",
            Self::Queued => "queued",
            Self::Args => "args",
            Self::Crate => "crate",
            Self::Selves => "Self",
            Self::Raw => "r#async",
        }
    }

    fn tokens(self) -> TokenStream {
        self.text().parse().expect("words are tokens")
    }
}

impl Setting {
    fn tokens(&self) -> TokenStream {
        let key = match &self.key {
            Key::Known(index) => {
                let name = KNOWN[usize::from(*index) % KNOWN.len()].key;
                Ident::new(name, Span::call_site()).into_token_stream()
            }
            Key::Word(word) => word.tokens(),
        };
        let text = |text: &str| Literal::string(text).into_token_stream();
        let value = match &self.given {
            Given::Nothing => return key,
            Given::Group(word) => {
                let word = word.tokens();
                return quote!(#key(#word));
            }
            Given::Text(given) => text(given),
            Given::Span(number, unit) => text(&format!("{number}{}", unit.text())),
            Given::Backoff(kind, base, max) => {
                text(&format!("{}({}, max = {})", kind.text(), base.text(), max.text()))
            }
            Given::Number(number) => number.to_string().parse().expect("a number is tokens"),
            Given::Path(module, name) => {
                let (module, name) = (module.tokens(), name.tokens());
                quote!(#module::#name)
            }
            // Braces of which one is missing, and the like, are no tokens.
            Given::Tokens(raw) => raw.parse().unwrap_or_default(),
        };
        quote!(#key = #value)
    }
}

/// Whatever is between the parentheses, it is read without a panic; and of one in 16 the attribute gives items, and a
/// reason if they do not compile.
#[test]
fn options() {
    let items = [
        quote!(
            async fn send(to: String, n: u32) -> Result<u32, Error> {
                Ok(n)
            }
        ),
        quote!(
            fn plain() {}
        ),
        quote!(
            impl Mail {
                #[task]
                async fn send(&self, to: String) {}
            }
        ),
        quote!(
            struct Mail;
        ),
    ];
    let given = (produce::<u8>(), produce::<Vec<Setting>>().with().len(0..=4_usize));
    check!(name = "options").with_generator(given).with_test_time(AS_TEST).for_each(
        |(which, settings)| {
            let settings = settings.iter().map(Setting::tokens);
            let arguments = quote!(#(#settings),*);
            let mut problems = Problems::default();
            Options::parse(arguments.clone(), &mut problems);
            let told = problems.into_tokens();
            // To make items and to read them takes far longer.
            if *which < 240 {
                return;
            }
            let item = items[usize::from(*which) % items.len()].clone();
            let expanded = item::register_task(arguments.clone(), item.clone());
            let hook = on_start::expand(arguments, item);
            let hook = hook.unwrap_or_else(syn::Error::into_compile_error);
            for given in [told, expanded, hook] {
                let _: syn::File = syn::parse2(given).expect("the attribute gives items");
            }
        },
    );
}

/// A back-off or a span is refused with what to write, and never by a panic.
#[test]
fn spans() {
    check!(name = "spans").with_test_time(AS_TEST).for_each(|bytes: &[u8]| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        let expr = syn::parse_quote!(#text);
        for refused in [
            values::backoff(&expr).err(),
            values::span(&expr, "timeout = \"2m\"", "not 0s").err(),
            values::queue(&expr).err(),
            values::task_name(&expr, "name = \"a\"").err(),
        ]
        .into_iter()
        .flatten()
        {
            assert!(!refused.to_string().is_empty());
        }
    });
}
