//! What a client's certificate is taken for, with the texts that RabbitMQ makes of it (`rabbit_ssl`, `rabbit_cert_info`).

use std::{fmt::Write, net::IpAddr};

use rustls::pki_types::CertificateDer;
use x509_parser::{
    asn1_rs::{Any, FromDer, Tag},
    certificate::X509Certificate,
    extensions::GeneralName,
    x509::AttributeTypeAndValue,
};

use crate::config::{CertificateLogin, NameKind};

/// When a certificate expires, in seconds since the Unix epoch; `None` if it cannot be read.
pub(super) fn expires(certificate: &CertificateDer<'_>) -> Option<u64> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    u64::try_from(certificate.validity().not_after.timestamp()).ok()
}

/// The configured part of a certificate; `None` if it has none such, or cannot be read.
pub(super) fn name(certificate: &[u8], from: CertificateLogin) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    match from {
        CertificateLogin::DistinguishedName => Some(distinguished_name(&certificate)),
        CertificateLogin::CommonName => common_name(&certificate),
        CertificateLogin::AlternativeName { kind, index } => alternative_name(&certificate, kind, index),
    }
}

/// The subject as RFC 4514 writes it: the last part first.
fn distinguished_name(certificate: &X509Certificate<'_>) -> String {
    let parts = certificate.subject().iter_rdn().map(|part| {
        let attributes: Vec<_> = part.iter().map(attribute).collect();
        attributes.join("+")
    });
    let mut parts: Vec<_> = parts.collect();
    parts.reverse();
    parts.join(",")
}

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let number = attribute.attr_type().to_id_string();
    let known = ATTRIBUTES.iter().find(|(known, _)| *known == number);
    let name = known.map_or(&*number, |(_, name)| name);
    format!("{name}={}", escaped(&text(attribute.attr_value())))
}

/// All common names of the subject.
fn common_name(certificate: &X509Certificate<'_>) -> Option<String> {
    let names: Vec<_> =
        certificate.subject().iter_common_name().map(|name| text(name.attr_value())).collect();
    (!names.is_empty()).then(|| names.join(","))
}

fn alternative_name(certificate: &X509Certificate<'_>, kind: NameKind, index: usize) -> Option<String> {
    let names = certificate.subject_alternative_name().ok()??;
    let of_kind = names.value.general_names.iter().filter_map(|name| match (kind, name) {
        (NameKind::Dns, GeneralName::DNSName(text))
        | (NameKind::Email, GeneralName::RFC822Name(text))
        | (NameKind::Uri, GeneralName::URI(text)) => Some((*text).to_owned()),
        (NameKind::Ip, GeneralName::IPAddress(octets)) => address(octets),
        (NameKind::Other, GeneralName::OtherName(_, value)) => Some(other_name(value)),
        _ => None,
    });
    of_kind.into_iter().nth(index)
}

/// RabbitMQ gives the octets, which nobody can type.
fn address(octets: &[u8]) -> Option<String> {
    let four = <[u8; 4]>::try_from(octets).map(IpAddr::from);
    let sixteen = || <[u8; 16]>::try_from(octets).map(IpAddr::from);
    four.or_else(|_| sixteen()).ok().map(|address| address.to_string())
}

