//! Commands against a server of a few lines: what is asked, what is printed.

mod commands;
mod errors;
mod stub;
