//! Markdown to steps.

/// One fenced block that is executed.
#[derive(Debug, PartialEq)]
pub(crate) struct Block {
    /// The line of its fence, from 1.
    pub(crate) line: usize,
    pub(crate) action: Action,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Action {
    /// Commands one after the other.
    Run(Vec<Command>),
    /// Like `Run`, each tried again until its output is as written.
    Retry(Vec<Command>),
    /// One command that stays running.
    Background(Command),
    /// A file to write.
    File { name: String, text: String },
}

/// A command and what it shows.
#[derive(Debug, Default, PartialEq, Clone)]
pub(crate) struct Command {
    pub(crate) line: String,
    pub(crate) output: Vec<String>,
    pub(crate) exit: i32,
}

/// The executed blocks of a Markdown text, in order.
pub(crate) fn parse(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = (1..).zip(text.lines());
    while let Some((number, line)) = lines.next() {
        let Some(info) = line.strip_prefix("```") else { continue };
        let body: Vec<&str> =
            lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```").collect();
        if let Some(action) = action(info, &body) {
            blocks.push(Block { line: number, action });
        }
    }
    blocks
}

fn action(info: &str, body: &[&str]) -> Option<Action> {
    let mut words = info.split_whitespace();
    let language = words.next()?;
    let option = words.next().unwrap_or_default();
    if let Some(name) = option.strip_prefix("file=") {
        let text = body.iter().map(|line| format!("{line}\n")).collect();
        return Some(Action::File { name: name.to_owned(), text });
    }
    if language != "console" {
        return None;
    }
    let commands = commands(body);
    match option {
        "background" => commands.into_iter().next().map(Action::Background),
        "retry" => Some(Action::Retry(commands)),
        _ => Some(Action::Run(commands)),
    }
}

fn commands(body: &[&str]) -> Vec<Command> {
    let mut commands: Vec<Command> = Vec::new();
    let mut continued = false;
    for line in body {
        if let Some(command) = line.strip_prefix("$ ") {
            commands.push(Command { line: command.to_owned(), ..Command::default() });
        } else if let Some(last) = commands.last_mut() {
            if continued {
                last.line.push('\n');
                last.line.push_str(line.strip_prefix("> ").unwrap_or(line));
            } else if let Some(code) = exit_code(line) {
                last.exit = code;
            } else {
                last.output.push((*line).to_owned());
            }
        }
        continued = (line.starts_with("$ ") || continued) && line.ends_with('\\');
    }
    for command in &mut commands {
        while command.output.last().is_some_and(|line| line.trim().is_empty()) {
            command.output.pop();
        }
    }
    commands
}

/// `[exit 1]`
fn exit_code(line: &str) -> Option<i32> {
    line.strip_prefix("[exit ")?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(line: &str, output: &[&str], exit: i32) -> Command {
        let output = output.iter().map(|line| (*line).to_owned()).collect();
        Command { line: line.into(), output, exit }
    }

    #[test]
    fn blocks_become_steps() {
        let text = "# A\n```console\n$ a \\\n  b\none\n\n$ c\n[exit 2]\n```\n```sh\n$ not run\n```\n\
                    ```console background\n$ d\n```\n```json file=e.json\n{}\n```\n";
        let actions: Vec<Action> = parse(text).into_iter().map(|block| block.action).collect();
        assert_eq!(
            actions,
            vec![
                Action::Run(vec![command("a \\\n  b", &["one"], 0), command("c", &[], 2)]),
                Action::Background(command("d", &[], 0)),
                Action::File { name: "e.json".into(), text: "{}\n".into() },
            ]
        );
    }
}
