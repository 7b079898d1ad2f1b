//! Logs on stderr and traces to an OpenTelemetry collector.
//!
//! Every span has a trace id, whether or not it is exported: status, Events and logs name it. Where spans go is said by
//! the standard `OTEL_*` variables alone (`export`), so that evenkeel fits into what is there. Neither a collector
//! that is down nor one that hangs changes anything for the rest of the program.

mod export;
mod otlp;

use std::io::IsTerminal;
use std::time::Duration;

use opentelemetry::trace::{TraceContextExt, TracerProvider};
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use serde::{Deserialize, Serialize};
use tracing::{Level, Metadata, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::filter::{FilterFn, LevelFilter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

/// What is logged if nothing else is asked for.
pub const DEFAULT_FILTER: &str = "info";

/// How long the last spans may take on their way out when the program ends.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(3);

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// What to log and how to introduce oneself to a collector.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Look of log lines.
    pub format: LogFormat,
    /// Filter directives: `info`, `debug`, `evenkeel::docker=debug,info`, ..
    pub filter: String,
    /// Name of this operator among those of the engine (`--instance`).
    pub instance: String,
}

/// Keeps spans flowing; give it back with [`Guard::shutdown`] so that the last ones arrive.
#[must_use = "spans stop flowing when it is dropped"]
pub struct Guard {
    provider: SdkTracerProvider,
}

impl Guard {
    /// Sends what is still queued, for 3 seconds at most.
    pub async fn shutdown(self) {
        let provider = self.provider;
        // The processor waits for its own thread, which in turn waits for a task of this runtime: never block on it here.
        let sent = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(SHUTDOWN_GRACE)).await;
        if let Ok(Err(error)) = sent {
            tracing::debug!("the last traces were not delivered: {error}");
        }
    }
}

/// Sets up logs and traces for the whole process. Must be called within the runtime that lives as long as the program.
///
/// # Errors
/// Only if it was called before. What is wrong in the environment is logged, and done without.
pub fn init(options: &Options) -> anyhow::Result<Guard> {
    let (provider, mut remarks) = provider(&options.instance);
    let (filter, remark) = log_filter(&options.filter);
    remarks.extend(remark);

    tracing_subscriber::registry()
        .with(log_layer(options.format).with_filter(filter))
        .with(trace_layer(&provider))
        .try_init()
        .map_err(|error| anyhow::anyhow!("cannot set up the log: {error}"))?;

    for remark in remarks {
        tracing::warn!("{remark}");
    }
    Ok(Guard { provider })
}

/// Trace id of the current span, 32 hex digits; `None` outside any span.
pub fn trace_id() -> Option<String> {
    let context = tracing::Span::current().context();
    let span = context.span();
    let id = span.span_context();
    id.is_valid().then(|| id.trace_id().to_string())
}

/// An error with its causes, `what: why: why`: each said once.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// Makes the source of spans as the environment asks, and what is to be said about it.
fn provider(instance: &str) -> (SdkTracerProvider, Vec<String>) {
    let read = |name: &str| std::env::var(name).ok();
    let (target, mut remarks) = export::target(read);
    let builder = SdkTracerProvider::builder().with_resource(export::resource(read, instance));
    let exporter = target.and_then(|target| match otlp::exporter(&target) {
        Ok(exporter) => Some(exporter),
        Err(error) => {
            remarks.push(format!("traces are not exported: {error:#}"));
            None
        }
    });
    let provider = match exporter {
        Some(exporter) => builder.with_batch_exporter(exporter),
        // Nothing is recorded, yet every span has its ids.
        None => builder.with_sampler(Sampler::AlwaysOff),
    };
    (provider.build(), remarks)
}

/// The filter of the log, and what is wrong with it if something is.
fn log_filter(directives: &str) -> (EnvFilter, Option<String>) {
    let directives = if directives.trim().is_empty() { DEFAULT_FILTER } else { directives };
    let (filter, remark) = match EnvFilter::builder().parse(directives) {
        Ok(filter) => (filter, None),
        Err(error) => {
            let remark = format!("log filter {directives:?} is not understood ({error}): logging at level {DEFAULT_FILTER}");
            (EnvFilter::new(DEFAULT_FILTER), Some(remark))
        }
    };
    // The exporter tells by itself when it cannot deliver, once; the SDK would tell it at every batch.
    let quiet = if directives.contains("opentelemetry") { None } else { "opentelemetry=off".parse().ok() };
    (quiet.into_iter().fold(filter, EnvFilter::add_directive), remark)
}

fn log_layer<S>(format: LogFormat) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    match format {
        LogFormat::Text => layer.with_target(false).with_ansi(colored()).boxed(),
        LogFormat::Json => layer.json().flatten_event(true).with_span_list(false).boxed(),
    }
}

/// Whether stderr is a terminal whose user has nothing against colours.
fn colored() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

fn trace_layer<S>(provider: &SdkTracerProvider) -> impl Layer<S> + use<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("evenkeel"))
        .with_location(false)
        .with_threads(false)
        .with_filter(FilterFn::new(traced).with_max_level_hint(LevelFilter::DEBUG))
}

/// Traces hold our own spans, whatever the log's filter says, and what was logged within them.
fn traced(metadata: &Metadata<'_>) -> bool {
    let deepest = if metadata.is_span() { Level::DEBUG } else { Level::INFO };
    metadata.target().starts_with("evenkeel") && *metadata.level() <= deepest
}

#[cfg(test)]
mod tests;
