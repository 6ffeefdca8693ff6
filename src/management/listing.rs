//! Lists: filtered by name, sorted, a page of them, and only some columns (RabbitMQ's parameters).
//!
//! What is asked of each thing for sorting is asked by column, so that a page of a long list costs little: only what is on the page
//! is shown as a whole.

use std::cmp::Ordering;

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use regex::{Regex, RegexBuilder};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    extract::Asked,
    failure::{Answered, Failure, bad_request},
    samples::{Age, Ages},
};
use crate::limits::{FILTER_BYTES_MAX, FILTER_COMPILED_BYTES_MAX, PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX};

/// What a request for a list says.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Listing {
    page: Option<String>,
    page_size: Option<String>,
    name: Option<String>,
    use_regex: Option<String>,
    sort: Option<String>,
    sort_reverse: Option<String>,
    columns: Option<String>,
    lengths_age: Option<String>,
    lengths_incr: Option<String>,
    msg_rates_age: Option<String>,
    msg_rates_incr: Option<String>,
    data_rates_age: Option<String>,
    data_rates_incr: Option<String>,
}

impl Asked for Listing {
    const PARAMETERS: &'static [(&'static str, &'static str)] = &[
        ("page", "The number of a page; the answer is an object with it then"),
        ("page_size", "Things on a page: 100, and at most 500"),
        ("name", "Only those whose names have this in them"),
        ("use_regex", "true if that is a regular expression"),
        ("sort", "The column that they are sorted by"),
        ("sort_reverse", "true for the other order"),
        ("columns", "Only these columns, with commas between them"),
        ("lengths_age", "Samples of lengths are wanted of so many seconds"),
        ("lengths_incr", "one each so many seconds"),
        ("msg_rates_age", "Samples of rates of messages are wanted of so many seconds"),
        ("msg_rates_incr", "one each so many seconds"),
        ("data_rates_age", "Samples of rates of bytes are wanted of so many seconds"),
        ("data_rates_incr", "one each so many seconds"),
    ];
}

/// What a list is of.
pub trait Listed {
    /// By what it is filtered.
    fn name(&self) -> String;

    /// Its value in one column, for sorting. The slow way is to show it as a whole.
    fn column(&self, path: &str) -> Value {
        at(&self.shown(), path).cloned().unwrap_or(Value::Null)
    }

    /// All of it.
    fn shown(&self) -> Value;
}

impl Listed for Value {
    fn name(&self) -> String {
        self.get("name").and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    fn column(&self, path: &str) -> Value {
        at(self, path).cloned().unwrap_or(Value::Null)
    }

    fn shown(&self) -> Value {
        self.clone()
    }
}

/// Which names are wanted.
enum Filter {
    All,
    Containing(String),
    Matching(Regex),
}

impl Filter {
    fn matches(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Containing(part) => name.to_lowercase().contains(part),
            Self::Matching(pattern) => pattern.is_match(name),
        }
    }
}

impl Listing {
    /// Answers with a list, or with a page of it if one is asked for.
    pub fn answer<T: Listed>(&self, items: Vec<T>) -> Answered {
        let total = items.len();
        let filter = self.filter()?;
        let mut items: Vec<T> = items.into_iter().filter(|item| filter.matches(&item.name())).collect();
        self.sort(&mut items);
        let columns = self.columns();
        let shown =
            |item: &T| columns.as_ref().map_or_else(|| item.shown(), |columns| some(&item.shown(), columns));
        let Some(page) = &self.page else {
            return Ok(Json(items.iter().map(shown).collect::<Vec<_>>()).into_response());
        };
        let filtered = items.len();
        let (page, size) = (whole("page", page)?, self.page_size()?);
        let pages = filtered.div_ceil(size).max(1);
        if page == 0 || page > pages {
            return Err(Failure::BadRequestOf(
                "page_out_of_range",
                format!("page out of range, page: {page} page size: {size}, len: {filtered}"),
            ));
        }
        let items: Vec<_> = items.iter().skip((page - 1) * size).take(size).map(shown).collect();
        Ok(Json(json!({
            "filtered_count": filtered,
            "item_count": items.len(),
            "items": items,
            "page": page,
            "page_count": pages,
            "page_size": size,
            "total_count": total,
        }))
        .into_response())
    }

    /// Answers with one thing, or some columns of it.
    pub fn answer_one(&self, item: &Value) -> Response {
        match self.columns() {
            None => Json(item).into_response(),
            Some(columns) => Json(some(item, &columns)).into_response(),
        }
    }

    /// Which samples of the past are wanted. What makes no sense is not (RabbitMQ).
    pub fn ages(&self) -> Ages {
        let age = |span: &Option<String>, step: &Option<String>| {
            Age::new(span.as_ref()?.parse().ok()?, step.as_ref()?.parse().ok()?)
        };
        Ages {
            lengths: age(&self.lengths_age, &self.lengths_incr),
            msg_rates: age(&self.msg_rates_age, &self.msg_rates_incr),
            data_rates: age(&self.data_rates_age, &self.data_rates_incr),
        }
    }

    fn page_size(&self) -> Answered<usize> {
        let Some(size) = &self.page_size else { return Ok(PAGE_SIZE_DEFAULT) };
        let size = whole("page_size", size)?;
        if (1..=PAGE_SIZE_MAX).contains(&size) {
            return Ok(size);
        }
        Err(bad_request(format!("page_size is not between 1 and {PAGE_SIZE_MAX}")))
    }

