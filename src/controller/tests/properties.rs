//! The promises.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

use super::rig::{Rig, play};
use super::settled::{complaints, strangers};
use super::steps::Play;
use super::story::{MAX_ATTEMPTS, Story, quiet, wild};

/// Holds that end by themselves have ended.
const HOLDS_END: Duration = Duration::from_secs(70);
/// After this much quiet time everything is settled: back-off, graces, deadlines of hung calls and resyncs are all shorter.
const SETTLED_WITHIN: Duration = Duration::from_secs(600);
/// So long nothing at all happens afterwards.
const CALM: Duration = Duration::from_secs(100);

fn config(cases: u32) -> ProptestConfig {
    let set = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    ProptestConfig {
        cases: set("PROPTEST_CASES").unwrap_or(cases),
        max_shrink_iters: set("PROPTEST_MAX_SHRINK_ITERS").unwrap_or(150),
        failure_persistence: Some(Box::new(FileFailurePersistence::SourceParallel("proptest-regressions"))),
        ..ProptestConfig::default()
    }
}

/// What was wrong with a story.
type Wrong = Result<(), TestCaseError>;

async fn tell(story: Story) -> Wrong {
    let mut play = Play::begin(&story).await;
    let theirs = strangers(&play.rig.engine);
    play.through(&story).await;
    play.trouble_ends().await;
    play.rig.watch.notes().starts.clear();
    tokio::time::sleep(HOLDS_END).await;
    settles(&play.rig, &story).await?;
    attempts_are_bounded(&play.rig)?;
    nothing_happens(&play.rig).await?;
    play.rig.kill_operator().await;
    play.rig.start_operator();
    nothing_happens(&play.rig).await?;
    settles(&play.rig, &story).await?;
    prop_assert_eq!(theirs, strangers(&play.rig.engine));
    unbroken(&play.rig)
}

async fn settles(rig: &Rig, story: &Story) -> Wrong {
    let began = tokio::time::Instant::now();
    loop {
        unbroken(rig)?;
        let wrong = complaints(rig, story);
        if wrong.is_empty() {
            return Ok(());
        }
        prop_assert!(began.elapsed() < SETTLED_WITHIN, "it does not settle:\n{}", wrong.join("\n"));
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
}

async fn nothing_happens(rig: &Rig) -> Wrong {
    rig.engine.forget_calls();
    tokio::time::sleep(CALM).await;
    prop_assert!(rig.engine.changes().is_empty(), "it is settled, and yet: {:#?}", rig.engine.changes());
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
    #![proptest_config(config(12))]

    #[test]
    fn whatever_people_do_it_settles_as_they_said(story in quiet()) {
        play(tell(story))?;
    }

    #[test]
    fn whatever_goes_wrong_it_settles_as_people_said(story in wild()) {
        play(tell(story))?;
    }
}
