//! Whole sessions behind the handshake, as one or two clients' bytes in pieces of any size.
#![no_main]

use std::sync::OnceLock;

use arbitrary::{Arbitrary, Unstructured};
use leveret::connection::fuzzing::{Remains, TestHost};
use leveret_fuzz::{Script, play};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    static HOST: OnceLock<TestHost> = OnceLock::new();
    let host = HOST.get_or_init(TestHost::default);
    let Some(([mode, pieces], rest)) = data.split_first_chunk() else { return };
    let mut sessions = vec![rest.to_vec()];
    if mode % 2 == 1 {
        let Ok(script) = Script::arbitrary_take_rest(Unstructured::new(rest)) else { return };
        sessions = script.sessions(if mode & 2 == 0 { 1 } else { 2 });
        sessions.iter_mut().for_each(|bytes| script.spoil(bytes));
    }
    play(sessions.into_iter().map(|bytes| (host.client(), bytes)).collect(), *pieces);
    assert_eq!(host.clear(), Remains::default());
});
