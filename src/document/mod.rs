//! YAML documents with places, and the faults found in them.
//!
//! Policies, configurations and keyrings are written by people, often not programmers. So a file is
//! read into a tree that remembers every place, each reader takes what it knows from a [`Table`],
//! and all that is wrong is told at once, in plain words, with the line and what to write instead.
//!
//! ```
//! use limpid::document::{Faults, Reader, Source, Table, parse};
//!
//! let source = Source::new("lamp.yaml", "colour: red\nwatts: 40\n");
//! let mut faults = Faults::default();
//! let node = parse(&source, &mut faults).unwrap();
//! let mut reader = Reader::new(&source, &mut faults);
//! let mut lamp = Table::new(&node, "a lamp", &mut reader).unwrap();
//! let colour = lamp.need("colour", &mut reader).and_then(|field| field.text(&mut reader));
//! let watts = lamp.take("watts").and_then(|field| field.int(1..=100, &mut reader));
//! lamp.finish(&mut reader);
//! assert_eq!((colour, watts), (Some("red"), Some(40)));
//! assert!(faults.is_empty());
//! ```

pub mod codes;
mod fault;
mod nearest;
mod render;
mod table;
pub mod units;
mod yaml;

pub use fault::{Fault, Faults, Show, Source, Span};
pub use nearest::{listed, nearest};
pub use render::{Paint, printable};
pub use table::{Called, Field, Reader, Table};
pub use units::{BYTES_FORM, DURATION_FORM};
pub use yaml::{Entry, Kind, Node, parse};
