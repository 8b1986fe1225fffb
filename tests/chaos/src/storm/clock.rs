//! [`Clock`]: what time a process believes it is, by [libfaketime](https://github.com/wolfcw/libfaketime).

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::Context;

/// The wall clock of one member of the crew. Time that only goes on, as timers have it, is left alone.
#[derive(Debug)]
pub(super) struct Clock {
    library: &'static Path,
    file: PathBuf,
}

impl Clock {
    /// One that is right; `None` where the library is not installed.
    pub(super) fn new(file: PathBuf) -> anyhow::Result<Option<Self>> {
        let Some(library) = LIBRARIES.into_iter().map(Path::new).find(|path| path.exists()) else {
            return Ok(None);
        };
        let clock = Self { library, file };
        clock.jump(0)?;
        Ok(Some(clock))
    }

    /// What processes must have in their environment.
    pub(super) fn variables(&self) -> [(&'static str, OsString); 4] {
        [
            ("LD_PRELOAD", self.library.into()),
            ("FAKETIME_TIMESTAMP_FILE", self.file.clone().into()),
            // The file is read again each second.
            ("FAKETIME_CACHE_DURATION", "1".into()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
        ]
    }

    /// Makes it wrong by so many seconds.
    pub(super) fn jump(&self, seconds: i64) -> anyhow::Result<()> {
        // As a whole: it may be read at any time.
        let new = self.file.with_extension("new");
        std::fs::write(&new, format!("{seconds:+}\n"))
            .and_then(|()| std::fs::rename(&new, &self.file))
            .with_context(|| format!("cannot write the clock `{}`", self.file.display()))
    }
}

/// Where distributions have it.
const LIBRARIES: [&str; 4] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib64/faketime/libfaketimeMT.so.1",
    "/usr/lib/faketime/libfaketimeMT.so.1",
];
