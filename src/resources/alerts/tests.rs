use proptest::prelude::*;

use super::*;

const LIMIT: f64 = 80.0;
const HYSTERESIS: f64 = 0.1;
const LASTING: u64 = 60;
const GAP: SignedDuration = SignedDuration::from_secs(30);

fn at(second: i64) -> Timestamp {
    "2026-03-01T12:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(second)
}

fn check(figure: Option<f64>) -> Check {
    Check {
        cause: ResourceCause::HighCpu,
        metric: "cpu",
        subject: "app-1".into(),
        level: figure.map_or(Level::Unknown, |figure| Level::under(figure, LIMIT, HYSTERESIS)),
        lasting: Duration::from_secs(LASTING),
        severity: AlertSeverity::Warning,
        message: figure.map_or_else(String::new, |figure| format!("CPU is {figure}%, above 80%")),
    }
}

fn state(watched: &Watched) -> Option<AlertState> {
    watched.alerts.first().map(|alert| alert.state)
}

/// What turned, at which second, for a figure at each ten seconds.
fn play(figures: &[Option<f64>]) -> Vec<(i64, AlertState)> {
    let mut watched = Watched::default();
    let seconds = (0..).step_by(10);
    let steps = seconds.zip(figures).map(|(second, figure)| (second, watched.step(&[check(*figure)], at(second), GAP)));
    steps.flat_map(|(second, turned)| turned.into_iter().map(move |alert| (second, alert.state))).collect()
}

#[test]
fn it_is_pending_then_fires_then_is_resolved_and_shown_for_a_while() {
    let mut watched = Watched::default();
    let mut states = vec![];
    for (second, figure) in [(0, 50.0), (10, 90.0), (40, 95.0), (69, 95.0), (70, 97.0), (80, 75.0), (90, 71.0), (100, 20.0)] {
        watched.step(&[check(Some(figure))], at(second), GAP);
        states.push(state(&watched));
    }
    let [pending, firing, resolved] = [AlertState::Pending, AlertState::Firing, AlertState::Resolved].map(Some);
    assert_eq!(states, [None, pending, pending, pending, firing, firing, resolved, resolved]);
    let alert = &watched.alerts[0];
    assert_eq!(alert.message, "CPU is 71%, above 80%");
    assert_eq!([&alert.since, &alert.firing_at, &alert.resolved_at].map(|time| time.clone().unwrap().0), [10, 70, 90].map(at));
    watched.step(&[check(Some(20.0))], at(90 + 600), GAP);
    assert_eq!(state(&watched), None);
}

#[test]
fn what_fires_says_for_how_long_and_fires_once() {
    let mut watched = Watched::default();
    let turned: Vec<ResourceAlert> = (0..20).flat_map(|step| watched.step(&[check(Some(99.0))], at(step * 10), GAP)).collect();
    let [fired] = turned.as_slice() else { panic!("{turned:?}") };
    assert_eq!((fired.state, fired.message.as_str()), (AlertState::Firing, "CPU is 99%, above 80% for 1m"));
}

#[test]
fn a_gap_begins_the_time_anew_and_what_fires_goes_on_through_it() {
    let hot = Some(99.0);
    // Two samples are missing: no gap yet. Then four.
    assert_eq!(play(&[hot, hot, None, None, hot, hot, hot, hot]), [(60, AlertState::Firing)]);
    let late = [vec![hot; 6], vec![None; 4], vec![hot; 6]].concat();
    assert_eq!(play(&late), []);
    assert_eq!(play(&[late, vec![hot; 2]].concat()), [(160, AlertState::Firing)]);
    assert_eq!(play(&[vec![hot; 7], vec![None; 50], vec![hot; 7]].concat()), [(60, AlertState::Firing)]);
    // The sampler itself did not look, or the clock jumped.
    let mut watched = Watched::default();
    for second in [0, 10, 3600, 3610, 20, 30] {
        assert_eq!(watched.step(&[check(hot)], at(second), GAP), []);
    }
}

#[test]
fn after_a_restart_what_fired_fires_on_and_what_was_pending_begins_anew() {
    let mut watched = Watched::default();
    for step in 0..7 {
        watched.step(&[check(Some(99.0))], at(step * 10), GAP);
    }
    let written = serde_json::to_value(watched.alerts).unwrap();
    let mut again = Watched::restored(serde_json::from_value(written).unwrap());
    assert_eq!(again.step(&[check(None)], at(500), GAP), []);
    assert_eq!(again.step(&[check(Some(99.0))], at(510), GAP), []);
    assert_eq!(state(&again), Some(AlertState::Firing));

    let mut pending = Watched::default();
    pending.step(&[check(Some(99.0))], at(0), GAP);
    let mut pending = Watched::restored(pending.alerts.to_vec());
    assert_eq!(pending.step(&[check(Some(99.0))], at(61), GAP), []);
    assert_eq!(pending.alerts[0].since.clone().unwrap().0, at(61));
}

