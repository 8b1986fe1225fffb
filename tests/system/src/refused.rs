//! What the compiler refuses: acceptance cases that were errors at run time, or none, in the
//! systems that Hereafter follows. Each comes with its twin that compiles.
//!
//! MARROW-3: a number is no task.
//!
//! ```
//! # use hereafter::prelude::*;
//! #[register_task]
//! async fn forty_two() -> u64 { 42 }
//!
//! fn store<T: Send + 'static>(call: Call<T, T>) { drop(call.delay()) }
//! store(forty_two());
//! ```
//! ```compile_fail,E0308
//! # use hereafter::prelude::*;
//! fn store<T: Send + 'static>(call: Call<T, T>) { drop(call.delay()) }
//! store::<u64>(42);
//! ```
//!
//! MARROW-44: a worker runs once.
//!
//! ```
//! # use hereafter::worker::{Shutdown, Worker, WorkerError};
//! async fn run(worker: Worker) -> Result<(), WorkerError> {
//!     worker.run(&Shutdown::new()).await
//! }
//! ```
//! ```compile_fail,E0382
//! # use hereafter::worker::{Shutdown, Worker, WorkerError};
//! async fn run(worker: Worker) -> Result<(), WorkerError> {
//!     worker.run(&Shutdown::new()).await?;
//!     worker.run(&Shutdown::new()).await
//! }
//! ```
//!
//! ZTASK-5, MARROW-42: a delay is a span, not a text and not a bare number.
//!
//! ```
//! # use std::time::Duration;
//! # use hereafter::prelude::*;
//! # #[register_task]
//! # async fn task() {}
//! drop(task().call_after(Duration::from_secs(5)));
//! ```
//! ```compile_fail,E0308
//! # use hereafter::prelude::*;
//! # #[register_task]
//! # async fn task() {}
//! drop(task().call_after("5"));
//! ```
//! ```compile_fail,E0308
//! # use hereafter::prelude::*;
//! # #[register_task]
//! # async fn task() {}
//! drop(task().call_after(1.5));
//! ```
//!
//! MARROW-42: an interval is a span, and a time is a time.
//!
//! ```
//! # use std::time::Duration;
//! # use hereafter::prelude::*;
//! # #[register_task]
//! # async fn task() {}
//! drop(task().every(Duration::from_secs(10)));
//! ```
//! ```compile_fail,E0308
//! # use hereafter::prelude::*;
//! # #[register_task]
//! # async fn task() {}
//! drop(task().every("x"));
//! ```
//! ```compile_fail,E0061
//! # use hereafter::prelude::*;
//! # #[register_task]
//! # async fn task() {}
//! drop(task().call_at());
//! ```
