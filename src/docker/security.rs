//! `security_opt`, with what docker's own client reads from a file or turns into other settings before the engine sees it.

use std::io::Read;

use super::convert::Refusal;

/// Opens what the engine hides of /proc and /sys; no option of the engine's.
const OPEN_PATHS: &str = "systempaths=unconfined";

/// Largest seccomp profile; Docker's own has 15 kB.
const LARGEST: u64 = 1024 * 1024;

/// The options as the engine takes them: a seccomp profile by its text, not by its path.
///
/// # Errors
/// A profile cannot be read, or is no JSON.
pub(super) fn options(all: &[String]) -> Result<Vec<String>, Refusal> {
    all.iter().filter(|option| *option != OPEN_PATHS).map(|option| with_profile(option)).collect()
}

/// Whether nothing of /proc and /sys is to be hidden or read-only.
pub(super) fn opens_system_paths(all: &[String]) -> bool {
    all.iter().any(|option| option == OPEN_PATHS)
}

fn with_profile(option: &str) -> Result<String, Refusal> {
    let profile = option.strip_prefix("seccomp=").or_else(|| option.strip_prefix("seccomp:"));
    match profile {
        Some(path) if path.starts_with('/') => Ok(format!("seccomp={}", read(path)?)),
        _ => Ok(option.to_owned()),
    }
}

/// A profile without the blanks between its words, as docker's client sends it.
fn read(path: &str) -> Result<String, Refusal> {
    let unusable = |why: &str| format!("security_opt: cannot use the seccomp profile {path}: {why}");
    let file = std::fs::metadata(path).and_then(|found| Ok((found.is_file(), std::fs::File::open(path)?)));
    let (is_file, file) = file.map_err(|error| unusable(&error.to_string()))?;
    if !is_file {
        return Err(unusable("it is no regular file"));
    }
    let mut text = String::new();
    file.take(LARGEST + 1).read_to_string(&mut text).map_err(|error| unusable(&error.to_string()))?;
    if text.len() as u64 > LARGEST {
        return Err(unusable("it is larger than 1 MiB"));
    }
    // What is wrong is told by its place alone: the file may be none that is to be shown.
    let wrong = |error: serde_json::Error| unusable(&format!("line {} is no JSON", error.line()));
    serde_json::from_str::<serde::de::IgnoredAny>(&text).map_err(wrong)?;
    Ok(compact(&text))
}

/// JSON without blanks outside of its strings; numbers and order stay as they are written.
fn compact(json: &str) -> String {
    let (mut within, mut escaped) = (false, false);
    let keep = |c: &char| {
        let (was_within, was_escaped) = (within, escaped);
        escaped = was_within && *c == '\\' && !was_escaped;
        if *c == '"' && !was_escaped {
            within = !was_within;
        }
        was_within || !c.is_ascii_whitespace()
    };
    json.chars().filter(keep).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(all: &[&str]) -> Vec<String> {
        all.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn a_profile_goes_to_the_engine_as_its_text() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("profile.json").display().to_string();
        std::fs::write(&path, "{\n  \"defaultAction\" : \"SCMP ACT \\\" x\",\t\"n\": 1.0 }\n").unwrap();
        for form in ["seccomp=", "seccomp:"] {
            let made = options(&[format!("{form}{path}")]).unwrap();
            assert_eq!(made, [r#"seccomp={"defaultAction":"SCMP ACT \" x","n":1.0}"#]);
        }
        let others = texts(&["seccomp=unconfined", "no-new-privileges:true", "label=disable"]);
        assert_eq!(options(&others).unwrap(), others);
    }

    #[test]
    fn a_profile_that_cannot_be_used_is_named_and_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret").display().to_string();
        let refusal = || options(&[format!("seccomp={path}")]).unwrap_err();
        assert!(refusal().contains("No such file"), "{}", refusal());
        std::fs::write(&path, "{}\nhunter2\n").unwrap();
        assert!(refusal().ends_with("line 2 is no JSON") && refusal().contains(&path), "{}", refusal());
        let folder = options(&[format!("seccomp={}", folder.path().display())]).unwrap_err();
        assert!(folder.ends_with("it is no regular file"), "{folder}");
    }

    #[test]
    fn open_system_paths_are_a_setting_and_no_option() {
        let all = texts(&["systempaths=unconfined", "apparmor=unconfined"]);
        assert!(opens_system_paths(&all) && !opens_system_paths(&all[1..]));
        assert_eq!(options(&all).unwrap(), all[1..]);
    }
}
