//! [`Mode`]: whether delayed calls are stored, run at once, or only logged.

use std::env;

/// What `.delay()` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Stores the job; a worker runs it.
    #[default]
    Normal,
    /// Runs the call here, at once, arguments and result through their encoded forms, and
    /// gives a finished handle. A delay is ignored, with a line in the log. One attempt, within
    /// the call's time-out. `State` parameters get what the call was given
    /// [`with`](crate::Call::with), else what the scope has.
    Eager,
    /// Logs what would have run; stores and runs nothing, and the handle says so.
    Disabled,
}

impl Mode {
    /// The variables that [`from_env`](Self::from_env) reads: disabled wins over eager.
    pub const VARIABLES: [&'static str; 2] = ["HEREAFTER_DISABLED", "HEREAFTER_EAGER"];

    /// Disabled wins over eager.
    #[must_use]
    pub fn from_switches(disabled: Switch, eager: Switch) -> Self {
        match (disabled, eager) {
            (Switch::On, _) => Self::Disabled,
            (Switch::Off, Switch::On) => Self::Eager,
            (Switch::Off, Switch::Off) => Self::Normal,
        }
    }

    /// The mode that the environment asks for.
    ///
    /// # Errors
    ///
    /// [`InvalidMode`] if a variable is set to something else than a switch.
    pub fn from_env() -> Result<Self, InvalidMode> {
        let [disabled, eager] = Self::VARIABLES.map(Switch::from_env);
        Ok(Self::from_switches(disabled?, eager?))
    }

    /// The word used in logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Eager => "eager",
            Self::Disabled => "disabled",
        }
    }
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switch {
    /// `1`, `true`, `yes` or `on`.
    On,
    /// Not set, empty, `0`, `false`, `no` or `off`.
    Off,
}

impl Switch {
    fn from_env(variable: &'static str) -> Result<Self, InvalidMode> {
        let value = env::var(variable).unwrap_or_default();
        match value.to_ascii_lowercase().as_str() {
            "1" | "true" | "yes" | "on" => Ok(Self::On),
            "" | "0" | "false" | "no" | "off" => Ok(Self::Off),
            _ => Err(InvalidMode { variable, value }),
        }
    }
}

/// A variable that is neither on nor off.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{variable} is `{value}`: use 1, true, yes or on, or 0, false, no or off")]
pub struct InvalidMode {
    variable: &'static str,
    value: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disabled_wins_over_eager() {
        assert_eq!(Mode::from_switches(Switch::On, Switch::On), Mode::Disabled);
        assert_eq!(Mode::from_switches(Switch::Off, Switch::On), Mode::Eager);
        assert_eq!(Mode::from_switches(Switch::Off, Switch::Off), Mode::Normal);
    }
}
