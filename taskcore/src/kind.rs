//! What the arguments of a call decide about it, as types: whether it can fail because of them,
//! and whether it can run in place.

use crate::error::JobError;

/// Whether an input can fail: [`Sure`] or [`Maybe`].
pub trait Failing: 'static {
    /// Of this and another input.
    type Or<B: Failing>: Failing;

    /// What a direct run yields, for a task that yields `T` and whose function returns `R`.
    type Direct<T: Send + 'static, R: Send + 'static>: Send + 'static;

    /// Makes that of how the run went.
    #[doc(hidden)]
    fn direct<T, R>(
        ran: Result<R, JobError>,
        judge: fn(R) -> Result<T, JobError>,
    ) -> Self::Direct<T, R>
    where
        T: Send + 'static,
        R: Send + 'static;

    /// Makes of that what a call around this one gets.
    #[doc(hidden)]
    fn judged<T, R>(
        direct: Self::Direct<T, R>,
        judge: fn(R) -> Result<T, JobError>,
    ) -> Result<T, JobError>
    where
        T: Send + 'static,
        R: Send + 'static;
}

/// No input can fail: a direct run yields what the function returns.
#[derive(Debug, Clone, Copy)]
pub enum Sure {}

impl Failing for Sure {
    type Or<B: Failing> = B;
    type Direct<T: Send + 'static, R: Send + 'static> = R;

    fn direct<T, R>(ran: Result<R, JobError>, _: fn(R) -> Result<T, JobError>) -> R
    where
        T: Send + 'static,
        R: Send + 'static,
    {
        ran.unwrap_or_else(|_| unreachable!("values and tolerated inputs never fail"))
    }

    fn judged<T, R>(direct: R, judge: fn(R) -> Result<T, JobError>) -> Result<T, JobError>
    where
        T: Send + 'static,
        R: Send + 'static,
    {
        judge(direct)
    }
}

/// An input can fail: a direct run yields a `Result` that says so.
#[derive(Debug, Clone, Copy)]
pub enum Maybe {}

impl Failing for Maybe {
    type Or<B: Failing> = Self;
    type Direct<T: Send + 'static, R: Send + 'static> = Result<T, JobError>;

    fn direct<T, R>(
        ran: Result<R, JobError>,
        judge: fn(R) -> Result<T, JobError>,
    ) -> Result<T, JobError>
    where
        T: Send + 'static,
        R: Send + 'static,
    {
        ran.and_then(judge)
    }

    fn judged<T, R>(
        direct: Result<T, JobError>,
        _: fn(R) -> Result<T, JobError>,
    ) -> Result<T, JobError>
    where
        T: Send + 'static,
        R: Send + 'static,
    {
        direct
    }
}

/// Where a call can run: [`InPlace`] or [`Awaited`].
pub trait Place: 'static {
    /// Of this and another one.
    type And<B: Place>: Place;
}

/// Marks a call that runs in place: a plain function bound to values, or to such calls.
#[derive(Debug, Clone, Copy)]
pub enum InPlace {}

impl Place for InPlace {
    type And<B: Place> = B;
}

/// Marks a call that is awaited to run it here.
#[derive(Debug, Clone, Copy)]
pub enum Awaited {}

impl Place for Awaited {
    type And<B: Place> = Self;
}

/// What one argument is, as a type.
pub trait ArgKind: 'static {
    /// Whether it can fail.
    type Failing: Failing;
    /// Where it can be had.
    type Place: Place;
}

impl<F: Failing, P: Place> ArgKind for (F, P) {
    type Failing = F;
    type Place = P;
}

/// What all arguments of a call are: pairs of the first and the rest, up to `()`.
pub trait ArgKinds: 'static {
    /// Whether any can fail.
    type Failing: Failing;
    /// Where all can be had.
    type Place: Place;
}

impl ArgKinds for () {
    type Failing = Sure;
    type Place = InPlace;
}

impl<First: ArgKind, Rest: ArgKinds> ArgKinds for (First, Rest) {
    type Failing = <First::Failing as Failing>::Or<Rest::Failing>;
    type Place = <First::Place as Place>::And<Rest::Place>;
}

/// What a direct run of a call with these arguments yields.
pub type Direct<Kinds, T, R> = <<Kinds as ArgKinds>::Failing as Failing>::Direct<T, R>;

/// Where a plain function with these arguments can run.
pub type PlaceOf<Kinds> = <Kinds as ArgKinds>::Place;
