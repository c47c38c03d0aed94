//! `bookend key`: makes, lists and revokes the keys of a file.
//!
//! The key itself is only ever written to standard output; the file holds its hash.

use std::{num::NonZeroU32, path::PathBuf};

use anyhow::Context;
use clap::Args;
use shared::{
    access::{
        AllowedOrigin, Key, KeyHash, KeyId, KeySet, Right,
        edit::{EditError, with_entry, without_entry},
        generate, parse_day,
    },
    cli::{self, say},
    clock::Clock,
    config::Mistakes,
    timestamp::Timestamp,
};

use self::{file::KeyFile, list::KeyList};

mod file;
mod list;

/// The arguments of `bookend key new`.
#[derive(Args, Debug)]
pub struct NewArgs {
    /// File of keys; it is created if it does not exist
    #[arg(long, value_name = "FILE")]
    keys: PathBuf,

    /// Name of the key in metrics and logs: at most 32 of a-z, 0-9 and -
    #[arg(long, value_name = "ID")]
    id: KeyId,

    /// Rights of the key, separated by commas: ingest, read, operate, erase
    #[arg(long, value_name = "RIGHT", required = true, value_delimiter = ',')]
    rights: Vec<Right>,

    /// Events per second that the key may send [default: no limit]
    #[arg(long, value_name = "N")]
    quota: Option<NonZeroU32>,

    /// Origin of the web pages that may use the key (repeatable) [default: all that are allowed]
    #[arg(long, value_name = "ORIGIN")]
    origin: Vec<AllowedOrigin>,

    /// First day on which the key is not valid any more, in UTC [default: none]
    #[arg(long, value_name = "DATE", value_parser = parse_day)]
    expires: Option<Timestamp>,

    /// Prefix of the only user ids that the key may write and read [default: all users]
    #[arg(long, value_name = "PREFIX")]
    users_prefix: Option<String>,
}

/// The arguments of `bookend key list`.
#[derive(Args, Debug)]
pub struct ListArgs {
    /// File of keys
    #[arg(long, value_name = "FILE")]
    keys: PathBuf,

    /// Print the list as one line of JSON
    #[arg(long)]
    json: bool,
}

/// The arguments of `bookend key revoke`.
#[derive(Args, Debug)]
pub struct RevokeArgs {
    /// File of keys
    #[arg(long, value_name = "FILE")]
    keys: PathBuf,

    /// Id of the key to remove
    #[arg(long, value_name = "ID")]
    id: KeyId,
}

/// Prints a key, then adds its entry to the file: a key that nobody has seen is not added.
pub fn new(args: NewArgs) -> anyhow::Result<()> {
    let NewArgs { keys: path, id, rights, quota, origin: origins, expires, users_prefix } = args;
    let rights = rights.into_iter().collect();
    let key = Key { id, rights, quota, origins, expires, users_prefix };
    if key.has_expired(Clock::machine().now()) {
        return Err(
            Mistakes(vec!["--expires: the key would not be valid at any time".to_owned()]).into()
        );
    }
    let secret = generate(&key.id).context("cannot make a key")?;
    let file = KeyFile::open(path)?;
    let changed = with_entry(file.text_or_empty(), &key, &KeyHash::of(secret.reveal().as_bytes()));
    let changed = changed.map_err(|error| told(&file, error))?;
    file.replace(&changed, || {
        cli::deliver(format!("{}\n", secret.reveal()).as_bytes())
            .context("the key cannot be printed to standard output, so it was not added")
    })?;
    say(
        "bookend",
        format_args!("keep the key of {} now: {} has only its hash", key.id, file.path()),
    );
    Ok(())
}

/// Prints the keys of the file.
pub fn list(args: &ListArgs) -> anyhow::Result<()> {
    let file = KeyFile::open(args.keys.clone())?;
    let keys = KeySet::parse(file.text()?)
        .map_err(|mistakes| told(&file, EditError::Mistakes(mistakes)))?;
    let list = KeyList::new(&keys, Clock::machine().now());
    Ok(cli::print_report(&list, args.json, &list)?)
}

/// Removes an entry from the file.
pub fn revoke(args: &RevokeArgs) -> anyhow::Result<()> {
    let file = KeyFile::open(args.keys.clone())?;
    let changed = without_entry(file.text()?, &args.id).map_err(|error| told(&file, error))?;
    file.replace(&changed, || Ok(()))?;
    say(
        "bookend",
        format_args!("the key {} was revoked; services refuse it within seconds", args.id),
    );
    Ok(())
}

/// The error with the name of the file. A file with mistakes is a wrong configuration.
fn told(file: &KeyFile, error: EditError) -> anyhow::Error {
    let path = file.path();
    match error {
        EditError::Mistakes(all) => {
            Mistakes(all.into_iter().map(|mistake| format!("{path}: {mistake}")).collect()).into()
        }
        other => anyhow::anyhow!("{path}: {other}"),
    }
}
