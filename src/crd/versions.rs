//! Ranges of versions, as tags are chosen by them. Pure.

use semver::{Version, VersionReq};

/// Reads a range: comparisons with blanks or commas between them (`>=1.2 <2`), `1.x`, `~1.2`, `^1.2`, `*`.
///
/// # Errors
/// It is none; why.
pub fn range(text: &str) -> Result<VersionReq, String> {
    // Comparisons may have a blank behind their sign, and blanks between each other.
    let mut parts: Vec<String> = Vec::new();
    for word in text.split([' ', ',']).filter(|word| !word.is_empty()) {
        match parts.last_mut() {
            Some(last) if last.chars().all(|c| "<>=~^".contains(c)) => last.push_str(word),
            _ => parts.push(word.to_owned()),
        }
    }
    VersionReq::parse(&parts.join(", "))
        .map_err(|error| format!("{text:?} is no range of versions ({error}): write it such as >=1.2 <2, 1.x or ~1.2"))
}

/// The tag with the highest version within a range; tags that are no versions do not count.
pub fn highest<'a>(range: &VersionReq, tags: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let versions = tags.filter_map(|tag| Some((Version::parse(tag.strip_prefix('v').unwrap_or(tag)).ok()?, tag)));
    versions.filter(|(version, _)| range.matches(version)).max().map(|(_, tag)| tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_version_within_a_range_is_chosen() {
        let tags = ["v1.2.0", "1.9.0", "v1.10.0", "v2.0.0", "v2.1.0-rc.1", "latest", "v1"];
        for (text, tag) in [
            (">=1.2 <2", Some("v1.10.0")),
            (">= 1.2, < 1.10", Some("1.9.0")),
            ("1.x", Some("v1.10.0")),
            ("~1.2", Some("v1.2.0")),
            ("*", Some("v2.0.0")),
            (">=2.1.0-rc", Some("v2.1.0-rc.1")),
            ("3.x", None),
        ] {
            assert_eq!(highest(&range(text).unwrap(), tags.into_iter()), tag, "{text}");
        }
        assert!(range("newest").unwrap_err().contains("such as"));
    }
}
