//! What pages show, whatever names things have.

use lapin::types::FieldTable;
use serde_json::{Value, json};

use crate::{
    api::Api,
    browser::{Answer, Browser},
    client::Ch,
};

const NULL: Value = Value::Null;

/// Names that are more than a name where they are not written as text.
pub fn hostile() -> Vec<String> {
    vec![
        "<script>alert(1)</script>".into(),
        "\"'><img src=x onerror=alert(1)>&amp;".into(),
        "\u{202e}right to left\u{202c}".into(),
        "control\u{1}\u{7f}\tcharacters".into(),
        "..".into(),
        "a/b?c#d%2F".into(),
        "שלום".into(),
        "x".repeat(255),
    ]
}

pub fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

#[track_caller]
pub fn is_safe(path: &str, answer: &Answer) {
    let policy = &answer.headers["content-security-policy"];
    for part in [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'self'",
    ] {
        assert!(policy.contains(part), "{path}: {policy}");
    }
    assert_eq!(answer.headers["x-content-type-options"], "nosniff", "{path}");
    assert_eq!(answer.headers["referrer-policy"], "same-origin", "{path}");
    let body = &answer.body;
    for unsafe_text in ["<script>", "<img", "onerror=alert(1)>", " style=", "javascript:"] {
        assert!(!body.contains(unsafe_text), "{path} has {unsafe_text:?}: {body}");
    }
    // What forms send back is as it is; what is to be read is not.
    let read: String = body.split('<').filter_map(|part| Some(part.split_once('>')?.1)).collect();
    assert!(!read.contains(['\u{202e}', '\u{1}', '\u{7f}', '\t']), "{path}: {read:?}");
    for attribute in ["href", "src", "action"] {
        for elsewhere in ["http", "//"] {
            let leads = format!("{attribute}=\"{elsewhere}");
            assert!(!body.contains(&leads), "{path} leads elsewhere: {body}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn every_page_shows_hostile_names_as_text() {
    let Some(api) = Api::start(&[]) else { return };
    let browser = Browser::logged_in(&api, "guest", "guest");
    for name in hostile() {
        let client = Ch::open_to(api.broker.clone()).await;
        let its = encoded(&name);
        assert_eq!(api.ask("PUT", &format!("queues/%2F/{its}"), &NULL).0, 201, "{name}");
        assert_eq!(api.ask("PUT", &format!("exchanges/%2F/{its}"), &json!({ "type": "headers" })).0, 201);
        client.bind_with(&name, &name, &name, FieldTable::default()).await.unwrap();
        let mut headers = FieldTable::default();
        headers.insert("x".into(), lapin::types::AMQPValue::LongString((&*name).into()));
        let properties =
            lapin::BasicProperties::default().with_headers(headers).with_message_id(name.clone().into());
        client.publish_with("", &name, &name, "", properties).await.unwrap();
        client.fence(&name).await;
        let of = format!("vhost=%2F&name={its}");
        let publish = format!("/publish?vhost=%2F&exchange={its}&key={its}");
        let search = format!("/queues?name={its}");
        let login = format!("/login?next={its}");
        for path in [
            "/",
            "/queues",
            &search,
            &format!("/queue?{of}"),
            &format!("/queue/messages?{of}"),
            &format!("/queue/messages?{of}&form=hex"),
            &format!("/queue/move?{of}"),
            &format!("/queue/purge?{of}"),
            &format!("/queue/delete?{of}"),
            &publish,
            "/exchanges",
            &format!("/exchange?{of}"),
            &format!("/exchange/delete?{of}"),
            "/connections",
            "/channels",
            "/consumers",
            "/redrives",
            "/me",
        ] {
            is_safe(path, &browser.page(path));
        }
        is_safe(&login, &Browser::at(&api).page(&login));
        let page = browser.page(&format!("/queue?{of}"));
        page.shows(&["Look at messages", "the default exchange, by its name"]);
        for path in [
            format!("/queue?vhost={its}&name=x"),
            format!("/queue?vhost=%2F&name=no{its}"),
            format!("/connection?name={its}"),
        ] {
            let answer = browser.get(&path);
            assert_eq!(answer.status, 404, "{path}");
            is_safe(&path, &answer);
        }
        assert_eq!(api.delete(&format!("queues/%2F/{its}")), 204);
        assert_eq!(api.delete(&format!("exchanges/%2F/{its}")), 204);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_clients_words_of_itself_are_shown_as_text() {
    let Some(api) = Api::start(&[]) else { return };
    let mut properties = lapin::ConnectionProperties::default();
    for key in ["connection_name", "product", "<b>key</b>"] {
        properties = properties.with_client_property(key.into(), "<script>\u{202e}".into());
    }
    let connection = lapin::Connection::connect(&api.broker.uri(), properties).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    api.put("queues/%2F/q", &NULL);
    let options = lapin::options::BasicConsumeOptions::default();
    channel.basic_consume("q".into(), "<script>".into(), options, FieldTable::default()).await.unwrap();
    let browser = Browser::logged_in(&api, "guest", "guest");
    let name = encoded(api.get("connections")[0]["name"].as_str().unwrap());
    for path in [
        "/connections",
        &format!("/connection?name={name}"),
        &format!("/connection/close?name={name}"),
        "/channels",
        "/consumers",
        "/queue?vhost=%2F&name=q",
    ] {
        is_safe(path, &browser.page(path));
    }
    browser.page(&format!("/connection?name={name}")).shows(&["&lt;b&gt;key&lt;/b&gt;"]);
}

#[test]
fn lists_have_pages_an_order_a_filter_and_columns_that_are_remembered() {
    let Some(api) = Api::start(&[]) else { return };
    for number in 0..120 {
        api.put(&format!("queues/%2F/q{number:03}"), &NULL);
    }
    let browser = Browser::logged_in(&api, "guest", "guest");
    let has = |path: &str, names: &[&str], others: &[&str]| {
        let page = browser.page(path);
        for name in names {
            assert!(page.body.contains(&format!(">{name}</bdi>")), "{path} has no {name}");
        }
        for name in others {
            assert!(!page.body.contains(&format!(">{name}</bdi>")), "{path} has {name}");
        }
    };
    has("/queues", &["q000", "q049"], &["q050"]);
    has("/queues?page=3", &["q100", "q119"], &["q099"]);
    has("/queues?sort=name&reverse=true", &["q119"], &["q000"]);
    has("/queues?name=q11", &["q110", "q119"], &["q109", "q011"]);
    has("/queues?name=%5Eq.%5B01%5D9&regex=true", &["q009", "q019"], &["q029"]);
    has("/queues?page=99", &["q000"], &["q050"]);
    assert_eq!(browser.get("/queues?name=(&regex=true").status, 400);
    browser.page("/queues").shows(&["120 queues", "page 1 of 3"]);
    assert!(!browser.page("/queues").body.contains(">In memory</a>"));
    let chosen = browser.get("/queues/columns?memory=on&ready=on&back=%2Fqueues%3Fpage%3D2");
    assert_eq!((chosen.status, &*chosen.location), (303, "/queues?page=2"));
    let page = browser.page("/queues");
    page.shows(&[">In memory</a>", ">Ready</a>"]);
    assert!(!page.body.contains(">Consumers</a></th>"));
    assert_eq!(browser.get("/queues/columns?back=%2F%2Fevil").location, "/queues");
}

#[test]
fn what_is_not_there_is_told_on_a_page_and_to_clients_of_the_api_as_before() {
    let Some(api) = Api::start(&[]) else { return };
    let browser = Browser::logged_in(&api, "guest", "guest");
    let missing = browser.get("/queue?vhost=%2F&name=none");
    assert_eq!(missing.status, 404);
    missing.shows(&["Not there", "Overview", "Queues"]);
    let nowhere = browser.get("/nowhere");
    assert_eq!(nowhere.status, 404);
    nowhere.shows(&["No such page"]);
    assert_eq!(browser.send("PUT", "/queues", &[]).status, 405);
    assert_eq!(api.status("no-such"), 404);
    assert_eq!(api.status("overview/"), 200, "as some clients write it");
    let json = api.send_to("GET", "/nowhere", b"").body_mut().read_to_string().unwrap();
    assert!(json.contains("Object Not Found"), "{json}");
    assert_eq!(api.send_to("GET", "/metrics", b"").status(), 200);
}

#[test]
fn assets_are_not_sent_twice() {
    let Some(api) = Api::start(&[]) else { return };
    for (path, kind) in [
        ("/assets/console.css", "text/css"),
        ("/assets/console.js", "text/javascript"),
        ("/assets/icon.svg", "image/svg+xml"),
    ] {
        let mut browser = Browser::at(&api);
        let answer = browser.page(path);
        assert!(answer.headers["content-type"].starts_with(kind));
        browser.headers.push(("if-none-match".into(), answer.headers["etag"].clone()));
        let again = browser.get(path);
        assert_eq!((again.status, again.body.len()), (304, 0), "{path}");
    }
}