    fn filter(&self) -> Answered<Filter> {
        let name = self.name.as_deref().unwrap_or_default();
        if name.is_empty() {
            return Ok(Filter::All);
        }
        if self.use_regex.as_deref() != Some("true") {
            return Ok(Filter::Containing(name.to_lowercase()));
        }
        if name.len() > FILTER_BYTES_MAX {
            return Err(bad_request(format!("name has more than {FILTER_BYTES_MAX} bytes")));
        }
        let pattern =
            RegexBuilder::new(name).case_insensitive(true).size_limit(FILTER_COMPILED_BYTES_MAX).build();
        pattern
            .map(Filter::Matching)
            .map_err(|error| bad_request(format!("name is no regular expression: {error}")))
    }

    fn sort<T: Listed>(&self, items: &mut [T]) {
        let Some(column) = self.sort.as_deref().filter(|column| !column.is_empty()) else { return };
        items.sort_by_cached_key(|item| Sorted(item.column(column)));
        if self.sort_reverse.as_deref() == Some("true") {
            items.reverse();
        }
    }

    fn columns(&self) -> Option<Vec<String>> {
        let columns = self.columns.as_deref().filter(|columns| !columns.is_empty())?;
        Some(columns.split(',').map(str::to_owned).collect())
    }
}

fn whole(name: &str, text: &str) -> Answered<usize> {
    text.parse().map_err(|_| bad_request(format!("{name} is no whole number: {text}")))
}

/// The value at a path of keys with dots between them. A key may have dots itself.
fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    if let Some(value) = value.get(path) {
        return Some(value);
    }
    let (key, rest) = path.split_once('.')?;
    at(value.get(key)?, rest)
}

/// Only some columns of a thing. Those that it does not have are left out.
fn some(item: &Value, columns: &[String]) -> Value {
    let mut shown = Map::new();
    for column in columns {
        if let Some(value) = at(item, column) {
            put(&mut shown, column, value.clone());
        }
    }
    Value::Object(shown)
}

fn put(shown: &mut Map<String, Value>, path: &str, value: Value) {
    match path.split_once('.') {
        None => drop(shown.insert(path.into(), value)),
        Some((key, rest)) => {
            let inner = shown.entry(key).or_insert_with(|| json!({}));
            if let Value::Object(inner) = inner {
                put(inner, rest, value);
            }
        }
    }
}

/// A value in the order of Erlang's terms, as RabbitMQ sorts: numbers, then words, then texts.
#[derive(PartialEq)]
struct Sorted(Value);

impl Eq for Sorted {}

impl PartialOrd for Sorted {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Sorted {
    fn cmp(&self, other: &Self) -> Ordering {
        let rank = |value: &Value| match value {
            Value::Number(_) => 0,
            Value::Bool(_) => 1,
            Value::Null => 2,
            Value::Object(_) => 3,
            Value::Array(_) => 4,
            Value::String(_) => 5,
        };
        match (&self.0, &other.0) {
            (Value::Number(one), Value::Number(other)) => {
                one.as_f64().unwrap_or_default().total_cmp(&other.as_f64().unwrap_or_default())
            }
            (Value::String(one), Value::String(other)) => one.cmp(other),
            (Value::Bool(one), Value::Bool(other)) => one.cmp(other),
            (one, other) => rank(one).cmp(&rank(other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;

    use super::*;

    async fn answered(listing: Listing, items: Value) -> Result<Value, Failure> {
        let Value::Array(items) = items else { panic!("a list") };
        let response = listing.answer(items)?;
        Ok(serde_json::from_slice(&to_bytes(response.into_body(), usize::MAX).await.unwrap()).unwrap())
    }

    fn of(query: &[(&str, &str)]) -> Listing {
        let object: Map<_, _> = query.iter().map(|(key, value)| ((*key).into(), json!(value))).collect();
        serde_json::from_value(Value::Object(object)).unwrap()
    }

    #[tokio::test]
    async fn a_list_is_filtered_sorted_cut_into_pages_and_into_columns() {
        let items = || {
            json!([
                {"name": "b", "messages": 5, "stats": {"rate": 1.5}},
                {"name": "Ab", "messages": 12, "stats": {"rate": 0.0}},
                {"name": "c", "messages": 7},
            ])
        };
        let all = answered(of(&[("sort", "messages"), ("columns", "name")]), items()).await.unwrap();
        assert_eq!(all, json!([{"name": "b"}, {"name": "c"}, {"name": "Ab"}]));
        let reversed = of(&[("sort", "stats.rate"), ("sort_reverse", "true"), ("columns", "stats.rate")]);
        let all = answered(reversed, items()).await.unwrap();
        assert_eq!(all, json!([{}, {"stats": {"rate": 1.5}}, {"stats": {"rate": 0.0}}]));
        let page = of(&[("page", "2"), ("page_size", "1"), ("name", "B"), ("columns", "name")]);
        let page = answered(page, items()).await.unwrap();
        let wanted = json!({
            "filtered_count": 2, "item_count": 1, "items": [{"name": "Ab"}],
            "page": 2, "page_count": 2, "page_size": 1, "total_count": 3
        });
        assert_eq!(page, wanted);
        let matching = of(&[("name", "^[ac]"), ("use_regex", "true"), ("columns", "name")]);
        assert_eq!(answered(matching, items()).await.unwrap(), json!([{"name": "Ab"}, {"name": "c"}]));
    }

    #[tokio::test]
    async fn what_makes_no_sense_in_a_query_is_refused() {
        for query in [
            &[("page", "x")][..],
            &[("page", "0")],
            &[("page", "2")],
            &[("page", "1"), ("page_size", "501")],
            &[("page", "1"), ("page_size", "0")],
            &[("name", "("), ("use_regex", "true")],
        ] {
            assert!(answered(of(query), json!([{"name": "q"}])).await.is_err(), "{query:?}");
        }
        assert_eq!(answered(of(&[("page", "1")]), json!([])).await.unwrap()["page_count"], 1);
    }
}
