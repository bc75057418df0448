//! The command line as clap sees it. Arguments of a command live beside the command.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::builder::Styles;
use clap::builder::styling::{AnsiColor, Style};
use clap::{Args, Parser, Subcommand, ValueEnum};
use nexus_model::{Name, limits};

use crate::address::listen_address;
use crate::commands;
use crate::{env, exit};

const STYLES: Styles = Styles::styled()
    .header(Style::new().bold())
    .usage(Style::new().bold())
    .literal(AnsiColor::Cyan.on_default())
    .placeholder(Style::new().dimmed());

/// Run functions, and run every call again exactly as it happened.
#[derive(Parser, Debug)]
#[command(
    name = "nexus",
    version,
    styles = STYLES,
    after_help = exit::HELP,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    max_term_width = 100
)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub globals: Globals,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Args, Clone, Debug, Default)]
pub struct Globals {
    /// The API's address; by default that of the `nexus dev` that runs here
    #[arg(long, global = true, env = env::SERVER, value_name = "URL", help_heading = "Global options")]
    pub server: Option<String>,
    /// The token for the API; by default that of the `nexus dev` that runs here
    #[arg(
        long,
        global = true,
        env = env::TOKEN,
        value_name = "TOKEN",
        hide_env_values = true,
        help_heading = "Global options"
    )]
    pub token: Option<String>,
    /// Trust the certificates in this PEM file as well, such as that of a private authority
    #[arg(
        long,
        global = true,
        env = env::CA_CERTIFICATE,
        value_name = "FILE",
        help_heading = "Global options"
    )]
    pub ca_certificate: Option<PathBuf>,
    /// The project; by default that of the nearest nexus.toml
    #[arg(
        short,
        long,
        global = true,
        env = env::PROJECT,
        value_name = "NAME",
        help_heading = "Global options"
    )]
    pub project: Option<Name>,
    /// What to print: text for people, JSON for programs (one value a line in lists)
    #[arg(
        short,
        long,
        global = true,
        env = env::OUTPUT,
        value_name = "FORMAT",
        default_value = "text",
        help_heading = "Global options"
    )]
    pub output: OutputFormat,
    /// Short for --output json
    #[arg(long, global = true, help_heading = "Global options")]
    pub json: bool,
    /// Print times in UTC instead of local time
    #[arg(long, global = true, help_heading = "Global options")]
    pub utc: bool,
    /// When to use colours
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        help_heading = "Global options"
    )]
    pub color: ColorChoice,
}

impl Globals {
    /// What to print.
    pub fn format(&self) -> OutputFormat {
        if self.json { OutputFormat::Json } else { self.output }
    }
}

/// What commands print.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OutputFormat {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
}

