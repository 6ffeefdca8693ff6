//! The `leveret` program: set up allocation, then do what the command line says.

use std::process::ExitCode;

/// Messages are many small allocations that one thread makes and another frees. This allocator is made for that, and gives
/// the memory of a drained backlog back (docs/decisions.md, "jemalloc with a background thread").
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    leveret::cli::run()
}
