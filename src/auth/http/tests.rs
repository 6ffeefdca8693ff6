//! What becomes of the service's answers, over real sockets: a server that says what it is told to.

use std::{
    io::{Read, Write},
    iter,
    net::{TcpListener, TcpStream},
    sync::{
        Condvar, Mutex as StdMutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
};

use tokio::time::advance;

use super::*;
use crate::config::{Config, Settings};
use crate::core::access::Permission;
use crate::limits::AUTH_HTTP_QUESTIONS_AT_ONCE;

/// What the server does with each request; the request itself is kept.
#[derive(Clone)]
enum Does {
    /// Sends this and closes.
    Says(String),
    /// Sends this and takes the next request.
    Keeps(String),
    /// Closes without a word.
    Leaves,
    /// It was started again: sends this over a new connection, and closes those that it has had without a word.
    Restarted(String),
    /// Answers when it is told something else.
    Waits,
}

struct Server {
    base: String,
    does: Arc<(StdMutex<Does>, Condvar)>,
    requests: Arc<StdMutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
}

impl Server {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let server = Self {
            base,
            does: Arc::new((StdMutex::new(Does::Says(answer("200 OK", "allow"))), Condvar::new())),
            requests: Arc::default(),
            connections: Arc::default(),
        };
        let (does, requests) = (server.does.clone(), server.requests.clone());
        let connections = server.connections.clone();
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                connections.fetch_add(1, SeqCst);
                let (does, requests) = (does.clone(), requests.clone());
                // A client that has enough leaves.
                thread::spawn(move || drop(serve(client, &does, &requests)));
            }
        });
        server
    }

    fn does(&self, does: Does) -> &Self {
        *self.does.0.lock().unwrap() = does;
        self.does.1.notify_all();
        self
    }

    fn says(&self, status: &str, body: &str) -> &Self {
        self.does(Does::Says(answer(status, body)))
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    fn asked(&self) -> usize {
        self.requests().len()
    }

    fn backend(&self, change: impl FnOnce(&mut Settings)) -> Arc<HttpBackend> {
        let at = |path: &str| Some(format!("{}/{path}", self.base));
        let mut settings = Settings {
            auth_backends: Some(vec!["http".into()]),
            auth_http_user_path: at("user"),
            auth_http_vhost_path: at("vhost"),
            auth_http_resource_path: at("resource"),
            auth_http_topic_path: at("topic"),
            ..Settings::default()
        };
        change(&mut settings);
        let config = Config::load(settings).unwrap();
        HttpBackend::new(&config.backends.http.unwrap(), [7; 32]).unwrap()
    }
}

fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn serve(
    mut client: TcpStream,
    (does, changed): &(StdMutex<Does>, Condvar),
    requests: &StdMutex<Vec<String>>,
) -> std::io::Result<()> {
    for is_new in iter::once(true).chain(iter::repeat(false)) {
        let request = request(&mut client)?;
        requests.lock().unwrap().push(request);
        let is_waiting = |does: &mut Does| matches!(does, Does::Waits);
        let does = changed.wait_while(does.lock().unwrap(), is_waiting).unwrap().clone();
        match does {
            Does::Restarted(answer) if is_new => return client.write_all(answer.as_bytes()),
            Does::Says(answer) => return client.write_all(answer.as_bytes()),
            Does::Keeps(answer) => client.write_all(answer.as_bytes())?,
            Does::Leaves | Does::Waits | Does::Restarted(_) => return Ok(()),
        }
    }
    Ok(())
}

/// A request's first line, and its body behind a space if it has one.
fn request(client: &mut TcpStream) -> std::io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut octet = [0];
        client.read_exact(&mut octet)?;
        head.push(octet[0]);
    }
    let head = String::from_utf8_lossy(&head).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    client.read_exact(&mut body)?;
    let first = head.lines().next().unwrap_or_default().trim_end_matches(" http/1.1");
    Ok(format!("{first} {}", String::from_utf8_lossy(&body).to_lowercase()).trim_end().to_owned())
}

fn question(about: About) -> Question {
    let (name, tags) = (ShortString::from_static("ann"), vec![ShortString::from_static("own")]);
    let user = Arc::new(HttpUser { name, tags, is_own: false });
    Question { user, vhost: ShortString::from_static("/"), about }
}

fn of_queue(name: &'static str) -> Question {
    let name = ShortString::from_static(name);
    question(About::Resource { kind: "queue", name, permission: Permission::Read })
}

fn log_in(backend: &HttpBackend, password: &str) -> LoginSaid {
    backend.ask_about_login(&backend.login(b"ann", Some(password.as_bytes())))
}

