//! What Python modules find while they load and while they run.

use std::ffi::OsStr;

use crate::project::{Project, output};
use crate::runner::Guest;

/// Modules of the function and of the project, a data file, and parts of the standard library that
/// nothing loaded before.
#[test]
fn modules_load_from_the_function_and_the_project() {
    let project = Project::empty();
    project.file("nexus_sdk_less/notes.txt", "not a module");
    project.file("shared/__init__.py", "NAME = 'shared'\n");
    project.file("hello/prices.json", r#"{"apple": 3}"#);
    project.file("hello/lib/prices.py", "import json, pathlib\nPRICES = json.loads((pathlib.Path(__file__).parent.parent / 'prices.json').read_text())\n");
    project.file("hello/app.py", concat!(
        "import csv, decimal, io, xml.etree.ElementTree as tree\n",
        "from lib.prices import PRICES\n",
        "from nexus_sdk import http, Response\n\n",
        "@http\ndef handle(request):\n",
        "    try:\n        open('/1/prices.json')\n        there = 'open'\n",
        "    except OSError as error:\n        there = type(error).__name__\n",
        "    row = next(csv.reader(io.StringIO('a,b')))\n",
        "    return Response(f'{PRICES} {row} {decimal.Decimal(1) / 4} {tree.fromstring(\"<a/>\").tag} {there}')\n",
    ));
    let built = project.build("hello").unwrap();
    let (status, text, ended) = Guest::new(&built.component).get("/");
    assert_eq!(status, 200, "{:?} {:?}", ended.failure, ended.logs);
    // The folders are gone when a call runs, and asking for them is an ordinary error.
    assert_eq!(text, "{'apple': 3} ['a', 'b'] 0.25 a FileNotFoundError");
    // Nothing was left beside the sources.
    assert!(!project.path("hello/__pycache__").exists());
    assert!(!project.path("hello/lib/__pycache__").exists());
}

#[test]
fn an_edit_of_the_same_length_counts() {
    let project = Project::empty();
    let code = tempfile::tempdir().unwrap();
    for answer in ["1", "2"] {
        project.file("value.py", &format!("VALUE = {answer}\n"));
        project.file(
            "app.py",
            "from value import VALUE\nfrom nexus_sdk import http, Response\n\n\
             @http\ndef handle(request):\n    return Response(str(VALUE))\n",
        );
        let built = project.build("").unwrap();
        assert_eq!(Guest::in_folder(&built.component, code.path()).get("/").1, answer);
    }
    // The interpreter was compiled once for both.
    let kinds = std::fs::read_dir(code.path()).unwrap().map(|entry| entry.unwrap().path());
    let mut kinds: Vec<_> =
        kinds.filter_map(|path| path.extension().map(OsStr::to_owned)).collect();
    kinds.sort();
    assert_eq!(kinds, ["blake3", "blake3", "blake3", "cwasm", "shell", "shell", "state", "state"]);
}

#[test]
fn what_a_module_raises_is_told_without_the_builders_own_lines() {
    let cases = [
        (
            "x = 1\nraise ValueError('at load')\n",
            "File \"/1/app.py\", line 2",
            "ValueError: at load",
        ),
        ("def broken(:\n", "File \"/1/app.py\", line 1", "SyntaxError"),
        ("import nowhere\n", "File \"/1/app.py\", line 1", "No module named 'nowhere'"),
        ("import sys\nsys.exit(3)\n", "File \"/1/app.py\", line 2", "SystemExit: 3"),
        ("print('before')\n1 / 0\n", "before", "ZeroDivisionError"),
        ("x = 1\n", "", "put @http or @event of nexus_sdk above a function"),
    ];
    for (text, place, words) in cases {
        let project = Project::empty();
        project.file("app.py", text);
        let said = output(project.build(""));
        assert!(said.contains(place) && said.contains(words), "{said}");
        assert!(!said.contains("nexus_base"), "{said}");
    }
}

#[test]
fn a_module_that_calls_the_network_while_it_loads_is_refused() {
    let project = Project::empty();
    project.file("app.py", "from nexus_sdk import send\n\nsend('http://other/')\n");
    let said = output(project.build(""));
    assert!(said.contains("cannot be called while the module loads"), "{said}");
}
