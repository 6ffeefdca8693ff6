//! A broker with the HTTP API, and who asks it.
#![allow(dead_code, reason = "each test crate uses its own part of it")]

use std::{path::Path, sync::Arc};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::Value;
use ureq::{
    Agent, Body,
    http::{Request, Response},
};

use crate::broker::Broker;

/// Flags of the brokers here.
const ARGS: [&str; 4] = ["--http-listen", "127.0.0.1:0", "--password-hashing", "sha256"];

/// Somebody who asks a broker's API.
#[derive(Clone)]
pub struct Api {
    pub broker: Arc<Broker>,
    base: String,
    authorization: Option<String>,
    agent: Agent,
}

impl Api {
    /// The default user, at a broker of the test's own. `None` when a broker is tested that somebody else has started.
    pub fn start(args: &[&str]) -> Option<Self> {
        let all = [&ARGS[..], args].concat();
        Some(Self::of(Broker::start(&all, &[])?))
    }

    /// The same on a data folder of the test's. The broker is killed when nobody holds it any more.
    pub fn start_on(folder: &Path) -> Option<Self> {
        Some(Self::of(Broker::start_on_with(folder.to_str().unwrap(), &ARGS)?))
    }

    fn of(broker: Arc<Broker>) -> Self {
        let base = format!("http://{}", broker.http_address.as_ref().unwrap());
        let agent = Agent::config_builder().http_status_as_error(false).build().into();
        Self { broker, base, authorization: None, agent }.being("guest", "guest")
    }

    /// Somebody else.
    pub fn being(&self, user: &str, password: &str) -> Self {
        let credentials = BASE64_STANDARD.encode(format!("{user}:{password}"));
        Self { authorization: Some(format!("Basic {credentials}")), ..self.clone() }
    }

    /// Somebody who does not say who that is.
    pub fn nobody(&self) -> Self {
        Self { authorization: None, ..self.clone() }
    }

    /// Sends a request of the API with a body, or none.
    pub fn send(&self, method: &str, path: &str, body: &[u8]) -> Response<Body> {
        self.send_to(method, &format!("/api/{path}"), body)
    }

    /// Sends a request to any path.
    pub fn send_to(&self, method: &str, path: &str, body: &[u8]) -> Response<Body> {
        let path = path.replace(' ', "%20").replace('>', "%3E");
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        self.agent.run(request.body(body).unwrap()).unwrap()
    }

    /// The status and the JSON that a request is answered with; null without any.
    pub fn ask(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let mut response = self.send(method, path, &bytes);
        let text = response.body_mut().read_to_string().unwrap();
        let json = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() };
        (response.status().as_u16(), json)
    }

    /// What is answered with 200.
    pub fn get(&self, path: &str) -> Value {
        let (status, json) = self.ask("GET", path, &Value::Null);
        assert_eq!(status, 200, "{path}: {json}");
        json
    }

    /// The status of a GET.
    pub fn status(&self, path: &str) -> u16 {
        self.ask("GET", path, &Value::Null).0
    }

    /// The status of a PUT.
    pub fn put(&self, path: &str, body: &Value) -> u16 {
        let (status, json) = self.ask("PUT", path, body);
        assert!(matches!(status, 201 | 204) || json.is_object(), "{path}: {status} {json}");
        status
    }

    /// The status of a DELETE.
    pub fn delete(&self, path: &str) -> u16 {
        self.ask("DELETE", path, &Value::Null).0
    }

    /// What a POST is answered with, if with success.
    pub fn post(&self, path: &str, body: &Value) -> Value {
        let (status, json) = self.ask("POST", path, body);
        assert!((200..300).contains(&status), "{path}: {status} {json}");
        json
    }
}
