//! `rss` with mimalloc as the allocator, as the `copal` binary has it.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[path = "rss.rs"]
mod rss;

fn main() {
    rss::main();
}
