// SPDX-License-Identifier: MIT OR Apache-2.0
//! `supctl schema`: the language of the configuration as a JSON Schema, for editors.

use super::DONE;
use super::failure::Failure;
use super::screen::Screen;
use crate::config;

/// `supctl schema`.
pub(crate) fn schema(screen: &mut Screen) -> Result<u8, Failure> {
    screen.bytes(config::json_schema().as_bytes())?;
    Ok(DONE)
}