/// When colours are used.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ColorChoice {
    /// On terminals, unless NO_COLOR is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// Every command.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Make a new project in a folder
    New(NewArgs),
    /// Build, deploy and serve projects, again after every save
    Dev(DevArgs),
    /// Run the production server
    Serve(ServeArgs),
    /// Deploy a project's functions, or one component
    Deploy(DeployArgs),
    /// Run the recorded tests of a project against what is built from it now
    Test(TestArgs),
    /// Call a function and print what it answers
    Invoke(commands::invoke::InvokeArgs),
    /// Print the result of an asynchronous invocation
    Result(commands::deferred::ResultArgs),
    /// Stop an invocation that has not ended
    Cancel(commands::deferred::CancelArgs),
    /// Give a word from outside to a durable invocation
    Signal(commands::deferred::SignalArgs),
    /// Send CloudEvents, now or later
    Emit(commands::emit::EmitArgs),
    /// Events that happen later: list and cancel
    #[command(alias = "schedule")]
    Schedules(commands::schedules::SchedulesArgs),
    /// What happened: list, follow and show events
    #[command(visible_alias = "event")]
    Events(commands::events::EventsArgs),
    /// What ran: list, follow and show invocations
    #[command(visible_alias = "inv", alias = "invocation")]
    Invocations(commands::invocations::InvocationsArgs),
    /// Count what ran: how often, how it ended, how long it took
    Stats(commands::stats::StatsArgs),
    /// Say why an event or invocation is as it is
    Why(commands::why::WhyArgs),
    /// What functions wrote
    Logs(commands::logs::LogsArgs),
    /// Run invocations again, exactly or with another version, and compare
    Replay(commands::replay::ReplayArgs),
    /// Batches of replays: list, show, pause, cancel
    Replays(commands::replays::ReplaysArgs),
    /// Suites of recordings: list, show, save and delete them
    #[command(alias = "suite")]
    Suites(commands::suites::SuitesArgs),
    /// Hold a version against a suite of recordings
    Verify(commands::suites::VerifyArgs),
    /// Look into a past invocation, step by step, forward and back
    Debug(commands::debug::DebugArgs),
    /// Show where a past invocation spent its time and memory
    Profile(commands::profile::ProfileArgs),
    /// List, show and delete functions
    #[command(visible_alias = "fn", alias = "function")]
    Functions(commands::functions::FunctionsArgs),
    /// Versions of a function: list them, see what changed
    Versions(commands::versions::VersionsArgs),
    /// Let new calls run an earlier version again
    Rollback(commands::versions::RollbackArgs),
    /// Names of versions: set, move and delete them
    #[command(alias = "aliases")]
    Alias(commands::versions::AliasArgs),
    /// What calls functions: list, show, pause and resume triggers
    #[command(alias = "trigger")]
    Triggers(commands::triggers::TriggersArgs),
    /// What the data of events looks like: list, show, check and infer schemas
    #[command(alias = "schema")]
    Schemas(commands::schemas::SchemasArgs),
    /// Create and change resources from files
    Apply(commands::apply::ApplyArgs),
    /// Print resources
    Get(commands::resources::GetArgs),
    /// Delete a resource
    Delete(commands::resources::DeleteArgs),
    /// List, create and delete projects
    #[command(alias = "project")]
    Projects(commands::projects::ProjectsArgs),
    /// List, set and delete secrets
    #[command(alias = "secret")]
    Secrets(commands::secrets::SecretsArgs),
    /// What functions remember: list, print, set and delete it
    State(commands::state::StateArgs),
    /// List, create and delete tokens
    #[command(alias = "token")]
    Tokens(commands::tokens::TokensArgs),
    /// Deliveries that were given up: list, show, redrive and drop them
    #[command(alias = "dead-letter", alias = "dlq")]
    DeadLetters(commands::dead_letters::DeadLettersArgs),
    /// Open the web console, signed in
    Console(commands::console::ConsoleArgs),
    /// Print every limit
    Limits(commands::limits::LimitsArgs),
    /// Check and measure the event log
    Log(LogArgs),
    /// Show the server and how it is doing
    Status(commands::status::StatusArgs),
    /// Print the completion script of a shell
    Completion(commands::completion::CompletionArgs),
    /// Print the versions of this program and of the server
    Version,
    /// Generate reference documentation
    #[command(hide = true)]
    Docs(DocsArgs),
}

/// `nexus new`.
#[derive(Args, Clone, Debug)]
pub struct NewArgs {
    /// The folder to make; its name becomes the project's
    pub folder: PathBuf,
    /// rust, javascript, typescript or python
    #[arg(short, long, default_value = "rust", value_name = "LANGUAGE")]
    pub lang: String,
    /// http or event
    #[arg(short, long, default_value = "http", value_name = "TEMPLATE")]
    pub template: String,
    /// The project's name, where it is not the folder's
    #[arg(long, value_name = "NAME")]
    pub name: Option<Name>,
}

