//! SIGHUP: the configuration file is read again, and what can change takes effect; then keys of tokens, files of TLS and definitions.
//!
//! What else is said otherwise is named, a line for each, and holds from the next start on. A file that cannot be used changes nothing.

use std::{
    fmt::Display,
    future, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::{signal::unix::Signal, task::spawn_blocking};

use super::supervisor;
use crate::broker::{Broker, Document, Imported, configured_policies};
use crate::config::{Change, Changeable, Config, LogFilter, Shown, changes, read_bounded};
use crate::core::declared::{PolicyKind, PolicySpec};
use crate::limits::{DEFINITIONS_BYTES_MAX, PROBLEMS_TOLD_MAX};
use crate::tls::{self, Acceptor};

/// Changes what is logged. An error says why it stays as it is.
pub type SetLog = Box<dyn Fn(LogFilter) -> Result<(), String> + Send + Sync>;

/// What a reload needs to know.
pub(super) struct Reload {
    /// What was said at the start.
    told: Config,
    /// The same with the changes that have taken effect.
    held: Vec<Shown>,
    /// The file of definitions now.
    definitions: Option<PathBuf>,
    broker: Arc<Broker>,
    tls: Option<Arc<Acceptor>>,
    set_log: SetLog,
}

impl Reload {
    pub(super) fn new(
        told: Config,
        broker: Arc<Broker>,
        tls: Option<Arc<Acceptor>>,
        set_log: SetLog,
    ) -> Self {
        Self { definitions: told.load_definitions.clone(), held: told.shown(), told, broker, tls, set_log }
    }

    /// Runs as long as the broker.
    pub(super) async fn at_each(mut self, mut hangup: Signal) {
        while hangup.recv().await.is_some() {
            supervisor::reloading().await;
            self.read_configuration().await;
            self.renew_keys().await;
            if let Some(tls) = &self.tls {
                tls::refresh(tls.clone(), true).await;
            }
            self.load_definitions().await;
            supervisor::ready().await;
        }
        future::pending::<()>().await;
    }

    async fn read_configuration(&mut self) {
        let told = self.told.clone();
        let read = spawn_blocking(move || told.load_again()).await;
        match read {
            // There is no file.
            Ok(None) => {}
            Ok(Some(Ok(new))) => self.take(&new).await,
            Ok(Some(Err(error))) => tracing::error!(%error, "the configuration stays what it was"),
            Err(error) => tracing::error!(%error, "the configuration stays what it was"),
        }
    }

    /// Does what can be done about each change, and names the others.
    async fn take(&mut self, new: &Config) {
        let changes = changes(&self.told, &self.held, new);
        let of = |kind| changes.iter().filter(move |change: &&Change| change.kind == kind);
        let needs_restart = |change: &Change| {
            tracing::warn!(
                setting = change.to.name,
                "a setting has changed in the file, and needs a restart"
            );
        };
        of(Changeable::NeedsRestart).for_each(needs_restart);
        for kind in Changeable::WHILE_RUNNING {
            if of(kind).next().is_none() {
                continue;
            }
            match self.carry_out(kind, new).await {
                Ok(true) => {
                    for change in of(kind) {
                        self.hold(change.to.clone());
                        tracing::info!(setting = change.to.name, "a setting has changed");
                    }
                }
                Ok(false) => of(kind).for_each(needs_restart),
                Err(error) => {
                    for change in of(kind) {
                        tracing::error!(setting = change.to.name, %error, "a setting cannot be changed; the old one stays in use");
                    }
                }
            }
        }
    }

    /// Whether it is done; what is not needs a restart.
    async fn carry_out(&mut self, kind: Changeable, new: &Config) -> Result<bool, String> {
        match kind {
            Changeable::NeedsRestart => return Ok(false),
            Changeable::Log => (self.set_log)(new.log.clone())?,
            Changeable::Origins => {
                self.broker.effective.permit_origins(new.http_cors_origins.clone());
            }
            Changeable::Hsts => self.broker.effective.say_hsts(new.http_hsts.clone()),
            Changeable::Rates => self.broker.effective.limit_rates(new.http_rates),
            Changeable::Definitions => self.definitions.clone_from(&new.load_definitions),
            Changeable::Policies => {
                let policies = configured_policies(new).map_err(|error| error.to_string())?;
                set_policies(&self.broker, policies)?;
            }
            Changeable::Tls => {
                let (Some(acceptor), Some(tls)) = (self.tls.clone(), new.tls.clone()) else {
                    return Ok(false);
                };
                let taken =
                    spawn_blocking(move || acceptor.take(tls)).await.map_err(|error| error.to_string())?;
                taken.map_err(|error| error.to_string())?;
            }
        }
        Ok(true)
    }

    fn hold(&mut self, setting: Shown) {
        if let Some(old) = self.held.iter_mut().find(|old| old.name == setting.name) {
            old.clone_from(&setting);
        }
        self.broker.effective.hold(setting);
    }

    async fn renew_keys(&self) {
        if let Some(tokens) = self.broker.authenticator.tokens() {
            match tokens.renew().await {
                Ok(()) => tracing::info!("the keys that sign tokens are read again"),
                Err(error) => tracing::error!(%error, "the keys that sign tokens stay what they were"),
            }
        }
    }

    async fn load_definitions(&self) {
        match definitions(&self.broker, self.definitions.as_deref()).await {
            Ok(()) if self.definitions.is_none() => {
                tracing::info!("SIGHUP: there is no file of definitions to load");
            }
            Ok(()) => {}
            Err(problems) => {
                for problem in problems.lines() {
                    tracing::error!("{problem}");
                }
            }
        }
    }
}

/// Sets policies of the file in the default virtual host.
pub(super) fn set_policies(broker: &Broker, policies: Vec<(PolicyKind, PolicySpec)>) -> Result<(), String> {
    let Some(vhost) = broker.vhosts.find(&broker.config.default_vhost) else { return Ok(()) };
    for (kind, spec) in policies {
        vhost.set_policy(kind, spec).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Makes what the definitions file says, if there is one. An error says what is wrong and where, a line for each.
pub(super) async fn definitions(broker: &Arc<Broker>, file: Option<&Path>) -> Result<(), String> {
    let Some(path) = file else { return Ok(()) };
    let of_file = |why: &dyn Display| format!("definitions {}: {why}", path.display());
    let file = path.to_owned();
    let read = tokio::task::spawn_blocking(move || read_bounded(&file, DEFINITIONS_BYTES_MAX as u64)).await;
    let json = read.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(|error| of_file(&error))?;
    let document = Document::read(&json).map_err(|error| of_file(&error))?;
    let imported = broker.import(&document).await.map_err(|problems| {
        problems.iter().take(PROBLEMS_TOLD_MAX).map(|problem| of_file(problem)).collect::<Vec<_>>().join("\n")
    })?;
    let Imported { changed, unchanged } = imported;
    tracing::info!(file = %path.display(), changed, unchanged, "definitions are loaded");
    Ok(())
}
