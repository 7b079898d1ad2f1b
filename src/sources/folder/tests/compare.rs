//! Reading and comparing, with nothing but values.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::super::diff::{Circumstances, Diff, Origin, Step, diff, in_force};
use super::super::read::{About, Cache, Reading, read};
use super::{key, manifest};
use crate::model::annotations;
use crate::sources::files::Scan;
use crate::sources::merge::{annotate, annotation};
use crate::store::Object;

fn reading(files: &[(&str, &str)]) -> Reading {
    let files = files.iter().map(|(name, text)| ((*name).to_owned(), Ok((*text).to_owned()))).collect();
    read(&Scan { files, ..Scan::default() }, &mut Cache::default())
}

/// What the store holds when these files are in force.
fn stored(files: &[(&str, &str)]) -> Vec<Object> {
    let object = |mut object: Value| {
        object["metadata"]["uid"] = json!("u");
        object["metadata"]["resourceVersion"] = json!("7");
        object["status"] = json!({"phase": "Running"});
        Arc::new(object)
    };
    reading(files).declared.values().map(|declared| object(in_force(declared, None, &Origin::default()))).collect()
}

fn changed(object: &Object, change: impl FnOnce(&mut Value)) -> Object {
    let mut object = object.as_ref().clone();
    change(&mut object);
    Arc::new(object)
}

fn steps(files: &[(&str, &str)], stored: &[Object]) -> Vec<Step> {
    diff(&reading(files), stored, &Circumstances::default()).steps
}

fn long_gone(prune: bool, names: &[&str]) -> Circumstances {
    Circumstances { prune, long_gone: names.iter().map(|name| key(name)).collect(), ..Circumstances::default() }
}

#[test]
fn files_in_force_need_no_write_and_a_new_or_changed_one_needs_one() {
    let (one, two) = (manifest("one", "a"), manifest("two", "a"));
    let both = [("one.yaml", one.as_str()), ("two.yaml", two.as_str())];
    assert_eq!(steps(&both, &[]), [Step::Write(key("one")), Step::Write(key("two"))]);
    assert_eq!(steps(&both, &stored(&both)), []);
    let newer = manifest("two", "b");
    assert_eq!(steps(&[both[0], ("two.yaml", &newer)], &stored(&both)), [Step::Write(key("two"))]);
    assert_eq!(steps(&[both[0], ("moved/two.yaml", &two)], &stored(&both)), [Step::Write(key("two"))]);
}

#[test]
fn an_edit_behind_the_files_back_is_put_right_and_what_people_annotate_is_not() {
    let text = manifest("web", "a");
    let files = [("web.yaml", text.as_str())];
    let stored = stored(&files);
    let edited = changed(&stored[0], |object| object["spec"]["services"]["web"]["image"] = json!("b"));
    assert_eq!(steps(&files, &[edited]), [Step::Write(key("web"))]);
    let restarted = changed(&stored[0], |object| {
        annotate(object, annotations::RESTARTED_AT, Some("2026-08-21T10:00:00Z"));
        object["metadata"]["labels"] = json!({"team": "sea"});
        object["status"]["phase"] = json!("Progressing");
    });
    assert_eq!(steps(&files, &[restarted]), []);
}

#[test]
fn of_a_broken_manifest_the_last_good_version_runs_on_and_says_why() {
    let (web, db) = (manifest("web", "a"), manifest("db", "a"));
    let before = stored(&[("web.yaml", &web), ("db.yaml", &db)]);
    let typo = web.replace("services", "servcies");
    let wrong = [("web.yaml", typo.as_str()), ("db.yaml", &db)];
    let [Step::Mark(marked, why)] = &steps(&wrong, &before)[..] else { panic!("{:?}", steps(&wrong, &before)) };
    assert_eq!(*marked, key("web"));
    assert!(why.contains("web.yaml:6:3: spec.servcies: unknown field"), "{why}");

    let marked: Vec<Object> =
        before.iter().map(|object| changed(object, |object| annotate(object, annotations::SOURCE_ERROR, Some(why)))).collect();
    let marked = [marked[1].clone(), before[0].clone()];
    assert_eq!(steps(&wrong, &marked), []);
    assert_eq!(steps(&[("web.yaml", &web), ("db.yaml", &db)], &marked), [Step::Write(key("web"))]);
    assert_eq!(
        annotation(
            &in_force(&reading(&[("web.yaml", &web)]).declared[&key("web")], Some(&marked[0]), &Origin::default()),
            annotations::SOURCE_ERROR
        ),
        None
    );
}

#[test]
fn what_is_in_a_file_that_cannot_be_parsed_is_kept_and_nothing_is_pruned_meanwhile() {
    let (web, db) = (manifest("web", "a"), manifest("db", "a"));
    let before = stored(&[("web.yaml", &web), ("db.yaml", &db)]);
    let torn = [("web.yaml", "apiVersion: [\n")];
    let both = long_gone(true, &["web", "db"]);
    let Diff { steps, gone, .. } = diff(&reading(&torn), &before, &both);
    assert_eq!(gone, BTreeSet::from([key("db")]));
    // The missing one might have been moved into the file that cannot be read.
    assert!(matches!(&steps[..], [Step::Orphan(db), Step::Mark(web, _)] if *db == key("db") && *web == key("web")), "{steps:?}");
}

