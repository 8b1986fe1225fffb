//! The cases for a broker that only carries jobs fit one that is sound.

#[path = "mutants/reference.rs"]
mod reference;

use reference::Reference;

taskconformance::suite! { transport, harness: Reference::new() }
