//! On which file system a path lies, by `/proc/self/mountinfo`.

use std::path::{Path, PathBuf};

/// The file system's word, such as `ext4`; `None` where it cannot be told.
pub(super) fn file_system(path: &Path) -> Option<String> {
    let table = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    of(&table, &std::fs::canonicalize(path).ok()?)
}

/// The mount furthest down that holds the path; of two on one another the later one.
fn of(table: &str, path: &Path) -> Option<String> {
    let mounts = table.lines().filter_map(|line| {
        let (mount, rest) = line.split_once(" - ")?;
        Some((unescaped(mount.split(' ').nth(4)?), rest.split(' ').next()?.to_owned()))
    });
    let holding = mounts.filter(|(at, _)| path.starts_with(at));
    holding.max_by_key(|(at, _)| at.components().count()).map(|(_, kind)| kind)
}

/// Spaces and the like are written as `\040`.
fn unescaped(text: &str) -> PathBuf {
    let mut parts = text.split('\\');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code {
            Some(code) => {
                out.push(char::from(code));
                out.push_str(&part[3..]);
            }
            None => {
                out.push('\\');
                out.push_str(part);
            }
        }
    }
    PathBuf::from(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
        30 22 0:25 / /run rw,nosuid shared:5 - tmpfs tmpfs rw\n\
        31 22 0:26 / /srv/my\\040data rw shared:6 - nfs4 box:/x rw\n";

    #[test]
    fn the_mount_furthest_down_counts() {
        let of = |path: &str| of(TABLE, Path::new(path)).unwrap();
        assert_eq!(of("/var/lib/evenkeel"), "ext4");
        assert_eq!(of("/run/x"), "tmpfs");
        assert_eq!(of("/runner"), "ext4");
        assert_eq!(of("/srv/my data/store"), "nfs4");
    }
}
