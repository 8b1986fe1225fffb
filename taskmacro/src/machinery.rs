//! What makes a task known: its checks, wire form, trait impls and registration.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::ReceiverKind;
use syn::spanned::Spanned;

use crate::attributes;
use crate::expand::{Home, Task, pairs};
use crate::signature::{Argument, Kept, Outcome, Param, Streamed};
use crate::spans::{self, generated};

impl Task<'_> {
    /// What makes the task known, out of sight of the user's body.
    pub(crate) fn machinery(&self) -> TokenStream {
        let quiet = attributes::quiet();
        let parts = [self.checks(), self.wire(), self.task_fn(), self.run(), self.registration()];
        quote!(#quiet const _: () = { #(#parts)* };)
    }

    /// The checks that must be an error at the user's tokens, and the only one.
    fn checks(&self) -> TokenStream {
        let private = self.private();
        let receiver = self.home_of_self().zip(self.signature.receiver.as_ref());
        let receiver = receiver.map(|(ty, receiver)| {
            let ty = spans::relocate(quote!(#ty), receiver.self_token.span);
            (quote!(Argument), ty)
        });
        let arguments = self.signature.arguments().map(|argument| {
            let kind = match argument.kept {
                Kept::Value => quote!(Argument),
                Kept::OrDefault => quote!(DefaultArgument),
                Kept::Key => quote!(FetchArgument),
            };
            let ty = &argument.stored.ty;
            (kind, quote!(#ty))
        });
        let checks = receiver.into_iter().chain(arguments).enumerate().map(|(index, check)| {
            let (kind, ty) = check;
            quote!(impl #private::#kind for __Check<#index> { type Type = #ty; })
        });
        let hidden_result = self.hidden_result_check();
        quote! {
            struct __Check<const N: usize>;
            #(#checks)*
            #hidden_result
        }
    }

    /// A type that is a `Result` and is not named so would make every error a success.
    fn hidden_result_check(&self) -> TokenStream {
        const MESSAGE: &str = "this return type is an alias of `Result`: name it `Result`, or write `Result<…, …>`, so that an error is a failure of the task";
        let Outcome::Infallible = self.signature.returned.outcome else {
            return TokenStream::new();
        };
        let private = self.private();
        let returned = &self.signature.returned;
        let ty = returned.stream.as_ref().map_or(&returned.ty, |stream| &stream.item);
        let probe = (quote!(#private::ResultProbe::<), quote!(>::IS_RESULT));
        let is_result = spans::around(&probe.0, ty, &probe.1);
        let span = spans::at(ty.span());
        let check = quote_spanned!(span=> ::core::assert!(!#is_result, #MESSAGE););
        quote! {
            const _: () = {
                #[allow(unused_imports)]
                use #private::NotResult as _;
                #check
            };
        }
    }

    pub(crate) fn wire_fields(&self) -> Vec<WireField> {
        let receiver = self.home_of_self().map(|ty| WireField {
            name: quote!(__hereafter_self),
            ty: quote!(#ty),
            given: quote!(#ty),
            attributes: quote!(#[serde(rename = "self")]),
            kept: Kept::Value,
        });
        let arguments = self.signature.arguments().map(|argument| {
            let (name, ty) = (generated(&argument.name), &argument.stored.ty);
            let attributes = argument.has_default().then(|| quote!(#[serde(default)]));
            WireField {
                name: quote!(#name),
                ty: quote!(#ty),
                given: self.given(argument),
                attributes: attributes.unwrap_or_default(),
                kept: argument.kept,
            }
        });
        receiver.into_iter().chain(arguments).collect()
    }

    /// The arguments on the wire: one JSON object keyed by parameter name.
    fn wire(&self) -> TokenStream {
        let private = self.private();
        let fields = self.wire_fields();
        let generics: Vec<_> = (0..fields.len()).map(|index| format_ident!("A{index}")).collect();
        let declared = fields.iter().zip(&generics).map(|(field, generic)| {
            let WireField { name, attributes, .. } = field;
            quote!(#attributes #name: #generic)
        });
        let taken = fields.iter().map(|WireField { name, ty, kept, .. }| match kept {
            Kept::Value => quote!(#name: #private::Wire::<#ty>::take(wire.#name)),
            Kept::OrDefault => quote!(#name: #private::DefaultWire::<#ty>::take(wire.#name)),
            Kept::Key => quote!(#name: #private::FetchWire::<#ty>::take(wire.#name)),
        });
        let args = self.given_args();
        let blanks = generics.iter().map(|_| quote!(_));
        quote! {
            #[allow(unused_imports)]
            use #private::{Unfetched as _, Unstorable as _, serde as __serde};

            #[derive(__serde::Deserialize)]
            #[serde(crate = "__serde", deny_unknown_fields)]
            struct __Wire<#(#generics),*> { #(#declared),* }

            impl<'de> __serde::Deserialize<'de> for #args {
                fn deserialize<D>(deserializer: D) -> ::core::result::Result<Self, D::Error>
                where
                    D: __serde::Deserializer<'de>,
                {
                    let wire: __Wire<#(#blanks),*> = __serde::Deserialize::deserialize(deserializer)?;
                    ::core::result::Result::Ok(__HereafterArgs { #(#taken),* })
                }
            }
        }
    }

    fn task_fn(&self) -> TokenStream {
        let private = self.private();
        let output = self.output();
        let returned = &self.signature.returned.ty;
        let (returned, judged) = if self.signature.returned.continues {
            let judged = quote! {
                returned.map_err(|error| #private::TaskError::raise(error, false))
            };
            (quote!(::core::result::Result<#output, #private::JobError>), judged)
        } else {
            (quote!(#returned), self.judged())
        };
        let fields = self.wire_fields();
        let slots =
            pairs(fields.iter().map(|WireField { given, .. }| quote!(#private::Slot<#given>)));
        let (args, ready) = (self.given_args(), self.ready_args());
        let load = self.load();
        let unique_key = self.unique_key(&fields);
        let names = fields.iter().map(|WireField { name, .. }| name);
        let values = pairs(fields.iter().map(|WireField { name, .. }| name.clone()));
        quote! {
            impl #private::TaskFn for __HereafterTask {
                type Slots = #slots;
                type Args = #args;
                type Ready = #ready;
                type Return = #returned;
                type Output = #output;

                fn descriptor() -> &'static #private::TaskDescriptor {
                    static DESCRIPTOR: #private::TaskDescriptor = __DESCRIPTOR;
                    &DESCRIPTOR
                }

                fn args(#values: <Self::Slots as #private::Slots>::Values) -> Self::Args {
                    __HereafterArgs { #(#names),* }
                }

                #load

                #unique_key

                fn judge(
                    returned: Self::Return,
                ) -> ::core::result::Result<Self::Output, #private::Raised> {
                    #judged
                }
            }
        }
    }

    /// The call of the function that `unique_by` names. What does not fit is an error there.
    fn unique_key(&self, fields: &[WireField]) -> Option<TokenStream> {
        let private = self.private();
        let path = self.options.unique.function()?;
        let names: Vec<_> = (0..fields.len()).map(|index| format_ident!("a{index}")).collect();
        let lent = pairs(names.iter().map(|name| quote!(#name)));
        let lent = spans::relocate(lent, path.span());
        let arguments = names.iter().zip(fields).map(|(name, field)| match field.kept {
            Kept::Value | Kept::OrDefault => quote!(#name),
            Kept::Key => quote!(#name.key()),
        });
        let arguments = spans::relocate(quote!((#(#arguments),*)), path.span());
        let here = spans::at(path.span());
        let text = quote_spanned!(here=> #private::KeyText::key_text);
        let text = spans::relocate(text, path.span());
        let text = quote_spanned!(here=> #text(&#path #arguments));
        Some(quote! {
            fn unique_key(
                #lent: <Self::Slots as #private::Slots>::Lent<'_>,
            ) -> ::core::option::Option<::std::string::String> {
                ::core::option::Option::Some(#text)
            }
        })
    }

    fn judged(&self) -> TokenStream {
        let private = self.private();
        let returned = &self.signature.returned.ty;
        let error = match &self.signature.returned.outcome {
            Outcome::Unit | Outcome::Infallible => {
                return quote!(::core::result::Result::Ok(returned));
            }
            Outcome::Fallible { error, .. } => quote!(#error),
            Outcome::Alias => {
                spans::around(&quote!(<), returned, &quote!(as #private::Fallible>::Error))
            }
        };
        let transient = self.options.retry_if.as_ref().map(|retry_if| {
            let path = &retry_if.path;
            quote!(|| !{ let retry_if: fn(&#error) -> bool = #path; retry_if(&error) })
        });
        let raised = quote!(#private::TaskError::raise(error, permanent));
        let raised = spans::relocate(raised, error.span());
        let result = quote!(#private::Fallible::into_result(returned));
        let result = spans::relocate(result, returned.span());
        quote! {
            #result.map_err(|error| {
                #[allow(unused_imports)]
                use #private::{ProbeError as _, ProbeOther as _};
                let permanent = (&&#private::PermanentProbe(&error)).is_permanent() #transient;
                #raised
            })
        }
    }

    fn run(&self) -> TokenStream {
        let private = self.private();
        let body = self.body_call();
        if self.signature.returned.continues {
            return self.steps(&body);
        }
        if let Some(stream) = &self.signature.returned.stream {
            return self.stream_run(stream, &body);
        }
        if !self.signature.is_async {
            return quote! {
                impl #private::PlainTaskFn for __HereafterTask {
                    fn run(args: Self::Ready, frame: &#private::Frame) -> Self::Return {
                        #body
                    }
                }
            };
        }
        let returned = &self.signature.returned.ty;
        let future = quote! {
            impl ::core::future::Future<Output = Self::Return> + ::core::marker::Send + 'static
        };
        // What is not `Send` is an error at the name of the user's function.
        let future = spans::relocate(future, self.signature.name.span());
        quote! {
            impl #private::AsyncTaskFn for __HereafterTask {
                fn run(args: Self::Ready, frame: #private::Frame) -> #future {
                    async move {
                        let returned: #returned = #body.await;
                        returned
                    }
                }
            }
        }
    }

    /// The runs of a task that returns a stream: item by item for a job, all of them where it is
    /// awaited.
    fn stream_run(&self, stream: &Streamed, body: &TokenStream) -> TokenStream {
        let private = self.private();
        let Streamed { item, yielded } = stream;
        let judged = self.judged();
        let is_fallible = self.signature.returned.is_fallible();
        let collect = format_ident!("{}", if is_fallible { "try_collect" } else { "collect" });
        let name = self.signature.name.span();
        let collect = spans::relocate(quote!(#private::#collect), name);
        let pour = spans::relocate(quote!(#private::pour), name);
        let items = if self.signature.is_async { quote!(#body.await) } else { body.clone() };
        let collected = quote! {
            impl ::core::future::Future<Output = Self::Return> + ::core::marker::Send + 'static
        };
        let ended = quote! {
            impl ::core::future::Future<
                Output = ::core::result::Result<(), #private::Raised>,
            > + ::core::marker::Send + 'static
        };
        // What is not `Send` is an error at the name of the user's function.
        let (collected, ended) = (spans::relocate(collected, name), spans::relocate(ended, name));
        quote! {
            impl #private::AsyncTaskFn for __HereafterTask {
                fn run(
                    args: Self::Ready,
                    frame: #private::Frame,
                ) -> #collected {
                    async move { #collect(#items).await }
                }
            }

            impl #private::StreamTaskFn for __HereafterTask {
                type Item = #yielded;

                fn encode(
                    item: &Self::Item,
                ) -> ::core::result::Result<#private::Payload, #private::CodecError> {
                    #[allow(unused_imports)]
                    use #private::Unstorable as _;
                    #private::encode_item(#private::Wire::<#yielded>::lend(item))
                }

                fn drive(
                    args: Self::Ready,
                    frame: #private::Frame,
                    mut outlet: impl #private::Outlet<Self::Item> + 'static,
                ) -> #ended {
                    async move {
                        #private::room(&mut outlet).await;
                        let judge = |returned: #item| { #judged };
                        #pour(#items, &mut outlet, judge).await
                    }
                }
            }
        }
    }

    /// The runs of a task that is continued: up to there for a job, to the end where it is awaited.
    fn steps(&self, body: &TokenStream) -> TokenStream {
        let private = self.private();
        let next = self.yielded();
        let returned = &self.signature.returned.ty;
        let judged = self.judged();
        let follow = if self.signature.is_async { "follow_async" } else { "follow_plain" };
        let follow = format_ident!("{follow}");
        let step = if self.signature.is_async {
            let future = quote! {
                impl ::core::future::Future<
                    Output = ::core::result::Result<Self::Next, #private::Raised>,
                > + ::core::marker::Send + 'static
            };
            let future = spans::relocate(future, self.signature.name.span());
            quote! {
                impl #private::AsyncStepFn for __HereafterTask {
                    type Next = #next;

                    fn step(args: Self::Ready, frame: #private::Frame) -> #future {
                        async move {
                            let returned: #returned = #body.await;
                            #judged
                        }
                    }
                }
            }
        } else {
            quote! {
                impl #private::PlainStepFn for __HereafterTask {
                    type Next = #next;

                    fn step(
                        args: Self::Ready,
                        frame: &#private::Frame,
                    ) -> ::core::result::Result<Self::Next, #private::Raised> {
                        let returned: #returned = #body;
                        #judged
                    }
                }
            }
        };
        quote! {
            #step

            impl #private::AsyncTaskFn for __HereafterTask {
                fn run(
                    args: Self::Ready,
                    frame: #private::Frame,
                ) -> impl ::core::future::Future<Output = Self::Return> + ::core::marker::Send + 'static {
                    #private::#follow::<__HereafterTask>(args, frame)
                }
            }
        }
    }

    /// The call of the user's function, out of `args` and `frame`.
    fn body_call(&self) -> TokenStream {
        let private = self.private();
        let name = self.body_name();
        let owner = match &self.home {
            None => quote!(__HereafterTask),
            Some(Home { ty, .. }) => quote!(<#ty>),
        };
        let receiver = self.signature.receiver.iter().map(|receiver| match receiver.kind {
            ReceiverKind::Reference(..) => quote!(&args.__hereafter_self),
            _ => quote!(args.__hereafter_self),
        });
        let params = self.signature.params.iter().map(|param| match param {
            Param::Filled { ty, .. } => {
                spans::around(&quote!(<), ty, &quote!(as #private::FromFrame>::from_frame(&frame)))
            }
            Param::Argument(argument) => {
                let name = generated(&argument.name);
                if argument.stored.is_lent { quote!(&args.#name) } else { quote!(args.#name) }
            }
        });
        let params = receiver.chain(params);
        quote!(#owner::#name(#(#params),*))
    }

    fn registration(&self) -> TokenStream {
        let private = self.private();
        let name = self.task_name();
        let aliases = &self.options.aliases;
        let span = self.item.sig.fn_token.span;
        // Not relocated: `line!` gives the line of the outermost expansion, which for a generated
        // token is the attribute's.
        let line = quote_spanned!(span=> ::core::line!());
        let params = self.home_of_self().map(|_| "self".to_owned());
        let params = params.into_iter().chain(self.signature.arguments().map(Argument::wire_name));
        let options = self.options.expand(&private);
        let schedule = self.options.schedule.expand(&private);
        let states = self.signature.states().map(|ty| quote!(#private::StateNeed::of::<#ty>()));
        let sources = self.fetched().map(|argument| {
            let ty = &argument.stored.ty;
            quote!(#private::FetchWire::<#ty>::NEED)
        });
        let states = states.chain(sources);
        let stream = self.signature.returned.stream.as_ref();
        let (kind, prepare) = match (self.signature.is_async, self.signature.returned.continues) {
            _ if stream.is_some() => ("Async", "prepare_stream"),
            (true, false) => ("Async", "prepare_async"),
            (true, true) => ("Async", "prepare_async_step"),
            (false, false) => ("Plain", "prepare_plain"),
            (false, true) => ("Plain", "prepare_plain_step"),
        };
        let (kind, prepare) = (format_ident!("{kind}"), format_ident!("{prepare}"));
        let stream = match stream {
            Some(_) => {
                let options = self.options.demand.expand(&private);
                quote!(::core::option::Option::Some(#options))
            }
            None => quote!(::core::option::Option::None),
        };
        quote! {
            const __DESCRIPTOR: #private::TaskDescriptor = #private::TaskDescriptor {
                name: #name,
                aliases: &[#(#aliases),*],
                file: ::core::file!(),
                line: #line,
                params: &[#(#params),*],
                options: #options,
                schedule: #schedule,
                stream: #stream,
                kind: #private::TaskKind::#kind,
                states: &[#(#states),*],
                output: ::core::any::TypeId::of::<<__HereafterTask as #private::TaskFn>::Output>,
                prepare: #private::#prepare::<__HereafterTask>,
            };
            #private::inventory::submit! { __DESCRIPTOR }
        }
    }

    fn task_name(&self) -> TokenStream {
        if let Some(name) = &self.options.name {
            return quote!(#name);
        }
        let function = syn::ext::IdentExt::unraw(&self.signature.name).to_string();
        let home = self.home.iter().map(|home| home.name.to_string());
        let parts = home.chain([function]);
        quote!(::core::concat!(::core::module_path!() #(, "::", #parts)*))
    }
}

/// A field of the wire form.
pub(crate) struct WireField {
    pub(crate) name: TokenStream,
    ty: TokenStream,
    /// What a call holds of it.
    given: TokenStream,
    attributes: TokenStream,
    pub(crate) kept: Kept,
}
