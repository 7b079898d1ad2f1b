//! What is not in force yet is planned and compared: folders, repositories, other commits of a source; and `why`.

use serde_json::{Value, json};

use crate::sources::Repository;
use crate::support::{Operator, Sandbox, eventually, same, secs, service};

fn web(sandbox: &Sandbox, name: &str, version: &str) -> Value {
    let app = service::with(service::sleeper(&sandbox.image()), json!({"environment": {"V": version}}));
    sandbox.deployment(name, json!({"app": app}))
}

/// Exit code and output of a command.
fn run(operator: &Operator, args: &[&str]) -> (i32, String) {
    let output = operator.cli(args);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout) + &text(&output.stderr))
}

#[test]
fn a_commit_is_planned_and_compared_before_it_is_applied_and_why_tells_the_chain() {
    let sandbox = Sandbox::new();
    let repository = Repository::new(&sandbox);
    let first = repository.push(&[("web.yaml", &web(&sandbox, "web", "1")), ("old.yaml", &web(&sandbox, "old", "1"))]);
    let operator = Operator::of(&sandbox).arg("--git").arg(&repository.url()).arg("--prune").start();
    operator.wait_ready("web");
    operator.wait_ready("old");
    assert_eq!(run(&operator, &["plan", "--source", "git", "--detailed-exitcode"]).0, 0, "in force as it is");
    assert_eq!(run(&operator, &["diff", "--source", "git"]), (0, String::new()));
    let (code, text) = run(&operator, &["diff", "--source", "git", "-o", "json"]);
    let shown: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &shown[0]["change"], &shown[1]["change"]), (0, &json!("unchanged"), &json!("unchanged")), "{text}");

    // A branch that nobody follows: one changed, one added, one gone.
    repository.branch("next");
    std::fs::remove_file(repository.work().join("old.yaml")).unwrap();
    let files = [("web.yaml", &web(&sandbox, "web", "2")), ("new.yaml", &web(&sandbox, "new", "1"))];
    let next = repository.push_to("next", &files);
    let (code, text) = run(&operator, &["plan", "--source", "git", "--revision", "next", "--detailed-exitcode"]);
    assert_eq!(code, 4, "{text}");
    for part in [
        "revision next@sha1:",
        "~ default/web is changed (web.yaml:1): spec.services.app.environment.V",
        "+ default/new is added (new.yaml:1)",
        "- default/old is removed",
        "because its specification changed",
        "because its Deployment is being deleted",
        "1 added, 1 changed, 1 removed, 0 unchanged",
    ] {
        assert!(text.contains(part), "{part} is not in:\n{text}");
    }
    let commit = next.rsplit(':').next().unwrap();
    let (_, json) = run(&operator, &["plan", "--source", "git", "--revision", commit, "-o", "json"]);
    let plans: Vec<Value> = serde_json::from_str(&json).unwrap();
    let changes: Vec<&str> = plans.iter().map(|plan| plan["change"].as_str().unwrap()).collect();
    assert_eq!(changes, ["added", "changed", "removed"]);
    let (code, text) = run(&operator, &["diff", "--source", "git", "--revision", "next"]);
    assert!(code == 1 && text.contains("+        V: '2'") && text.contains("+++ /dev/null"), "{text}");
    // The same as a checkout, and as an address.
    let work = repository.work();
    let (code, text) = run(&operator, &["plan", "--source", "git", "-f", work.to_str().unwrap()]);
    assert!(code == 0 && text.contains("1 added, 1 changed, 1 removed"), "{text}");
    let (code, text) = run(&operator, &["plan", "--git", &format!("{}#next", repository.url())]);
    assert!(code == 0 && text.contains("1 added, 1 changed, 0 removed"), "{text}");
    assert_eq!(run(&operator, &["diff", "--source", "git", "--revision", "nowhere"]).0, 2);

    let (code, text) = run(&operator, &["why", "web"]);
    let digits = first.rsplit(':').next().unwrap().get(..12).unwrap();
    assert!(code == 0 && text.contains(&format!("main@sha1:{digits} of default/git, web.yaml:1")), "{text}");
    assert!(text.contains("start container") && text.contains("because it was just made: ok"), "{text}");
    let (_, json) = run(&operator, &["why", "web", "app-1", "-o", "json"]);
    let chain: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(chain["source"]["revisions"], json!([first]));
    assert_eq!((&chain["object"]["generation"], &chain["plan"]["actions"]), (&json!(1), &json!([])));

    sandbox.docker().run(&["stop", &sandbox.container("web", "app", 1)]);
    eventually(secs(12), "the Hold is told", || {
        let chain: Value = serde_json::from_str(&run(&operator, &["why", "web", "-o", "json"]).1).unwrap();
        same(&chain["why"], &json!("a Hold keeps it stopped: ExternalStop"))
    });
    assert_eq!(run(&operator, &["why", "web", "cache"]).0, 2, "there is no such service");
}
