import type { Variable } from "~/api/debug";
import { Cell, Row, Table } from "~/ui/table";

export function Variables({ variables, label }: { variables: Variable[]; label: string }) {
  if (variables.length === 0) return <p className="text-sm text-ink-3">None.</p>;
  return (
    <div className="max-h-96 overflow-y-auto">
      <Table label={label} head={[{ label: "Name" }, { label: "Type" }, { label: "Value" }]}>
        {variables.map((variable, index) => (
          <Row key={`${variable.name}-${index}`}>
            <Cell className="h-7 font-mono text-xs">{variable.name}</Cell>
            <Cell className="h-7 font-mono text-2xs text-ink-3">{variable.type}</Cell>
            <Cell className="h-7 w-full font-mono text-xs break-all">{variable.value}</Cell>
          </Row>
        ))}
      </Table>
    </div>
  );
}
