//! Options that several subcommands have.

use clap::{Args, ValueEnum};
use std::time::Duration;

/// Reads a duration with its unit.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("invalid duration {text:?} (examples: 500ms, 2s, 1.5m)");
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let number: f64 = digits.parse().map_err(|_| wrong())?;
    let seconds = match &text[digits.len()..] {
        "ms" => number / 1e3,
        "s" | "" => number,
        "m" => number * 60.0,
        "h" => number * 3600.0,
        _ => return Err(wrong()),
    };
    Duration::try_from_secs_f64(seconds).map_err(|_| wrong())
}

#[derive(Args, Debug)]
pub(crate) struct FormatArguments {
    /// Format of the output.
    #[arg(long, value_enum, default_value_t, value_name = "FORM")]
    format: Format,
    /// The same as `--format json`.
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

impl FormatArguments {
    pub(crate) fn is_json(&self) -> bool {
        self.json || self.format == Format::Json
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    #[default]
    Table,
    Json,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units_or_are_refused_with_examples() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2"), Ok(Duration::from_secs(2)));
        assert_eq!(duration("1.5m"), Ok(Duration::from_secs(90)));
        let said = "invalid duration \"5x\" (examples: 500ms, 2s, 1.5m)";
        assert_eq!(duration("5x"), Err(said.to_owned()));
        for wrong in ["", "s", "-1s", "1e400s", "NaN"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
