//! The admin API and the metrics page: HTTP of their own, on sockets of their own, never on a listener for visitors.
//!
//! | request | does |
//! |---|---|
//! | `GET /stats` | counters, latencies, store and backends as JSON |
//! | `POST /purge?url=URL[&header=LINE…][&soft=1]` | drops (or makes stale) all variants of the URL |
//! | `POST /tags/purge?key=KEY[&key=KEY…][&soft=1]` | the same for all objects that carry any of these tags |
//! | `POST /ban?expression=EXPRESSION` | bans what it is about |
//! | `GET /bans` | the bans in force, and how far the lurker is |
//! | `POST /snapshot` | writes the store to its file, see `[snapshot]` |
//! | `POST /explain?url=URL[&method=M][&header=N: v]…[&listener=ADDR][&client=IP]` | runs the request and tells why it went as it did |
//! | `POST /reload` | reads the policy anew |
//! | `GET /policy/faults` | how often which line of the policy in force was at fault |
//! | `GET /backends`, `GET /directors` | the backends with their health, the directors with their members |
//! | `GET /listeners` | the addresses where visitors are served |
//! | `POST /backends/NAME?state=healthy\|sick\|auto\|drain` | the owner's word on a backend's health |
//! | `GET /metrics` (metrics listener) | the same counters for Prometheus |

mod api;
mod explain;
mod socket;

pub(crate) use api::backend_row;
pub(crate) use explain::{House, Listener};
pub(crate) use socket::{Controls, bind};