#[test]
fn a_subfolder_that_cannot_be_seen_keeps_what_came_from_it() {
    let web = manifest("web", "a");
    let before = stored(&[("team/web.yaml", &web)]);
    let scan = Scan { unseen: [("team".to_owned(), "team: permission denied".to_owned())].into(), ..Scan::default() };
    let reading = read(&scan, &mut Cache::default());
    let Diff { steps, gone, .. } = diff(&reading, &before, &long_gone(true, &["web"]));
    assert_eq!(steps, [Step::Mark(key("web"), "team: permission denied".into())]);
    assert_eq!(gone, BTreeSet::new());
    assert_eq!(reading.may_hold("teamwork/web.yaml"), None);
}

#[test]
fn what_is_behind_a_link_or_a_submodule_now_is_kept_and_anything_else_is_pruned() {
    let (web, db) = (manifest("web", "a"), manifest("db", "a"));
    let before = stored(&[("team/web.yaml", &web), ("db.yaml", &db)]);
    let scan = Scan { not_followed: [("team".to_owned(), "team is a link".to_owned())].into(), ..Scan::default() };
    let reading = read(&scan, &mut Cache::default());
    let Diff { steps, .. } = diff(&reading, &before, &long_gone(true, &["web", "db"]));
    assert!(steps.contains(&Step::Mark(key("web"), "team is a link".into())), "{steps:?}");
    assert!(steps.contains(&Step::Prune(key("db"))) && steps.len() == 2, "{steps:?}");
}

#[test]
fn a_manifest_that_is_gone_is_pruned_only_with_prune_and_only_when_it_is_gone_for_long() {
    let web = manifest("web", "a");
    let before = stored(&[("web.yaml", &web)]);
    let look = |circumstances: &Circumstances| diff(&reading(&[]), &before, circumstances);
    assert_eq!(look(&long_gone(true, &[])), Diff { gone: BTreeSet::from([key("web")]), ..Diff::default() });
    assert_eq!(look(&long_gone(true, &["web"])).steps, [Step::Prune(key("web"))]);
    assert_eq!(look(&long_gone(false, &["web"])).steps, [Step::Orphan(key("web"))]);
    let spared = Circumstances { spared: BTreeSet::from([key("web")]), ..long_gone(true, &["web"]) };
    assert_eq!(look(&spared).steps, [Step::Orphan(key("web"))]);
}

#[test]
fn an_orphan_is_marked_once_and_taken_back_with_its_manifest() {
    let web = manifest("web", "a");
    let orphan = changed(&stored(&[("web.yaml", &web)])[0], |object| annotate(object, annotations::ORPHANED, Some("true")));
    assert_eq!(diff(&reading(&[]), std::slice::from_ref(&orphan), &long_gone(false, &["web"])).steps, []);
    assert_eq!(steps(&[("web.yaml", &web)], &[orphan]), [Step::Write(key("web"))]);
}

#[test]
fn what_did_not_come_from_the_folder_is_left_alone() {
    let web = manifest("web", "a");
    let own = changed(&stored(&[("web.yaml", &web)])[0], |object| annotate(object, annotations::SOURCE, None));
    let Diff { steps, gone, .. } = diff(&reading(&[]), &[own], &long_gone(true, &["web"]));
    assert_eq!((steps, gone), (vec![], BTreeSet::new()));
}

#[test]
fn what_is_being_deleted_is_neither_written_nor_pruned() {
    let web = manifest("web", "a");
    let files = [("web.yaml", web.as_str())];
    let deleting = changed(&stored(&files)[0], |object| object["metadata"]["deletionTimestamp"] = json!("2026-08-21T10:00:00Z"));
    assert_eq!(steps(&[("web.yaml", &manifest("web", "b"))], std::slice::from_ref(&deleting)), []);
    assert_eq!(diff(&reading(&[]), &[deleting], &long_gone(true, &["web"])).steps, []);
}

#[test]
fn of_two_manifests_of_one_name_the_first_by_path_counts_and_the_second_is_told_its_place() {
    let (first, second) = (manifest("web", "a"), manifest("web", "b"));
    let reading = reading(&[("b.yaml", &second), ("a.yaml", &first)]);
    assert_eq!(reading.declared[&key("web")].source, "a.yaml:1");
    assert_eq!(reading.broken.len(), 1);
    let broken = &reading.broken[0];
    assert_eq!((broken.file.as_str(), &broken.about), ("b.yaml", &About::Nobody));
    assert_eq!(
        broken.message,
        "b.yaml:4:3: metadata.name: deployment default/web is declared in a.yaml:1 already: this one is not used"
    );
    assert_eq!(reading.unknown(), None);
}

#[test]
fn a_hold_in_a_file_is_refused_and_does_not_stop_pruning() {
    let hold =
        "apiVersion: evenkeel.dev/v1alpha1\nkind: Hold\nmetadata:\n  name: h\nspec:\n  deployment: web\n  state: Stopped\n";
    let reading = reading(&[("hold.yaml", hold)]);
    assert!(reading.declared.is_empty());
    assert!(
        reading.broken[0].message.contains("hold.yaml:2:1: ") && reading.broken[0].message.contains("evenkeel stop"),
        "{reading:?}"
    );
    assert_eq!(reading.unknown(), None);
}

#[test]
fn several_documents_of_a_file_stand_each_for_itself() {
    let text = format!("{}---\n{}---\n# nothing\n", manifest("one", "a"), manifest("two", "a"));
    let reading = reading(&[("all.yaml", &text)]);
    let sources: Vec<&str> = reading.declared.values().map(|declared| declared.source.as_str()).collect();
    assert_eq!(sources, ["all.yaml:1", "all.yaml:10"]);
}
