//! One test per row of the decision table, with the gaps measured on 20.10 and 26.

use crate::docker::Alive;
use crate::model::{ContainerState, End, ReloadSignal, StopReason, Verdict};

use super::story::{Entry, Ms, Story, Turn, container, owner, time};
use super::{Gap, Intent};

/// Gaps from `die` to `stop` in ms: 20.10 idle, 20.10 with both cores loaded, 26 loaded. Negative: `stop` came first.
const DIE_TO_STOP: [Ms; 9] = [48, 108, 265, 1_021, 1, -1, -6, -91, 32];

fn stop_by_hand(story: &mut Story, at: Ms, id: &str, die_to_stop: Ms) {
    let (die, stop) = if die_to_stop < 0 { (at + 30 - die_to_stop, at + 30) } else { (at + 30, at + 30 + die_to_stop) };
    story.kill(at, id, 15).die(die, id, 143).event(stop, id, "stop");
}

fn marked(story: &mut Story, at: Ms, id: &str, reason: StopReason) {
    story.tell(at, Turn::Mark { id: id.into(), reason });
}

#[test]
fn row_1_an_end_without_a_signal_is_decided_at_once() {
    for code in [0, 1, 137] {
        let mut story = Story::of(&["web"]);
        story.die(100, "web", code).until(100);
        assert_eq!(story.verdict("web"), Some((100, Verdict::OwnAccord)));
        story.until(60_000);
        assert_eq!((story.holds().len(), story.asked), (0, 0));
    }
}

#[test]
fn row_1_a_reload_signal_long_ago_delays_the_verdict_but_does_not_change_it() {
    let mut story = Story::of(&["web"]);
    story.kill(100, "web", 1).die(100_000, "web", 0).until(200_000);
    assert_eq!(story.verdict("web"), Some((105_000, Verdict::OwnAccord)));
}

#[test]
fn a_signal_of_our_own_says_nothing_of_a_later_end_and_hides_nobody_elses() {
    // It ends right after it: of its own accord, decided at once.
    let mut story = Story::of(&["web"]);
    story
        .tell(100, Turn::Signal { id: "web".into(), signal: ReloadSignal::Hup })
        .kill(110, "web", 1)
        .die(120, "web", 129)
        .until(120);
    assert_eq!(story.verdict("web"), Some((120, Verdict::OwnAccord)));
    // A person stops it a moment later: a Hold.
    let mut story = Story::of(&["web"]);
    story.tell(100, Turn::Signal { id: "web".into(), signal: ReloadSignal::Hup }).kill(110, "web", 1);
    stop_by_hand(&mut story, 200, "web", 48);
    story.until(60_000);
    assert_eq!((story.holds().len(), story.verdict("web").unwrap().1), (1, Verdict::ExternalStop));
    // The second one is somebody else's.
    let mut story = Story::of(&["web"]);
    story.tell(100, Turn::Signal { id: "web".into(), signal: ReloadSignal::Hup }).kill(110, "web", 1).kill(111, "web", 1);
    story.die(120, "web", 129).until(60_000);
    assert_eq!(story.verdict("web").unwrap().1, Verdict::Killed);
}

#[test]
fn row_2_a_stop_by_hand_becomes_one_hold_three_seconds_later_whatever_the_order_and_gap() {
    for gap in DIE_TO_STOP {
        let mut story = Story::of(&["web"]);
        stop_by_hand(&mut story, 100, "web", gap);
        let complete = 130 + gap.abs();
        story.until(complete + 2_999);
        assert!(story.waits("web"), "gap {gap}: {:?}", story.diary);
        story.until(60_000);
        let [(at, of)] = story.holds()[..] else { panic!("gap {gap}: {:?}", story.diary) };
        assert!((complete + 3_000..complete + 3_100).contains(&at), "gap {gap}: held at {at}");
        assert_eq!(*of, owner("web"));
        assert_eq!(story.verdict("web").unwrap().1, Verdict::ExternalStop);
    }
}