/// A text that may be wrapped once.
fn other_name(value: &[u8]) -> String {
    let inner = |bytes| Any::from_der(bytes).ok().map(|(_, any): (_, Any<'_>)| any);
    let Some(outer) = inner(value) else { return String::from_utf8_lossy(value).into_owned() };
    match inner(outer.data) {
        Some(wrapped) if outer.header.is_constructed() => text(&wrapped),
        _ => text(&outer),
    }
}

/// A value's text. What is no text is shown by its octets (RFC 4514, 2.4).
fn text(value: &Any<'_>) -> String {
    let data = value.data;
    match value.header.tag() {
        // Latin 1, as everybody takes it.
        Tag::T61String => data.iter().copied().map(char::from).collect(),
        Tag::BmpString => {
            let units =
                data.chunks(2).map(|pair| pair.iter().fold(0, |unit, &byte| unit << 8 | u16::from(byte)));
            char::decode_utf16(units).map(|letter| letter.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
        }
        Tag::UniversalString => {
            let letters =
                data.chunks(4).map(|four| four.iter().fold(0, |it, &byte| it << 8 | u32::from(byte)));
            letters.map(|letter| char::from_u32(letter).unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
        }
        Tag::Utf8String
        | Tag::PrintableString
        | Tag::Ia5String
        | Tag::VisibleString
        | Tag::NumericString
        | Tag::GeneralString => String::from_utf8_lossy(data).into_owned(),
        _ => data.iter().fold("#".to_owned(), |mut text, byte| {
            write!(text, "{byte:02x}").expect("a text takes everything");
            text
        }),
    }
}

/// RFC 4514, 2.4, and everything that is not printable ASCII by its octets in UTF-8 (RabbitMQ).
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let last = text.len().saturating_sub(1);
    for (at, byte) in text.bytes().enumerate() {
        let is_outer_space = byte == b' ' && (at == 0 || at == last);
        match byte {
            0..32 | 126.. => write!(out, "\\{byte:02X}").expect("a text takes everything"),
            b'#' if at == 0 => out.push_str("\\#"),
            b'"' | b'+' | b',' | b';' | b'<' | b'>' | b'\\' => out.extend(['\\', byte.into()]),
            b' ' if is_outer_space => out.push_str("\\ "),
            _ => out.push(byte.into()),
        }
    }
    out
}

/// Attributes that have a name; others are written by their numbers.
const ATTRIBUTES: [(&str, &str); 17] = [
    ("2.5.4.4", "SN"),
    ("2.5.4.42", "GIVENNAME"),
    ("2.5.4.43", "INITIALS"),
    ("2.5.4.44", "GENERATIONQUALIFIER"),
    ("2.5.4.3", "CN"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.12", "TITLE"),
    ("2.5.4.6", "C"),
    ("2.5.4.5", "SERIALNUMBER"),
    ("2.5.4.65", "PSEUDONYM"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("1.2.840.113549.1.9.1", "EMAILADDRESS"),
    ("2.5.4.9", "STREET"),
    ("0.9.2342.19200300.100.1.1", "UID"),
];

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, DnValue, KeyPair, SanType};

    use super::*;

    fn certificate(subject: &[(DnType, DnValue)], names: Vec<SanType>) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        for (kind, value) in subject {
            params.distinguished_name.push(kind.clone(), value.clone());
        }
        params.subject_alt_names = names;
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    fn utf8(text: &str) -> DnValue {
        DnValue::Utf8String(text.into())
    }

    #[test]
    fn the_distinguished_name_is_rabbitmqs() {
        let subject = [
            (DnType::CountryName, DnValue::PrintableString("DE".try_into().unwrap())),
            (DnType::OrganizationName, utf8("Hare, Rabbit + Co")),
            (DnType::CustomDnType(vec![0, 9, 2342, 19_200_300, 100, 1, 1]), utf8("u")),
            (DnType::CustomDnType(vec![1, 2, 3, 4]), utf8("odd")),
            (DnType::CommonName, utf8(" #müller~ ")),
        ];
        let name = name(&certificate(&subject, vec![]), CertificateLogin::DistinguishedName);
        let shown = r"CN=\ #m\C3\BCller\7E\ ,1.2.3.4=odd,UID=u,O=Hare\, Rabbit \+ Co,C=DE";
        assert_eq!(name.as_deref(), Some(shown));
    }

    #[test]
    fn every_type_of_text_is_read() {
        for (value, shown) in [
            (DnValue::PrintableString("Plain".try_into().unwrap()), "Plain"),
            (DnValue::Ia5String("a@b".try_into().unwrap()), "a@b"),
            (DnValue::BmpString("wäre".try_into().unwrap()), "wäre"),
            (DnValue::UniversalString("野兎".try_into().unwrap()), "野兎"),
            (DnValue::TeletexString("teletex".try_into().unwrap()), "teletex"),
            (utf8("Häsin"), "Häsin"),
        ] {
            let certificate = certificate(&[(DnType::CommonName, value)], vec![]);
            assert_eq!(name(&certificate, CertificateLogin::CommonName).as_deref(), Some(shown));
        }
    }

    #[test]
    fn texts_are_escaped_where_rfc_4514_wants_it() {
        for (text, shown) in [
            ("", ""),
            (" ", "\\ "),
            ("  ", "\\ \\ "),
            (" a b ", "\\ a b\\ "),
            ("#a#", "\\#a#"),
            ("\"+,;<>\\=", "\\\"\\+\\,\\;\\<\\>\\\\="),
            ("a\0\n", "a\\00\\0A"),
        ] {
            assert_eq!(escaped(text), shown, "{text:?}");
        }
    }

    #[test]
    fn an_alternative_name_is_chosen_by_kind_and_index() {
        let names = vec![
            SanType::DnsName("first.example".try_into().unwrap()),
            SanType::Rfc822Name("a@example".try_into().unwrap()),
            SanType::URI("urn:hare:1".try_into().unwrap()),
            SanType::IpAddress("192.0.2.1".parse().unwrap()),
            SanType::IpAddress("2001:db8::1".parse().unwrap()),
            SanType::DnsName("second.example".try_into().unwrap()),
            SanType::OtherName((vec![1, 2, 3], "other".into())),
        ];
        let certificate = certificate(&[], names);
        for (kind, index, shown) in [
            (NameKind::Dns, 0, Some("first.example")),
            (NameKind::Dns, 1, Some("second.example")),
            (NameKind::Dns, 2, None),
            (NameKind::Email, 0, Some("a@example")),
            (NameKind::Uri, 0, Some("urn:hare:1")),
            (NameKind::Ip, 0, Some("192.0.2.1")),
            (NameKind::Ip, 1, Some("2001:db8::1")),
            (NameKind::Other, 0, Some("other")),
            (NameKind::Other, 1, None),
        ] {
            let from = CertificateLogin::AlternativeName { kind, index };
            assert_eq!(name(&certificate, from).as_deref(), shown, "{kind:?} {index}");
        }
    }

    #[test]
    fn what_is_not_there_is_no_name_and_what_cannot_be_read_neither() {
        let without = certificate(&[], vec![]);
        assert_eq!(name(&without, CertificateLogin::CommonName), None);
        let dns = CertificateLogin::AlternativeName { kind: NameKind::Dns, index: 0 };
        assert_eq!(name(&without, dns), None);
        assert_eq!(name(&without, CertificateLogin::DistinguishedName).as_deref(), Some(""));
        for bytes in [&b""[..], b"nonsense", &without[..without.len() / 2]] {
            assert_eq!(name(bytes, CertificateLogin::DistinguishedName), None);
        }
    }
}
