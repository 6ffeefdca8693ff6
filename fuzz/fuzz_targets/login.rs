//! Up to four clients from their first byte on, behind a proxy or not: who is let in has proven who it is, and makes what it may make.
#![no_main]

use std::sync::OnceLock;

use arbitrary::{Arbitrary, Unstructured};
use leveret::connection::fuzzing::{GuardedHost, Remains, Visitor, write_proxy_header};
use leveret_fuzz::{LogsIn, Script, play};
use libfuzzer_sys::fuzz_target;

const VISITS_MAX: usize = 4;

#[derive(Debug, Arbitrary)]
struct Scene {
    proxy: u8,
    logins: Vec<LogsIn>,
    script: Script,
}

fuzz_target!(|data: &[u8]| {
    static HOST: OnceLock<GuardedHost> = OnceLock::new();
    let host = HOST.get_or_init(GuardedHost::default);
    let Some(([mode, pieces], rest)) = data.split_first_chunk() else { return };
    let (mut header, mut visits) = (Vec::new(), vec![rest.to_vec()]);
    if mode % 2 == 1 {
        let Ok(Scene { proxy, logins, script }) = Scene::arbitrary_take_rest(Unstructured::new(rest)) else {
            return;
        };
        write_proxy_header(proxy, &mut header);
        visits = script.visits(&logins[..logins.len().min(VISITS_MAX)]);
        visits.iter_mut().for_each(|bytes| script.spoil(bytes));
    }
    let proxy = (mode & 2 != 0).then_some(&*header);
    let mut clients = Vec::new();
    for words in &visits {
        let visitor = Visitor { proxy, words, pieces: *pieces, tls: None };
        clients.extend(host.receive(&visitor).client);
    }
    play(clients, *pieces);
    assert_eq!(host.clear(), Remains::default());
});
