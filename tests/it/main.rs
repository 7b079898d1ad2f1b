//! Tests against a real Docker Engine and a real operator process, in one binary to spare link time.
//!
//! Each test makes a [`support::Sandbox`]; everything it makes on the engine carries the sandbox's prefix and is removed with it.
//! Modules that start a Docker daemon of their own are named `daemon_*` (`.config/nextest.toml` runs those one at a time).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that meets the unexpected fails")]

mod support;

mod adopt;
mod builds;
mod cli;
mod commands;
mod compose;
mod compose_config;
mod content;
mod converge;
mod daemon_adopt;
mod daemon_boot;
mod daemon_engine;
mod daemon_followed;
mod daemon_harness;
mod daemon_intent;
mod daemon_notify;
mod daemon_order;
mod disk;
mod documents;
mod engine;
mod exec;
mod faults;
mod followed;
mod gallery;
mod harness;
mod heal;
mod health;
mod input;
mod jobs;
mod killed;
mod ladder;
mod layering;
mod logs;
mod monitoring;
mod mutated;
mod notify;
mod order;
mod outside;
mod proposals;
mod pulls;
mod resources;
mod sources;
mod supervised;
mod traces;
