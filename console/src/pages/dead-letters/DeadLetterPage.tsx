import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useParams } from "@tanstack/react-router";
import { RotateCcw, Trash2 } from "lucide-react";
import { useState } from "react";

import { api, take } from "~/api/client";
import { ApiError } from "~/api/problem";
import { queries } from "~/api/queries";
import type { DeadLetterDetail } from "~/api/types";
import { CliButton } from "~/components/CliButton";
import { JsonEditor, jsonProblem } from "~/components/JsonEditor";
import { ProblemLine, ProblemView } from "~/components/ProblemView";
import { StatusMark } from "~/components/StatusMark";
import { Ago, Clock } from "~/components/Time";
import { WhyBox } from "~/components/WhyBox";
import { command } from "~/lib/cli";
import { stackOf } from "~/lib/failure";
import { formatDuration } from "~/lib/time";
import { Button } from "~/ui/Button";
import { Loading, Page, Section } from "~/ui/layout";
import { Cell, Row, Table } from "~/ui/table";
import { say } from "~/ui/toasts";
import { withoutCode } from "./DeadLettersPage";
import { DropDialog } from "./DropDialog";

export function DeadLetterPage() {
  const { project, event } = useParams({ from: "/p/$project/dead-letters/$event" });
  const letters = useQuery(queries.deadLetter(project, event));
  if (letters.isPending) return <Loading />;
  if (letters.error instanceof ApiError && letters.error.isMissing) return <Gone project={project} event={event} />;
  if (letters.isError) return <ProblemView error={letters.error} onRetry={() => void letters.refetch()} />;
  const [first] = letters.data.items;
  if (!first) return <Gone project={project} event={event} />;
  return <Letter key={event} project={project} letters={letters.data.items} first={first} />;
}

function Gone({ project, event }: { project: string; event: string }) {
  return (
    <Page title="No dead letter any more">
      <p className="text-sm text-ink-2">
        It was redriven or dropped.{" "}
        <Link to="/p/$project/events/$event" params={{ project, event }} className="link">
          What became of the event
        </Link>
      </p>
    </Page>
  );
}

function Letter({ project, letters, first }: { project: string; letters: DeadLetterDetail[]; first: DeadLetterDetail }) {
  const original = first.content?.event.data;
  const text = original === undefined ? "" : JSON.stringify(original, null, 2);
  const [data, setData] = useState(text);
  const [drops, setDrops] = useState(false);
  const navigate = useNavigate();
  const client = useQueryClient();
  const edited = data !== text;
  const redrive = useMutation({
    meta: { shownInPlace: true },
    mutationFn: () =>
      take(
        api.POST("/api/v1/projects/{project}/dead-letters/redrive", {
          params: { path: { project } },
          body: {
            filter: { event: first.event },
            reason: edited ? "edited in the console" : "redriven in the console",
            ...(edited ? { data: JSON.parse(data) as never } : {}),
          },
        }),
      ),
    onSuccess: async () => {
      say(edited ? "It is tried again with the new data." : "It is tried again.");
      await navigate({ to: "/p/$project/events/$event", params: { project, event: first.event } });
      await client.invalidateQueries({ queryKey: [project, "dead-letters"] });
    },
  });
  const problem = jsonProblem(data);
  return (
    <Page
      title={first.type}
      about={
        <>
          Given up by {letters.map((it) => it.function).join(", ")}, <Ago at={first.at} />.{" "}
          <Link to="/p/$project/events/$event" params={{ project, event: first.event }} className="link">
            Open the event
          </Link>
        </>
      }
      actions={
        <>
          <CliButton command={command("nexus", "dead-letters", "show", first.event, ["--project", project])} />
          <Button icon={Trash2} onClick={() => setDrops(true)}>
            Drop
          </Button>
          <Button look="solid" icon={RotateCcw} busy={redrive.isPending} disabledReason={problem && "The data is no JSON"} onClick={() => redrive.mutate()}>
            {edited ? "Redrive with this data" : "Redrive"}
          </Button>
        </>
      }
    >
      {redrive.isError && <ProblemLine error={redrive.error} />}
      {letters.map((letter) => (
        <WhyBox
          key={`${letter.function}-${letter.trigger}`}
          answers={[{ about: letter.event, state: "dead", answer: letter.reason, function: letter.function }]}
          failure={{ code: letter.code ?? "", message: withoutCode(letter.reason) }}
        />
      ))}
      <div className="grid gap-x-8 gap-y-6 lg:grid-cols-2">
        <Section
          title="Data"
          about={edited ? "changed: the function gets this instead" : "edit it to redrive it with other data"}
          actions={
            edited && (
              <Button size="sm" look="ghost" onClick={() => setData(text)}>
                Undo
              </Button>
            )
          }
        >
          {original === undefined ? (
            <p className="text-sm text-ink-3">Its data is not JSON, or hidden from this token.</p>
          ) : (
            <JsonEditor label="Data of the event" value={data} onChange={setData} />
          )}
          {problem && <p className="mt-1 text-xs text-bad">{problem}</p>}
        </Section>
        <Section title="Attempts">
          <AttemptsOf project={project} letters={letters} />
        </Section>
      </div>
      {drops && (
        <DropDialog
          project={project}
          filter={{ event: first.event }}
          onClose={() => setDrops(false)}
          onDone={() => navigate({ to: "/p/$project/dead-letters", params: { project } })}
        />
      )}
    </Page>
  );
}

function AttemptsOf({ project, letters }: { project: string; letters: DeadLetterDetail[] }) {
  return (
    <Table label="Attempts" head={[{ label: "#", right: true }, { label: "Status" }, { label: "Reason" }, { label: "Took", right: true }, { label: "Ended", right: true }]}>
      {letters.flatMap((letter) =>
        letter.history.map((attempt) => (
          <Row key={attempt.invocation} className="relative">
            <Cell right className="text-ink-3">
              {attempt.attempt}
            </Cell>
            <Cell>
              <Link to="/p/$project/invocations/$invocation" params={{ project, invocation: attempt.invocation }} className="after:absolute after:inset-0">
                <StatusMark status={attempt.status} />
              </Link>
            </Cell>
            <Cell className="w-full max-w-0 truncate text-ink-2">{stackOf({ message: withoutCode(attempt.reason ?? "") }).message}</Cell>
            <Cell right>{formatDuration(attempt.duration_ns)}</Cell>
            <Cell right className="text-ink-2">
              <Clock at={attempt.at} />
            </Cell>
          </Row>
        )),
      )}
    </Table>
  );
}
