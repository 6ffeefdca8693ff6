//! Who tries passwords.

use std::{
    io,
    net::Ipv4Addr,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use crate::{
    entry::Entry,
    peer::{Peer, log_in},
    scene::{Row, Scene, rows_among_tenants, size},
    tenants::{LIMITED, again_and_again},
};

rows_among_tenants! {
    wrong_passwords_from_many_addresses
}

/// Half of them for a user that is there, half for others; from each address several at once, because each answer comes later than the one
/// before. All have to be answered, and whoever knows the password comes in meanwhile.
fn wrong_passwords_from_many_addresses() -> Row {
    Row {
        name: "wrong passwords in a loop, 16 at once from each of 12 addresses",
        attack: |scene, _| attack(scene),
        ..LIMITED
    }
}

fn attack(scene: &Scene) -> io::Result<()> {
    let (refused, addresses) = (AtomicUsize::new(0), size(12, 4) as u8);
    let tried = thread::scope(|scope| {
        let attackers: Vec<_> = (0..addresses)
            .map(|n| {
                let entry = Entry { from: Some(Ipv4Addr::new(127, 0, 0, 10 + n)), ..scene.attacker.clone() };
                let refused = &refused;
                scope.spawn(move || again_and_again(|| try_at_once(&entry, size(16, 4), refused)))
            })
            .collect();
        // Whoever knows the password comes in, from the address that the attackers do not use.
        let knows = again_and_again(|| scene.peer().map(drop));
        let tried =
            attackers.into_iter().map(|attacker| attacker.join().expect("an attacker does not panic"));
        let tried = tried.sum::<io::Result<usize>>();
        knows.and(tried)
    })?;
    println!("\n{} wrong passwords in {tried} lots from {addresses} addresses", refused.into_inner());
    Ok(())
}

fn try_at_once(entry: &Entry, at_once: usize, refused: &AtomicUsize) -> io::Result<()> {
    let peers = (0..at_once).map(|n| {
        let mut peer = Peer::greeted(entry)?;
        let user = if n % 2 == 0 { entry.user.clone() } else { format!("nobody {n}") };
        peer.method(0, &log_in(&user, "wrong"))?;
        Ok(peer)
    });
    for peer in peers.collect::<io::Result<Vec<_>>>()? {
        let told = peer.farewell()?;
        let is_right = told.as_ref().is_some_and(|told| told.starts_with("403 ") || told.starts_with("320 "));
        assert!(is_right, "{told:?}");
        refused.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}