fn failed(said: &LoginSaid) -> String {
    match said {
        LoginSaid::Nothing(why) => why.to_string(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn each_question_goes_to_its_path_by_the_method_that_is_configured() {
    let server = Server::new();
    let topic = About::Topic {
        exchange: ShortString::from_static("x"),
        key: ShortString::from_static("k"),
        permission: Permission::Write,
    };
    let vhost = About::Vhost { ip: "127.0.0.1".parse().unwrap() };
    let questions = [question(vhost), of_queue("q"), question(topic)];
    for (method, between) in [("get", "?"), ("post", " ")] {
        let backend = server.backend(|settings| settings.auth_http_method = Some(method.into()));
        log_in(&backend, "word");
        for question in &questions {
            assert_eq!(backend.ask(question).await.said, Said::Yes);
        }
        let mut wanted = vec![format!("{method} /user{between}username=ann&password=word")];
        for (path, question) in ["vhost", "resource", "topic"].into_iter().zip(&questions) {
            wanted.push(format!("{method} /{path}{between}{}", question.form()).to_lowercase());
        }
        assert_eq!(server.requests.lock().unwrap().drain(..).collect::<Vec<_>>(), wanted);
    }
}

#[tokio::test]
async fn whatever_is_no_clear_yes_is_a_no() {
    let server = Server::new();
    let backend = server.backend(|settings| {
        settings.auth_http_cache_refusals_ms = Some(0);
        settings.auth_http_cache_ms = Some(0);
    });
    let large = format!("allow{}", " ".repeat(9_000));
    for (status, body, said, login) in [
        ("200 OK", "allow", Said::Yes, Ok(LoginSaid::Yes(vec![]))),
        ("201 Created", "allow", Said::Yes, Ok(LoginSaid::Yes(vec![]))),
        ("200 OK", "deny", Said::No, Ok(LoginSaid::No(None))),
        ("200 OK", "deny not now", Said::No, Ok(LoginSaid::No(Some("not now".into())))),
        (
            "200 OK",
            "allow administrator",
            Said::Nothing, // tags are a user's
            Ok(LoginSaid::Yes(vec![ShortString::from_static("administrator")])),
        ),
        ("200 OK", "", Said::Nothing, Err("neither allow nor deny")),
        ("200 OK", "{\"allow\":true}", Said::Nothing, Err("neither allow nor deny")),
        ("200 OK", &large, Said::Nothing, Err("limit")),
        ("204 No Content", "", Said::Nothing, Err("status 204")),
        ("401 Unauthorized", "allow", Said::Nothing, Err("status 401")),
        ("500 Internal Server Error", "allow", Said::Nothing, Err("status 500")),
        ("302 Found\r\nlocation: /elsewhere", "allow", Said::Nothing, Err("status 302")),
    ] {
        server.says(status, body);
        assert_eq!(backend.ask(&of_queue("q")).await.said, said, "{status} {body}");
        let told = log_in(&backend, "word");
        match login {
            Ok(login) => assert_eq!(told, login, "{status} {body}"),
            Err(words) => assert!(failed(&told).contains(words), "{status}: {told:?}"),
        }
    }
    for does in
        [Does::Leaves, Does::Says("nonsense\r\n\r\n".into()), Does::Says("HTTP/1.1 200 OK\r\n".into())]
    {
        server.does(does);
        assert_eq!(backend.ask(&of_queue("q")).await.said, Said::Nothing);
        assert!(!failed(&log_in(&backend, "word")).contains("word"), "no password in what is told");
    }
}

#[test]
fn nobody_who_listens_and_nobody_who_answers_are_no_answer_in_bounded_time() {
    let server = Server::new();
    server.does(Does::Waits);
    for method in ["get", "post"] {
        let backend = server.backend(|settings| {
            settings.auth_http_method = Some(method.into());
            settings.auth_http_timeout_ms = Some(50);
        });
        let told = failed(&log_in(&backend, "word"));
        assert!(told.contains("timeout") && !told.contains("word"), "{told}");
        let nowhere = server.backend(|settings| {
            settings.auth_http_method = Some(method.into());
            // Nobody listens there.
            settings.auth_http_user_path = Some("http://127.0.0.1:1/user".into());
        });
        let told = failed(&log_in(&nowhere, "word"));
        assert!(!told.contains("word") && !told.contains("user"), "{told}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_said_is_remembered_for_its_time_and_a_refusal_for_less() {
    let server = Server::new();
    let backend = server.backend(|settings| {
        settings.auth_http_cache_ms = Some(1_000);
        settings.auth_http_cache_refusals_ms = Some(100);
    });
    let (known, other) = (of_queue("known"), of_queue("other"));
    let ms = Duration::from_millis;
    // Where a thread is waited for, the clock of the test stands still.
    for (question, body, said, asked, later) in [
        (&known, "allow", Said::Yes, 1, 999),
        (&known, "deny", Said::Yes, 1, 1),
        (&known, "deny", Said::No, 2, 99),
        (&known, "allow", Said::No, 2, 0),
        (&other, "allow", Said::Yes, 3, 1),
        (&known, "nothing", Said::Nothing, 4, 99),
        (&known, "allow", Said::Nothing, 4, 1),
        (&known, "allow", Said::Yes, 5, 0),
    ] {
        server.says("200 OK", body);
        let verdict = said_now(&backend, question);
        assert_eq!((verdict.said, server.asked()), (said, asked), "{body}");
        advance(ms(later)).await;
    }
}

/// What is said, with a clock that stands still while the server is waited for.
fn said_now(backend: &Arc<HttpBackend>, question: &Question) -> Verdict {
    match backend.said_lately(question) {
        Some(verdict) => verdict,
        None => backend.ask_now(question.clone()),
    }
}

#[tokio::test(start_paused = true)]
async fn a_login_is_remembered_by_user_and_password_together() {
    let server = Server::new();
    let backend = server.backend(|settings| settings.auth_http_cache_ms = Some(1_000));
    server.says("200 OK", "allow management");
    let login = |password: Option<&str>| backend.login(b"ann", password.map(str::as_bytes));
    let yes = LoginSaid::Yes(vec![ShortString::from_static("management")]);
    assert_eq!(backend.ask_about_login(&login(Some("right"))), yes);
    assert_eq!(backend.login_said_lately(&login(Some("right"))), Some(yes));
    for other in [Some("wrong"), Some(""), None] {
        assert_eq!(backend.login_said_lately(&login(other)), None, "{other:?}");
    }
    assert_eq!(backend.login_said_lately(&backend.login(b"bob", Some(b"right"))), None);
    advance(Duration::from_secs(1)).await;
    assert_eq!(backend.login_said_lately(&login(Some("right"))), None);
}

#[test]
fn who_tries_very_many_passwords_does_not_have_it_asked_again_for_those_who_know_theirs() {
    let server = Server::new();
    let backend = server.backend(|settings| settings.auth_http_cache_refusals_ms = Some(60_000));
    let of = |number: usize| backend.login(b"ann", Some(number.to_string().as_bytes()));
    server.says("200 OK", "allow");
    let yes = backend.ask_about_login(&of(0));
    for number in 1..=2 * PASSWORDS_PROVEN_MAX {
        backend.remember_login(&of(number), &LoginSaid::No(None));
    }
    assert_eq!(backend.login_said_lately(&of(0)), Some(yes));
    assert_eq!(backend.login_said_lately(&of(1)), None);
    assert_eq!(backend.login_said_lately(&of(2 * PASSWORDS_PROVEN_MAX)), Some(LoginSaid::No(None)));
    backend.remember_login(&of(0), &LoginSaid::No(None));
    assert_eq!(backend.login_said_lately(&of(0)), Some(LoginSaid::No(None)), "what was said last counts");
}

#[test]
fn a_connection_serves_several_questions_and_one_that_was_closed_meanwhile_is_no_failure() {
    let server = Server::new();
    let backend = server.backend(|settings| {
        settings.auth_http_cache_ms = Some(0);
        settings.auth_http_method = Some("post".into());
    });
    server.does(Does::Keeps(answer("200 OK", "allow")));
    for _ in 0..5 {
        assert_eq!(log_in(&backend, "word"), LoginSaid::Yes(vec![]));
    }
    assert_eq!(server.connections.load(SeqCst), 1);
    // The next request on it is taken and not answered: it is put once more.
    server.does(Does::Leaves);
    assert!(!failed(&log_in(&backend, "word")).is_empty());
    assert_eq!(server.asked(), 7);
}

#[test]
fn a_service_that_was_started_again_answers_although_it_has_closed_all_connections_of_before() {
    let server = Server::new();
    let backend = server.backend(|settings| settings.auth_http_cache_ms = Some(0));
    server.does(Does::Waits);
    thread::scope(|scope| {
        for _ in 0..5 {
            scope.spawn(|| assert_eq!(log_in(&backend, "word"), LoginSaid::Yes(vec![])));
        }
        while server.asked() < 5 {
            thread::yield_now();
        }
        server.does(Does::Keeps(answer("200 OK", "allow")));
    });
    server.does(Does::Restarted(answer("200 OK", "allow")));
    assert_eq!(log_in(&backend, "word"), LoginSaid::Yes(vec![]));
    assert_eq!((server.asked(), server.connections.load(SeqCst)), (7, 6));
}

#[tokio::test]
async fn so_many_questions_are_asked_at_once_and_the_others_wait_in_line() {
    let server = Server::new();
    server.does(Does::Waits);
    let backend = server.backend(|settings| settings.auth_http_timeout_ms = Some(60_000));
    let name = |n: usize| ShortString::try_from(format!("q{n}")).unwrap();
    let asking: Vec<_> = (0..AUTH_HTTP_QUESTIONS_AT_ONCE + 10)
        .map(|n| {
            let about = About::Resource { kind: "queue", name: name(n), permission: Permission::Read };
            let user = Arc::new(HttpUser { name: name(n % 5), tags: vec![], is_own: false });
            let (backend, question) = (backend.clone(), Question { user, ..question(about) });
            tokio::spawn(async move { backend.ask(&question).await })
        })
        .collect();
    while server.asked() < AUTH_HTTP_QUESTIONS_AT_ONCE {
        tokio::task::yield_now().await;
    }
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(server.asked(), AUTH_HTTP_QUESTIONS_AT_ONCE);
    assert!(asking.iter().all(|asking| !asking.is_finished()));
    server.says("200 OK", "allow");
    for asking in asking {
        asking.await.unwrap();
    }
    assert!(server.asked() >= AUTH_HTTP_QUESTIONS_AT_ONCE + 10, "each was asked in its turn");
}
