//! The `leveret` program: set up allocation and tracing, then do what the command line says.

use std::{io::IsTerminal, process::ExitCode};

use tracing_subscriber::EnvFilter;

/// Messages are many small allocations that one thread makes and another frees. This allocator is made for that, and gives
/// the memory of a drained backlog back (ARCHITECTURE.md, "Decisions").
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let filter = EnvFilter::builder()
        .with_env_var("LEVERET_LOG")
        .try_from_env()
        .unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    leveret::cli::run()
}
