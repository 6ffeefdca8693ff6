//! Which exchange type sends which message to which binding.

use lapin::{
    BasicProperties,
    types::{AMQPValue, FieldTable},
};

use crate::{
    broker::unique,
    client::{Ch, args, refused},
};

#[tokio::test]
async fn direct_compares_keys_byte_for_byte() {
    let ch = Ch::confirming().await;
    let (exchange, queue) = (ch.exchange("direct").await, ch.queue().await);
    for key in ["k", "", "a.*"] {
        ch.bind(&queue, &exchange, key).await.unwrap();
    }
    for key in ["k", "K", "", "a.b", "a.*", "kk"] {
        ch.publish(&exchange, key, key).await.unwrap();
    }
    assert_eq!(ch.drain(&queue).await, ["k", "", "a.*"]);
}

#[tokio::test]
async fn fanout_ignores_keys() {
    let ch = Ch::confirming().await;
    let (exchange, first, second) = (ch.exchange("fanout").await, ch.queue().await, ch.queue().await);
    ch.bind(&first, &exchange, "some").await.unwrap();
    ch.bind(&second, &exchange, "").await.unwrap();
    for key in ["other", ""] {
        ch.publish(&exchange, key, "m").await.unwrap();
    }
    assert_eq!((ch.drain(&first).await.len(), ch.drain(&second).await.len()), (2, 2));
}

#[tokio::test]
async fn topic_matches_words() {
    let ch = Ch::confirming().await;
    // The empty key has no words: `*` does not match it, `#` does.
    let keys = ["", "a", "a.b", "a.b.c", "b", "a.", ".a", "a..b", "x.a.b", "a.x.y.b", "b.a", "."];
    for (pattern, matching) in [
        ("#", keys.as_slice()),
        ("", &[""]),
        ("a", &["a"]),
        ("*", &["a", "b"]),
        ("a.b", &["a.b"]),
        ("a.*", &["a.b", "a."]),
        ("*.a", &[".a", "b.a"]),
        ("*.*", &["a.b", "a.", ".a", "b.a", "."]),
        ("a.#", &["a", "a.b", "a.b.c", "a.", "a..b", "a.x.y.b"]),
        ("#.b", &["a.b", "b", "a..b", "x.a.b", "a.x.y.b"]),
        ("a.#.b", &["a.b", "a..b", "a.x.y.b"]),
        ("#.*", &["a", "a.b", "a.b.c", "b", "a.", ".a", "a..b", "x.a.b", "a.x.y.b", "b.a", "."]),
        ("*.#", &["a", "a.b", "a.b.c", "b", "a.", ".a", "a..b", "x.a.b", "a.x.y.b", "b.a", "."]),
        ("#.#", keys.as_slice()),
        ("#.a.#", &["a", "a.b", "a.b.c", "a.", ".a", "a..b", "x.a.b", "a.x.y.b", "b.a"]),
        ("a.*.b", &["a..b"]),
        ("a*", &[]),
        ("a.b#", &[]),
    ] {
        let (exchange, queue) = (ch.exchange("topic").await, ch.queue().await);
        ch.bind(&queue, &exchange, pattern).await.unwrap();
        for key in keys {
            ch.publish(&exchange, key, key).await.unwrap();
        }
        assert_eq!(ch.drain(&queue).await, matching, "{pattern}");
        ch.delete(&queue, "").await.unwrap();
    }
}

#[tokio::test]
async fn topic_bindings_of_one_queue_come_and_go_independently() {
    let ch = Ch::confirming().await;
    let (exchange, queue, keeper) = (ch.exchange("topic").await, ch.queue().await, ch.queue().await);
    ch.bind(&keeper, &exchange, "kept.#").await.unwrap();
    for pattern in ["a.#", "a.b", "*.b"] {
        ch.bind(&queue, &exchange, pattern).await.unwrap();
    }
    for (unbound, routed) in [("a.#", true), ("a.b", true), ("*.b", false)] {
        ch.unbind(&queue, &exchange, unbound).await.unwrap();
        assert_eq!(ch.publish_mandatory(&exchange, "a.b", "m").await.is_none(), routed, "after {unbound}");
    }
    assert_eq!(ch.drain(&queue).await.len(), 2);
}

