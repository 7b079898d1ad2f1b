//! Stories that went wrong once, as short as they could be made.

use crate::docker::fake::{Effect, Verb};
use crate::model::FailureKind;

use super::properties::tell;
use super::rig::play;
use super::story::{App, Edit, Hand, Part, Service, Step, Story, Strangers, Word, Work};

fn service(work: Work, replicas: u32) -> Service {
    Service { work, replicas, restart: None, needs: vec![], named_volume: false, second_network: false, version: 1 }
}

fn goes_well(services: Vec<Service>, steps: Vec<(u64, Step)>) {
    let apps = vec![App { services, stopped: false, revert: false }];
    let story = Story { seed: 1, apps, strangers: Strangers::default(), live_restore: false, steps };
    play(tell(story)).unwrap().unwrap();
}

#[test]
fn an_operator_killed_while_it_makes_a_network_and_back_at_once_makes_no_second_one_that_stays() {
    for moment in [1, 5, 10, 15, 20] {
        goes_well(vec![service(Work::Plain, 1)], vec![(moment, Step::Operator { killed: true, away: 0 })]);
    }
}

#[test]
fn a_stop_that_is_wanted_while_the_daemon_is_away_is_not_tried_without_a_pause() {
    let away = Step::KillDaemon { away: 2_500 };
    goes_well(vec![service(Work::Slow, 2)], vec![(9_000, away), (20, Step::Evenkeel(0, Part::All, Word::Stop))]);
}

#[test]
fn a_decision_that_is_late_since_the_daemon_is_away_is_not_waited_for_without_a_pause() {
    let stop = Step::Docker(0, Hand::Stop);
    let away = Step::KillDaemon { away: 11_500 };
    goes_well(vec![service(Work::Plain, 2)], vec![(9_000, stop), (340, away), (7, Step::Edit(0, Edit::Scale(0, 1)))]);
}

#[test]
fn what_a_restart_of_the_daemon_took_down_runs_again_though_the_first_look_at_it_failed() {
    let fault = Step::Fault(Verb::InspectContainer, Effect::Fail(FailureKind::Transient), 1);
    let killed = |away| Step::Operator { killed: true, away };
    let steps = vec![(152, Step::RestartDaemon), (71, fault), (0, killed(2_008)), (3_748, killed(0))];
    goes_well(vec![service(Work::Plain, 1), service(Work::Slow, 2)], steps);
}
