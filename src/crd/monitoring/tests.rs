use serde_json::json;

use super::*;

#[test]
fn amounts_are_read_as_people_write_them() {
    for (written, amount) in [
        (json!("80%"), Some(Amount::Percent(80.0))),
        (json!("150.5 %"), Some(Amount::Percent(150.5))),
        (json!("512MiB"), Some(Amount::Number(536_870_912.0))),
        (json!("10mb/s"), Some(Amount::Number(10_485_760.0))),
        (json!("1.5"), Some(Amount::Number(1.5))),
        (json!(3), Some(Amount::Number(3.0))),
        (json!(-3), None),
        (json!("-3%"), None),
        (json!("lots"), None),
        (json!(true), None),
    ] {
        assert_eq!(Amount::read(&written), amount, "{written}");
    }
    assert_eq!(serde_json::to_value(Amount::Number(3.0)).unwrap(), json!(3));
    assert_eq!(serde_json::to_value(Amount::Percent(80.0)).unwrap(), json!("80%"));
}

#[test]
fn what_a_service_says_takes_the_place_of_what_is_said_of_all() {
    let written = json!({
        "cpu": {"above": "80%", "for": "1m"}, "restarts": {"above": 3},
        "services": {"db": {"cpu": {"above": "300%"}, "growth": {}}},
    });
    let monitoring: Monitoring = serde_json::from_value(written.clone()).unwrap();
    let of = |service: &str| monitoring.of(service).into_owned();
    assert_eq!(of("web").cpu.unwrap().above, Some(Amount::Percent(80.0)));
    assert_eq!(of("web").growth, None);
    assert_eq!(of("db").cpu.unwrap().above, Some(Amount::Percent(300.0)));
    assert_eq!(of("db").growth, Some(Growth::default()));
    assert!(of("db").restarts.is_some());
    let again: Monitoring = serde_json::from_value(serde_json::to_value(&monitoring).unwrap()).unwrap();
    assert_eq!(again, monitoring);
}

#[test]
fn of_the_host_disks_and_files_are_watched_unless_something_else_is_said() {
    let full = Threshold::above_percent(90.0);
    let read = |text: &str| text.parse::<HostMonitoring>();
    assert_eq!(read("{}").unwrap(), HostMonitoring::default());
    let other = read("{disk: {above: 50%}, load: {above: 200%}, paths: [/srv]}").unwrap();
    assert_eq!((other.inodes, other.disk.unwrap().above), (Some(full), Some(Amount::Percent(50.0))));
    assert_eq!(other.paths, ["/srv"]);
    for (wrong, told) in [
        ("{disk: {above: 10GiB}}", "disk.above: "),
        ("{disk: {}}", "disk: "),
        ("{dsk: {above: 1%}}", "did you mean \"disk\"?"),
        ("{paths: [srv]}", "paths[0]: "),
        ("[", "at line "),
    ] {
        let error = read(wrong).unwrap_err();
        assert!(error.contains(told), "{wrong}: {error}");
    }
}

#[test]
fn causes_are_written_as_they_are_called() {
    for cause in ResourceCause::ALL {
        assert_eq!(serde_json::to_value(cause).unwrap(), json!(cause.word()));
        assert_eq!(format!("{cause:?}"), cause.word());
    }
}
