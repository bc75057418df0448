use nexus_model::units::Millis;

use super::*;

fn next(text: &str, zone: &str, after: &str) -> String {
    let schedule = CronSchedule::parse(text, Some(zone)).unwrap();
    schedule.next(Timestamp::parse(after).unwrap()).map_or("never".into(), |at| at.to_string())
}

fn several(text: &str, zone: &str, (after, count): (&str, usize)) -> Vec<String> {
    let schedule = CronSchedule::parse(text, Some(zone)).unwrap();
    let mut at = Timestamp::parse(after).unwrap();
    (0..count)
        .map_while(|_| {
            at = schedule.next(at)?;
            Some(at.to_string())
        })
        .collect()
}

#[test]
fn schedules_and_their_next_time() {
    let after = "2026-11-26T10:30:15.5Z";
    for (text, expected) in [
        ("* * * * *", "2026-11-26T10:31:00Z"),
        ("*/20 * * * * *", "2026-11-26T10:30:20Z"),
        ("30 10 * * *", "2026-11-27T10:30:00Z"),
        ("15,45 8-18/2 * * *", "2026-11-26T10:45:00Z"),
        ("0 9 * * mon-fri", "2026-11-27T09:00:00Z"),
        ("0 9 * * sat,7", "2026-11-28T09:00:00Z"),
        ("0 9 * * FRI-MON", "2026-11-27T09:00:00Z"),
        ("0 0 1 * *", "2026-12-01T00:00:00Z"),
        ("0 0 L * *", "2026-11-30T00:00:00Z"),
        ("0 0 L-2 * *", "2026-11-28T00:00:00Z"),
        ("0 0 28W * *", "2026-11-27T00:00:00Z"),
        ("0 0 29W * *", "2026-11-30T00:00:00Z"),
        ("0 0 LW * *", "2026-11-30T00:00:00Z"),
        ("0 0 1W aug *", "2027-08-02T00:00:00Z"),
        ("0 0 * * 5L", "2026-11-27T00:00:00Z"),
        ("0 0 * * mon#1", "2026-12-07T00:00:00Z"),
        // Both restricted: either is enough.
        ("0 0 13 * fri", "2026-11-27T00:00:00Z"),
        ("0 0 29 2 *", "2028-02-29T00:00:00Z"),
        ("@yearly", "2027-01-01T00:00:00Z"),
        ("@hourly", "2026-11-26T11:00:00Z"),
        ("@weekly", "2026-11-29T00:00:00Z"),
        ("5/15 * * * *", "2026-11-26T10:35:00Z"),
    ] {
        assert_eq!(next(text, "UTC", after), expected, "{text}");
    }
}

#[test]
fn errors_name_the_field() {
    for (text, expected) in [
        ("* * * *", "'* * * *' has 4 fields"),
        ("hourly", "'hourly' has 1 field;"),
        ("60 * * * *", "the minute '60': 60 is not between 0 and 59"),
        ("* * * foo *", "the month 'foo': 'foo' is no number"),
        ("*/0 * * * *", "the minute '*/0': the step '0' is no number above 0"),
        ("* * * * mon#6", "the weekday 'mon#6': the number after '#' is not between 1 and 5"),
        ("0 0 30 2 *", "'0 0 30 2 *' never happens"),
        ("5-1/2 * * * *", "the minute '5-1/2': the range ends before it begins"),
    ] {
        let error = CronSchedule::parse(text, None).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{text}: {error}");
    }
    let error = CronSchedule::parse("@daily", Some("Mars/Olympus")).unwrap_err().to_string();
    assert!(error.contains("there is no time zone 'Mars/Olympus'"), "{error}");
}

#[test]
fn times_that_the_clocks_skip_fire_once_after_the_gap() {
    // Berlin: 2026-03-29 02:00 becomes 03:00, which is 01:00 UTC.
    let day = ("2026-03-28T12:00:00Z", 2);
    assert_eq!(
        several("30 2 * * *", "Europe/Berlin", day),
        ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]
    );
    assert_eq!(
        several("*/10 2 * * *", "Europe/Berlin", day),
        ["2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z"]
    );
    assert_eq!(
        several("0 2,3 * * *", "Europe/Berlin", day),
        ["2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z"]
    );
    // Every half hour goes by elapsed time.
    assert_eq!(
        several("*/30 * * * *", "Europe/Berlin", ("2026-03-29T00:15:00Z", 3)),
        ["2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z"]
    );
}

#[test]
fn times_that_come_twice_fire_the_first_time() {
    // Berlin: 2026-10-25 03:00 becomes 02:00, which is 01:00 UTC.
    assert_eq!(
        several("30 2 * * *", "Europe/Berlin", ("2026-10-24T12:00:00Z", 2)),
        ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]
    );
    assert_eq!(
        several("0 3 * * *", "Europe/Berlin", ("2026-10-24T12:00:00Z", 1)),
        ["2026-10-25T02:00:00Z"]
    );
    assert_eq!(
        several("*/30 * * * *", "Europe/Berlin", ("2026-10-25T00:15:00Z", 4)),
        [
            "2026-10-25T00:30:00Z",
            "2026-10-25T01:00:00Z",
            "2026-10-25T01:30:00Z",
            "2026-10-25T02:00:00Z"
        ]
    );
    // Half an hour at Lord Howe.
    assert_eq!(
        several("45 1 * * *", "Australia/Lord_Howe", ("2026-04-04T00:00:00Z", 2)),
        ["2026-04-04T14:45:00Z", "2026-04-05T15:15:00Z"]
    );
}

