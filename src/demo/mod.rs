//! The demo: everything that limpid does, shown on made-up data.

pub mod events;
mod json;