#[test]
fn row_2_a_look_between_the_events_changes_nothing_whatever_their_order() {
    for (stop, die) in [(150, 180), (180, 150), (150, 900), (900, 150)] {
        for look in [110, 131, 149, 151, 179, 181, 899, 901, 1_500] {
            let mut story = Story::of(&["web"]);
            story.kill(100, "web", 15).tell(130, Turn::Ends { id: "web".into(), exit_code: 0 });
            story.tell(look, Turn::Look { id: "web".into() }).die(die, "web", 0).event(stop, "web", "stop").until(60_000);
            assert_eq!(story.holds().len(), 1, "stop {stop}, die {die}, look {look}: {:?}", story.diary);
            assert_eq!(story.verdict("web").unwrap().1, Verdict::ExternalStop, "stop {stop}, die {die}, look {look}");
        }
    }
}

#[test]
fn row_2_a_stop_that_needed_kill_after_its_grace_is_still_a_persons() {
    let mut story = Story::of(&["web"]);
    story.kill(0, "web", 15).kill(10_000, "web", 9).die(10_040, "web", 137).event(10_120, "web", "stop").until(60_000);
    assert_eq!(story.holds().len(), 1);
}

#[test]
fn row_2_a_stop_that_met_a_container_ending_by_itself_is_a_persons_as_long_as_nobody_started_it() {
    let mut story = Story::of(&["web"]);
    story.die(100, "web", 1).event(160, "web", "stop").until(60_000);
    assert_eq!(story.verdict("web").unwrap().1, Verdict::ExternalStop);
    let mut story = Story::of(&["web"]);
    story.die(100, "web", 1).event(150, "web", "start").event(160, "web", "stop").until(60_000);
    assert_eq!((story.verdict("web"), story.holds().len()), (None, 0));
}

#[test]
fn row_3_without_evidence_a_stop_is_the_daemons() {
    let mut story = Story::of(&["web"]);
    story.alive = (Alive::No, 2);
    stop_by_hand(&mut story, 100, "web", 60);
    story.until(60_000);
    assert_eq!(story.verdict("web"), Some((192, Verdict::Shutdown)));
    assert!(story.holds().is_empty());
}

#[test]
fn row_3_an_answer_that_comes_after_the_stream_ended_is_no_evidence() {
    for gap in [Gap::OtherRun, Gap::UnknownRun] {
        let mut story = Story::of(&["web"]);
        story.alive = (Alive::Yes, 50);
        stop_by_hand(&mut story, 100, "web", 60);
        story.tell(200, Turn::StreamEnds).tell(5_000, Turn::Resumes(gap)).until(60_000);
        assert_eq!(story.verdict("web"), Some((5_000, Verdict::Shutdown)));
        assert!(story.holds().is_empty());
    }
}

#[test]
fn row_3_a_stream_that_was_only_cut_takes_nothing_from_a_persons_stop() {
    for gap in [Gap::Replayed, Gap::SameRun] {
        let mut story = Story::of(&["web"]);
        story.alive = (Alive::Yes, 50);
        stop_by_hand(&mut story, 100, "web", 60);
        story.tell(200, Turn::StreamEnds).tell(300, Turn::Resumes(gap)).until(60_000);
        assert_eq!(story.holds().len(), 1, "{gap:?}: {:?}", story.diary);
    }
}

#[test]
fn row_3_what_was_complete_before_the_stream_ended_stays_a_persons() {
    let mut story = Story::of(&["web"]);
    stop_by_hand(&mut story, 100, "web", 60);
    story.tell(1_000, Turn::StreamEnds).tell(2_000, Turn::Resumes(Gap::OtherRun)).until(60_000);
    assert_eq!(story.holds().len(), 1);
}

#[test]
fn row_3_where_nobody_can_tell_ten_quiet_seconds_make_it_a_persons() {
    let mut story = Story::of(&["web"]);
    story.alive = (Alive::Unknown, 2);
    stop_by_hand(&mut story, 100, "web", 60);
    story.until(10_100);
    assert!(story.waits("web"));
    story.until(60_000);
    let [(at, _)] = story.holds()[..] else { panic!("{:?}", story.diary) };
    assert!((10_190..10_300).contains(&at), "held at {at}");
}

