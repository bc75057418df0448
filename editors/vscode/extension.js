// Starts `nexus debug --dap` for a debug configuration of the type "nexus".
const vscode = require("vscode");

class Factory {
  createDebugAdapterDescriptor(session) {
    const { nexus = "nexus", cwd } = session.configuration;
    const folder = cwd ?? session.workspaceFolder?.uri.fsPath;
    return new vscode.DebugAdapterExecutable(nexus, ["debug", "--dap"], folder ? { cwd: folder } : {});
  }
}

exports.activate = (context) => {
  context.subscriptions.push(vscode.debug.registerDebugAdapterDescriptorFactory("nexus", new Factory()));
};

exports.deactivate = () => {};
