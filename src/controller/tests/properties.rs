//! The promises.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use super::rig::{Rig, play};
use super::settled::{Sound, complaints, sound, strangers};
use super::steps::Play;
use super::story::{MAX_ATTEMPTS, Story, quiet, wild};
use crate::model::REASON_EXTERNAL_STOP;

/// Holds that end by themselves have ended.
const HOLDS_END: Duration = Duration::from_secs(70);
/// After this much quiet time everything is settled: back-off, graces, deadlines of hung calls and resyncs are all shorter.
const SETTLED_WITHIN: Duration = Duration::from_secs(600);
/// What is calm for so long is settled: back-off and runs that end by themselves are shorter.
const CALM: Duration = Duration::from_secs(30);
/// So long nothing at all happens afterwards, resyncs included.
const AFTERWARDS: Duration = Duration::from_secs(100);

/// A crash is mended, and a stop by hand understood and shown, after this much at most.
const HEARD_WITHIN: Duration = Duration::from_secs(60);

/// What was wrong with a story.
pub type Wrong = Result<(), TestCaseError>;

/// Tells a story to its end, and says what was wrong with it.
pub async fn tell(story: Story) -> Wrong {
    let mut play = Play::begin(&story).await;
    let theirs = strangers(&play.rig.engine);
    play.through(&story).await;
    play.trouble_ends().await;
    tokio::time::sleep(HOLDS_END).await;
    play.rig.watch.notes().starts.clear();
    settles(&play.rig, &story).await?;
    attempts_are_bounded(&play.rig)?;
    nothing_happens(&play.rig).await?;
    play.rig.kill_operator().await;
    play.rig.start_operator();
    nothing_happens(&play.rig).await?;
    prop_assert_eq!(complaints(&play.rig, &story), Vec::<String>::new());
    a_crash_is_mended(&play.rig, &story).await?;
    a_stop_by_hand_is_heard(&play.rig, &story).await?;
    prop_assert_eq!(theirs, strangers(&play.rig.engine));
    unbroken(&play.rig)
}

async fn settles(rig: &Rig, story: &Story) -> Wrong {
    let began = tokio::time::Instant::now();
    let mut calm_since = began;
    loop {
        rig.engine.forget_calls();
        tokio::time::sleep(Duration::from_secs(5)).await;
        unbroken(rig)?;
        let wrong = complaints(rig, story);
        if !wrong.is_empty() || !rig.engine.changes().is_empty() {
            calm_since = tokio::time::Instant::now();
        } else if calm_since.elapsed() > CALM {
            return Ok(());
        }
        let changes = rig.engine.changes();
        prop_assert!(began.elapsed() < SETTLED_WITHIN, "it does not settle: {changes:#?}\n{}", wrong.join("\n"));
    }
}

async fn nothing_happens(rig: &Rig) -> Wrong {
    rig.engine.forget_calls();
    tokio::time::sleep(AFTERWARDS).await;
    prop_assert!(rig.engine.changes().is_empty(), "it is settled, and yet: {:#?}", rig.engine.changes());
    Ok(())
}

async fn a_crash_is_mended(rig: &Rig, story: &Story) -> Wrong {
    let Some(sound) = sound(rig, story).pop() else { return Ok(()) };
    rig.engine.person().crash(&sound.container.id, 1).unwrap();
    tokio::time::sleep(HEARD_WITHIN).await;
    let mended = rig.engine.container(&sound.container.id).is_some_and(|found| found.is_up());
    prop_assert!(mended, "{} {} crashed and stayed down", sound.key, sound.replica);
    Ok(())
}

async fn a_stop_by_hand_is_heard(rig: &Rig, story: &Story) -> Wrong {
    let Some(Sound { key, replica, reverts, container }) = sound(rig, story).into_iter().next() else { return Ok(()) };
    rig.engine.person().stop(&container.id).await.unwrap();
    tokio::time::sleep(HEARD_WITHIN).await;
    let up = rig.engine.container(&container.id).is_some_and(|found| found.is_up());
    let holds = rig.operator().unwrap().registry.holds_of(&key).unwrap();
    let held = holds.iter().any(|hold| hold.reason == REASON_EXTERNAL_STOP && hold.covers(&replica));
    prop_assert_eq!((up, held), (reverts, !reverts), "{} {} was stopped by hand: (up, held)", key, replica);
    Ok(())
}

fn attempts_are_bounded(rig: &Rig) -> Wrong {
    let notes = rig.watch.notes();
    let too_often = notes.starts.iter().find(|(_, starts)| **starts > MAX_ATTEMPTS + 1);
    prop_assert!(too_often.is_none(), "started too often: {too_often:?}");
    Ok(())
}

fn unbroken(rig: &Rig) -> Wrong {
    let broken: BTreeSet<String> = rig.watch.notes().broken.iter().cloned().collect();
    prop_assert!(broken.is_empty(), "{broken:#?}");
    Ok(())
}

proptest! {
    #![proptest_config(super::config(12))]

    #[test]
    fn whatever_people_do_it_settles_as_they_said(story in quiet()) {
        play(tell(story))??;
    }

    #[test]
    fn whatever_goes_wrong_it_settles_as_people_said(story in wild()) {
        play(tell(story))??;
    }
}
