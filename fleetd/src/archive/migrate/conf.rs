//! Changing options in fleetd's configuration file, and back.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;

/// A file that was changed.
pub(super) struct Edited {
    path: PathBuf,
    before: String,
}

impl Edited {
    /// Sets and unsets options.
    pub(super) fn apply(path: &Path, options: &[(&str, Option<&str>)]) -> anyhow::Result<Self> {
        let before = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        write(path, &edit(&before, options))?;
        Ok(Self { path: path.to_owned(), before })
    }

    /// Puts the former text back.
    pub(super) fn undo(&self) -> anyhow::Result<()> {
        write(&self.path, &self.before)
    }
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let fresh = PathBuf::from(name);
    let fill = || {
        let mut file = File::create(&fresh)?;
        file.set_permissions(fs::metadata(path)?.permissions())?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&fresh, path)
    };
    fill().with_context(|| format!("cannot write {}", path.display()))
}

/// The text with these options set, or no longer set; what was said of them before is left as a comment.
fn edit(text: &str, options: &[(&str, Option<&str>)]) -> String {
    let mut edited = String::new();
    for line in text.lines() {
        let name = line.split_once('=').map_or("", |(name, _)| name.trim());
        let concerned = options.iter().any(|(option, _)| option.eq_ignore_ascii_case(name));
        edited.push_str(if concerned { "# " } else { "" });
        edited.push_str(line);
        edited.push('\n');
    }
    for (option, value) in options {
        if let Some(value) = value {
            edited.push_str(&format!("{option}={value}\n"));
        }
    }
    edited
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("fleet.conf");
        let text = "# mine\nRegistry = embedded\nregistry_listen=\"1.2.3.4:2379\"\nmetadata=registry=x";
        fs::write(&path, text).unwrap();
        let edited =
            Edited::apply(&path, &[("registry", None), ("etcd_servers", Some("http://1.2.3.4:2379"))]).unwrap();
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            "# mine\n# Registry = embedded\nregistry_listen=\"1.2.3.4:2379\"\nmetadata=registry=x\n\
             etcd_servers=http://1.2.3.4:2379\n"
        );
        edited.undo().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
