//! Every language: from an empty folder to an answer.

mod javascript;
mod project;
mod runner;
mod sources;
mod templates;
