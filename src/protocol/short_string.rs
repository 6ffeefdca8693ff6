//! The short string of AMQP: at most 255 bytes behind one length octet (AMQP 0-9-1, 4.2.5.3).
//!
//! Invariant: a [`ShortString`] never holds more than 255 bytes, so its length always fits the octet in front of
//! it and encoding cannot fail. The bytes need not be UTF-8: names are compared octet by octet, and text is only
//! made of them for people.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// The most bytes a short string can hold.
pub const SHORT_STRING_BYTES_MAX: usize = 255;

/// Up to 255 bytes, shared: a clone costs a reference count.
///
/// Equality, order and hash are those of the bytes, so that a map keyed by it can be asked with a `&[u8]`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ShortString(Arc<[u8]>);

impl ShortString {
    /// The empty string. Does not allocate.
    pub fn new() -> Self {
        Self::default()
    }

    /// A short string of a literal.
    ///
    /// # Panics
    ///
    /// If the literal is longer than 255 bytes, which is a mistake in the program: for anything that is not a
    /// literal use `try_from`.
    pub fn from_static(text: &'static str) -> Self {
        Self::try_from(text).expect("a literal short string has at most 255 bytes")
    }

    /// The bytes themselves.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes as text for people: what is not UTF-8 becomes U+FFFD.
    pub fn as_str_lossy(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }
}

/// The bytes do not fit a short string.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{size_bytes} bytes do not fit a short string of at most 255")]
pub struct TooLong {
    /// How many bytes there were.
    pub size_bytes: usize,
}

impl Deref for ShortString {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for ShortString {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Borrow<[u8]> for ShortString {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl TryFrom<&[u8]> for ShortString {
    type Error = TooLong;

    fn try_from(bytes: &[u8]) -> Result<Self, TooLong> {
        if bytes.len() > SHORT_STRING_BYTES_MAX {
            return Err(TooLong { size_bytes: bytes.len() });
        }
        if bytes.is_empty() { Ok(Self::default()) } else { Ok(Self(Arc::from(bytes))) }
    }
}

impl<const N: usize> TryFrom<&[u8; N]> for ShortString {
    type Error = TooLong;

    fn try_from(bytes: &[u8; N]) -> Result<Self, TooLong> {
        Self::try_from(bytes.as_slice())
    }
}

impl TryFrom<&str> for ShortString {
    type Error = TooLong;

    fn try_from(text: &str) -> Result<Self, TooLong> {
        Self::try_from(text.as_bytes())
    }
}

impl TryFrom<Vec<u8>> for ShortString {
    type Error = TooLong;

    fn try_from(bytes: Vec<u8>) -> Result<Self, TooLong> {
        Self::try_from(bytes.as_slice())
    }
}

impl TryFrom<String> for ShortString {
    type Error = TooLong;

    fn try_from(text: String) -> Result<Self, TooLong> {
        Self::try_from(text.as_bytes())
    }
}

impl PartialEq<str> for ShortString {
    fn eq(&self, other: &str) -> bool {
        *self.0 == *other.as_bytes()
    }
}

impl PartialEq<&str> for ShortString {
    fn eq(&self, other: &&str) -> bool {
        *self.0 == *other.as_bytes()
    }
}

impl PartialEq<[u8]> for ShortString {
    fn eq(&self, other: &[u8]) -> bool {
        *self.0 == *other
    }
}

impl fmt::Display for ShortString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.as_str_lossy())
    }
}

impl fmt::Debug for ShortString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.as_str_lossy(), f)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn two_hundred_and_fifty_five_bytes_fit_and_one_more_does_not() {
        assert_eq!(ShortString::try_from(vec![7; 255]).unwrap().len(), 255);
        assert_eq!(ShortString::try_from(vec![7; 256]), Err(TooLong { size_bytes: 256 }));
        assert!(ShortString::try_from("a".repeat(256)).is_err());
    }

    #[test]
    fn a_map_of_short_strings_is_asked_with_plain_bytes() {
        let map = HashMap::from([(ShortString::from_static("orders"), 1)]);
        assert_eq!(map.get(b"orders".as_slice()), Some(&1));
        assert_eq!(map.get(b"order".as_slice()), None);
    }

    #[test]
    fn bytes_that_are_not_utf8_are_kept_and_shown_with_replacements() {
        let name = ShortString::try_from(b"a\xFFb").unwrap();
        assert_eq!(name.as_bytes(), b"a\xFFb");
        assert_eq!(name.to_string(), "a\u{FFFD}b");
        assert_eq!(format!("{name:?}"), "\"a\u{FFFD}b\"");
    }

    #[test]
    fn empty_strings_share_one_allocation() {
        assert!(std::ptr::eq(ShortString::new().0.as_ptr(), ShortString::try_from("").unwrap().0.as_ptr()));
    }

    #[test]
    #[should_panic(expected = "at most 255 bytes")]
    fn a_literal_that_is_too_long_panics() {
        let text: &'static str = Box::leak("x".repeat(256).into_boxed_str());
        ShortString::from_static(text);
    }
}
