//! limpid's integration tests, one binary.

#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions; their helpers are tests too

mod admin;
mod ahead;
mod bounds;
mod broker;
mod cases;
mod chaos;
mod check;
mod cli;
mod compare;
mod config;
mod corpus;
mod deploy;
mod docs;
mod exactly_once;
mod expect;
mod explain;
mod filter;
mod keyring;
mod lane;
mod leak;
mod manual;
mod million;
mod naive;
mod oracle;
mod quarantine;
mod readme;
mod reject;
mod reload;
mod replay;
mod schedule;
mod schema;
mod secure;
mod shapes;
mod subject;
mod tidy;
mod trial;
mod vectors;
