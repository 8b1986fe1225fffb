//! The table: Markdown, so that it can be put into a page as it is.

use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, Table};

use crate::figures::{Figure, Figures};

/// The rows of a broker's figures.
pub(crate) fn table(figures: &Figures) -> String {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.set_header(["what", "unit", "ours", "floor", "ratio", "spread of ours"]);
    figures.all.iter().for_each(|figure| {
        table.add_row(row(figure));
    });
    for column in 2..6 {
        let column = table.column_mut(column).expect("there are six columns");
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}

fn row(figure: &Figure) -> [String; 6] {
    let (min, max) = figure.spread();
    [
        figure.what.clone(),
        figure.unit.to_owned(),
        number(figure.median()),
        figure.floor().map(number).unwrap_or_default(),
        figure.ratio().map(|ratio| format!("{ratio:.2}")).unwrap_or_default(),
        format!("{} to {}", number(min), number(max)),
    ]
}

/// With three digits, or all before the point.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 99.95 => grouped(value.round() as u64),
        size if size >= 9.995 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// With commas between thousands.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::What;

    #[test]
    fn thousands_are_grouped_and_small_numbers_keep_their_digits() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_000_000), "1,000,000");
        assert_eq!(number(1.234), "1.23");
        assert_eq!(number(12.34), "12.3");
        assert_eq!(number(123.4), "123");
        assert_eq!(number(123_456.7), "123,457");
    }

    #[test]
    fn a_row_without_a_floor_has_empty_cells() {
        let mut figures = Figures::of("memory");
        figures.figure(What::Drain, "drain", "jobs/s").ours.push(1_500.0);
        let printed = table(&figures);
        let row = printed.lines().last().unwrap();
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        assert_eq!(cells, ["", "drain", "jobs/s", "1,500", "", "", "1,500 to 1,500", ""]);
    }
}