#[test]
fn row_3_where_nobody_can_tell_a_shutdown_that_waits_for_a_slow_container_leaves_no_hold() {
    let mut story = Story::of(&["slow", "web"]);
    story.alive = (Alive::Unknown, 2);
    story.kill(90, "slow", 15);
    stop_by_hand(&mut story, 100, "web", 60);
    story.kill(30_000, "slow", 9).die(30_020, "slow", 137).event(30_080, "slow", "stop");
    story.tell(36_000, Turn::StreamEnds).tell(40_000, Turn::Resumes(Gap::OtherRun)).until(90_000);
    assert!(story.holds().is_empty(), "{:?}", story.diary);
    assert_eq!(story.verdict("web").unwrap().1, Verdict::Shutdown);
    assert_eq!(story.verdict("slow").unwrap().1, Verdict::Shutdown);
}

#[test]
fn row_4_docker_kill_is_a_crash_after_a_second() {
    let mut story = Story::of(&["web"]);
    story.kill(100, "web", 9).die(130, "web", 137).until(60_000);
    assert_eq!(story.verdict("web"), Some((1_130, Verdict::Killed)));
    assert_eq!((story.holds().len(), story.asked), (0, 0));
}

#[test]
fn row_4_any_other_signal_waits_five_seconds_and_so_does_kill_where_it_is_the_stop_signal() {
    let mut story = Story::of(&["web"]);
    story.kill(100, "web", 15).die(130, "web", 0).until(60_000);
    assert_eq!(story.verdict("web"), Some((5_130, Verdict::Killed)));

    let mut stopped_by_kill = container("web");
    stopped_by_kill.stop_signal = Some("SIGKILL".into());
    let mut story = Story::going_on(Intent::default(), [stopped_by_kill], Gap::UnknownRun);
    story.kill(100, "web", 9).die(130, "web", 137).event(1_500, "web", "stop").until(60_000);
    assert_eq!(story.holds().len(), 1);
}

#[test]
fn row_4_a_stop_later_than_the_wait_is_honoured_while_nothing_has_started_it() {
    let mut story = Story::of(&["web"]);
    story.kill(100, "web", 9).die(130, "web", 137).event(2_000, "web", "stop").until(60_000);
    assert_eq!(story.verdict("web").unwrap().1, Verdict::ExternalStop);
}

#[test]
fn row_5_a_restart_by_hand_leaves_no_trace() {
    for gap in DIE_TO_STOP {
        let mut story = Story::of(&["web"]);
        stop_by_hand(&mut story, 100, "web", gap);
        let started = 130 + gap.abs() + 300;
        story.event(started, "web", "start").event(started, "web", "restart").until(60_000);
        assert_eq!((story.holds().len(), story.verdict("web")), (0, None), "gap {gap}: {:?}", story.diary);
    }
}

#[test]
fn row_5_a_restart_whose_start_failed_is_a_crash() {
    for (code, error) in [(127, ""), (143, "exec: \"nope\": not found")] {
        let mut story = Story::of(&["web"]);
        stop_by_hand(&mut story, 100, "web", 60);
        story.becomes(400, "web", code, error).until(60_000);
        assert_eq!(story.verdict("web").unwrap().1, Verdict::Killed);
        assert!(story.holds().is_empty());
    }
}

#[test]
fn row_5_a_start_that_fails_after_the_hold_was_laid_lifts_it_at_the_next_look() {
    let mut story = Story::of(&["web"]);
    stop_by_hand(&mut story, 100, "web", 60);
    story.becomes(20_000, "web", 128, "port is already allocated").tell(30_000, Turn::Look { id: "web".into() }).until(60_000);
    assert_eq!((story.holds().len(), story.lifts()), (1, 1));
    assert_eq!(story.verdict("web"), Some((30_000, Verdict::Killed)));
}

#[test]
fn row_6_what_was_stopped_and_removed_is_held_and_its_place_stays_empty_meanwhile() {
    for (stop_to_destroy, gap) in [(5, 60), (12, 60), (8, -6), (900, 48)] {
        let mut story = Story::of(&["web"]);
        stop_by_hand(&mut story, 100, "web", gap);
        let gone = 130 + gap.abs() + stop_to_destroy;
        story.event(gone, "web", "destroy").until(gone + 1_000);
        assert_eq!(story.intent.vacated().len(), 1);
        story.until(60_000);
        assert_eq!(story.holds().len(), 1, "{:?}", story.diary);
        assert!(story.intent.vacated().is_empty());
        assert_eq!(story.verdict("web"), None);
    }
}

