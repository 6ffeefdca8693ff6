//! Who asks: found among the command line, the environment and a profile, in this order.

use secrecy::{ExposeSecret, SecretString};

use super::error::{Error, usage};

/// Who asks the broker.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// Somebody who does not say who that is.
    Nobody,
    /// A user and its password.
    User {
        /// Its name.
        name: String,
        /// Its password.
        password: SecretString,
    },
    /// A bearer token.
    Token(SecretString),
}

/// What one of the places says about who asks.
#[derive(Debug, Default, Clone)]
pub struct Place {
    /// A user.
    pub user: Option<String>,
    /// A password.
    pub password: Option<SecretString>,
    /// A token.
    pub token: Option<SecretString>,
}

/// Who asks, as far as that is known.
#[derive(Debug, Clone)]
pub enum Found {
    /// Nobody has said.
    Nothing,
    /// All that it takes.
    Credentials(Credentials),
    /// The password of this user is still to be asked for.
    PasswordOf(String),
}

/// The first place that names a user or a token says who asks. A password counts if the place that has it names the same user, or none.
pub fn find(places: &[Place]) -> Result<Found, Error> {
    for place in places {
        if let (Some(_), Some(_)) = (&place.token, &place.user) {
            return Err(usage("a user and a token are both given: only one of them can count"));
        }
        if let Some(token) = &place.token {
            return Ok(Found::Credentials(Credentials::Token(token.clone())));
        }
        if place.user.is_some() {
            break;
        }
    }
    let user = places.iter().find_map(|place| place.user.clone());
    let name = user.clone().unwrap_or_else(|| DEFAULT_USER.into());
    let is_its = |place: &&Place| place.user.as_ref().is_none_or(|user| *user == name);
    let password = places.iter().filter(is_its).find_map(|place| place.password.clone());
    Ok(match (user, password) {
        (_, Some(password)) => Found::Credentials(Credentials::User { name, password }),
        (None, None) => Found::Nothing,
        (Some(_), None) if name == DEFAULT_USER => Found::Credentials(Credentials::of_guest()),
        (Some(_), None) => Found::PasswordOf(name),
    })
}

impl Credentials {
    /// The user that a new broker has.
    pub fn of_guest() -> Self {
        Self::User { name: DEFAULT_USER.into(), password: DEFAULT_USER.into() }
    }

    /// Who that is, for people.
    pub fn who(&self) -> String {
        match self {
            Self::Nobody => "who does not say a user".into(),
            Self::User { name, .. } => format!("user '{name}'"),
            Self::Token(_) => "who has this token".into(),
        }
    }

    /// The value of the header `Authorization`.
    pub fn header(&self) -> Option<SecretString> {
        use base64::{Engine, prelude::BASE64_STANDARD};
        match self {
            Self::Nobody => None,
            Self::User { name, password } => {
                let both = zeroize::Zeroizing::new(format!("{name}:{}", password.expose_secret()));
                Some(format!("Basic {}", BASE64_STANDARD.encode(both.as_bytes())).into())
            }
            Self::Token(token) => Some(format!("Bearer {}", token.expose_secret()).into()),
        }
    }
}

/// Name and password of the user that a new broker has.
const DEFAULT_USER: &str = "guest";

#[cfg(test)]
mod tests {
    use super::*;

    fn place(user: &str, password: &str, token: &str) -> Place {
        let said = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Place {
            user: said(user),
            password: said(password).map(Into::into),
            token: said(token).map(Into::into),
        }
    }

    fn found(places: &[Place]) -> String {
        match find(places) {
            Err(error) => error.to_string(),
            Ok(Found::Nothing) => "nothing".into(),
            Ok(Found::PasswordOf(name)) => format!("{name}, and which password?"),
            Ok(Found::Credentials(Credentials::Nobody)) => "nobody".into(),
            Ok(Found::Credentials(Credentials::Token(token))) => format!("token {}", token.expose_secret()),
            Ok(Found::Credentials(Credentials::User { name, password })) => {
                format!("{name}:{}", password.expose_secret())
            }
        }
    }

    #[test]
    fn who_asks_is_found_in_the_first_place_that_names_somebody() {
        let none = || place("", "", "");
        for (places, wanted) in [
            (vec![], "nothing"),
            (vec![none(), none()], "nothing"),
            (vec![place("ann", "a", "")], "ann:a"),
            (vec![place("ann", "", ""), place("", "e", "")], "ann:e"),
            (vec![place("ann", "", ""), place("ann", "e", "")], "ann:e"),
            (vec![place("ann", "", ""), place("ben", "e", "")], "ann, and which password?"),
            (vec![place("ann", "", ""), place("ben", "e", ""), place("ann", "p", "")], "ann:p"),
            (vec![none(), place("ben", "e", ""), place("ann", "p", "")], "ben:e"),
            (vec![place("", "f", ""), place("ben", "e", "")], "ben:f"),
            (vec![place("", "f", "")], "guest:f"),
            (vec![place("guest", "", "")], "guest:guest"),
            (vec![place("", "", "t"), place("ben", "e", "")], "token t"),
            (vec![place("ann", "a", ""), place("", "", "t")], "ann:a"),
            (vec![place("ann", "a", "t")], "a user and a token are both given: only one of them can count"),
        ] {
            assert_eq!(found(&places), wanted, "{places:?}");
        }
    }

    #[test]
    fn neither_password_nor_token_is_shown() {
        let place = place("ann", "geheim", "geheim");
        let shown = format!("{place:?} {:?}", Credentials::Token("geheim".into()));
        assert!(!shown.contains("geheim"), "{shown}");
    }
}