#[test]
fn what_is_pending_is_shown_from_its_second_figure_on() {
    let mut watched = Watched::default();
    for (second, figure, shown) in
        [(0, Some(99.0), 0), (10, None, 0), (20, Some(99.0), 1), (30, Some(10.0), 0), (40, Some(99.0), 0)]
    {
        watched.step(&[check(figure)], at(second), GAP);
        assert_eq!(watched.shown().len(), shown, "at {second}");
    }
}

#[test]
fn what_is_not_watched_any_more_is_over() {
    let mut watched = Watched::default();
    let instant = Check { lasting: Duration::ZERO, ..check(Some(99.0)) };
    assert_eq!(watched.step(std::slice::from_ref(&instant), at(0), GAP)[0].state, AlertState::Firing);
    let turned = watched.step(&[], at(10), GAP);
    assert_eq!(turned[0].state, AlertState::Resolved);
    assert!(turned[0].message.contains("app-1 does not run any more"), "{turned:?}");
    assert_eq!(watched.step(&[], at(20), GAP), []);
    // It comes back while the end is still shown.
    assert_eq!(watched.step(&[instant], at(30), GAP)[0].state, AlertState::Firing);
    let mut pending = Watched::default();
    pending.step(&[check(Some(99.0))], at(0), GAP);
    assert_eq!((pending.step(&[], at(10), GAP), state(&pending)), (vec![], None));
}

#[test]
fn a_threshold_from_below_is_the_same_turned_over() {
    let levels = [9.9, 10.0, 10.9, 11.0].map(|figure| Level::over(figure, 10.0, HYSTERESIS));
    assert_eq!(levels, [Level::Beyond, Level::Near, Level::Near, Level::Calm]);
    assert_eq!(Level::under(0.0, 0.0, HYSTERESIS), Level::Calm);
}

/// A figure, or none, and how long after the one before.
fn any_steps() -> impl Strategy<Value = Vec<(i64, Option<f64>)>> {
    let figure = prop_oneof![4 => (60.0..100.0).prop_map(Some), 1 => Just(Some(20.0)), 1 => Just(None)];
    let wait = prop_oneof![6 => Just(10_i64), 1 => 1..200_i64];
    prop::collection::vec((wait, figure), 1..150)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever comes: it fires only after all of its time was seen beyond, without a gap; it ends only by a figure behind the
    /// hysteresis; the two take turns.
    #[test]
    fn it_fires_and_ends_only_with_reason(steps in any_steps()) {
        let (mut watched, mut now, mut firing) = (Watched::default(), 0, false);
        // Since when every figure was beyond, and when the last one was seen.
        let mut beyond: Option<(i64, i64)> = None;
        for (wait, figure) in steps {
            now += wait;
            beyond = match (figure, beyond) {
                (Some(figure), Some((since, last))) if figure > LIMIT && now - last <= GAP.as_secs() => Some((since, now)),
                (Some(figure), _) if figure > LIMIT => Some((now, now)),
                (None, Some((_, last))) if now - last <= GAP.as_secs() => beyond,
                _ => None,
            };
            for alert in watched.step(&[check(figure)], at(now), GAP) {
                match alert.state {
                    AlertState::Firing => {
                        prop_assert!(!firing);
                        let (since, last) = beyond.unwrap();
                        prop_assert!(last == now && now - since >= LASTING as i64, "fired at {now}, beyond since {since}");
                        firing = true;
                    }
                    AlertState::Resolved => {
                        prop_assert!(firing && figure.is_some_and(|figure| figure <= LIMIT * (1.0 - HYSTERESIS)));
                        firing = false;
                    }
                    AlertState::Pending => prop_assert!(false, "pending is no news"),
                }
            }
            // As soon as it has lasted it fires, and the same moment twice changes nothing.
            prop_assert!(firing || beyond.is_none_or(|(since, last)| last != now || now - since < LASTING as i64));
            prop_assert_eq!(watched.clone().step(&[check(figure)], at(now), GAP), vec![]);
            prop_assert!(watched.alerts.len() <= 1);
        }
    }

    /// Within the hysteresis nothing turns, however often the threshold is crossed.
    #[test]
    fn nothing_flaps_within_the_hysteresis(figures in prop::collection::vec(72.1..100.0_f64, 1..200)) {
        let turned = play(&figures.into_iter().map(Some).collect::<Vec<_>>());
        prop_assert!(turned.len() <= 1, "{turned:?}");
    }
}
