//! Routes that a channel remembers, and what they take.

use super::*;
use crate::connection::fuzzing::TestHost;
use crate::core::{
    ConnectionId,
    declared::{Binding, Destination},
    memory::Gauge,
    message::build_image,
    topology::QueueDeclaration,
};
use crate::limits::MEMORY_FLOOR_BYTES;
use crate::protocol::FieldTable;

const ME: ConnectionId = ConnectionId(1);

fn name(name: &str) -> ShortString {
    ShortString::try_from(name).unwrap()
}

fn binding(source: &str, queue: &str) -> Binding {
    let (destination, key) = (Destination::Queue(name(queue)), name("#"));
    Binding { source: name(source), destination, key, arguments: FieldTable::new() }
}

fn bind(host: &TestHost, source: &str, queue: &str) {
    host.vhost.change(|topology| topology.bind(binding(source, queue), ME).map(drop)).0.unwrap();
}

/// A topic exchange whose every key leads to this many queues.
fn wide(queues: usize) -> TestHost {
    let host = TestHost::default();
    for n in 0..queues {
        let queue = QueueDeclaration {
            name: name(&n.to_string()),
            server_named: false,
            durable: false,
            exclusive: false,
            auto_delete: false,
            arguments: FieldTable::new(),
        };
        host.vhost.change(|topology| topology.declare_queue(queue, ME).map(drop)).0.unwrap();
        bind(&host, "amq.topic", &n.to_string());
    }
    host
}

fn find(routes: &mut Routes, host: &TestHost, exchange: &str, key: &str) -> Arc<Route> {
    let (layout, image) = build_image(exchange.as_bytes(), key.as_bytes(), &[0, 0], &[], false);
    let view = View::new(layout, &image);
    match routes.recall(&view) {
        Some((route, _)) => route,
        None => routes.work_out(&view, &host.vhost).unwrap().0,
    }
}

#[test]
fn routes_to_many_queues_are_forgotten_where_their_share_of_memory_is_used_up() {
    let (host, gauge) = (wide(500), Gauge::new(10_000_000));
    let share = gauge.share_bytes(Kind::Routes);
    let mut channels = [(); 4].map(|()| Routes::new(&Holder::new(gauge)));
    for key in 0..1_024 {
        for routes in &mut channels {
            let route = find(routes, &host, "amq.topic", &format!("{key}"));
            assert_eq!(route.queues.len(), 500);
        }
        let used = gauge.used_bytes_of(Kind::Routes);
        assert!(used <= share + channels.len() * MEMORY_FLOOR_BYTES, "{used}");
    }
    assert!(gauge.used_bytes_of(Kind::Routes) > share / 2);
    drop(channels);
    assert_eq!(gauge.used_bytes(), 0);
}

#[test]
fn a_route_that_no_memory_is_left_for_is_worked_out_for_each_run_and_a_small_one_is_remembered() {
    let (host, gauge) = (wide(5_000), Gauge::new(1_000_000));
    let _others = Held::of(&Holder::new(gauge), Kind::Routes, gauge.share_bytes(Kind::Routes));
    let mut routes = Routes::new(&Holder::new(gauge));
    let wide = find(&mut routes, &host, "amq.topic", "k");
    assert!(!Arc::ptr_eq(&wide, &find(&mut routes, &host, "amq.topic", "k")));
    let narrow = find(&mut routes, &host, "", "7");
    assert!(Arc::ptr_eq(&narrow, &find(&mut routes, &host, "", "7")));
}

#[test]
fn a_route_that_has_become_stale_counts_no_more() {
    let (host, gauge) = (wide(3), Gauge::new(1_000_000));
    let mut routes = Routes::new(&Holder::new(gauge));
    let narrow = |routes: &mut Routes| {
        find(routes, &host, "amq.fanout", "k");
        gauge.used_bytes()
    };
    let before = narrow(&mut routes);
    for _ in 0..5 {
        bind(&host, "amq.fanout", "0");
        let after = narrow(&mut routes);
        assert_eq!(before, after);
        host.vhost.change(|topology| topology.unbind(&binding("amq.fanout", "0"), ME)).0.unwrap();
    }
}
