// Starts `nexus debug --dap` for debug configurations of the type "nexus", lets people choose the
// invocation, and shows its timeline beside the call stack.
const { execFile } = require("node:child_process");
const vscode = require("vscode");

const TYPE = "nexus";
const INVOCATIONS_MAX = 50;

function folderOf(configuration, workspaceFolder) {
  return configuration.cwd ?? workspaceFolder?.uri.fsPath;
}

class Factory {
  createDebugAdapterDescriptor(session) {
    const { nexus = "nexus" } = session.configuration;
    const cwd = folderOf(session.configuration, session.workspaceFolder);
    return new vscode.DebugAdapterExecutable(nexus, ["debug", "--dap"], cwd ? { cwd } : {});
  }
}

/** The newest invocations, as `nexus invocations --json` lists them. */
function invocations(configuration, cwd) {
  const { nexus = "nexus", server, token, project } = configuration;
  const options = Object.entries({ server, project }).flatMap(([name, value]) => (value ? [`--${name}`, value] : []));
  const env = token ? { ...process.env, NEXUS_TOKEN: token } : process.env;
  const run = [nexus, ["invocations", "--json", "--limit", String(INVOCATIONS_MAX), ...options], { cwd, env }];
  return new Promise((resolve, reject) => {
    execFile(...run, (error, out, err) => {
      if (error) {
        reject(new Error(err.trim() || error.message));
        return;
      }
      resolve(out.split("\n").filter((line) => line.trim()).map((line) => JSON.parse(line)));
    });
  });
}

async function choose(configuration, cwd) {
  try {
    const rows = await invocations(configuration, cwd);
    const items = rows.map((row) => ({
      label: row.function,
      description: `${row.status}  ${row.id}`,
      detail: [row.accepted, row.failure?.message ?? row.failure].filter(Boolean).join("  "),
      id: row.id,
    }));
    const picked = await vscode.window.showQuickPick(items, {
      placeHolder: "Which invocation?",
      matchOnDescription: true,
      matchOnDetail: true,
    });
    return picked?.id;
  } catch (error) {
    vscode.window.showErrorMessage(`Nexus: ${error.message}`);
    return undefined;
  }
}

/** F5 without a launch.json looks into the newest invocation; "ask" lets people choose. */
class Configurations {
  resolveDebugConfiguration(folder, configuration) {
    if (!configuration.type && !configuration.request && !configuration.name) {
      return { type: TYPE, request: "launch", name: "last invocation", invocation: "last" };
    }
    return configuration;
  }

  async resolveDebugConfigurationWithSubstitutedVariables(folder, configuration) {
    if (configuration.invocation !== "ask") {
      return configuration;
    }
    const invocation = await choose(configuration, folderOf(configuration, folder));
    return invocation ? { ...configuration, invocation } : undefined;
  }
}

function active() {
  const session = vscode.debug.activeDebugSession;
  return session?.type === TYPE ? session : undefined;
}

/** What the invocation asked of the world and what it logged, in order. */
class Timeline {
  constructor() {
    this.changed = new vscode.EventEmitter();
    this.onDidChangeTreeData = this.changed.event;
  }

  refresh() {
    this.changed.fire(undefined);
  }

  getTreeItem(entry) {
    if (entry.kind === "log") {
      const item = new vscode.TreeItem(entry.log.text.split("\n")[0]);
      item.iconPath = new vscode.ThemeIcon("output");
      item.tooltip = entry.log.text;
      item.command = { command: "nexus.runTo", title: "Run to Here", arguments: [entry] };
      return item;
    }
    const item = new vscode.TreeItem(`${entry.operation} ${entry.function.replace(/^.*\//, "")}`);
    item.description = [entry.arguments, entry.summary && `→ ${entry.summary}`].filter(Boolean).join(" ");
    item.tooltip = `${entry.function} ${entry.arguments}\n${JSON.stringify(entry.result, null, 2)}`;
    const icon = entry.edited ? "edit" : entry.current ? "debug-stackframe" : entry.done ? "pass" : "circle-outline";
    item.iconPath = new vscode.ThemeIcon(icon);
    item.contextValue = "operation";
    item.command = { command: "nexus.runTo", title: "Run to Here", arguments: [entry] };
    return item;
  }

  async getChildren(parent) {
    const session = active();
    if (parent || !session) {
      return [];
    }
    try {
      const { timeline, operation, whatIf } = await session.customRequest("nexus/timeline");
      return timeline.map((entry) => {
        if (entry.kind === "log") {
          return entry;
        }
        const changed = whatIf.find((it) => it.operation === entry.operation);
        const done = entry.operation < operation;
        return { ...entry, ...changed, kind: entry.kind, done, current: entry.operation + 1 === operation };
      });
    } catch {
      // The session has just ended.
      return [];
    }
  }
}

function evaluate(expression) {
  return active()?.customRequest("evaluate", { expression, context: "repl" });
}

async function runTo(entry) {
  await evaluate(`run-to ${entry.kind === "log" ? entry.after : entry.operation + 1}`);
}

async function whatIf(entry) {
  const text = await vscode.window.showInputBox({
    title: `What if ${entry.function} gave`,
    value: JSON.stringify(entry.result),
    prompt: "null puts the recorded result back",
    validateInput: (value) => {
      try {
        JSON.parse(value);
        return undefined;
      } catch (error) {
        return error.message;
      }
    },
  });
  if (text === undefined) {
    return;
  }
  try {
    await evaluate(`what-if ${entry.operation} ${text}`);
  } catch (error) {
    vscode.window.showErrorMessage(`Nexus: ${error.message}`);
  }
}

exports.activate = (context) => {
  const timeline = new Timeline();
  const tracker = {
    createDebugAdapterTracker: () => ({
      onDidSendMessage: (message) => {
        if (message.type === "event" && (message.event === "stopped" || message.event === "terminated")) {
          timeline.refresh();
        }
      },
      onExit: () => timeline.refresh(),
    }),
  };
  context.subscriptions.push(
    vscode.debug.registerDebugAdapterDescriptorFactory(TYPE, new Factory()),
    vscode.debug.registerDebugConfigurationProvider(TYPE, new Configurations()),
    vscode.debug.registerDebugAdapterTrackerFactory(TYPE, tracker),
    vscode.debug.onDidChangeActiveDebugSession(() => timeline.refresh()),
    vscode.window.registerTreeDataProvider("nexus.timeline", timeline),
    vscode.commands.registerCommand("nexus.runTo", runTo),
    vscode.commands.registerCommand("nexus.whatIf", whatIf),
  );
};

exports.deactivate = () => {};
