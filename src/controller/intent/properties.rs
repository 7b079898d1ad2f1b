//! What must hold whatever the timing: see the guarantees in the module's documentation.

use proptest::prelude::*;

use crate::docker::Alive;
use crate::model::{StopReason, Verdict};

use super::Gap;
use super::story::{Entry, Ms, Story, Turn};

/// Everything measured between `die` and `stop`, and more: `stop` first, or up to the five seconds that are waited.
fn die_to_stop() -> impl Strategy<Value = Ms> {
    prop_oneof![-91..0i64, 1..1_100i64, 1_100..4_900i64]
}

fn answer() -> impl Strategy<Value = (Alive, Ms)> {
    (prop_oneof![Just(Alive::Yes), Just(Alive::No), Just(Alive::Unknown)], 0..1_000i64)
}

fn gap() -> impl Strategy<Value = Gap> {
    prop_oneof![Just(Gap::Replayed), Just(Gap::SameRun), Just(Gap::OtherRun), Just(Gap::UnknownRun)]
}

/// `kill` at `at`, the end after `grace`, with a second signal where the grace ran out.
fn stop(story: &mut Story, id: &str, at: Ms, grace: Ms, die_to_stop: Ms) -> Ms {
    let first = at + 2 + grace;
    let (die, stop) = if die_to_stop < 0 { (first - die_to_stop, first) } else { (first, first + die_to_stop) };
    story.kill(at, id, 15);
    if grace > 10_000 {
        story.kill(first - 1, id, 9);
    }
    story.die(die, id, if grace > 10_000 { 137 } else { 143 }).event(stop, id, "stop");
    die.max(stop)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_stop_of_ours_never_yields_a_hold(
        gap_ms in die_to_stop(), grace in 0..20_000i64, alive in answer(), removed in any::<bool>(),
        cut in proptest::option::of((0..30_000i64, 0..5_000i64, gap())),
    ) {
        let mut story = Story::of(&["web"]);
        story.alive = alive;
        story.tell(99, Turn::Mark { id: "web".into(), reason: StopReason::Replace });
        let end = stop(&mut story, "web", 100, grace, gap_ms);
        if removed {
            story.event(end + 5, "web", "destroy");
        }
        if let Some((at, away, gap)) = cut {
            story.tell(at, Turn::StreamEnds).tell(at + away, Turn::Resumes(gap));
            story.tell(at + away + 10, Turn::Look { id: "web".into() });
        }
        story.until(120_000);
        prop_assert!(story.holds().is_empty(), "{:?}", story.diary);
        if let Some((_, verdict)) = story.verdict("web") {
            prop_assert_eq!(verdict, Verdict::Ours(StopReason::Replace));
        }
    }

    #[test]
    fn an_end_without_a_signal_is_never_delayed(
        at in 1..100_000i64, code in 0..255i64, started in proptest::option::of(0..1_000i64), others in 0..100_000i64, grace in 0..20_000i64,
    ) {
        let mut story = Story::of(&["other", "web"]);
        stop(&mut story, "other", others, grace, 60);
        if let Some(before) = started {
            // Signals of the run before do not count.
            story.kill(0, "web", 15).die(0, "web", 143).event((at - before).max(0), "web", "start");
        }
        story.die(at, "web", code).until(at);
        prop_assert_eq!(story.verdict("web"), Some((at, Verdict::OwnAccord)));
    }

    #[test]
    fn a_shutdown_never_leaves_a_hold(
        containers in proptest::collection::vec((0..76i64, 0..30_000i64, die_to_stop()), 1..6),
        alive in prop_oneof![(Just(Alive::No), 0..1_000i64), (Just(Alive::Unknown), 0..1_000i64)],
        stream_ends in -2_000..6_000i64, away in 100..60_000i64, gap in prop_oneof![Just(Gap::OtherRun), Just(Gap::UnknownRun)],
    ) {
        let ids: Vec<String> = (0..containers.len()).map(|n| format!("c{n}")).collect();
        let mut story = Story::of(&ids.iter().map(String::as_str).collect::<Vec<_>>());
        story.alive = alive;
        let ends = ids.iter().zip(&containers).map(|(id, (at, grace, gap))| stop(&mut story, id, 1_000 + at, *grace, *gap));
        let ended = ends.max().unwrap() + stream_ends;
        story.tell(ended, Turn::StreamEnds).tell(ended.max(40_000) + away, Turn::Resumes(gap));
        for id in &ids {
            story.tell(ended.max(40_000) + away + 10, Turn::Look { id: id.clone() });
        }
        story.until(300_000);
        prop_assert!(story.holds().is_empty(), "{:?}", story.diary);
        for id in &ids {
            let verdict = story.verdict(id).map(|(_, verdict)| verdict);
            prop_assert!(matches!(verdict, Some(Verdict::Shutdown | Verdict::Killed | Verdict::Unknown)), "{id}: {:?}", story.diary);
        }
    }

    #[test]
    fn every_persons_stop_with_evidence_is_held_exactly_once(
        stops in proptest::collection::vec((0..5_000i64, 0..20_000i64, die_to_stop(), any::<bool>()), 1..5), takes in 0..1_000i64,
    ) {
        let ids: Vec<String> = (0..stops.len()).map(|n| format!("c{n}")).collect();
        let mut story = Story::of(&ids.iter().map(String::as_str).collect::<Vec<_>>());
        story.alive = (Alive::Yes, takes);
        for (id, (at, grace, gap, removed)) in ids.iter().zip(&stops) {
            let end = stop(&mut story, id, *at, *grace, *gap);
            if *removed {
                story.event(end + 8, id, "destroy");
            }
        }
        story.until(300_000);
        for id in &ids {
            let held = story.diary.iter().filter(|(_, entry)| *entry == Entry::Hold(super::story::owner(id))).count();
            prop_assert_eq!(held, 1, "{}: {:?}", id, story.diary);
        }
        prop_assert_eq!(story.lifts(), 0);
        prop_assert!(!story.intent.is_open());
    }

    #[test]
    fn a_restart_by_hand_never_leaves_the_container_held(
        gap_ms in die_to_stop(), grace in 0..20_000i64, to_start in 1..10_000i64, alive in answer(), recreated in any::<bool>(),
    ) {
        let mut story = Story::of(&["web.old"]);
        story.alive = alive;
        let end = stop(&mut story, "web.old", 100, grace, gap_ms);
        let started = if recreated {
            story.event(end + 5.min(to_start), "web.old", "destroy");
            "web.new"
        } else {
            "web.old"
        };
        story.event(end + to_start + 5, started, "start").until(120_000);
        let last = story.diary.iter().rev().find(|(_, entry)| matches!(entry, Entry::Hold(_) | Entry::Lift(_)));
        prop_assert!(matches!(last, Some((_, Entry::Lift(_)))), "{:?}", story.diary);
        prop_assert_eq!(story.verdict("web.old"), None);
        prop_assert!(story.intent.vacated().is_empty());
    }
}
