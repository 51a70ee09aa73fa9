//! `fleet-story`: tells stories to the systemd of the machine that it runs on, through fleetd's session with it. Reads
//! one story a line and prints what was observed, one line each; see `fleet_tests::conformance`.

use std::io::{BufRead, Write, stdin, stdout};

use anyhow::Result;
use fleet_tests::conformance::{Booted, Story, tell};

fn main() -> Result<()> {
    for line in stdin().lock().lines() {
        let story: Story = serde_json::from_str(&line?)?;
        let observation = tell(&story, &mut Booted::new()?);
        let mut out = stdout().lock();
        serde_json::to_writer(&mut out, &observation)?;
        out.write_all(b"\n")?;
        out.flush()?;
    }
    Ok(())
}
