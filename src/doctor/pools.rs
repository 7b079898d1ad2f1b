//! How many networks the engine's address pools still hold. Pure.

use std::net::Ipv4Addr;

use super::Finding;
use crate::docker::AddressPool;

/// Fewer than so many left are worth a word.
const FEW: u64 = 5;

/// A range of IPv4 addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    base: u32,
    prefix: u8,
}

impl Range {
    fn parse(text: &str) -> Option<Self> {
        let (base, prefix) = text.split_once('/')?;
        let (base, prefix) = (base.parse::<Ipv4Addr>().ok()?, prefix.parse().ok().filter(|prefix| *prefix <= 32)?);
        Some(Self { base: u32::from(base), prefix })
    }

    fn holds(self, other: Self) -> bool {
        let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
        other.prefix >= self.prefix && (other.base & mask) == (self.base & mask)
    }
}

/// What Docker uses where its configuration names no pools: 172.17 to 172.31, and 16 parts of 192.168.
fn usual() -> Vec<AddressPool> {
    let pool = |base: String, size| AddressPool { base, size };
    let mut pools: Vec<AddressPool> = (17..=31).map(|second| pool(format!("172.{second}.0.0/16"), 16)).collect();
    pools.push(pool("192.168.0.0/16".to_owned(), 20));
    pools
}

/// What is left of the pools (none: the usual ones) beside these subnets.
pub(super) fn left(pools: &[AddressPool], subnets: &[String]) -> Finding {
    let pools = if pools.is_empty() { usual() } else { pools.to_vec() };
    let (mut total, mut taken) = (0_u64, 0_u64);
    for pool in &pools {
        let Some(range) = Range::parse(&pool.base) else { continue };
        total += 1_u64 << pool.size.saturating_sub(range.prefix).min(32);
        taken += subnets.iter().filter_map(|subnet| Range::parse(subnet)).filter(|subnet| range.holds(*subnet)).count() as u64;
    }
    judged(total.saturating_sub(taken), total)
}

fn judged(left: u64, total: u64) -> Finding {
    let check = "networks";
    let says = format!("{left} of {total} left in the address pools; each deployment takes one");
    let remedy = "add pools to /etc/docker/daemon.json, {\"default-address-pools\": [{\"base\": \"10.200.0.0/16\", \"size\": 24}]}, and \
                  restart Docker; or remove networks nobody uses (docker network ls)";
    match left {
        0 => Finding::fail(check, says, remedy),
        left if left <= FEW => Finding::warn(check, says, remedy),
        _ => Finding::ok(check, says),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    fn subnets(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn the_usual_pools_hold_31_networks() {
        let seen = left(&[], &subnets(&["172.17.0.0/16", "192.168.16.0/20", "10.1.0.0/24", "fd00::/64"]));
        assert_eq!(seen.message, "29 of 31 left in the address pools; each deployment takes one");
        assert_eq!(seen.result, Verdict::Ok);
        let full: Vec<String> =
            (17..=31).map(|n| format!("172.{n}.0.0/16")).chain((0..16).map(|n| format!("192.168.{}.0/20", n * 16))).collect();
        assert_eq!(left(&[], &full).result, Verdict::Fail);
        assert_eq!(left(&[], &full[3..]).result, Verdict::Warn);
    }

    #[test]
    fn pools_of_ones_own_count_instead() {
        let pools = [AddressPool { base: "10.200.0.0/16".into(), size: 24 }];
        assert!(left(&pools, &subnets(&["10.200.3.0/24", "172.17.0.0/16"])).message.starts_with("255 of 256"));
    }
}
