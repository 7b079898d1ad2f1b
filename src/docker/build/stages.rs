//! Images under names of the Dockerfile's own (`additional_contexts`), for its `FROM` and `--from`. The engine's request has
//! room for one context, so each becomes a stage of that name in front of the first.

use std::collections::BTreeMap;

/// The Dockerfile with a stage for each image, by name.
///
/// # Errors
/// It has no stage, or counts its stages, whose numbers would be others; the `target` may be a number, too.
pub(super) fn with_images(dockerfile: &str, images: &BTreeMap<String, String>, target: Option<&str>) -> Result<String, String> {
    // Both builders overlook a byte order mark, but only where a text begins.
    let dockerfile = dockerfile.trim_start_matches('\u{feff}');
    if let Some(number) = target.filter(|target| is_number(target)) {
        return Err(format!(
            "build.target names stage {number} by its number, which build.additional_contexts changes: give the stage a name"
        ));
    }
    let first = first_stage(dockerfile).ok_or("the Dockerfile has no FROM")?;
    if let Some(number) = counted_stage(dockerfile) {
        return Err(format!(
            "the Dockerfile takes files from stage {number} by its number, which build.additional_contexts changes: give the stage a name"
        ));
    }
    let stages: String = images.iter().map(|(name, image)| format!("FROM {image} AS {name}\n")).collect();
    Ok(format!("{}{stages}{}", &dockerfile[..first], &dockerfile[first..]))
}

/// Where the first `FROM` stands: what is before it (directives, global `ARG`s) must stay before it.
fn first_stage(dockerfile: &str) -> Option<usize> {
    let escape = if directive(dockerfile, "escape") == Some("`") { '`' } else { '\\' };
    let (mut at, mut continued) = (0, false);
    for line in dockerfile.split_inclusive('\n') {
        let words = line.trim();
        let is_comment = words.starts_with('#');
        let is_from =
            words.get(..4).is_some_and(|word| word.eq_ignore_ascii_case("from")) && words[4..].starts_with([' ', '\t', escape]);
        if is_from && !continued {
            return Some(at);
        }
        // Comments within an instruction do not end it.
        if !is_comment && !words.is_empty() {
            continued = words.ends_with(escape);
        }
        at += line.len();
    }
    None
}

/// The value of a directive (`# escape=`) in the comments that a Dockerfile begins with.
fn directive<'a>(dockerfile: &'a str, wanted: &str) -> Option<&'a str> {
    let comments = dockerfile.lines().map_while(|line| line.trim().strip_prefix('#'));
    let mut pairs = comments.map_while(|comment| comment.split_once('='));
    pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim())
}

/// A stage that is named by its number, as in `COPY --from=0`.
fn counted_stage(dockerfile: &str) -> Option<&str> {
    let values = dockerfile.match_indices("from=").map(|(at, key)| &dockerfile[at + key.len()..]);
    let mut words = values.filter_map(|rest| rest.split(|c: char| c.is_whitespace() || c == ',').next());
    words.find(|word| is_number(word))
}

fn is_number(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(dockerfile: &str) -> Result<String, String> {
        with_images(
            dockerfile,
            &BTreeMap::from([("base".to_owned(), "alpine:3".to_owned()), ("tools".to_owned(), "t".to_owned())]),
            None,
        )
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_first_line() {
        assert_eq!(with("\u{feff}FROM base\n").unwrap(), with("FROM base\n").unwrap());
    }

    #[test]
    fn a_target_is_no_number_beside_images() {
        let images = BTreeMap::from([("base".to_owned(), "alpine:3".to_owned())]);
        let to = |target: &str| with_images("FROM base AS app\n", &images, Some(target));
        assert!(to("0").unwrap_err().starts_with("build.target names stage 0 by its number"));
        assert!(to("app").is_ok());
    }

    #[test]
    fn images_become_stages_behind_directives_and_global_arguments() {
        for (before, after) in [
            ("", "FROM base\nCOPY --from=tools /a /\n"),
            ("# syntax=docker/dockerfile:1\nARG A=1\n\n", "from scratch AS x\n"),
            ("ARG A=x\\\n# a comment\nfrom=b\n", "FROM  base\n"),
            ("# escape=`\nARG A=`\n  FROM here\n", "FROM\tbase\n"),
        ] {
            let made = with(&format!("{before}{after}")).unwrap();
            assert_eq!(made, format!("{before}FROM alpine:3 AS base\nFROM t AS tools\n{after}"));
        }
    }

    #[test]
    fn a_dockerfile_without_stages_or_with_numbers_for_them_is_refused() {
        assert!(with("ARG A\n# FROM x\n").unwrap_err().contains("no FROM"));
        for text in ["COPY --from=0 /a /b", "RUN --mount=type=bind,from=0,target=/a true"] {
            assert!(with(&format!("FROM a\nFROM b\n{text}\n")).unwrap_err().contains("stage 0 by its number"), "{text}");
        }
        assert!(with("FROM a\nCOPY --from=0x /a /b\n").is_ok());
    }
}
