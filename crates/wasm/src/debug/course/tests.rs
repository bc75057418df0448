//! Courses through a small guest.

use super::*;

/// What a guest does in each of its runs: operations, and instructions with their lines.
#[derive(Clone, Copy)]
enum Does {
    Operation,
    At(u32, u32),
    Trap,
}
use Does::{At, Operation, Trap};

const GUEST: [Does; 12] = [
    At(1, 10),
    At(2, 10),
    Operation,
    At(3, 11),
    At(4, 0),
    At(5, 12),
    At(6, 12),
    At(3, 11),
    Operation,
    At(7, 13),
    At(8, 14),
    Trap,
];

/// Runs the guest until it stands still; how many things it did, and why it stopped.
fn run(course: &mut Course, mut at: usize) -> (usize, StopReason) {
    loop {
        let mut again = false;
        if at == 0 {
            course.begin();
            match course.entered() {
                Verdict::Stop(reason) => return (0, reason),
                _ => at = 0,
            }
        }
        while at < GUEST.len() && !again {
            let operations =
                GUEST[..=at].iter().filter(|it| matches!(it, Operation)).count() as u32;
            let verdict = match GUEST[at] {
                Operation => course.answered(operations, (false, false)),
                Trap => course.trapped(),
                At(pc, line) => {
                    let place = (0, pc);
                    if course.single_steps()
                        || course.places.contains(&place)
                        || course.waypoints().contains(&place)
                    {
                        let line = (line > 0).then_some((0, Line { file: 0, line }));
                        course.reached(Reached { place, line, depth: &mut || 1 })
                    } else {
                        Verdict::Go
                    }
                }
            };
            at += 1;
            match verdict {
                Verdict::Go => {}
                Verdict::Stop(reason) => return (at, reason),
                Verdict::Again => again = true,
                Verdict::TooFar => panic!("too far"),
            }
        }
        if !again {
            match course.ended() {
                Verdict::Stop(reason) => return (at, reason),
                verdict => assert_eq!(verdict, Verdict::Again),
            }
        }
        at = 0;
    }
}

fn at_line(line: u32) -> Whence {
    Whence { line: Some((0, Line { file: 0, line })), depth: 1 }
}

#[test]
fn steps_go_forward_and_back_over_the_same_lines() {
    let mut course = Course::default();
    assert_eq!(run(&mut course, 0), (0, StopReason::Entry));
    let mut stops = vec![];
    let mut at = 0;
    for line in [0, 10, 11, 12, 11, 13, 14] {
        course.step(StepBy::Line, at_line(line));
        let (stopped, reason) =
            run(&mut course, at.max(usize::from(at == 0)) - usize::from(at == 0));
        at = stopped;
        stops.push((stopped, reason));
    }
    let step = StopReason::Step;
    let expected = [(1, step), (4, step), (6, step), (8, step), (10, step), (11, step)];
    assert_eq!(stops[..6], expected);
    assert_eq!(stops[6], (12, StopReason::Trap));
    let mut back = vec![];
    for line in [14, 14, 13, 13, 11, 12, 11] {
        course.step_back(StepBy::Line, at_line(line));
        back.push(run(&mut course, 0).0);
    }
    // From the trap over the line that trapped; an operation ends a stretch.
    assert_eq!(back, [11, 10, 9, 8, 6, 4, 3]);
}

#[test]
fn operations_are_stepped_and_run_to() {
    let mut course = Course::default();
    run(&mut course, 0);
    course.run_to(2);
    assert_eq!(run(&mut course, 0), (9, StopReason::Operation));
    course.step_back(StepBy::Operation, Whence::default());
    assert_eq!(run(&mut course, 0), (3, StopReason::Operation));
    course.step_back(StepBy::Operation, Whence::default());
    assert_eq!(run(&mut course, 0), (0, StopReason::Entry));
    course.run_to(9);
    assert_eq!(run(&mut course, 0), (12, StopReason::Trap));
    course.step_back(StepBy::Operation, Whence::default());
    assert_eq!(run(&mut course, 0), (9, StopReason::Operation));
}

#[test]
fn breakpoints_stop_on_the_way_and_on_the_way_back() {
    let mut course = Course::default();
    run(&mut course, 0);
    course.places.insert((0, 3));
    course.go_on();
    let (at, reason) = run(&mut course, 0);
    assert_eq!((at, reason), (4, StopReason::Breakpoint));
    course.go_on();
    assert_eq!(run(&mut course, at), (8, StopReason::Breakpoint));
    course.go_on();
    assert_eq!(run(&mut course, 8), (12, StopReason::Trap));
    for expected in [(8, StopReason::Step), (4, StopReason::Step), (0, StopReason::Entry)] {
        course.continue_back();
        assert_eq!(run(&mut course, 0), expected);
    }
}

#[test]
fn instructions_are_stepped_back_one_by_one() {
    let mut course = Course::default();
    run(&mut course, 0);
    course.places.insert((0, 6));
    course.go_on();
    assert_eq!(run(&mut course, 0).0, 7);
    for expected in [6, 5, 4, 3, 2, 1, 0] {
        course.step_back(StepBy::Instruction, Whence::default());
        assert_eq!(run(&mut course, 0).0, expected);
    }
}
