//! The files that a result goes into.

use std::fs::OpenOptions;
use std::path::PathBuf;

use clap::Args;

/// Where the result goes besides the terminal.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputArguments {
    /// The result as JSON, which `parlor bench report` and `compare` read
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Every turn of every round as a line of CSV
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
    /// Parlor's latencies as an HdrHistogram percentile table
    #[arg(long, value_name = "FILE")]
    pub hgrm: Option<PathBuf>,
    /// A page with plots of everything, self-contained
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// The plots as SVG files in a folder
    #[arg(long, value_name = "DIR")]
    pub svg: Option<PathBuf>,
}

impl OutputArguments {
    /// Says which file cannot be written, before anything is measured for it.
    ///
    /// # Errors
    /// Returns what is wrong with the arguments, in words.
    pub fn check(&self) -> Result<(), String> {
        let files = [&self.json, &self.csv, &self.hgrm, &self.html];
        files.into_iter().flatten().try_for_each(|path| {
            let is_new = !path.exists();
            OpenOptions::new()
                .append(true)
                .create(true)
                .open(path)
                .and_then(|_| if is_new { std::fs::remove_file(path) } else { Ok(()) })
                .map_err(|error| format!("{}: {error}", path.display()))
        })
    }
}
