//! The last lines of the program's log, and its audit.

use axum::{Json, extract::State, response::IntoResponse};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::limits::{RECENT_LINES_SHOWN_DEFAULT, RECENT_LINES_SHOWN_MAX};
use crate::management::{
    Api,
    extract::{Asked, Query},
    failure::{Answered, bad_request},
    openapi::Routes,
    recent::Part,
    visitor::Visitor,
};

pub(super) fn routes() -> Routes {
    Routes::about("log", "The last lines of the program's log")
        .get("/api/leveret/log", log, "Look at the last lines of the log, without the audit")
        .for_monitors()
        .get("/api/leveret/audit", audit, "Look at the last records of the audit")
        .for_monitors()
}

/// Which lines are asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Wanted {
    level: Option<String>,
    find: Option<String>,
    before: Option<u64>,
    limit: Option<usize>,
}

impl Asked for Wanted {
    const PARAMETERS: &'static [(&'static str, &'static str)] = &[
        ("level", "Those of this level or a worse one: error, warn, info, debug or trace"),
        ("find", "Those with this in them, whether capital or not"),
        ("before", "Those before the line of this number"),
        ("limit", "How many, the last ones: 200, and at most 1000"),
    ];
}

/// Levels as the log writes them, the worst first.
const LEVELS: [&str; 5] = ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"];

impl Wanted {
    /// How many of the [`LEVELS`] are wanted.
    fn levels(&self) -> Answered<usize> {
        let Some(level) = self.level.as_deref().filter(|level| !level.is_empty()) else {
            return Ok(LEVELS.len());
        };
        let place = LEVELS.iter().position(|name| name.eq_ignore_ascii_case(level));
        place.map(|place| place + 1).ok_or_else(|| bad_request(format!("unknown level: {level}")))
    }
}

/// Lines that suit what is asked for, the latest first.
fn shown(api: &Api, part: Part, wanted: &Wanted) -> Answered<Value> {
    let levels = &LEVELS[..wanted.levels()?];
    let find = wanted.find.as_deref().unwrap_or_default().to_lowercase();
    let limit = wanted.limit.unwrap_or(RECENT_LINES_SHOWN_DEFAULT).min(RECENT_LINES_SHOWN_MAX);
    let kept = api.node.recent.kept(part);
    let suits = |(number, line): &(u64, std::sync::Arc<str>)| {
        if wanted.before.is_some_and(|before| *number >= before) || !line.to_lowercase().contains(&find) {
            return None;
        }
        let mut line: Value = serde_json::from_str(line).ok()?;
        line["number"] = json!(number);
        line["level"].as_str().is_some_and(|level| levels.contains(&level)).then_some(line)
    };
    let lines: Vec<_> = kept.lines.iter().filter_map(suits).take(limit).collect();
    Ok(json!({ "lines": lines, "kept": kept.lines.len(), "forgotten": kept.forgotten }))
}

async fn log(visitor: Visitor, State(api): State<Api>, Query(wanted): Query<Wanted>) -> Answered {
    visitor.require_monitor()?;
    Ok(Json(shown(&api, Part::Log, &wanted)?).into_response())
}

async fn audit(visitor: Visitor, State(api): State<Api>, Query(wanted): Query<Wanted>) -> Answered {
    visitor.require_monitor()?;
    Ok(Json(shown(&api, Part::Audit, &wanted)?).into_response())
}
