//! Under a service manager: what `deploy/evenkeel.service` relies on.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use crate::support::{Operator, Sandbox, check, eventually, holds_for, secs};

/// What has been told since the last look.
fn told(manager: &UnixDatagram) -> Vec<String> {
    let mut buffer = [0; 1024];
    let next = || manager.recv(&mut buffer).ok().map(|length| String::from_utf8_lossy(&buffer[..length]).trim().to_owned());
    std::iter::from_fn(next).collect()
}

#[test]
fn the_service_manager_is_told_that_the_operator_serves_lives_and_ends() {
    let sandbox = Sandbox::new();
    let path = sandbox.dir().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_nonblocking(true).unwrap();
    let socket = path.display().to_string();
    let mut operator = Operator::of(&sandbox).env("NOTIFY_SOCKET", &socket).env("WATCHDOG_USEC", "600000").start();
    let hears = |what: &str| {
        eventually(secs(5), what, || {
            let told = told(&manager);
            check(told.iter().any(|line| line == what), || format!("{told:?}"))
        });
    };
    hears("READY=1");
    hears("WATCHDOG=1");
    hears("WATCHDOG=1");

    operator.freeze();
    told(&manager);
    holds_for(Duration::from_millis(600), "an operator that hangs does not say that it lives", || {
        let told = told(&manager);
        check(told.is_empty(), || format!("{told:?}"))
    });
    operator.thaw();
    hears("WATCHDOG=1");
    operator.stop();
    assert!(told(&manager).contains(&"STOPPING=1".to_owned()));
}
