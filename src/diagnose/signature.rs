//! What makes a failure the same as an earlier one: its words without what differs from time to time. Pure.

use std::sync::LazyLock;

use regex_lite::Regex;

/// Longest signature, in characters.
const LONGEST: usize = 160;

/// What is masked, in this order: what stands earlier may hold what stands later.
static MASKS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let masks = [
        (r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b", "<id>"),
        (r"\b\d{4}[-/]\d\d[-/]\d\d(?:[T ]\d\d:\d\d(?::\d\d)?(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?)?", "<time>"),
        (r"\b\d\d:\d\d:\d\d(?:[.,]\d+)?\b", "<time>"),
        (r"\b[a-zA-Z][a-zA-Z0-9+.-]*://[^\s'\x22)]+", "<url>"),
        (r"\b(?:\d{1,3}\.){3}\d{1,3}(?::\d+)?\b", "<address>"),
        (r"\[?\b(?:[0-9a-fA-F]{1,4}:){3,7}[0-9a-fA-F]{0,4}\]?(?::\d+)?", "<address>"),
        (r"(?:\b[a-zA-Z]:)?(?:/[\w.@%+~-]+)+/?", "<path>"),
        (r"\b(?:sha256:)?[0-9a-fA-F]*\d[0-9a-fA-F]{7,}\b|\b[0-9a-fA-F]{12,}\b", "<id>"),
        (r"0x[0-9a-fA-F]+", "<number>"),
        (r"\d+(?:[.,]\d+)*", "<number>"),
    ];
    #[expect(clippy::expect_used, reason = "constant patterns, which every test of this module compiles")]
    let compile = |(pattern, rest): (&str, &'static str)| (Regex::new(pattern).expect("the pattern is right"), rest);
    masks.into_iter().map(compile).collect()
});

/// The text in its normal form. It must have been redacted before.
pub(super) fn normalised(text: &str) -> String {
    let masked = MASKS.iter().fold(text.to_owned(), |text, (mask, rest)| mask.replace_all(&text, *rest).into_owned());
    let line = masked.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_from_time_to_time_is_masked() {
        let said = [
            ("2026-01-01T12:00:00.123Z worker 17 failed", "<time> worker <number> failed"),
            ("12:00:01,5 connect to 10.0.0.7:5432: refused", "<time> connect to <address>: refused"),
            ("cannot open /var/lib/shop/data-7.db: No such file", "cannot open <path>: No such file"),
            ("request 550e8400-e29b-41d4-a716-446655440000 of cafe12345678", "request <id> of <id>"),
            ("GET https://shop.example:8443/a?b=1 gave 503", "GET <url> gave <number>"),
            ("panic at 0x7ffe12, took 1.5s", "panic at <number>, took <number>s"),
        ];
        for (text, normal) in said {
            assert_eq!(normalised(text), normal);
        }
    }

    #[test]
    fn it_is_stable_and_short() {
        let once = normalised(&"2026-01-01 worker 17 at /a/b ".repeat(40));
        assert_eq!(normalised(&once), once);
        assert_eq!(once.chars().count(), LONGEST);
    }
}
