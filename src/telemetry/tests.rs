use std::collections::HashMap;

use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::layer::SubscriberExt;

use super::export::{Target, target};
use super::*;

fn asked(variables: &[(&str, &str)]) -> (Option<Target>, Vec<String>) {
    let variables: HashMap<_, _> = variables.iter().copied().collect();
    target(|name| variables.get(name).map(ToString::to_string))
}

fn endpoint(variables: &[(&str, &str)]) -> Option<String> {
    let (target, remarks) = asked(variables);
    assert!(remarks.is_empty(), "{remarks:?}");
    target.map(|target| target.endpoint)
}

#[test]
fn exports_where_the_standard_variables_say_so_and_nowhere_else() {
    let here = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");
    let traces = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces:4318/v1/traces");
    assert_eq!(endpoint(&[]), None);
    assert_eq!(endpoint(&[here]), Some("http://collector:4318".into()));
    assert_eq!(endpoint(&[here, traces]), Some("http://traces:4318/v1/traces".into()));
    assert_eq!(endpoint(&[("OTEL_TRACES_EXPORTER", "otlp")]), Some("http://localhost:4318".into()));
    assert_eq!(endpoint(&[here, ("OTEL_TRACES_EXPORTER", "none")]), None);
    assert_eq!(endpoint(&[here, ("OTEL_SDK_DISABLED", "TRUE")]), None);
    assert_eq!(endpoint(&[here, ("OTEL_SDK_DISABLED", "false")]), Some("http://collector:4318".into()));
    assert_eq!(endpoint(&[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")]), None);
}

#[test]
fn says_what_it_cannot_export_to_instead_of_trying() {
    let (target, remarks) =
        asked(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4317"), ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc")]);
    assert_eq!(target, None);
    assert!(remarks[0].contains("grpc") && remarks[0].contains("http/protobuf"), "{remarks:?}");

    let (target, remarks) = asked(&[("OTEL_TRACES_EXPORTER", "zipkin")]);
    assert_eq!(target, None);
    assert!(remarks[0].contains("zipkin"), "{remarks:?}");
}

#[test]
fn a_span_has_a_trace_id_that_its_children_share_though_nothing_is_exported() {
    let provider = SdkTracerProvider::builder().with_sampler(Sampler::AlwaysOff).build();
    let subscriber = tracing_subscriber::registry().with(trace_layer(&provider));
    tracing::subscriber::with_default(subscriber, || {
        assert_eq!(trace_id(), None);
        let _outer = tracing::info_span!("outer").entered();
        let outer = trace_id().unwrap();
        assert_eq!(outer.len(), 32);
        assert!(outer.chars().all(|c| c.is_ascii_hexdigit()) && outer.chars().any(|c| c != '0'), "{outer}");
        tracing::debug_span!("inner").in_scope(|| assert_eq!(trace_id().as_ref(), Some(&outer)));
    });
}

#[test]
fn a_log_filter_hides_no_trace_id() {
    let provider = SdkTracerProvider::builder().build();
    let (filter, _) = log_filter("error");
    let subscriber =
        tracing_subscriber::registry().with(log_layer(LogFormat::Text).with_filter(filter)).with(trace_layer(&provider));
    tracing::subscriber::with_default(subscriber, || {
        tracing::info_span!("reconcile").in_scope(|| assert!(trace_id().is_some()));
    });
}

#[test]
fn a_filter_that_is_not_understood_is_told_and_logs_at_info() {
    let (filter, remark) = log_filter("evenkeel=loud");
    assert!(remark.unwrap().contains("evenkeel=loud"));
    assert!(filter.to_string().contains("info"));
    assert_eq!(log_filter("").1, None);
    assert_eq!(log_filter("evenkeel::docker=debug,warn").1, None);
}

#[test]
fn the_environment_has_the_last_word_on_the_service_name() {
    let name = |value: Option<&str>| {
        let value = value.map(str::to_owned);
        let resource = export::resource(|_| value.clone(), "default");
        resource.get(&"service.name".into()).unwrap().to_string()
    };
    assert_eq!(name(None), "evenkeel");
    assert_eq!(name(Some("ship")), "ship");
}
