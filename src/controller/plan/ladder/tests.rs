use proptest::prelude::*;

use super::*;

fn found(cause: FailureCause) -> Diagnosis {
    Diagnosis { cause, signature: format!("{cause}: log: it broke"), ..Diagnosis::default() }
}

/// Decisions about one failure, in their order.
fn tried(cause: FailureCause, rungs: &[Rung]) -> Vec<Decision> {
    let one = |(index, rung): (usize, &Rung)| {
        let mut decision = Decision { attempt: u32::try_from(index).unwrap() + 1, rung: *rung, ..Decision::default() };
        decision.explain(&found(cause));
        decision
    };
    rungs.iter().enumerate().map(one).collect()
}

/// The whole ladder of one cause, each rung failing, until it is given up: `Restart FirstAttempt, ..`.
fn ladder(cause: FailureCause, of: &Situation<'_>) -> String {
    let diagnosis = found(cause);
    let (mut rungs, mut told) = (vec![], vec![]);
    loop {
        let tried = tried(cause, &rungs);
        let spent = u32::try_from(rungs.len()).unwrap();
        let situation = Situation { diagnosis: Some(&diagnosis), tried: &tried, spent, max: 7, ..of.clone() };
        let (rung, rule) = choose(&situation);
        told.push(rung.map_or_else(|| format!("give up: {rule}"), |rung| format!("{rung} {rule}")));
        match rung {
            Some(rung) => rungs.push(rung),
            None => return told.join(", "),
        }
    }
}

fn all_possible() -> Situation<'static> {
    Situation { soon: true, possible: Rung::ALL.to_vec(), ..Situation::default() }
}

const CAUSES: [FailureCause; 12] = [
    FailureCause::ApplicationError,
    FailureCause::Unhealthy,
    FailureCause::Unknown,
    FailureCause::OutOfMemory,
    FailureCause::DependencyDown,
    FailureCause::ConfigError,
    FailureCause::MissingCommand,
    FailureCause::ExecFormat,
    FailureCause::PermissionDenied,
    FailureCause::DiskFull,
    FailureCause::SlowStart,
    FailureCause::Killed,
];

#[test]
fn each_cause_has_its_ladder() {
    let images = [ImageStanding::Unproven, ImageStanding::Worked, ImageStanding::New];
    let mut book = String::new();
    for image in images {
        for proven in [false, true] {
            book.push_str(&format!("== {image:?}{}\n", if proven { ", said by the engine" } else { "" }));
            for cause in CAUSES {
                book.push_str(&format!("{cause}: {}\n", ladder(cause, &Situation { image, proven, ..all_possible() })));
            }
        }
    }
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("ladders", book);
    });
}

#[test]
fn before_anything_is_known_it_is_started_again_and_nothing_else() {
    let of = |spent| choose(&Situation { spent, max: 10, ..all_possible() });
    assert_eq!(of(0), (Some(Rung::Restart), Rule::FirstAttempt));
    assert_eq!(of(5), (Some(Rung::Restart), Rule::Undiagnosed));
    let pulls = Situation { possible: vec![Rung::Pull], max: 10, ..Situation::default() };
    assert_eq!(choose(&pulls), (None, Rule::NothingAllowed));
}

#[test]
fn what_helped_before_is_done_first_and_what_never_did_is_left_out() {
    let known = |rung, held, failed| Experience { rung, held, failed, ..Experience::default() };
    let of = |experience: &[Experience]| {
        let tried = tried(FailureCause::ApplicationError, &[Rung::Restart]);
        let diagnosis = found(FailureCause::ApplicationError);
        let experience = experience.iter().collect();
        choose(&Situation { diagnosis: Some(&diagnosis), tried: &tried, spent: 1, max: 9, experience, ..all_possible() })
    };
    assert_eq!(of(&[]), (Some(Rung::Restart), Rule::MayPass));
    assert_eq!(of(&[known(Rung::Pull, 2, 1)]), (Some(Rung::Pull), Rule::HelpedBefore));
    assert_eq!(of(&[known(Rung::Pull, 2, 1), known(Rung::Recreate, 3, 0)]), (Some(Rung::Recreate), Rule::HelpedBefore));
    assert_eq!(of(&[known(Rung::Restart, 0, 2)]), (Some(Rung::Recreate), Rule::NothingLessHelped));
    assert_eq!(of(&[known(Rung::Restart, 0, 2), known(Rung::Recreate, 0, 5)]), (Some(Rung::Pull), Rule::NothingLessHelped));
    let unwanted = Experience { rejected: 1, ..known(Rung::Recreate, 4, 0) };
    assert_eq!(of(&[known(Rung::Restart, 0, 2), unwanted]), (Some(Rung::Pull), Rule::NothingLessHelped));
}

