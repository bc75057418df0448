//! Cases: recorded invocations as files of tests, which any version can be held against anywhere.
//!
//! What leaves the server has no secret in it: their values are stars, credentials and what the
//! function's rules name are replaced. The recorded version then runs once more in the world that is
//! left, so that what a case expects is what that version does there, and not what it did in another.

mod convert;
mod cover;

use nexus_exec::Ended;
use nexus_exec::rehearsal::{Answered, Asked, Rehearsed, Scene};
use nexus_model::case::{CASE_FORMAT, Case, Origin};
use nexus_model::view::{CompareRules, Comparison, Verdict, VersionRef};
use nexus_model::{Code, InvocationId, Name, OpContext, Scope};

use crate::compare::{Rules, hold};
use crate::replay::refused;
use crate::{Error, Node};
use cover::Cover;

impl Node {
    /// A recorded invocation as a case. With `redact` credentials and what the function's rules name
    /// are replaced; the values of secrets are never in it.
    ///
    /// # Errors
    /// It does not exist or cannot be replayed; what is left without secrets leads the recorded
    /// version somewhere else; the caller may not replay and read payloads.
    pub async fn case(
        &self,
        ctx: &OpContext,
        id: InvocationId,
        redact: bool,
    ) -> Result<Case, Error> {
        let recorded = self.recorded(ctx, id).await?;
        let (record, project) = (&recorded.record, recorded.project.clone());
        nexus_policy::authorize(ctx, Scope::ReadPayload, Some(&project))?;
        let (spec, prepared) = self.prepare_recorded(&project, record).await?;
        let (replayed, mut scene) = prepared.witness(record, recorded.event.clone()).await?;
        if replayed.view.verdict != Verdict::Identical {
            return Err(refused(
                id,
                &format!("it does not replay itself: {}", replayed.view.summary),
            ));
        }
        scene.mask_secrets();
        let mut cover = Cover::new(redact.then_some(&spec.config.redact));
        cover.scene(&mut scene);
        let rehearsed = prepared.rehearse(&scene, false).await?;
        let (then, now) = (ends(&replayed.ended), ends(&rehearsed.ended));
        let same = then == now && rehearsed.missed.is_empty();
        if !same || !settle(&mut scene, &rehearsed) {
            let reason = match then == now {
                true => "it asks for something else".to_owned(),
                false => format!("it ends with {now} instead of {then}"),
            };
            return Err(refused(id, &format!("without what is redacted {reason}"))
                .with_hint("unredacted, everything but the values of secrets is kept"));
        }
        let mut rules = CompareRules::default();
        cover.questions(&mut scene, &mut rules);
        let mut expect = convert::end_of(&rehearsed.ended);
        cover.end(&mut expect, &mut rules);
        let input = convert::input_of(&scene.input);
        Ok(Case {
            nexus_case: CASE_FORMAT,
            function: spec.function.clone(),
            recorded: Origin {
                invocation: id,
                project,
                version: VersionRef { id: spec.id, number: spec.number, label: spec.label.clone() },
                accepted: scene.accepted,
            },
            rules,
            redacted: cover.places,
            input: input.ok_or_else(|| refused(id, "its input was not kept"))?,
            world: convert::world_of(&scene),
            expect,
        })
    }

    /// Holds a version of a function against a case. Touches nothing.
    ///
    /// # Errors
    /// There is no such function or version; the case or a rule in it is wrong; the caller may not
    /// replay there and read payloads.
    pub async fn try_case(
        &self,
        ctx: &OpContext,
        (project, function): (&Name, &Name),
        against: &str,
        case: &Case,
    ) -> Result<Comparison, Error> {
        let scene = scene_of(ctx, case, project)?;
        let rules = Rules::new(&case.rules)?;
        let against = self.candidate(project, function, against).await?;
        let before = convert::to_end(&case.expect);
        let names = (function.to_string(), case.recorded.version.clone());
        Ok(hold(&scene, (names, Ok(&before)), &against, &rules).await)
    }
    /// A case with what a version does now as what is expected.
    ///
    /// # Errors
    /// As in [`try_case`](Self::try_case); the version asks for something that the case has no answer
    /// to.
    pub async fn retake_case(
        &self,
        ctx: &OpContext,
        (project, function): (&Name, &Name),
        against: &str,
        case: &Case,
    ) -> Result<Case, Error> {
        let mut scene = scene_of(ctx, case, project)?;
        let against = self.candidate(project, function, against).await?;
        let rehearsed = against.prepared.rehearse(&scene, false).await?;
        if !settle(&mut scene, &rehearsed) {
            let detail = "the version asks for something that the case has no answer to";
            return Err(Error::new(Code::Conflict, detail)
                .with_hint("let it run for real, and save that invocation as the case"));
        }
        let world = convert::world_of(&scene);
        Ok(Case { world, expect: convert::end_of(&rehearsed.ended), ..case.clone() })
    }
}

/// The scene of a case, for a caller who may play it.
fn scene_of(ctx: &OpContext, case: &Case, project: &Name) -> Result<Scene, Error> {
    nexus_policy::authorize(ctx, Scope::Replay, Some(project))?;
    nexus_policy::authorize(ctx, Scope::ReadPayload, Some(project))?;
    let scene = convert::scene(case);
    let scene =
        scene.map_err(|wrong| Error::new(Code::BadRequest, format!("the case: {wrong}")))?;
    Ok(Scene { project: project.clone(), ..scene })
}

/// Makes what was asked the questions of a scene. False where it does not have all of the answers.
fn settle(scene: &mut Scene, rehearsed: &Rehearsed) -> bool {
    for Asked { effect, answered } in &rehearsed.asked {
        match answered {
            Answered::Exactly(at) | Answered::Otherwise(at) => {
                scene.effects[*at].details.clone_from(&effect.details);
            }
            Answered::Again(_) => {}
            Answered::New => return false,
        }
    }
    let mut at = 0..;
    scene.effects.retain(|_| at.next().is_some_and(|at| !rehearsed.missed.contains(&at)));
    true
}

/// How something ended, in a word.
fn ends(ended: &Ended) -> String {
    match ended.http_status {
        0 => ended.status.word().to_owned(),
        http => format!("{} ({http})", ended.status.word()),
    }
}
