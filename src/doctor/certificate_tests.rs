//! Certificates as the operator makes them.

use super::*;
use crate::doctor::Verdict;

fn certificate(year: i32) -> tempfile::TempDir {
    let mut params = rcgen::CertificateParams::default();
    params.not_after = rcgen::date_time_ymd(year, 3, 4);
    let pem = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().pem();
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("tls")).unwrap();
    std::fs::write(dir.path().join("tls/ca.crt"), pem).unwrap();
    dir
}

#[test]
fn the_end_of_a_certificate_is_read_in_both_notations() {
    let now: Timestamp = "2030-01-01T00:00:00Z".parse().unwrap();
    let seen = |year| examine(certificate(year).path(), now).unwrap();
    assert!(seen(2040).message.contains("2040-03-04"), "{:?}", seen(2040));
    assert!(seen(2060).message.contains("2060-03-04"));
    assert_eq!(seen(2030).result, Verdict::Warn);
    assert_eq!(seen(2029).result, Verdict::Fail);
    assert_eq!(examine(Path::new("/nonexistent"), now), None);
}
