use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use http_body_util::BodyExt;

use super::*;
use crate::model::{BuildSpec, Dockerfile};

/// What the engine would read: name -> kind, mode, owner, and content or target.
async fn received(spec: &BuildSpec) -> BTreeMap<String, (EntryType, u32, u64, String)> {
    let (body, sending) = send(Context::open(spec).unwrap());
    let bytes = body.collect().await.unwrap().to_bytes();
    assert_eq!(sending.sent(), bytes.len() as u64);
    let mut archive = tar::Archive::new(bytes.as_ref());
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        let (kind, mode, uid) = (entry.header().entry_type(), entry.header().mode().unwrap(), entry.header().uid().unwrap());
        let mut content = entry.link_name().unwrap().map(|target| target.display().to_string()).unwrap_or_default();
        entry.read_to_string(&mut content).unwrap();
        (name, (kind, mode, uid, content))
    });
    entries.collect()
}

fn spec(folder: &Path) -> BuildSpec {
    BuildSpec { context: Some(folder.display().to_string()), ..BuildSpec::default() }
}

#[tokio::test]
async fn folders_files_and_links_arrive_as_they_are_and_belong_to_root() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(200));
    fs::create_dir(at(&"d".repeat(120))).unwrap();
    fs::write(at(&long), "deep").unwrap();
    fs::write(at("Dockerfile"), "FROM scratch").unwrap();
    fs::write(at("tool"), "#!").unwrap();
    fs::set_permissions(at("tool"), fs::Permissions::from_mode(0o4755)).unwrap();
    symlink("/etc/passwd", at("outside")).unwrap();
    symlink("t".repeat(150), at("far")).unwrap();
    drop(std::os::unix::net::UnixListener::bind(at("socket")).unwrap());
    let all = received(&spec(folder.path())).await;
    assert_eq!(all["tool"], (EntryType::Regular, 0o4755, 0, "#!".into()));
    assert_eq!((all[&long].0, all[&long].3.as_str()), (EntryType::Regular, "deep"));
    assert_eq!((all["outside"].0, all["outside"].3.as_str()), (EntryType::Symlink, "/etc/passwd"));
    assert_eq!(all["far"].3, "t".repeat(150));
    assert!(!all.contains_key("socket"));
}

#[tokio::test]
async fn the_ignore_file_leaves_out_and_dockerfile_and_itself_are_sent_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("Dockerfile", "FROM scratch"), (".dockerignore", "*\n!src\nsrc/*.o"), ("secret", "x")] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    fs::create_dir(folder.path().join("src")).unwrap();
    fs::write(folder.path().join("src/a.c"), "").unwrap();
    fs::write(folder.path().join("src/a.o"), "").unwrap();
    let names: Vec<String> = received(&spec(folder.path())).await.into_keys().collect();
    assert_eq!(names, [".dockerignore", "Dockerfile", "src", "src/a.c"].map(str::to_owned));
}

#[tokio::test]
async fn a_dockerfile_from_elsewhere_is_sent_under_a_name_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("app")).unwrap();
    fs::write(folder.path().join("Dockerfile"), "FROM scratch").unwrap();
    let elsewhere = BuildSpec { dockerfile: Dockerfile::Path("../Dockerfile".into()), ..spec(&folder.path().join("app")) };
    let context = Context::open(&elsewhere).unwrap();
    assert_eq!(received(&elsewhere).await[&context.dockerfile].3, "FROM scratch");
    let inline = BuildSpec { dockerfile: Dockerfile::Inline("FROM busybox".into()), ..BuildSpec::default() };
    assert_eq!(received(&inline).await.into_values().map(|entry| entry.3).collect::<Vec<_>>(), ["FROM busybox"]);
    let absolute = folder.path().join("app/Dockerfile");
    fs::write(&absolute, "FROM here").unwrap();
    let named = BuildSpec { dockerfile: Dockerfile::Path(absolute.display().to_string()), ..spec(&folder.path().join("app")) };
    assert_eq!(Context::open(&named).unwrap().dockerfile, "Dockerfile", "an absolute path within the context");
}

#[tokio::test]
async fn a_file_that_shrinks_or_turns_into_a_link_breaks_the_archive_off() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("Dockerfile"), "FROM scratch").unwrap();
    // Larger than all pieces that may wait, so that the sender is still at it when the next file goes.
    fs::write(folder.path().join("big"), vec![1; PIECE * (PIECES + 8)]).unwrap();
    fs::write(folder.path().join("last"), "long enough").unwrap();
    let (mut body, sending) = send(Context::open(&spec(folder.path())).unwrap());
    body.frame().await.unwrap().unwrap();
    fs::File::options().write(true).open(folder.path().join("big")).unwrap().set_len(10).unwrap();
    let rest = body.collect().await;
    assert!(rest.is_err(), "half an archive must not look whole");
    assert!(sending.failure().unwrap().contains("became shorter"), "{:?}", sending.failure());
}

#[tokio::test]
async fn the_sender_stops_when_nobody_reads() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("Dockerfile"), "FROM scratch").unwrap();
    fs::write(folder.path().join("big"), vec![1; PIECE * (PIECES + 8)]).unwrap();
    let (mut body, sending) = send(Context::open(&spec(folder.path())).unwrap());
    body.frame().await.unwrap().unwrap();
    drop(body);
    let stopped = async {
        while sending.failure().is_none() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), stopped).await.unwrap();
}
