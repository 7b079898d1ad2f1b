//! The exporter: OTLP over HTTP with protobuf bodies, http and https.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use http::{Request, Response};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::WithHttpConfig;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::runtime::Handle;

use super::export::Target;

/// A request that takes longer is given up. Longer than any timeout the exporter library would be told.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// How often a collector that stays away is told again.
const REMIND_EVERY: Duration = Duration::from_secs(600);

/// An exporter to `target`, to be used by the SDK's batch processor. Needs a running runtime.
pub fn exporter(target: &Target) -> anyhow::Result<impl SpanExporter + use<>> {
    let connector = connector(target)?;
    let client = OnRuntime { runtime: Handle::current(), client: HyperClient::new(connector, REQUEST_TIMEOUT, None) };
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .build()
        .with_context(|| format!("no exporter can be made for {}", target.endpoint))?;
    Ok(Telling { exporter, endpoint: target.endpoint.clone(), outage: Mutex::new(None) })
}

/// Plain for http; for https with the certificate authority asked for, else with those of the system.
fn connector(target: &Target) -> anyhow::Result<HttpsConnector<HttpConnector>> {
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    if let Some(path) = &target.certificate {
        let attempt = || format!("cannot read OTEL_EXPORTER_OTLP_CERTIFICATE {path}");
        for certificate in CertificateDer::pem_file_iter(path).with_context(attempt)? {
            roots.add(certificate.with_context(attempt)?).with_context(attempt)?;
        }
    } else if target.endpoint.starts_with("https:") {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build())
}

/// Sends on the program's runtime: the batch processor polls on a thread of its own, where hyper finds no reactor.
#[derive(Debug)]
struct OnRuntime {
    runtime: Handle,
    client: HyperClient<HttpsConnector<HttpConnector>>,
}

#[async_trait::async_trait]
impl HttpClient for OnRuntime {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        self.runtime.spawn(async move { client.send_bytes(request).await }).await?
    }
}

/// Tells when the collector goes away and when it is back, instead of at every batch.
#[derive(Debug)]
struct Telling<E> {
    exporter: E,
    endpoint: String,
    outage: Mutex<Option<Outage>>,
}

/// A time in which nothing could be delivered.
#[derive(Debug)]
struct Outage {
    lost: usize,
    told: Instant,
}

impl<E: SpanExporter> SpanExporter for Telling<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let result = self.exporter.export(batch).await;
        self.note(spans, result.as_ref().err().map(ToString::to_string), Instant::now());
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

impl<E> Telling<E> {
    fn note(&self, spans: usize, failure: Option<String>, now: Instant) {
        let endpoint = &self.endpoint;
        let mut outage = self.outage.lock().unwrap_or_else(PoisonError::into_inner);
        match (failure, outage.as_mut()) {
            (Some(error), None) => {
                tracing::warn!(
                    "cannot deliver traces to {endpoint}: {error}. They are dropped until it answers; nothing else changes"
                );
                *outage = Some(Outage { lost: spans, told: now });
            }
            (Some(error), Some(outage)) => {
                outage.lost += spans;
                if now.duration_since(outage.told) >= REMIND_EVERY {
                    tracing::warn!("still cannot deliver traces to {endpoint}, {} spans lost so far: {error}", outage.lost);
                    outage.told = now;
                }
            }
            (None, Some(before)) => {
                tracing::info!("traces are delivered to {endpoint} again; {} spans were lost", before.lost);
                *outage = None;
            }
            (None, None) => {}
        }
    }
}
