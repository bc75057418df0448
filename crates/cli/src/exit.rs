//! Exit codes of every command. They never change their meaning.

/// It worked; a replay was identical.
pub const OK: u8 = 0;
/// It failed; a replay diverged; a function did not succeed.
pub const FAILED: u8 = 1;
/// The command line is wrong; or an invocation that cannot be replayed.
pub const USAGE: u8 = 2;
/// The configuration is wrong (`EX_USAGE` of sysexits(3)).
pub const CONFIG: u8 = 64;

/// What `nexus --help` says about them.
pub const HELP: &str = "Exit codes:
   0  it worked; a replay was identical
   1  it failed; a replay diverged
   2  the command line is wrong; an invocation cannot be replayed
  64  the configuration is wrong";
