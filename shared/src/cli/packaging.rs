//! What a packager takes from a program: completions for shells, and its manual pages. Both are made from the program's own
//! description of its command line, so that they cannot tell anything else than `--help`.
//!
//! A manual page names no date: the same sources make the same page.

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

use super::{help, print};

/// `command` with the commands `completions` and `man`.
#[must_use]
pub fn offered(command: Command) -> Command {
    let program = command.get_name().to_owned();
    let with_completions = command.subcommand(completions(&program));
    let names = with_completions.get_subcommands().map(|command| command.get_name().to_owned());
    let pages: Vec<_> = names.chain(["man".to_owned()]).collect();
    with_completions.subcommand(man(&program, pages))
}

/// What became of `completions` or `man`, if one of them was asked for; `command` is the one with both.
#[must_use]
pub fn given(command: &Command, matches: &ArgMatches) -> Option<anyhow::Result<()>> {
    match matches.subcommand()? {
        ("completions", matches) => matches.get_one::<Shell>("shell").map(|shell| {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut command.clone(), command.get_name(), &mut script);
            print(&script).context("cannot write the completions")
        }),
        ("man", matches) => Some(match matches.get_one::<PathBuf>("dir") {
            Some(dir) => write_pages(command, dir).with_context(|| format!("{}", dir.display())),
            None => {
                let page = matches.get_one::<String>("command").map(String::as_str);
                page_of(command, page)
                    .and_then(|page| print(&page))
                    .context("cannot write the page")
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
        "A package puts bash's, fish's and zsh's in these, below /usr/share:".to_owned(),
        format!("bash-completion/completions/{program}"),
        format!("fish/vendor_completions.d/{program}.fish"),
        format!("zsh/site-functions/_{program}"),
    ];
    let places: Vec<_> = places.iter().map(String::as_str).collect();
    Command::new("completions")
        .about("Write what a shell needs to complete this program's commands and flags")
        .after_help(help::sections(&[
            help::section("Example", &[&line]),
            help::section("Where a shell looks for it", &places),
        ]))
        .arg(
            Arg::new("shell")
                .required(true)
                .value_name("SHELL")
                .value_parser(value_parser!(Shell))
                .help("For which"),
        )
}

fn man(program: &str, pages: Vec<String>) -> Command {
    Command::new("man")
        .about("Write the manual: one page, or all pages into a directory")
        .after_help(help::section(
            "Examples",
            &[
                &format!("{program} man | man -l -"),
                &format!("{program} man --dir ~/.local/share/man/man1"),
                "A package puts them into /usr/share/man/man1.",
            ],
        ))
        .arg(
            Arg::new("command")
                .value_name("COMMAND")
                .value_parser(PossibleValuesParser::new(pages))
                .hide_possible_values(true)
                .help("The page of this command [default: that of the program]"),
        )
        .arg(
            Arg::new("dir")
                .long("dir")
                .value_name("DIR")
                .value_parser(value_parser!(PathBuf))
                .value_hint(ValueHint::DirPath)
                .conflicts_with("command")
                .help("Write every page into this directory, made when it is missing"),
        )
}

fn write_pages(command: &Command, dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    let names = command.get_subcommands().map(|command| Some(command.get_name()));
    for name in names.chain([None]) {
        let file = name.map_or_else(String::new, |name| format!("-{name}"));
        let file = format!("{}{file}.1", command.get_name());
        fs::write(dir.join(file), page_of(command, name)?)?;
    }
    Ok(())
}

/// The page of the command `name` of `program`, or of itself.
fn page_of(program: &Command, name: Option<&str>) -> io::Result<Vec<u8>> {
    let mut program = program.clone().disable_help_subcommand(true);
    program.build();
    let source = format!("{} {}", program.get_name(), program.get_version().unwrap_or_default());
    let command = name.and_then(|name| program.find_subcommand(name)).unwrap_or(&program);
    // As `--help` has it: named one by one, the settings of a service are no synopsis.
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:").trim_start().to_owned();
    // What stands at the end of the help has sections of its own here.
    let shown = command.clone().override_usage(usage).after_help(None::<&'static str>);
    let man = Man::new(shown).source(source).manual("Bookend");
    // A blank: what is empty is left out, and the source would stand in its place.
    let man = man.date(" ");
    let mut page = Vec::new();
    man.render(&mut page)?;
    let mut rest = Roff::new();
    let after_help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    for (title, lines) in help::read(&after_help) {
        rest.control("SH", [title.to_uppercase().as_str()]);
        // As they stand: they are tables and commands.
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