async fn publish_headers(ch: &Ch, exchange: &str, headers: Option<FieldTable>) -> bool {
    let mut properties = BasicProperties::default();
    if let Some(headers) = headers {
        properties = properties.with_headers(headers);
    }
    ch.publish_with(exchange, "", "m", "mandatory", properties).await.unwrap().take_message().is_none()
}

#[tokio::test]
async fn headers_exchange_compares_headers_with_the_bindings_arguments() {
    let ch = Ch::confirming().await;
    let (a, ab, other) = (args! { "a": 1 }, args! { "a": 1, "b": "two" }, args! { "a": 2, "b": "two" });
    for (binding, [none, just_a, a_and_b, b_only]) in [
        (args! { "x-match": "all", "a": 1, "b": "two" }, [false, false, true, false]),
        (args! { "b": "two", "a": 1 }, [false, false, true, false]), // all is the default
        (args! { "x-match": "any", "a": 1, "b": "two" }, [false, true, true, true]),
        (args! { "x-match": "all" }, [true, true, true, true]),
        (args! {}, [true, true, true, true]),
        (args! { "x-match": "any" }, [false, false, false, false]),
        (args! { "x-match": "all", "a": AMQPValue::Void }, [false, true, true, true]), // void: it is enough to be there
        (args! { "x-match": "all", "a": 1, "x-ignored": "anything" }, [false, true, true, false]),
        (args! { "x-match": "all", "a": 1_i64 }, [false, true, true, false]), // another width, the same number
        (args! { "x-match": "all", "a": "1" }, [false, false, false, false]),
    ] {
        let (exchange, queue) = (ch.exchange("headers").await, ch.queue().await);
        ch.bind_with(&queue, &exchange, "key is ignored", binding.clone()).await.unwrap();
        let routed = [
            publish_headers(&ch, &exchange, None).await,
            publish_headers(&ch, &exchange, Some(a.clone())).await,
            publish_headers(&ch, &exchange, Some(ab.clone())).await,
            publish_headers(&ch, &exchange, Some(other.clone())).await,
        ];
        assert_eq!(routed, [none, just_a, a_and_b, b_only], "{binding:?}");
        ch.delete(&queue, "").await.unwrap();
    }
}

#[tokio::test]
async fn headers_that_begin_with_x_count_only_in_the_with_x_modes() {
    let ch = Ch::confirming().await;
    for (mode, wanted) in [("all", false), ("any", false), ("all-with-x", true), ("any-with-x", true)] {
        let (exchange, queue) = (ch.exchange("headers").await, ch.queue().await);
        ch.bind_with(&queue, &exchange, "", args! { "x-match": mode, "x-a": 1 }).await.unwrap();
        let right = publish_headers(&ch, &exchange, Some(args! { "x-a": 1 })).await;
        let wrong = publish_headers(&ch, &exchange, Some(args! { "x-a": 2 })).await;
        // `all` without any header left to compare matches everything.
        assert_eq!((right, wrong), (wanted || mode == "all", mode == "all"), "{mode}");
        ch.delete(&queue, "").await.unwrap();
    }
}

#[tokio::test]
async fn an_unknown_x_match_is_refused_with_406() {
    let ch = Ch::open().await;
    let queue = ch.queue().await;
    for (table, text) in [
        (
            args! { "x-match": "most" },
            "PRECONDITION_FAILED - Invalid x-match field value <<\"most\">>; expected all, any, all-with-x, or any-with-x",
        ),
        (args! { "x-match": 1 }, "PRECONDITION_FAILED - Invalid x-match field type"),
    ] {
        let other = ch.sibling().await;
        refused(other.bind_with(&queue, "amq.headers", "", table).await, 406, text);
    }
}

#[tokio::test]
async fn publishing_to_a_missing_exchange_is_404() {
    let ch = Ch::confirming().await;
    let missing = unique("missing");
    refused(
        ch.publish(&missing, "k", "m").await,
        404,
        &format!("NOT_FOUND - no exchange '{missing}' in vhost '/'"),
    );
}