fn cron(schedule: &str, catch_up: CatchUp, jitter_ms: u64) -> Cron {
    let trigger = CronTrigger {
        schedule: schedule.into(),
        catch_up,
        jitter: Some(Millis(jitter_ms)),
        ..CronTrigger::default()
    };
    Cron::new(&trigger).unwrap()
}

#[test]
fn missed_times_are_made_up_for_as_configured() {
    let last = Timestamp::parse("2026-01-01T00:00:00Z").unwrap();
    let now = Timestamp::parse("2026-01-04T06:00:00Z").unwrap();
    let due = |catch_up| {
        let (due, seen) = cron("0 0 * * *", catch_up, 0).due(last, now, "f");
        (due.len(), due.last().map(|at| at.to_string()), seen.map(|at| at.to_string()))
    };
    let latest = Some("2026-01-04T00:00:00Z".to_owned());
    assert_eq!(due(CatchUp::All), (3, latest.clone(), latest.clone()));
    assert_eq!(due(CatchUp::Last), (1, latest.clone(), latest.clone()));
    assert_eq!(due(CatchUp::Skip), (0, None, latest));
    let on_time = Timestamp::parse("2026-01-04T00:00:20Z").unwrap();
    assert_eq!(cron("0 0 * * *", CatchUp::Skip, 0).due(last, on_time, "f").0.len(), 1);
}

#[test]
fn what_is_on_time_depends_on_how_often_it_happens() {
    let skip = |schedule: &str, now: &str| {
        let last = Timestamp::parse("2026-01-04T11:59:00Z").unwrap();
        let now = Timestamp::parse(now).unwrap();
        cron(schedule, CatchUp::Skip, 0).due(last, now, "f").0.len()
    };
    // Down for 12 seconds and more: what is late by half of two seconds at most is on time.
    assert_eq!(skip("*/2 * * * * *", "2026-01-04T12:00:12.9Z"), 1);
    assert_eq!(skip("*/2 * * * * *", "2026-01-04T12:00:13Z"), 1);
    assert_eq!(skip("*/2 * * * * *", "2026-01-04T12:00:13.1Z"), 0);
    assert_eq!(skip("* * * * *", "2026-01-04T12:00:30Z"), 1);
    assert_eq!(skip("* * * * *", "2026-01-04T12:00:31Z"), 0);
    // A minute at most.
    assert_eq!(skip("0 * * * *", "2026-01-04T12:01:00Z"), 1);
    assert_eq!(skip("0 * * * *", "2026-01-04T12:01:01Z"), 0);
}

#[test]
fn years_of_missed_seconds_are_bounded() {
    let last = Timestamp::parse("2020-01-01T00:00:00Z").unwrap();
    let now = Timestamp::parse("2026-01-04T06:00:00Z").unwrap();
    let (due, _) = cron("* * * * * *", CatchUp::All, 0).due(last, now, "f");
    assert_eq!((due.len(), due.last()), (limits::CRON_CATCH_UP_MAX, Some(&now)));
    let (due, _) = cron("0 0 1 1 *", CatchUp::Last, 0).due(last, now, "f");
    assert_eq!(due.len(), 1);
}

#[test]
fn jitter_moves_a_firing_always_by_the_same() {
    let cron = cron("* * * * *", CatchUp::Last, 30_000);
    let last = Timestamp::parse("2026-01-01T00:00:00Z").unwrap();
    let mut offsets = std::collections::BTreeSet::new();
    for function in ["a", "b", "c", "d", "e"] {
        let at = cron.next(last, function).unwrap();
        let offset = at.since(Timestamp::parse("2026-01-01T00:01:00Z").unwrap());
        assert!(offset <= Duration::from_secs(30));
        assert_eq!(cron.next(last, function), Some(at));
        assert!(cron.due(last, at.before(Duration::from_millis(1)), function).0.is_empty());
        assert_eq!(cron.due(last, at, function).0.len(), 1);
        offsets.insert(offset);
    }
    assert!(offsets.len() > 2);
}

#[test]
fn what_fired_is_read_back_from_the_event() {
    let cron = cron("@daily", CatchUp::Last, 0);
    let at = Timestamp::parse("2026-01-04T00:00:00Z").unwrap();
    let mut event =
        StoredEvent { id: cron.event_id(at), ty: CRON_TYPE.into(), ..StoredEvent::default() };
    assert_eq!(fired(&event), Some((cron.hash, at.unix_ns())));
    event.ty = "com.example".into();
    assert_eq!(fired(&event), None);
}
