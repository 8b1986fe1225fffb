//! What commands print: tables and lines for people, JSON for programs.

use std::io::{self, Write};

use comfy_table::Table;
use comfy_table::presets::NOTHING;
use serde::Serialize;

use super::error::CliError;
use crate::logging::Color;

/// Where and how a command prints.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    pub(crate) format: Format,
    pub(crate) color: Color,
}

/// For whom it prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// People.
    Text,
    /// Programs: one JSON document.
    Json,
}

impl Output {
    /// Prints `value` as JSON, or what `text` makes of it.
    pub(crate) fn show<T: Serialize + ?Sized>(
        self,
        value: &T,
        text: impl FnOnce(&T) -> String,
    ) -> Result<(), CliError> {
        let printed = match self.format {
            Format::Json => serde_json::to_string_pretty(value)
                .map(|json| json.lines().map(|line| shown_json(line) + "\n").collect())
                .map_err(|error| CliError::Output(error.into()))?,
            Format::Text => text(value),
        };
        print(&printed)
    }

    /// Prints values of which more may come: each as JSON on one line, or what `text` makes of
    /// it.
    pub(crate) fn show_each<T: Serialize>(
        self,
        values: &[T],
        text: impl Fn(&T) -> String,
    ) -> Result<(), CliError> {
        let line = |value: &T| match self.format {
            Format::Json => serde_json::to_string(value).map(|json| shown_json(&json) + "\n"),
            Format::Text => Ok(text(value)),
        };
        let printed: Result<String, _> = values.iter().map(line).collect();
        print(&printed.map_err(|error| CliError::Output(error.into()))?)
    }
}

/// Prints at once, whether or not a terminal reads it.
pub(crate) fn print(text: &str) -> Result<(), CliError> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(CliError::Output)
}

/// Columns under their titles, without lines: what a person scans and a pipe cuts.
pub(crate) fn table<'t>(
    titles: impl IntoIterator<Item = &'t str>,
    rows: impl IntoIterator<Item: IntoIterator<Item = String>>,
) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(titles);
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt() + "\n"
}

/// Names and values, one to a line.
pub(crate) fn fields<'a>(fields: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let line = |(name, value): (&str, String)| format!("{name:<10} {value}\n");
    fields.into_iter().map(line).collect()
}

/// A text from a job on one line: what could move the cursor or start a new line is escaped.
pub(crate) fn shown(text: &str) -> String {
    escaped(text, |letter, shown| shown.extend(letter.escape_default()))
}

/// JSON from a job on one line, as the same JSON.
pub(crate) fn shown_json(json: &str) -> String {
    escaped(json, |letter, shown| match letter {
        // Between values: inside of texts JSON has none of them.
        '\n' | '\r' | '\t' => shown.push(' '),
        _ => {
            for unit in letter.encode_utf16(&mut [0; 2]) {
                shown.push_str(&format!("\\u{unit:04x}"));
            }
        }
    })
}

fn escaped(text: &str, escape: impl Fn(char, &mut String)) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_control() || is_invisible(letter) {
            escape(letter, &mut shown);
        } else {
            shown.push(letter);
        }
    }
    shown
}

/// Whether a letter shows nothing and changes how others are shown, or where. Those that join letters
/// are parts of words and pictures.
fn is_invisible(letter: char) -> bool {
    matches!(letter,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The start of a text, for a column.
pub(crate) fn start_of(text: &str, length: usize) -> String {
    let shown = shown(text);
    match shown.char_indices().nth(length) {
        Some((end, _)) => format!("{}…", &shown[..end]),
        None => shown,
    }
}

/// A count, or a dash for what the broker cannot know.
pub(crate) fn count(count: Option<u64>) -> String {
    count.map_or_else(|| "-".to_owned(), |count| count.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_no_line_ends_in_spaces() {
        let rows = [["a".to_owned(), "1".to_owned()], ["long name".to_owned(), "22".to_owned()]];
        assert_eq!(table(["NAME", "N"], rows), "NAME       N\na          1\nlong name  22\n");
    }

    #[test]
    fn a_text_from_a_job_cannot_steer_the_terminal() {
        assert_eq!(shown("a\u{1b}[2Jb\nc"), "a\\u{1b}[2Jb\\nc");
        assert_eq!(shown("user\u{202e}nimda\u{9b}2J"), "user\\u{202e}nimda\\u{9b}2J");
        assert_eq!(shown("می\u{200c}خواهم"), "می\u{200c}خواهم");
        assert_eq!(start_of("äöü", 2), "äö…");
    }

    #[test]
    fn json_from_a_job_is_shown_as_the_same_json() {
        let json = "{\n\"a\": [\"\u{9b}2J\u{7f}\u{202e}\", \"\u{e0001}\", 1]\r\n}";
        let shown = shown_json(json);
        assert_eq!(shown, r#"{ "a": ["\u009b2J\u007f\u202e", "\udb40\udc01", 1]  }"#);
        let read = |json: &str| serde_json::from_str::<serde_json::Value>(json).unwrap();
        assert_eq!(read(&shown), read(json));
    }
}
