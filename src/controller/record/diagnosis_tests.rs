use super::*;
use crate::clock::Timestamp;
use crate::model::FailedRun;

fn second(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

/// A run of `web` from second 10 to 20.
fn failure(exit_code: i64) -> Failure {
    Failure {
        at: second(20),
        message: format!("exit code {exit_code}"),
        exit_code: Some(exit_code),
        oom_killed: false,
        unhealthy: false,
        run: FailedRun { container: "web".to_owned(), started_at: Some(second(10)), ..FailedRun::default() },
        diagnosis: None,
    }
}

fn killed_for_memory(container: &str, at: i64) -> Snapshot {
    Snapshot { out_of_memory: [(container.to_owned(), second(at))].into_iter().collect(), ..Snapshot::default() }
}

#[test]
fn a_kill_for_memory_counts_for_the_run_in_which_it_was_whenever_it_is_told() {
    for (at, counts) in [(5, false), (10, true), (20, true), (21, true), (23, false)] {
        assert_eq!(ran_out_of_memory(&failure(137), &killed_for_memory("web", at)), counts, "at second {at}");
    }
}

#[test]
fn a_kill_for_memory_explains_nothing_else() {
    assert!(!ran_out_of_memory(&failure(1), &killed_for_memory("web", 20)), "another exit code");
    assert!(!ran_out_of_memory(&failure(137), &killed_for_memory("db", 20)), "another container");
    assert!(!ran_out_of_memory(&failure(137), &Snapshot::default()), "none");
}
