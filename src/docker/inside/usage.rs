//! What a container uses, from what the engine measures. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::docker::read::or_default;

/// What a container uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// Percent of one CPU over the last second; two busy CPUs are 200.
    pub cpu_percent: f64,
    /// Its working set in bytes: memory without the page cache that can be taken back at once.
    pub memory_bytes: u64,
    /// What it may use at most, in bytes; without a limit of its own, the machine's memory.
    pub memory_limit_bytes: u64,
    /// Received over all its networks since it was started, in bytes.
    pub network_received_bytes: u64,
    /// Sent over all its networks since it was started, in bytes.
    pub network_sent_bytes: u64,
    /// Read from block devices since it was started, in bytes.
    pub block_read_bytes: u64,
    /// Written to block devices since it was started, in bytes.
    pub block_written_bytes: u64,
    /// Processes and threads.
    pub pids: u64,
}

impl Usage {
    /// Both together. Limits are added too: what all may use at most.
    pub fn plus(self, other: Self) -> Self {
        Self {
            cpu_percent: self.cpu_percent + other.cpu_percent,
            memory_bytes: self.memory_bytes.saturating_add(other.memory_bytes),
            memory_limit_bytes: self.memory_limit_bytes.saturating_add(other.memory_limit_bytes),
            network_received_bytes: self.network_received_bytes.saturating_add(other.network_received_bytes),
            network_sent_bytes: self.network_sent_bytes.saturating_add(other.network_sent_bytes),
            block_read_bytes: self.block_read_bytes.saturating_add(other.block_read_bytes),
            block_written_bytes: self.block_written_bytes.saturating_add(other.block_written_bytes),
            pids: self.pids.saturating_add(other.pids),
        }
    }
}

/// `GET /containers/{id}/stats`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct StatsReply {
    #[serde(deserialize_with = "or_default")]
    cpu_stats: Cpu,
    /// The sample before, so that there is a difference to measure by.
    #[serde(deserialize_with = "or_default")]
    precpu_stats: Cpu,
    #[serde(deserialize_with = "or_default")]
    memory_stats: Memory,
    #[serde(deserialize_with = "or_default")]
    networks: BTreeMap<String, Traffic>,
    #[serde(deserialize_with = "or_default")]
    blkio_stats: Block,
    #[serde(deserialize_with = "or_default")]
    pids_stats: Pids,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Cpu {
    #[serde(deserialize_with = "or_default")]
    cpu_usage: CpuUsage,
    system_cpu_usage: u64,
    online_cpus: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CpuUsage {
    total_usage: u64,
    #[serde(deserialize_with = "or_default")]
    percpu_usage: Vec<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Memory {
    usage: u64,
    limit: u64,
    #[serde(deserialize_with = "or_default")]
    stats: BTreeMap<String, u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Traffic {
    rx_bytes: u64,
    tx_bytes: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Block {
    #[serde(deserialize_with = "or_default")]
    io_service_bytes_recursive: Vec<BlockEntry>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct BlockEntry {
    op: String,
    value: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Pids {
    current: u64,
}

impl From<StatsReply> for Usage {
    fn from(reply: StatsReply) -> Self {
        // The word is `Read` under cgroup v1 and `read` under v2.
        let block = |op: &str| {
            let entries = reply.blkio_stats.io_service_bytes_recursive.iter();
            entries.filter(|entry| entry.op.eq_ignore_ascii_case(op)).map(|entry| entry.value).sum()
        };
        Self {
            cpu_percent: cpu_percent(&reply.precpu_stats, &reply.cpu_stats),
            memory_bytes: working_set(&reply.memory_stats),
            memory_limit_bytes: reply.memory_stats.limit,
            network_received_bytes: reply.networks.values().map(|traffic| traffic.rx_bytes).sum(),
            network_sent_bytes: reply.networks.values().map(|traffic| traffic.tx_bytes).sum(),
            block_read_bytes: block("read"),
            block_written_bytes: block("write"),
            pids: reply.pids_stats.current,
        }
    }
}

/// As `docker stats` counts: the container's share of all CPU time that passed, times the CPUs.
fn cpu_percent(before: &Cpu, now: &Cpu) -> f64 {
    let used = now.cpu_usage.total_usage.saturating_sub(before.cpu_usage.total_usage);
    let passed = now.system_cpu_usage.saturating_sub(before.system_cpu_usage);
    let cpus = match now.online_cpus {
        0 => now.cpu_usage.percpu_usage.len().max(1) as f64,
        cpus => cpus as f64,
    };
    // Without a sample before, the difference would be the whole life of container and machine.
    if passed == 0 || before.system_cpu_usage == 0 { 0.0 } else { used as f64 / passed as f64 * cpus * 100.0 }
}

/// The cache that has not been used for a while is the first to go when memory is short; cgroup v1 names it otherwise.
fn working_set(memory: &Memory) -> u64 {
    let inactive = memory.stats.get("total_inactive_file").or(memory.stats.get("inactive_file")).copied().unwrap_or(0);
    memory.usage.saturating_sub(inactive)
}
