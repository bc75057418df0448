//! A command: standard input in, standard output out, files, arguments, exit code.

use std::io::{Read as _, Write as _};

fn main() {
    let mut input = String::new();
    std::io::stdin().read_to_string(&mut input).expect("stdin");
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("flood") => {
            let piece = vec![b'x'; 1 << 16];
            loop {
                std::io::stdout().write_all(&piece).expect("stdout");
            }
        }
        Some("much") => {
            let piece = vec![b'x'; 1 << 20];
            for _ in 0..10 {
                std::io::stdout().write_all(&piece).expect("stdout");
            }
        }
        Some("noise") => {
            for line in 0..5_000 {
                eprintln!("line {line}");
            }
        }
        Some("say") => eprint!("{input}"),
        Some("exit") => std::process::exit(7),
        Some("files") => files(),
        Some("hostile") => hostile(&arguments[1]),
        Some("secret") => {
            let secret = std::env::var("TOKEN").expect("TOKEN");
            eprintln!("the secret is {secret}");
            println!("{secret} of {} bytes", secret.len());
        }
        _ => {
            let random: std::collections::HashMap<String, usize> =
                input.split_whitespace().map(|word| (word.to_owned(), word.len())).collect();
            for (word, length) in random {
                println!("{word} {length}");
            }
            eprintln!("done");
        }
    }
}

fn files() {
    use std::fs;
    println!("{}", fs::read_to_string("/data/hello.txt").expect("bundle"));
    fs::create_dir("/scratch").expect("folder");
    fs::write("/scratch/b", "two").expect("write");
    fs::write("/scratch/a", "one").expect("write");
    fs::rename("/scratch/b", "/scratch/c").expect("rename");
    let mut file = fs::OpenOptions::new().append(true).open("/data/hello.txt").expect("append");
    file.write_all(b"!").expect("append");
    println!("{}", fs::read_to_string("/data/hello.txt").expect("changed"));
    for entry in fs::read_dir("/scratch").expect("list") {
        let entry = entry.expect("entry");
        let size = entry.metadata().expect("metadata").len();
        println!("{} {size}", entry.file_name().to_string_lossy());
    }
    println!("{}", fs::read("/nothing").expect_err("missing").kind());
    fs::remove_file("/scratch/a").expect("remove");
    let full = fs::remove_dir("/scratch").expect_err("full");
    println!("Os {}", full.raw_os_error().expect("code"));
    let sockets = std::net::TcpStream::connect("127.0.0.1:1");
    println!("{}", sockets.expect_err("denied").kind());
}

/// Uses the file system as nobody should.
fn hostile(how: &str) {
    use std::fs;
    match how {
        // Chains of folders, each moved into the last folder of the one before.
        "depth" => {
            let chain = "/a".repeat(1_000);
            for number in 0..30 {
                fs::create_dir_all(&chain).expect("chain");
                fs::create_dir(format!("/b{number}")).expect("folder");
                fs::rename("/a", format!("/b{number}/a")).expect("into");
                if number > 0 {
                    let last = format!("/b{number}{chain}/b");
                    fs::rename(format!("/b{}", number - 1), last).expect("deeper");
                }
            }
            let inside = format!("/b29{chain}/b/c");
            println!("{:?}", fs::rename("/b29", inside).expect_err("itself").raw_os_error());
        }
        #[expect(deprecated, reason = "the only stable function that makes links here")]
        "links" => {
            fs::create_dir("/folder").expect("folder");
            fs::soft_link("folder", "/link0").expect("link");
            for number in 1..16 {
                let target = format!("link{}/../", number - 1).repeat(8) + "folder";
                fs::soft_link(target, format!("/link{number}")).expect("link");
            }
            println!("{:?}", fs::metadata("/link15").expect_err("many").raw_os_error());
        }
        "files" => {
            let mut count = 0_u32;
            let refused = loop {
                match fs::write(format!("/{count:0>200}"), "") {
                    Ok(()) => count += 1,
                    Err(error) => break error,
                }
            };
            println!("{count} {:?}", refused.kind());
        }
        "path" => {
            let long = "/x".repeat(50_000);
            println!("{:?}", fs::metadata(long).expect_err("long").raw_os_error());
        }
        _ => {
            for number in 0..2_000 {
                fs::write(format!("/{number:0>200}"), "").expect("file");
            }
            let mut open = Vec::new();
            let refused = loop {
                let listed = fs::read_dir("/").and_then(|mut list| {
                    list.next().transpose()?;
                    Ok(list)
                });
                match listed {
                    Ok(list) => open.push(list),
                    Err(error) => break error,
                }
            };
            println!("{} {:?}", open.len(), refused.raw_os_error());
        }
    }
}
