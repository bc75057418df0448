//! `nexus serve`: the production server.

use nexus_cli::{DataFolder, Error, HostFailure, Paint, ServeArgs, Terminal, Tone, env};
use nexus_node::Mode;
use nexus_observe::telemetry;

use crate::config::{self, Config, LogFormat, Sources};
use crate::server::{Server, Start};
use crate::signals::{Asked, Signals};

/// How long work that cannot be stopped has at the end: enough to write a file.
const LINGER: std::time::Duration = std::time::Duration::from_secs(1);

pub(crate) fn run(args: &ServeArgs, terminal: &mut Terminal) -> Result<(), Error> {
    if args.print_config_schema {
        let schema = serde_json::to_string_pretty(&config::schema()).unwrap_or_default();
        return terminal.line(schema);
    }
    let (config, warnings) = configure(Config::default(), args.config.clone(), &args.data)?;
    if args.dump_config {
        for warning in &warnings {
            terminal.say(format_args!("{} {warning}", Paint(Tone::Warn, "warning:")));
        }
        let text = toml::to_string(&config).map_err(HostFailure::new)?;
        return terminal.bytes(text.as_bytes());
    }
    log_lines(&config)?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    run_to_end(serve(config))
}

/// Puts the configuration of `serve` and `dev` together.
pub(crate) fn configure(
    defaults: Config,
    file: Option<std::path::PathBuf>,
    flags: &DataFolder,
) -> Result<(Config, Vec<String>), Error> {
    let mut set = flags.set.clone();
    if let Some(data) = &flags.data {
        set.push(format!("data={}", data.display()));
    }
    set.extend(flags.listen.map(|address| format!("ingress.listen={address}")));
    set.extend(flags.admin_listen.map(|address| format!("api.listen={address}")));
    let sources = Sources { defaults, file, environment: std::env::vars_os().collect(), set };
    config::load(&sources).map_err(|error| {
        let hint = "`nexus serve --print-config-schema` prints every key; docs/configuration.md \
                    describes them";
        HostFailure::config(error).hint(hint).into()
    })
}

/// Sends the server's log lines to standard error from now on.
pub(crate) fn log_lines(config: &Config) -> Result<(), Error> {
    #[expect(clippy::disallowed_methods, reason = "configuration is read here")]
    let filter = std::env::var(env::LOG).unwrap_or_else(|_| config.logging.filter.clone());
    let format = match config.logging.format {
        LogFormat::Text => telemetry::Format::Text,
        LogFormat::Json => telemetry::Format::Json,
    };
    let config = telemetry::Config { format, filter };
    telemetry::init(&config).map_err(|error| HostFailure::config(error).into())
}

/// Runs a server until it has ended, with a worker for each processor. Work that still has a thread then (a compiler cannot be told to
/// stop) gets a moment and ends with the process: no signal would be heard any more.
pub(crate) fn run_to_end<T>(server: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("nexus")
        .build()
        .map_err(HostFailure::new)?;
    let ended = runtime.block_on(server);
    runtime.shutdown_timeout(LINGER);
    ended
}

async fn serve(config: Config) -> Result<(), Error> {
    let mut signals = Signals::new().map_err(HostFailure::new)?;
    let server = Server::start(Start { config, mode: Mode::Serve, project: None }).await?;
    tracing::info!(
        ingress = server.file.ingress,
        api = server.file.api,
        data = %server.file.data.display(),
        "serving"
    );
    loop {
        match signals.next().await {
            Asked::Stop => break,
            Asked::Reload => match server.gateway.reload_tls() {
                Ok(changed) => tracing::info!(changed, "certificates were read again"),
                Err(error) => tracing::error!(%error, "the certificates cannot be used"),
            },
        }
    }
    tracing::info!("stopping; a second signal stops at once");
    tokio::select! {
        () = server.stop() => tracing::info!("stopped"),
        () = signals.stop() => tracing::warn!("stopped at once"),
    }
    Ok(())
}
