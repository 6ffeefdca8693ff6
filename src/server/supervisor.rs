//! What started the broker hears how it does, if it wants to: systemd, or another one that sets `NOTIFY_SOCKET` (`sd_notify(3)`).
//!
//! Without that variable nothing is told. The watchdog is told of life only if life was seen: each runtime has done a task in which
//! nothing but threads and locks takes part. A slow disk, an alarm or a client is no death, and a restart would help against none of them.

use std::{fmt::Display, sync::Arc, time::Duration};

use sd_notify::NotifyState;
use tokio::{
    runtime::Handle,
    task::spawn_blocking,
    time::{MissedTickBehavior, interval, timeout},
};

use crate::broker::Broker;
use crate::limits::{SUPERVISOR_TIMEOUT, WATCHDOG_INTERVAL_MIN};
use crate::protocol::Printable;

/// It serves clients from now on, or again.
pub(super) async fn ready() {
    tell(NotifyState::Ready.to_string()).await;
}

/// It reads its configuration again, and will say when it has.
pub(super) async fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(format!("{}\n{now}", NotifyState::Reloading)).await,
        Err(error) => tracing::warn!(%error, "the reload is not told: there is no clock"),
    }
}

/// It has begun to stop.
pub(super) async fn stopping() {
    tell(format!("{}\n{}", NotifyState::Stopping, NotifyState::Status("stopping"))).await;
}

/// Shows in one line what it does (`usual`), or why publishers wait; runs as long as the broker.
pub(super) async fn show_status(broker: Arc<Broker>, usual: String) {
    let mut alarm = broker.alarm.subscribe();
    loop {
        let reason = *alarm.borrow_and_update();
        match reason {
            Some(reason) => status(&format!("publishers wait: {reason}")).await,
            None => status(&usual).await,
        }
        if alarm.changed().await.is_err() {
            return;
        }
    }
}

/// Feeds the watchdog, if there is one, while the broker lives on each of `runtimes`; to be run until the process ends.
pub(super) async fn feed_watchdog(broker: Arc<Broker>, runtimes: [Handle; 3]) {
    let Some(patience) = sd_notify::watchdog_enabled().filter(|patience| !patience.is_zero()) else { return };
    let period = (patience / 3).max(WATCHDOG_INTERVAL_MIN);
    let mut feeding = interval(period);
    feeding.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        feeding.tick().await;
        if lives(&broker, &runtimes, period).await {
            tell(NotifyState::Watchdog.to_string()).await;
        } else {
            tracing::error!("no sign of life; the watchdog is not fed");
        }
    }
}

/// Whether each runtime comes to a new task in time, and the default virtual host's topology can be read there.
async fn lives(broker: &Arc<Broker>, runtimes: &[Handle], patience: Duration) -> bool {
    let signs: Vec<_> = runtimes
        .iter()
        .map(|runtime| {
            let broker = broker.clone();
            runtime.spawn(async move {
                if let Some(vhost) = broker.vhosts.find(&broker.config.default_vhost) {
                    vhost.read(|_| ());
                }
            })
        })
        .collect();
    let all = async {
        for sign in signs {
            if sign.await.is_err() {
                return false;
            }
        }
        true
    };
    timeout(patience, all).await.unwrap_or(false)
}

async fn status(line: &impl Display) {
    tell(NotifyState::Status(&Printable::new(line).to_string()).to_string()).await;
}

/// Sends it, off the threads that others need: the socket's other end may be slow.
async fn tell(message: String) {
    let sending = spawn_blocking(move || sd_notify::notify(&[NotifyState::Custom(&message)]));
    match timeout(SUPERVISOR_TIMEOUT, sending).await {
        Ok(Ok(Ok(()))) => {}
        Ok(Ok(Err(error))) => tracing::warn!(%error, "NOTIFY_SOCKET takes nothing"),
        Ok(Err(error)) => tracing::warn!(%error, "NOTIFY_SOCKET takes nothing"),
        Err(_) => tracing::warn!("NOTIFY_SOCKET takes nothing in time"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tokio::runtime::{Builder, Runtime};

    use super::*;
    use crate::config::{Config, Settings};
    use crate::store::Opened;

    fn one_thread() -> Runtime {
        Builder::new_multi_thread().worker_threads(1).build().unwrap()
    }

    #[test]
    fn who_cannot_get_to_a_new_task_gives_no_sign_of_life() {
        let broker = Arc::new(Broker::new(Config::load(Settings::default()).unwrap(), Opened::forgetful()));
        let (here, free, stuck) =
            (Builder::new_current_thread().enable_time().build().unwrap(), one_thread(), one_thread());
        let runtimes = [free.handle().clone(), stuck.handle().clone()];
        let long = Duration::from_mins(1);
        assert!(here.block_on(lives(&broker, &runtimes, long)));
        let (unblock, awaited) = mpsc::channel::<()>();
        let (tell, heard) = mpsc::channel();
        stuck.spawn(async move {
            tell.send(()).unwrap();
            let _ = awaited.recv();
        });
        heard.recv().unwrap();
        assert!(!here.block_on(lives(&broker, &runtimes, Duration::from_millis(50))));
        drop(unblock);
        assert!(here.block_on(lives(&broker, &runtimes, long)));
    }
}