/// A data folder and the two addresses: flags of `dev` and `serve`.
#[derive(Args, Clone, Debug, Default)]
pub struct DataFolder {
    /// The data folder
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// The ingress' address, for functions [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS", value_parser = listen_address)]
    pub listen: Option<SocketAddr>,
    /// The API's address [default: 127.0.0.1:7070]
    #[arg(long, value_name = "ADDRESS", value_parser = listen_address)]
    pub admin_listen: Option<SocketAddr>,
    /// Set a key of the configuration, such as --set log.retention.max-age=30d
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

/// `nexus dev`.
#[derive(Args, Clone, Debug)]
pub struct DevArgs {
    /// Folders with a nexus.toml; the first one keeps the data and answers on the bare host
    #[arg(default_value = ".")]
    pub folders: Vec<PathBuf>,
    /// Data folder and addresses
    #[command(flatten)]
    pub data: DataFolder,
    /// Build and deploy once, without watching
    #[arg(long)]
    pub no_watch: bool,
    /// Do not print a line for each invocation
    #[arg(short, long)]
    pub quiet: bool,
    /// Calls of another server to hold every new version against
    #[command(flatten)]
    pub from: FromArgs,
}

/// Real calls for `nexus dev`.
#[derive(Args, Clone, Debug, Default)]
pub struct FromArgs {
    /// Bring the last calls from the server at this address, redacted, and hold every new version
    /// against them
    #[arg(long, value_name = "URL", help_heading = "Real calls")]
    pub from: Option<String>,
    /// Its token; it has to allow replays and reading payloads
    #[arg(
        long,
        requires = "from",
        env = env::FROM_TOKEN,
        hide_env_values = true,
        value_name = "TOKEN",
        help_heading = "Real calls"
    )]
    pub from_token: Option<String>,
    /// The project there, where it has another name
    #[arg(long, requires = "from", value_name = "NAME", help_heading = "Real calls")]
    pub from_project: Option<Name>,
    /// How many calls of each function
    #[arg(
        long,
        requires = "from",
        default_value_t = 100,
        value_parser = clap::value_parser!(u32).range(1..=i64::from(limits::CASES_FETCHED_MAX)),
        value_name = "COUNT",
        help_heading = "Real calls"
    )]
    pub last: u32,
}

/// Run the recorded tests of a project against what is built from it now
///
/// A test is an invocation that `nexus replay ID --save-test` saved: what went in, what the world
/// answered, what came of it. The functions are built and run with that as their world; nothing
/// outside is touched. The exit code is 0 when all do the same, 1 when one does not.
#[derive(Args, Clone, Debug)]
pub struct TestArgs {
    /// Files of tests, or folders with some [default: tests/recorded of the project]
    pub paths: Vec<PathBuf>,
    /// The project's folder
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub folder: PathBuf,
    /// Only those of this function
    #[arg(long, value_name = "NAME")]
    pub function: Option<Name>,
    /// Make what the functions do now what is expected
    #[arg(long)]
    pub update: bool,
}

/// `nexus serve`.
#[derive(Args, Clone, Debug, Default)]
pub struct ServeArgs {
    /// The configuration file
    #[arg(short, long, env = env::CONFIG, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Data folder and addresses
    #[command(flatten)]
    pub data: DataFolder,
    /// Print the JSON schema of the configuration and stop
    #[arg(long, conflicts_with = "dump_config")]
    pub print_config_schema: bool,
    /// Print the configuration as it would be used and stop
    #[arg(long)]
    pub dump_config: bool,
}

/// `nexus deploy`.
#[derive(Args, Clone, Debug)]
pub struct DeployArgs {
    /// The project's folder; its functions are built first
    #[arg(default_value = ".", conflicts_with = "component")]
    pub folder: PathBuf,
    /// Deploy this component or core module instead of building
    #[arg(short, long, value_name = "FILE", requires = "name")]
    pub component: Option<PathBuf>,
    /// The function; without --component: build and deploy only this one
    #[arg(short, long, value_name = "NAME")]
    pub name: Option<Name>,
    /// Answer HTTP requests on this path (repeatable); only with --component
    #[arg(long, value_name = "PATH", requires = "component")]
    pub path: Vec<String>,
    /// Handle events of this type (repeatable); only with --component
    #[arg(long = "on", value_name = "TYPE", requires = "component")]
    pub on: Vec<String>,
    /// What the component was written in, for display; only with --component
    #[arg(long, value_name = "LANGUAGE", requires = "component")]
    pub language: Option<String>,
    /// Only make the new version: calls go on running the one that is live
    #[arg(long)]
    pub candidate: bool,
    /// What the new version is called, such as 1.4.0; by default what nexus.toml says
    #[arg(long, value_name = "VERSION")]
    pub label: Option<String>,
}

