//! Rows of the table: what is answered where, and who may ask.

use axum::{
    Router,
    handler::Handler,
    http::Method,
    routing::{MethodFilter, on},
};

use super::inputs::{Inputs, Taken};
use crate::management::Api;

/// Part of the table: what is answered about one kind of thing, or several such parts together.
#[derive(Default)]
pub struct Routes {
    router: Router<Api>,
    rows: Vec<Row>,
    kinds: Vec<(&'static str, &'static str)>,
}

/// What is answered to a method at an address.
#[derive(Debug, Clone)]
pub struct Row {
    /// The method.
    pub method: Method,
    /// The address, with names in braces.
    pub path: &'static str,
    /// The kind of thing that it is about.
    pub kind: &'static str,
    /// What it does, in a few words.
    pub summary: &'static str,
    /// Who may ask.
    pub who: Who,
    /// What the handler takes.
    pub inputs: Inputs,
    /// Fields of the body.
    pub fields: Vec<Field>,
    /// The body is no JSON.
    pub takes_bytes: bool,
    /// Statuses of answers to requests that succeed, or that a check fails.
    pub statuses: &'static [u16],
    /// The form of the answer.
    pub form: Form,
}

/// Who may ask: RabbitMQ's user tags, each of which permits what those before it do, except that monitoring permits no policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// Anybody on the same machine, and each user from elsewhere.
    Anybody,
    /// Each user with a tag of RabbitMQ's. Permissions say what it sees and does.
    Visitors,
    /// `policymaker`.
    Policymakers,
    /// `monitoring`.
    Monitors,
    /// `administrator`.
    Administrators,
}

/// What an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A thing, as JSON.
    Json,
    /// Many things, as JSON; perhaps a page of them.
    List,
    /// Lines of text.
    Text,
    /// Server-sent events, as long as somebody takes them.
    Events,
}

/// A field of a body.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Its key.
    pub name: &'static str,
    /// What its value is.
    pub kind: Kind,
    /// It must be there.
    pub is_required: bool,
}

/// What the value of a field is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A text.
    Text,
    /// A truth value.
    Flag,
    /// A whole number.
    Whole,
    /// An object.
    Object,
    /// A list of texts.
    Texts,
    /// A list of objects.
    Objects,
    /// Anything.
    Any,
}

/// A field that must be there.
pub const fn must(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, is_required: true }
}

/// A field that may be there.
pub const fn may(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, is_required: false }
}

impl Routes {
    /// An empty part about a kind of thing: one word, and a sentence.
    pub fn about(kind: &'static str, meaning: &'static str) -> Self {
        Self { kinds: vec![(kind, meaning)], ..Self::default() }
    }

    /// This part and another one.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.router = self.router.merge(other.router);
        self.rows.extend(other.rows);
        self.kinds.extend(other.kinds);
        self
    }

    /// A thing can be looked at.
    #[must_use]
    pub fn get<T: Taken>(
        self,
        path: &'static str,
        handler: impl Handler<T, Api>,
        summary: &'static str,
    ) -> Self {
        self.row(Method::GET, path, handler, summary, Form::Json, &[200])
    }

    /// A list of things can be looked at.
    #[must_use]
    pub fn list<T: Taken>(
        self,
        path: &'static str,
        handler: impl Handler<T, Api>,
        summary: &'static str,
    ) -> Self {
        self.row(Method::GET, path, handler, summary, Form::List, &[200])
    }

    /// A page of text can be read.
    #[must_use]
    pub fn text<T: Taken>(
        self,
        path: &'static str,
        handler: impl Handler<T, Api>,
        summary: &'static str,
    ) -> Self {
        self.row(Method::GET, path, handler, summary, Form::Text, &[200])
    }

    /// What happens can be seen as long as somebody looks.
    #[must_use]
    pub fn events<T: Taken>(
        self,
        path: &'static str,
        handler: impl Handler<T, Api>,
        summary: &'static str,
    ) -> Self {
        self.row(Method::GET, path, handler, summary, Form::Events, &[200])
    }

    /// Something can be made, or changed: 201 or 204, unless it is said otherwise.
    #[must_use]
    pub fn put<T: Taken>(
        self,
        path: &'static str,
        handler: impl Handler<T, Api>,
        summary: &'static str,
    ) -> Self {
        self.row(Method::PUT, path, handler, summary, Form::Json, &[201, 204])
    }

    /// Something can be done: 200, unless it is said otherwise.
    #[must_use]
    pub fn post<T: Taken>(
        self,
        path: &'static str,
        handler: impl Handler<T, Api>,
        summary: &'static str,
    ) -> Self {
        self.row(Method::POST, path, handler, summary, Form::Json, &[200])
    }

    /// Something can be taken away: 204.
    #[must_use]
    pub fn delete<T: Taken>(
        self,
        path: &'static str,
        handler: impl Handler<T, Api>,
        summary: &'static str,
    ) -> Self {
        self.row(Method::DELETE, path, handler, summary, Form::Json, &[204])
    }

    fn row<T: Taken>(
        mut self,
        method: Method,
        path: &'static str,
        handler: impl Handler<T, Api>,
        summary: &'static str,
        form: Form,
        statuses: &'static [u16],
    ) -> Self {
        let filter = MethodFilter::try_from(method.clone()).expect("it is one of HTTP's own methods");
        self.router = self.router.route(path, on(filter, handler));
        let kind = self.kinds.last().map_or("", |(kind, _)| *kind);
        let inputs = T::inputs();
        let who = if inputs.takes_anybody { Who::Anybody } else { Who::Visitors };
        self.rows.push(Row {
            method,
            path,
            kind,
            summary,
            who,
            inputs,
            fields: Vec::new(),
            takes_bytes: false,
            statuses,
            form,
        });
        self
    }

    /// The last row's body has these fields.
    #[must_use]
    pub fn taking(self, fields: impl IntoIterator<Item = Field>) -> Self {
        self.last(|row| row.fields = fields.into_iter().collect())
    }

    /// The last row's body is no JSON.
    #[must_use]
    pub fn taking_bytes(self) -> Self {
        self.last(|row| row.takes_bytes = true)
    }

    /// The last row is answered with these statuses, if it succeeds or a check fails.
    #[must_use]
    pub fn answering(self, statuses: &'static [u16]) -> Self {
        self.last(|row| row.statuses = statuses)
    }

    /// The last row is for policymakers.
    #[must_use]
    pub fn for_policymakers(self) -> Self {
        self.last(|row| row.who = Who::Policymakers)
    }

    /// The last row is for monitors.
    #[must_use]
    pub fn for_monitors(self) -> Self {
        self.last(|row| row.who = Who::Monitors)
    }

    /// The last row is for administrators.
    #[must_use]
    pub fn for_administrators(self) -> Self {
        self.last(|row| row.who = Who::Administrators)
    }

    /// All rows so far are for administrators.
    #[must_use]
    pub fn all_for_administrators(mut self) -> Self {
        self.rows.iter_mut().for_each(|row| row.who = Who::Administrators);
        self
    }

    fn last(mut self, change: impl FnOnce(&mut Row)) -> Self {
        if let Some(row) = self.rows.last_mut() {
            change(row);
        }
        self
    }

    /// The rows, in order.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The kinds of things, each with what is meant.
    pub fn kinds(&self) -> &[(&'static str, &'static str)] {
        &self.kinds
    }

    /// What answers them.
    pub fn into_router(self) -> Router<Api> {
        self.router
    }
}
