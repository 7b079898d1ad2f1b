//! Until when the certificates hold. The server's own is signed anew at each start; the authority's is kept.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::Finding;

/// So long before its end it is worth a word.
const SOON_DAYS: i64 = 90;

/// The authority in the data folder; nothing where there is none yet, or it cannot be read.
pub(super) fn examine(data_dir: &Path, now: Timestamp) -> Option<Finding> {
    let pem = std::fs::read_to_string(data_dir.join("tls/ca.crt")).ok()?;
    let Some(until) = not_after(&pem) else {
        let remedy = "move tls/ away and restart the operator: it makes new ones, and kubeconfigs have to be written anew";
        return Some(Finding::warn("certificate", "tls/ca.crt cannot be read", remedy));
    };
    let days = (until.as_second() - now.as_second()) / 86_400;
    let date = until.to_zoned(TimeZone::UTC).date();
    let remedy = "stop the operator, move tls/ away, start it, and write kubeconfigs anew";
    Some(match days {
        ..0 => Finding::fail("certificate", format!("the authority's has ended on {date}: no client trusts it"), remedy),
        0..=SOON_DAYS => Finding::warn("certificate", format!("the authority's ends on {date}, in {days} days"), remedy),
        _ => Finding::ok("certificate", format!("the authority's holds until {date}; the server's is made anew at each start")),
    })
}

/// `notAfter` of the first certificate.
fn not_after(pem: &str) -> Option<Timestamp> {
    let body = pem.split("-----BEGIN CERTIFICATE-----").nth(1)?.split("-----END").next()?;
    let der = STANDARD.decode(body.split_whitespace().collect::<String>()).ok()?;
    let (_, certificate, _) = element(&der)?;
    let (_, to_be_signed, _) = element(certificate)?;
    // version [0], serial, algorithm, issuer, then the validity: two times.
    let mut rest = to_be_signed;
    if element(rest)?.0 == 0xA0 {
        rest = element(rest)?.2;
    }
    for _ in 0..3 {
        rest = element(rest)?.2;
    }
    let (_, validity, _) = element(rest)?;
    let (_, _, after) = element(validity)?;
    let (tag, text, _) = element(after)?;
    time(tag, std::str::from_utf8(text).ok()?)
}

/// The first element of DER: its tag, what is in it, what comes after it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, first], mut rest) = der.split_first_chunk()?;
    let mut length = usize::from(first);
    if first >= 0x80 {
        let (digits, after) = rest.split_at_checked(usize::from(first & 0x7F)).filter(|(digits, _)| digits.len() <= 4)?;
        length = digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit));
        rest = after;
    }
    let (inside, after) = rest.split_at_checked(length)?;
    Some((tag, inside, after))
}

/// `YYMMDDHHMMSSZ` (tag 0x17, years 1950 to 2049) or `YYYYMMDDHHMMSSZ`.
fn time(tag: u8, text: &str) -> Option<Timestamp> {
    let text = text.strip_suffix('Z')?;
    let whole = match tag {
        0x17 => format!("{}{text}", if text.get(..2)? < "50" { "20" } else { "19" }),
        _ => text.to_owned(),
    };
    let time = DateTime::strptime("%Y%m%d%H%M%S", &whole).ok()?;
    time.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

#[cfg(test)]
#[path = "certificate_tests.rs"]
mod tests;
