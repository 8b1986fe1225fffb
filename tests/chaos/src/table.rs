//! Tables for people.

use comfy_table::Table;
use comfy_table::presets::NOTHING;

/// Rows of texts, under titles if there are any.
pub(crate) fn table(titles: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING);
    if !titles.is_empty() {
        table.set_header(titles);
    }
    table.add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt() + "\n"
}
