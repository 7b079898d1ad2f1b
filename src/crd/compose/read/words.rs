//! Splitting a command line as Compose does.

/// The words of a command line, and the place (in characters) where reading stopped, if it did.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Words {
    /// The words.
    pub words: Vec<String>,
    /// An operator of the shell (`;`, `&`, `|`, `<`, `>`) outside of quotes ends the command for Compose.
    pub cut_at: Option<usize>,
}

/// What is open while reading.
#[derive(Default)]
struct Open {
    double: bool,
    single: bool,
    back: bool,
    dollar: bool,
}

impl Open {
    fn any(&self) -> bool {
        self.single || self.double || self.back || self.dollar
    }
}

/// Splits as the shellwords library does that Compose uses: quotes and backslashes as in a shell (`\t` and `\n` are tab
/// and newline), backquotes and `$(..)` kept as they are, the rest from an operator of the shell on dropped.
pub(super) fn split(line: &str) -> Result<Words, String> {
    let mut result = Words::default();
    let mut open = Open::default();
    let (mut word, mut started, mut escaped) = (String::new(), false, false);
    for (at, char) in line.chars().enumerate() {
        if escaped {
            word.push(match char {
                't' => '\t',
                'n' => '\n',
                other => other,
            });
            (escaped, started) = (false, true);
            continue;
        }
        match char {
            '\\' if !open.single => {
                escaped = true;
                continue;
            }
            ' ' | '\t' | '\r' | '\n' if !open.any() => {
                if std::mem::take(&mut started) {
                    result.words.push(std::mem::take(&mut word));
                }
                continue;
            }
            ' ' | '\t' | '\r' | '\n' => {
                word.push(char);
                continue;
            }
            '"' if !open.single && !open.dollar => {
                open.double = !open.double;
                started = true;
                continue;
            }
            '\'' if !open.double && !open.dollar => {
                open.single = !open.single;
                started = true;
                continue;
            }
            '`' if !open.single && !open.double && !open.dollar => open.back = !open.back,
            ')' if !open.single && !open.double && !open.back => {
                if !open.dollar {
                    return Err(format!("has a \")\" outside of quotes at character {}", at + 1));
                }
                open.dollar = false;
            }
            '(' if !open.single && !open.double && !open.back => {
                if open.dollar || !word.ends_with('$') {
                    return Err(format!("has a \"(\" outside of quotes at character {}", at + 1));
                }
                open.dollar = true;
            }
            ';' | '&' | '|' | '<' | '>' if !open.any() => {
                if char == '>' && word.starts_with(|first: char| first.is_ascii_digit()) {
                    started = false;
                }
                result.cut_at = Some(at);
                break;
            }
            _ => {}
        }
        started = true;
        word.push(char);
    }
    if escaped || open.any() {
        return Err("ends within quotes or after a backslash".to_owned());
    }
    if started {
        result.words.push(word);
    }
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_as_compose_does() {
        for (line, words) in [
            ("", vec![]),
            ("sh -c 'echo  hi'", vec!["sh", "-c", "echo  hi"]),
            (r#"a "b \"c\" d" e\ f"#, vec!["a", "b \"c\" d", "e f"]),
            (r"a '\n' \n", vec!["a", r"\n", "\n"]),
            ("redis-server --requirepass \"\"", vec!["redis-server", "--requirepass", ""]),
            ("echo $(date +%s) `id -u`", vec!["echo", "$(date +%s)", "`id -u`"]),
            ("  two\n  lines ", vec!["two", "lines"]),
        ] {
            assert_eq!(split(line), Ok(Words { words: words.iter().map(ToString::to_string).collect(), cut_at: None }), "{line}");
        }
    }

    #[test]
    fn stops_at_an_operator_of_the_shell_and_says_where() {
        for (line, words, cut_at) in [
            ("a b && c", vec!["a", "b"], 4),
            ("a|b", vec!["a"], 1),
            ("run 2>/dev/null", vec!["run"], 5),
            ("run>x", vec!["run"], 3),
        ] {
            let expected = Words { words: words.iter().map(ToString::to_string).collect(), cut_at: Some(cut_at) };
            assert_eq!(split(line), Ok(expected), "{line}");
        }
    }

    #[test]
    fn refuses_what_is_left_open() {
        for line in ["a 'b", "a \"b", "a \\", "f(x)", "a )", "$(a", "`a"] {
            assert!(split(line).is_err(), "{line}");
        }
    }
}
