//! The commands `completions` and `man`: shell completions and manual pages, for packagers.
//!
//! Both are generated from the definition of the command line, so they always agree with `--help`.
//! A manual page has no date, so that builds of the same sources are identical.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::{Arg, ArgMatches, Command, ValueHint, builder::PossibleValuesParser, value_parser};
use clap_complete::Shell;
use clap_mangen::{
    Man,
    roff::{Roff, bold, roman},
};

use super::{help, output::print};

/// Adds the commands `completions` and `man` to `command`.
#[must_use]
pub fn with_commands(command: Command) -> Command {
    let program = command.get_name().to_owned();
    let with_completions = command.subcommand(completions(&program));
    let names = with_name(&with_completions).into_iter().map(|(name, _)| name);
    let pages: Vec<_> = names.chain(["man".to_owned()]).collect();
    with_completions.subcommand(man(&program, pages))
}

/// Runs `completions` or `man` if `matches` name one of them. `command` is the result of
/// [`with_commands`].
#[must_use]
pub fn run(command: &Command, matches: &ArgMatches) -> Option<anyhow::Result<()>> {
    match matches.subcommand()? {
        ("completions", matches) => matches.get_one::<Shell>("shell").map(|shell| {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut command.clone(), command.get_name(), &mut script);
            print(&script).context("cannot write the completions")
        }),
        ("man", matches) => Some(match matches.get_one::<PathBuf>("dir") {
            Some(dir) => write_pages(command, dir)
                .with_context(|| format!("cannot write the manual to {}", dir.display())),
            None => {
                let page = matches.get_one::<String>("command").map(String::as_str);
                page_of(command, page)
                    .and_then(|page| print(&page))
                    .context("cannot write the manual page")
            }
        }),
        _ => None,
    }
}

fn completions(program: &str) -> Command {
    let line = format!(
        "{program} completions bash > ~/.local/share/bash-completion/completions/{program}"
    );
    let places = [
        format!("bash        ~/.local/share/bash-completion/completions/{program}"),
        format!("fish        ~/.config/fish/completions/{program}.fish"),
        format!("zsh         _{program} in a directory of $fpath"),
        "elvish      at the end of ~/.config/elvish/rc.elv".to_owned(),
        "powershell  at the end of $PROFILE".to_owned(),
        "System-wide, as packages do (bash, fish, zsh):".to_owned(),
        format!("bash-completion/completions/{program}"),
        format!("fish/vendor_completions.d/{program}.fish"),
        format!("zsh/site-functions/_{program}"),
    ];
    let places: Vec<_> = places.iter().map(String::as_str).collect();
    Command::new("completions")
        .about("Print a script that completes commands and flags in a shell")
        .after_help(help::sections(&[
            help::section("Example", &[&line]),
            help::section("Install locations", &places),
        ]))
        .arg(
            Arg::new("shell")
                .required(true)
                .value_name("SHELL")
                .value_parser(value_parser!(Shell))
                .help("Shell to print the script for"),
        )
}

fn man(program: &str, pages: Vec<String>) -> Command {
    Command::new("man")
        .about("Print a manual page, or write all pages to a directory")
        .after_help(help::section(
            "Examples",
            &[
                &format!("{program} man | man -l -"),
                &format!("{program} man --dir ~/.local/share/man/man1"),
                &format!("{program} man --dir /usr/share/man/man1  # as packages do"),
            ],
        ))
        .arg(
            Arg::new("command")
                .value_name("COMMAND")
                .value_parser(PossibleValuesParser::new(pages))
                .hide_possible_values(true)
                .help("Command whose page to print [default: the program itself]"),
        )
        .arg(
            Arg::new("dir")
                .long("dir")
                .value_name("DIR")
                .value_parser(value_parser!(PathBuf))
                .value_hint(ValueHint::DirPath)
                .conflicts_with("command")
                .help("Write every page to this directory; it is created if it does not exist"),
        )
}

fn write_pages(command: &Command, dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    let names = with_name(command).into_iter().map(|(name, _)| Some(name));
    for name in names.chain([None]) {
        let file = name.as_ref().map_or_else(String::new, |name| format!("-{name}"));
        let file = format!("{}{file}.1", command.get_name());
        fs::write(dir.join(file), page_of(command, name.as_deref())?)?;
    }
    Ok(())
}

/// Every command within `command`, with its name: `key`, and `key-new` for a command of it.
fn with_name(command: &Command) -> Vec<(String, &Command)> {
    let mut all = Vec::new();
    for command in command.get_subcommands() {
        let name = command.get_name();
        all.push((name.to_owned(), command));
        let inner = with_name(command).into_iter();
        all.extend(inner.map(|(inner, command)| (format!("{name}-{inner}"), command)));
    }
    all
}

/// The page of the command `name`, or of `program` itself.
fn page_of(program: &Command, name: Option<&str>) -> io::Result<Vec<u8>> {
    let mut program = program.clone().disable_help_subcommand(true);
    program.build();
    let source = format!("{} {}", program.get_name(), program.get_version().unwrap_or_default());
    let all = with_name(&program);
    let command = all.iter().find(|(known, _)| name == Some(known)).map_or(&program, |(_, it)| *it);
    // The usage line of `--help`: a synopsis with every setting of a service would not be readable.
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:").trim_start().to_owned();
    // The sections at the end of the help become sections of the page below.
    let shown = command.clone().override_usage(usage);
    let shown = shown.after_help(None::<&'static str>).after_long_help(None::<&'static str>);
    let man = Man::new(shown).source(source).manual("Bookend");
    // A blank, not an empty date: clap_mangen skips an empty one and puts the source in its place.
    let man = man.date(" ");
    let mut page = Vec::new();
    man.render(&mut page)?;
    // Names and commands must be found by a search, so no word is hyphenated.
    let page = String::from_utf8_lossy(&page).replacen("\n.SH", "\n.nh\n.SH", 1);
    let mut page = page.into_bytes();
    let mut rest = Roff::new();
    let notes = command.get_after_long_help().or(command.get_after_help());
    for (title, lines) in help::read(&notes.map(ToString::to_string).unwrap_or_default()) {
        rest.control("SH", [title.to_uppercase().as_str()]);
        // Without filling: the lines are tables and commands.
        rest.control("nf", []);
        for line in lines {
            rest.text([roman(line)]);
        }
        rest.control("fi", []);
    }
    if name.is_some() {
        rest.control("SH", ["SEE ALSO"]);
        rest.text([bold(program.get_name()), roman("(1)")]);
    }
    page.extend(rest.to_roff().into_bytes());
    Ok(page)
}
