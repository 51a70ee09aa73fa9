//! Logs: structured to journald where systemd gave us its socket, else fleet's lines on stderr.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::reload;
use tracing_subscriber::{Layer, Registry, filter};

/// What decides which messages are written, while there is a logger.
static LEVELS: OnceLock<reload::Handle<filter::Targets, Registry>> = OnceLock::new();

/// Starts logging. Called once, first of all.
///
/// # Errors
/// When a logger is there already.
pub fn start(verbose: bool) -> Result<(), tracing::subscriber::SetGlobalDefaultError> {
    let (levels, handle) = reload::Layer::new(levels(verbose));
    // A second logger is refused below.
    _ = LEVELS.set(handle);
    let journald = stderr_is_the_journal().then(tracing_journald::layer).and_then(Result::ok);
    match journald {
        Some(journald) => tracing::subscriber::set_global_default(
            tracing_subscriber::registry()
                .with(journald.with_field_prefix(Some("FLEET".to_owned())).with_filter(levels)),
        ),
        None => tracing::subscriber::set_global_default(tracing_subscriber::registry().with(
            tracing_subscriber::fmt::layer().with_writer(std::io::stderr).event_format(FleetLines).with_filter(levels),
        )),
    }
}

/// Says more, or less, from now on.
pub fn set_verbose(verbose: bool) {
    if let Some(handle) = LEVELS.get() {
        // The logger lives as long as the process.
        _ = handle.reload(levels(verbose));
    }
}

/// Libraries speak up only when something is wrong.
fn levels(verbose: bool) -> filter::Targets {
    let ours = if verbose { LevelFilter::DEBUG } else { LevelFilter::INFO };
    filter::Targets::new().with_default(LevelFilter::WARN).with_target("fleet", ours)
}

/// Whether stderr is the stream that JOURNAL_STREAM names, and not something it was redirected to later.
fn stderr_is_the_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    std::fs::metadata("/proc/self/fd/2").is_ok_and(|stderr| stream == format!("{}:{}", stderr.dev(), stderr.ino()))
}

/// `LEVEL file.rs:LINE: message`, as fleet wrote it; the reader of the log adds the time.
struct FleetLines;

impl<S, N> FormatEvent<S, N> for FleetLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let metadata = event.metadata();
        let level = match *metadata.level() {
            Level::ERROR => "ERROR",
            Level::WARN => "WARN",
            Level::INFO => "INFO",
            _ => "DEBUG",
        };
        let file = metadata.file().map_or("-", |file| file.rsplit('/').next().unwrap_or(file));
        write!(writer, "{level} {file}:{}: ", metadata.line().unwrap_or_default())?;
        let mut line = Line { writer, result: Ok(()), rest: String::new() };
        event.record(&mut line);
        let Line { mut writer, result, rest } = line;
        result?;
        writeln!(writer, "{rest}")
    }
}

/// Writes the message, and keeps the other fields for after it.
struct Line<'a> {
    writer: Writer<'a>,
    result: fmt::Result,
    rest: String,
}

impl Visit for Line<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.result = write!(self.writer, "{value:?}");
        } else if !field.name().starts_with("log.") {
            self.rest.push_str(&format!(" {}={value:?}", field.name()));
        }
    }
}
