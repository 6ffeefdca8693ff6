//! A cable between clients and a broker that lives on: cut, it looks to the clients like a kill. That is how the
//! clients and the checker are tested themselves, for a broker that only loses connections breaks no rule.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use crate::{
    kill_loop::seed,
    load::{self, Running},
    node::Node,
};

struct Cable {
    address: String,
    is_cut: Arc<AtomicBool>,
    clients: Arc<Mutex<Vec<TcpStream>>>,
    accepting: JoinHandle<Vec<JoinHandle<()>>>,
}

impl Cable {
    fn to(broker: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (is_cut, clients) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (cut, ends, broker) = (is_cut.clone(), clients.clone(), broker.to_owned());
        let accepting = thread::spawn(move || {
            let mut copies = Vec::new();
            while let Ok((client, _)) = listener.accept() {
                if cut.load(Ordering::Relaxed) {
                    break;
                }
                let upstream = TcpStream::connect(&broker).unwrap();
                let (client_too, upstream_too) = (client.try_clone().unwrap(), upstream.try_clone().unwrap());
                ends.lock().unwrap().push(client.try_clone().unwrap());
                copies.push(thread::spawn(move || copy(client, upstream)));
                copies.push(thread::spawn(move || copy(upstream_too, client_too)));
            }
            copies
        });
        Self { address, is_cut, clients, accepting }
    }

    /// The clients' sockets end at once. The broker has handled all that it got, and has closed, when this returns.
    fn cut(self) {
        self.is_cut.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(&self.address);
        let copies = self.accepting.join().unwrap();
        for client in self.clients.lock().unwrap().iter() {
            let _ = client.shutdown(Shutdown::Both);
        }
        for copy in copies {
            copy.join().unwrap();
        }
    }
}

/// Copies until the source ends; what the destination does not take any more is read all the same.
fn copy(mut from: TcpStream, mut to: TcpStream) {
    let mut part = vec![0; 64 * 1024];
    while let Ok(n) = from.read(&mut part) {
        if n == 0 {
            break;
        }
        let _ = to.write_all(&part[..n]);
    }
    let _ = to.shutdown(Shutdown::Write);
}

#[test]
fn a_broker_whose_connections_are_cut_breaks_no_rule() {
    let seed = seed();
    println!("LEVERET_SEED={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let node = Node::new();
    let mut cable = Cable::to(node.address());
    let running = Running::begin(&cable.address, seed);
    for _ in 0..10 {
        // Not a wait for something: the moment of the cut.
        thread::sleep(Duration::from_millis(rng.random_range(50..500)));
        running.down();
        cable.cut();
        cable = Cable::to(node.address());
        running.up(&cable.address);
    }
    let load = running.finish();
    cable.cut();
    load::drain(&load, node.address());
    load::assert_empty(&load, node.address());
    println!("{}", load.history());
    assert!(load.history().is_clean(), "seed {seed}: {}", load.history());
}

/// What the harness says about a broker that is left alone.
#[test]
fn a_broker_that_is_left_alone_breaks_no_rule() {
    let node = Node::new();
    let running = Running::begin(node.address(), seed());
    let deadline = Instant::now() + Duration::from_secs(20);
    while running.history().totals.acks_proven < 3_000 && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(10));
    }
    let load = running.finish();
    load::drain(&load, node.address());
    load::assert_empty(&load, node.address());
    println!("{}", load.history());
    assert!(load.history().is_clean(), "{}", load.history());
    let totals = load.history().totals.clone();
    assert!(
        totals.acks_proven >= 3_000 && totals.transactions > 0 && totals.purges > 0 && totals.deletes > 0
    );
}
