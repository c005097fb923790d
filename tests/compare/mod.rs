//! Varnish beside Copal, both as real processes: the same exchanges with neither configured (`exchanges`), and the same policies
//! in VCL and in Rhai (`policies`). `make compare` runs both where varnishd is installed.

mod cases;
mod exchanges;
mod origins;
mod pages;
mod play;
mod policies;
mod varnish;

pub(crate) use varnish::Varnish;
