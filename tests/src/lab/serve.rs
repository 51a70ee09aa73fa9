//! The lab process: PID 1 of the lab's pid namespace. It builds the lab, boots machines when
//! asked to, and ends with whoever holds its standard input.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use anyhow::{Context, Result, anyhow, bail};

use super::cgroup::LabGroups;
use super::daemon::Daemons;
use super::layout::{Layout, base_dir};
use super::machine::Machine;
use super::protocol::{FirstWord, Hello, Request, Response};
use super::spec::{LabSpec, MOST_MACHINES, machine_name};
use super::{image, network, overlay};

/// Builds the lab that standard input describes, and serves it until it is ended.
///
/// The description is one line; the end of the input after it ends the lab, unless the lab
/// was told to stay.
pub fn serve(name: &str) -> Result<()> {
    let built = build(name);
    let word: FirstWord = match &built {
        Ok(lab) => Ok(lab.hello.clone()),
        Err(e) => Err(format!("{e:#}")),
    };
    writeln!(io::stdout(), "{}", serde_json::to_string(&word)?)?;
    // Who starts the lab has been told why there is none.
    let Ok(lab) = built else { process::exit(1) };
    let lab = Arc::new(lab);
    let watched = Arc::clone(&lab);
    thread::spawn(move || end_with_input(&watched));
    for stream in lab.listener.incoming() {
        let stream = stream.context("cannot accept a connection")?;
        let lab = Arc::clone(&lab);
        thread::spawn(move || answer(&lab, stream));
    }
    Ok(())
}

/// The kernel ends the whole lab with this process, which is its PID 1.
fn end_with_input(lab: &Served) {
    let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
    if !lab.layout.stays().exists() {
        process::exit(0);
    }
}

struct Served {
    hello: Hello,
    layout: Layout,
    listener: UnixListener,
    machines: Vec<Mutex<Machine>>,
    daemons: Mutex<Daemons>,
}

fn build(name: &str) -> Result<Served> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).context("cannot read the lab's description")?;
    let spec: LabSpec = serde_json::from_str(&line).context("cannot read the lab's description")?;
    if spec.machines == 0 || spec.machines > MOST_MACHINES {
        bail!("a lab has 1 to {MOST_MACHINES} machines, not {}", spec.machines);
    }
    let layout = Layout::new(&base_dir(), name);
    let groups = LabGroups::new(name)?;
    // nspawn leaves locks and sockets in /run, which would outlive the lab.
    overlay::mount_tmpfs(Path::new("/run"), None)?;
    network::create()?;
    overlay::prepare(&layout)?;
    image::fill_common(&layout, &spec)?;
    let mut machines = Vec::new();
    for number in 1..=spec.machines {
        let machine = machine_name(number);
        let limit = spec.small_disks.iter().find(|(n, _)| *n == number).map(|(_, bytes)| *bytes);
        overlay::create_disk(&layout, &machine, limit)?;
        image::fill_machine(&layout, &spec, number)?;
        overlay::mount_root(&layout, &machine)?;
        machines.push(Mutex::new(Machine::new(number, layout.clone(), groups.clone())));
    }
    let socket = layout.control();
    let listener = UnixListener::bind(&socket).with_context(|| format!("cannot listen on {}", socket.display()))?;
    let daemons = Mutex::new(Daemons::new(layout.clone()));
    let hello = Hello { name: name.to_owned(), machines: spec.machines };
    fs::write(layout.hello(), serde_json::to_vec(&hello)?).context("cannot write to the lab's folder")?;
    Ok(Served { hello, layout, listener, machines, daemons })
}

fn answer(lab: &Served, stream: UnixStream) {
    let answered = (|| -> Result<()> {
        let mut line = String::new();
        BufReader::new(&stream).read_line(&mut line)?;
        let response = match serde_json::from_str(&line).map_err(Into::into).and_then(|r| lab.carry_out(r)) {
            Ok(()) => Response::Done,
            Err(e) => Response::Failed(format!("{e:#}")),
        };
        serde_json::to_writer(&stream, &response)?;
        (&stream).write_all(b"\n")?;
        Ok(())
    })();
    if let Err(e) = answered {
        eprintln!("fleet-lab: cannot answer a request: {e:#}");
    }
}

impl Served {
    fn carry_out(&self, request: Request) -> Result<()> {
        match request {
            Request::Stay => self.stay(),
            Request::Boot(numbers) => self.boot(&numbers),
            Request::PowerOff(number) => self.machine(number)?.power_off(),
            Request::AwaitOff(number) => self.machine(number)?.await_off(),
            Request::StartDaemon { name, command } => lock(&self.daemons).start(&name, &command),
            Request::SignalDaemon { name, signal } => lock(&self.daemons).signal(&name, signal),
        }
    }

    /// The lab outlives whoever holds its standard input.
    fn stay(&self) -> Result<()> {
        fs::write(self.layout.stays(), "").context("cannot write to the lab's folder")
    }

    /// Boots machines side by side; the first error of any is the answer.
    fn boot(&self, numbers: &[u8]) -> Result<()> {
        thread::scope(|scope| {
            let boots: Vec<_> = numbers.iter().map(|number| scope.spawn(|| self.machine(*number)?.boot())).collect();
            boots
                .into_iter()
                .map(|boot| boot.join().unwrap_or_else(|_| Err(anyhow!("booting panicked"))))
                .fold(Ok(()), Result::and)
        })
    }

    fn machine(&self, number: u8) -> Result<MutexGuard<'_, Machine>> {
        let index = usize::from(number).checked_sub(1);
        let machine = index.and_then(|i| self.machines.get(i));
        machine.map(lock).with_context(|| format!("there is no machine {number}: this lab has {}", self.hello.machines))
    }
}

/// A panic in one request does not take the lab from the others.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
