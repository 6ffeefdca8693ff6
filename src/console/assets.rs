//! The stylesheet, the module and the icon: part of the program, and remembered by browsers until the program is another one.

use std::{fmt::Write, sync::LazyLock};

use axum::{
    Router,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use sha2::{Digest, Sha256};

struct Asset {
    kind: &'static str,
    text: &'static str,
    tag: String,
}

impl Asset {
    fn new(kind: &'static str, text: &'static str) -> Self {
        let mut tag = String::from("\"");
        for octet in &Sha256::digest(text)[..8] {
            // Writing to a text does not fail.
            let _ = write!(tag, "{octet:02x}");
        }
        tag.push('"');
        Self { kind, text, tag }
    }

    /// The asset, or that the browser has it already.
    fn answer(&self, headers: &HeaderMap) -> Response {
        let fixed = [
            (header::ETAG, HeaderValue::from_str(&self.tag).unwrap_or(HeaderValue::from_static("\"\""))),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
            (header::CONTENT_TYPE, HeaderValue::from_static(self.kind)),
        ];
        let has_it =
            headers.get(header::IF_NONE_MATCH).is_some_and(|tag| tag.as_bytes() == self.tag.as_bytes());
        if has_it {
            (StatusCode::NOT_MODIFIED, fixed).into_response()
        } else {
            (fixed, self.text).into_response()
        }
    }
}

static STYLE: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("text/css; charset=utf-8", include_str!("assets/console.css")));
static MODULE: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("text/javascript; charset=utf-8", include_str!("assets/console.js")));
static ICON: LazyLock<Asset> = LazyLock::new(|| Asset::new("image/svg+xml", include_str!("assets/icon.svg")));

/// Where they are.
pub fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/assets/console.css", get(async |headers: HeaderMap| STYLE.answer(&headers)))
        .route("/assets/console.js", get(async |headers: HeaderMap| MODULE.answer(&headers)))
        .route("/assets/icon.svg", get(async |headers: HeaderMap| ICON.answer(&headers)))
        .route("/favicon.ico", get(async |headers: HeaderMap| ICON.answer(&headers)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::CONSOLE_ASSETS_BYTES_MAX;

    #[test]
    fn everything_that_a_browser_loads_is_small_and_of_this_origin() {
        let all = [&*STYLE, &*MODULE, &*ICON];
        let bytes: usize = all.iter().map(|asset| asset.text.len()).sum();
        assert!(bytes <= CONSOLE_ASSETS_BYTES_MAX, "{bytes}");
        for asset in all {
            let foreign = asset.text.replace("http://www.w3.org/2000/svg", "");
            assert!(
                !foreign.contains("http:") && !foreign.contains("https:") && !foreign.contains("@import")
            );
        }
    }

    #[test]
    fn who_has_an_asset_is_not_sent_it_again() {
        let mut headers = HeaderMap::new();
        assert_eq!(STYLE.answer(&headers).status(), StatusCode::OK);
        headers.insert(header::IF_NONE_MATCH, HeaderValue::from_str(&STYLE.tag).unwrap());
        assert_eq!(STYLE.answer(&headers).status(), StatusCode::NOT_MODIFIED);
        assert_eq!(MODULE.answer(&headers).status(), StatusCode::OK);
    }
}
