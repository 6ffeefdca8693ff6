//! What handlers take from an address: axum's extractors, which answer what they cannot read in the API's form.

use axum::{
    extract::{self, FromRequestParts, rejection::PathRejection},
    http::request::Parts,
};
use serde::de::DeserializeOwned;

use super::failure::{Failure, bad_request};

/// Parameters behind a question mark, for the API's document.
pub trait Asked {
    /// Their names, each with its meaning.
    const PARAMETERS: &'static [(&'static str, &'static str)];
}

/// The parts of a path that its route names, in order. 400 if they are not of their types.
#[derive(Debug, Clone, Copy)]
pub struct Path<T>(pub T);

/// The parameters behind a question mark. 400 if they are not of their types.
#[derive(Debug, Clone, Copy)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let read = extract::Path::from_request_parts(parts, state).await;
        read.map(|extract::Path(named)| Self(named)).map_err(|rejection| match rejection {
            // A route without names: nothing that who asks could mend.
            PathRejection::MissingPathParams(missing) => Failure::Internal(missing.body_text()),
            rejection => bad_request(rejection.body_text()),
        })
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let read = extract::Query::from_request_parts(parts, state).await;
        read.map(|extract::Query(said)| Self(said)).map_err(|rejection| bad_request(rejection.body_text()))
    }
}
