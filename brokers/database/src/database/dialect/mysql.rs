//! As MySQL and MariaDB say it, in what both understand.
//!
//! - Joins read their tables in the order of the text, and each by one of its indexes: `FORCE INDEX`
//!   makes reading a whole table so dear that no estimate of its size is in favour of it.
//! - What changes a table by a list is a join with that list. A subquery would be asked for each row
//!   of the table.
//! - Words that one of them reserves are quoted.

use super::{Join, Lock, closing, joins};
use crate::database::bulk::Columns;

/// All but the names of tables, and where rows of input come from in what reads them first.
pub(super) fn translate(text: &str, columns: Option<&Columns>) -> String {
    if text.contains("CREATE TABLE") {
        // That is for MySQL alone, and has comments.
        return text.to_owned();
    }
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut lock = "";
    let text = joins(&text, |join| {
        let Join { is_left, table, alias, condition, .. } = join;
        lock = match join.lock {
            None => lock,
            Some(Lock::Wait) => " FOR UPDATE",
            Some(Lock::Skip) => " FOR UPDATE SKIP LOCKED",
        };
        let words = if *is_left { "LEFT JOIN" } else { "STRAIGHT_JOIN" };
        format!("{words} {table} AS {alias} ON ({condition})")
    });
    let text = conflicts(&changes(&text)) + lock;
    let text = match columns {
        Some(columns) if is_change(&text) => {
            let rows = format!("({}) AS input", columns.json_rows());
            text.replace("FROM input", &format!("FROM {rows}"))
                .replace("UPDATE input", &format!("UPDATE {rows}"))
        }
        _ => text,
    };
    let text = text.replace("{ids}", IDS).replace("{names}", NAMES);
    quoted(&hinted(&text))
}

const IDS: &str = "(SELECT place - 1 AS place, UNHEX(id) AS id FROM JSON_TABLE(?, '$[*]' COLUMNS \
     (place FOR ORDINALITY, id VARCHAR(32) PATH '$')) AS listed)";

const NAMES: &str = "(SELECT name FROM JSON_TABLE(?, '$[*]' COLUMNS \
     (name VARCHAR(64) CHARACTER SET utf8mb4 PATH '$')) AS listed)";

/// Whether it reads its input before anything else in it has a parameter.
fn is_change(text: &str) -> bool {
    text.starts_with("UPDATE ") || text.starts_with("DELETE ")
}

/// A statement that changes a table by a list, as a join with the list.
fn changes(text: &str) -> String {
    let (words, table, sets, rest) = if let Some(rest) = text.strip_prefix("DELETE FROM ") {
        let (table, rest) = rest.split_once(" WHERE ").expect("what is deleted is narrowed");
        (format!("DELETE {table} FROM "), table, String::new(), rest)
    } else if let Some((table, rest)) =
        text.strip_prefix("UPDATE ").and_then(|rest| rest.split_once(" SET "))
    {
        let joined = rest.split_once(" FROM input").filter(|(sets, _)| !sets.contains(" WHERE "));
        if let Some((sets, from)) = joined {
            let (from, condition) = from.split_once(" WHERE ").expect("what is set is narrowed");
            let sets = qualified(table, sets);
            return format!(
                "UPDATE input{from} STRAIGHT_JOIN {table} SET {sets} WHERE {condition}"
            );
        }
        let Some((sets, rest)) = rest.split_once(" WHERE ") else { return text.to_owned() };
        ("UPDATE ".to_owned(), table, format!("SET {} ", qualified(table, sets)), rest)
    } else {
        return text.replace("IN LIST (", "IN (");
    };
    let Some((column, list, rest)) = listed(rest) else { return text.to_owned() };
    let (source, name) = source(list);
    format!("{words}{source} STRAIGHT_JOIN {table} {sets}WHERE {table}.{column} = {name}{rest}")
}

/// What comes before, inside and after the parentheses of a condition that begins with a list.
fn listed(condition: &str) -> Option<(&str, &str, &str)> {
    let (column, rest) = condition.split_once(" IN ")?;
    if column.contains(' ') {
        return None;
    }
    let list = rest.strip_prefix("LIST (").or_else(|| rest.strip_prefix('('))?;
    let (list, rest) = list.split_at(closing(list));
    Some((column, list, &rest[1..]))
}

/// A list as a table, and what its column is called.
fn source(list: &str) -> (String, String) {
    let (column, rest) = list
        .strip_prefix("SELECT ")
        .and_then(|list| list.split_once(" FROM "))
        .expect("a list is selected from a table");
    if rest == "input" {
        return ("input".to_owned(), format!("input.{column}"));
    }
    let column = column.rsplit('.').next().unwrap_or(column);
    // With a limit, it is read before anything is changed.
    let limit = if list.contains(" LIMIT ") { "" } else { " LIMIT 9223372036854775807" };
    (format!("({list}{limit}) AS listed"), format!("listed.{column}"))
}

