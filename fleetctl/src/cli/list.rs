//! What the lists are told to show.

use clap::{Args, ValueEnum};

/// How to list.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "OPTIONS")]
pub struct List {
    /// Do not shorten ids and hashes
    #[arg(long, short = 'l')]
    pub full: bool,
    /// Leave out the line of column names
    #[arg(long)]
    pub no_legend: bool,
    /// Columns to show, separated by commas
    #[arg(long, value_name = "FIELDS")]
    pub fields: Option<String>,
}

/// Which columns of machines, or all there is to say of them.
#[derive(Args, Debug)]
#[command(next_help_heading = "OPTIONS")]
pub struct ListMachines {
    /// As of every list.
    #[command(flatten)]
    pub list: List,
    /// Show more columns, or print everything for programs
    #[arg(long, short = 'o', value_name = "FORMAT", value_enum, conflicts_with = "fields")]
    pub output: Option<ListFormat>,
}

/// How to print a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ListFormat {
    /// More columns
    Wide,
    /// One JSON object
    Json,
}
