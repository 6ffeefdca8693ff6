//! How answers are written: as tables for people, as JSON or CSV for programs.

use std::io::{self, Write};

use clap::ValueEnum;
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::error::{Error, usage};
use crate::protocol::Printable;

/// How answers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Columns for people.
    #[default]
    Table,
    /// JSON, with the values as the broker gives them.
    Json,
    /// Comma-separated values (RFC 4180).
    Csv,
}

/// A column: what it is called, and where its value stands in an answer (keys with dots between them).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    pub path: String,
}

/// How answers are written.
#[derive(Debug, Clone, Copy, Default)]
pub struct Output {
    pub format: Format,
    /// No line with the names of columns.
    pub without_headers: bool,
}

impl Column {
    /// A column that is called as it stands in answers.
    pub fn plain(name: &str) -> Self {
        Self { name: name.into(), path: name.into() }
    }
}

/// Columns that are called as they stand in answers.
pub fn plain(names: &[&str]) -> Vec<Column> {
    names.iter().map(|name| Column::plain(name)).collect()
}

impl Output {
    /// A list of things, some columns of each.
    pub fn rows(self, columns: &[Column], items: &[Value]) -> Result<(), Error> {
        print(&self.rows_text(columns, items)?)
    }

    /// The same as a text.
    pub fn rows_text(self, columns: &[Column], items: &[Value]) -> Result<String, Error> {
        match self.format {
            Format::Table => Ok(self.table(columns, items)),
            Format::Csv => self.csv(columns, items),
            Format::Json => {
                let some = |item: &Value| {
                    let value = |column: &Column| (column.name.clone(), at(item, &column.path).clone());
                    columns.iter().map(value).collect::<Map<_, _>>()
                };
                json(&Value::Array(items.iter().map(|item| Value::Object(some(item))).collect()))
            }
        }
    }

    /// One thing with all that it has: a line for each.
    pub fn one(self, item: &Value) -> Result<(), Error> {
        if self.format == Format::Json {
            return print(&json(item)?);
        }
        let fields = item.as_object().into_iter().flatten();
        let pair = |(key, value): (&String, &Value)| serde_json::json!({ "key": key, "value": value });
        self.rows(&plain(&["key", "value"]), &fields.map(pair).collect::<Vec<_>>())
    }

    fn table(self, columns: &[Column], items: &[Value]) -> String {
        let mut table = Table::new();
        table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        let is_of_numbers: Vec<_> = columns.iter().map(|column| has_only_numbers(column, items)).collect();
        let row = |texts: Vec<String>| {
            let cell = |(text, is_number): (String, &bool)| {
                let cell = Cell::new(Printable::new(text).cut_at(usize::MAX));
                if *is_number { cell.set_alignment(CellAlignment::Right) } else { cell }
            };
            texts.into_iter().zip(&is_of_numbers).map(cell).collect::<Vec<_>>()
        };
        if !self.without_headers {
            table.set_header(row(columns.iter().map(|column| column.name.clone()).collect()));
        }
        for item in items {
            table.add_row(row(columns.iter().map(|column| text(at(item, &column.path))).collect()));
        }
        let mut lines = String::new();
        for line in table.lines() {
            // The first column begins at the edge of the terminal.
            lines.push_str(line.strip_prefix(' ').unwrap_or(&line).trim_end());
            lines.push('\n');
        }
        lines
    }

    fn csv(self, columns: &[Column], items: &[Value]) -> Result<String, Error> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let failed = |error: csv::Error| Error::Terminal(io::Error::other(error));
        if !self.without_headers {
            writer.write_record(columns.iter().map(|column| &column.name)).map_err(failed)?;
        }
        for item in items {
            writer.write_record(columns.iter().map(|column| text(at(item, &column.path)))).map_err(failed)?;
        }
        let bytes = writer.into_inner().map_err(|error| Error::Terminal(error.into_error()))?;
        String::from_utf8(bytes).map_err(|error| Error::Terminal(io::Error::other(error)))
    }
}

/// Whether a column stands at the right: some of its values are there, and all of those are numbers.
fn has_only_numbers(column: &Column, items: &[Value]) -> bool {
    let mut values =
        items.iter().map(|item| at(item, &column.path)).filter(|value| !value.is_null()).peekable();
    values.peek().is_some() && values.all(Value::is_number)
}

/// The value at a path of keys with dots between them, or null. A key may have dots itself.
pub fn at<'a>(item: &'a Value, path: &str) -> &'a Value {
    if let Some(value) = item.get(path) {
        return value;
    }
    match path.split_once('.') {
        Some((key, rest)) => item.get(key).map_or(&Value::Null, |inner| at(inner, rest)),
        None => &Value::Null,
    }
}

/// A value in a cell: texts as they are, lists of plain values as rabbitmqctl shows them, the rest as JSON.
pub fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(values) if values.iter().all(|value| !value.is_object() && !value.is_array()) => {
            format!("[{}]", values.iter().map(text).collect::<Vec<_>>().join(", "))
        }
        Value::Object(object) if object.is_empty() => String::new(),
        value => value.to_string(),
    }
}

