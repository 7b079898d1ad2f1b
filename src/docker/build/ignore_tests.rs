//! The rules of Docker's documentation, and the table of moby's own tests.

use super::*;

fn left_out(patterns: &str, path: &str) -> bool {
    Ignore::parse(patterns).unwrap().leaves_out(path)
}

#[test]
fn the_examples_of_dockers_documentation_hold() {
    for (pattern, left, kept) in [
        ("*/temp*", &["somedir/temporary.txt", "somedir/temp"][..], &["temp", "a/b/temp"][..]),
        ("*/*/temp*", &["somedir/subdir/temporary.txt"], &["somedir/temporary.txt", "a/b/c/temp"]),
        ("temp?", &["tempa", "tempb", "tempa/below"], &["temp", "tempab", "a/tempa"]),
        ("**/*.go", &["a.go", "a/b.go", "a/b/c/d.go"], &["a.gox", "go"]),
        ("*.md", &["README.md", "x.md"], &["docs/x.md"]),
        ("/foo/bar", &["foo/bar", "foo/bar/below"], &["x/foo/bar", "foo/barn"]),
        ("foo/bar/", &["foo/bar", "foo/bar/x"], &["foo"]),
        ("./a/../b", &["b", "b/c"], &["a", "a/b"]),
    ] {
        for path in left {
            assert!(left_out(pattern, path), "{pattern} leaves {path} out");
        }
        for path in kept {
            assert!(!left_out(pattern, path), "{pattern} keeps {path}");
        }
    }
}

#[test]
fn the_last_pattern_that_matches_counts() {
    let first = "*.md\n!README*.md\nREADME-secret.md";
    assert!(left_out(first, "other.md") && !left_out(first, "README.md") && left_out(first, "README-secret.md"));
    let second = "*.md\nREADME-secret.md\n!README*.md";
    assert!(left_out(second, "other.md") && !left_out(second, "README.md") && !left_out(second, "README-secret.md"));
}

#[test]
fn a_pattern_without_a_slash_speaks_of_the_root_only() {
    assert!(left_out("node_modules", "node_modules") && left_out("node_modules", "node_modules/a/b.js"));
    assert!(!left_out("node_modules", "web/node_modules") && left_out("**/node_modules", "web/node_modules/a"));
}

#[test]
fn comments_blank_lines_and_the_dot_say_nothing() {
    let patterns = "\u{feff}# all\n\n   \n.\n/\n  a  \n";
    assert!(left_out(patterns, "a") && !left_out(patterns, "# all") && !left_out(patterns, "b"));
    assert!(!left_out(" # not a comment", "x"));
}

#[test]
fn everything_but_what_is_taken_back() {
    let patterns = "*\n!src\n!Cargo.*";
    assert!(!left_out(patterns, "src") && !left_out(patterns, "src/deep/main.rs") && !left_out(patterns, "Cargo.toml"));
    assert!(left_out(patterns, "target") && left_out(patterns, "target/x"));
    assert!(left_out("**\n!a", "b/c") && !left_out("**\n!a", "a/b"));
}

#[test]
fn a_folder_is_entered_only_if_something_in_it_may_have_been_taken_back() {
    let ignore = Ignore::parse("*\n!src/*.rs\n!docs/api/**").unwrap();
    assert!(ignore.may_keep_within("src") && ignore.may_keep_within("docs") && ignore.may_keep_within("docs/api/v1"));
    assert!(!ignore.may_keep_within("target") && !ignore.may_keep_within("docs/guide"));
    assert!(Ignore::parse("*\n!**/keep").unwrap().may_keep_within("any"));
    assert!(!Ignore::parse("*").unwrap().may_keep_within("any"));
}

#[test]
fn what_is_always_kept_is_kept_whatever_the_file_says() {
    let mut ignore = Ignore::parse("*").unwrap();
    ignore.always_keep("deploy/Dockerfile");
    assert!(!ignore.leaves_out("deploy/Dockerfile") && ignore.leaves_out("deploy/x"));
    assert!(ignore.may_keep_within("deploy") && !ignore.may_keep_within("src"));
}

