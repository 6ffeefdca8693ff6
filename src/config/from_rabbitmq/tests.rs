use super::*;

const NOTHING: [&str; 0] = [];

/// What is made of a file, without comments, as lines.
fn made(text: &str) -> Vec<String> {
    let Translation { toml, .. } = from_rabbitmq(text);
    toml.lines().filter(|line| !line.starts_with('#')).map(String::from).collect()
}

#[test]
fn each_key_becomes_the_setting_that_means_the_same() {
    for (theirs, ours) in [
        ("listeners.tcp.default = 5673", r#"amqp-listen = ["0.0.0.0:5673"]"#),
        (
            "listeners.tcp.local = 127.0.0.1:5672\nlisteners.tcp.6 = ::1:5672",
            r#"amqp-listen = ["127.0.0.1:5672", "::1:5672"]"#,
        ),
        ("default_user = ann", r#"default-user = "ann""#),
        ("default_pass = 'a # b'", r#"default-pass = "a # b""#),
        ("default_pass = secret # a comment", r#"default-pass = "secret""#),
        ("default_vhost = shop", r#"default-vhost = "shop""#),
        ("loopback_users.guest = false", "loopback-users = []"),
        ("loopback_users = none", "loopback-users = []"),
        ("loopback_users.ann = true", r#"loopback-users = ["ann"]"#),
        ("vm_memory_high_watermark.absolute = 2GB", r#"memory-limit-bytes = "2GB""#),
        ("disk_free_limit.absolute = 512MiB", r#"disk-free-limit = "512MiB""#),
        ("heartbeat = 30", "heartbeat = 30"),
        ("frame_max = 131072", r#"frame-max = "131072""#),
        ("channel_max = 128", "channel-max = 128"),
        ("connection_max = 500", "connection-max = 500"),
        ("max_message_size = 67108864", r#"max-message-size = "67108864""#),
        ("consumer_timeout = 3600000", "consumer-timeout = 3600000"),
        ("consumer_max_per_channel = 10", "consumers-per-channel-max = 10"),
        ("handshake_timeout = 20000", "handshake-timeout-ms = 20000"),
        ("load_definitions = /etc/d.json", r#"load-definitions = "/etc/d.json""#),
        ("definitions.local.path = /etc/d.json", r#"load-definitions = "/etc/d.json""#),
        ("management.load_definitions = /etc/d.json", r#"load-definitions = "/etc/d.json""#),
        ("management.tcp.port = 15673", r#"http-listen = ["0.0.0.0:15673"]"#),
        ("prometheus.tcp.port = 15693", r#"metrics-listen = ["0.0.0.0:15693"]"#),
        ("management.cors.allow_origins.1 = https://a", r#"http-cors-origins = ["https://a"]"#),
        ("management.hsts.policy = max-age=5; preload", r#"http-hsts = "max-age=5; preload""#),
        ("anonymous_login_user = none", r#"anonymous-login-user = "none""#),
        ("password_hashing_module = rabbit_password_hashing_sha256", r#"password-hashing = "sha256""#),
        ("log.console.level = warning", r#"log = "warn""#),
        ("log.file.level = none", r#"log = "off""#),
        ("log.console.formatter = json", r#"log-format = "json""#),
        ("heartbeat = 1\nheartbeat = 2", "heartbeat = 2"),
    ] {
        assert_eq!(made(theirs), [ours], "{theirs}");
        assert_eq!(from_rabbitmq(theirs).left, NOTHING, "{theirs}");
    }
}

#[test]
fn tls_comes_over_as_a_whole() {
    let files = "ssl_options.certfile = /c\nssl_options.keyfile = /k\nlisteners.ssl.default = 5671\n";
    for (verify, ours) in [
        ("", None),
        ("ssl_options.cacertfile = /ca\n", Some("none")),
        ("ssl_options.cacertfile = /ca\nssl_options.verify = verify_none", Some("none")),
        ("ssl_options.cacertfile = /ca\nssl_options.verify = verify_peer", Some("optional")),
        (
            "ssl_options.cacertfile = /ca\nssl_options.verify = verify_peer\nssl_options.fail_if_no_peer_cert = true",
            Some("required"),
        ),
        ("ssl_options.cacertfile = /ca\nssl_options.fail_if_no_peer_cert = true", Some("none")),
    ] {
        let text = format!("{files}{verify}");
        let lines = made(&text);
        for line in [r#"amqps-listen = ["0.0.0.0:5671"]"#, r#"tls-cert = "/c""#, r#"tls-key = "/k""#] {
            assert!(lines.contains(&line.into()), "{line} in {lines:?}");
        }
        let said = lines.iter().find_map(|line| line.strip_prefix("tls-verify = "));
        assert_eq!(said, ours.map(|ours| format!("\"{ours}\"")).as_deref(), "{text}");
        assert_eq!(from_rabbitmq(&text).left, NOTHING, "{text}");
    }
}

#[test]
fn tokens_come_over_as_a_whole() {
    let text = "auth_backends.1 = oauth2\nauth_oauth2.resource_server_id = shop\nauth_oauth2.jwks_url = https://a/keys\n\
                auth_oauth2.issuer = https://a\nauth_oauth2.preferred_username_claims.1 = name";
    let lines = made(text);
    for line in [
        r#"oauth-resource-server-id = "shop""#,
        r#"oauth-jwks-url = "https://a/keys""#,
        r#"oauth-issuer = "https://a""#,
        r#"oauth-preferred-username-claims = ["name"]"#,
    ] {
        assert!(lines.contains(&line.into()), "{line} in {lines:?}");
    }
    assert_eq!(from_rabbitmq(text).left, NOTHING);
}

#[test]
fn an_http_service_comes_over_with_who_is_asked_before_it() {
    let paths = ["user", "vhost", "resource", "topic"]
        .map(|path| format!("auth_http.{path}_path = http://auth/{path}\n"))
        .concat();
    for (backends, ours) in [
        ("auth_backends.1 = internal\nauth_backends.2 = http", r#"["internal", "http"]"#),
        ("auth_backends.2 = internal\nauth_backends.1 = rabbit_auth_backend_http", r#"["http", "internal"]"#),
        ("auth_backends.1.authn = internal\nauth_backends.1.authz = http", r#"["internal/http"]"#),
        ("auth_backends.1 = oauth2\nauth_backends.2 = http", r#"["http"]"#),
        (
            "auth_backends.1 = cache\nauth_cache.cached_backend = http\nauth_cache.cache_ttl = 2000",
            r#"["http"]"#,
        ),
        (
            "auth_backends.1 = cache\nauth_cache.cached_backend.authn = http\nauth_cache.cached_backend.authz = internal",
            r#"["http/internal"]"#,
        ),
    ] {
        let more = "auth_http.http_method = post\nauth_http.request_timeout = 3000\nauth_http.ssl_options.cacertfile = /ca\n";
        let text = format!("{paths}{more}{backends}");
        let lines = made(&text);
        for line in [
            &*format!("auth-backends = {ours}"),
            r#"auth-http-user-path = "http://auth/user""#,
            r#"auth-http-vhost-path = "http://auth/vhost""#,
            r#"auth-http-resource-path = "http://auth/resource""#,
            r#"auth-http-topic-path = "http://auth/topic""#,
            r#"auth-http-method = "post""#,
            r#"auth-http-ca = "/ca""#,
            "auth-http-timeout-ms = 3000",
        ] {
            assert!(lines.contains(&line.into()), "{line} in {lines:?}");
        }
        assert_eq!(lines.contains(&"auth-http-cache-ms = 2000".into()), text.contains("cache_ttl"));
        assert_eq!(from_rabbitmq(&text).left, NOTHING, "{text}");
    }
}

#[test]
fn what_holds_anyway_is_nothing_to_say() {
    let text =
        "# a comment\n\n## another\nlog.console = true\nauth_backends.1 = internal\nauth_mechanisms.1 = PLAIN
default_permissions.read = .*\ndefault_user_tags.administrator = true\nvm_memory_high_watermark.relative = 0.4
definitions.import_backend = local_filesystem\nloopback_users.ann = false\nlisteners.ssl = none";
    let translation = from_rabbitmq(text);
    assert_eq!((made(text).len(), translation.left.len()), (0, 0), "{translation:?}");
}

#[test]
fn what_cannot_be_translated_is_listed_with_the_reason() {
    for (theirs, why) in [
        ("cluster_formation.peer_discovery_backend = dns", "there is one node"),
        ("cluster_partition_handling = ignore", "there is one node"),
        ("quorum_queue.property_equivalence.relaxed_checks_on_redeclaration = true", "tuned"),
        ("raft.wal_max_size_bytes = 1", "tuned"),
        ("queue_index_embed_msgs_below = 4096", "one log"),
        ("collect_statistics_interval = 5000", "samples"),
        ("default_queue_type = quorum", "virtual hosts"),
        ("vm_memory_high_watermark.relative = 0.6", "number of bytes"),
        ("disk_free_limit.relative = 1.0", "number of bytes"),
        ("auth_backends.1 = ldap", "users are kept here"),
        (
            "auth_backends.1 = internal\nauth_backends.2.authn = http\nauth_backends.2.authz = ldap",
            "auth_backends.2 = http, ldap",
        ),
        ("auth_backends.1 = http", "auth-http-user-path: has to be set"),
        ("auth_http.vhost_path = http://a/v", "auth-http-vhost-path: left out with auth-http-user-path"),
        ("auth_http.connection_timeout = 100", "a part of the time"),
        ("auth_http.ssl_options.verify = verify_none", "its certificate is always checked"),
        ("auth_cache.cache_refusals = true", "auth-http-cache-refusals-ms"),
        ("auth_backends.one = http", "users are kept here"),
        ("auth_mechanisms.1 = RABBIT-CR-DEMO", "mechanisms"),
        ("deprecated_features.permit.transient_nonexcl_queues = true", "nothing to permit"),
        ("default_permissions.read = ^a", "definitions"),
        ("log.file = /var/log/rabbit.log", "standard error"),
        ("log.console.level = loud", "no level"),
        ("heartbeat = often", "no number"),
        ("connection_max = infinity", "no number"),
        ("frame_max = large", "no size"),
        ("heartbeat = -1", "heartbeat: "),
        ("heartbeat = 70000", "heartbeat: "),
        ("channel_max = 0", "channel-max: 0 is not between"),
        ("listeners.tcp.default = nowhere", "amqp-listen: "),
        ("listeners.ssl.default = 5671", "amqps-listen: needs tls-cert"),
        ("ssl_options.verify = verify_peer", "tls-verify: needs tls-ca"),
        ("ssl_options.certfile = /c", "tls-cert: needs tls-key"),
        ("ssl_options.versions.1 = tlsv1.1", "TLS 1.2"),
        ("ssl_options.password = geheim", "[masked]"),
        ("auth_oauth2.resource_server_id = shop", "oauth-jwks-file: has to be set"),
        ("auth_oauth2.issuer = https://a", "oauth-issuer: left out with oauth-resource-server-id"),
        ("prometheus.return_per_object_metrics = true", "/metrics/per-object"),
        ("something.of.theirs = 1", "there is no such setting"),
        ("what is this", "line 1: it is not `key = value`"),
        ("= 7", "line 1: "),
        ("heartbeat =", "line 1: "),
    ] {
        let Translation { toml, left } = from_rabbitmq(theirs);
        assert!(left.iter().any(|left| left.contains(why)), "{theirs}: {left:?}");
        assert!(!toml.contains("geheim") && !left.iter().any(|left| left.contains("geheim")));
        for left in &left {
            assert!(toml.contains(&format!("# not translated: {left}\n")), "{toml}");
        }
    }
}

#[test]
fn what_is_made_can_be_used_whatever_the_values_are() {
    let values = [
        "",
        "0",
        "-1",
        "99999999999999999999",
        "\"",
        "\\",
        "'",
        "a\u{1}b\u{7f}",
        "none",
        "true",
        "0.4",
        "[1]",
    ];
    let keys = "listeners.tcp.default default_user default_pass default_vhost loopback_users.guest loopback_users.a heartbeat frame_max \
                channel_max connection_max max_message_size consumer_timeout load_definitions ssl_options.cacertfile \
                ssl_options.certfile ssl_options.keyfile ssl_options.verify management.tcp.port prometheus.tcp.port log.console.level \
                vm_memory_high_watermark.absolute disk_free_limit.absolute auth_oauth2.jwks_url auth_oauth2.issuer \
                auth_backends.1 auth_backends.2.authz auth_http.user_path auth_http.vhost_path auth_http.http_method \
                auth_http.request_timeout auth_cache.cache_ttl auth_cache.cached_backend";
    for value in values {
        for keys in keys.split_whitespace().map(|key| vec![key]).chain([keys.split_whitespace().collect()]) {
            let text = keys.iter().map(|key| format!("{key} = {value}")).collect::<Vec<_>>().join("\n");
            let made = from_rabbitmq(&text).toml;
            let settings: Settings =
                toml::from_str(&made).unwrap_or_else(|error| panic!("{text}: {made}: {error}"));
            Config::load(settings).unwrap_or_else(|error| panic!("{text}: {made}: {error}"));
        }
    }
}