/// JSON as it is written for programs and people alike.
pub fn json(value: &Value) -> Result<String, Error> {
    let text =
        serde_json::to_string_pretty(value).map_err(|error| Error::Terminal(io::Error::other(error)))?;
    Ok(text + "\n")
}

/// Writes to standard output. If nobody reads it any more, that is no error.
pub fn print(text: &str) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// A line for people, with what peers have written in it made harmless.
pub fn say(text: impl std::fmt::Display) -> Result<(), Error> {
    print(&format!("{}\n", Printable::new(text).cut_at(usize::MAX)))
}

/// Columns by their names: `known` has name and path of each. One of a map's keys is named with a dot.
pub fn choose(names: &[String], known: &[(&str, &str)]) -> Result<Vec<Column>, Error> {
    let mut chosen = Vec::new();
    for name in names.iter().flat_map(|names| names.split(',')).filter(|name| !name.is_empty()) {
        let (head, rest) = name.split_once('.').map_or((name, None), |(head, rest)| (head, Some(rest)));
        let Some((_, path)) = known.iter().find(|(its, _)| *its == head) else {
            let all: Vec<_> = known.iter().map(|(name, _)| *name).collect();
            return Err(usage(format!(
                "there is no column '{name}'; those that there are: {}",
                all.join(", ")
            )));
        };
        let path = rest.map_or_else(|| (*path).to_owned(), |rest| format!("{path}.{rest}"));
        chosen.push(Column { name: name.into(), path });
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn written(format: Format, without_headers: bool, items: &Value) -> String {
        let columns = [Column::plain("name"), Column { name: "rate".into(), path: "stats.rate".into() }];
        let output = Output { format, without_headers };
        output.rows_text(&columns, items.as_array().unwrap()).unwrap()
    }

    #[test]
    fn a_list_is_written_in_each_format() {
        let items = json!([
            { "name": "a, \"b\"\n\u{1b}[2J", "stats": { "rate": 1.5 }, "more": 1 },
            { "name": "long-name", "stats": { "rate": 12 } },
            { "name": null },
        ]);
        let table = written(Format::Table, false, &items);
        let wanted =
            "name                     rate\na, \"b\"\\n\\u{1b}[2J   1.5\nlong-name                  12\n\n";
        assert_eq!(table.replace("  ", ""), wanted.replace("  ", ""), "{table}");
        assert!(written(Format::Table, true, &items).starts_with("a, "), "without headers");
        let csv = written(Format::Csv, false, &items);
        assert_eq!(csv, "name,rate\n\"a, \"\"b\"\"\n\u{1b}[2J\",1.5\nlong-name,12\n,\n");
        assert_eq!(written(Format::Csv, true, &json!([{ "name": 1 }])), "1,\n");
        let json: Value = serde_json::from_str(&written(Format::Json, false, &items)).unwrap();
        assert_eq!(json[1], json!({ "name": "long-name", "rate": 12 }));
        assert_eq!(json[2], json!({ "name": null, "rate": null }));
        assert_eq!(written(Format::Json, false, &json!([])), "[]\n");
        assert_eq!(written(Format::Csv, false, &json!([])), "name,rate\n");
    }

    #[test]
    fn columns_of_numbers_stand_at_the_right_and_lines_have_no_spaces_at_their_ends() {
        let items = json!([
            { "name": 5, "stats": { "rate": 1 } },
            { "name": "long", "stats": { "rate": null } },
            { "name": 10, "stats": { "rate": 12345 } },
        ]);
        assert_eq!(written(Format::Table, false, &items), "name   rate\n5         1\nlong\n10    12345\n");
        assert_eq!(written(Format::Table, false, &json!([{ "name": "a" }])), "name  rate\na\n");
    }

    #[test]
    fn values_are_shown_in_a_cell() {
        for (value, shown) in [
            (json!(null), ""),
            (json!(true), "true"),
            (json!([]), "[]"),
            (json!(["administrator", "a"]), "[administrator, a]"),
            (json!({}), ""),
            (json!({ "b": [1] }), "{\"b\":[1]}"),
            (json!([{ "b": 1 }]), "[{\"b\":1}]"),
            (json!(0.5), "0.5"),
        ] {
            assert_eq!(text(&value), shown);
        }
    }

    #[test]
    fn columns_are_chosen_by_name_and_an_unknown_one_is_refused() {
        let known = [("pid", "name"), ("stats", "message_stats")];
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let chosen = choose(&names(&["pid", "stats.publish_details.rate"]), &known).unwrap();
        assert_eq!(chosen[0], Column { name: "pid".into(), path: "name".into() });
        assert_eq!(chosen[1].path, "message_stats.publish_details.rate");
        assert_eq!(choose(&names(&["pid,stats"]), &known).unwrap().len(), 2, "with a comma");
        let error = choose(&names(&["pit"]), &known).unwrap_err();
        assert_eq!(error.to_string(), "there is no column 'pit'; those that there are: pid, stats");
    }
}