/// From moby's patternmatcher, `TestMatches`.
#[test]
fn patterns_match_as_mobys_own_tests_say() {
    for (pattern, path, matches) in [
        ("**", "file", true),
        ("**", "file/", true),
        ("**/", "file", true),
        ("**", "/", true),
        ("**", "dir/file", true),
        ("**/**", "dir/file", true),
        ("dir/**", "dir/file", true),
        ("dir/**", "dir/dir2/file", true),
        ("**/dir", "dir", true),
        ("**/dir", "dir/file", true),
        ("**/dir2/*", "dir/dir2/file", true),
        ("**/dir2/*", "dir/dir2/dir2/file", true),
        ("**/dir2/**", "dir/dir2/dir2/file", true),
        ("**file", "file", true),
        ("**file", "dir/file", true),
        ("**/file", "dir/file", true),
        ("**file", "dir/dir/file", true),
        ("**/file", "dir/dir/file", true),
        ("**/file*", "dir/dir/file", true),
        ("**/file*", "dir/dir/file.txt", true),
        ("**/file*txt", "dir/dir/file.txt", true),
        ("**/file*.txt*", "dir/dir/file.txt", true),
        ("**/**/*.txt", "dir/dir/file.txt", true),
        ("**/**/*.txt2", "dir/dir/file.txt", false),
        ("**/*.txt", "file.txt", true),
        ("**/**/*.txt", "file.txt", true),
        ("a**/*.txt", "a/file.txt", true),
        ("a**/*.txt", "a/dir/file.txt", true),
        ("a**/*.txt", "a/dir/dir/file.txt", true),
        ("a/*.txt", "a/dir/file.txt", false),
        ("a/*.txt", "a/file.txt", true),
        ("a[b-d]e", "ae", false),
        ("a[b-d]e", "ace", true),
        ("a[b-d]e", "aae", false),
        ("a[^b-d]e", "aze", true),
        (".*", ".foo", true),
        (".*", "foo", false),
        ("abc.def", "abcdef", false),
        ("abc.def", "abc.def", true),
        ("abc.def", "abcZdef", false),
        ("abc?def", "abcZdef", true),
        ("abc?def", "abcdef", false),
        ("a\\*b", "a*b", true),
        ("a\\*b", "axb", false),
        ("**/foo/bar", "foo/bar", true),
        ("**/foo/bar", "dir/dir2/foo/bar", true),
        ("abc/**", "abc", false),
        ("abc/**", "abc/def", true),
        ("abc/**", "abc/def/ghi", true),
        ("**/.foo", ".foo", true),
        ("**/.foo", "bar.foo", false),
        ("./a", "a", true),
        ("a(b)c/def", "a(b)c/def", true),
        ("a(b)c/def", "a(b)c/xyz", false),
        ("a.|)$(}+{bc", "a.|)$(}+{bc", true),
        ("*c", "abc", true),
        ("*", "abc", true),
        ("a*", "abc", true),
        ("a*/b", "abc/b", true),
        ("a*/b", "a/c/b", false),
        ("a*b*c*d*e*/f", "axbxcxdxe/f", true),
        ("a*b*c*d*e*/f", "axbxcxdxexxx/f", true),
        ("a*b*c*d*e*/f", "axbxcxdxe/xxx/f", false),
        ("a*b?c*x", "abxbbxdbxebxczzx", true),
        ("a*b?c*x", "abxbbxdbxebxczzy", false),
        ("ab[c]", "abc", true),
        ("ab[^c]", "abc", false),
    ] {
        assert_eq!(left_out(pattern, path), matches, "{pattern} on {path}");
    }
}

#[test]
fn patterns_that_make_no_sense_are_told() {
    for (text, says) in [("a\n!", "\"!\" alone"), ("[a", "without its"), ("a\\", "backslash")] {
        let error = Ignore::parse(text).unwrap_err();
        assert!(error.contains(says), "{text}: {error}");
    }
}

#[test]
fn no_pattern_takes_long() {
    let hard = format!("{}b", "a*".repeat(60));
    assert!(!left_out(&hard, &"a".repeat(4000)));
}
