//! The answering side.