/// Assignments to columns that are said to be of this table.
fn qualified(table: &str, sets: &str) -> String {
    let mut depth = 0;
    let assignments = sets.split(|letter| {
        depth += i32::from(letter == '(') - i32::from(letter == ')');
        letter == ',' && depth == 0
    });
    let of_table = |assignment: &str| format!("{table}.{}", assignment.trim());
    assignments.map(of_table).collect::<Vec<_>>().join(", ")
}

/// What an `INSERT` does about rows that are there already.
fn conflicts(text: &str) -> String {
    let Some((insert, conflict)) = text.split_once(" ON CONFLICT (") else {
        return text.to_owned();
    };
    let (columns, action) = conflict.split_at(closing(conflict));
    let action = action[1..].trim_start();
    let insert = insert.strip_suffix(" WHERE true").unwrap_or(insert);
    let table = insert
        .strip_prefix("INSERT INTO ")
        .and_then(|rest| rest.split_whitespace().next())
        .expect("only an insert meets rows that are there");
    let action = match action.strip_prefix("DO UPDATE SET ") {
        Some(sets) => excluded(sets),
        // Set to what it is, nothing happens to it; `IGNORE` would ignore all errors.
        None => {
            let column = columns.split(',').next().unwrap_or_default();
            format!("{table}.{column} = {table}.{column}")
        }
    };
    format!("{insert} ON DUPLICATE KEY UPDATE {action}")
}

fn excluded(sets: &str) -> String {
    let mut parts = sets.split("excluded.");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|letter: char| !is_of_word(letter)).unwrap_or(part.len());
        text.push_str(&format!("VALUES({}){}", &part[..end], &part[end..]));
    }
    text
}

/// Names the indexes of each table that is read.
fn hinted(text: &str) -> String {
    const PREFIX: &str = "hereafter_";
    let mut hinted = String::with_capacity(text.len() * 2);
    let mut rest = text;
    while let Some(found) = rest.find(PREFIX) {
        let name = found + PREFIX.len();
        let end = name + word(&rest[name..]).len();
        let before = [hinted.as_str(), &rest[..found]].concat();
        let mut words = before.rsplit([' ', '(']).skip(1);
        let is_read = before.ends_with(' ')
            && !rest[end..].starts_with(" FORCE INDEX")
            && match words.next() {
                Some("JOIN" | "STRAIGHT_JOIN") => true,
                Some("FROM") => words.next() != Some("DELETE"),
                _ => false,
            };
        let table = &rest[name..end];
        hinted.push_str(&rest[..end]);
        rest = &rest[end..];
        if is_read {
            if let Some(alias) = rest.strip_prefix(" AS ") {
                let alias = word(alias);
                hinted.push_str(&format!(" AS {alias}"));
                rest = &rest[" AS ".len() + alias.len()..];
            }
            hinted.push_str(&format!(" FORCE INDEX ({})", indexes(table)));
        }
    }
    hinted + rest
}

/// The indexes of a table by which it is read.
fn indexes(table: &str) -> &'static str {
    match table {
        "job" => "PRIMARY, by_id",
        "outcome" => "PRIMARY, by_state",
        "finished" | "cancelled" => "PRIMARY, by_prune, by_position",
        "tombstone" => "PRIMARY, by_keep",
        "input" => "PRIMARY, by_dependant",
        "continued" => "PRIMARY, by_continued_by",
        "unique" => "PRIMARY, by_key, by_time",
        "schedule" => "PRIMARY, by_next",
        "task" => "PRIMARY, by_name",
        "event" => "PRIMARY, by_last",
        "outbox" => "PRIMARY, by_job",
        _ => "PRIMARY",
    }
}

/// Quotes the words that are columns of ours and reserved by one of them.
pub(in crate::database) fn quoted(text: &str) -> String {
    const RESERVED: [&str; 5] = ["key", "keys", "lines", "rank", "stored"];
    let mut quoted = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let found = word(rest);
        if found.is_empty() {
            quoted.push(letter);
            rest = &rest[letter.len_utf8()..];
            continue;
        }
        if RESERVED.contains(&found) {
            quoted.push_str(&format!("`{found}`"));
        } else {
            quoted.push_str(found);
        }
        rest = &rest[found.len()..];
    }
    quoted
}

/// The word that a text begins with, if it does.
fn word(text: &str) -> &str {
    &text[..text.find(|letter| !is_of_word(letter)).unwrap_or(text.len())]
}

fn is_of_word(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_'
}
