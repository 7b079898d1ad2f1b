//! The few messages of BuildKit that are needed, by their numbers on the wire.

use prost::Message;

/// `moby.buildkit.v1.StatusResponse`: what a build did since the last one.
#[derive(Clone, PartialEq, Message)]
pub(super) struct StatusResponse {
    #[prost(message, repeated, tag = "1")]
    pub vertexes: Vec<Vertex>,
    #[prost(message, repeated, tag = "3")]
    pub logs: Vec<VertexLog>,
}

/// One step of a build; told again whenever it changes.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Vertex {
    #[prost(string, tag = "1")]
    pub digest: String,
    #[prost(string, tag = "3")]
    pub name: String,
    #[prost(bool, tag = "4")]
    pub cached: bool,
    /// Set once it has begun; when is of no interest.
    #[prost(message, optional, tag = "5")]
    pub started: Option<Time>,
    #[prost(message, optional, tag = "6")]
    pub completed: Option<Time>,
    #[prost(string, tag = "7")]
    pub error: String,
}

/// `google.protobuf.Timestamp`, unread.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Time {}

/// Output of a step.
#[derive(Clone, PartialEq, Message)]
pub(super) struct VertexLog {
    #[prost(bytes = "vec", tag = "4")]
    pub text: Vec<u8>,
}

/// `moby.filesync.v1.CredentialsRequest`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct CredentialsRequest {
    #[prost(string, tag = "1")]
    pub host: String,
}

/// `moby.filesync.v1.CredentialsResponse`; both empty: nobody is logged in.
#[derive(Clone, PartialEq, Message)]
pub(super) struct CredentialsResponse {
    #[prost(string, tag = "1")]
    pub username: String,
    #[prost(string, tag = "2")]
    pub secret: String,
}

/// `moby.buildkit.secrets.v1.GetSecretRequest`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct GetSecretRequest {
    #[prost(string, tag = "1")]
    pub id: String,
}

/// `moby.buildkit.secrets.v1.GetSecretResponse`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct GetSecretResponse {
    #[prost(bytes = "vec", tag = "1")]
    pub data: Vec<u8>,
}

/// `moby.sshforward.v1.CheckAgentRequest`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct CheckAgentRequest {
    #[prost(string, tag = "1")]
    pub id: String,
}

/// `moby.sshforward.v1.BytesMessage`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct BytesMessage {
    #[prost(bytes = "vec", tag = "1")]
    pub data: Vec<u8>,
}

/// `grpc.health.v1.HealthCheckResponse`; 1 is serving.
#[derive(Clone, PartialEq, Message)]
pub(super) struct HealthCheckResponse {
    #[prost(int32, tag = "1")]
    pub status: i32,
}

/// A message without fields that are of interest.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Nothing {}
