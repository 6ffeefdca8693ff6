//! A browser without scripts: it keeps cookies, sends forms with what was hidden in the page, and follows nothing by itself.

use std::{collections::BTreeMap, io::Read, sync::Mutex};

use base64::{Engine, prelude::BASE64_STANDARD};
use ureq::{
    Agent, Body,
    http::{Request, Response},
};

use crate::api::Api;

/// One browser.
pub struct Browser {
    base: String,
    agent: Agent,
    cookies: Mutex<BTreeMap<String, String>>,
    authorization: Option<String>,
    /// Sent with each request.
    pub headers: Vec<(String, String)>,
}

/// What it was answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub location: String,
    pub set_cookie: Vec<String>,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Answer {
    /// The value of the first hidden field of this name.
    pub fn hidden(&self, name: &str) -> String {
        let (_, rest) = self.body.split_once(&format!("name=\"{name}\" value=\"")).expect("it has the field");
        rest.split('"').next().unwrap().to_owned()
    }

    /// Whether the page has all of these words.
    #[track_caller]
    pub fn shows(&self, words: &[&str]) {
        for word in words {
            assert!(self.body.contains(word), "{word} is not in {}", self.body);
        }
    }
}

impl Browser {
    /// One without cookies, at a broker.
    pub fn at(api: &Api) -> Self {
        let base = format!("http://{}", api.broker.http_address.as_ref().unwrap());
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false);
        Self {
            base,
            agent: agent.build().into(),
            cookies: Mutex::default(),
            authorization: None,
            headers: Vec::new(),
        }
    }

    /// One that has logged in.
    pub fn logged_in(api: &Api, user: &str, password: &str) -> Self {
        let browser = Self::at(api);
        let answer = browser.log_in(user, password, "/");
        assert_eq!((answer.status, &*answer.location), (303, "/"), "{}", answer.body);
        browser
    }

    /// One that sends a name and a password with each request.
    pub fn basic(api: &Api, user: &str, password: &str) -> Self {
        let credentials = BASE64_STANDARD.encode(format!("{user}:{password}"));
        Self { authorization: Some(format!("Basic {credentials}")), ..Self::at(api) }
    }

    /// Sends the form of the login page.
    pub fn log_in(&self, user: &str, password: &str, next: &str) -> Answer {
        self.send("POST", "/login", &[("user", user), ("password", password), ("next", next)])
    }

    /// A page.
    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[])
    }

    /// A page that is there.
    #[track_caller]
    pub fn page(&self, path: &str) -> Answer {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer
    }

    /// Sends a form with the code of a page.
    pub fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let csrf = self.page("/publish").hidden("csrf");
        self.send("POST", path, &[&[("csrf", &*csrf)], fields].concat())
    }

    /// Sends a form that does what it should, and gives the page to which it leads.
    #[track_caller]
    pub fn done(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let answer = self.post(path, fields);
        assert_eq!(answer.status, 303, "{path} {fields:?}: {}", answer.body);
        self.page(&answer.location)
    }

    /// Sends a form in parts with the code of a page.
    pub fn upload(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let csrf = self.page("/publish").hidden("csrf");
        self.send_parts(path, &[&[("csrf", &*csrf)], fields].concat())
    }

    /// Sends a form in parts.
    pub fn send_parts(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let part = |(name, value): &(&str, &str)| {
            format!("--edge\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        };
        let body: String = fields.iter().map(part).chain(["--edge--\r\n".to_owned()]).collect();
        self.send_body("POST", path, "multipart/form-data; boundary=edge", body)
    }

    /// Sends a request.
    pub fn send(&self, method: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
        let body = serde_urlencoded::to_string(fields).unwrap();
        self.send_body(method, path, "application/x-www-form-urlencoded", body)
    }

    /// What is answered with 200 as long as somebody takes it.
    pub fn open(&self, path: &str) -> impl Read + use<> {
        let response = self.respond("GET", path, "", String::new());
        assert_eq!(response.status(), 200, "{path}");
        response.into_body().into_reader()
    }

    fn send_body(&self, method: &str, path: &str, kind: &str, body: String) -> Answer {
        let mut response = self.respond(method, path, kind, body);
        let text =
            |name: &str| response.headers().get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
        let set_cookie =
            response.headers().get_all("set-cookie").iter().map(|value| value.to_str().unwrap().to_owned());
        let set_cookie: Vec<String> = set_cookie.collect();
        for cookie in &set_cookie {
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            let mut cookies = self.cookies.lock().unwrap();
            if cookie.contains("Max-Age=0") {
                cookies.remove(name);
            } else {
                cookies.insert(name.into(), value.into());
            }
        }
        let headers = response
            .headers()
            .iter()
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
        Answer {
            status: response.status().as_u16(),
            location: text("location"),
            set_cookie,
            headers: headers.collect(),
            body: response.body_mut().read_to_string().unwrap(),
        }
    }

    fn respond(&self, method: &str, path: &str, kind: &str, body: String) -> Response<Body> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header("accept", "text/html");
        if method == "POST" {
            request = request.header("content-type", kind);
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let cookies: Vec<_> =
            self.cookies.lock().unwrap().iter().map(|(name, value)| format!("{name}={value}")).collect();
        if !cookies.is_empty() {
            request = request.header("cookie", cookies.join("; "));
        }
        self.agent.run(request.body(body.into_bytes()).unwrap()).unwrap()
    }

    /// The cookies that it keeps.
    pub fn cookies(&self) -> BTreeMap<String, String> {
        self.cookies.lock().unwrap().clone()
    }

    /// Keeps one more, as if another broker had given it.
    pub fn keep(&self, name: &str, value: &str) {
        self.cookies.lock().unwrap().insert(name.into(), value.into());
    }

    /// Forgets all cookies, as a browser does that was closed.
    pub fn forget(&self) {
        self.cookies.lock().unwrap().clear();
    }
}
