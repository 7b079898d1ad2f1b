//! What a container may take of single block devices.

/// Limits on block devices, each by its path on the host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BlockDevices {
    /// 10 to 1000.
    pub weights: Vec<(String, u16)>,
    /// Bytes a second.
    pub read_bps: Vec<(String, i64)>,
    /// Operations a second.
    pub read_iops: Vec<(String, i64)>,
    /// Bytes a second.
    pub write_bps: Vec<(String, i64)>,
    /// Operations a second.
    pub write_iops: Vec<(String, i64)>,
}
