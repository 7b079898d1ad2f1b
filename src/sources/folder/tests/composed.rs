//! Compose files in the folder.

use std::fs;
use std::path::Path;

use super::super::read::{About, Cache, Reading, read};
use super::key;
use crate::sources::files::scan;

fn write(root: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

fn look(root: &Path, cache: &mut Cache) -> Reading {
    read(&scan(root).unwrap(), cache)
}

fn image(reading: &Reading, name: &str) -> String {
    reading.declared[&key(name)].object["spec"]["services"]["web"]["image"].as_str().unwrap().to_owned()
}

const SHOP: [(&str, &str); 5] = [
    (
        "shop/compose.yaml",
        "services:\n  web: {extends: {file: base.yaml, service: base}, env_file: web.env, volumes: ['./site:/srv']}\n",
    ),
    ("shop/compose.override.yaml", "services:\n  web: {user: u}\n"),
    ("shop/base.yaml", "services:\n  base: {image: 'nginx:${TAG}'}\n"),
    ("shop/.env", "TAG=1\n"),
    ("shop/web.env", "A=1\n"),
];

#[test]
fn a_folder_with_a_compose_file_is_a_deployment_and_its_parts_are_no_manifests() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), &SHOP);
    write(root.path(), &[("blog/docker-compose.yml", "name: my_blog\nservices:\n  web: {image: b}\n")]);
    write(
        root.path(),
        &[(
            "blog/other.yaml",
            "apiVersion: evenkeel.dev/v1alpha1\nkind: Deployment\nmetadata: {name: other}\nspec: {services: {web: {image: c}}}\n",
        )],
    );
    let reading = look(root.path(), &mut Cache::default());
    assert_eq!(reading.broken, []);
    assert_eq!(reading.declared.keys().cloned().collect::<Vec<_>>(), [key("my-blog"), key("other"), key("shop")]);
    let shop = &reading.declared[&key("shop")];
    assert_eq!(shop.source, "shop/compose.yaml:1");
    let web = &shop.object["spec"]["services"]["web"];
    assert_eq!((&web["image"], &web["user"], &web["environment"]["A"]), (&"nginx:1".into(), &"u".into(), &"1".into()));
    assert_eq!(web["volumes"][0]["source"], root.path().join("shop/site").to_str().unwrap());
    assert_eq!(reading.declared[&key("my-blog")].object["spec"]["project"], "my_blog");
}

#[test]
fn a_change_of_any_file_it_read_is_a_change_of_it() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), &SHOP);
    let cache = &mut Cache::default();
    assert_eq!(image(&look(root.path(), cache), "shop"), "nginx:1");
    write(root.path(), &[("shop/.env", "TAG=2\n")]);
    assert_eq!(image(&look(root.path(), cache), "shop"), "nginx:2");
    write(root.path(), &[("shop/base.yaml", "services:\n  base: {image: 'httpd:${TAG}'}\n")]);
    assert_eq!(image(&look(root.path(), cache), "shop"), "httpd:2");
    write(root.path(), &[("shop/web.env", "A=3\n")]);
    let reading = look(root.path(), cache);
    assert_eq!(reading.declared[&key("shop")].object["spec"]["services"]["web"]["environment"]["A"], "3");
    fs::remove_file(root.path().join("shop/compose.override.yaml")).unwrap();
    let reading = look(root.path(), cache);
    assert!(reading.declared[&key("shop")].object["spec"]["services"]["web"].get("user").is_none());
}

#[test]
fn a_broken_one_is_told_with_its_places_and_keeps_its_name() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), &SHOP);
    let cache = &mut Cache::default();
    look(root.path(), cache);
    write(root.path(), &[("shop/compose.override.yaml", "services:\n  web:\n    usr: u\n")]);
    let reading = look(root.path(), cache);
    assert!(reading.declared.is_empty());
    assert_eq!(reading.broken[0].about, About::Deployment(key("shop")));
    let message = "shop/compose.override.yaml:3:5: services.web.usr: is no key of Compose here: did you mean user?";
    assert_eq!(reading.broken[0].message, message);

    fs::remove_file(root.path().join("shop/web.env")).unwrap();
    write(root.path(), &[("shop/compose.override.yaml", "services: {}\n")]);
    let message = &look(root.path(), cache).broken[0].message;
    assert!(message.starts_with("shop/compose.yaml:2:"), "{message}");
    assert!(
        message.contains("services.web.env_file[0]: the env file") && message.ends_with("there is no such file"),
        "{message}"
    );

    fs::remove_file(root.path().join("shop/base.yaml")).unwrap();
    write(root.path(), &[("shop/compose.yaml", "services:\n  web: {image: a, use_api_socket: true}\n")]);
    let message = &look(root.path(), cache).broken[0].message;
    assert!(message.starts_with("shop/compose.yaml:2:19: services.web.use_api_socket: "), "{message}");

    write(root.path(), &[("shop/compose.yaml", "services: [\n")]);
    assert_eq!(look(root.path(), cache).broken[0].about, About::Unknown);
}
