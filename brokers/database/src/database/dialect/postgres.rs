//! As PostgreSQL says it.

use super::{Join, Lock, closing, joins};
use crate::database::bulk::Columns;

/// All but the names of tables and the numbers of parameters.
pub(super) fn translate(text: &str, columns: Option<&Columns>) -> String {
    let text = row_by_row(&lists(&joins(text, join)))
        .replace("{ids}", IDS)
        .replace("{names}", "(SELECT name FROM unnest(?::text[]) AS listed (name))");
    match columns {
        Some(columns) => by_key(&text, columns),
        None => text,
    }
}

const IDS: &str = "(SELECT place - 1 AS place, id
     FROM unnest(?::uuid[]) WITH ORDINALITY AS listed (id, place))";

/// A planner may not reorder what is lateral, nor read it otherwise than row by row.
fn join(join: &Join<'_>) -> String {
    let Join { is_left, lock, table, alias, condition } = join;
    let side = if *is_left { "LEFT " } else { "" };
    let end = match lock {
        None => "OFFSET 0",
        Some(Lock::Wait) => "FOR UPDATE",
        Some(Lock::Skip) => "FOR UPDATE SKIP LOCKED",
    };
    format!(
        "{side}JOIN LATERAL (SELECT * FROM {table} AS {alias} WHERE {condition} {end}) AS {alias} ON true"
    )
}

/// Turns `IN LIST (SELECT …)` into what is read before the table that it is about.
fn lists(text: &str) -> String {
    let mut parts = text.split("IN LIST");
    let mut listed = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let list = part.trim_start().strip_prefix('(').expect("a list is in parentheses");
        let (list, rest) = list.split_at(closing(list));
        listed.push_str(&format!("= ANY(ARRAY({list})){}", &rest[1..]));
    }
    listed
}

/// Keeps `EXISTS` from becoming a join, or a list of all rows that there are.
fn row_by_row(text: &str) -> String {
    const EXISTS: &str = "EXISTS (SELECT ";
    let mut text = text.to_owned();
    let mut from = 0;
    while let Some(found) = text[from..].find(EXISTS) {
        from += found + EXISTS.len();
        let end = from + closing(&text[from..]);
        text.insert_str(end, " OFFSET 0");
    }
    text
}

/// Gives tables by their keys where the text gives them by `input`.
fn by_key(text: &str, columns: &Columns) -> String {
    let mut text = text.to_owned();
    for (number, column) in (1..).zip(columns.names()) {
        let array = format!("= ANY(${number})");
        text = text.replace(&format!("IN (SELECT {column} FROM input)"), &array);
    }
    let key = columns.names().next().unwrap_or_default();
    let table = text.strip_prefix("UPDATE ").and_then(|rest| rest.split_whitespace().next());
    let Some(table) = table.map(str::to_owned) else { return text };
    // The rows are looked up one by one and then updated where they are: joined by its key, the table
    // may be compared with the input row by row. Nobody else changes these rows meanwhile, for
    // their leases are locked before, or the store is.
    let by_place = format!(
        "JOIN LATERAL (SELECT ctid AS place FROM {table} AS own WHERE own.{key} = input.{key} \
         OFFSET 0) AS found ON true WHERE {table}.ctid = found.place"
    );
    text.replace(&format!("WHERE {table}.{key} = input.{key}"), &by_place)
}

/// Numbers the parameters. Those that have a number already come first.
pub(super) fn number(text: &str) -> String {
    let before = (1..).take_while(|number| text.contains(&format!("${number}"))).count();
    let mut parts = text.split('?');
    let mut numbered = parts.next().unwrap_or_default().to_owned();
    for (number, part) in (before + 1..).zip(parts) {
        numbered.push_str(&format!("${number}{part}"));
    }
    numbered
}
