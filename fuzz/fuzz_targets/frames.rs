//! Bytes to frames to methods, content headers and properties, and back.
#![no_main]

use leveret::protocol::{
    ContentHeader, Encode, FRAME_HEADER, FRAME_METHOD, Method, Properties, PropertiesView, RawFrame, split,
    write_frame,
};
use libfuzzer_sys::fuzz_target;

const LIMITS: [usize; 4] = [0, 4096, 8192, 131_072];

fuzz_target!(|data: &[u8]| {
    let Some((first, mut rest)) = data.split_first() else { return };
    method(rest);
    content_header(rest);
    properties(rest);
    let limit = LIMITS[usize::from(first % 4)];
    while let Ok(Some((frame, size))) = split(rest, limit) {
        same_frame(&frame, &rest[..size], limit);
        match frame.kind {
            FRAME_METHOD => method(frame.payload),
            FRAME_HEADER => content_header(frame.payload),
            _ => {}
        }
        rest = &rest[size..];
    }
    if let Err(error) = split(rest, limit) {
        assert!(error.to_string().starts_with("FRAME_ERROR - "));
    }
});

fn same_frame(frame: &RawFrame<'_>, bytes: &[u8], limit: usize) {
    let mut written = Vec::new();
    write_frame(&mut written, frame.kind, frame.channel, frame.payload);
    assert_eq!(written, bytes);
    for cut in [0, 1, 6, 7, bytes.len() - 1] {
        assert_eq!(
            split(&bytes[..cut.min(bytes.len() - 1)], limit),
            Ok(None),
            "an incomplete frame is no error"
        );
    }
}

fn method(payload: &[u8]) {
    let Ok(method) = Method::decode(payload) else { return };
    let written = encoded(&method);
    let again = Method::decode(&written).expect("what was encoded can be decoded");
    assert_eq!(encoded(&again), written);
    assert_eq!(again.ids(), method.ids());
    // A method whose tables hold a float that is not a number does not equal itself.
    #[allow(clippy::eq_op)]
    let comparable = method == method;
    assert!(!comparable || again == method);
}

fn encoded(method: &Method) -> Vec<u8> {
    let mut out = Vec::new();
    method.encode(&mut out);
    out
}

fn content_header(payload: &[u8]) {
    if let Ok(header) = ContentHeader::parse(payload) {
        assert_eq!(header.properties.len() + 12, payload.len());
        properties(header.properties);
    }
}

fn properties(bytes: &[u8]) {
    let view = PropertiesView::parse(bytes);
    let owned = Properties::decode(bytes);
    assert_eq!(view.is_ok(), owned.is_ok());
    let (Ok(view), Ok(owned)) = (view, owned) else { return };
    let mut written = Vec::new();
    owned.encode(&mut written);
    let again = PropertiesView::parse(&written).expect("what was encoded can be parsed");
    assert_eq!(again.is_persistent(), view.is_persistent());
    assert_eq!(again.correlation_id, view.correlation_id);
    assert_eq!(again.cluster_id, view.cluster_id);
    let mut twice = Vec::new();
    Properties::decode(&written).expect("what was encoded can be decoded").encode(&mut twice);
    assert_eq!(twice, written);
}
