//! naive.
