//! `leveret fsck`: what a broker would find in a data folder, and what is damaged there.
//!
//! Ends with 0 if the folder is whole, 1 if something is damaged, 2 if that cannot be told. Only prints; what is checked
//! is for [`store::fsck`](crate::store::fsck).

mod declared;

use std::{
    fmt,
    io::{self, IsTerminal, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};
use tracing::subscriber::NoSubscriber;

use crate::limits::FSCK_LINES_SHOWN_MAX;
use crate::protocol::Printable;
use crate::store::{
    DataDir, DataDirError,
    fsck::{self, Checkpoint, Declared, FsckError, QueueReport, Report},
};

/// What to check.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The data folder
    #[arg(value_name = "DATA_DIR", env = "LEVERET_DATA_DIR")]
    folder: PathBuf,
    /// Name every queue and every file in quarantine, not only the first 20
    #[arg(long)]
    all: bool,
}

/// Why nothing can be said.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Folder(#[from] DataDirError),
    #[error(transparent)]
    Check(#[from] FsckError),
}

/// Checks and prints.
pub(super) fn run(args: &Args) -> ExitCode {
    match check(&args.folder) {
        Ok(report) => {
            let shown =
                Shown { report: &report, limit: if args.all { usize::MAX } else { FSCK_LINES_SHOWN_MAX } };
            // A reader who goes away is no error.
            let _ = write!(io::stdout().lock(), "{shown}");
            ExitCode::from(u8::from(!report.is_whole()))
        }
        Err(error) => {
            eprintln!("leveret: {error}");
            ExitCode::from(2)
        }
    }
}

fn check(folder: &Path) -> Result<Report, Error> {
    let folder = DataDir::open_used(folder)?;
    let bar = bar();
    // The report says it all: what the store would note on its way to repairs is not wanted.
    let report = tracing::subscriber::with_default(NoSubscriber::default(), || {
        fsck::check(&folder, |progress| {
            if bar.length() != Some(progress.total_bytes) {
                bar.set_length(progress.total_bytes);
            }
            bar.set_position(progress.done_bytes);
        })
    });
    bar.finish_and_clear();
    Ok(report?)
}

fn bar() -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{wide_bar} {bytes} of {total_bytes}, {eta} left");
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// A report for people; lists have no more than `limit` lines.
struct Shown<'a> {
    report: &'a Report,
    limit: usize,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.log(f)?;
        self.derived(f)?;
        self.left_out(f)?;
        declared::write(f, &self.report.declared, self.limit)?;
        self.queues(f)?;
        self.verdict(f)
    }
}

impl Shown<'_> {
    fn log(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { clean, sizes, records, .. } = self.report;
        let stop = if *clean { "in order" } else { "not in order: it crashed, or was killed" };
        writeln!(f, "last stop    {stop}")?;
        writeln!(
            f,
            "segments     {}, {}: {} sealed, {} unsealed, {} blank",
            sizes.sealed + sizes.unsealed + sizes.blank,
            HumanBytes(sizes.file_bytes),
            sizes.sealed,
            sizes.unsealed,
            sizes.blank,
        )?;
        writeln!(
            f,
            "bytes        {} live, {} dead, {} reserved",
            HumanBytes(sizes.live_bytes),
            HumanBytes(sizes.dead_bytes),
            HumanBytes(sizes.reserved_bytes()),
        )?;
        writeln!(
            f,
            "records      {} publish ({} transient, {} moved), {} settle, {} return, {} topology, {} access, {} shutdown",
            HumanCount(records.publish),
            HumanCount(records.transient),
            HumanCount(records.moved),
            HumanCount(records.settle),
            HumanCount(records.returned),
            HumanCount(records.topology),
            HumanCount(records.access),
            HumanCount(records.shutdown),
        )
    }

    fn derived(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { checkpoint, definitions, queues, declared, .. } = self.report;
        let Declared { exchanges, bindings, .. } = declared;
        match checkpoint {
            Checkpoint::None => writeln!(f, "checkpoint   none yet; the log has everything")?,
            Checkpoint::Whole(stamp) => {
                writeln!(f, "checkpoint   up to segment {}, offset {}", stamp.segment, stamp.offset)?;
            }
            Checkpoint::Lost => writeln!(f, "checkpoint   lost; settled messages may come again")?,
        }
        match definitions {
            Some(entities) => writeln!(f, "definitions  {entities} entities")?,
            None => writeln!(f, "definitions  none")?,
        }
        let queues = queues.len();
        writeln!(f, "topology     {exchanges} exchanges, {queues} queues, {bindings} bindings")
    }

    fn left_out(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { dropped_records, torn_bytes, quarantined, .. } = self.report;
        writeln!(
            f,
            "left out     {dropped_records} records of unfinished groups, {torn_bytes} bytes of a torn tail"
        )?;
        writeln!(f, "quarantine   {} files", quarantined.len())?;
        for name in quarantined.iter().take(self.limit) {
            writeln!(f, "  {name}")?;
        }
        let rest = quarantined.len().saturating_sub(self.limit);
        if rest > 0 { writeln!(f, "  and {rest} more") } else { Ok(()) }
    }

    fn queues(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let queues = &self.report.queues;
        let sum = |queues: &[QueueReport]| {
            let messages = queues.iter().map(|queue| queue.messages).sum();
            let bytes = queues.iter().map(|queue| queue.bytes).sum();
            format!("{} messages, {}", HumanCount(messages), HumanBytes(bytes))
        };
        writeln!(f, "messages     {} queues: {}", queues.len(), sum(queues))?;
        let (named, rest) = queues.split_at(queues.len().min(self.limit));
        for queue in named {
            let name = format!("{} {}", Printable::new(&queue.vhost), Printable::new(&queue.name));
            writeln!(f, "  {name}: {}", sum(std::slice::from_ref(queue)))?;
        }
        if rest.is_empty() { Ok(()) } else { writeln!(f, "  and {} more: {}", rest.len(), sum(rest)) }
    }

    fn verdict(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for flaw in &self.report.flaws {
            writeln!(f, "damaged      {flaw}")?;
        }
        match self.report.flaws.len() {
            0 => writeln!(f, "The folder is whole."),
            1 => writeln!(f, "One place is damaged."),
            flaws => writeln!(f, "{flaws} places are damaged."),
        }
    }
}