#[test]
fn what_was_rejected_is_not_said_to_have_been_tried() {
    let diagnosis = found(FailureCause::ApplicationError);
    let of = |tried_before: &[Rung], rejected: &[Rung]| {
        let tried = tried(FailureCause::ApplicationError, tried_before);
        choose(&Situation { diagnosis: Some(&diagnosis), tried: &tried, spent: 1, max: 9, rejected, ..all_possible() })
    };
    assert_eq!(of(&[], &[Rung::Restart]), (Some(Rung::Recreate), Rule::RestartRejected));
    assert_eq!(of(&[Rung::Restart, Rung::Restart], &[Rung::Recreate]), (Some(Rung::Pull), Rule::LessRejected));
    assert_eq!(of(&[Rung::Restart], &[Rung::Restart]), (Some(Rung::Recreate), Rule::NothingLessHelped), "it was tried before");
}

#[test]
fn a_log_must_say_it_twice_and_soon_before_a_person_is_called_instead() {
    let diagnosis = found(FailureCause::PermissionDenied);
    let tried = tried(FailureCause::PermissionDenied, &[Rung::Restart]);
    let again = Situation { diagnosis: Some(&diagnosis), tried: &tried, spent: 1, max: 9, ..all_possible() };
    assert_eq!(choose(&again), (None, Rule::NeedsPerson));
    assert_eq!(choose(&Situation { soon: false, ..again.clone() }), (Some(Rung::Restart), Rule::OnlyRestart));
    assert_eq!(choose(&Situation { tried: &[], spent: 0, ..again.clone() }), (Some(Rung::Restart), Rule::FirstAttempt));
    let other = super::tests::tried(FailureCause::ApplicationError, &[Rung::Restart]);
    assert_eq!(choose(&Situation { tried: &other, ..again.clone() }), (Some(Rung::Restart), Rule::OnlyRestart));
    assert!(!may_be_mended(&again) && may_be_mended(&Situation { image: ImageStanding::Worked, ..again }));
}

/// Cause, what is sure of it, what is possible, what was rejected, what was tried, and how it did with the image.
type Picked = (Option<FailureCause>, [bool; 2], Vec<Rung>, Vec<Rung>, Vec<Rung>, ImageStanding);

fn situations() -> impl Strategy<Value = Picked> {
    let rungs = || proptest::sample::subsequence(Rung::ALL.to_vec(), 0..=5);
    let image = prop_oneof![Just(ImageStanding::Unproven), Just(ImageStanding::Worked), Just(ImageStanding::New)];
    let series = proptest::collection::vec(proptest::sample::select(Rung::ALL.to_vec()), 0..9);
    (proptest::option::of(proptest::sample::select(CAUSES.to_vec())), any::<[bool; 2]>(), rungs(), rungs(), series, image)
}

proptest! {
    #[test]
    fn no_rung_is_forbidden_and_no_attempt_too_many(
        (cause, [proven, soon], possible, rejected, series, image) in situations(),
        experience in proptest::collection::vec((0..5usize, 0..4u32, 0..4u32, 0..3u32, 0..3u32), 0..6),
    ) {
        let diagnosis = cause.map(found);
        let known: Vec<Experience> = experience
            .into_iter()
            .map(|(rung, held, failed, approved, rejected)| {
                Experience { rung: Rung::ALL[rung], held, failed, approved, rejected, ..Experience::default() }
            })
            .collect();
        let (mut series, max) = (series, 8);
        // However it goes on, it comes to an end within its budget.
        for _ in 0..=max {
            let decisions = tried(cause.unwrap_or_default(), &series);
            let situation = Situation {
                diagnosis: diagnosis.as_ref(),
                proven,
                soon,
                tried: &decisions,
                taken: None,
                spent: u32::try_from(series.len()).unwrap(),
                max,
                possible: possible.clone(),
                rejected: &rejected,
                experience: known.iter().collect(),
                image,
            };
            let (rung, rule) = choose(&situation);
            let ends = matches!(rule, Rule::AttemptsSpent | Rule::NeedsPerson | Rule::NothingAllowed | Rule::Rejected);
            prop_assert_eq!(rung.is_none(), ends, "{:?}", rule);
            let Some(rung) = rung else { return Ok(()) };
            prop_assert!(situation.spent < max);
            prop_assert!(possible.contains(&rung) && !rejected.contains(&rung), "{rung} may not be");
            if matches!(rung, Rung::Pull | Rung::Rebuild | Rung::Rollback) {
                prop_assert!(diagnosis.is_some() && !series.contains(&rung), "{rung} unknown or again");
            }
            let passing = matches!(cause, Some(FailureCause::OutOfMemory | FailureCause::DependencyDown | FailureCause::DiskFull));
            prop_assert!(!passing || rung == Rung::Restart, "{rung} against {cause:?}");
            series.push(rung);
        }
        prop_assert!(false, "it never ends");
    }
}

#[test]
fn a_long_series_is_not_climbed_again_when_its_first_decisions_are_forgotten() {
    let diagnosis = found(FailureCause::ApplicationError);
    let kept = tried(FailureCause::ApplicationError, &[Rung::Restart; 10]);
    let taken = [(Rung::Restart, 12), (Rung::Recreate, 1), (Rung::Pull, 1), (Rung::Rebuild, 1), (Rung::Rollback, 1)].into();
    let late = Situation { diagnosis: Some(&diagnosis), tried: &kept, taken: Some(&taken), spent: 16, max: 20, ..all_possible() };
    assert_eq!(choose(&late), (Some(Rung::Restart), Rule::AllTried));
}
