//! What all methods have in common: how they are encoded, and how reading one fails. The methods themselves are
//! generated; see [`Method`](super::Method).

use super::generated;

/// Something that stands in a method frame.
pub trait Encode {
    /// Appends class, method and arguments: the payload of a method frame (AMQP 0-9-1, 4.2.4).
    fn encode(&self, out: &mut Vec<u8>);
}

/// Why a payload is not a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MethodError {
    /// Neither AMQP 0-9-1 nor RabbitMQ has such a method. RabbitMQ closes the connection.
    #[error("unknown method {class_id}.{method_id}")]
    UnknownMethod {
        /// The class as sent.
        class_id: u16,
        /// The method as sent.
        method_id: u16,
    },
    /// The arguments end early, go on too long, or hold a broken table. RabbitMQ closes the connection with 501
    /// `FRAME_ERROR - cannot decode <<...>>`, the arguments in the notation of
    /// [`ErlangBinary`](super::frame::ErlangBinary).
    #[error("malformed arguments of {}", generated::method_name(*class_id, *method_id).unwrap_or("a method"))]
    Malformed {
        /// The class as sent; 0 if the payload is shorter than the four octets of class and method.
        class_id: u16,
        /// The method as sent; 0 if the payload is shorter than the four octets of class and method.
        method_id: u16,
    },
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::TestRunner;

    use super::generated::strategy;
    use super::*;
    use crate::protocol::{FieldTable, Method, ReplyCode, ShortString, basic, connection, queue};

    fn encoded(method: &impl Encode) -> Vec<u8> {
        let mut out = Vec::new();
        method.encode(&mut out);
        out
    }

    fn any_method() -> impl Strategy<Value = Method> {
        proptest::strategy::Union::new(strategy::methods())
    }

    #[test]
    fn every_method_is_decoded_as_it_was_encoded() {
        let mut runner = TestRunner::new(ProptestConfig::with_cases(32));
        for strategy in strategy::methods() {
            runner
                .run(&strategy, |method| {
                    let bytes = encoded(&method);
                    let (class_id, method_id) = method.ids();
                    prop_assert_eq!(&bytes[..4], [class_id.to_be_bytes(), method_id.to_be_bytes()].concat());
                    prop_assert_eq!(generated::method_name(class_id, method_id), Some(method.name()));
                    prop_assert!(method.client_may_send() || method.server_may_send());
                    prop_assert_eq!(Method::decode(&bytes), Ok(method));
                    Ok(())
                })
                .unwrap();
        }
    }

    #[test]
    fn a_publish_stands_on_the_wire_as_the_specification_says() {
        let publish = basic::Publish {
            exchange: ShortString::from_static("ex"),
            routing_key: ShortString::from_static("key"),
            mandatory: true,
            immediate: false,
        };
        let bytes = encoded(&publish);
        assert_eq!(bytes, b"\x00\x3C\x00\x28\x00\x00\x02ex\x03key\x01");
        let view = basic::PublishView::decode(&bytes[4..]).unwrap();
        assert_eq!((view.exchange, view.routing_key), (b"ex".as_slice(), b"key".as_slice()));
        assert!(view.mandatory && !view.immediate);
    }

    #[test]
    fn adjacent_bits_share_an_octet_from_the_lowest_bit_up() {
        let declare = queue::Declare { durable: true, no_wait: true, ..Default::default() };
        assert_eq!(encoded(&declare), [0, 50, 0, 10, 0, 0, 0, 0b1_0010, 0, 0, 0, 0]);
    }

    #[test]
    fn reserved_fields_are_skipped_whatever_they_hold() {
        let payload = b"\x00\x0A\x00\x28\x01/\x03abc\x01";
        let open = connection::Open { virtual_host: ShortString::from_static("/") };
        assert_eq!(Method::decode(payload), Ok(Method::ConnectionOpen(open.clone())));
        assert_eq!(encoded(&open), b"\x00\x0A\x00\x28\x01/\x00\x00");
    }

    #[test]
    fn bytes_after_the_arguments_are_malformed() {
        let mut bytes = encoded(&basic::Ack { delivery_tag: 1, multiple: false });
        bytes.push(0);
        assert_eq!(Method::decode(&bytes), Err(MethodError::Malformed { class_id: 60, method_id: 80 }));
    }

    #[test]
    fn every_truncation_is_malformed() {
        let declare = queue::Declare {
            queue: ShortString::from_static("q"),
            arguments: FieldTable::new().with("x-max-length", 5),
            ..Default::default()
        };
        let bytes = encoded(&declare);
        for length in 4..bytes.len() {
            assert_eq!(
                Method::decode(&bytes[..length]),
                Err(MethodError::Malformed { class_id: 50, method_id: 10 })
            );
        }
        assert_eq!(Method::decode(&bytes[..3]), Err(MethodError::Malformed { class_id: 0, method_id: 0 }));
    }

    #[test]
    fn a_claimed_length_of_four_gib_is_malformed() {
        let payload = b"\x00\x0A\x00\x15\xFF\xFF\xFF\xFF";
        assert_eq!(Method::decode(payload), Err(MethodError::Malformed { class_id: 10, method_id: 21 }));
    }

    #[test]
    fn a_method_nobody_has_is_named_by_its_numbers() {
        let error = Method::decode(&[0, 60, 0, 99]).unwrap_err();
        assert_eq!(error, MethodError::UnknownMethod { class_id: 60, method_id: 99 });
        assert_eq!(error.to_string(), "unknown method 60.99");
    }

    #[test]
    fn exchange_unbind_ok_has_the_number_that_rabbitmq_gave_it() {
        assert_eq!(generated::method_name(40, 51), Some("exchange.unbind-ok"));
    }

    #[test]
    fn reply_codes_know_their_names_and_their_reach() {
        assert_eq!(ReplyCode::PreconditionFailed.name(), "PRECONDITION_FAILED");
        assert_eq!(ReplyCode::PreconditionFailed.code(), 406);
        assert!(!ReplyCode::PreconditionFailed.is_hard() && !ReplyCode::ReplySuccess.is_hard());
        assert!(ReplyCode::ConnectionForced.is_hard() && ReplyCode::NotAllowed.is_hard());
        assert_eq!(ReplyCode::from_code(541), Some(ReplyCode::InternalError));
        assert_eq!(ReplyCode::from_code(1), None);
    }

    proptest! {
        #[test]
        fn mutated_methods_never_panic(
            method in any_method(), at in any::<prop::sample::Index>(), octet: u8, cut in any::<prop::sample::Index>(),
        ) {
            let mut bytes = encoded(&method);
            let index = at.index(bytes.len());
            bytes[index] = octet;
            bytes.truncate(cut.index(bytes.len() + 1));
            let _ = Method::decode(&bytes);
        }

        #[test]
        fn the_borrowed_publish_agrees_with_the_owned_one(bytes: Vec<u8>) {
            let owned = basic::Publish::decode(&bytes);
            let view = basic::PublishView::decode(&bytes);
            prop_assert_eq!(owned.is_ok(), view.is_ok());
        }
    }
}