/// `nexus log`.
#[derive(Args, Clone, Debug)]
pub struct LogArgs {
    /// What to do
    #[command(subcommand)]
    pub command: LogCommand,
}

/// Commands about the event log.
#[derive(Subcommand, Clone, Debug)]
pub enum LogCommand {
    /// Read the whole log: check every checksum, the hash chain and the large bodies it refers to
    Verify {
        /// Read the data folder of a stopped server instead of asking a running one
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
    },
    /// Print how much is in the log
    Stats {
        /// Read the data folder of a stopped server instead of asking a running one
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
    },
    /// Cut the log of a stopped server where it is damaged, so that the server starts again
    ///
    /// Says what would stay and what would go; does it with --yes. What goes is set aside in a
    /// folder inside the log's, whole.
    Cut {
        /// The data folder
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        /// Cut from this record on, instead of where the log cannot be opened
        #[arg(long, value_name = "RECORD")]
        from: Option<u64>,
        /// Do it
        #[arg(long)]
        yes: bool,
    },
}

impl LogCommand {
    /// The data folder to work on, when no server is asked.
    pub fn data(&self) -> Option<&PathBuf> {
        match self {
            LogCommand::Verify { data } | LogCommand::Stats { data } => data.as_ref(),
            LogCommand::Cut { data, .. } => Some(data),
        }
    }
}

/// `nexus docs` (hidden): writes generated reference pages.
#[derive(Args, Clone, Debug)]
pub struct DocsArgs {
    /// `configuration` or `cli`
    pub page: String,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_daily_loop_parses() {
        for line in [
            "new shop --lang rust",
            "new shop --template event",
            "dev",
            "dev shop billing --listen 127.0.0.1:0",
            "invoke hello -d {}",
            "emit com.shop.order.created -d @order.json --ext a=b --ext n=1",
            "events --type com.shop.* --since 1h --follow",
            "events show evt_1",
            "invocations --function hello --status failed,trapped --json",
            "inv show last",
            "logs hello --follow",
            "replay last --verify",
            "debug last",
            "debug --dap",
            "debug --dap-listen 127.0.0.1:4711 --source-map /ci=.",
            "profile last --format svg --out flame.svg",
            "invoke hello --async",
            "invoke hello --batch inputs.ndjson --concurrency 4",
            "result last --wait",
            "cancel inv_1 --reason enough",
            "signal last approved -d {}",
            "emit com.shop.order.late --in 5m",
            "emit com.shop.order.late --at 2026-12-01T10:00Z",
            "schedules cancel evt_1",
            "why last",
            "triggers",
            "triggers pause nightly",
            "schemas infer com.shop.order.created --since 1d --save order.json",
            "dead-letters --count",
            "dead-letters redrive evt_1 --data @fixed.json",
            "dead-letters redrive --function orders --rate 100/s --dry-run",
            "dead-letters drop --code NX5001 --reason fixed",
            "deploy --component x.wasm --name x",
            "functions show hello",
            "apply -f a.yaml -f b.toml",
            "log verify --data .nexus",
            "log cut --data .nexus --from 17 --yes",
            "tokens create ci --scope emit --ttl 30d",
            "secrets set api-key --from-file key.txt",
            "state list orders --prefix cart/ --values",
            "state list --shared warehouse --streams",
            "state get --shared warehouse stock/apple",
            "state set orders balance -5 --if-version 3",
            "state set orders cart/1 -",
            "state delete orders --all --yes",
            "state delete orders ledger/1 --stream",
            "state stream orders ledger/1 --after 2",
            "serve --config nexus-server.toml --set log.retention.max-age=30d",
            "completion bash",
            "console --no-open",
            "invocations --count --trigger http,event --cold --max-duration 2s",
            "invocations --text ada --where '.output.status==404' --cold=false",
            "events --count --type com.shop.*",
            "stats hello --since 1d",
        ] {
            let words = std::iter::once("nexus").chain(line.split(' '));
            if let Err(error) = Cli::try_parse_from(words) {
                panic!("{line}: {error}");
            }
        }
    }
}
