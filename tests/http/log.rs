//! The last lines of the program's log, and its audit.

use serde_json::{Value, json};

use crate::api::Api;

/// Lines of a part of the log.
fn lines(api: &Api, wanted: &str) -> Vec<Value> {
    api.get(&format!("leveret/{wanted}"))["lines"].as_array().unwrap().clone()
}

#[test]
fn the_audit_is_kept_apart_from_the_log_the_latest_first_in_the_form_for_programs() {
    for form in ["text", "json"] {
        let Some(api) = Api::start(&["--log-format", form]) else { return };
        api.put("users/ann", &json!({ "password": "secret", "tags": "management" }));
        api.put("permissions/%2F/ann", &json!({ "configure": "<b>\u{202e}", "write": "", "read": "" }));
        let audit = lines(&api, "audit");
        let events: Vec<_> = audit.iter().take(2).map(|line| &line["fields"]["event"]).collect();
        assert_eq!(events, ["permissions-set", "user-set"], "{form}");
        assert_eq!((&audit[0]["level"], &audit[0]["target"]), (&json!("INFO"), &json!("leveret::audit")));
        assert_eq!(audit[0]["fields"]["configure"], "<b>\\u{202e}", "{form}");
        assert!(audit[0]["number"].as_u64() > audit[1]["number"].as_u64());
        assert!(!audit.iter().any(|line| line.to_string().contains("secret")), "no password");
        let log = lines(&api, "log");
        assert!(!log.is_empty() && !log.iter().any(|line| line["target"] == "leveret::audit"), "{log:?}");
    }
}

#[test]
fn lines_are_found_by_level_by_what_is_in_them_and_by_number() {
    let Some(api) = Api::start(&[]) else { return };
    assert_eq!(api.being("Nobody", "x").status("whoami"), 401);
    api.put("users/ann", &json!({ "password": "secret", "tags": "" }));
    let found = lines(&api, "audit?level=warn");
    assert_eq!((found.len(), &found[0]["fields"]["user"]), (1, &json!("Nobody")));
    assert_eq!(lines(&api, "audit?find=nOBODY&level=").len(), 1);
    assert_eq!(lines(&api, "audit?level=error").len(), 0);
    let number = found[0]["number"].as_u64().unwrap();
    let last = lines(&api, "audit?limit=1");
    assert_eq!((last.len(), last[0]["number"].as_u64()), (1, Some(number + 1)));
    assert!(
        lines(&api, &format!("audit?before={number}"))
            .iter()
            .all(|line| line["number"].as_u64() < Some(number))
    );
    for wrong in ["audit?level=loud", "log?limit=-1", "log?before=x"] {
        assert_eq!(api.status(&format!("leveret/{wrong}")), 400, "{wrong}");
    }
}

#[test]
fn what_the_log_leaves_out_is_not_kept() {
    let Some(api) = Api::start(&["--log", "leveret::audit=off"]) else { return };
    api.put("users/ann", &json!({ "password": "secret", "tags": "" }));
    assert_eq!(lines(&api, "audit").len(), 0);
    assert_eq!(api.get("leveret/audit")["kept"], 0);
}
