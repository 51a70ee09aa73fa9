//! The simulated systemd does what the real one does: see `fleet_tests::conformance`.

mod random;
mod stories;

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::sync::Mutex;
use std::thread;

use anyhow::{Context, Result};
use fleet_tests::conformance::{Observation, Simulated, Story, compare, tell};
use fleet_tests::lab::{Lab, Node};

/// Machines that stories are told on side by side.
const MACHINES: u8 = 6;

/// A difference counts if it is there each time of so many: a busy host may be slower than the times that a story is
/// about, but what systemd does otherwise it does every time.
const TELLINGS: usize = 3;

/// Tells stories on this machine until there are none left; what differs comes back.
fn tell_on(node: Node<'_>, left: &Mutex<Vec<Story>>) -> Result<Vec<String>> {
    let mut command = node.command(["/usr/bin/fleet-story"])?;
    let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("cannot run fleet-story")?;
    let mut stdin = process.stdin.take().context("no standard input")?;
    let mut stdout = BufReader::new(process.stdout.take().context("no standard output")?);
    let mut differences = Vec::new();
    let next = || left.lock().ok()?.pop();
    let mut told = |story: &Story| -> Result<Observation> {
        serde_json::to_writer(&mut stdin, story)?;
        stdin.write_all(b"\n")?;
        let mut line = String::new();
        stdout.read_line(&mut line)?;
        serde_json::from_str(&line).with_context(|| format!("{}: {line:?}", story.name))
    };
    while let Some(story) = next() {
        let simulated = tell(&story, &mut Simulated::new());
        let mut difference = String::new();
        for telling in 1..=TELLINGS {
            // With units of its own.
            let again = Story { name: format!("{}-{telling}", story.name), steps: story.steps.clone() };
            match compare(&told(&again)?, &simulated) {
                Ok(()) => break,
                Err(why) if telling == TELLINGS => {
                    difference = format!("--- {}\n{:?}\n{why}\n", story.name, story.steps);
                }
                Err(why) => eprintln!("{} is told again, since it differs:\n{why}", story.name),
            }
        }
        if !difference.is_empty() {
            differences.push(difference);
        }
    }
    drop(stdin);
    process.wait()?;
    Ok(differences)
}

fn assert_same(mut stories: Vec<Story>) {
    if let Ok(name) = std::env::var("STORY") {
        stories.retain(|story| story.name == name);
    }
    let builder = Lab::builder().machines(MACHINES).program("fleet-story");
    builder.expect("cargo build --bins").run(|lab| {
        let left = &Mutex::new(stories);
        let results: Vec<_> = thread::scope(|scope| {
            let tellers: Vec<_> = lab.nodes().map(|node| scope.spawn(move || tell_on(node, left))).collect();
            tellers.into_iter().map(|t| t.join()).collect()
        });
        let mut differences = Vec::new();
        for result in results {
            differences.extend(result.map_err(|_| anyhow::anyhow!("a teller panicked"))??);
        }
        anyhow::ensure!(differences.is_empty(), "{} stories differ:\n{}", differences.len(), differences.join("\n"));
        Ok(())
    });
}

/// Stories by chance find what nobody thought of.
#[test]
fn so_it_does_in_stories_made_up_by_chance() {
    assert_same(random::stories(50, 15));
}

/// Every other simulation would prove nothing: its systemd would do what nobody's does.
#[test]
fn the_simulated_systemd_does_what_the_real_one_does() {
    assert_same(stories::stories());
}
