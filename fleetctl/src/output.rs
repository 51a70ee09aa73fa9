//! Where a command writes to.

use std::io::{self, BufWriter, StderrLock, StdoutLock, Write};

/// Standard output and standard error, handed down so that nothing else in this crate knows them.
#[derive(Debug)]
pub struct Output {
    out: BufWriter<StdoutLock<'static>>,
    err: StderrLock<'static>,
    for_programs: bool,
}

impl Output {
    /// The process's own.
    pub fn standard() -> Self {
        Self { out: BufWriter::new(io::stdout().lock()), err: io::stderr().lock(), for_programs: false }
    }

    /// What the command is asked for. It is kept back until [`Output::flush`].
    pub fn out(&mut self) -> &mut impl Write {
        &mut self.out
    }

    /// What a person should know besides. What went to `out` before comes first.
    pub fn err(&mut self) -> io::Result<&mut impl Write> {
        self.out.flush()?;
        Ok(&mut self.err)
    }

    /// A program reads `out`: nothing but what it asked for is to be there.
    pub fn is_for_programs(&mut self) {
        self.for_programs = true;
    }

    /// A line about what is being done: beside what the command is asked for, unless a program reads that.
    pub fn note(&mut self, line: &str) -> io::Result<()> {
        match self.for_programs {
            true => writeln!(self.err()?, "{line}"),
            false => writeln!(self.out(), "{line}"),
        }
    }

    /// Writes what was kept back.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// Says what `--debug` asks for: every request, and how it was answered.
    pub fn debug(text: &str) {
        // Nobody is left to tell if this fails.
        let _ = writeln!(io::stderr(), "DEBUG: {text}");
    }

    /// Says that fleetd wants to be asked again later, and why.
    pub fn waits(why: &str) {
        // As above.
        let _ = writeln!(io::stderr(), "{why}; waiting for it");
    }

    /// Writes to standard error even if nobody reads standard output any more.
    pub(crate) fn last_words(&mut self, text: &str) {
        // Nobody is left to tell if this fails.
        let _ = self.out.flush();
        let _ = writeln!(self.err, "{text}");
    }
}
