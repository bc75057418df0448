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
        Some("noise") => {
            for line in 0..5_000 {
                eprintln!("line {line}");
            }
        }
        Some("say") => eprint!("{input}"),
        Some("exit") => std::process::exit(7),
        Some("files") => files(),
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
