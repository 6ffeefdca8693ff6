//! Variables by which RabbitMQ's container is told its default user, taken where Leveret's own say nothing.

use std::ffi::OsString;

use super::{ConfigError, Settings};

/// What RabbitMQ's variables say. `read` reads one; an empty one says nothing (RabbitMQ).
pub(super) fn rabbitmq(read: impl Fn(&str) -> Option<OsString>) -> Result<Settings, ConfigError> {
    let text = |name: &'static str| match read(name).map(OsString::into_string) {
        None => Ok(None),
        Some(Ok(text)) => Ok(Some(text).filter(|text| !text.is_empty())),
        Some(Err(_)) => Err(ConfigError::Invalid { name, message: "is not UTF-8".into() }),
    };
    Ok(Settings {
        default_user: text("RABBITMQ_DEFAULT_USER")?,
        default_pass: text("RABBITMQ_DEFAULT_PASS")?.map(Into::into),
        default_vhost: text("RABBITMQ_DEFAULT_VHOST")?,
        ..Settings::default()
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn each_variable_is_read_and_an_empty_one_says_nothing() {
        let all = rabbitmq(|name| Some(name.to_lowercase().into())).unwrap();
        assert_eq!(all.default_user.as_deref(), Some("rabbitmq_default_user"));
        assert_eq!(all.default_vhost.as_deref(), Some("rabbitmq_default_vhost"));
        assert_eq!(all.default_pass.unwrap().expose_secret(), "rabbitmq_default_pass");
        for nothing in [None, Some(OsString::new())] {
            let settings = rabbitmq(|_| nothing.clone()).unwrap();
            assert!(settings.default_user.is_none() && settings.default_pass.is_none());
        }
    }

    #[test]
    fn leverets_own_settings_beat_them() {
        let own = Settings { default_user: Some("own".into()), ..Settings::default() };
        let merged = own.over(rabbitmq(|_| Some("theirs".into())).unwrap());
        assert_eq!(merged.default_user.as_deref(), Some("own"));
        assert_eq!(merged.default_vhost.as_deref(), Some("theirs"));
        let own = Settings { default_pass_file: Some("/a/file".into()), ..Settings::default() };
        let merged = own.over(rabbitmq(|_| Some("theirs".into())).unwrap());
        assert!(
            merged.default_pass.is_none() && merged.default_pass_file.is_some(),
            "it was said where the password is"
        );
    }

    #[test]
    fn what_is_no_text_is_refused_by_name() {
        let error = rabbitmq(|_| Some(OsString::from_vec(vec![0xFF]))).unwrap_err();
        assert_eq!(error.to_string(), "RABBITMQ_DEFAULT_USER: is not UTF-8");
    }
}