#[test]
fn row_7_removal_without_a_stop_is_made_good_at_once() {
    let mut story = Story::of(&["web"]);
    story.kill(100, "web", 9).die(130, "web", 137).event(180, "web", "destroy").until(180);
    assert!(story.intent.vacated().is_empty());
    story.until(60_000);
    assert_eq!((story.holds().len(), story.intent.known().count()), (0, 0));
}

#[test]
fn row_9_a_start_by_hand_lifts_the_hold() {
    let mut story = Story::of(&["web"]);
    stop_by_hand(&mut story, 100, "web", 60);
    story.event(20_000, "web", "start").until(60_000);
    assert_eq!((story.holds().len(), story.lifts(), story.verdict("web")), (1, 1, None));
}

#[test]
fn row_9_a_recreate_by_compose_leaves_no_hold() {
    for started in [500, 700] {
        let mut story = Story::of(&["web.old"]);
        story.event(50, "web.new", "create");
        stop_by_hand(&mut story, 100, "web.old", 60);
        story.event(200, "web.old", "destroy").event(201, "web.new", "rename").event(190 + started, "web.new", "start");
        story.until(60_000);
        assert!(story.holds().is_empty(), "{:?}", story.diary);
        assert!(story.intent.vacated().is_empty());
        assert_eq!(story.lifts(), 1);
    }
}

#[test]
fn row_9_a_start_that_no_event_told_of_lifts_the_hold_when_it_is_seen() {
    let end =
        End { started_at: container("web").started_at, verdict: Verdict::ExternalStop, at: time(-30_000), exit_code: Some(143) };
    let intent = Intent::restore([("web".to_owned(), end)], Default::default());
    let mut running = container("web");
    running.started_at = Some(time(-10_000));
    let story = Story::going_on(intent, [running], Gap::SameRun);
    assert_eq!((story.lifts(), story.verdict("web")), (1, None));
}

#[test]
fn row_12_a_stop_while_we_were_away_is_understood_from_the_replay() {
    let mut exited = container("web");
    (exited.state, exited.exit_code, exited.finished_at) = (ContainerState::Exited, 143, Some(time(30)));
    // The look may come before, between or after the replayed events.
    for look in [-1, 115, 300] {
        let mut story = Story::going_on(Intent::default(), [], Gap::Replayed);
        let mut present = Story::going_on(Intent::default(), [exited.clone()], Gap::Replayed);
        let story = if look < 0 { &mut present } else { &mut story };
        story.kill(100, "web", 15);
        let died = Turn::Event { id: "web".into(), action: "die".into(), attribute: Some(("exitCode", "143".into())) };
        story.tell(100, Turn::Event { id: "web".into(), action: "start".into(), attribute: None });
        story.kill(110, "web", 15).tell(120, died).event(130, "web", "stop").until(60_000);
        assert_eq!(story.holds().len(), 1, "look {look}: {:?}", story.diary);
    }
}

#[test]
fn row_12_feeding_decided_events_again_changes_nothing() {
    let mut story = Story::of(&["web"]);
    stop_by_hand(&mut story, 100, "web", 60);
    story.until(10_000);
    let end =
        End { started_at: container("web").started_at, verdict: Verdict::ExternalStop, at: time(130), exit_code: Some(143) };
    let mut exited = container("web");
    (exited.state, exited.exit_code, exited.finished_at) = (ContainerState::Exited, 143, Some(time(130)));
    let mut again = Story::going_on(Intent::restore([("web".to_owned(), end)], Default::default()), [exited], Gap::Replayed);
    again.event(50, "web", "start");
    stop_by_hand(&mut again, 100, "web", 60);
    again.until(60_000);
    assert_eq!((again.holds().len(), again.lifts(), again.asked), (0, 0, 0), "{:?}", again.diary);
}

#[test]
fn row_13_what_is_found_down_after_a_gap_is_never_held() {
    let cases = [(Gap::SameRun, Verdict::Unknown), (Gap::UnknownRun, Verdict::Shutdown), (Gap::OtherRun, Verdict::Shutdown)];
    for (gap, verdict) in cases {
        let mut exited = container("web");
        (exited.state, exited.finished_at) = (ContainerState::Exited, Some(time(-5_000)));
        let mut story = Story::going_on(Intent::default(), [exited], gap);
        story.until(60_000);
        assert_eq!(story.verdict("web"), Some((-1, verdict)));
        assert!(story.holds().is_empty());
    }
}

