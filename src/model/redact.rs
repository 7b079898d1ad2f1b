//! Takes secrets out of what programs say: the output of probes, log lines, the engine's errors.

use std::sync::LazyLock;

use regex_lite::Regex;

/// What stands in a secret's place.
const STARS: &str = "***";

/// Shorter values are too common to be hidden: half of the text would be stars.
const SHORTEST: usize = 4;

/// Shapes of secrets, and what is left of them.
static SHAPES: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    const NAMES: &str = r"passw(?:or)?d|passphrase|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credentials?";
    let value = r#"(?:"[^"]*"?|'[^']*'?|[^\s"',;&]+)"#;
    let shapes = [
        (r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)".to_owned(), "***"),
        (r"(://)[^/\s@]+@".to_owned(), "${1}***@"),
        // Cut off before its `@`: what follows the colon is no port.
        (r"(://)[^/\s@:]+:[^/\s@]*[^/\s@0-9][^/\s@]*$".to_owned(), "${1}***"),
        (r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}".to_owned(), "${1} ***"),
        (format!(r#"(?i)([\w.-]*(?:{NAMES})[\w.-]*["']?\s*[:=]\s*){value}"#), "${1}***"),
        (r"(?i)(--?[\w-]*(?:passw(?:or)?d|secret|token)[\w-]*\s+)[^\s-]\S*".to_owned(), "${1}***"),
        (r"\beyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)*".to_owned(), "***"),
        (r"\b(?:AKIA|ASIA)[0-9A-Z]{12,}\b".to_owned(), "***"),
        (r"\b(?:gh[pousr]_|github_pat_|glpat-|sk-|xox[abprs]-)[A-Za-z0-9_-]{12,}".to_owned(), "***"),
    ];
    #[expect(clippy::expect_used, reason = "constant patterns, which every test of this module compiles")]
    let compile = |(pattern, rest): (String, &'static str)| (Regex::new(&pattern).expect("the pattern is right"), rest);
    shapes.into_iter().map(compile).collect()
});

/// Values that are known to be secret, beside what looks like it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Secrets {
    values: Vec<String>,
}

impl Secrets {
    /// The values of those environment variables (`NAME=value`) whose names say that they are secret.
    pub fn of_env<'e>(env: impl IntoIterator<Item = &'e String>) -> Self {
        let pairs = env.into_iter().filter_map(|line| line.split_once('='));
        let secret = pairs.filter(|(name, value)| names_secret(name) && value.len() >= SHORTEST);
        let mut values: Vec<String> = secret.map(|(_, value)| value.to_owned()).collect();
        // The longest first: a value may hold another.
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        values.dedup();
        Self { values }
    }

    /// The text with stars in place of what is secret.
    pub fn hide(&self, text: &str) -> String {
        let known = self.values.iter().fold(text.to_owned(), |text, value| text.replace(value, STARS));
        SHAPES.iter().fold(known, |text, (shape, rest)| shape.replace_all(&text, *rest).into_owned())
    }

    /// One line for people: redacted first, then without control characters, blanks folded, and cut to so many characters.
    pub fn excerpt(&self, text: &str, longest: usize) -> String {
        let plain = self.hide(&without_escapes(text));
        let line = plain.split_whitespace().collect::<Vec<_>>().join(" ");
        if line.chars().count() <= longest { line } else { line.chars().take(longest).chain(['…']).collect() }
    }
}

/// Whether a variable of that name holds a secret.
pub fn names_secret(name: &str) -> bool {
    const WORDS: [&str; 8] = ["pass", "secret", "token", "key", "cred", "auth", "private", "dsn"];
    let name = name.to_ascii_lowercase();
    // PWD alone is a shell's working directory.
    name.ends_with("_pwd") || WORDS.iter().any(|word| name.contains(word))
}

/// Without what moves a terminal's cursor or colours it, and without other control characters than blanks.
fn without_escapes(text: &str) -> String {
    static ESCAPES: LazyLock<Regex> = LazyLock::new(|| {
        #[expect(clippy::expect_used, reason = "a constant pattern, which every test of this module compiles")]
        Regex::new(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])").expect("the pattern is right")
    });
    let plain = ESCAPES.replace_all(text, "");
    plain.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_secret_is_hidden_and_the_rest_stays() {
        let none = Secrets::default();
        let said = [
            ("connecting to postgres://app:hunter2@db:5432/shop", "connecting to postgres://***@db:5432/shop"),
            ("GET http://127.0.0.1:8080", "GET http://127.0.0.1:8080"),
            ("cut off: redis://:hunt", "cut off: redis://:hunt"),
            ("cut off: redis://app:hunt", "cut off: redis://***"),
            ("PASSWORD=hunter2 failed", "PASSWORD=*** failed"),
            (r#"{"api_key": "abc def", "user": "me"}"#, r#"{"api_key": ***, "user": "me"}"#),
            ("Authorization: Bearer abcdef.123456", "Authorization: Bearer ***"),
            ("mysql --password hunter2 -u me", "mysql --password *** -u me"),
            ("token eyJhbGciOiJIUzI1NiJ9.eyJzdWIi.abc here", "token *** here"),
            ("key AKIAIOSFODNN7EXAMPLE", "key ***"),
            ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc", "***"),
            ("password authentication failed for user \"app\"", "password authentication failed for user \"app\""),
        ];
        for (text, shown) in said {
            assert_eq!(none.hide(text), shown);
        }
    }

    #[test]
    fn values_of_secret_variables_are_hidden_wherever_they_stand() {
        let env = ["DB_PASSWORD=correct horse".to_owned(), "API_KEY=abc".to_owned(), "MODE=production".to_owned()];
        let secrets = Secrets::of_env(&env);
        assert_eq!(secrets.hide("in production I said correct horse abc"), "in production I said *** abc");
    }

    #[test]
    fn an_excerpt_is_redacted_before_it_is_cut() {
        let text = "\x1b[31mcannot\x1b[0m reach\n\tamqp://guest:secret-word@mq \u{7}now";
        let secrets = Secrets::default();
        assert_eq!(secrets.excerpt(text, 100), "cannot reach amqp://***@mq now");
        for longest in 0..40 {
            assert!(!secrets.excerpt(text, longest).contains("guest"), "{longest}");
        }
    }
}
