//! Every environment variable that Nexus reads. The reference in `docs/configuration.md` is
//! generated from [`ALL`].

/// An environment variable.
#[derive(Clone, Copy, Debug)]
pub struct EnvVar {
    /// The name.
    pub name: &'static str,
    /// What it does, in one sentence.
    pub what: &'static str,
    /// The release that brought it.
    pub since: &'static str,
}

/// The API's address.
pub const SERVER: &str = "NEXUS_SERVER";
/// The token for the API.
pub const TOKEN: &str = "NEXUS_TOKEN";
/// A file with certificates that commands trust.
pub const CA_CERTIFICATE: &str = "NEXUS_CA_CERTIFICATE";
/// The token of the server that `nexus dev --from` asks.
pub const FROM_TOKEN: &str = "NEXUS_FROM_TOKEN";
/// The project of commands.
pub const PROJECT: &str = "NEXUS_PROJECT";
/// The form of what commands print.
pub const OUTPUT: &str = "NEXUS_OUTPUT";
/// The server's configuration file.
pub const CONFIG: &str = "NEXUS_CONFIG";
/// The filter of the server's own log.
pub const LOG: &str = "NEXUS_LOG";
/// The editor for people with a full screen.
pub const VISUAL: &str = "VISUAL";
/// The editor.
pub const EDITOR: &str = "EDITOR";

/// Variables that are no configuration key. Each key of the server's configuration has one as
/// well: `NEXUS_` and the key in capitals, with `_` for `-` and `__` between tables
/// (`NEXUS_LOG__RETENTION__MAX_AGE=30d`).
pub const ALL: &[EnvVar] = &[
    EnvVar {
        name: SERVER,
        what: "The API's address for commands, such as `https://nexus.example.com`.",
        since: "0.1.0",
    },
    EnvVar { name: TOKEN, what: "The token that commands send to the API.", since: "0.1.0" },
    EnvVar {
        name: CA_CERTIFICATE,
        what: "A PEM file with certificates that commands trust besides those of the system.",
        since: "0.1.0",
    },
    EnvVar {
        name: "SSL_CERT_FILE",
        what: "Where commands find the system's certificates; `SSL_CERT_DIR` names folders with some.",
        since: "0.1.0",
    },
    EnvVar {
        name: FROM_TOKEN,
        what: "The token of the server from which `nexus dev --from` brings calls.",
        since: "0.1.0",
    },
    EnvVar { name: PROJECT, what: "The project that commands work on.", since: "0.1.0" },
    EnvVar { name: OUTPUT, what: "What commands print: `text` or `json`.", since: "0.1.0" },
    EnvVar { name: CONFIG, what: "The configuration file of `nexus serve`.", since: "0.1.0" },
    EnvVar {
        name: LOG,
        what: "The filter of the server's own log lines, such as `info,nexus_node=debug`.",
        since: "0.1.0",
    },
    EnvVar { name: "NO_COLOR", what: "No colours, when set and not empty.", since: "0.1.0" },
    EnvVar {
        name: "CLICOLOR_FORCE",
        what: "Colours also where output is no terminal, when set and not `0`.",
        since: "0.1.0",
    },
    EnvVar {
        name: EDITOR,
        what: "The editor of `nexus dead-letters redrive --edit`; `VISUAL` goes first.",
        since: "0.1.0",
    },
    EnvVar { name: "TZ", what: "The time zone of printed times.", since: "0.1.0" },
];
