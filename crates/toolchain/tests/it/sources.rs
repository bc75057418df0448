use std::path::Path;

use nexus_toolchain::{
    Cancel, CustomBuild, Error, Language, Scaffold, Template, build, code_files, detect, is_source,
    scaffold, source_hash, watch_roots,
};

use crate::project::Project;

#[test]
fn outputs_and_temporary_files_are_no_sources() {
    let root = Path::new("/p");
    for path in ["index.js", "src/lib.rs", "nexus.toml", "data/x.json", "my-target/a"] {
        assert!(is_source(root, &root.join(path)), "{path}");
    }
    for path in [
        "target/a.wasm",
        ".nexus/log",
        "node_modules/a/b.js",
        "a.swp",
        "x/__pycache__/a.pyc",
        "b~",
        "4913",
    ] {
        assert!(!is_source(root, &root.join(path)), "{path}");
    }
    assert!(!is_source(root, Path::new("/elsewhere/a.js")));
}

#[test]
fn the_hash_follows_sources_only() {
    let project = Project::empty();
    project.file("index.js", "1").file(".gitignore", "made.js\n");
    let hash = || source_hash(&project.source("")).unwrap();
    let before = hash();
    project.file("target/x", "").file("made.js", "").file("a.swp", "");
    assert_eq!(hash(), before);
    project.file("other.js", "");
    assert_ne!(hash(), before);
    std::fs::remove_file(project.path("other.js")).unwrap();
    assert_eq!(hash(), before);
    project.file("index.js", "2");
    assert_ne!(hash(), before);
}

#[test]
fn only_code_goes_to_the_server() {
    let project = Project::empty();
    project
        .file(".gitignore", "made.js\nsecret/\n")
        .file("orders/index.js", "code")
        .file("orders/lib/price.ts", "price")
        .file("orders/.gitignore", "own.js\n");
    // Settings, keys and data; hidden files and folders; what git does not know; outputs.
    for path in [
        ".env",
        ".env.js",
        "key.pem",
        "data.json",
        "own.js",
        ".hidden/a.js",
        "node_modules/a/b.js",
        "target/a.rs",
        "a.js~",
    ] {
        project.file(&format!("orders/{path}"), "secret");
    }
    let found = code_files(&project.source("orders"), project.dir.path()).unwrap();
    let files: Vec<_> = found.sources.files.into_iter().collect();
    let pair = |path: &str, text: &str| (path.to_owned(), text.to_owned());
    assert_eq!(files, [pair("orders/index.js", "code"), pair("orders/lib/price.ts", "price")]);
    assert_eq!(found.note, None);
    let root = std::fs::canonicalize(project.dir.path()).unwrap();
    assert_eq!(Path::new(&found.sources.root), root);
    // What is too large or no text is left out, and said.
    std::fs::write(project.path("orders/binary.js"), [0xff, 0xfe]).unwrap();
    project.file("orders/large.js", &"x".repeat(nexus_model::limits::SOURCE_FILE_BYTES_MAX + 1));
    let found = code_files(&project.source("orders"), project.dir.path()).unwrap();
    assert_eq!(found.sources.files.len(), 2);
    assert!(found.note.is_some_and(|note| note.starts_with("2 source files are not kept")));
}

#[test]
fn path_dependencies_are_watched() {
    let project = Project::scaffold(Language::Rust, Template::Http);
    let roots = watch_roots(&project.source("hello"));
    let names: Vec<_> = roots.iter().map(|it| it.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["hello", "nexus-sdk"]);
}

#[test]
fn languages_are_found() {
    for language in Language::ALL {
        let project = Project::scaffold(language, Template::Http);
        assert_eq!(detect(&project.path("hello")), Some(language));
    }
    assert_eq!(detect(Project::empty().dir.path()), None);
}

#[test]
fn a_used_folder_is_refused() {
    let project = Project::empty();
    project.file("mine.txt", "");
    let plan = Scaffold {
        name: nexus_model::Name::new("shop").unwrap(),
        language: Language::Python,
        template: Template::Event,
        dir: project.dir.path().to_owned(),
    };
    assert!(matches!(scaffold(&plan), Err(Error::NotEmpty { .. })));
    assert_eq!(std::fs::read_dir(project.dir.path()).unwrap().count(), 1);
}

#[test]
fn manifests_of_templates_are_valid_and_named() {
    for language in Language::ALL {
        for template in [Template::Http, Template::Event] {
            let project = Project::scaffold(language, template);
            let text = std::fs::read_to_string(project.path("nexus.toml")).unwrap();
            let manifest = nexus_model::manifest::Manifest::parse(&text).unwrap();
            assert_eq!(manifest.project.as_str(), "shop");
            assert_eq!(manifest.functions.len(), 1);
        }
    }
}

#[test]
fn an_own_command_builds() {
    let project = Project::empty();
    project.file("made", "component");
    let mut source = project.source("");
    source.custom =
        Some(CustomBuild { command: "cp made out.wasm".into(), component: "out.wasm".into() });
    assert_eq!(build(&source, &project.options()).unwrap().component, b"component");
    source.custom =
        Some(CustomBuild { command: "echo no >&2; exit 1".into(), component: "out.wasm".into() });
    let error = build(&source, &project.options()).unwrap_err();
    assert!(matches!(&error, Error::Failed { output, .. } if output == "no\n"), "{error:?}");
}

#[test]
fn cancelling_ends_the_child_and_its_children() {
    let project = Project::empty();
    let mut source = project.source("");
    source.custom = Some(CustomBuild {
        command: "echo started; sleep 1000 & wait".into(),
        component: "out.wasm".into(),
    });
    let mut options = project.options();
    let cancel = Cancel::default();
    let (sent, lines) = std::sync::mpsc::channel();
    options.cancel = cancel.clone();
    options.sink = std::sync::Arc::new(move |line| sent.send(line.text).unwrap_or_default());
    std::thread::scope(|scope| {
        let building = scope.spawn(|| build(&source, &options));
        assert_eq!(lines.recv().unwrap(), "started");
        cancel.cancel();
        assert!(matches!(building.join().unwrap(), Err(Error::Cancelled)));
    });
    assert!(matches!(build(&source, &options), Err(Error::Cancelled)));
}
