// SPDX-License-Identifier: MIT OR Apache-2.0
//! `supctl init`: a configuration to begin with. It is a file of this crate that is checked like
//! any other, and it never replaces one that is there.

use super::DONE;
use super::args::InitArgs;
use super::failure::Failure;
use super::screen::Screen;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// What is written.
const STARTER: &str = include_str!("../../config/examples/starter.toml");
/// Where, when nobody says.
const USUAL: &str = "supd.toml";

/// `supctl init`.
pub(crate) fn init(screen: &mut Screen, args: &InitArgs) -> Result<u8, Failure> {
    let file = args.file.as_deref().unwrap_or(Path::new(USUAL));
    if file == Path::new("-") {
        screen.bytes(STARTER.as_bytes())?;
        return Ok(DONE);
    }
    let shown = file.display().to_string();
    let written = File::create_new(file).and_then(|mut file| file.write_all(STARTER.as_bytes()));
    written.map_err(|error| {
        let there = error.kind() == io::ErrorKind::AlreadyExists;
        Failure::Usage {
            doing: format!("write {shown}"),
            reason: if there {
                "it is there already, and is left as it is".to_owned()
            } else {
                error.to_string()
            },
            instead: if there {
                format!("supctl check {shown}")
            } else {
                "supctl init -".to_owned()
            },
        }
    })?;
    screen.talk(&format!(
        "{shown}: written; look at it, then: supd -c {shown}"
    ))?;
    Ok(DONE)
}