#[test]
fn row_13_a_server_stopped_by_a_reboot_runs_again_though_the_clock_came_up_behind() {
    let mut exited = container("web");
    (exited.state, exited.finished_at) = (ContainerState::Exited, Some(time(3_600_000)));
    let mut story = Story::going_on(Intent::default(), [exited], Gap::OtherRun);
    story.until(60_000);
    assert_eq!(story.verdict("web"), Some((-1, Verdict::Shutdown)));
}

#[test]
fn row_13_an_end_that_was_written_down_stays_as_it_was() {
    let end = End { started_at: container("web").started_at, verdict: Verdict::OwnAccord, at: time(-5_000), exit_code: Some(0) };
    let mut exited = container("web");
    (exited.state, exited.finished_at) = (ContainerState::Exited, Some(time(-5_000)));
    let intent = Intent::restore([("web".to_owned(), end)], Default::default());
    let mut story = Story::going_on(intent, [exited], Gap::OtherRun);
    story.until(60_000);
    assert_eq!(story.verdict("web"), None, "nothing new is said: {:?}", story.diary);
}

#[test]
fn an_end_that_no_event_tells_of_is_unknown_after_five_seconds() {
    let mut exited = container("web");
    (exited.state, exited.finished_at) = (ContainerState::Exited, Some(time(10)));
    let mut story = Story::going_on(Intent::default(), [exited], Gap::SameRun);
    assert!(story.waits("web"));
    story.until(60_000);
    assert_eq!(story.verdict("web"), Some((4_999, Verdict::Unknown)));
}

#[test]
fn a_stop_of_ours_never_reaches_the_table() {
    for gap in DIE_TO_STOP {
        let mut story = Story::of(&["web"]);
        marked(&mut story, 90, "web", StopReason::Restart);
        stop_by_hand(&mut story, 100, "web", gap);
        story.until(130 + gap.abs());
        assert_eq!(story.verdict("web").unwrap().1, Verdict::Ours(StopReason::Restart));
        story.until(60_000);
        assert_eq!((story.holds().len(), story.asked), (0, 0));
        // A later start ends the mark: the next stop is a person's.
        story.event(60_000, "web", "start");
        stop_by_hand(&mut story, 70_000, "web", gap);
        story.until(90_000);
        assert_eq!(story.holds().len(), 1);
    }
}

#[test]
fn a_mark_made_before_the_start_event_was_read_is_for_the_new_run() {
    let mut story = Story::of(&["web"]);
    story.die(100, "web", 1).until(150);
    // The container was started at 200, we marked its stop at 210, and read both events only then.
    story.until(210);
    story.intent.marked("web", StopReason::Held, time(210));
    let start = super::story::event(200, "web", "start", None);
    story.intent.event(&start, Some(owner("web")), time(211));
    stop_by_hand(&mut story, 220, "web", 60);
    story.until(60_000);
    assert!(story.holds().is_empty(), "{:?}", story.diary);
}

#[test]
fn a_mark_for_a_stop_that_was_never_made_runs_out() {
    let mut story = Story::of(&["web"]);
    marked(&mut story, 0, "web", StopReason::Restart);
    stop_by_hand(&mut story, 400_000, "web", 60);
    story.until(500_000);
    assert_eq!(story.holds().len(), 1);
}

#[test]
fn signals_survive_a_restart_of_the_operator() {
    let mut story = Story::of(&["web"]);
    story.kill(100, "web", 15).until(1_000);
    let signalled = story.intent.signalled();
    let intent = Intent::restore([], signalled);
    let mut story = Story::going_on(intent, [container("web")], Gap::Replayed);
    story.die(10_000, "web", 143).event(10_060, "web", "stop").until(60_000);
    assert_eq!(story.holds().len(), 1, "{:?}", story.diary);
}

#[test]
fn a_run_is_open_from_its_end_to_the_hold_and_not_while_it_has_only_been_signalled() {
    let mut story = Story::of(&["web"]);
    story.kill(100, "web", 1).until(200);
    assert!(!story.intent.is_open());
    stop_by_hand(&mut story, 300, "web", 60);
    story.until(1_000);
    assert!(story.intent.is_open());
    story.until(60_000);
    assert!(!story.intent.is_open());
    assert!(matches!(story.diary.last(), Some((_, Entry::Verdict(_, Verdict::ExternalStop)))));
}
